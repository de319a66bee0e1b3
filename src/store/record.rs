//! What is kept about one integration, and what integrations share at a vendor.
//!
//! Owns the types; their written form is `wire`'s. Pure: `refresh` decides what any of it means.
//! Invariant: no secret can be printed from here.

mod wire;

#[cfg(test)]
pub(super) mod tests;

use std::time::Duration;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::base::{Secret, Timestamp};
use crate::spec::Integration;

/// Why a stored value cannot be read; never holds anything of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error(
        "was written in format {found} by a newer version of the broker; this one reads up to {known}",
        known = wire::FORMAT
    )]
    Newer { found: u64 },
    #[error("cannot be understood at byte {at}: the store holds something else there")]
    Unreadable { at: usize },
}

/// What outlives the process about one integration. Everything is optional: an empty one is what
/// there is before the first exchange.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Record {
    pub chain: Option<Chain>,
    pub access: Option<Access>,
    pub wait: Option<Wait>,
}

/// A refresh token with all that must be known to use it; each successor replaces the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub refresh_token: Secret,
    pub bound_to: BoundTo,
    pub received_at: Timestamp,
    /// When it last brought an access token.
    pub used_at: Option<Timestamp>,
    /// Its absolute end.
    pub expires_at: Option<Timestamp>,
    /// How long it may lie unused.
    pub idle_lifetime: Option<Duration>,
    /// [`sha256_of_configured`] of the configured refresh token that this chain began with; `None`
    /// where a consent began it.
    pub configured: Option<[u8; 32]>,
    /// An exchange with this very refresh token was about to be sent then, and its end is unknown.
    pub intent: Option<Timestamp>,
}

/// Whose refresh token it is: sent to nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BoundTo {
    /// Empty where none is sent.
    pub client_id: String,
    /// The provider's name, or the endpoint's host where everything is spelled out.
    pub at: String,
}

impl BoundTo {
    /// What a refresh token of `integration`, as it is configured now, belongs to; `None` for grants
    /// that ask nobody.
    pub fn of(integration: &Integration) -> Option<Self> {
        let request = integration.grant.request()?;
        Some(Self {
            client_id: request.client_id.clone().unwrap_or_default(),
            at: integration.provider.to_string(),
        })
    }
}

/// An access token to go on with after a restart.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    pub access_token: Secret,
    pub token_type: String,
    pub scope: Option<String>,
    /// The vendor's further members as they are served.
    pub members: Map<String, Value>,
    /// The wall clock just before the request was sent.
    pub sent_at: Timestamp,
    /// As issued; `None`: it does not expire.
    pub lifetime: Option<Duration>,
    /// Fingerprint of everything that shaped the request: another one, and this is no token of ours.
    pub shaped_by: [u8; 32],
    pub secret_in_use: Option<usize>,
}

/// Do not ask before `until`; a restart is no reason to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub until: Timestamp,
    pub kind: WaitKind,
    /// In a row, without a success between them.
    pub failures: u32,
    pub refusals: u32,
    /// Fingerprint of what was asked, secrets that the configuration holds included: whoever
    /// changes it need not wait.
    pub asked: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitKind {
    /// The vendor was in trouble, or could not be reached.
    Trouble,
    /// The vendor refused credentials or request.
    Refused,
    /// The vendor refused the refresh token: only a person can give another.
    DeadGrant,
}

/// What is counted per endpoint authority and client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quota {
    /// When requests were sent, the earliest first, as far back as the limit's window reaches.
    pub requests: Vec<Timestamp>,
    /// The vendor asked for quiet until then.
    pub quiet_until: Option<Timestamp>,
}

/// For [`Chain::configured`].
pub fn sha256_of_configured(refresh_token: &Secret) -> [u8; 32] {
    Sha256::digest(refresh_token.expose()).into()
}

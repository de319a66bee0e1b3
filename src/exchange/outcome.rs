//! How an exchange ends: one closed enum.

use std::time::Duration;

use crate::base::{Failure, Issued, RefreshToken};

#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A readable answer with a token.
    Issued(Box<Issued>),
    /// Trouble that passes; `retry_after` is what the vendor asked of this client, uncapped: `None` if
    /// it was another host than the integration's own, whose wait is in the failure only.
    Transient {
        retry_after: Option<Duration>,
        failure: Failure,
    },
    /// The vendor refuses the client.
    BadCredential(Failure),
    /// The vendor refuses the request.
    BadRequest(Failure),
    /// A rotating refresh token was sent, and no complete, readable answer came: it may be spent.
    /// Or a refresh token came in an answer that is of no other use.
    Ambiguous {
        retry_after: Option<Duration>,
        failure: Failure,
        /// The one that came so; what was sent is of no use any more.
        refresh_token: Option<RefreshToken>,
    },
    /// The vendor refuses the refresh token, or the code that was to bring one: only a person can
    /// renew the consent.
    DeadGrant(Failure),
    /// The person has not decided yet (RFC 8628 section 3.5); `slower`: ask less often.
    AuthorizationPending { slower: bool },
    /// A `static` token is past its expiry.
    Expired(Failure),
    /// A secret could not be read: nothing was sent.
    SecretUnavailable(Failure),
}

impl Outcome {
    /// What went wrong; `None` if nothing did.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Issued(_) | Self::AuthorizationPending { .. } => None,
            Self::Transient { failure, .. }
            | Self::Ambiguous { failure, .. }
            | Self::BadCredential(failure)
            | Self::BadRequest(failure)
            | Self::DeadGrant(failure)
            | Self::Expired(failure)
            | Self::SecretUnavailable(failure) => Some(failure),
        }
    }

    /// The label `outcome` of metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Issued(_) => "issued",
            Self::Transient { .. } => "transient",
            Self::BadCredential(_) => "bad_credential",
            Self::BadRequest(_) => "bad_request",
            Self::Ambiguous { .. } => "ambiguous",
            Self::DeadGrant(_) => "dead_grant",
            Self::AuthorizationPending { .. } => "authorization_pending",
            Self::Expired(_) => "expired",
            Self::SecretUnavailable(_) => "secret_unavailable",
        }
    }
}

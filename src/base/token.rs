//! A token as a vendor issued it, in our own terms.

use std::time::Duration;

use serde_json::{Map, Value};

use super::clock::Now;
use super::secret::Secret;

/// A readable answer that holds a token.
#[derive(Debug, Clone, PartialEq)]
pub struct Issued {
    /// 1 to 65 536 characters 0x21 to 0x7E.
    pub access_token: Secret,
    pub token_type: String,
    /// What was granted, if the vendor said; never empty.
    pub scope: Option<String>,
    /// The vendor's further members, stripped of secrets and of what is served by our own names.
    pub members: Map<String, Value>,
    /// Both clocks just before the request was sent: lifetimes count from here.
    pub sent_at: Now,
    /// `None`: the token does not expire.
    pub lifetime: Option<Duration>,
    /// Index in the configured list of the secret that worked; `None` where none is used.
    pub secret_in_use: Option<usize>,
    /// The refresh token that came with it.
    pub refresh_token: Option<RefreshToken>,
}

/// A refresh token as a vendor issued it (RFC 6749 section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    pub token: Secret,
    /// Counted from when the request was sent; `None`: the vendor did not say.
    pub lifetime: Option<Duration>,
}

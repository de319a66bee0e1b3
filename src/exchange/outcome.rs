//! How an exchange ends: one closed enum.

use std::time::Duration;

use crate::base::{Failure, Issued};

#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A readable answer with a token.
    Issued(Box<Issued>),
    /// Trouble that passes; `retry_after` is what the vendor asked for, uncapped.
    Transient {
        retry_after: Option<Duration>,
        failure: Failure,
    },
    /// The vendor refuses the client.
    BadCredential(Failure),
    /// The vendor refuses the request.
    BadRequest(Failure),
    /// The vendor refuses the refresh token: only a person can renew the consent.
    DeadGrant(Failure),
    /// A `static` token is past its expiry.
    Expired(Failure),
    /// A secret could not be read: nothing was sent.
    SecretUnavailable(Failure),
}

impl Outcome {
    /// What went wrong; `None` if nothing did.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Issued(_) => None,
            Self::Transient { failure, .. }
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
            Self::DeadGrant(_) => "dead_grant",
            Self::Expired(_) => "expired",
            Self::SecretUnavailable(_) => "secret_unavailable",
        }
    }
}

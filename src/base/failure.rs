//! What went wrong, in words for people and a code for programs.
//!
//! Must not know HTTP status codes of our own answers: `http::error` alone maps codes to them.

use std::time::Duration;

use super::clock::Timestamp;

/// The closed list of `error` values a caller can meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    InvalidRequest,
    MinTtlUnattainable,
    CallerUnknown,
    AccessDenied,
    UnknownIntegration,
    CallerRateLimited,
    /// The vendor refused the client: nothing changes until someone acts.
    CredentialsRejected,
    /// The vendor refused the request itself: a configuration error.
    RequestRejected,
    LoginRequired,
    /// A `static` token is past its expiry.
    TokenExpired,
    TemporarilyUnavailable,
    RateLimited,
    SecretUnavailable,
    ShuttingDown,
}

impl ErrorCode {
    pub const ALL: [Self; 14] = [
        Self::InvalidRequest,
        Self::MinTtlUnattainable,
        Self::CallerUnknown,
        Self::AccessDenied,
        Self::UnknownIntegration,
        Self::CallerRateLimited,
        Self::CredentialsRejected,
        Self::RequestRejected,
        Self::LoginRequired,
        Self::TokenExpired,
        Self::TemporarilyUnavailable,
        Self::RateLimited,
        Self::SecretUnavailable,
        Self::ShuttingDown,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::MinTtlUnattainable => "min_ttl_unattainable",
            Self::CallerUnknown => "caller_unknown",
            Self::AccessDenied => "access_denied",
            Self::UnknownIntegration => "unknown_integration",
            Self::CallerRateLimited => "caller_rate_limited",
            Self::CredentialsRejected => "credentials_rejected",
            Self::RequestRejected => "request_rejected",
            Self::LoginRequired => "login_required",
            Self::TokenExpired => "token_expired",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::RateLimited => "rate_limited",
            Self::SecretUnavailable => "secret_unavailable",
            Self::ShuttingDown => "shutting_down",
        }
    }

    /// Whether asking again later can succeed without anyone acting.
    pub fn retryable(self) -> bool {
        match self {
            Self::CallerRateLimited
            | Self::TemporarilyUnavailable
            | Self::RateLimited
            | Self::SecretUnavailable
            | Self::ShuttingDown => true,
            Self::InvalidRequest
            | Self::MinTtlUnattainable
            | Self::CallerUnknown
            | Self::AccessDenied
            | Self::UnknownIntegration
            | Self::CredentialsRejected
            | Self::RequestRejected
            | Self::LoginRequired
            | Self::TokenExpired => false,
        }
    }
}

/// What the vendor answered, already redacted and cut (see [`super::Redactor`]).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VendorAnswer {
    /// HTTP status; `None` if no answer came.
    pub status: Option<u16>,
    pub error: Option<String>,
    pub error_description: Option<String>,
}

/// A failed exchange, ready to be shown: nothing in it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: ErrorCode,
    /// What happened, one sentence, lower case, no full stop: shown as `error_description`.
    pub description: String,
    /// What it probably means for this vendor and what to do.
    pub hint: Option<String>,
    pub vendor: Option<VendorAnswer>,
    /// What the vendor asked us to wait, if it did.
    pub retry_after: Option<Duration>,
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        let mut words: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ErrorCode::ALL.len());
    }
}

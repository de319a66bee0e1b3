//! Everything that can go wrong, as problem documents (RFC 9457); the only place with status codes.
//!
//! Invariant: no `_ =>` in the tables here, and nothing a caller or vendor wrote gets in unless it
//! was bounded and redacted before.

mod details;

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER};
use serde_json::{Map, Value, json};

use super::answer::{self, Answer};
use crate::base::{ErrorCode, VendorAnswer};
use crate::telemetry::TokenLabel;

/// How errors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `application/problem+json`.
    Problem,
    /// RFC 6749 section 5.2, for SDKs that use `POST /token/...` as their token endpoint.
    OAuth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Code(ErrorCode),
    NoRoute,
    /// The methods that would do.
    Method(&'static str),
    BodyTooLarge,
    UriTooLong,
    MediaType,
    HeadersTooLarge,
    /// Whatever there is of a token.
    LoginLater,
}

impl Reason {
    fn code(self) -> ErrorCode {
        match self {
            Self::Code(code) => code,
            Self::LoginLater => ErrorCode::TemporarilyUnavailable,
            Self::NoRoute
            | Self::Method(_)
            | Self::BodyTooLarge
            | Self::UriTooLong
            | Self::MediaType
            | Self::HeadersTooLarge => ErrorCode::InvalidRequest,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Code(code) => status(code),
            Self::LoginLater => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    }
}

pub(super) fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidRequest | ErrorCode::MinTtlUnattainable => StatusCode::BAD_REQUEST,
        ErrorCode::CallerUnknown => StatusCode::UNAUTHORIZED,
        ErrorCode::AccessDenied => StatusCode::FORBIDDEN,
        ErrorCode::UnknownIntegration => StatusCode::NOT_FOUND,
        ErrorCode::CallerRateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::CredentialsRejected
        | ErrorCode::RequestRejected
        | ErrorCode::LoginRequired
        | ErrorCode::TokenExpired => StatusCode::BAD_GATEWAY,
        ErrorCode::TemporarilyUnavailable
        | ErrorCode::RateLimited
        | ErrorCode::SecretUnavailable
        | ErrorCode::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn title(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidRequest => "The request is not one the broker understands",
        ErrorCode::MinTtlUnattainable => "No token of this vendor lives that long",
        ErrorCode::CallerUnknown => "The caller is not known",
        ErrorCode::AccessDenied => "The request is not allowed",
        ErrorCode::UnknownIntegration => "There is no integration of that name",
        ErrorCode::CallerRateLimited => "The caller asks too often",
        ErrorCode::CredentialsRejected => "The vendor refused the credentials",
        ErrorCode::RequestRejected => "The request for a token is refused, or cannot be made",
        ErrorCode::LoginRequired => "Somebody has to log in at the vendor again",
        ErrorCode::TokenExpired => "The configured token is no longer good",
        ErrorCode::TemporarilyUnavailable => "There is no valid token right now",
        ErrorCode::RateLimited => "The vendor asks for patience",
        ErrorCode::SecretUnavailable => "A configured secret cannot be read",
        ErrorCode::ShuttingDown => "The broker is shutting down",
    }
}

/// The word of RFC 6749 section 5.2 that makes an SDK raise the right error.
pub(super) fn oauth_word(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::CallerUnknown
        | ErrorCode::CredentialsRejected
        | ErrorCode::RequestRejected
        | ErrorCode::LoginRequired
        | ErrorCode::TokenExpired => "invalid_client",
        ErrorCode::AccessDenied => "unauthorized_client",
        ErrorCode::TemporarilyUnavailable
        | ErrorCode::RateLimited
        | ErrorCode::SecretUnavailable
        | ErrorCode::ShuttingDown => "temporarily_unavailable",
        ErrorCode::InvalidRequest
        | ErrorCode::MinTtlUnattainable
        | ErrorCode::UnknownIntegration
        | ErrorCode::CallerRateLimited => "invalid_request",
    }
}

/// A request that got no good answer. Boxed: results that are almost always good stay small.
#[derive(Debug)]
pub(super) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    reason: Reason,
    /// What a person needs, in full sentences.
    detail: String,
    description: Option<String>,
    integration: Option<String>,
    hint: Option<String>,
    vendor: Option<VendorAnswer>,
    retry_after: Duration,
}

impl Problem {
    fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            reason,
            detail: detail.into(),
            description: None,
            integration: None,
            hint: None,
            vendor: None,
            retry_after: Duration::ZERO,
        }))
    }

    fn about(mut self, name: &str) -> Self {
        self.0.integration = Some(name.to_owned());
        self
    }

    /// What a page says: the status, and what a person needs.
    pub(super) fn spoken(&self) -> (StatusCode, &str) {
        (self.0.reason.status(), &self.0.detail)
    }

    /// The label `outcome` of `token_requests_total`.
    pub(super) fn label(&self) -> TokenLabel {
        let status = self.0.reason.status();
        if status == StatusCode::BAD_GATEWAY {
            TokenLabel::Refused
        } else if status.is_server_error() {
            TokenLabel::Unavailable
        } else {
            TokenLabel::Invalid
        }
    }

    /// Whole seconds, at least one, for the statuses that promise that waiting helps.
    fn retry_seconds(&self) -> Option<u64> {
        let promised = self.0.reason.status() == StatusCode::SERVICE_UNAVAILABLE;
        promised.then(|| answer::retry_seconds(self.0.retry_after))
    }

    /// The members of the problem document.
    pub(super) fn document(&self) -> Value {
        let parts = &self.0;
        let code = parts.reason.code();
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| {
            members.insert(name.to_owned(), value);
        };
        put(
            "type",
            format!("urn:token-broker:error:{}", code.as_str()).into(),
        );
        let title = match parts.reason {
            Reason::LoginLater => "The login cannot go on right now",
            _ => title(code),
        };
        put("title", title.into());
        put("status", parts.reason.status().as_u16().into());
        put("detail", parts.detail.as_str().into());
        put("integration", parts.integration.as_deref().into());
        put("error", code.as_str().into());
        put("error_description", self.description().into());
        put("retryable", code.retryable().into());
        if let Some(hint) = &parts.hint {
            put("hint", hint.as_str().into());
        }
        if let Some(seconds) = self.retry_seconds() {
            put("retry_after", seconds.into());
        }
        if let Some(vendor) = &parts.vendor {
            put(
                "vendor",
                json!({"status": vendor.status, "error": vendor.error,
                    "error_description": vendor.error_description}),
            );
        }
        Value::Object(members)
    }

    fn description(&self) -> &str {
        self.0.description.as_deref().unwrap_or(&self.0.detail)
    }

    pub(super) fn render(&self, style: Style) -> Answer {
        let status = self.0.reason.status();
        let (content_type, document) = match style {
            Style::Problem => ("application/problem+json", self.document()),
            Style::OAuth => (
                "application/json",
                json!({"error": oauth_word(self.0.reason.code()), "error_description": ascii(&self.0.detail)}),
            ),
        };
        let mut answer = answer::text(content_type, document.to_string());
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        if let Some(seconds) = self.retry_seconds() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Reason::Method(allow) = self.0.reason {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        answer
    }
}

/// RFC 6749 allows printable ASCII without quote and backslash in `error_description`.
fn ascii(text: &str) -> String {
    let allowed = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
    text.chars()
        .map(|c| if allowed(c) { c } else { '\'' })
        .collect()
}

/// Readiness of a probe.
pub(super) fn probe_status(fine: bool) -> StatusCode {
    if fine {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

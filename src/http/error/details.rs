//! What is said about each thing that can go wrong: full sentences for the person who reads them.
//!
//! Must not know status codes. A name gets in only if it is well formed.

use std::time::Duration;

use super::{Problem, Reason, answer};
use crate::base::{ErrorCode, Failure, HumanDuration};
use crate::snapshot::{Denied, LoginError};

impl Problem {
    pub(in crate::http) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Reason::Code(ErrorCode::InvalidRequest), detail)
    }

    pub(in crate::http) fn denied_access(detail: impl Into<String>) -> Self {
        Self::new(Reason::Code(ErrorCode::AccessDenied), detail)
    }

    pub(in crate::http) fn no_route() -> Self {
        Self::new(
            Reason::NoRoute,
            "There is nothing at this path. GET /openapi.json lists what there is; paths have no trailing slash.",
        )
    }

    pub(in crate::http) fn method(allow: &'static str) -> Self {
        Self::new(
            Reason::Method(allow),
            format!("This path does not take that method; it takes {allow}."),
        )
    }

    pub(in crate::http) fn body_too_large(limit: usize) -> Self {
        let detail = format!("The body is larger than {} KiB.", limit / 1024);
        Self::new(Reason::BodyTooLarge, detail)
    }

    pub(in crate::http) fn uri_too_long(limit: usize) -> Self {
        let detail = format!("The request target is longer than {} KiB.", limit / 1024);
        Self::new(Reason::UriTooLong, detail)
    }

    pub(in crate::http) fn headers_too_large(limit: usize) -> Self {
        let detail = format!("The headers are larger than {} KiB.", limit / 1024);
        Self::new(Reason::HeadersTooLarge, detail)
    }

    pub(in crate::http) fn media_type() -> Self {
        Self::new(
            Reason::MediaType,
            "The body must be application/json, or empty.",
        )
    }

    pub(in crate::http) fn redirect_media_type() -> Self {
        let detail = "The body must be the redirect URL as text/plain, or application/json with the member \
                      'redirect_url'.";
        Self::new(Reason::MediaType, detail)
    }

    /// Why a login could not be begun or completed. `grant` is the integration's.
    pub(in crate::http) fn login(name: &str, grant: &str, error: &LoginError) -> Self {
        match error {
            LoginError::NotConsented => Self::invalid(format!(
                "Nobody logs in for '{name}': its grant is {grant}, and only authorization_code and device_code begin \
                 with a person's consent."
            ))
            .about(name),
            LoginError::NotBegun => Self::invalid(format!(
                "No login of '{name}' is waiting for this: none was begun, or it is over. Begin one with: \
                 token-broker login {name}"
            ))
            .about(name),
            LoginError::BadRedirect(why) => {
                Self::invalid(format!("This does not complete the login of '{name}': {why}."))
                    .about(name)
            }
            LoginError::Failed(failure) => Self::login_failed(name, failure),
            LoginError::TooSoon(wait) => {
                let seconds = answer::retry_seconds(*wait);
                let detail = format!(
                    "A code for a login of '{name}' was asked for moments ago, and the broker asks the vendor for few. \
                     Begin again in {seconds} s."
                );
                let mut problem = Self::new(Reason::LoginLater, detail).about(name);
                problem.0.retry_after = *wait;
                problem
            }
            LoginError::Busy => {
                let detail = format!(
                    "The broker has no time for a login of '{name}' right now. Try again in a moment."
                );
                Self::new(Reason::LoginLater, detail).about(name)
            }
        }
    }

    /// The vendor did not answer within the time a request may take.
    pub(in crate::http) fn login_slow(name: &str) -> Self {
        let detail = format!(
            "The vendor has not answered yet; the login of '{name}' goes on. GET /integrations/{name} says how it ends."
        );
        let code = Reason::Code(ErrorCode::TemporarilyUnavailable);
        Self::new(code, detail).about(name)
    }

    pub(in crate::http) fn login_failed(name: &str, failure: &Failure) -> Self {
        let said = failure.description.trim_end_matches('.');
        let mut detail = format!("The login of '{name}' failed: {said}.");
        if let Some(hint) = &failure.hint {
            detail.push(' ');
            detail.push_str(hint);
        }
        let mut problem = Self::new(Reason::Code(failure.code), detail).about(name);
        problem.0.description = Some(failure.description.clone());
        problem.0.hint.clone_from(&failure.hint);
        problem.0.vendor.clone_from(&failure.vendor);
        problem.0.retry_after = failure.retry_after.unwrap_or_default();
        problem
    }

    pub(in crate::http) fn malformed_name(nearest: Option<&str>) -> Self {
        let mut detail = "Names of integrations are lower-case letters and digits with single '-' or '_' between them, \
             at most 64 characters, written without percent-encoding."
            .to_owned();
        suggest(&mut detail, nearest);
        Self::invalid(detail)
    }

    /// `name` is well formed.
    pub(in crate::http) fn unknown_integration(name: &str, nearest: Option<&str>) -> Self {
        let mut detail = format!("No integration is named '{name}'.");
        suggest(&mut detail, nearest);
        detail.push_str(" GET /integrations lists them all.");
        Self::new(Reason::Code(ErrorCode::UnknownIntegration), detail).about(name)
    }

    pub(in crate::http) fn no_authorization(name: &str) -> Self {
        Self::invalid(format!(
            "API calls of '{name}' carry no Authorization header. GET /headers/{name} says what they carry instead."
        ))
        .about(name)
    }

    pub(in crate::http) fn shutting_down(name: &str) -> Self {
        let detail = format!("The broker is shutting down and holds no good token of '{name}'.");
        Self::new(Reason::Code(ErrorCode::ShuttingDown), detail).about(name)
    }

    pub(in crate::http) fn store_held(name: &str) -> Self {
        let detail = format!(
            "The store with the tokens of '{name}' is held by another broker, and two must not use it at once. This \
             one begins when the other has ended."
        );
        Self::new(Reason::Code(ErrorCode::TemporarilyUnavailable), detail).about(name)
    }

    /// A caller says that the vendor's API refused a token nobody but the operator can replace.
    pub(in crate::http) fn static_rejected(name: &str) -> Self {
        let detail = format!(
            "The token of '{name}' is written in the configuration, so the broker cannot get another, and you say \
             that the vendor's API refused it. Put a new token where the configuration points."
        );
        Self::new(Reason::Code(ErrorCode::TokenExpired), detail).about(name)
    }

    /// What the worker says about its last attempt.
    pub(in crate::http) fn failed(name: &str, failure: &Failure, retry_after: Duration) -> Self {
        let mut detail = format!(
            "No valid token of '{name}' can be served: {}.",
            failure.description.trim_end_matches('.')
        );
        if let Some(hint) = &failure.hint {
            detail.push(' ');
            detail.push_str(hint);
        }
        let mut problem = Self::new(Reason::Code(failure.code), detail).about(name);
        problem.0.description = Some(failure.description.clone());
        problem.0.hint.clone_from(&failure.hint);
        problem.0.vendor.clone_from(&failure.vendor);
        problem.0.retry_after = retry_after.max(failure.retry_after.unwrap_or_default());
        problem
    }

    pub(in crate::http) fn denied(name: &str, denied: &Denied) -> Self {
        match denied {
            Denied::Refused(failure) => Self::failed(name, failure, Duration::ZERO),
            Denied::NotYet {
                failure: Some(failure),
                retry_after,
            } => {
                let mut problem = Self::failed(name, failure, Duration::ZERO);
                // The worker's own plan already counts in what the vendor asked for.
                if !retry_after.is_zero() {
                    problem.0.retry_after = *retry_after;
                }
                problem
            }
            Denied::NotYet {
                failure: None,
                retry_after,
            } => {
                let detail = format!(
                    "No token of '{name}' with enough time left came within the time this request waits; the broker goes on \
                     asking the vendor. Ask again."
                );
                let code = Reason::Code(ErrorCode::TemporarilyUnavailable);
                let mut problem = Self::new(code, detail).about(name);
                problem.0.retry_after = *retry_after;
                problem
            }
            Denied::Unattainable { lifetime } => Self::new(
                Reason::Code(ErrorCode::MinTtlUnattainable),
                format!(
                    "Tokens of '{name}' live for {}, so min_ttl can be at most nine tenths of that.",
                    HumanDuration(*lifetime)
                ),
            )
            .about(name),
            Denied::Gone => Self::unknown_integration(name, None),
        }
    }
}

fn suggest(detail: &mut String, nearest: Option<&str>) {
    if let Some(nearest) = nearest {
        detail.push_str(" Did you mean '");
        detail.push_str(nearest);
        detail.push_str("'?");
    }
}

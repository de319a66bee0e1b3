//! Emulated vendors that a person consents to: authorization page with PKCE, device flow, and refresh
//! tokens in the three ways vendors handle them. No vendor in particular.
//!
//! `grants` remembers what was consented to and what became of each refresh token, `token` answers
//! at the token endpoint, `pages` is what a browser sees. Invariant: no token is shown but to the
//! client; the control path tells of them by their hashes.

mod grants;
mod pages;
mod token;

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;

use super::reply::Reply;
use super::vendor::{ApiCall, Decision, Permission, Rotation, Vendor, random_text};

pub(super) use grants::{Grants, Settings};
pub(super) use pages::{Visit, visit};
pub(super) use token::{begin_device, token};

/// What using a refresh token does to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It works once; using it again ends the whole grant.
    Strict,
    /// It works once; used again within the grace time it brings the same pair, later nothing.
    Grace,
    /// It stays the same.
    LongLived,
}

const ROTATING: Vendor = Vendor {
    name: "rotating",
    token_path: "/token",
    asks_with_form: true,
    api_path: "/me",
    api_headers: &[],
    client_id: "demo-client-rotating",
    client_secret: "demo-secret-of-the-sandbox-rotating",
    scope: None,
    standing_token: false,
    rotation: Rotation::OneSecret,
    renewal: Some(Renewal::Strict),
    lifetime: Duration::from_secs(30),
    true_lifetime: |stated| stated,
    shown: &["grant_type", "client_id", "redirect_uri", "scope"],
    decide: |_call| Decision::Refuse(refused()),
    issued: |_permission, _token, _lifetime| refused(),
    new_token: || format!("access-{}", random_text(40)),
    refused,
    throttled: |_retry_after| {
        error(
            StatusCode::TOO_MANY_REQUESTS,
            "slow_down",
            "too many requests",
        )
    },
    api,
};

/// Sorted by name.
pub const VENDORS: &[Vendor] = &[
    Vendor {
        name: "grace",
        client_id: "demo-client-grace",
        client_secret: "demo-secret-of-the-sandbox-grace",
        renewal: Some(Renewal::Grace),
        ..ROTATING
    },
    Vendor {
        name: "longlived",
        client_id: "demo-client-longlived",
        client_secret: "demo-secret-of-the-sandbox-longlived",
        renewal: Some(Renewal::LongLived),
        ..ROTATING
    },
    ROTATING,
];

/// A consent that exists from the start, for configurations that begin with a refresh token.
pub(super) fn first_refresh_token(vendor: &Vendor) -> String {
    format!("demo-refresh-token-of-the-sandbox-{}", vendor.name)
}

fn refused() -> Reply {
    error(
        StatusCode::UNAUTHORIZED,
        "invalid_client",
        "the client is unknown, or its secret is wrong",
    )
}

fn error(status: StatusCode, word: &str, description: &str) -> Reply {
    let body = json!({ "error": word, "error_description": description });
    Reply::json(status, &body)
}

fn api(call: &ApiCall<'_>, permission: Option<&Permission>) -> Reply {
    let Some(permission) = permission else {
        return error(
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "the access token is unknown, expired or revoked",
        );
    };
    if call.path != ROTATING.api_path {
        return error(StatusCode::NOT_FOUND, "not_found", "no such resource");
    }
    if call.method != Method::GET {
        return Reply::problem(StatusCode::METHOD_NOT_ALLOWED, "only GET here");
    }
    let body = json!({ "name": "Ada", "scope": permission.scope });
    Reply::json(StatusCode::OK, &body)
}

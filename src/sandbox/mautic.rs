//! Mautic, and Campaign Studio, which is Mautic hosted by Acquia: two vendors of one kind.
//!
//! Errors have the shape in which the product hands out those of its OAuth library, with the
//! library's words. A successful answer has the documented members.

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::reply::Reply;
use super::vendor::{ApiCall, Decision, Permission, Rotation, TokenCall, Vendor, random_text};

pub(super) const MAUTIC: Vendor = Vendor {
    name: "mautic",
    token_path: "/oauth/v2/token",
    asks_with_form: true,
    api_path: "/api/contacts",
    api_headers: &[],
    client_id: "1_demo0mautic0public0key0000000000000000000000000",
    client_secret: "demo-secret-of-the-sandbox-mautic",
    scope: None,
    standing_token: false,
    rotation: Rotation::OneSecret,
    renewal: None,
    lifetime: Duration::from_secs(16),
    true_lifetime: |stated| stated,
    shown: &["grant_type", "client_id", "scope"],
    decide,
    issued,
    new_token,
    refused,
    throttled,
    api,
};

pub(super) const ACQUIA: Vendor = Vendor {
    name: "acquia-campaign-studio",
    client_id: "2_demo0studio0public0key0000000000000000000000000",
    client_secret: "demo-secret-of-the-sandbox-acquia",
    ..MAUTIC
};

/// 86 characters, as the library makes them.
fn new_token() -> String {
    random_text(86)
}

fn decide(call: &TokenCall<'_>) -> Decision {
    let authorization = call.headers.get(AUTHORIZATION);
    let basic = authorization
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.to_ascii_lowercase().starts_with("basic "));
    if basic {
        // The product turns Basic away before the library sees it, as it is off by default.
        return refuse(
            StatusCode::FORBIDDEN,
            "access_denied",
            "API authorization denied.",
        );
    }
    let bad = |kind, message| refuse(StatusCode::BAD_REQUEST, kind, message);
    // A JSON body is no form: the library then finds no parameter at all.
    match call.form("grant_type").as_deref() {
        Some("client_credentials") => {}
        Some("refresh_token") => {
            return match call.form("refresh_token") {
                None => bad("invalid_request", "No \"refresh_token\" parameter found"),
                Some(_) => bad("invalid_grant", "Invalid refresh token"),
            };
        }
        _ => {
            return bad(
                "invalid_request",
                "Invalid grant_type parameter or parameter missing",
            );
        }
    }
    match (call.form("client_id"), call.form("client_secret")) {
        (None, _) => bad(
            "invalid_client",
            "Client id was not found in the headers or body",
        ),
        (Some(_), None) => bad(
            "invalid_client",
            "The client_secret is mandatory for the \"client_credentials\" grant type",
        ),
        (Some(id), Some(secret)) if call.knows(&id, &secret) => match call.form("scope") {
            Some(_) => bad("invalid_scope", "An unsupported scope was requested."),
            None => Decision::Issue(Permission::default()),
        },
        _ => Decision::Refuse(refused()),
    }
}

fn issued(_permission: &Permission, token: &str, lifetime: Duration) -> Reply {
    Reply::json(
        StatusCode::OK,
        &json!({ "access_token": token, "expires_in": lifetime.as_secs(), "token_type": "bearer", "scope": "" }),
    )
}

fn refused() -> Reply {
    error(
        StatusCode::BAD_REQUEST,
        "invalid_client",
        "The client credentials are invalid",
    )
}

fn throttled(_retry_after: u64) -> Reply {
    let message = "You exceeded the rate limit of 100 requests (sandbox).";
    Reply::json(
        StatusCode::TOO_MANY_REQUESTS,
        &json!({ "errors": [{ "code": 429, "message": message }] }),
    )
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Decision {
    Decision::Refuse(error(status, kind, message))
}

fn error(status: StatusCode, kind: &str, message: &str) -> Reply {
    Reply::json(
        status,
        &json!({ "errors": [{ "message": message, "code": status.as_u16(), "type": kind }] }),
    )
}

fn api(call: &ApiCall<'_>, permission: Option<&Permission>) -> Reply {
    if permission.is_none() {
        return error(
            StatusCode::UNAUTHORIZED,
            "invalid_grant",
            "The access token provided is invalid.",
        );
    }
    if call.path != MAUTIC.api_path {
        return error(
            StatusCode::NOT_FOUND,
            "not_found",
            "no such resource (sandbox)",
        );
    }
    if call.method != Method::GET {
        return Reply::problem(StatusCode::METHOD_NOT_ALLOWED, "only GET here");
    }
    let ada: Value = json!({ "id": 1, "fields": { "all": { "firstname": "Ada" } } });
    Reply::json(
        StatusCode::OK,
        &json!({ "total": "1", "contacts": { "1": ada } }),
    )
}

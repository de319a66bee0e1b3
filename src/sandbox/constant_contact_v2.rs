//! Constant Contact, API v2: no token endpoint, but an API that wants a key and a token that lives
//! ten years, and a probe that says how long a token has left.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;

use super::reply::Reply;
use super::vendor::{ApiCall, Decision, Permission, Rotation, TokenCall, Vendor, random_text};

pub(super) const VENDOR: Vendor = Vendor {
    name: "constant-contact-v2",
    token_path: "/oauth2/tokeninfo.htm",
    asks_with_form: true,
    api_path: "/v2/account/info",
    api_headers: &[],
    client_id: "demo0constant0contact0key",
    client_secret: "00000000-demo-token-of-the-sandbox",
    scope: None,
    standing_token: true,
    rotation: Rotation::OneSecret,
    renewal: None,
    lifetime: Duration::from_secs(315_359_999),
    true_lifetime: |stated| stated,
    shown: &[],
    decide,
    issued,
    new_token: || random_text(36),
    refused,
    throttled,
    api,
};

/// The probe: how much longer a token is good.
fn decide(call: &TokenCall<'_>) -> Decision {
    if !call.is_form() {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Decision::Refuse(error(status, "unsupported", "a form is wanted (sandbox)"));
    }
    match call
        .form("access_token")
        .and_then(|token| call.left(&token))
    {
        Some(left) => Decision::Answer(Reply::json(
            StatusCode::OK,
            &json!({ "client_id": VENDOR.client_id, "user_name": "sandbox", "expires_in": left.as_secs() }),
        )),
        None => Decision::Refuse(refused()),
    }
}

/// Never used: this vendor issues nothing.
fn issued(_permission: &Permission, _token: &str, _lifetime: Duration) -> Reply {
    refused()
}

fn refused() -> Reply {
    error(
        StatusCode::NOT_FOUND,
        "invalid_token",
        "the token is invalid or has expired (sandbox)",
    )
}

fn throttled(_retry_after: u64) -> Reply {
    error(
        StatusCode::TOO_MANY_REQUESTS,
        "throttled",
        "Too many requests (sandbox)",
    )
}

fn error(status: StatusCode, key: &str, message: &str) -> Reply {
    Reply::json(
        status,
        &json!([{ "error_key": key, "error_message": message }]),
    )
}

fn api(call: &ApiCall<'_>, permission: Option<&Permission>) -> Reply {
    let key = call.query("api_key");
    if permission.is_none() || key.as_deref() != Some(VENDOR.client_id) {
        return Reply::json(
            StatusCode::UNAUTHORIZED,
            &json!({ "error_key": "unauthorized", "error_message": "Unauthorized" }),
        );
    }
    if call.path != VENDOR.api_path {
        return error(
            StatusCode::NOT_FOUND,
            "http.status.not_found",
            "no such resource (sandbox)",
        );
    }
    if call.method != Method::GET {
        return Reply::problem(StatusCode::METHOD_NOT_ALLOWED, "only GET here");
    }
    Reply::json(
        StatusCode::OK,
        &json!({ "first_name": "Ada", "organization_name": "Sandbox" }),
    )
}

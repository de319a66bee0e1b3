//! 360Learning, API v2.
//!
//! Bodies as the vendor documents them, bare error codes without a description. Where it documents
//! nothing (a call without the version header, an unknown path) the sandbox answers in its own
//! words.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::reply::Reply;
use super::vendor::{ApiCall, Decision, Permission, Rotation, TokenCall, Vendor, random_text};

pub(super) const VENDOR: Vendor = Vendor {
    name: "360learning",
    token_path: "/api/v2/oauth2/token",
    asks_with_form: false,
    api_path: "/api/v2/users",
    api_headers: &[(VERSION_HEADER, VERSION)],
    client_id: "5f3c0000000000000000c11e",
    client_secret: "demo-secret-of-the-sandbox-360",
    scope: None,
    standing_token: false,
    rotation: Rotation::OneSecret,
    renewal: None,
    lifetime: Duration::from_secs(12),
    true_lifetime: |stated| stated,
    shown: &["grant_type", "client_id", "user_id", "company_id"],
    decide,
    issued,
    new_token,
    refused,
    throttled,
    api,
};

const VERSION_HEADER: &str = "360-api-version";
const VERSION: &str = "v2.0";
/// The only user and company of the emulated platform.
const USER_ID: &str = "5f3c000000000000000000a1";
const COMPANY_ID: &str = "5f3c000000000000000000c0";
const MEMBERS: [&str; 5] = [
    "grant_type",
    "client_id",
    "client_secret",
    "user_id",
    "company_id",
];

/// Looks like the real thing, a JWT; it says nothing about its expiry.
fn new_token() -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!(
        "{}.{}.{}",
        part(json!({ "alg": "HS256", "typ": "JWT" })),
        part(json!({ "jti": random_text(24), "iss": "sandbox" })),
        random_text(43)
    )
}

fn decide(call: &TokenCall<'_>) -> Decision {
    let Some(Value::Object(body)) = call.body.filter(|_| call.is_json()) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request");
    };
    if !is_well_formed(body) {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request");
    }
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    if text("grant_type") != Some("client_credentials") {
        return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    let secret = text("client_secret").unwrap_or_default();
    if !call.knows(text("client_id").unwrap_or_default(), secret) {
        return Decision::Refuse(refused());
    }
    if text("company_id").is_some_and(|company| company != COMPANY_ID) {
        return refuse(StatusCode::BAD_REQUEST, "non_existing_company");
    }
    if text("user_id").is_some_and(|user| user != USER_ID) {
        return refuse(StatusCode::BAD_REQUEST, "non_existing_user");
    }
    Decision::Issue(Permission::default())
}

/// Required members are there, all are strings, ids are ids, and nothing else is sent.
fn is_well_formed(body: &Map<String, Value>) -> bool {
    let (required, ids) = MEMBERS.split_at(3);
    required
        .iter()
        .all(|name| body.get(*name).is_some_and(Value::is_string))
        && body.iter().all(|(name, value)| {
            MEMBERS.contains(&name.as_str())
                && (!ids.contains(&name.as_str()) || value.as_str().is_some_and(is_object_id))
        })
}

fn is_object_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `expires_in` is a string in the vendor's examples though its schema says number.
fn issued(_permission: &Permission, token: &str, lifetime: Duration) -> Reply {
    Reply::json(
        StatusCode::OK,
        &json!({
            "token_type": "Bearer",
            "access_token": token,
            "expires_in": lifetime.as_secs().to_string(),
        }),
    )
}

fn refused() -> Reply {
    error(StatusCode::UNAUTHORIZED, "invalid_client")
}

fn throttled(_retry_after: u64) -> Reply {
    error(StatusCode::TOO_MANY_REQUESTS, "tooManyRequests")
}

fn refuse(status: StatusCode, code: &str) -> Decision {
    Decision::Refuse(error(status, code))
}

fn error(status: StatusCode, code: &str) -> Reply {
    Reply::json(status, &json!({ "error": code }))
}

fn api(call: &ApiCall<'_>, permission: Option<&Permission>) -> Reply {
    if permission.is_none() {
        return error(StatusCode::UNAUTHORIZED, "invalid_token");
    }
    let version = call.headers.get(VERSION_HEADER);
    if version.is_none_or(|version| version.as_bytes() != VERSION.as_bytes()) {
        return Reply::problem(
            StatusCode::BAD_REQUEST,
            "every call needs the header 360-api-version: v2.0",
        );
    }
    if call.path != VENDOR.api_path {
        return Reply::problem(StatusCode::NOT_FOUND, "no such resource");
    }
    if call.method != Method::GET {
        return Reply::problem(StatusCode::METHOD_NOT_ALLOWED, "only GET here");
    }
    Reply::json(
        StatusCode::OK,
        &json!([{ "_id": USER_ID, "firstName": "Ada", "lastName": "Sandbox", "company": COMPANY_ID }]),
    )
}

//! Salesforce Marketing Cloud Engagement, server-to-server integration.
//!
//! Success members, `invalid_client`, the refusal of other grants, the empty-scope trap, the 429
//! and the API's 401 are as documented or recorded. Where the vendor's exact body is not public
//! (unsupported grant, unknown scope, malformed request, missing permission) the answer follows
//! RFC 6749 and says so in its description.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::reply::Reply;
use super::vendor::{ApiCall, Decision, Permission, Rotation, TokenCall, Vendor, random_text};

pub(super) const VENDOR: Vendor = Vendor {
    name: "salesforce-marketing-cloud",
    token_path: "/v2/token",
    asks_with_form: false,
    api_path: "/platform/v1/tokenContext",
    api_headers: &[],
    client_id: "demo0sfmc0client0id00001",
    client_secret: "SFMC_demo-secret-of-the-sandbox-not-a-real-one",
    scope: None,
    standing_token: false,
    rotation: Rotation::StagedThenActivated,
    renewal: None,
    lifetime: Duration::from_secs(20),
    true_lifetime,
    shown: &["grant_type", "client_id", "scope", "account_id"],
    decide,
    issued,
    new_token,
    refused,
    throttled,
    api,
};

const PACKAGE_SCOPES: &str = "email_read email_write email_send list_and_subscribers_read";
const SUBDOMAIN: &str = "mc0123456789abcdefghijklmnop";
const DOCS: &str = "https://developer.salesforce.com/docs";
const API_DOCS: &str =
    "https://developer.salesforce.com/docs/atlas.en-us.mc-apis.meta/mc-apis/error-handling.htm";

/// The vendor says 18 minutes for tokens that live 20, so that nobody renews too late.
fn true_lifetime(stated: Duration) -> Duration {
    stated.saturating_mul(10) / 9
}

/// Looks like the real thing: five parts, as an encrypted JWT has.
fn new_token() -> String {
    format!(
        "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..{}.{}.{}",
        random_text(16),
        random_text(400),
        random_text(22)
    )
}

fn decide(call: &TokenCall<'_>) -> Decision {
    let Some(Value::Object(body)) = call.body.filter(|_| call.is_json()) else {
        return refuse(400, "invalid_request", "The body must be a JSON object.");
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    match text("grant_type") {
        Some("client_credentials") => {}
        Some("authorization_code" | "refresh_token") => {
            return refuse(
                401,
                "unauthorized_client",
                "The client is not authorized to request an authorization code using this method.",
            );
        }
        Some(_) => {
            return refuse(
                400,
                "unsupported_grant_type",
                "Unsupported grant_type (sandbox).",
            );
        }
        None => {
            return refuse(400, "invalid_request", "grant_type is required (sandbox).");
        }
    }
    let secret = text("client_secret").unwrap_or_default();
    if !call.knows(text("client_id").unwrap_or_default(), secret) {
        return Decision::Refuse(refused());
    }
    if !body.get("account_id").is_none_or(is_account_id) {
        return refuse(
            400,
            "invalid_request",
            "account_id must be a number (sandbox).",
        );
    }
    match body.get("scope") {
        None => Decision::Issue(permission(PACKAGE_SCOPES)),
        Some(Value::String(asked)) => {
            let known = |scope| PACKAGE_SCOPES.split(' ').any(|have| have == scope);
            if asked.split_whitespace().all(known) {
                // An empty scope is taken at its word: a token that may do nothing.
                Decision::Issue(permission(asked.trim()))
            } else {
                refuse(
                    400,
                    "invalid_scope",
                    "The package has no such scope (sandbox).",
                )
            }
        }
        Some(_) => refuse(400, "invalid_request", "scope must be a string (sandbox)."),
    }
}

/// The documentation says number, its example is a string; both are accepted.
fn is_account_id(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_u64().is_some(),
        Value::String(text) => {
            (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

fn permission(scope: &str) -> Permission {
    Permission {
        scope: scope.to_owned(),
        grant: None,
    }
}

fn issued(permission: &Permission, token: &str, lifetime: Duration) -> Reply {
    Reply::json(
        StatusCode::OK,
        &json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": lifetime.as_secs(),
            "scope": permission.scope,
            "soap_instance_url": format!("https://{SUBDOMAIN}.soap.marketingcloudapis.com/"),
            "rest_instance_url": format!("https://{SUBDOMAIN}.rest.marketingcloudapis.com/"),
        }),
    )
}

fn refused() -> Reply {
    error(
        StatusCode::UNAUTHORIZED,
        "invalid_client",
        "Client authentication failed. Make sure that the client ID and client secret are valid \
         and that the package is installed and enabled.",
    )
}

fn refuse(status: u16, code: &str, description: &str) -> Decision {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    Decision::Refuse(error(status, code, description))
}

fn error(status: StatusCode, code: &str, description: &str) -> Reply {
    Reply::json(
        status,
        &json!({ "error": code, "error_description": description, "error_uri": DOCS }),
    )
}

fn throttled(retry_after: u64) -> Reply {
    Reply::json(
        StatusCode::TOO_MANY_REQUESTS,
        &json!({
            "message": "Rate limit exceeded",
            "errorcode": 50100,
            "retryAfter": retry_after,
            "documentation": API_DOCS,
        }),
    )
}

fn api(call: &ApiCall<'_>, permission: Option<&Permission>) -> Reply {
    let problem = |status, code: u32, message: &str| {
        Reply::json(
            status,
            &json!({ "documentation": API_DOCS, "errorcode": code, "message": message }),
        )
    };
    let Some(permission) = permission else {
        return problem(StatusCode::UNAUTHORIZED, 0, "Not Authorized");
    };
    if permission.scope.is_empty() {
        return problem(
            StatusCode::FORBIDDEN,
            0,
            "this token has no permissions (sandbox)",
        );
    }
    if call.path != VENDOR.api_path {
        return problem(StatusCode::NOT_FOUND, 0, "Not Found");
    }
    if call.method != Method::GET {
        return problem(StatusCode::METHOD_NOT_ALLOWED, 0, "Method Not Allowed");
    }
    Reply::json(
        StatusCode::OK,
        &json!({
            "organization": { "member_id": 500_008_123, "locale": "en-US" },
            "application": { "package": "sandbox" },
            "rest": { "authorization": "granted" },
            "permissions": permission.scope.split(' ').collect::<Vec<_>>(),
        }),
    )
}

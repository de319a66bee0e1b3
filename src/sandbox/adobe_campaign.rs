//! Adobe Campaign Standard behind Adobe IMS, OAuth Server-to-Server.
//!
//! Request and success are as documented. The exact error bodies of this endpoint are not public:
//! they have the shape of the service's documented ones, in the sandbox's own words.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;

use super::reply::Reply;
use super::vendor::{ApiCall, Decision, Permission, Rotation, TokenCall, Vendor, random_text};

pub(super) const VENDOR: Vendor = Vendor {
    name: "adobe-campaign",
    token_path: "/ims/token/v3",
    asks_with_form: true,
    api_path: "/example/campaign/profileAndServices/profile",
    api_headers: &[(API_KEY_HEADER, CLIENT_ID)],
    client_id: CLIENT_ID,
    client_secret: "p8e-demo-secret-of-the-sandbox-adobe",
    scope: Some("openid,AdobeID,campaign_sdk"),
    standing_token: false,
    rotation: Rotation::TwoAtOnce,
    renewal: None,
    lifetime: Duration::from_secs(24),
    true_lifetime: |stated| stated,
    shown: &["grant_type", "client_id", "scope"],
    decide,
    issued,
    new_token,
    refused,
    throttled,
    api,
};

const CLIENT_ID: &str = "demo0adobe0client0id0000000000001";
const API_KEY_HEADER: &str = "x-api-key";
const SCOPES: [&str; 3] = ["openid", "AdobeID", "campaign_sdk"];

fn new_token() -> String {
    format!(
        "eyJhbGciOiJSUzI1NiJ9.{}.{}",
        random_text(300),
        random_text(342)
    )
}

fn decide(call: &TokenCall<'_>) -> Decision {
    let bad = |code, description| refuse(StatusCode::BAD_REQUEST, code, description);
    match call.parameter("grant_type").as_deref() {
        Some("client_credentials") => {}
        Some(_) => {
            return bad("unsupported_grant_type", "unsupported grant_type (sandbox)");
        }
        None => return bad("invalid_request", "grant_type is missing (sandbox)"),
    }
    let (Some(id), Some(secret)) = (call.parameter("client_id"), call.parameter("client_secret"))
    else {
        return bad(
            "invalid_client",
            "client_id or client_secret is missing (sandbox)",
        );
    };
    if !call.knows(&id, &secret) {
        return Decision::Refuse(refused());
    }
    let Some(scope) = call.parameter("scope") else {
        return bad("invalid_request", "scope is missing (sandbox)");
    };
    // A list divided by anything else than commas is one scope that nobody has.
    if !scope.split(',').all(|one| SCOPES.contains(&one)) {
        return bad(
            "invalid_scope",
            "the credential has no such scope (sandbox)",
        );
    }
    Decision::Issue(Permission { scope, grant: None })
}

fn issued(_permission: &Permission, token: &str, lifetime: Duration) -> Reply {
    Reply::json(
        StatusCode::OK,
        &json!({ "access_token": token, "token_type": "bearer", "expires_in": lifetime.as_secs() }),
    )
}

fn refused() -> Reply {
    error(
        StatusCode::UNAUTHORIZED,
        "invalid_client",
        "invalid client_id or client_secret (sandbox)",
    )
}

fn throttled(_retry_after: u64) -> Reply {
    error(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_requests",
        "this credential asks too often (sandbox)",
    )
}

fn refuse(status: StatusCode, code: &str, description: &str) -> Decision {
    Decision::Refuse(error(status, code, description))
}

fn error(status: StatusCode, code: &str, description: &str) -> Reply {
    Reply::json(
        status,
        &json!({ "error": code, "error_description": description }),
    )
}

fn api(call: &ApiCall<'_>, permission: Option<&Permission>) -> Reply {
    let problem = |status, code: &str, message: &str| {
        Reply::json(status, &json!({ "error_code": code, "message": message }))
    };
    let key = call.headers.get(API_KEY_HEADER);
    if key.is_none_or(|key| key.as_bytes() != CLIENT_ID.as_bytes()) {
        return problem(
            StatusCode::FORBIDDEN,
            "403000",
            "Api Key is required (sandbox)",
        );
    }
    let Some(permission) = permission else {
        return problem(
            StatusCode::UNAUTHORIZED,
            "401013",
            "Oauth token is not valid (sandbox)",
        );
    };
    if !permission.scope.split(',').any(|one| one == "campaign_sdk") {
        return problem(StatusCode::FORBIDDEN, "403023", "Profile is not valid");
    }
    if call.path != VENDOR.api_path {
        return problem(
            StatusCode::NOT_FOUND,
            "404000",
            "no such resource (sandbox)",
        );
    }
    if call.method != Method::GET {
        return Reply::problem(StatusCode::METHOD_NOT_ALLOWED, "only GET here");
    }
    Reply::json(
        StatusCode::OK,
        &json!({ "content": [{ "firstName": "Ada" }], "count": { "value": 1 } }),
    )
}

//! Adobe IMS, the retired exchange of a signed JWT.
//!
//! Claims, error codes and the lifetime in milliseconds are as documented or recorded; words that
//! are not public say so. The signature is verified against the public half of a key pair that was
//! made for the sandbox and protects nothing.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::adobe_campaign;
use super::reply::Reply;
use super::vendor::{Decision, Permission, Rotation, TokenCall, Vendor};
use crate::base::{Clock as _, SystemClock};

pub(super) const VENDOR: Vendor = Vendor {
    name: "adobe-jwt",
    token_path: "/ims/exchange/jwt",
    scope: None,
    rotation: Rotation::OneSecret,
    renewal: None,
    shown: &["client_id"],
    decide,
    issued,
    ..adobe_campaign::VENDOR
};

/// Base64 of the public key's DER, as PKCS #1 has it; the private one lies with the tests.
const PUBLIC_KEY: &str = include_str!("adobe_jwt.pub");
const ORGANIZATION: &str = "0123456789ABCDEF01234567@AdobeOrg";
const METASCOPE: &str = "https://ims-na1.adobelogin.com/s/ent_campaign_sdk";
const METASCOPES: &str = "https://ims-na1.adobelogin.com/s/";
/// The documentation asks for a few minutes and takes up to a day.
const LONGEST: i64 = 86_400;

fn decide(call: &TokenCall<'_>) -> Decision {
    let (Some(id), Some(secret)) = (call.form("client_id"), call.form("client_secret")) else {
        return refuse(
            400,
            "bad_request",
            "client_id or client_secret is missing (sandbox)",
        );
    };
    if !call.knows(&id, &secret) {
        return Decision::Refuse((VENDOR.refused)());
    }
    let Some(token) = call.form("jwt_token") else {
        return refuse(400, "invalid_token", "jwt_token is missing (sandbox)");
    };
    if jsonwebtoken::decode_header(&token).is_err() {
        return refuse(400, "invalid_token", "the JWT cannot be decoded (sandbox)");
    }
    let Some(claims) = claims(&token) else {
        let words = "Could not match JWT signature to any of the bindings";
        return refuse(400, "invalid_token", words);
    };
    let now = SystemClock.now().wall.unix_seconds();
    let exp = claims.get("exp").and_then(Value::as_i64);
    if exp.is_none_or(|exp| exp <= now || exp > now + LONGEST) {
        return refuse(
            400,
            "invalid_token",
            "exp is missing, over or too far away (sandbox)",
        );
    }
    if claims.get("jti").is_some_and(|jti| !jti.is_i64()) {
        return refuse(400, "invalid_token", "jti must be an integer (sandbox)");
    }
    let audience = format!("https://ims-na1.adobelogin.com/c/{id}");
    if claims.get("aud").is_none_or(|aud| *aud != audience) {
        return refuse(400, "invalid_client", "aud is another client's (sandbox)");
    }
    let technical = claims
        .get("sub")
        .and_then(Value::as_str)
        .is_some_and(|sub| sub.ends_with("@techacct.adobe.com"));
    if claims.get("iss").is_none_or(|iss| iss != ORGANIZATION) || !technical {
        return refuse(400, "invalid_token", "iss or sub is unknown (sandbox)");
    }
    let asked = |name: &&String| name.starts_with(METASCOPES);
    let names = claims
        .as_object()
        .map(|claims| claims.keys().filter(asked).collect::<Vec<_>>());
    if names.is_none_or(|names| names.is_empty() || names.iter().any(|name| *name != METASCOPE)) {
        let words = "The metascopes in the JWT are not a subset of the metascopes in the binding.";
        return refuse(400, "invalid_scope", words);
    }
    Decision::Issue(Permission {
        scope: "campaign_sdk".to_owned(),
        grant: None,
    })
}

fn public_key() -> Vec<u8> {
    let text: String = PUBLIC_KEY.split_whitespace().collect();
    STANDARD.decode(text).unwrap_or_default()
}

/// The claims, if the signature is right; what they say is looked at one by one.
fn claims(token: &str) -> Option<Value> {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_rsa_der(&public_key());
    let verified = jsonwebtoken::decode(token, &key, &validation).ok()?;
    Some(verified.claims)
}

/// The lifetime is in milliseconds.
fn issued(_permission: &Permission, token: &str, lifetime: Duration) -> Reply {
    let milliseconds = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
    Reply::json(
        StatusCode::OK,
        &json!({ "token_type": "bearer", "access_token": token, "expires_in": milliseconds }),
    )
}

fn refuse(status: u16, code: &str, description: &str) -> Decision {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = json!({ "error_description": description, "error": code });
    Decision::Refuse(Reply::json(status, &body))
}

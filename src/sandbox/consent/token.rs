//! The token endpoint and the device authorization endpoint.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::grants::{DEVICE_LIFETIME, Pair};
use super::{error, refused};
use crate::base::Secret;
use crate::sandbox::reply::Reply;
use crate::sandbox::secrets::Secrets;
use crate::sandbox::state::VendorState;
use crate::sandbox::vendor::{FORM, Permission, Vendor, content_type};

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A parameter of a form; an empty one is none (RFC 6749 section 3.2).
fn form<'a>(headers: &HeaderMap, body: Option<&'a Value>, name: &str) -> Option<&'a str> {
    let is_form = content_type(headers).is_some_and(|kind| kind.eq_ignore_ascii_case(FORM));
    let value = body.filter(|_| is_form)?.get(name)?.as_str()?;
    Some(value).filter(|value| !value.is_empty())
}

/// By Basic, by form, or a public client by its id alone.
fn knows(vendor: &Vendor, secrets: &Secrets, headers: &HeaderMap, body: Option<&Value>) -> bool {
    let Some(header) = headers.get(AUTHORIZATION) else {
        let id = form(headers, body, "client_id");
        let secret = form(headers, body, "client_secret");
        return id == Some(vendor.client_id) && secret.is_none_or(|secret| secrets.accepts(secret));
    };
    let pair = header
        .to_str()
        .ok()
        .and_then(|header| header.strip_prefix("Basic "))
        .and_then(|text| STANDARD.decode(text).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    pair.as_deref()
        .and_then(|pair| pair.split_once(':'))
        .is_some_and(|(id, secret)| id == vendor.client_id && secrets.accepts(secret))
}

pub(in crate::sandbox) fn token(
    state: &mut VendorState,
    vendor: &Vendor,
    headers: &HeaderMap,
    body: Option<&Value>,
) -> Reply {
    if !knows(vendor, &state.secrets, headers, body) {
        state.refuse();
        return refused();
    }
    let Some(grants) = &mut state.grants else {
        return Reply::problem(StatusCode::NOT_FOUND, "no grants here");
    };
    let wanted = |name: &str| form(headers, body, name);
    let missing = Err(("invalid_request", "a parameter of this grant is missing"));
    let new = (vendor.new_token)();
    let pair = match wanted("grant_type") {
        Some("authorization_code") => {
            let given = (
                wanted("code"),
                wanted("redirect_uri"),
                wanted("code_verifier"),
            );
            match given {
                (Some(code), Some(uri), Some(verifier)) => grants.redeem(code, uri, verifier, new),
                _ => missing,
            }
        }
        Some("refresh_token") => match wanted("refresh_token") {
            Some(token) => grants.refresh(token, new),
            None => missing,
        },
        Some(DEVICE_CODE) => match wanted("device_code") {
            Some(code) => grants.poll(code, new),
            None => missing,
        },
        Some(_) => Err(("unsupported_grant_type", "not at this vendor")),
        None => missing,
    };
    match pair {
        Ok(pair) => issued(state, vendor, &pair),
        Err((word, description)) => {
            state.refuse();
            error(StatusCode::BAD_REQUEST, word, description)
        }
    }
}

fn issued(state: &mut VendorState, vendor: &Vendor, pair: &Pair) -> Reply {
    let permission = Permission {
        scope: pair.scope.clone(),
        grant: Some(pair.grant),
    };
    let lifetime = if pair.again {
        state.lifetime
    } else {
        state.issue(vendor, Secret::new(pair.access_token.as_str()), permission)
    };
    let body = json!({
        "access_token": pair.access_token,
        "token_type": "Bearer",
        "expires_in": lifetime.as_secs(),
        "refresh_token": pair.refresh_token,
        "scope": pair.scope,
    });
    Reply::json(StatusCode::OK, &body)
}

/// RFC 8628 section 3.1.
pub(in crate::sandbox) fn begin_device(
    state: &mut VendorState,
    vendor: &Vendor,
    address: SocketAddr,
    headers: &HeaderMap,
    body: Option<&Value>,
) -> Reply {
    if !knows(vendor, &state.secrets, headers, body) {
        return refused();
    }
    let Some(grants) = &mut state.grants else {
        return Reply::problem(StatusCode::NOT_FOUND, "no grants here");
    };
    let scope = form(headers, body, "scope").unwrap_or("read");
    let (device_code, user_code, interval) = grants.new_device(scope);
    let page = format!("http://{address}/{}/device", vendor.name);
    let body = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": DEVICE_LIFETIME.as_secs(),
        "interval": interval,
    });
    Reply::json(StatusCode::OK, &body)
}

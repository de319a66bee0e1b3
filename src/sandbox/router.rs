//! From a request to an answer: token endpoints, API sides, the control path and the guide.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::reply::{Body, Reply};
use super::state::{Shared, shown_request};
use super::vendor::{ApiCall, Decision, FORM, TokenCall, Vendor, content_type};
use super::{consent, control, guide};
use crate::base::Secret;

const BODY_LIMIT: usize = 64 * 1024;

pub(super) async fn handle(
    shared: &Shared,
    reset: &CancellationToken,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, incoming) = request.into_parts();
    let Ok(body) = Limited::new(incoming, BODY_LIMIT).collect().await else {
        let message = "the body is over 64 KiB, or broke off";
        return Reply::problem(StatusCode::PAYLOAD_TOO_LARGE, message).into_response();
    };
    let body = body.to_bytes();
    let whole_path = parts.uri.path().to_owned();
    if whole_path == "/" {
        return match parts.method {
            Method::GET | Method::HEAD => guide::reply(shared.address).into_response(),
            _ => Reply::problem(StatusCode::METHOD_NOT_ALLOWED, "only GET here").into_response(),
        };
    }
    let inner = whole_path.trim_start_matches('/');
    let (first, below) = inner.split_once('/').unwrap_or((inner, ""));
    if first == "control" {
        return control::reply(shared, &parts.method, below, &body).into_response();
    }
    let Some(vendor) = shared.vendor(first).map(|(vendor, _state)| vendor) else {
        let message = "no such vendor here; GET / lists them";
        return Reply::problem(StatusCode::NOT_FOUND, message).into_response();
    };
    let path = format!("/{below}");
    if path == vendor.token_path {
        token(shared, vendor, reset, &parts, &body).await
    } else if let Some(reply) = with_a_person(shared, vendor, &parts, &path, &body) {
        reply.into_response()
    } else {
        api(shared, vendor, &parts, &path).into_response()
    }
}

/// The pages and the device authorization endpoint of vendors that people consent to.
fn with_a_person(
    shared: &Shared,
    vendor: &'static Vendor,
    parts: &Parts,
    path: &str,
    body: &Bytes,
) -> Option<Reply> {
    vendor.renewal?;
    let (_, mut state) = shared.vendor(vendor.name)?;
    if path == "/device/code" && parts.method == Method::POST {
        let parsed = parsed(&parts.headers, body);
        let (headers, address) = (&parts.headers, shared.address);
        return Some(consent::begin_device(
            &mut state,
            vendor,
            address,
            headers,
            parsed.as_ref(),
        ));
    }
    let visit = consent::Visit {
        address: shared.address,
        method: &parts.method,
        path,
        query: parts.uri.query().unwrap_or_default(),
        body,
    };
    consent::visit(state.grants.as_mut()?, vendor, &visit)
}

async fn token(
    shared: &Shared,
    vendor: &'static Vendor,
    reset: &CancellationToken,
    parts: &Parts,
    body: &Bytes,
) -> Response<Body> {
    let parsed = parsed(&parts.headers, body);
    let shown = shown_request(
        vendor,
        parts.method.as_str(),
        &parts.headers,
        body,
        parsed.as_ref(),
    );
    let fault = shared
        .vendor(vendor.name)
        .and_then(|(_, mut state)| state.arrive(shown));
    let answer = || ordinary(shared, vendor, parts, parsed.as_ref());
    match fault {
        Some(fault) => fault.apply(vendor, reset, answer).await,
        None => answer().into_response(),
    }
}

/// JSON whatever the header says, else the members of a form; of a repeated one the last.
fn parsed(headers: &HeaderMap, body: &[u8]) -> Option<Value> {
    let json = serde_json::from_slice(body).ok();
    let form = || {
        content_type(headers).filter(|kind| kind.eq_ignore_ascii_case(FORM))?;
        let pairs = url::form_urlencoded::parse(body);
        let members =
            pairs.map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())));
        Some(Value::Object(members.collect()))
    };
    json.or_else(form)
}

fn ordinary(
    shared: &Shared,
    vendor: &'static Vendor,
    parts: &Parts,
    parsed: Option<&Value>,
) -> Reply {
    if parts.method != Method::POST {
        return Reply::problem(
            StatusCode::METHOD_NOT_ALLOWED,
            "a token is asked for with POST",
        );
    }
    let Some((_, mut state)) = shared.vendor(vendor.name) else {
        return Reply::problem(StatusCode::NOT_FOUND, "no such vendor here");
    };
    if vendor.renewal.is_some() {
        return consent::token(&mut state, vendor, &parts.headers, parsed);
    }
    let decision = (vendor.decide)(&TokenCall {
        headers: &parts.headers,
        body: parsed,
        query: parts.uri.query().unwrap_or_default(),
        client_id: vendor.client_id,
        secrets: &state.secrets,
        left: &|token| state.left(&Secret::new(token)),
    });
    match decision {
        Decision::Issue(permission) => {
            let token = (vendor.new_token)();
            let lifetime = state.issue(vendor, Secret::new(token.clone()), permission.clone());
            (vendor.issued)(&permission, &token, lifetime)
        }
        Decision::Refuse(reply) => {
            state.refuse();
            reply
        }
        Decision::Answer(reply) => reply,
    }
}

fn api(shared: &Shared, vendor: &'static Vendor, parts: &Parts, path: &str) -> Reply {
    let permission = bearer(parts).and_then(|token| {
        shared
            .vendor(vendor.name)
            .and_then(|(_, state)| state.permission(&token))
    });
    let call = ApiCall {
        method: &parts.method,
        path,
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
    };
    (vendor.api)(&call, permission.as_ref())
}

fn bearer(parts: &Parts) -> Option<Secret> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Secret::new(token.trim()))
}

//! The request to a token endpoint.

use super::secret::{Secrets, candidates};
use super::server::header_name;
use super::{Report, View};
use crate::config::fill::Parameters;
use crate::config::problem::did_you_mean;
use crate::spec::{
    BasicEncoding, ClientAuth, Endpoint, Method, RequestFormat, RequestValue, SecretCandidate,
    TokenRequest,
};

const RESERVED_PARAMS: [&str; 4] = ["grant_type", "client_id", "client_secret", "scope"];
/// What the request itself needs, or HTTP between two machines does.
const RESERVED_HEADERS: [&str; 12] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const AUTH_METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "none"];
const LATER_AUTH_METHODS: [&str; 5] = [
    "private_key_jwt",
    "client_secret_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "request",
];

/// `ours` are the parameters that the grant sets.
pub(super) fn token_request(
    view: &View<'_>,
    ours: &[&str],
    parameters: &mut Parameters<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<TokenRequest> {
    // First: other strings may have a hole for it.
    let client_id = client_id(view, parameters, report);
    let endpoint = endpoint(view, "token_endpoint", parameters, report);
    let client_secret = candidates(view, "client_secret", secrets, report);
    let auth = auth(view, &client_secret, report);
    if matches!(auth, Some(ClientAuth::Basic(_) | ClientAuth::Post)) {
        for key in ["client_id", "client_secret"] {
            if !view.has(key) || view.removed(key) {
                view.problem(key, "is missing", report);
            }
        }
    }
    let format = match view.text("request_format") {
        Some("json") => RequestFormat::Json,
        Some("query") => RequestFormat::Query,
        _ => RequestFormat::Form,
    };
    let method = match view.text("method") {
        Some("GET") => Method::Get,
        _ => Method::Post,
    };
    if method == Method::Get && format != RequestFormat::Query {
        view.problem(
            "method",
            "can be GET only with request_format = \"query\"",
            report,
        );
    }
    let scope = scope(view, parameters, report);
    let params = params(view, ours, parameters, report);
    let headers = headers(view, auth, parameters, report);
    Some(TokenRequest {
        endpoint: endpoint?,
        auth: auth?,
        format,
        method,
        client_id,
        client_secret,
        scope,
        params,
        headers,
    })
}

/// A URL that must be there.
pub(super) fn endpoint(
    view: &View<'_>,
    key: &str,
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Option<Endpoint> {
    let Some(node) = view.node(key) else {
        if !view.has(key) || view.removed(key) {
            view.problem(key, "is missing", report);
        }
        return None;
    };
    let url = parameters
        .url(node, key, false, report)
        .ok()?
        .render(|_| None)
        .ok()?;
    match Endpoint::parse(&url) {
        Ok(endpoint) => {
            if endpoint.url().scheme() == "http" {
                view.warning(key, "is http: fit for tests on this machine only", report);
            }
            Some(endpoint)
        }
        Err(error) => {
            view.problem(key, error.to_string(), report);
            None
        }
    }
}

pub(super) fn client_id(
    view: &View<'_>,
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Option<String> {
    let id = parameters
        .text(view.node("client_id")?, "client_id", report)
        .ok();
    if id
        .as_ref()
        .is_some_and(|id| id.chars().any(char::is_control))
    {
        view.problem("client_id", "must be free of control characters", report);
    }
    parameters.set_client_id(id.clone());
    id
}

fn auth(
    view: &View<'_>,
    client_secret: &[SecretCandidate],
    report: &mut Report,
) -> Option<ClientAuth> {
    let encoding = match view.text("basic_encoding") {
        Some("raw") => BasicEncoding::Raw,
        _ => BasicEncoding::Form,
    };
    let key = "token_endpoint_auth_method";
    match view.text(key) {
        Some("client_secret_basic") => Some(ClientAuth::Basic(encoding)),
        Some("client_secret_post") => Some(ClientAuth::Post),
        Some("none") => {
            if !client_secret.is_empty() {
                view.problem(
                    "client_secret",
                    "is not sent with token_endpoint_auth_method = \"none\": remove one of them",
                    report,
                );
            }
            Some(ClientAuth::None)
        }
        Some(later) if LATER_AUTH_METHODS.contains(&later) => {
            let message =
                "is not built yet in this version: client_secret_basic, client_secret_post or none";
            view.problem(key, message, report);
            None
        }
        Some(other) => {
            let near = did_you_mean(other, AUTH_METHODS);
            view.problem(
                key,
                format!("is not a method of client authentication{near}"),
                report,
            );
            None
        }
        None if view.has(key) && !view.removed(key) => None,
        // A secret that could not be read still says what was meant.
        None if view.has("client_secret") && !view.removed("client_secret") => {
            Some(ClientAuth::Basic(encoding))
        }
        None => Some(ClientAuth::None),
    }
}

fn scope(view: &View<'_>, parameters: &mut Parameters<'_>, report: &mut Report) -> Option<String> {
    let node = view.node("scope")?;
    let joined = if node.text().is_some() {
        parameters.text(node, "scope", report).ok()?
    } else {
        let separator = view.text("scope_separator").unwrap_or(" ");
        view.texts("scope")?
            .into_iter()
            .filter(|item| !item.is_empty())
            .collect::<Vec<_>>()
            .join(separator)
    };
    // An empty scope is never sent: one vendor answers it with a token that may do nothing.
    (!joined.trim().is_empty()).then_some(joined)
}

fn params(
    view: &View<'_>,
    ours: &[&str],
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Vec<(String, RequestValue)> {
    let inner = view.below("params");
    let mut all = Vec::new();
    for (name, _) in view.entries("params") {
        let Some(node) = inner.node(name) else {
            continue;
        };
        let reserved = RESERVED_PARAMS.contains(&name.as_str()) || ours.contains(&name.as_str());
        if name.is_empty() || reserved {
            inner.problem(
                name,
                "is set by the grant and its own keys: remove it here",
                report,
            );
            continue;
        }
        if let Ok(value) = parameters.request_value(node, &format!("params.{name}"), report) {
            all.push((name.clone(), value));
        }
    }
    all
}

fn headers(
    view: &View<'_>,
    auth: Option<ClientAuth>,
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Vec<(String, RequestValue)> {
    let inner = view.below("headers");
    let mut all: Vec<(String, RequestValue)> = Vec::new();
    for (name, _) in view.entries("headers") {
        let Some(node) = inner.node(name) else {
            continue;
        };
        let Some(lower) = header_name(name) else {
            inner.problem(name, "is not the name of a header", report);
            continue;
        };
        let needed = RESERVED_HEADERS.contains(&lower.as_str())
            || lower.starts_with("proxy-")
            || (lower == "authorization" && matches!(auth, Some(ClientAuth::Basic(_))));
        if needed {
            inner.problem(name, "is set by the request itself: remove it here", report);
            continue;
        }
        if all.iter().any(|(known, _)| *known == lower) {
            inner.problem(name, "is there twice, in upper and lower case", report);
            continue;
        }
        match parameters.request_value(node, &format!("headers.{name}"), report) {
            Ok(RequestValue::Text(text)) if !header_value(&text) => {
                inner.problem(name, "must be free of control characters", report);
            }
            Ok(value) => all.push((lower, value)),
            Err(_) => {}
        }
    }
    all
}

/// Whether text can stand in a header.
pub(super) fn header_value(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\t')
}

//! The request to a token endpoint.

use std::sync::Arc;

use super::client::{Client, auth, client};
use super::secret::Secrets;
use super::server::header_name;
use super::{Report, View, unsent};
use crate::config::fill::{Gap, Parameters, Realm, UrlOf};
use crate::config::tree::{Node, Raw};
use crate::spec::{
    ClientAuth, Dialect, Draft, Endpoint, Issuer, Location, Method, Part, Phrase, RequestFormat,
    Seldom, TokenRequest,
};

/// What the request itself sets.
const RESERVED_PARAMS: [&str; 5] = [
    "client_id",
    "client_secret",
    "scope",
    "client_assertion",
    "client_assertion_type",
];
/// What the request itself needs, or HTTP between two machines does.
const RESERVED_HEADERS: [&str; 11] = [
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
const NAME_MAX: usize = 64;

/// What the grant sends of its own.
#[derive(Default)]
pub(super) struct Own<'a> {
    pub(super) params: Vec<(&'static str, Phrase)>,
    /// Names that it sets besides.
    pub(super) names: &'a [&'a str],
    /// Why `params` cannot name another `grant_type`.
    pub(super) grant_type: Option<&'static str>,
}

/// The endpoints that are found by the issuer, if there is one.
pub(super) fn issuer(
    view: &View<'_>,
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Option<Arc<Issuer>> {
    let key = "issuer";
    let node = view.node(key)?;
    let text = parameters.url(node, key, UrlOf::Endpoint, report).ok()?;
    let text = text.render(|_| None).ok()?;
    match Issuer::parse(&text) {
        Ok(issuer) => Some(Arc::new(issuer)),
        Err(_unfit) => {
            let message = "must be https://, or http:// to this machine, without user, query and \
                           fragment: what the vendor calls its issuer, letter by letter";
            view.problem(key, message, report);
            None
        }
    }
}

pub(super) fn token_request(
    view: &View<'_>,
    own: impl FnOnce(&mut Parameters<'_>, &mut Report) -> Option<Own<'static>>,
    issuer: Option<&Arc<Issuer>>,
    parameters: &mut Parameters<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<TokenRequest> {
    let before = report.count();
    // First: other strings may have holes for it.
    let client = client(view, parameters, secrets, report);
    let endpoint = location(view, "token_endpoint", issuer, parameters, report);
    let auth = auth(view, &client, parameters, secrets, report);
    let (format, method) = format(view, report);
    let dialect = dialect(view, parameters, report);
    let scope = scope(view, parameters, report);
    let own = own(parameters, report);
    let usual = Own::default();
    let names = own.as_ref().unwrap_or(&usual);
    let params = params(view, names, format, parameters, report);
    let headers = headers(view, auth.as_ref(), parameters, report);
    let Client {
        id,
        secret,
        certificate,
    } = client;
    let seldom = Seldom {
        own: own?.params,
        dialect,
        certificate,
    };
    let request = TokenRequest {
        endpoint: endpoint?,
        auth: auth?,
        format,
        method,
        client_id: id,
        client_secret: secret,
        scope,
        params,
        headers,
        seldom: (seldom != Seldom::default()).then(|| Box::new(seldom)),
    };
    // What could not be read is not in the request, and that is no reason to take it away.
    if report.count() == before {
        unsent::check(view, &request, report);
    }
    Some(request)
}

fn format(view: &View<'_>, report: &mut Report) -> (RequestFormat, Method) {
    let format = match view.text("request_format") {
        Some("json") => RequestFormat::Json,
        Some("query") => RequestFormat::Query,
        Some("multipart") => RequestFormat::Multipart,
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
    (format, method)
}

/// Where an endpoint is; one that is not written out is the issuer's to tell.
pub(super) fn location(
    view: &View<'_>,
    key: &str,
    issuer: Option<&Arc<Issuer>>,
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Option<Location> {
    let unset = !view.has(key) || view.removed(key);
    match issuer {
        Some(issuer) if unset => Some(Location::Of(Arc::clone(issuer))),
        // It is there, but no good: that has been told.
        None if unset && view.has("issuer") && !view.removed("issuer") => None,
        _ => endpoint(view, key, parameters, report).map(Location::Known),
    }
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
        .url(node, key, UrlOf::Endpoint, report)
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

/// A `scope_separator` that makes a list of the words.
const LIST: &str = "[]";

fn scope(view: &View<'_>, parameters: &mut Parameters<'_>, report: &mut Report) -> Option<String> {
    let node = view.node("scope")?;
    let joined = if node.text().is_some() {
        parameters.text(node, "scope", report).ok()?
    } else {
        let separator = view.text("scope_separator").filter(|text| *text != LIST);
        view.texts("scope")?
            .into_iter()
            .filter(|item| !item.is_empty())
            .collect::<Vec<_>>()
            .join(separator.unwrap_or(" "))
    };
    // An empty scope is never sent: one vendor answers it with a token that may do nothing.
    (!joined.trim().is_empty()).then_some(joined)
}

fn dialect(view: &View<'_>, parameters: &mut Parameters<'_>, report: &mut Report) -> Dialect {
    let inner = view.below("parameter_names");
    let mut names = Vec::new();
    for (standard, node) in view.entries("parameter_names") {
        let Some(name) = node.text() else { continue };
        if name.len() > NAME_MAX || name.chars().any(char::is_control) {
            inner.problem(standard, "must be a name, or \"\" to send none", report);
            continue;
        }
        names.push((standard.clone(), name.to_owned()));
    }
    let in_query = view.texts("query_parameters").unwrap_or_default();
    Dialect {
        names,
        in_query: in_query.into_iter().map(str::to_owned).collect(),
        scope_is_list: view.text("scope_separator") == Some(LIST),
        refresh_sends_scope: view
            .texts("refresh_sends")
            .is_some_and(|words| words.contains(&"scope")),
        redirect_uri_sent: redirect_uri_sent(view, parameters, report),
        refresh_sends_redirect_uri: None,
    }
}

/// Of logins in a browser only: what it is made of is not needed before.
fn redirect_uri_sent(
    view: &View<'_>,
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Option<String> {
    let key = "redirect_uri_sent";
    let node = view
        .node(key)
        .filter(|_| view.text("grant") == Some("authorization_code"))?;
    parameters.text(node, key, report).ok()
}

fn params(
    view: &View<'_>,
    own: &Own<'_>,
    format: RequestFormat,
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Vec<(String, Draft)> {
    let inner = view.below("params");
    let mut all = Vec::new();
    for (name, _) in view.entries("params") {
        let Some(node) = inner.node(name) else {
            continue;
        };
        let by_grant = own.names.contains(&name.as_str())
            || own.params.iter().any(|(known, _)| {
                known == name && (*known != "grant_type" || own.grant_type.is_some())
            });
        let message = match (name.as_str(), own.grant_type) {
            ("grant_type", Some(why)) => why,
            ("grant_type", None) => "",
            _ if name.is_empty() || by_grant || RESERVED_PARAMS.contains(&name.as_str()) => {
                "is set by the grant and its own keys: remove it here"
            }
            _ => "",
        };
        if !message.is_empty() {
            inner.problem(name, message, report);
            continue;
        }
        if format != RequestFormat::Json && is_nested(node) {
            let message = "has a table in it, which only request_format = \"json\" can send";
            inner.problem(name, message, report);
            continue;
        }
        let path = format!("params.{name}");
        match parameters.draft(node, &path, Realm::TokenRequest, report) {
            Ok(value) => all.push((name.clone(), value)),
            Err(Gap::Absent | Gap::Reported) => {}
        }
    }
    all
}

/// Whether a form could not hold it: a list's items are repeated there, but no further down.
fn is_nested(node: &Node) -> bool {
    match &node.raw {
        Raw::Table(_) => true,
        Raw::List(items) => items
            .iter()
            .any(|item| matches!(item.raw, Raw::Table(_) | Raw::List(_))),
        Raw::Null | Raw::Bool(_) | Raw::Int(_) | Raw::Float(_) | Raw::Text(_) | Raw::Bad => false,
    }
}

fn headers(
    view: &View<'_>,
    auth: Option<&ClientAuth>,
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Vec<(String, Phrase)> {
    let ours = matches!(auth, Some(ClientAuth::Basic(_)));
    sent_headers(view, ours, report, |node, path, report| {
        parameters.sent(node, path, report)
    })
}

/// The `headers` of a table, each made by `phrase`. `authorization`: it is set by something else.
pub(super) fn sent_headers(
    view: &View<'_>,
    authorization: bool,
    report: &mut Report,
    mut phrase: impl FnMut(&Node, &str, &mut Report) -> Result<Phrase, Gap>,
) -> Vec<(String, Phrase)> {
    let inner = view.below("headers");
    let mut all: Vec<(String, Phrase)> = Vec::new();
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
            || (lower == "authorization" && authorization);
        if needed {
            inner.problem(name, "is set by the request itself: remove it here", report);
            continue;
        }
        if all.iter().any(|(known, _)| *known == lower) {
            inner.problem(name, "is there twice, in upper and lower case", report);
            continue;
        }
        let Ok(value) = phrase(node, &format!("headers.{name}"), report) else {
            continue;
        };
        let plain = |part: &Part| match part {
            Part::Text(text) => header_value(text),
            _ => true,
        };
        if value.parts().iter().all(plain) {
            all.push((lower, value));
        } else {
            inner.problem(name, "must be free of control characters", report);
        }
    }
    all
}

/// Whether text can stand in a header.
pub(super) fn header_value(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\t')
}

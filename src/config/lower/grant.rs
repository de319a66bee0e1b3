//! Which grant it is, and the keys that are its.

use std::sync::Arc;

use super::assertion::{Signing, assertion, bearer};
use super::client::client_id;
use super::integration::Globals;
use super::refreshing::{PARAMETERS, refreshing};
use super::request::{Own, issuer, token_request};
use super::secret::{Secrets, one_secret};
use super::{Report, View, steps};
use crate::config::fill::Parameters;
use crate::config::problem::did_you_mean;
use crate::spec::{
    Bearer, FirstRefreshToken, Grant, Issuer, Part, Phrase, Refreshing, StaticToken, StepsKind,
    TokenRequest,
};

const GRANTS: [&str; 11] = [
    "client_credentials",
    "refresh_token",
    "authorization_code",
    "device_code",
    "jwt_bearer",
    "signed_jwt",
    "token_exchange",
    "password",
    "request",
    "steps",
    "static",
];
const LATER_GRANTS: [&str; 1] = ["broker"];

const TOKEN_REQUEST: &[&str] = &[
    "issuer",
    "token_endpoint",
    "token_endpoint_auth_method",
    "basic_encoding",
    "request_format",
    "method",
    "client_assertion",
    "client_assertion_file",
    "scope",
    "params",
    "headers",
    "parameter_names",
    "query_parameters",
];
const CLIENT: &[&str] = &[
    "client_secret",
    "client_secret_expires_at",
    "client_certificate",
    "client_key",
];
const STATIC: &[&str] = &["token", "expires_at"];
const TOKEN_TYPE: &[&str] = &["token_type"];
const ASSERTION: &[&str] = &["assertion"];
const REFRESHING: &[&str] = &[
    "refresh_endpoint",
    "refresh_token_rotation",
    "refresh_sends",
    "refresh_token_lifetime",
    "refresh_token_idle_lifetime",
    "refresh_token",
    "authorization_endpoint",
    "device_authorization_endpoint",
    "redirect_uri",
    "redirect_uri_sent",
];
const LOGIN: &[&str] = &["username", "password"];
const EXCHANGE: &[&str] = &[
    "subject_token",
    "subject_token_type",
    "requested_token_type",
    "actor_token",
    "actor_token_type",
];
const REQUEST: &[&str] = &["request"];
const STEPS: &[&str] = &["steps"];
const ALL: [&[&str]; 10] = [
    TOKEN_REQUEST,
    CLIENT,
    STATIC,
    TOKEN_TYPE,
    ASSERTION,
    REFRESHING,
    LOGIN,
    EXCHANGE,
    REQUEST,
    STEPS,
];

/// The keys that a grant reads.
fn used(grant: &str) -> &'static [&'static [&'static str]] {
    match grant {
        "client_credentials" => &[TOKEN_REQUEST, CLIENT],
        "jwt_bearer" => &[TOKEN_REQUEST, CLIENT, ASSERTION],
        "refresh_token" | "authorization_code" | "device_code" => {
            &[TOKEN_REQUEST, CLIENT, REFRESHING]
        }
        "token_exchange" => &[TOKEN_REQUEST, CLIENT, EXCHANGE],
        "password" => &[TOKEN_REQUEST, CLIENT, LOGIN],
        "request" => &[CLIENT, LOGIN, REQUEST],
        "steps" => &[CLIENT, LOGIN, ASSERTION, STEPS],
        "signed_jwt" => &[ASSERTION, TOKEN_TYPE],
        "static" => &[STATIC, TOKEN_TYPE],
        _ => &ALL,
    }
}

/// Keys of another grant, unless they are only what the provider brings.
fn refuse_unused(view: &View<'_>, grant: &str, report: &mut Report) {
    let used = used(grant);
    let unused = ALL.iter().filter(|group| !used.contains(group));
    for key in unused.flat_map(|group| *group) {
        refuse(view, key, grant, report);
    }
}

fn refuse(view: &View<'_>, key: &str, grant: &str, report: &mut Report) {
    let own = view.node(key).is_some_and(|node| !node.is_providers());
    if own {
        let message = format!("is not used by grant = \"{grant}\": remove it");
        view.problem(key, message, report);
    }
}

pub(super) fn grant(
    view: &View<'_>,
    parameters: &mut Parameters<'_>,
    globals: &Globals<'_>,
    report: &mut Report,
) -> Option<Grant> {
    let Some(name) = view.text("grant") else {
        if !view.has("grant") || view.removed("grant") {
            let message = "is missing: set 'grant', or 'provider' for one of the catalogue";
            view.problem("grant", message, report);
        }
        return None;
    };
    if LATER_GRANTS.contains(&name) {
        let built = GRANTS.join(", ");
        let message = format!("is not built yet in this version, only {built}");
        view.problem("grant", message, report);
        return None;
    }
    if !GRANTS.contains(&name) {
        let near = did_you_mean(name, GRANTS.into_iter().chain(LATER_GRANTS));
        view.problem("grant", format!("is not a grant{near}"), report);
        return None;
    }
    refuse_unused(view, name, report);
    let secrets = globals.secrets;
    match name {
        "request" => steps::steps(view, StepsKind::Request, parameters, secrets, report),
        "steps" => steps::steps(view, StepsKind::Steps, parameters, secrets, report),
        "signed_jwt" => {
            let inner = view.below("assertion");
            for key in ["parameter", "grant_type"] {
                refuse(&inner, key, name, report);
            }
            client_id(view, parameters, report);
            let signed = assertion(&inner, &Signing::PLAIN, parameters, secrets, report)?;
            Some(Grant::SignedJwt(Box::new(signed)))
        }
        "static" => {
            client_id(view, parameters, report);
            fixed(view, secrets, report)
        }
        name => asking(view, name, parameters, globals, report),
    }
}

fn fixed(view: &View<'_>, secrets: &Secrets<'_>, report: &mut Report) -> Option<Grant> {
    let node = needed(view, "token", report)?;
    Some(Grant::Static(StaticToken {
        token: one_secret(node, &view.path("token"), secrets, report)?,
        expires_at: view.time("expires_at"),
    }))
}

fn needed<'v>(
    view: &View<'v>,
    key: &str,
    report: &mut Report,
) -> Option<&'v crate::config::tree::Node> {
    let node = view.node(key);
    if node.is_none() && (!view.has(key) || view.removed(key)) {
        view.problem(key, "is missing", report);
    }
    node
}

/// Grants that ask a token endpoint in the standard's way.
fn asking(
    view: &View<'_>,
    name: &str,
    parameters: &mut Parameters<'_>,
    globals: &Globals<'_>,
    report: &mut Report,
) -> Option<Grant> {
    let secrets = globals.secrets;
    let issuer = issuer(view, parameters, report);
    let found = issuer.as_ref();
    let grant = match name {
        "client_credentials" => {
            let own = |_: &mut Parameters<'_>, _: &mut Report| Some(Own::default());
            let request = token_request(view, own, found, parameters, secrets, report)?;
            Grant::ClientCredentials(Arc::new(request))
        }
        "password" => {
            let own = |parameters: &mut Parameters<'_>, report: &mut Report| {
                password(view, parameters, report)
            };
            let request = token_request(view, own, found, parameters, secrets, report)?;
            Grant::Password(Arc::new(request))
        }
        "token_exchange" => {
            let own = |_: &mut Parameters<'_>, report: &mut Report| exchange(view, secrets, report);
            let request = token_request(view, own, found, parameters, secrets, report)?;
            Grant::TokenExchange(Arc::new(request))
        }
        "jwt_bearer" => {
            let below = view.below("assertion");
            let own = |_: &mut Parameters<'_>, report: &mut Report| {
                let parameter = below.text("parameter").unwrap_or(Bearer::PARAMETER);
                if view.below("params").has(parameter) {
                    let message = "is set by the grant and its own keys: remove it here";
                    view.below("params").problem(parameter, message, report);
                }
                Some(Own {
                    grant_type: Some("is set by assertion.grant_type: write it there"),
                    ..Own::default()
                })
            };
            let request = token_request(view, own, found, parameters, secrets, report);
            let bearer = bearer(&below, parameters, secrets, report);
            Grant::JwtBearer(Arc::new(request?), Arc::new(bearer?))
        }
        name => {
            let own = |_: &mut Parameters<'_>, _: &mut Report| {
                let with_logins = "is another one for a login than for what follows it: it is set \
                                   by the grant";
                Some(Own {
                    names: &PARAMETERS,
                    grant_type: (name != "refresh_token").then_some(with_logins),
                    ..Own::default()
                })
            };
            // First: its client_id may be in a URL.
            let request = token_request(view, own, found, parameters, secrets, report);
            let refreshing = refreshing(view, name, found, globals, parameters, report);
            let (mut request, refreshing) = (request?, refreshing?);
            repeat_redirect_uri(view, &mut request, &refreshing, report);
            Grant::RefreshToken(Arc::new(request), Arc::new(refreshing))
        }
    };
    refuse_idle_issuer(view, issuer.as_deref(), &grant, report);
    Some(grant)
}

/// What a login had that a refresh has to name again.
fn repeat_redirect_uri(
    view: &View<'_>,
    request: &mut TokenRequest,
    refreshing: &Refreshing,
    report: &mut Report,
) {
    let key = "refresh_sends";
    let words = view.texts(key).unwrap_or_default();
    if !words
        .iter()
        .all(|word| ["scope", "redirect_uri"].contains(word))
    {
        let message = "must be of \"scope\" and \"redirect_uri\": what a refresh has of a login";
        view.problem(key, message, report);
    }
    if !words.contains(&"redirect_uri") {
        return;
    }
    match &refreshing.first {
        FirstRefreshToken::AuthorizationCode { redirect_uri, .. } => {
            let seldom = request.seldom.get_or_insert_default();
            let sent = seldom.dialect.redirect_uri_sent.clone();
            let sent = sent.unwrap_or_else(|| redirect_uri.to_string());
            seldom.dialect.refresh_sends_redirect_uri = Some(sent);
        }
        FirstRefreshToken::Configured(_) | FirstRefreshToken::DeviceCode { .. } => {
            if view.node(key).is_some_and(|node| !node.is_providers()) {
                let message = "names redirect_uri, which only grant = \"authorization_code\" has";
                view.problem(key, message, report);
            }
        }
    }
}

/// An issuer that nothing is looked up by, and that no redirect is compared with.
fn refuse_idle_issuer(
    view: &View<'_>,
    issuer: Option<&Issuer>,
    grant: &Grant,
    report: &mut Report,
) {
    let asked = |request: &TokenRequest| request.endpoint.issuer().is_some();
    let first = grant.refreshing().map(|refreshing| &refreshing.first);
    let has_use = match first {
        Some(FirstRefreshToken::AuthorizationCode { .. }) => true,
        Some(FirstRefreshToken::DeviceCode {
            device_authorization_endpoint,
        }) => device_authorization_endpoint.issuer().is_some(),
        Some(FirstRefreshToken::Configured(_)) | None => false,
    };
    let own = view.node("issuer").is_some_and(|node| !node.is_providers());
    if issuer.is_some() && own && !has_use && !grant.request().is_some_and(asked) {
        let message =
            "is not used where all endpoints are written out: remove it, or token_endpoint";
        view.problem("issuer", message, report);
    }
}

fn password(
    view: &View<'_>,
    parameters: &Parameters<'_>,
    report: &mut Report,
) -> Option<Own<'static>> {
    let (username, password) = (
        needed(view, "username", report),
        needed(view, "password", report),
    );
    let _there = (username?, password?);
    let (username, password) = parameters.login();
    Some(Own {
        params: vec![
            ("grant_type", Phrase::literal("password")),
            ("username", Phrase::literal(username?)),
            ("password", Phrase::new([Part::Secret(password?)])),
        ],
        ..Own::default()
    })
}

/// RFC 8693 section 2.1.
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

fn exchange(view: &View<'_>, secrets: &Secrets<'_>, report: &mut Report) -> Option<Own<'static>> {
    let mut params = vec![("grant_type", Phrase::literal(TOKEN_EXCHANGE))];
    let mut complete = true;
    for (token, kind, required) in [
        ("subject_token", "subject_token_type", true),
        ("actor_token", "actor_token_type", false),
    ] {
        let there = |key: &str| view.has(key) && !view.removed(key);
        if !required && !there(token) && !there(kind) {
            continue;
        }
        let source = needed(view, token, report)
            .and_then(|node| one_secret(node, &view.path(token), secrets, report));
        let uri = needed(view, kind, report).and_then(|_| token_type(view, kind, report));
        match (source, uri) {
            (Some(source), Some(uri)) => {
                params.push((token, Phrase::new([Part::Secret(source)])));
                params.push((kind, Phrase::literal(uri)));
            }
            _ => complete = false,
        }
    }
    let key = "requested_token_type";
    if view.node(key).is_some() {
        match token_type(view, key, report) {
            Some(uri) => params.push((key, Phrase::literal(uri))),
            None => complete = false,
        }
    }
    complete.then_some(Own {
        params,
        ..Own::default()
    })
}

/// RFC 8693 section 3: a URI.
fn token_type<'v>(view: &View<'v>, key: &str, report: &mut Report) -> Option<&'v str> {
    let text = view.text(key)?;
    let uri = text.contains(':') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !uri {
        let message = "must be a URI, such as \"urn:ietf:params:oauth:token-type:jwt\", \
                       \"...:access_token\" or \"...:id_token\"";
        view.problem(key, message, report);
    }
    uri.then_some(text)
}

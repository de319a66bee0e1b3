//! What a client names itself by: id, secrets, keys, certificate.

use std::sync::Arc;

use super::assertion::{Signing, assertion};
use super::secret::{Secrets, candidates, one_secret, secret_file};
use super::{Report, View};
use crate::config::fill::{Parameters, Realm};
use crate::config::problem::did_you_mean;
use crate::spec::{
    Algorithm, Assertion, BasicEncoding, ClientAuth, ClientCertificate, Phrase, SecretCandidate,
};

const METHODS: [&str; 7] = [
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "none",
];

/// What every grant that asks somebody has.
pub(super) struct Client {
    pub(super) id: Option<String>,
    pub(super) secret: Vec<SecretCandidate>,
    pub(super) certificate: Option<ClientCertificate>,
}

/// First of all: other strings may have holes for what is read here.
pub(super) fn client(
    view: &View<'_>,
    parameters: &mut Parameters<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Client {
    let id = client_id(view, parameters, report);
    let secret = candidates(view, "client_secret", secrets, report);
    // A secret that could not be read still says what was meant.
    parameters.set_client_secret(view.has("client_secret") && !view.removed("client_secret"));
    let username = view
        .node("username")
        .and_then(|node| parameters.text(node, "username", report).ok());
    let password = view
        .node("password")
        .and_then(|node| one_secret(node, &view.path("password"), secrets, report));
    parameters.set_login(username, password);
    Client {
        id,
        secret,
        certificate: certificate(view, secrets, report),
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

fn certificate(
    view: &View<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<ClientCertificate> {
    let keys = ["client_certificate", "client_key"];
    let [certificate, key] = keys.map(|key| {
        let node = view.node(key)?;
        if node
            .text()
            .is_some_and(|text| !text.contains("-----BEGIN "))
        {
            let message =
                "must be PEM: { file = \"...\" }, { env = \"...\" } or { command = [\"...\"] }";
            view.problem(key, message, report);
            return None;
        }
        one_secret(node, &view.path(key), secrets, report)
    });
    for (key, other) in [(keys[0], keys[1]), (keys[1], keys[0])] {
        let there = |key: &str| view.has(key) && !view.removed(key);
        if there(key) && !there(other) {
            view.problem(
                other,
                format!("is missing: {key} is of no use without it"),
                report,
            );
        }
    }
    Some(ClientCertificate {
        certificate: certificate?,
        key: key?,
    })
}

/// The method, named or by what there is.
fn method<'v>(view: &View<'v>, report: &mut Report) -> Option<&'v str> {
    let key = "token_endpoint_auth_method";
    let there = |key: &str| view.has(key) && !view.removed(key);
    match view.text(key) {
        Some(name) if METHODS.contains(&name) => Some(name),
        Some(other) => {
            let near = did_you_mean(other, METHODS);
            let message = format!("is not a method of client authentication{near}");
            view.problem(key, message, report);
            None
        }
        None if there(key) => None,
        None if there("client_assertion") || there("client_assertion_file") => {
            Some("private_key_jwt")
        }
        None if there("client_secret") => Some("client_secret_basic"),
        None => Some("none"),
    }
}

pub(super) fn auth(
    view: &View<'_>,
    client: &Client,
    parameters: &mut Parameters<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<ClientAuth> {
    let method = method(view, report)?;
    let signs = matches!(method, "private_key_jwt" | "client_secret_jwt");
    let by_secret = matches!(
        method,
        "client_secret_basic" | "client_secret_post" | "client_secret_jwt"
    );
    for key in ["client_assertion", "client_assertion_file"] {
        let own = view.node(key).is_some_and(|node| !node.is_providers());
        if own && !signs {
            view.problem(key, not_used(method), report);
        }
    }
    // With "none" it may stand in headers or parameters.
    if !by_secret && method != "none" && !client.secret.is_empty() {
        view.problem("client_secret", not_used(method), report);
    }
    let mut required: Vec<&str> = Vec::new();
    match method {
        "client_secret_basic" | "client_secret_post" => {
            required.extend(["client_id", "client_secret"]);
        }
        "tls_client_auth" | "self_signed_tls_client_auth" => {
            required.extend(["client_id", "client_certificate", "client_key"]);
        }
        _ => {}
    }
    for key in required {
        if !view.has(key) || view.removed(key) {
            view.problem(key, "is missing", report);
        }
    }
    Some(match method {
        "client_secret_basic" => ClientAuth::Basic(match view.text("basic_encoding") {
            Some("raw") => BasicEncoding::Raw,
            _ => BasicEncoding::Form,
        }),
        "client_secret_post" => ClientAuth::Post,
        "private_key_jwt" => private_key(view, client, parameters, secrets, report)?,
        "client_secret_jwt" => shared_key(view, client, parameters, secrets, report)?,
        _ => ClientAuth::None,
    })
}

fn not_used(method: &str) -> String {
    format!("is not used with token_endpoint_auth_method = \"{method}\": remove one of them")
}

fn private_key(
    view: &View<'_>,
    client: &Client,
    parameters: &mut Parameters<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<ClientAuth> {
    if let Some(file) = view.text("client_assertion_file") {
        let below = view.below("client_assertion");
        for (key, node) in view.entries("client_assertion") {
            if !node.is_providers() && below.node(key).is_some() {
                let message = "is not used beside client_assertion_file, which is signed already: \
                               remove one of them";
                below.problem(key, message, report);
            }
        }
        let source = secret_file(view, "client_assertion_file", file, secrets.policy, report)?;
        return Some(ClientAuth::AssertionFile(Box::new(source)));
    }
    if view.has("client_assertion_file") && !view.removed("client_assertion_file") {
        return None;
    }
    let usual = (Algorithm::default(), &[][..]);
    let signed = signed(view, client, usual, parameters, secrets, report)?;
    if signed.algorithm.is_shared() {
        let message = format!(
            "{} signs with a shared secret: set token_endpoint_auth_method = \"client_secret_jwt\" \
             for that, or take an algorithm with a key pair",
            signed.algorithm.as_str()
        );
        let below = view.below("client_assertion");
        below.problem("algorithm", message, report);
        return None;
    }
    Some(ClientAuth::Assertion(Arc::new(signed)))
}

fn shared_key(
    view: &View<'_>,
    client: &Client,
    parameters: &mut Parameters<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<ClientAuth> {
    let key = "client_assertion_file";
    if view.node(key).is_some_and(|node| !node.is_providers()) {
        view.problem(key, not_used("client_secret_jwt"), report);
    }
    let below = view.below("client_assertion");
    let own = below.node("key").is_some();
    if own && !client.secret.is_empty() {
        let message = "is not used beside client_assertion.key: remove one of them";
        view.problem("client_secret", message, report);
    }
    if !own && (!view.has("client_secret") || view.removed("client_secret")) {
        view.problem(
            "client_secret",
            "is missing: it signs the assertion",
            report,
        );
        return None;
    }
    let usual = (Algorithm::Hs256, client.secret.as_slice());
    let signed = signed(view, client, usual, parameters, secrets, report)?;
    if !signed.algorithm.is_shared() {
        let message = format!(
            "{} signs with a key pair: set token_endpoint_auth_method = \"private_key_jwt\" for \
             that, or take HS256, HS384 or HS512",
            signed.algorithm.as_str()
        );
        below.problem("algorithm", message, report);
        return None;
    }
    Some(ClientAuth::Assertion(Arc::new(signed)))
}

/// RFC 7523 section 3: issuer and subject are the client, unless something else is said.
fn signed(
    view: &View<'_>,
    client: &Client,
    (algorithm, shared): (Algorithm, &[SecretCandidate]),
    parameters: &mut Parameters<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<Assertion> {
    let below = view.below("client_assertion");
    let signing = Signing {
        algorithm,
        shared,
        realm: Realm::Assertion { steps: 0 },
    };
    let mut signed = assertion(&below, &signing, parameters, secrets, report)?;
    for (key, place) in [
        ("issuer", &mut signed.issuer),
        ("subject", &mut signed.subject),
    ] {
        if place.is_some() || below.removed(key) {
            continue;
        }
        match &client.id {
            Some(id) => *place = Some(Phrase::literal(id.as_str())),
            None if view.has("client_id") && !view.removed("client_id") => {}
            None => {
                view.problem(
                    "client_id",
                    "is missing: the client's assertion is about it",
                    report,
                );
                return None;
            }
        }
    }
    Some(signed)
}

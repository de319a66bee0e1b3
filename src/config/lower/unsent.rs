//! What is configured and would reach nobody, or would keep from the vendor what it has to have.

use super::{Report, View};
use crate::config::schema::PARAMETER_NAMES;
use crate::config::tree::Node;
use crate::spec::{ClientAuth, Dialect, Part, TokenRequest};

/// Without its proof a request cannot succeed, and a name of none sends none.
const PROOFS: [&str; 8] = [
    "client_secret",
    "client_assertion",
    "password",
    "actor_token",
    "subject_token",
    "code",
    "device_code",
    "refresh_token",
];

pub(super) fn check(view: &View<'_>, request: &TokenRequest, report: &mut Report) {
    let mut secret_is_sent = false;
    request.walk(&mut |part| secret_is_sent |= matches!(part, Part::ClientSecret));
    if request.auth == ClientAuth::None && !request.client_secret.is_empty() && !secret_is_sent {
        view.problem(
            "client_secret",
            "is not sent with token_endpoint_auth_method = \"none\": remove one of them",
            report,
        );
    }
    let own = |key: &str| view.node(key).is_some_and(|node| !node.is_providers());
    if own("basic_encoding") && !matches!(request.auth, ClientAuth::Basic(_)) {
        let message =
            "is not used: only token_endpoint_auth_method = \"client_secret_basic\" encodes";
        view.problem("basic_encoding", message, report);
    }
    let plain = request.endpoint.nearest().url().scheme() == "http";
    if request.certificate().is_some() && plain {
        let message = "is presented over https only, and the endpoint is http";
        view.problem("client_certificate", message, report);
    }
    if let Some(dialect) = request.dialect() {
        renamed(view, request, dialect, report);
        in_query(view, request, dialect, report);
    }
}

/// No two may be sent under one name.
fn renamed(view: &View<'_>, request: &TokenRequest, dialect: &Dialect, report: &mut Report) {
    let inner = view.below("parameter_names");
    for (index, (standard, name)) in dialect.names.iter().enumerate() {
        if name.is_empty() {
            if PROOFS.contains(&standard.as_str()) {
                let message = "cannot be \"\": it is what proves who asks";
                inner.problem(standard, message, report);
            }
            continue;
        }
        let before = dialect.names.iter().take(index);
        if let Some((other, _)) = before.into_iter().find(|(_, taken)| taken == name) {
            let message = format!("is the name that '{other}' has: give each its own");
            inner.problem(standard, message, report);
        }
        if request.params.iter().any(|(known, _)| known == name) {
            let message = format!(
                "is what parameter_names calls '{standard}', which is set by the grant and its own \
                 keys: remove it here"
            );
            view.below("params").problem(name, message, report);
        }
    }
}

/// A provider may name what only some of its users send; an operator knows.
fn in_query(view: &View<'_>, request: &TokenRequest, dialect: &Dialect, report: &mut Report) {
    let key = "query_parameters";
    if view.node(key).is_none_or(Node::is_providers) {
        return;
    }
    let is_sent = |name: &String| {
        let by_grant = PARAMETER_NAMES
            .iter()
            .any(|key| dialect.name(key.name) == name);
        by_grant || request.params.iter().any(|(known, _)| known == name)
    };
    if !dialect.in_query.iter().all(is_sent) {
        let message = "names what is not sent: it takes the names of params, and those of the \
                       standard, or what parameter_names calls them";
        view.problem(key, message, report);
    }
}

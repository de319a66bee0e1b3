//! `[integrations.NAME.assertion]`: the JWT that is signed, and how it is sent.

use std::time::Duration;

use super::secret::{Secrets, candidates, one_secret};
use super::{Report, View};
use crate::base::HumanDuration;
use crate::config::fill::{Gap, Parameters};
use crate::config::problem::did_you_mean;
use crate::config::tree::{Node, Raw, Table};
use crate::spec::{Algorithm, Assertion, Bearer, Claim, Jti, Phrase};

/// A year: longer is a mistake, and what is never to expire is a `static` token.
const LIFETIMES: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(366 * 24 * 3600));
const BACKDATES: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(3600));
/// Of the header: set by keys of their own, or changing what is signed.
const RESERVED_HEADERS: [&str; 4] = ["alg", "kid", "b64", "crit"];

/// The assertion of `jwt_bearer`.
pub(super) fn bearer(
    view: &View<'_>,
    parameters: &mut Parameters<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<Bearer> {
    let assertion = assertion(view, parameters, secrets, report)?;
    let claims = |name: &str| {
        let named = |(known, _): &(Phrase, Claim)| *known == Phrase::literal(name);
        assertion.claims.iter().any(named)
    };
    for (key, claim, given) in [
        ("issuer", "iss", assertion.issuer.is_some()),
        ("audience", "aud", !assertion.audience.is_empty()),
    ] {
        if !given && !claims(claim) {
            let message = format!("is not set: most vendors refuse an assertion without '{claim}'");
            view.warning(key, message, report);
        }
    }
    let grant_type = match view.text("grant_type") {
        Some(text) => Some(text.to_owned()),
        None if view.removed("grant_type") => None,
        None => Some(Bearer::GRANT_TYPE.to_owned()),
    };
    let parameter = view.text("parameter").unwrap_or(Bearer::PARAMETER);
    if ["grant_type", "client_id", "client_secret", "scope"].contains(&parameter) {
        view.problem("parameter", "is the name of another parameter", report);
    }
    Some(Bearer {
        assertion,
        parameter: parameter.to_owned(),
        grant_type,
    })
}

pub(super) fn assertion(
    view: &View<'_>,
    parameters: &mut Parameters<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<Assertion> {
    if !view.has("key") || view.removed("key") {
        view.problem("key", "is missing", report);
    }
    let key = candidates(view, "key", secrets, report);
    let passphrase = view
        .node("passphrase")
        .and_then(|node| one_secret(node, &view.path("passphrase"), secrets, report));
    let algorithm = algorithm(view, report);
    let (lifetime, backdate) = times(view, report);
    let mut text = |key: &str| {
        let node = view.node(key)?;
        phrase(node, key, parameters, report)
    };
    let (issuer, subject) = (text("issuer"), text("subject"));
    let audience = match view.node("audience").map(|node| (node, &node.raw)) {
        Some((_, Raw::List(items))) => items
            .iter()
            .filter_map(|item| phrase(item, "audience", parameters, report))
            .collect(),
        Some((node, _)) => phrase(node, "audience", parameters, report)
            .into_iter()
            .collect(),
        None => Vec::new(),
    };
    let kid = view
        .node("kid")
        .and_then(|node| parameters.text(node, "assertion.kid", report).ok());
    let headers = view.below("headers");
    for (name, _) in view.entries("headers") {
        if RESERVED_HEADERS.contains(&name.as_str()) {
            headers.problem(
                name,
                "cannot be set here: it has a key of its own, or would change what is signed",
                report,
            );
        }
    }
    let claims = free(view, "claims", parameters, report);
    let headers = free(view, "headers", parameters, report);
    (!key.is_empty()).then_some(Assertion {
        key,
        passphrase,
        algorithm: algorithm?,
        kid,
        issuer,
        subject,
        audience,
        lifetime,
        issued_at: view.boolean("issued_at").unwrap_or(true),
        backdate,
        jti: match view.text("jti") {
            Some("integer") => Jti::Integer,
            Some("none") => Jti::None,
            _ => Jti::Uuid,
        },
        claims,
        headers,
    })
}

fn algorithm(view: &View<'_>, report: &mut Report) -> Option<Algorithm> {
    let key = "algorithm";
    let Some(name) = view.text(key) else {
        return (!view.has(key) || view.removed(key)).then(Algorithm::default);
    };
    let found = Algorithm::parse(name);
    if found.is_none() {
        let message = if name == "ES512" {
            "ES512 is not supported: use ES256, ES384, EdDSA, or RS and PS with 256 to 512"
                .to_owned()
        } else {
            let near = did_you_mean(name, Algorithm::ALL.map(Algorithm::as_str));
            format!("is not an algorithm for signatures{near}")
        };
        view.problem(key, message, report);
    }
    found
}

/// Lifetime and back-dating, in whole seconds.
fn times(view: &View<'_>, report: &mut Report) -> (Duration, Duration) {
    let mut whole = |key: &str, default, bounds| {
        let duration = view.bounded(key, default, bounds, report);
        Duration::from_secs(duration.as_secs())
    };
    let lifetime = whole("lifetime", Assertion::LIFETIME, LIFETIMES);
    let backdate = whole("backdate", Assertion::BACKDATE, BACKDATES);
    if lifetime <= backdate {
        let message = format!(
            "must be longer than the back-dating of {}, or the assertion is over before it is sent",
            HumanDuration(backdate)
        );
        view.problem("lifetime", message, report);
    }
    (lifetime, backdate)
}

fn phrase(
    node: &Node,
    path: &str,
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Option<Phrase> {
    let path = format!("assertion.{path}");
    parameters.phrase(node, node.text()?, &path, report).ok()
}

/// Claims or members of the header.
fn free(
    view: &View<'_>,
    key: &str,
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Vec<(Phrase, Claim)> {
    let Some(table) = view.table.and_then(|table| table.table(key)) else {
        return Vec::new();
    };
    members(table, &format!("assertion.{key}"), parameters, report)
}

fn members(
    table: &Table,
    path: &str,
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Vec<(Phrase, Claim)> {
    let mut all = Vec::with_capacity(table.0.len());
    for (name, node) in &table.0 {
        let path = format!("{path}.{name}");
        let Ok(named) = parameters.phrase(node, name, &path, report) else {
            continue;
        };
        // What needs an optional parameter that is not given is left out.
        match claim(node, &path, parameters, report) {
            Ok(value) => all.push((named, value)),
            Err(Gap::Absent | Gap::Reported) => {}
        }
    }
    all
}

fn claim(
    node: &Node,
    path: &str,
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Result<Claim, Gap> {
    Ok(match &node.raw {
        Raw::Bool(value) => Claim::Bool(*value),
        Raw::Int(value) => Claim::Integer(*value),
        Raw::Float(value) => Claim::Float(*value),
        Raw::Text(text) => Claim::Text(parameters.phrase(node, text, path, report)?),
        Raw::Table(table) => Claim::Table(members(table, path, parameters, report)),
        Raw::List(items) => {
            let mut list = Vec::with_capacity(items.len());
            for item in items {
                match claim(item, path, parameters, report) {
                    Ok(value) => list.push(value),
                    Err(Gap::Absent) => {}
                    Err(Gap::Reported) => return Err(Gap::Reported),
                }
            }
            Claim::List(list)
        }
        Raw::Null | Raw::Bad => return Err(Gap::Reported),
    })
}

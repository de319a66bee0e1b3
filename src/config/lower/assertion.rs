//! `[integrations.NAME.assertion]` and its like: a JWT that is signed, and how it is sent.

use std::time::Duration;

use super::secret::{Secrets, candidates, one_secret};
use super::{Report, View};
use crate::base::HumanDuration;
use crate::config::fill::{Parameters, Realm};
use crate::config::problem::did_you_mean;
use crate::config::tree::{Node, Raw};
use crate::spec::{Algorithm, Assertion, Bearer, Draft, Jti, Phrase, SecretCandidate};

/// A year: longer is a mistake, and what is never to expire is a `static` token.
const LIFETIMES: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(366 * 24 * 3600));
const BACKDATES: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(3600));
/// Of the header: set by keys of their own, or changing what is signed.
const RESERVED_HEADERS: [&str; 4] = ["alg", "kid", "b64", "crit"];

/// What differs between assertions.
pub(super) struct Signing<'a> {
    /// Unless one is named.
    pub(super) algorithm: Algorithm,
    /// What signs where no key is named.
    pub(super) shared: &'a [SecretCandidate],
    pub(super) realm: Realm,
}

impl Signing<'_> {
    /// Of a grant.
    pub(super) const PLAIN: Signing<'static> = Signing {
        algorithm: Algorithm::Rs256,
        shared: &[],
        realm: Realm::Assertion { steps: 0 },
    };
}

/// The assertion of `jwt_bearer`.
pub(super) fn bearer(
    view: &View<'_>,
    parameters: &mut Parameters<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<Bearer> {
    let assertion = assertion(view, &Signing::PLAIN, parameters, secrets, report)?;
    let claims = |name: &str| {
        let named = |(known, _): &(Phrase, Draft)| *known == Phrase::literal(name);
        assertion.claims.iter().any(named)
    };
    for (key, claim, given) in [
        ("issuer", "iss", assertion.issuer.is_some()),
        ("audience", "aud", !assertion.audience.is_empty()),
    ] {
        if !given && !claims(claim) && (!view.has(key) || view.removed(key)) {
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
    signing: &Signing<'_>,
    parameters: &mut Parameters<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<Assertion> {
    let unset = !view.has("key") || view.removed("key");
    if unset && signing.shared.is_empty() {
        view.problem("key", "is missing", report);
    }
    let key = if unset {
        signing.shared.to_vec()
    } else {
        candidates(view, "key", secrets, report)
    };
    let mut secret = |key: &str| {
        let node = view.node(key)?;
        one_secret(node, &view.path(key), secrets, report)
    };
    let (passphrase, certificate) = (secret("passphrase"), secret("certificate"));
    let algorithm = algorithm(view, signing.algorithm, report);
    let (lifetime, backdate) = times(view, report);
    let mut phrase = |node: &Node, key: &str| {
        let path = below_the_integration(&view.path(key));
        parameters
            .phrase(node, node.text()?, &path, signing.realm, report)
            .ok()
    };
    let mut text = |key: &str| phrase(view.node(key)?, key);
    let (issuer, subject) = (text("issuer"), text("subject"));
    let audience = match view.node("audience").map(|node| (node, &node.raw)) {
        Some((_, Raw::List(items))) => items
            .iter()
            .filter_map(|item| phrase(item, "audience"))
            .collect(),
        Some((node, _)) => phrase(node, "audience").into_iter().collect(),
        None => Vec::new(),
    };
    let kid = view.node("kid").and_then(|node| {
        let path = below_the_integration(&view.path("kid"));
        parameters.text(node, &path, report).ok()
    });
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
    let mut members = |key: &str| {
        let path = below_the_integration(&view.path(key));
        let table = view.table.and_then(|table| table.table(key));
        table.map_or_else(Vec::new, |table| {
            parameters.members(table, &path, signing.realm, report)
        })
    };
    let (claims, headers) = (members("claims"), members("headers"));
    (!key.is_empty()).then_some(Assertion {
        key,
        passphrase,
        certificate,
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

/// `integrations.NAME.assertion.kid` without its first two steps.
fn below_the_integration(path: &str) -> String {
    path.splitn(3, '.').nth(2).unwrap_or_default().to_owned()
}

fn algorithm(view: &View<'_>, default: Algorithm, report: &mut Report) -> Option<Algorithm> {
    let key = "algorithm";
    let Some(name) = view.text(key) else {
        return (!view.has(key) || view.removed(key)).then_some(default);
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

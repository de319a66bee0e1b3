//! Grants that renew by refresh token: where the first one comes from, and how they are used.
//!
//! Must not know how a login goes. Invariant: what a browser is sent to or comes back to is https, or
//! http on this machine.

use std::sync::Arc;
use std::time::Duration;

use url::{Host, Url};

use super::integration::Globals;
use super::request::{endpoint, location};
use super::secret::{Secrets, one_secret};
use super::{Report, View};
use crate::config::fill::{Parameters, UrlOf};
use crate::spec::{Endpoint, FirstRefreshToken, Issuer, Listen, Refreshing, Rotation};

/// What these grants set in a token request.
pub(super) const PARAMETERS: [&str; 5] = [
    "refresh_token",
    "code",
    "redirect_uri",
    "code_verifier",
    "device_code",
];
/// Where a refresh token may come from, and the grants that read the key.
const KEYS: [(&str, &str); 5] = [
    ("refresh_token", "refresh_token"),
    ("authorization_endpoint", "authorization_code"),
    ("redirect_uri", "authorization_code"),
    ("redirect_uri_sent", "authorization_code"),
    ("device_authorization_endpoint", "device_code"),
];
const LIFETIMES: (Duration, Duration) =
    (Duration::from_mins(1), Duration::from_hours(100 * 365 * 24));

/// Where the broker takes redirects.
const CALLBACK: &str = "/login/callback";

pub(super) fn refreshing(
    view: &View<'_>,
    grant: &str,
    issuer: Option<&Arc<Issuer>>,
    globals: &Globals<'_>,
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Option<Refreshing> {
    refuse_other_beginnings(view, grant, report);
    let first = match grant {
        "authorization_code" => {
            let callback = (globals.callback.as_ref(), globals.listen);
            browser(view, issuer, callback, parameters, report)
        }
        "device_code" => {
            let key = "device_authorization_endpoint";
            location(view, key, issuer, parameters, report).map(|found| {
                FirstRefreshToken::DeviceCode {
                    device_authorization_endpoint: found,
                }
            })
        }
        _ => configured(view, globals.secrets, report),
    };
    let refresh_endpoint = match view.node("refresh_endpoint") {
        Some(_) => Some(endpoint(view, "refresh_endpoint", parameters, report)?),
        None => None,
    };
    let rotation = match view.text("refresh_token_rotation") {
        Some("always") => Rotation::Always,
        Some("never") => Rotation::Never,
        _ => Rotation::Maybe,
    };
    let mut lifetime = |key: &str| {
        view.node(key)
            .map(|_| view.bounded(key, LIFETIMES.1, LIFETIMES, report))
    };
    let (lifetime, idle_lifetime) = (
        lifetime("refresh_token_lifetime"),
        lifetime("refresh_token_idle_lifetime"),
    );
    Some(Refreshing {
        first: first?,
        refresh_endpoint,
        rotation,
        lifetime,
        idle_lifetime,
    })
}

/// Keys of another way to the first refresh token, unless they are only what the provider brings.
fn refuse_other_beginnings(view: &View<'_>, grant: &str, report: &mut Report) {
    for (key, reader) in KEYS {
        let own = view.node(key).is_some_and(|node| !node.is_providers());
        if !own || reader == grant {
            continue;
        }
        let message = if key == "refresh_token" {
            format!(
                "is not used by grant = \"{grant}\", where a login brings it: remove it, or set \
                 grant = \"refresh_token\" to begin with this one"
            )
        } else {
            format!("is not used by grant = \"{grant}\": remove it")
        };
        view.problem(key, message, report);
    }
}

fn configured(
    view: &View<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<FirstRefreshToken> {
    let key = "refresh_token";
    let Some(node) = view.node(key) else {
        if !view.has(key) || view.removed(key) {
            let message = "is missing: name the first one, or set grant = \"authorization_code\" or \
                           \"device_code\" to get it by a login";
            view.problem(key, message, report);
        }
        return None;
    };
    one_secret(node, &view.path(key), secrets, report).map(FirstRefreshToken::Configured)
}

/// `callback` is where a browser on this machine finds the broker, if that is known, and what the
/// broker listens on.
fn browser(
    view: &View<'_>,
    issuer: Option<&Arc<Issuer>>,
    callback: (Option<&Url>, &[Listen]),
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Option<FirstRefreshToken> {
    let key = "authorization_endpoint";
    let authorization_endpoint = location(view, key, issuer, parameters, report);
    let redirect_uri = redirect_uri(view, callback, parameters, report);
    Some(FirstRefreshToken::AuthorizationCode {
        authorization_endpoint: authorization_endpoint?,
        redirect_uri: redirect_uri?,
        // RFC 9207: compared letter by letter, so it stays as it is written.
        issuer: issuer.map(|issuer| issuer.as_str().to_owned()),
    })
}

fn redirect_uri(
    view: &View<'_>,
    (callback, listen): (Option<&Url>, &[Listen]),
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Option<Url> {
    let key = "redirect_uri";
    let Some(node) = view.node(key) else {
        let unset = !view.has(key) || view.removed(key);
        if unset && callback.is_none() {
            let message = "is missing: server.listen has no TCP port of its own from which it \
                           could follow; write the URI that is registered at the vendor";
            view.problem(key, message, report);
        }
        return callback.filter(|_| unset).cloned();
    };
    let text = parameters
        .url(node, key, UrlOf::Endpoint, report)
        .ok()?
        .render(|_| None)
        .ok()?;
    let Ok(uri) = Endpoint::parse(&text) else {
        let message = "must be https://, or http:// to this machine, without user and fragment";
        view.problem(key, message, report);
        return None;
    };
    if uri.url().as_str() != text {
        let message = "is sent in its normal form (lower-case host, '/' for no path): register it \
                       like that, since vendors compare letter by letter";
        view.warning(key, message, report);
    }
    if leads_nowhere(uri.url(), listen) {
        let message = "leads to this machine, but not to where the broker takes redirects \
                       (http://127.0.0.1:PORT/login/callback, with a port of server.listen): after \
                       the consent the browser shows an error, and its address is to be pasted into \
                       'token-broker login'";
        view.warning(key, message, report);
    }
    Some(uri.url().clone())
}

/// Whether a browser on this machine would come back to something else than the broker.
fn leads_nowhere(uri: &Url, listen: &[Listen]) -> bool {
    let here = match uri.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    // Port 0 is one that is not known yet.
    let heard = listen.iter().any(|listen| match listen {
        Listen::Tcp(address) => {
            address.port() == 0 || Some(address.port()) == uri.port_or_known_default()
        }
        Listen::Unix(_) => false,
    });
    here && (uri.scheme() != "http" || uri.path() != CALLBACK || !heard)
}

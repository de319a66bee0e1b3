//! What a person reads while logging in.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::follow::Way;
use crate::base::{HumanDuration, IntegrationId};
use crate::net::local::Target;

/// Where the broker takes redirects.
const CALLBACK: &str = "/login/callback";

/// `broker` is where it was asked.
pub(super) fn opening(name: &IntegrationId, way: &Way, paste: bool, broker: &Target) -> String {
    // Writing to a string cannot fail.
    let mut text = String::new();
    match way {
        Way::Browser {
            page,
            redirect_uri,
            lasts,
        } => {
            let time = HumanDuration(*lasts);
            let _infallible = write!(
                text,
                "{name}: open this page in a browser and consent (you have {time}):\n\n  {page}\n\n"
            );
            text.push_str(&coming_back(redirect_uri.as_ref(), paste, broker));
        }
        Way::Device {
            code,
            page,
            complete,
            lasts,
        } => {
            let time = HumanDuration(*lasts);
            let _infallible = write!(
                text,
                "{name}: enter this code on the vendor's page, on any device (you have {time}):\n\n  \
                 code:  {code}\n  page:  {page}"
            );
            if let Some(complete) = complete {
                let _infallible = write!(text, "\n  or:    {complete}   (the code is filled in)");
            }
            text.push('\n');
        }
    }
    text
}

fn coming_back(redirect_uri: Option<&Url>, paste: bool, broker: &Target) -> String {
    const PASTE: &str = "paste the whole address at which the browser ends, even if it shows no page there, and \
                         press Enter";
    let Some(redirect_uri) = redirect_uri else {
        return format!("Then {PASTE}.");
    };
    let host = redirect_uri.host_str().unwrap_or_default();
    let loopback = ["127.0.0.1", "[::1]", "localhost"].contains(&host);
    let is_ours = redirect_uri.scheme() == "http" && redirect_uri.path() == CALLBACK;
    if paste || !loopback || !is_ours {
        return format!("It ends at {redirect_uri}\nThen {PASTE}.");
    }
    let port = redirect_uri.port_or_known_default().unwrap_or_default();
    let known = match broker {
        Target::Tcp(address) => address.ends_with(&format!(":{port}")),
        // Of its other listeners nothing is known here.
        Target::Unix(_) => false,
    };
    let then = if known {
        "and the login is complete."
    } else {
        "and, if the broker listens there, the login is complete."
    };
    format!(
        "The browser comes back to {redirect_uri} {then}\n\
         If the broker is not on the browser's machine, lead it there before you open the page:\n  \
         over SSH:        ssh -L {port}:127.0.0.1:{port} HOST\n  \
         in Kubernetes:   kubectl port-forward POD {port}:{port}\n\
         Or {PASTE}."
    )
}

/// The integration as it is after a login.
pub(super) fn done(name: &IntegrationId, status: &Value) -> String {
    let left = status.get("expires_in").and_then(Value::as_u64);
    let renews = "and renews it by itself";
    match left {
        Some(seconds) => {
            let left = HumanDuration(Duration::from_secs(seconds));
            format!("{name}: logged in; the broker has a token that is good for {left}, {renews}")
        }
        None => format!("{name}: logged in; the broker has a token, {renews}"),
    }
}

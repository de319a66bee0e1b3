//! What a browser sees: the authorization page and the page for device codes.
//!
//! Invariant: whatever is shown of a request is escaped, and nobody is sent anywhere but to a
//! loopback or `https://` address.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use http::header::{HeaderValue, LOCATION};
use http::{Method, StatusCode};
use url::{Host, Url};

use super::grants::{Consent, Grants};
use crate::sandbox::reply::Reply;
use crate::sandbox::vendor::Vendor;

const HTML: &str = "text/html; charset=utf-8";
/// What an authorization request may bring, and the page brings back.
const KEPT: [&str; 7] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
];

/// One request of a browser.
pub(in crate::sandbox) struct Visit<'a> {
    pub(in crate::sandbox) address: SocketAddr,
    pub(in crate::sandbox) method: &'a Method,
    /// Behind the vendor's name.
    pub(in crate::sandbox) path: &'a str,
    pub(in crate::sandbox) query: &'a str,
    pub(in crate::sandbox) body: &'a [u8],
}

/// `None`: no page of this vendor.
pub(in crate::sandbox) fn visit(
    grants: &mut Grants,
    vendor: &Vendor,
    visit: &Visit<'_>,
) -> Option<Reply> {
    let sent = match *visit.method {
        Method::GET => visit.query.as_bytes(),
        Method::POST => visit.body,
        _ => return None,
    };
    let fields: HashMap<String, String> = url::form_urlencoded::parse(sent).into_owned().collect();
    match visit.path {
        "/authorize" => Some(authorize(grants, vendor, visit.address, &fields)),
        "/device" => Some(device(grants, vendor, &fields)),
        _ => None,
    }
}

fn field<'a>(fields: &'a HashMap<String, String>, name: &str) -> &'a str {
    fields.get(name).map_or("", String::as_str)
}

/// RFC 6749 section 4.1.1 with RFC 7636 and RFC 9207.
fn authorize(
    grants: &mut Grants,
    vendor: &Vendor,
    address: SocketAddr,
    fields: &HashMap<String, String>,
) -> Reply {
    let redirect_uri = field(fields, "redirect_uri");
    let Some(mut back) = Url::parse(redirect_uri).ok().filter(is_way_back) else {
        let says = "redirect_uri must be https:// or a loopback address";
        return page(StatusCode::BAD_REQUEST, "Cannot go on", says);
    };
    if field(fields, "client_id") != vendor.client_id {
        return page(
            StatusCode::BAD_REQUEST,
            "Cannot go on",
            "client_id is unknown here",
        );
    }
    let challenge = field(fields, "code_challenge");
    let decision = match (grants.settings.consent, field(fields, "decision")) {
        (Consent::Allow, _) | (Consent::Ask, "allow") => Some(true),
        (Consent::Deny, _) | (Consent::Ask, "deny") => Some(false),
        (Consent::Ask, _) => None,
    };
    let answer = if field(fields, "response_type") != "code" {
        ("error", "unsupported_response_type".to_owned())
    } else if field(fields, "code_challenge_method") != "S256" || challenge.len() != 43 {
        ("error", "invalid_request".to_owned())
    } else {
        match decision {
            None => return consent_page(vendor, fields),
            Some(false) => ("error", "access_denied".to_owned()),
            Some(true) => {
                let scope = Some(field(fields, "scope")).filter(|scope| !scope.is_empty());
                let code = grants.new_code(challenge, redirect_uri, scope.unwrap_or("read"));
                ("code", code)
            }
        }
    };
    let issuer = format!("http://{address}/{}", vendor.name);
    {
        let mut query = back.query_pairs_mut();
        query.append_pair(answer.0, &answer.1);
        if let Some(state) = fields.get("state") {
            query.append_pair("state", state);
        }
        query.append_pair("iss", &issuer);
    }
    let location = HeaderValue::from_str(back.as_str()).unwrap_or(HeaderValue::from_static("/"));
    Reply::text(StatusCode::SEE_OTHER, "text/plain", String::new()).with(LOCATION, location)
}

fn is_way_back(url: &Url) -> bool {
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    (url.scheme() == "https" || (url.scheme() == "http" && here)) && url.fragment().is_none()
}

fn consent_page(vendor: &Vendor, fields: &HashMap<String, String>) -> Reply {
    let mut hidden = String::new();
    for name in KEPT {
        if let Some(value) = fields.get(name) {
            let value = escaped(value);
            let _infallible = write!(
                hidden,
                "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"
            );
        }
    }
    let scope = escaped(field(fields, "scope"));
    let form = format!(
        "<p>An application asks for: <b>{scope}</b></p><form method=\"post\" \
         action=\"authorize\">{hidden}{BUTTONS}</form>"
    );
    html(
        StatusCode::OK,
        &format!("{} (emulated)", vendor.name),
        &form,
    )
}

fn device(grants: &mut Grants, vendor: &Vendor, fields: &HashMap<String, String>) -> Reply {
    let user_code = field(fields, "user_code");
    let allow = match field(fields, "decision") {
        "allow" => true,
        "deny" => false,
        _ => {
            let form = format!(
                "<form method=\"post\" action=\"device\"><p>Code: <input name=\"user_code\" \
                 value=\"{}\"></p>{BUTTONS}</form>",
                escaped(user_code)
            );
            return html(
                StatusCode::OK,
                &format!("{} (emulated)", vendor.name),
                &form,
            );
        }
    };
    if grants.decide(user_code, allow) {
        page(StatusCode::OK, "Done", "You can close this page.")
    } else {
        page(
            StatusCode::NOT_FOUND,
            "Unknown code",
            "Nobody waits under this code (any more).",
        )
    }
}

const BUTTONS: &str = "<button name=\"decision\" value=\"allow\">Allow</button> \
                       <button name=\"decision\" value=\"deny\">Deny</button>";

fn page(status: StatusCode, title: &str, says: &str) -> Reply {
    html(status, title, &format!("<p>{}</p>", escaped(says)))
}

fn html(status: StatusCode, title: &str, body: &str) -> Reply {
    let title = escaped(title);
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         </head><body><h1>{title}</h1>{body}</body></html>"
    );
    Reply::text(status, HTML, text)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

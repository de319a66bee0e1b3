//! Who may ask at all: local programs, not web pages and not what a proxy passes on.
//!
//! A page in a browser can reach loopback, by its address or by a name that resolves to it; what
//! it cannot do is hide where it comes from. Must not know any route.

use std::net::{IpAddr, Ipv6Addr};

use hyper::header::{HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Uri, Version};

use super::error::Problem;
use crate::spec::{Access, Server};

const HEADERS_MAX: usize = 16 * 1024;
const URI_MAX: usize = 8 * 1024;

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Tcp,
    /// No browser can open one, so the name in `Host` says nothing.
    Unix,
}

/// From what a request may be exempt, because of what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exemption {
    /// From the required header.
    Header,
    /// From the rule that no web page may have sent it.
    WebPage,
}

#[derive(Debug)]
pub(super) struct Guards {
    hosts: Vec<String>,
}

/// What one pass over the headers finds.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent findings, each read once"
)]
struct Found<'a> {
    size: usize,
    hosts: usize,
    host: Option<&'a HeaderValue>,
    origin: bool,
    cross_site: bool,
    forwarded: bool,
    required: bool,
}

fn look<'a>(headers: &'a HeaderMap, required: Option<&str>) -> Found<'a> {
    let mut found = Found::default();
    for (name, value) in headers {
        found.size += name.as_str().len() + value.len() + 4;
        match name.as_str() {
            "host" => {
                found.hosts += 1;
                found.host = Some(value);
            }
            "origin" => found.origin = true,
            "sec-fetch-site" => {
                found.cross_site |= !matches!(value.as_bytes(), b"same-origin" | b"none");
            }
            "forwarded" | "x-real-ip" | "via" => found.forwarded = true,
            other => found.forwarded |= other.starts_with("x-forwarded"),
        }
        found.required |= required == Some(name.as_str());
    }
    found
}

impl Guards {
    pub(super) fn new(server: &Server) -> Self {
        Self {
            hosts: server.hosts.clone(),
        }
    }

    /// `exempt` is asked only where the answer matters.
    pub(super) fn check(
        &self,
        peer: Peer,
        request: &Parts,
        access: &Access,
        exempt: impl Fn(Exemption) -> bool,
    ) -> Result<(), Problem> {
        let required = access.require_header.as_deref();
        let found = look(&request.headers, required);
        limits(&request.uri, found.size)?;
        if peer == Peer::Tcp {
            self.check_host(request, &found)?;
        }
        let foreign_origin = found.origin && !same_origin(&request.headers, found.host);
        let from_a_page = found.cross_site || foreign_origin;
        if from_a_page && !exempt(Exemption::WebPage) {
            return Err(Problem::denied_access(if found.cross_site {
                "A web page of another site sent this request (Sec-Fetch-Site). Programs do not send that header."
            } else {
                "The Origin header is not http:// plus the Host of this request. Programs do not send that header."
            }));
        }
        if found.forwarded {
            return Err(Problem::denied_access(
                "The request was marked as forwarded (Forwarded, X-Forwarded-*, X-Real-IP or Via), and the broker \
                 serves local programs only. Ask it directly, without a proxy in between.",
            ));
        }
        match required {
            Some(name) if !found.required && !exempt(Exemption::Header) => {
                Err(Problem::denied_access(format!(
                    "Every request must carry the header {name} ([access] require_header); its value does not matter."
                )))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_host(&self, request: &Parts, found: &Found<'_>) -> Result<(), Problem> {
        if found.hosts > 1 {
            return Err(Problem::invalid(
                "The request has more than one Host header.",
            ));
        }
        // An absolute target replaces Host (RFC 9112 section 3.2.2), so both must be ours.
        if let Some(authority) = request.uri.authority() {
            let scheme_fits = request.uri.scheme_str().is_none_or(|it| it == "http");
            if !scheme_fits || !self.is_ours(authority.as_str()) {
                return Err(self.foreign());
            }
        }
        match found.host {
            Some(host) => {
                let ours = host.to_str().is_ok_and(|host| self.is_ours(host));
                if ours { Ok(()) } else { Err(self.foreign()) }
            }
            None if request.version >= Version::HTTP_11 => {
                Err(Problem::invalid("The request has no Host header."))
            }
            None => Ok(()),
        }
    }

    fn foreign(&self) -> Problem {
        let mut detail = "The Host of this request is not localhost or a loopback address. Ask by one of these, or \
             add the name to hosts in [server]."
            .to_owned();
        if !self.hosts.is_empty() {
            detail.push_str(" Also accepted: ");
            detail.push_str(&self.hosts.join(", "));
            detail.push('.');
        }
        Problem::denied_access(detail)
    }

    fn is_ours(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else {
            return false;
        };
        if let Some(address) = name.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            return address.parse::<Ipv6Addr>().is_ok_and(is_loopback_v6);
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        // What nearly every caller sends, before what takes parsing.
        if name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        if let Ok(address) = name.parse::<IpAddr>() {
            // IPv6 without brackets is no valid Host, whatever it parses to.
            return address.is_ipv4() && address.is_loopback() || self.is_listed(name);
        }
        let below = |name: &str| {
            let labels = name
                .len()
                .checked_sub(".localhost".len())
                .and_then(|at| name.split_at_checked(at));
            labels.is_some_and(|(labels, suffix)| {
                suffix.eq_ignore_ascii_case(".localhost") && labels.split('.').all(is_label)
            })
        };
        below(name) || self.is_listed(name)
    }

    fn is_listed(&self, name: &str) -> bool {
        self.hosts
            .iter()
            .any(|host| host.eq_ignore_ascii_case(name))
    }
}

/// The limits that hold on every listener.
pub(super) fn limits(uri: &Uri, headers: usize) -> Result<(), Problem> {
    let target = uri.path_and_query().map_or(0, |it| it.as_str().len())
        + uri.authority().map_or(0, |it| it.as_str().len());
    if target > URI_MAX {
        return Err(Problem::uri_too_long(URI_MAX));
    }
    if headers > HEADERS_MAX {
        return Err(Problem::headers_too_large(HEADERS_MAX));
    }
    Ok(())
}

/// The size of a header block as it was on the wire, near enough.
pub(super) fn headers_size(headers: &HeaderMap) -> usize {
    let sizes = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    sizes.sum()
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// A v4-mapped address is the v4 address it stands for.
fn is_loopback_v6(address: Ipv6Addr) -> bool {
    match address.to_ipv4_mapped() {
        Some(address) => address.is_loopback(),
        None => address.is_loopback(),
    }
}

/// The host without its port; `None` if what follows the colon is no port.
fn without_port(host: &str) -> Option<&str> {
    let after_address = host.rfind(']').map_or(0, |at| at + 1);
    let (address, rest) = host.split_at_checked(after_address)?;
    let Some((name, port)) = rest.split_once(':') else {
        return Some(host);
    };
    let is_port = port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    if !is_port {
        return None;
    }
    if address.is_empty() {
        Some(name)
    } else {
        // Nothing may stand between the bracket and the colon.
        name.is_empty().then_some(address)
    }
}

/// Whether every `Origin` is `http://` and this request's own host.
fn same_origin(headers: &HeaderMap, host: Option<&HeaderValue>) -> bool {
    let Some(host) = host.and_then(|host| host.to_str().ok()) else {
        return false;
    };
    headers.get_all("origin").iter().all(|origin| {
        let origin = origin.to_str().ok();
        let origin = origin.and_then(|origin| origin.strip_prefix("http://"));
        origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let server = Server {
            hosts: vec!["broker.corp.example".to_owned(), "10.0.0.7".to_owned()],
            ..Server::default()
        };
        let guards = Guards::new(&server);
        for ours in [
            "localhost",
            "LOCALHOST:8656",
            "localhost.",
            "localhost.:1",
            "localhost:",
            "a.localhost",
            "a.B.localhost.:80",
            "127.0.0.1",
            "127.8.9.1:8656",
            "[::1]",
            "[::1]:8656",
            "[::ffff:127.0.0.1]:1",
            "[0:0:0:0:0:0:0:1]",
            "broker.corp.example",
            "Broker.Corp.Example.:8656",
            "10.0.0.7:1",
        ] {
            assert!(guards.is_ours(ours), "{ours}");
        }
        for foreign in [
            "",
            ".",
            ":8656",
            "evil.example",
            "localhost.evil.example",
            "evil-localhost",
            "evillocalhost",
            ".localhost",
            "a..localhost",
            "127.0.0.1.evil.example",
            "127.0.0.1.nip.io",
            "0.0.0.0",
            "10.0.0.8",
            "169.254.169.254",
            "[::]",
            "[::2]",
            "[::ffff:10.0.0.1]",
            "[::1",
            "::1",
            "[::1]x:1",
            "[::1%25lo]",
            "localhost:http",
            "localhost:1:2",
            "user@localhost",
            "localhost/",
            "localhost localhost",
            "2130706433",
            "0x7f.1",
            "127.1",
        ] {
            assert!(!guards.is_ours(foreign), "{foreign}");
        }
    }
}

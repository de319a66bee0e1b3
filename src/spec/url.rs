//! URLs a secret may be sent to.

use std::fmt;
use std::net::IpAddr;

use ::url::{Host, Url};

/// `https://` anywhere, or `http://` to a loopback host; no userinfo, no fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("is not a URL: write it out, as in https://auth.example.com/oauth/token")]
    NotAUrl,
    #[error("must be https:// (http:// is for loopback hosts only): it carries credentials")]
    NotHttps,
    #[error("must not hold a user or password: use client_id and client_secret")]
    Userinfo,
    #[error("must not have a fragment (#...)")]
    Fragment,
    #[error("must not have a query (?...)")]
    Query,
}

impl Endpoint {
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        #[expect(
            clippy::map_err_ignore,
            reason = "the parser's text says less than ours"
        )]
        let url = Url::parse(text).map_err(|_| EndpointError::NotAUrl)?;
        let loopback = is_loopback(&url.host().ok_or(EndpointError::NotAUrl)?);
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => return Err(EndpointError::NotHttps),
            _ => return Err(EndpointError::NotAUrl),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Userinfo);
        }
        if url.fragment().is_some() {
            return Err(EndpointError::Fragment);
        }
        Ok(Self(url))
    }

    pub fn url(&self) -> &Url {
        &self.0
    }

    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Host and port, the port always written.
    pub fn authority(&self) -> String {
        format!(
            "{}:{}",
            self.host(),
            self.0.port_or_known_default().unwrap_or_default()
        )
    }

    pub fn is_loopback(&self) -> bool {
        self.0.host().is_some_and(|host| is_loopback(&host))
    }

    /// Written as an address of this machine or of its link, where metadata services of clouds are:
    /// nowhere that somebody elsewhere has a reason to send us.
    pub fn is_inward(&self) -> bool {
        let ip = match self.0.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            Some(Host::Domain(_)) | None => None,
        };
        self.is_loopback() || ip.is_some_and(is_link_local_or_unspecified)
    }
}

/// IPv4 in IPv6 is what it stands for.
fn is_link_local_or_unspecified(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_unspecified(),
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
    }
}

/// Without the query, which could carry what nobody should read.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.host())?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.0.path())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_fit_for_secrets() {
        for good in [
            "https://auth.example.com/oauth/token",
            "https://10.0.0.1/token",
            "http://127.0.0.1:9/token",
            "http://localhost/token",
            "http://[::1]:80/t",
            "http://vendor.localhost:1/t",
        ] {
            assert!(Endpoint::parse(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("http://auth.example.com/", EndpointError::NotHttps),
            ("http://localhost.evil.example/", EndpointError::NotHttps),
            ("auth.example.com/token", EndpointError::NotAUrl),
            ("ftp://x.example/", EndpointError::NotAUrl),
            ("https://u:p@x.example/", EndpointError::Userinfo),
            ("https://x.example/#a", EndpointError::Fragment),
            ("", EndpointError::NotAUrl),
        ] {
            assert_eq!(Endpoint::parse(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn printing_leaves_the_query_out() {
        let endpoint = Endpoint::parse("https://x.example:444/t?key=s3cret").unwrap();
        assert_eq!(
            format!("{endpoint} {endpoint:?}"),
            "https://x.example:444/t https://x.example:444/t"
        );
        assert_eq!(endpoint.authority(), "x.example:444");
        assert_eq!(
            Endpoint::parse("https://x.example/").unwrap().authority(),
            "x.example:443"
        );
    }
}

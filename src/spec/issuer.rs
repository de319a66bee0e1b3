//! Where an endpoint is: written out, or in the metadata of an issuer.

use std::fmt;
use std::sync::Arc;

use ::url::Url;

use super::url::{Endpoint, EndpointError};

/// An authorization server by its identifier: a URL as with an endpoint, without a query.
#[derive(Clone, PartialEq, Eq)]
pub struct Issuer {
    /// As it was written: its metadata must name it letter by letter (RFC 8414 section 3.3).
    text: String,
    url: Endpoint,
}

impl Issuer {
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let url = Endpoint::parse(text)?;
        if url.url().query().is_some() {
            return Err(EndpointError::Query);
        }
        Ok(Self {
            text: text.to_owned(),
            url,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.url
    }

    /// Where its metadata is: by OpenID Connect Discovery 1.0 section 4, then by RFC 8414 section
    /// 3.1, which puts the well-known part before the path.
    pub fn metadata(&self) -> [Url; 2] {
        let path = self.url.url().path().trim_end_matches('/');
        let with_path = |path: &str| {
            let mut url = self.url.url().clone();
            url.set_path(path);
            url
        };
        [
            with_path(&format!("{path}/.well-known/openid-configuration")),
            with_path(&format!("/.well-known/oauth-authorization-server{path}")),
        ]
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// An endpoint, known or to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Known(Endpoint),
    /// Whatever the metadata of this issuer says.
    Of(Arc<Issuer>),
}

impl Location {
    /// The endpoint, or the issuer that knows it.
    pub fn nearest(&self) -> &Endpoint {
        match self {
            Self::Known(endpoint) => endpoint,
            Self::Of(issuer) => issuer.endpoint(),
        }
    }

    pub fn known(&self) -> Option<&Endpoint> {
        match self {
            Self::Known(endpoint) => Some(endpoint),
            Self::Of(_) => None,
        }
    }

    pub fn issuer(&self) -> Option<&Arc<Issuer>> {
        match self {
            Self::Known(_) => None,
            Self::Of(issuer) => Some(issuer),
        }
    }
}

impl From<Endpoint> for Location {
    fn from(endpoint: Endpoint) -> Self {
        Self::Known(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_places() {
        for (issuer, openid, oauth) in [
            (
                "https://as.example",
                "https://as.example/.well-known/openid-configuration",
                "https://as.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://as.example/",
                "https://as.example/.well-known/openid-configuration",
                "https://as.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://as.example:8443/realms/a%20b",
                "https://as.example:8443/realms/a%20b/.well-known/openid-configuration",
                "https://as.example:8443/.well-known/oauth-authorization-server/realms/a%20b",
            ),
        ] {
            let [first, second] = Issuer::parse(issuer).unwrap().metadata();
            assert_eq!((first.as_str(), second.as_str()), (openid, oauth));
        }
    }

    #[test]
    fn an_issuer_is_a_plain_url() {
        for bad in [
            "http://as.example",
            "https://as.example?x=1",
            "https://as.example#x",
            "https://u@as.example",
            "as.example",
        ] {
            assert!(Issuer::parse(bad).is_err(), "{bad}");
        }
        assert!(Issuer::parse("http://127.0.0.1:1/x").is_ok());
    }
}

//! The request to a token endpoint.

use std::sync::Arc;

use super::assertion::Assertion;
use super::issuer::Location;
use super::phrase::{Draft, Part, Phrase};
use super::secret::{SecretCandidate, SecretSource};

/// A request to a token endpoint. Nothing is sent that is not named here, and empty values are
/// left out: some vendors refuse unknown members, one gives a token without permissions for an
/// empty `scope`.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenRequest {
    pub endpoint: Location,
    pub auth: ClientAuth,
    pub format: RequestFormat,
    pub method: Method,
    pub client_id: Option<String>,
    /// In the order to try; not empty for the methods that need one.
    pub client_secret: Vec<SecretCandidate>,
    /// Already joined; never empty.
    pub scope: Option<String>,
    /// Further parameters in the order of the configuration; they win over those of the same name.
    pub params: Vec<(String, Draft)>,
    /// Further headers: valid lower-case names, never one that the request itself needs.
    pub headers: Vec<(String, Phrase)>,
    /// What most requests do without; there may be thousands of those.
    pub seldom: Option<Box<Seldom>>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seldom {
    /// What the grant itself sends, where that is no more than parameters.
    pub own: Vec<(&'static str, Phrase)>,
    /// Where this vendor's requests differ from the standard's.
    pub dialect: Dialect,
    /// Presented to the vendor's server while connecting (RFC 8705).
    pub certificate: Option<ClientCertificate>,
}

/// How a client names itself.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientAuth {
    Basic(BasicEncoding),
    Post,
    /// RFC 7523 section 2.2: a JWT. Without an audience of its own it is for the token endpoint.
    Assertion(Arc<Assertion>),
    /// The same, signed by somebody else.
    AssertionFile(Box<SecretSource>),
    /// Only the client's id, if that; or the client's certificate, or what `params` and `headers`
    /// make of the client secret.
    None,
}

/// How id and secret are written into `Authorization: Basic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BasicEncoding {
    /// RFC 6749 section 2.3.1: form-encoded first.
    #[default]
    Form,
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestFormat {
    #[default]
    Form,
    Json,
    Query,
    /// RFC 7578.
    Multipart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    #[default]
    Post,
    /// Only without a body.
    Get,
}

/// Where a vendor's words and places are its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dialect {
    /// What a parameter of the standard is called instead; empty: it is not sent.
    pub names: Vec<(String, String)>,
    /// Parameters that go into the query whatever the format, by the names they are sent under.
    pub in_query: Vec<String>,
    /// The words of the scope are a list.
    pub scope_is_list: bool,
    /// A refresh names the scope again (RFC 6749 section 6 leaves it out).
    pub refresh_sends_scope: bool,
    /// The name that the vendor has for the redirect URI, sent in its place.
    pub redirect_uri_sent: Option<String>,
    /// A refresh names this again.
    pub refresh_sends_redirect_uri: Option<String>,
}

impl Dialect {
    /// What the vendor calls it; empty: it does not want it.
    pub fn name<'a>(&'a self, standard: &'a str) -> &'a str {
        let known = self.names.iter().find(|(known, _)| known == standard);
        known.map_or(standard, |(_, name)| name)
    }
}

/// A certificate with its key, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// With those of the authorities in between, if the vendor needs them.
    pub certificate: SecretSource,
    pub key: SecretSource,
}

#[cfg(test)]
impl TokenRequest {
    /// With nothing in it.
    pub(crate) fn to(endpoint: &str) -> Self {
        let endpoint = super::Endpoint::parse(endpoint).unwrap();
        Self {
            endpoint: Location::Known(endpoint),
            auth: ClientAuth::None,
            format: RequestFormat::Form,
            method: Method::Post,
            client_id: None,
            client_secret: Vec::new(),
            scope: None,
            params: Vec::new(),
            headers: Vec::new(),
            seldom: None,
        }
    }
}

impl TokenRequest {
    /// Those of which one is used at a time: client secrets, or the keys that sign for the client.
    pub fn credentials(&self) -> &[SecretCandidate] {
        match &self.auth {
            ClientAuth::Assertion(assertion) => &assertion.key,
            ClientAuth::Basic(_)
            | ClientAuth::Post
            | ClientAuth::AssertionFile(_)
            | ClientAuth::None => &self.client_secret,
        }
    }

    /// The assertion that the client names itself by.
    pub fn client_assertion(&self) -> Option<&Arc<Assertion>> {
        match &self.auth {
            ClientAuth::Assertion(assertion) => Some(assertion),
            ClientAuth::Basic(_)
            | ClientAuth::Post
            | ClientAuth::AssertionFile(_)
            | ClientAuth::None => None,
        }
    }

    /// What the grant itself sends, where that is no more than parameters.
    pub fn own(&self) -> &[(&'static str, Phrase)] {
        self.seldom.as_ref().map_or(&[], |seldom| &seldom.own)
    }

    /// Where this vendor's requests differ from the standard's, if they do.
    pub fn dialect(&self) -> Option<&Dialect> {
        self.seldom.as_ref().map(|seldom| &seldom.dialect)
    }

    pub fn certificate(&self) -> Option<&ClientCertificate> {
        self.seldom.as_ref()?.certificate.as_ref()
    }

    /// What the vendor calls a parameter of the standard; empty: it does not want it.
    pub fn name<'a>(&'a self, standard: &'a str) -> &'a str {
        self.dialect()
            .map_or(standard, |dialect| dialect.name(standard))
    }

    /// Every part of what is sent besides the client's authentication.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Part)) {
        for (_, phrase) in self.own() {
            phrase.walk(visit);
        }
        for (_, draft) in &self.params {
            draft.walk(visit);
        }
        for (_, phrase) in &self.headers {
            phrase.walk(visit);
        }
    }
}

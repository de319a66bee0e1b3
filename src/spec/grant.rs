//! How an access token is obtained.

use super::secret::{SecretCandidate, SecretSource};
use super::template::RequestValue;
use super::url::Endpoint;
use crate::base::Timestamp;

#[derive(Debug, Clone, PartialEq)]
pub enum Grant {
    /// RFC 6749 section 4.4.
    ClientCredentials(Box<TokenRequest>),
    /// A token that somebody else obtained.
    Static(StaticToken),
}

impl Grant {
    /// The value of `grant` in the configuration and the status.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ClientCredentials(_) => "client_credentials",
            Self::Static(_) => "static",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticToken {
    pub token: SecretSource,
    pub expires_at: Option<Timestamp>,
}

/// A request to a token endpoint. Nothing is sent that is not named here, and empty values are
/// left out: some vendors refuse unknown members, one gives a token without permissions for an
/// empty `scope`.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenRequest {
    pub endpoint: Endpoint,
    pub auth: ClientAuth,
    pub format: RequestFormat,
    pub method: Method,
    pub client_id: Option<String>,
    /// In the order to try; not empty for the methods that need one.
    pub client_secret: Vec<SecretCandidate>,
    /// Already joined; never empty.
    pub scope: Option<String>,
    /// Further parameters in the order of the configuration; never a name that the grant sets.
    pub params: Vec<(String, RequestValue)>,
    /// Further headers: valid lower-case names, never one that the request itself needs.
    pub headers: Vec<(String, RequestValue)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    Basic(BasicEncoding),
    Post,
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    #[default]
    Post,
    /// Only with [`RequestFormat::Query`].
    Get,
}

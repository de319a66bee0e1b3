//! How an access token is obtained.

use super::assertion::{Assertion, Bearer};
use super::secret::{SecretCandidate, SecretSource};
use super::template::RequestValue;
use super::url::Endpoint;
use crate::base::Timestamp;

#[derive(Debug, Clone, PartialEq)]
pub enum Grant {
    /// RFC 6749 section 4.4.
    ClientCredentials(Box<TokenRequest>),
    /// RFC 7523 section 2.1, with the variants of vendors.
    JwtBearer(Box<TokenRequest>, Box<Bearer>),
    /// A JWT of our own making is the token.
    SignedJwt(Box<Assertion>),
    /// A token that somebody else obtained.
    Static(StaticToken),
}

impl Grant {
    /// The value of `grant` in the configuration and the status.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ClientCredentials(_) => "client_credentials",
            Self::JwtBearer(..) => "jwt_bearer",
            Self::SignedJwt(_) => "signed_jwt",
            Self::Static(_) => "static",
        }
    }

    /// What is sent to a token endpoint, for grants that ask one.
    pub fn request(&self) -> Option<&TokenRequest> {
        match self {
            Self::ClientCredentials(request) | Self::JwtBearer(request, _) => Some(request),
            Self::SignedJwt(_) | Self::Static(_) => None,
        }
    }

    /// The JWT that is signed, for grants that sign one.
    pub fn assertion(&self) -> Option<&Assertion> {
        match self {
            Self::JwtBearer(_, bearer) => Some(&bearer.assertion),
            Self::SignedJwt(assertion) => Some(assertion),
            Self::ClientCredentials(_) | Self::Static(_) => None,
        }
    }

    /// The list in which an issued token's `secret_in_use` counts: the client secrets, or the keys
    /// of an assertion where there is more than one or no client secret.
    pub fn secrets(&self) -> &[SecretCandidate] {
        match self {
            Self::JwtBearer(_, bearer) if self.counts_keys() => &bearer.assertion.key,
            Self::ClientCredentials(request) | Self::JwtBearer(request, _) => {
                &request.client_secret
            }
            Self::SignedJwt(assertion) => &assertion.key,
            Self::Static(_) => &[],
        }
    }

    /// Whether [`Grant::secrets`] are keys.
    pub fn counts_keys(&self) -> bool {
        match self {
            Self::JwtBearer(request, bearer) => {
                bearer.assertion.key.len() > 1 || request.client_secret.is_empty()
            }
            Self::SignedJwt(_) => true,
            Self::ClientCredentials(_) | Self::Static(_) => false,
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

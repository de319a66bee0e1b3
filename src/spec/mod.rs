//! What the operator asked for, already valid: pure data that cannot be wrong.
//!
//! Only `config::lower` makes these values; nothing here reads files, the environment or clocks,
//! and no raw configuration value survives into it. Whatever two parts of the crate must agree on
//! about a vendor is a field here, so that no vendor's name is needed in code.

mod api;
mod assertion;
mod fingerprint;
mod function;
mod grant;
mod issuer;
mod landing;
mod phrase;
mod provider;
mod refresh;
mod request;
mod response;
mod secret;
mod server;
mod sink;
mod steps;
mod template;
mod url;

pub use api::{Api, HostPattern};
pub use assertion::{Algorithm, Assertion, Bearer, Jti};
pub use fingerprint::Change;
pub use function::Function;
pub use grant::{
    EndingSecret, FirstRefreshToken, Grant, Refreshing, Rotation, SECRET_WARNING, SecretKind,
    StaticToken,
};
pub use issuer::{Issuer, Location};
pub use landing::{Misfit, land};
pub use phrase::{Draft, Part, Phrase};
pub use provider::{ErrorRule, Hint, Match, OutcomeClass, Proof, Vendor};
pub use refresh::{Net, Proxy, RateLimit, RefreshPolicy, Reissue, When};
pub use request::{
    BasicEncoding, ClientAuth, ClientCertificate, Dialect, Method, RequestFormat, Seldom,
    TokenRequest,
};
pub use response::{Path, ResponseShape, Scalar, Unit, find_any};
pub use secret::{SecretCandidate, SecretPolicy, SecretSource};
pub use server::{Access, Admin, DEFAULT_LISTEN, Listen, Log, LogFormat, Server, Store};
pub use sink::{FileSink, SinkFormat};
pub use steps::{Body, Call, CallUrl, MadeHost, Step, Steps, StepsKind};
pub use template::{Piece, Template, TemplateError};
pub use url::{Endpoint, EndpointError};

use std::sync::Arc;

use crate::base::IntegrationId;

/// A whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub server: Server,
    pub admin: Option<Admin>,
    pub log: Log,
    pub access: Access,
    pub secrets: SecretPolicy,
    pub store: Store,
    /// Sorted by name, each name once.
    pub integrations: Vec<Arc<Integration>>,
    /// In the order of the integrations.
    pub sinks: Vec<FileSink>,
}

/// One named set of credentials at one vendor.
#[derive(Debug, Clone, PartialEq)]
pub struct Integration {
    pub id: IntegrationId,
    /// The provider file this came from, or the endpoint's host where everything was spelled out:
    /// the label `provider` of metrics and status.
    pub provider: Arc<str>,
    /// Whether `/startupz` waits for it.
    pub required: bool,
    pub grant: Grant,
    pub net: Arc<Net>,
    pub refresh: Arc<RefreshPolicy>,
    pub response: Arc<ResponseShape>,
    pub api: Arc<Api>,
    /// Error rules and hints of the provider file.
    pub vendor: Arc<Vendor>,
}

impl Integration {
    /// What failures of this integration share at the vendor: endpoint host and port, and client; one
    /// without a client id is a client of its own. `None` for grants that ask nobody.
    pub fn quota_key(&self) -> Option<(String, String)> {
        let endpoint = self.grant.endpoint()?;
        let client = self.grant.client_id().filter(|id| !id.is_empty());
        let client = client.map_or_else(|| format!("integration {}", self.id), str::to_owned);
        let elsewhere = self.grant.refreshing();
        let elsewhere = elsewhere.and_then(|refreshing| refreshing.refresh_endpoint.as_ref());
        Some((elsewhere.unwrap_or(endpoint).authority(), client))
    }
}

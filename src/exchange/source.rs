//! Makes sources: what many integrations share is found or made here once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;

use super::TokenSource;
use super::endpoint::{Elsewhere, Endpoint, Place, Shared};
use super::fixed::Fixed;
use super::minted::Minted;
use crate::base::Clock;
use crate::net;
use crate::secrets;
use crate::spec::{self, FirstRefreshToken, Grant, Integration, Refreshing};

/// Requests under way at once at one endpoint authority, whoever asks.
const SIDE_BY_SIDE: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(#[from] net::ClientError);

/// Makes sources that share clients, secrets and the limit per endpoint.
pub struct Sources {
    clients: Arc<net::Clients>,
    vault: Arc<secrets::Vault>,
    clock: Arc<dyn Clock>,
    gates: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}

impl Sources {
    pub fn new(
        clients: Arc<net::Clients>,
        vault: Arc<secrets::Vault>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            clients,
            vault,
            clock,
            gates: Mutex::default(),
        }
    }

    pub fn source(
        &self,
        integration: &Arc<Integration>,
    ) -> Result<Arc<dyn TokenSource>, SourceError> {
        let clock = Arc::clone(&self.clock);
        match &integration.grant {
            Grant::ClientCredentials(request)
            | Grant::JwtBearer(request, _)
            | Grant::RefreshToken(request, _) => {
                let refreshing = integration.grant.refreshing();
                let elsewhere = refreshing.map(|one| self.elsewhere(integration, one));
                let shared = Shared {
                    client: self.client(integration, &request.endpoint)?,
                    gate: self.gate(request.endpoint.authority()),
                    elsewhere: elsewhere.transpose()?,
                    vault: &self.vault,
                    clock,
                };
                let integration = Arc::clone(integration);
                Ok(Arc::new(Endpoint::new(integration, request, shared)))
            }
            Grant::SignedJwt(assertion) => Ok(Arc::new(Minted::new(
                Arc::clone(integration),
                assertion,
                &self.vault,
                clock,
            ))),
            Grant::Static(token) => Ok(Arc::new(Fixed::new(
                Arc::clone(integration),
                token,
                &self.vault,
                clock,
            ))),
        }
    }

    fn client(
        &self,
        integration: &Integration,
        endpoint: &spec::Endpoint,
    ) -> Result<net::Client, SourceError> {
        let limit = integration.refresh.connect_timeout;
        let loopback = endpoint.is_loopback();
        Ok(self.clients.get(&integration.net, limit, loopback)?)
    }

    fn elsewhere(
        &self,
        integration: &Integration,
        refreshing: &Refreshing,
    ) -> Result<Elsewhere, SourceError> {
        let place = |endpoint: &spec::Endpoint| -> Result<Place, SourceError> {
            let client = self.client(integration, endpoint)?;
            let gate = self.gate(endpoint.authority());
            Ok(Place::new(endpoint, client, gate))
        };
        let device = match &refreshing.first {
            FirstRefreshToken::DeviceCode {
                device_authorization_endpoint,
            } => Some(device_authorization_endpoint),
            FirstRefreshToken::AuthorizationCode { .. } | FirstRefreshToken::Configured(_) => None,
        };
        Ok(Elsewhere {
            refresh: refreshing
                .refresh_endpoint
                .as_ref()
                .map(place)
                .transpose()?,
            device: device.map(place).transpose()?,
            first: None,
            rotates: refreshing.rotates(),
        })
    }

    fn gate(&self, authority: String) -> Arc<Semaphore> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(&authority).and_then(Weak::upgrade) {
            return gate;
        }
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::new(Semaphore::new(SIDE_BY_SIDE));
        gates.insert(authority, Arc::downgrade(&gate));
        gate
    }
}

//! Makes sources: what many integrations share is found or made here once.

use std::fmt;
use std::sync::Arc;

use super::TokenSource;
use super::endpoint::Endpoint;
use super::fixed::Fixed;
use super::minted::Minted;
use super::way::Ways;
use crate::base::Clock;
use crate::net;
use crate::secrets;
use crate::spec::{Grant, Integration};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(#[from] net::ClientError);

/// Makes sources that share clients, secrets, what is known of issuers, and the limit per endpoint.
pub struct Sources {
    ways: Arc<Ways>,
    vault: Arc<secrets::Vault>,
    clock: Arc<dyn Clock>,
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
            ways: Arc::new(Ways::new(clients)),
            vault,
            clock,
        }
    }

    pub fn source(
        &self,
        integration: &Arc<Integration>,
    ) -> Result<Arc<dyn TokenSource>, SourceError> {
        let clock = Arc::clone(&self.clock);
        let integration = Arc::clone(integration);
        let spec = Arc::clone(&integration);
        match &spec.grant {
            Grant::ClientCredentials(_)
            | Grant::Password(_)
            | Grant::TokenExchange(_)
            | Grant::JwtBearer(..)
            | Grant::RefreshToken(..)
            | Grant::Steps(_) => Ok(Arc::new(Endpoint::new(
                integration,
                &self.ways,
                &self.vault,
                clock,
            )?)),
            Grant::SignedJwt(assertion) => Ok(Arc::new(Minted::new(
                integration,
                assertion,
                &self.vault,
                clock,
            ))),
            Grant::Static(token) => {
                Ok(Arc::new(Fixed::new(integration, token, &self.vault, clock)))
            }
        }
    }
}

//! How hosts are reached: the client, and the gate that few requests at once go through.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;

use super::discovery::Discovery;
use crate::base::Clock;
use crate::net::{self, Identity};
use crate::spec::{Endpoint, Integration, Issuer};

/// Requests under way at once at one endpoint authority, whoever asks.
const SIDE_BY_SIDE: usize = 4;

/// How one endpoint is reached.
#[derive(Clone)]
pub(super) struct Way {
    /// Host and port as the operator wrote them.
    pub(super) host: String,
    pub(super) client: net::Client,
    pub(super) gate: Arc<Semaphore>,
}

/// Where one request goes, and how.
#[derive(Clone, Copy)]
pub(super) struct Aim<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) way: &'a Way,
}

/// What all integrations share.
pub(super) struct Ways {
    clients: Arc<net::Clients>,
    gates: Mutex<HashMap<String, Weak<Semaphore>>>,
    issuers: Mutex<Vec<Weak<Discovery>>>,
}

impl fmt::Debug for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ways")
    }
}

impl Ways {
    pub(super) fn new(clients: Arc<net::Clients>) -> Self {
        Self {
            clients,
            gates: Mutex::default(),
            issuers: Mutex::default(),
        }
    }

    pub(super) fn to(
        &self,
        endpoint: &Endpoint,
        integration: &Integration,
        identity: Option<&Identity>,
    ) -> Result<Way, net::ClientError> {
        let limit = integration.refresh.connect_timeout;
        let loopback = endpoint.is_loopback();
        let client = self
            .clients
            .get_as(&integration.net, limit, loopback, identity)?;
        Ok(Way {
            host: host(endpoint),
            client,
            gate: self.gate(endpoint.authority()),
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

    /// What is known of an issuer, once for all who reach it the same way.
    pub(super) fn discovery(
        &self,
        issuer: &Arc<Issuer>,
        integration: &Integration,
        clock: &Arc<dyn Clock>,
    ) -> Result<Arc<Discovery>, net::ClientError> {
        let way = self.to(issuer.endpoint(), integration, None)?;
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = issuers.iter().filter_map(Weak::upgrade);
        let same = known
            .into_iter()
            .find(|known| known.is_of(issuer, &way.client));
        if let Some(same) = same {
            return Ok(same);
        }
        issuers.retain(|issuer| issuer.strong_count() > 0);
        let issuer = Arc::new(Discovery::new(Arc::clone(issuer), way, Arc::clone(clock)));
        issuers.push(Arc::downgrade(&issuer));
        Ok(issuer)
    }
}

fn host(endpoint: &Endpoint) -> String {
    endpoint.url().port().map_or_else(
        || endpoint.host().to_owned(),
        |port| format!("{}:{port}", endpoint.host()),
    )
}

//! What a grant with refresh tokens needs besides its token endpoint.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::net;
use crate::secrets;
use crate::spec;

/// An endpoint other than the token endpoint, and how it is reached.
pub(in crate::exchange) struct Place {
    endpoint: spec::Endpoint,
    host: String,
    client: net::Client,
    gate: Arc<Semaphore>,
}

pub(in crate::exchange) struct Elsewhere {
    /// Where refresh tokens are presented, if not at the token endpoint.
    pub(in crate::exchange) refresh: Option<Place>,
    /// Where a device flow begins.
    pub(in crate::exchange) device: Option<Place>,
    /// The refresh token of the configuration.
    pub(in crate::exchange) first: Option<secrets::Handle>,
    /// Using a refresh token may spend it.
    pub(in crate::exchange) rotates: bool,
}

/// Where one request goes.
#[derive(Clone, Copy)]
pub(super) struct Aim<'a> {
    pub(super) endpoint: &'a spec::Endpoint,
    /// Host and port as the operator wrote them.
    pub(super) host: &'a str,
    pub(super) client: &'a net::Client,
    pub(super) gate: &'a Semaphore,
}

impl Place {
    pub(in crate::exchange) fn new(
        endpoint: &spec::Endpoint,
        client: net::Client,
        gate: Arc<Semaphore>,
    ) -> Self {
        Self {
            host: host(endpoint),
            endpoint: endpoint.clone(),
            client,
            gate,
        }
    }

    pub(super) fn aim(&self) -> Aim<'_> {
        Aim {
            endpoint: &self.endpoint,
            host: &self.host,
            client: &self.client,
            gate: &self.gate,
        }
    }
}

pub(super) fn host(endpoint: &spec::Endpoint) -> String {
    endpoint.url().port().map_or_else(
        || endpoint.host().to_owned(),
        |port| format!("{}:{port}", endpoint.host()),
    )
}

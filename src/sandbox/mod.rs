//! Emulated vendors on loopback, with faults that can be switched on: for the demo and for tests.
//!
//! Owns one listener and the state of each emulated vendor; must not know how the broker works, so
//! that it stays an honest peer. Invariant: the credentials here are made up and public; nothing
//! that a real vendor gave out belongs into this module.

mod adobe_campaign;
mod adobe_jwt;
mod consent;
mod constant_contact_v2;
mod control;
mod fault;
mod guide;
mod learning_360;
mod mautic;
mod reply;
mod router;
mod salesforce_marketing_cloud;
mod secrets;
mod state;
mod vendor;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use consent::{Renewal, VENDORS as CONSENT_VENDORS};
use state::Shared;
pub use vendor::{VENDORS, Vendor};

/// Where the sandbox listens unless told otherwise; `config/demo.toml` points here.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:8658";

const MAX_CONNECTIONS: usize = 1024;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const HEAD_LIMIT: usize = 16 * 1024;
/// After a failed accept (no file descriptors left): try again, but not in a hot loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound sandbox; nothing runs until [`Sandbox::run`].
#[derive(Debug)]
pub struct Sandbox {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Sandbox {
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(address));
        Ok(Self {
            listener,
            address,
            shared,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`; requests in flight are then dropped, as an emulated vendor may.
    pub async fn run(self, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(_finished) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                    match accepted {
                        Ok((stream, _peer)) => {
                            connections.spawn(connection(stream, Arc::clone(&self.shared)));
                        }
                        Err(error) => {
                            tracing::warn!(%error, "the sandbox cannot accept a connection");
                            tokio::time::sleep(ACCEPT_PAUSE).await;
                        }
                    }
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let reset = CancellationToken::new();
    let handler_reset = reset.clone();
    let service = service_fn(move |request| {
        let (shared, reset) = (Arc::clone(&shared), handler_reset.clone());
        async move { Ok::<_, Infallible>(router::handle(&shared, &reset, request).await) }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // A peer that goes away or sends rubbish is everyday life for a vendor.
        _ended = &mut connection => return,
        () = reset.cancelled() => {}
    }
    let stream = connection.into_parts().io.into_inner();
    // With a linger time of zero the close is a reset instead of an orderly end.
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "the sandbox cannot reset a connection");
    }
}

#[cfg(test)]
mod tests;

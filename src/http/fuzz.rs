//! A door for the fuzz targets: one connection without a socket.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::connection;
use super::guards::Peer;
use super::router::Router;
use super::seats::Seats;
use super::serve::Limits;

/// Serves one connection to its end, as one that came over TCP.
pub async fn connection<S>(stream: S, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if let Some(seat) = Arc::new(Seats::new(1)).take().await {
        connection::run(stream, Peer::Tcp, Arc::new(router), seat, Limits::MAIN).await;
    }
}

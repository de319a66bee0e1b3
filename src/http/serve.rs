//! Accepting connections until told to stop, then letting those that are busy finish.
//!
//! Must not know what is served. A connection's task that panics ends that connection only.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::connection;
use super::guards::Peer;
use super::listen::{Bound, Socket, SocketFile};
use super::router::Router;
use super::seats::{Seat, Seats};

/// What connections may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// At once, over all listeners served together.
    pub connections: usize,
    /// For the head of a request, from its first byte.
    pub head: Duration,
    /// Between requests.
    pub idle: Duration,
}

impl Limits {
    pub const MAIN: Self = Self {
        connections: 1024,
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
    };

    pub const ADMIN: Self = Self {
        connections: 64,
        ..Self::MAIN
    };
}

/// Accepting again at once would fail again at once where descriptors have run out; meanwhile an
/// idle connection gives one back.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Accepts until `stop`, then closes idle connections and waits for busy ones; a caller that will
/// not wait drops this.
pub async fn serve(bound: Vec<Bound>, router: Router, limits: Limits, stop: CancellationToken) {
    let seats = Arc::new(Seats::new(limits.connections));
    let router = Arc::new(router);
    let mut listeners = JoinSet::new();
    for bound in bound {
        let (router, seats, stop) = (Arc::clone(&router), Arc::clone(&seats), stop.clone());
        listeners.spawn(async move {
            match Listener::new(bound.socket) {
                Ok(listener) => listen(listener, router, limits, seats, stop).await,
                Err(error) => tracing::error!(%error, "a listener cannot be served"),
            }
        });
    }
    while let Some(done) = listeners.join_next().await {
        report(done);
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// Removed when the listener is dropped.
        _file: SocketFile,
    },
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    fn new(socket: Socket) -> io::Result<Self> {
        Ok(match socket {
            Socket::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            Socket::Unix(listener, file) => Self::Unix {
                listener: UnixListener::from_std(listener)?,
                _file: file,
            },
        })
    }

    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are one write each: waiting to fill a packet only delays them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::trace!(%error, "a connection was gone before it was served");
                }
                Ok(Stream::Tcp(stream))
            }
            Self::Unix { listener, _file } => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

async fn listen(
    listener: Listener,
    router: Arc<Router>,
    limits: Limits,
    seats: Arc<Seats>,
    stop: CancellationToken,
) {
    let mut lines = JoinSet::new();
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(done) = lines.join_next(), if !lines.is_empty() => {
                report(done);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                // One line for a whole streak.
                if !failing {
                    tracing::warn!(%error, "a local connection could not be accepted");
                }
                failing = true;
                seats.make_room(PAUSE_AFTER_ERROR).await;
                continue;
            }
        };
        failing = false;
        let seat = tokio::select! {
            () = stop.cancelled() => break,
            seat = seats.take() => seat,
        };
        if let Some(seat) = seat {
            spawn(&mut lines, stream, Arc::clone(&router), seat, limits);
        }
    }
    // From here on nobody new: the socket file goes, too.
    drop(listener);
    seats.dismiss();
    while let Some(done) = lines.join_next().await {
        report(done);
    }
}

fn spawn(lines: &mut JoinSet<()>, stream: Stream, router: Arc<Router>, seat: Seat, limits: Limits) {
    match stream {
        Stream::Tcp(stream) => {
            lines.spawn(connection::run(stream, Peer::Tcp, router, seat, limits));
        }
        Stream::Unix(stream) => {
            lines.spawn(connection::run(stream, Peer::Unix, router, seat, limits));
        }
    }
}

fn report(done: Result<(), JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        // The payload may hold anything; the panic hook has printed where it was.
        tracing::error!("the task of a local connection panicked");
    }
}

//! One connection: hyper's HTTP/1 with our own limits of time.
//!
//! hyper's own head timeout would also run while a kept-alive connection is idle; so the socket is
//! watched here, and the time a connection may take depends on what it is doing.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::guards::Peer;
use super::router::Router;
use super::seats::{Line, Phase, Seat};
use super::serve::Limits;

/// The largest request head hyper reads: the limits of URI and headers, checked one by one where
/// they can be told apart, and some room.
const HEAD_MAX: usize = 32 * 1024;
/// So much of an unreadable request is thrown away after the answer.
const DISCARD_MAX: usize = 1024 * 1024;

/// Serves one connection to its end.
pub(super) async fn run<S>(stream: S, peer: Peer, router: Arc<Router>, seat: Seat, limits: Limits)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let line = &*seat.line;
    let router = &*router;
    let service = service_fn(|request: hyper::Request<Incoming>| {
        line.enter(Phase::Busy);
        async move {
            let reply = router.answer(peer, request).await;
            line.enter(Phase::Idle);
            Ok::<_, Infallible>(reply)
        }
    });
    let watched = Watched {
        stream,
        line,
        discarded: 0,
    };
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .max_buf_size(HEAD_MAX)
        // One piece of memory for head and body: answers are small, so copying costs less than a
        // second piece does on its way through the kernel.
        .writev(false)
        .max_header_size(HEAD_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(watched), service));
    let mut timer = pin!(sleep_until(Instant::now() + limits.idle));
    let mut leaving = false;
    poll_fn(|cx| {
        line.waker.register(cx.waker());
        loop {
            if !leaving && (line.must_leave() || seat.gives_way()) {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(done) = connection.as_mut().poll(cx) {
                if let Err(error) = done {
                    tracing::trace!(%error, "a local connection ended early");
                }
                return Poll::Ready(());
            }
            // It may have become idle just now.
            if leaving || !seat.gives_way() {
                break;
            }
            leaving = true;
            connection.as_mut().graceful_shutdown();
        }
        while let Some(deadline) = line.deadline(limits) {
            if timer.deadline() > deadline || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    })
    .await;
}

/// The socket; tells when a request begins.
struct Watched<'a, S> {
    stream: S,
    line: &'a Line,
    discarded: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before && self.line.is(Phase::Idle) {
            self.line.enter(Phase::Head);
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.line.writes(written.is_ready());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.line.writes(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// A socket closed with unread data resets the connection, and with it the answer that says
    /// what was wrong: so after an unreadable request its rest is read, within bounds.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        if self.line.is(Phase::Head) {
            self.line.enter(Phase::Closing);
        }
        while self.line.is(Phase::Closing) && self.discarded < DISCARD_MAX {
            let mut scratch = [0; 2048];
            let mut buf = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                break;
            }
            self.discarded += buf.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}

//! How our own commands ask a running broker: plain HTTP over TCP or a Unix socket.
//!
//! Apart from the vendors' client: no TLS, no proxy, no names of vendors. Must not know what is
//! asked. Invariant: every step has a time limit, and an answer is kept as a secret, since it may
//! hold a token.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::request::Builder;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use url::Url;

use crate::base::Secret;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The status of a hundred thousand integrations fits.
const ANSWER_MAX: usize = 128 << 20;

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `host:port`.
    Tcp(String),
    Unix(PathBuf),
}

impl Target {
    /// `http://host:port` or `unix:/path`.
    pub fn parse(text: &str) -> Result<Self, LocalError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() {
                Ok(Self::Unix(path))
            } else {
                Err(LocalError::BadUrl)
            };
        }
        let url = Url::parse(text).map_err(|_unfit| LocalError::BadUrl)?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        match (url.scheme(), url.host_str(), url.port_or_known_default()) {
            ("http", Some(host), Some(port)) if bare => Ok(Self::Tcp(format!("{host}:{port}"))),
            _ => Err(LocalError::BadUrl),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(authority) => write!(f, "http://{authority}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error("a broker's address is http://HOST:PORT or unix:/PATH")]
    BadUrl,
    #[error("no broker listens at {0}")]
    NotRunning(Target),
    #[error("cannot connect to {target}: {error}")]
    Connect { target: Target, error: io::Error },
    #[error("{0} did not answer in time")]
    Timeout(Target),
    #[error("{target} broke off its answer: {reason}")]
    Broken { target: Target, reason: String },
}

/// A client of one broker.
#[derive(Debug, Clone)]
pub struct Local {
    target: Target,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Secret,
}

impl Local {
    pub fn new(target: Target) -> Self {
        Self {
            target,
            headers: Vec::new(),
        }
    }

    /// Sends this header with every request.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// `path` with its query; `patience` is for everything after the connection is made.
    pub async fn get(&self, path: &str, patience: Duration) -> Result<Answer, LocalError> {
        self.send(Request::get(path), Bytes::new(), patience).await
    }

    /// Posts text.
    pub async fn post(
        &self,
        path: &str,
        text: &Secret,
        patience: Duration,
    ) -> Result<Answer, LocalError> {
        let request = Request::post(path).header(CONTENT_TYPE, "text/plain");
        let body = Bytes::copy_from_slice(text.expose().as_bytes());
        self.send(request, body, patience).await
    }

    async fn send(
        &self,
        request: Builder,
        body: Bytes,
        patience: Duration,
    ) -> Result<Answer, LocalError> {
        match &self.target {
            Target::Tcp(authority) => {
                let stream = self.connected(TcpStream::connect(authority)).await?;
                let request = request.header(HOST, authority);
                self.ask(stream, request, body, patience).await
            }
            Target::Unix(socket) => {
                let stream = self.connected(UnixStream::connect(socket)).await?;
                let request = request.header(HOST, "localhost");
                self.ask(stream, request, body, patience).await
            }
        }
    }

    async fn connected<S>(
        &self,
        connecting: impl Future<Output = io::Result<S>>,
    ) -> Result<S, LocalError> {
        let target = self.target.clone();
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Err(_elapsed) => Err(LocalError::Timeout(target)),
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(match error.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                    LocalError::NotRunning(target)
                }
                _ => LocalError::Connect { target, error },
            }),
        }
    }

    async fn ask<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        request: Builder,
        body: Bytes,
        patience: Duration,
    ) -> Result<Answer, LocalError> {
        match timeout(patience, self.exchange(stream, request, body)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(reason)) => Err(LocalError::Broken {
                target: self.target.clone(),
                reason,
            }),
            Err(_elapsed) => Err(LocalError::Timeout(self.target.clone())),
        }
    }

    async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        request: Builder,
        body: Bytes,
    ) -> Result<Answer, String> {
        let mut request = request
            .header(ACCEPT, "application/json, text/plain;q=0.9, */*;q=0.5")
            .header(
                USER_AGENT,
                concat!("token-broker/", env!("CARGO_PKG_VERSION")),
            )
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        request.headers_mut().extend(self.headers.iter().cloned());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let mut answer = pin!(async {
            let response = sender.send_request(request).await;
            let response = response.map_err(|error| error.to_string())?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_MAX)
                .collect()
                .await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            let text =
                String::from_utf8(body.into()).map_err(|_binary| "it is no text".to_owned())?;
            Ok(Answer {
                status,
                body: Secret::new(text),
            })
        });
        tokio::select! {
            biased;
            done = &mut answer => return done,
            // The peer may close as soon as it has answered; what it sent is still to be read.
            _closed = connection => {}
        }
        answer.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, UnixListener};

    const SECOND: Duration = Duration::from_secs(1);

    async fn answer_once(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap().to_lowercase()
    }

    #[test]
    fn addresses() {
        for (text, shown) in [
            ("http://127.0.0.1:8656", "http://127.0.0.1:8656"),
            ("http://[::1]:8656/", "http://[::1]:8656"),
            ("http://broker", "http://broker:80"),
            ("unix:/run/b.sock", "unix:/run/b.sock"),
        ] {
            assert_eq!(Target::parse(text).unwrap().to_string(), shown);
        }
        for bad in [
            "",
            "127.0.0.1:8656",
            "https://127.0.0.1:8656",
            "http://u:p@h:1",
            "http://h:1/path",
            "http://h:1/?q",
            "unix:relative",
            "unix:",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn asks_over_tcp() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::Tcp(listener.local_addr().unwrap().to_string());
        let local = Local::new(target.clone()).with_header(
            HeaderName::from_static("x-token-broker"),
            HeaderValue::from_static("1"),
        );
        let peer = async {
            let (stream, _) = listener.accept().await.unwrap();
            answer_once(stream, "HTTP/1.1 503 No\r\nconnection: close\r\n\r\nwait").await
        };
        let (answer, head) = tokio::join!(local.get("/token/x?wait=0", SECOND * 60), peer);
        let answer = answer.unwrap();
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.body.expose(), "wait");
        assert!(
            head.starts_with("get /token/x?wait=0 http/1.1\r\n"),
            "{head}"
        );
        let Target::Tcp(authority) = target else {
            unreachable!()
        };
        assert!(head.contains(&format!("host: {authority}\r\n")), "{head}");
        assert!(head.contains("x-token-broker: 1\r\n"), "{head}");
        assert!(!format!("{answer:?}").contains("wait"));
    }

    #[tokio::test]
    async fn posts_text() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::Tcp(listener.local_addr().unwrap().to_string());
        let local = Local::new(target);
        let peer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut all = Vec::new();
            while !all.ends_with(b"the text") {
                all.push(stream.read_u8().await.unwrap());
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
            String::from_utf8(all).unwrap().to_lowercase()
        };
        let text = Secret::new("the text");
        let (answer, sent) = tokio::join!(local.post("/login/x", &text, SECOND * 60), peer);
        assert_eq!(answer.unwrap().body.expose(), "ok");
        assert!(sent.starts_with("post /login/x http/1.1\r\n"), "{sent}");
        assert!(sent.contains("content-length: 8\r\n"), "{sent}");
        assert!(sent.contains("content-type: text/plain\r\n"), "{sent}");
    }

    #[tokio::test]
    async fn asks_over_a_unix_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.sock");
        let local = Local::new(Target::Unix(path.clone()));
        let missing = local.get("/livez", SECOND).await.unwrap_err();
        assert!(matches!(missing, LocalError::NotRunning(_)), "{missing}");
        let listener = UnixListener::bind(&path).unwrap();
        let peer = async {
            let (stream, _) = listener.accept().await.unwrap();
            answer_once(stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await
        };
        let (answer, head) = tokio::join!(local.get("/livez", SECOND * 60), peer);
        assert_eq!(answer.unwrap().body.expose(), "ok");
        assert!(head.contains("host: localhost\r\n"));
        drop(listener);
        let dead = local.get("/livez", SECOND).await.unwrap_err();
        assert!(matches!(dead, LocalError::NotRunning(_)), "{dead}");
    }

    #[tokio::test(start_paused = true)]
    async fn does_not_wait_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::Tcp(listener.local_addr().unwrap().to_string());
        let silent = Local::new(target).get("/livez", SECOND).await.unwrap_err();
        assert!(matches!(silent, LocalError::Timeout(_)), "{silent}");
    }

    #[tokio::test]
    async fn says_when_an_answer_breaks_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::Tcp(listener.local_addr().unwrap().to_string());
        let local = Local::new(target);
        let peer = async {
            let (stream, _) = listener.accept().await.unwrap();
            answer_once(stream, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok").await
        };
        let (answer, _) = tokio::join!(local.get("/livez", SECOND * 60), peer);
        assert!(
            matches!(answer, Err(LocalError::Broken { .. })),
            "{answer:?}"
        );
    }
}

//! A vendor's token endpoint: records what it is asked and answers as scripted.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Scheme and authority of the URL.
    pub(crate) origin: String,
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// What the client showed of itself while connecting, in DER.
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) at: Instant,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Status, further header lines, body.
    Full(u16, String, String),
    After(Duration, Box<Reply>),
    Hang,
    /// A byte a second, for ever.
    Drip,
    /// 256 MiB of one JSON string.
    Huge,
    /// Half an answer, then a reset.
    Reset,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::Full(
            status,
            "content-type: application/json\r\n".into(),
            body.into(),
        )
    }

    pub(crate) fn token(token: &str, lifetime: u64) -> Self {
        let body = format!(
            r#"{{"access_token":"{token}","token_type":"bearer","expires_in":{lifetime}}}"#
        );
        Self::json(200, &body)
    }
}

pub(super) type Script = dyn Fn(&Request, usize) -> Reply + Send + Sync;

pub(crate) struct Vendor {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Vendor {
    /// `script` gets each request and its number, from 1.
    pub(crate) async fn start(
        script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let script: Arc<Script> = Arc::new(script);
        let task = tokio::task::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(answer(stream, Arc::clone(&log), Arc::clone(&script)));
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Option<Request> {
        self.seen.lock().unwrap().last().cloned()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

async fn answer(mut stream: TcpStream, log: Arc<Mutex<Vec<Request>>>, script: Arc<Script>) {
    let origin = format!("http://{}", stream.local_addr().unwrap());
    let Some(request) = read_request(&mut stream, origin).await else {
        return;
    };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(request.clone());
        log.len()
    };
    let mut reply = script(&request, number);
    while let Reply::After(delay, then) = reply {
        tokio::time::sleep(delay).await;
        reply = *then;
    }
    // The peer may have given up; that is its right.
    let _gone = write_reply(&mut stream, reply).await;
}

async fn write_reply(stream: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Full(status, headers, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await?;
            stream.shutdown().await
        }
        Reply::After(..) => unreachable!("unwrapped by the caller"),
        Reply::Hang => std::future::pending().await,
        Reply::Drip => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{")
                .await?;
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                stream.write_all(b" ").await?;
            }
        }
        Reply::Huge => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n\"")
                .await?;
            let piece = vec![b'a'; 65536];
            for _ in 0..4096 {
                stream.write_all(&piece).await?;
            }
            stream.write_all(b"\"").await
        }
        Reply::Reset => {
            let half = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"access_token\":\"half";
            stream.write_all(half).await?;
            stream.set_zero_linger()
        }
    }
}

pub(super) async fn read_request<S: AsyncRead + Unpin>(
    stream: &mut S,
    origin: String,
) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request {
        origin,
        line,
        headers,
        body,
        certificate: None,
        at: Instant::now(),
    })
}

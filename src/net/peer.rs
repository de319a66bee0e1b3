//! For tests: a peer that speaks raw HTTP in the same runtime, word for word what the test says,
//! and keeps what it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Says this and closes the connection.
    Say(Vec<u8>),
    /// Never says anything.
    Hang,
    /// Says one byte a second.
    Drip(Vec<u8>),
    /// Says the first, then the second again and again, this many times.
    Flood(Vec<u8>, Vec<u8>, usize),
    /// Says this and resets the connection.
    Reset(Vec<u8>),
}

impl Act {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::with(
            status,
            &[("Content-Type", "application/json")],
            body.as_bytes(),
        )
    }

    pub(crate) fn with(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            text = text + name + ": " + value + "\r\n";
        }
        text.push_str("\r\n");
        Self::Say([text.as_bytes(), body].concat())
    }
}

pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    _tasks: JoinSet<()>,
}

impl Peer {
    /// Does the acts one connection after the other, then the last one for ever.
    pub(crate) async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&received);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let act = acts[number.min(acts.len() - 1)].clone();
                connections.spawn(serve(stream, act, Arc::clone(&log)));
            }
        });
        Self {
            address,
            received,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// Whole requests, in the order in which they were complete.
    pub(crate) fn requests(&self) -> Vec<String> {
        let received = self.received.lock().unwrap();
        received
            .iter()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .collect()
    }
}

async fn serve(mut stream: TcpStream, act: Act, log: Arc<Mutex<Vec<Vec<u8>>>>) {
    let request = read_request(&mut stream).await;
    log.lock().unwrap().push(request);
    match act {
        Act::Say(bytes) => {
            let _gone = stream.write_all(&bytes).await;
            let _gone = stream.shutdown().await;
        }
        Act::Hang => std::future::pending().await,
        Act::Drip(bytes) => {
            for byte in bytes {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
            }
        }
        Act::Flood(head, part, times) => {
            let _gone = stream.write_all(&head).await;
            for _ in 0..times {
                if stream.write_all(&part).await.is_err() {
                    return;
                }
            }
        }
        Act::Reset(bytes) => {
            let _gone = stream.write_all(&bytes).await;
            let _gone = stream.set_zero_linger();
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |value| value.trim().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return bytes;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return bytes;
        }
    }
}

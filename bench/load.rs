//! A load generator for HTTP/1.1 over a Unix socket, which the usual ones cannot do.
//!
//! Usage: `load SOCKET PATH CONNECTIONS SECONDS`; prints how many answers came. Every connection
//! asks again as soon as it has its answer. Built as an example, so no release holds it.

use std::cell::Cell;
use std::io::{self, Write as _};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

const USAGE: &str = "usage: load SOCKET PATH CONNECTIONS SECONDS";
const ANSWER_MAX: usize = 128 * 1024;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, path, connections, seconds] = arguments.as_slice() else {
        return Err(io::Error::other(USAGE));
    };
    let connections: usize = connections.parse().map_err(io::Error::other)?;
    let seconds: u64 = seconds.parse().map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answers = runtime.block_on(load(socket, path, connections, seconds))?;
    writeln!(io::stdout(), "{answers}")
}

async fn load(socket: &str, path: &str, connections: usize, seconds: u64) -> io::Result<u64> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let answers = Cell::new(0);
    let mut ways = Vec::with_capacity(connections);
    for _ in 0..connections {
        let stream = UnixStream::connect(socket).await?;
        ways.push(timeout_at(
            deadline,
            ask(stream, request.as_bytes(), &answers),
        ));
    }
    for ended in futures_util::future::join_all(ways).await {
        // The deadline is how it should end; an answer that is none is not.
        ended.unwrap_or(Ok(()))?;
    }
    Ok(answers.get())
}

async fn ask(mut stream: UnixStream, request: &[u8], answers: &Cell<u64>) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        stream.write_all(request).await?;
        buffer.clear();
        while !is_whole(&buffer)? {
            if buffer.len() > ANSWER_MAX || stream.read_buf(&mut buffer).await? == 0 {
                return Err(io::Error::other("the connection ended within an answer"));
            }
        }
        answers.set(answers.get() + 1);
    }
}

/// Whether a good answer is there to its last byte.
fn is_whole(buffer: &[u8]) -> io::Result<bool> {
    let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(false);
    };
    let head = buffer.get(..end).unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(io::Error::other)?;
    let mut lines = head.split("\r\n");
    if lines.next() != Some("HTTP/1.1 200 OK") {
        return Err(io::Error::other("an answer was not 200"));
    }
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .ok_or_else(|| io::Error::other("an answer had no length"))?;
    Ok(buffer.len() >= end + 4 + length)
}

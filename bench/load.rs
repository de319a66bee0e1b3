//! A load generator for HTTP/1.1 over a Unix socket, which the usual ones cannot do.
//!
//! Usage: `load SOCKET PATH CONNECTIONS SECONDS`; prints how many answers came. Every connection
//! asks again as soon as it has its answer. Needs the standard library only, so that `bench/run`
//! can build it without building the broker's tests.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const USAGE: &str = "usage: load SOCKET PATH CONNECTIONS SECONDS";
const ANSWER_MAX: usize = 128 * 1024;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, path, connections, seconds] = arguments.as_slice() else {
        return Err(io::Error::other(USAGE));
    };
    let connections: usize = connections.parse().map_err(io::Error::other)?;
    let seconds: u64 = seconds.parse().map_err(io::Error::other)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let over = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        let mut callers = Vec::with_capacity(connections);
        for _ in 0..connections {
            callers.push(scope.spawn(|| ask(socket, request.as_bytes(), &over)));
        }
        thread::sleep(Duration::from_secs(seconds));
        over.store(true, Ordering::Relaxed);
        let counts = callers.into_iter().map(|caller| {
            let ended = caller.join();
            ended.unwrap_or_else(|_panic| Err(io::Error::other("a caller panicked")))
        });
        counts.sum::<io::Result<u64>>()
    })?;
    writeln!(io::stdout(), "{answers}")
}

/// One connection; how many answers it got.
fn ask(socket: &str, request: &[u8], over: &AtomicBool) -> io::Result<u64> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut answers = 0;
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut part = [0; 16 * 1024];
    while !over.load(Ordering::Relaxed) {
        stream.write_all(request)?;
        buffer.clear();
        while !is_whole(&buffer)? {
            let length = stream.read(&mut part)?;
            if length == 0 || buffer.len() > ANSWER_MAX {
                return Err(io::Error::other("the connection ended within an answer"));
            }
            buffer.extend_from_slice(part.get(..length).unwrap_or_default());
        }
        answers += 1;
    }
    Ok(answers)
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

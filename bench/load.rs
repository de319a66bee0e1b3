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
    let mut callers = Vec::with_capacity(connections);
    for _ in 0..connections {
        callers.push(Caller::connect(socket, request.as_bytes())?);
    }
    let over = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        let load = scope.spawn(|| ask(&mut callers, request.as_bytes(), &over));
        thread::sleep(Duration::from_secs(seconds));
        over.store(true, Ordering::Relaxed);
        let ended = load.join();
        ended.unwrap_or_else(|_panic| Err(io::Error::other("the load panicked")))
    })?;
    writeln!(io::stdout(), "{answers}")
}

/// One connection and what has come of its answer.
struct Caller {
    stream: UnixStream,
    answer: Vec<u8>,
}

impl Caller {
    fn connect(socket: &str, request: &[u8]) -> io::Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        stream.write_all(request)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            answer: Vec::with_capacity(ANSWER_MAX),
        })
    }
}

/// Goes round all connections without ever sleeping: a sleeping caller would have to be woken, and
/// the server's process would pay for that. How many answers came.
fn ask(callers: &mut [Caller], request: &[u8], over: &AtomicBool) -> io::Result<u64> {
    let mut answers = 0;
    let mut part = vec![0; 16 * 1024];
    while !over.load(Ordering::Relaxed) {
        for caller in &mut *callers {
            let length = match caller.stream.read(&mut part) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            if length == 0 || caller.answer.len() > ANSWER_MAX {
                return Err(io::Error::other("the connection ended within an answer"));
            }
            let part = part.get(..length).unwrap_or_default();
            caller.answer.extend_from_slice(part);
            if is_whole(&caller.answer)? {
                caller.answer.clear();
                answers += 1;
                // Its buffer is empty: there was one request in it, and that is answered.
                caller.stream.write_all(request)?;
            }
        }
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

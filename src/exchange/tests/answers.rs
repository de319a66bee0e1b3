//! Answers that hang, flood, break off or are packed.

use super::*;

/// One exchange with a peer that acts so, and the time it took on the paused clock.
async fn met(act: Act) -> (Outcome, Duration, usize) {
    let peer = Peer::start(vec![act]).await;
    let bench = Bench::new();
    let source = bench.source(request(&peer.url()));
    let started = tokio::time::Instant::now();
    let outcome = source.exchange().await;
    (outcome, started.elapsed(), peer.requests().len())
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_hangs_or_drips_costs_the_timeout_and_no_more() {
    let drip = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{TOKEN}",
        TOKEN.len()
    );
    for act in [Act::Hang, Act::Drip(drip.into_bytes())] {
        let (outcome, took, _) = met(act).await;
        assert!(took >= Duration::from_secs(15) && took < Duration::from_secs(16));
        let failure = failure(outcome);
        assert_eq!(failure.code, ErrorCode::TemporarilyUnavailable);
        assert!(
            failure.description.starts_with("no answer from 127.0.0.1:")
                && failure.description.ends_with(" within 15s"),
            "{}",
            failure.description
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_cut_off() {
    let part = vec![b'x'; 64 * 1024];
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let (outcome, _, _) = met(Act::Flood(head.into(), part.clone(), 4096)).await;
        let failure = failure(outcome);
        assert!(
            failure.description.ends_with("larger than 1 MiB"),
            "{}",
            failure.description
        );
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_break_off() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"access".to_vec();
    for act in [Act::Reset(head.clone()), Act::Say(head), Act::Say(vec![])] {
        let (outcome, _, _) = met(act).await;
        let failure = failure(outcome);
        assert_eq!(failure.code, ErrorCode::TemporarilyUnavailable);
        assert!(
            failure.description.starts_with("no complete answer from"),
            "{}",
            failure.description
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_never_followed() {
    let elsewhere = Peer::start(vec![Act::json(200, TOKEN)]).await;
    let (outcome, _, asked) = met(Act::with(307, &[("Location", &elsewhere.url())], b"")).await;
    assert!(matches!(outcome, Outcome::BadRequest(_)));
    assert_eq!((asked, elsewhere.requests().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_page_or_an_error_inside_200() {
    let (outcome, _, _) = met(Act::with(
        200,
        &[("Content-Type", "text/html")],
        b"<html>welcome</html>",
    ))
    .await;
    assert!(matches!(outcome, Outcome::Transient { .. }));
    let (outcome, _, _) = met(Act::json(200, r#"{"error":"invalid_client"}"#)).await;
    assert!(matches!(outcome, Outcome::BadCredential(_)));
}

#[tokio::test(start_paused = true)]
async fn compressed_answers_are_read_and_bombs_are_not() {
    // {"access_token":"zipped"}, by gzip.
    let zipped = gzip_stored(br#"{"access_token":"zipped"}"#);
    let headers = [("Content-Encoding", "gzip")];
    let (outcome, _, _) = met(Act::with(200, &headers, &zipped)).await;
    assert_eq!(issued(outcome).access_token.expose(), "zipped");
    let bomb = gzip_zeros(64);
    assert!(bomb.len() < 500_000);
    let (outcome, _, _) = met(Act::with(200, &headers, &bomb)).await;
    assert!(failure(outcome).description.ends_with("larger than 1 MiB"));
    let (outcome, _, _) = met(Act::with(200, &headers, b"not gzip")).await;
    assert!(matches!(outcome, Outcome::Transient { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_vendor_is_named() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let source = Bench::new().source(request(&format!("http://{closed}/t?key=canary")));
    let failure = failure(source.exchange().await);
    assert_eq!(
        failure.description,
        format!("could not connect to {closed}: connection refused")
    );
    assert_eq!(failure.vendor, None);
}

#[tokio::test(start_paused = true)]
async fn lifetimes_count_from_when_the_request_was_sent() {
    let late = [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", TOKEN.len()).as_bytes(),
        TOKEN.as_bytes(),
    ]
    .concat();
    let peer = Peer::start(vec![Act::Say(late)]).await;
    let bench = Bench::new();
    let source = bench.source(request(&peer.url()));
    tokio::time::advance(Duration::from_secs(100)).await;
    let before = bench.clock.now();
    let issued = issued(source.exchange().await);
    assert_eq!(issued.sent_at.wall, before.wall);
    assert_eq!(issued.lifetime, Some(Duration::from_hours(1)));
}

/// gzip without compression: one stored block.
fn gzip_stored(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    let length = u16::try_from(data.len()).unwrap();
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(data);
    out.extend(crc32(data.iter().copied()).to_le_bytes());
    out.extend(u32::from(length).to_le_bytes());
    out
}

/// `mebibytes` of zeros: blocks with fixed codes, a literal and then copies of length 258.
fn gzip_zeros(mebibytes: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(0b1, 1);
    bits.push(0b01, 2);
    // The literal 0 is 00110000, the length 258 is 11000101, the distance 1 is 00000.
    bits.push_code(0b0011_0000, 8);
    for _ in 0..(mebibytes * 1024 * 1024 / 258) {
        bits.push_code(0b1100_0101, 8);
        bits.push_code(0, 5);
    }
    bits.push_code(0, 7);
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    out.extend(bits.bytes);
    out.extend([0; 8]);
    out
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        for at in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if value >> at & 1 == 1 {
                *self.bytes.last_mut().unwrap() |= 1 << (self.used % 8);
            }
            self.used += 1;
        }
    }

    /// Codes go in from their highest bit.
    fn push_code(&mut self, code: u32, count: u32) {
        for at in (0..count).rev() {
            self.push(code >> at & 1, 1);
        }
    }
}

fn crc32(data: impl Iterator<Item = u8>) -> u32 {
    !data.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

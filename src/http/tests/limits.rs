//! Each limit of size, time and number.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{Setup, Site, read_reply};
use crate::base::Clock as _;
use crate::http::guards::Peer;
use crate::http::seats::Seats;
use crate::http::{Limits, connection, main_router};

const GET: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn ask(stream: &mut TcpStream) -> Option<u16> {
    stream.write_all(GET).await.ok()?;
    read_reply(stream, false).await.map(|reply| reply.status)
}

/// Seconds until the connection is closed, and whether anything came before.
async fn closed_after(site: &Site, stream: &mut TcpStream) -> (u64, usize) {
    let begun = site.clock.now();
    let mut rest = Vec::new();
    // A reset is a close, too.
    let _read = stream.read_to_end(&mut rest).await;
    (site.clock.now().elapsed_since(begun).as_secs(), rest.len())
}

#[tokio::test(start_paused = true)]
async fn sizes_of_targets_and_headers() {
    let site = Site::new();
    let target = |length: usize| format!("/{}", "x".repeat(length - 1));
    assert_eq!(site.get(&target(8192)).await.status, 404);
    let long = site.get(&target(8193)).await;
    assert_eq!(
        (long.status, long.error().as_str()),
        (414, "invalid_request")
    );
    assert_eq!(site.get(&target(20_000)).await.status, 414);
    assert_eq!(
        site.post(&format!("/token/{}", "x".repeat(9000)), "", "")
            .await
            .status,
        414
    );
    // Host and what goes between are part of the block.
    let padded = |length: usize| format!("X-Padding: {}\r\n", "p".repeat(length - 17 - 13));
    assert_eq!(
        site.with("GET", "/livez", &padded(16 * 1024)).await.status,
        200
    );
    let large = site.with("GET", "/livez", &padded(16 * 1024 + 1)).await;
    assert_eq!(
        (large.status, large.error().as_str()),
        (431, "invalid_request")
    );
    for length in [40_000, 200_000, 800_000] {
        assert_eq!(
            site.with("GET", "/livez", &padded(length)).await.status,
            431,
            "{length}"
        );
    }
    let many = "X-Many: 1\r\n".repeat(150);
    assert_eq!(site.with("GET", "/livez", &many).await.status, 431);
}

#[tokio::test(start_paused = true)]
async fn the_admin_listener_has_the_same_sizes() {
    let site = Site::start(Setup {
        admin: true,
        ..Setup::default()
    });
    assert_eq!(
        site.get(&format!("/{}", "x".repeat(8200))).await.status,
        414
    );
    let padding = format!("X-Padding: {}\r\n", "p".repeat(17_000));
    assert_eq!(site.with("GET", "/livez", &padding).await.status, 431);
}

#[tokio::test(start_paused = true)]
async fn sizes_of_bodies() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", Some(3600));
    site.hold("fixed", "tok-1", Some(3600));
    for path in ["/token/sfmc", "/token/sfmc/x", "/refresh/fixed"] {
        assert_ne!(
            site.post(path, "", &" ".repeat(65_536)).await.status,
            413,
            "{path}"
        );
        let large = site.post(path, "", &" ".repeat(65_537)).await;
        assert_eq!(
            (large.status, large.error().as_str()),
            (413, "invalid_request"),
            "{path}"
        );
        let larger = site.post(path, "", &" ".repeat(900_000)).await;
        assert_eq!(larger.status, 413, "{path}");
    }
    for path in ["/livez", "/token/sfmc", "/nowhere"] {
        let body = "x".repeat(65_537);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n{body}"
        );
        assert_eq!(site.send(&request).await.status, 413, "{path}");
        let foreign = site
            .send(&request.replace("localhost", "evil.example"))
            .await;
        assert_eq!(foreign.status, 403, "{path}");
    }
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(65_536));
    let chunked = format!(
        "POST /token/sfmc HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    assert_eq!(site.send(&chunked).await.status, 413);
    let announced = "POST /token/sfmc HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
        Content-Length: 5000000000\r\n\r\n";
    assert_eq!(site.send(announced).await.status, 413);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let site = Site::new();
    let begun = site.clock.now();
    let reply = site
        .send("POST /token/sfmc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
        .await;
    assert_eq!(reply.status, 400);
    assert_eq!(site.clock.now().elapsed_since(begun).as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_head_has_ten_seconds_from_its_first_byte() {
    let site = Site::new();
    let mut stream = site.connect().await;
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHo")
        .await
        .unwrap();
    assert_eq!(closed_after(&site, &mut stream).await.0, 10);

    // Dripping does not help, nor does an earlier request.
    let mut stream = site.connect().await;
    assert_eq!(ask(&mut stream).await, Some(200));
    tokio::time::sleep(Duration::from_secs(30)).await;
    let begun = site.clock.now();
    while stream.write_all(b"G").await.is_ok()
        && site.clock.now().elapsed_since(begun).as_secs() < 60
    {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let passed = site.clock.now().elapsed_since(begun).as_secs();
    assert!((10..=12).contains(&passed), "{passed}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_seventy_five_seconds() {
    let site = Site::new();
    let mut fresh = site.connect().await;
    assert_eq!(closed_after(&site, &mut fresh).await, (75, 0));
    let mut used = site.connect().await;
    for _request in 0..3 {
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(ask(&mut used).await, Some(200));
    }
    assert_eq!(closed_after(&site, &mut used).await, (75, 0));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_for_a_token_is_not_idle() {
    let site = Site::start(Setup {
        server: crate::spec::Server {
            wait: Duration::from_mins(5),
            ..crate::spec::Server::default()
        },
        ..Setup::default()
    });
    let begun = site.clock.now();
    assert_eq!(site.get("/token/sfmc").await.status, 503);
    assert_eq!(site.clock.now().elapsed_since(begun).as_secs(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_takes_no_answers_is_not_kept() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", Some(3600));
    let router = Arc::new(main_router(Arc::clone(&site.context)));
    let seat = Arc::new(Seats::new(1)).take().await.unwrap();
    // In memory: how much a kernel takes on the way, and when, is not what is tested.
    let (mut caller, served) = tokio::io::duplex(16 * 1024);
    let begun = site.clock.now();
    let serving = connection::run(served, Peer::Tcp, router, seat, Limits::MAIN);
    let request = b"GET /token/sfmc HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let asking = async { while caller.write_all(request).await.is_ok() {} };
    tokio::join!(serving, asking);
    assert_eq!(site.clock.now().elapsed_since(begun).as_secs(), 75);
}

fn few(connections: usize) -> Site {
    Site::start(Setup {
        limits: Some(Limits {
            connections,
            ..Limits::MAIN
        }),
        ..Setup::default()
    })
}

#[tokio::test(start_paused = true)]
async fn when_full_the_connection_idle_longest_makes_room() {
    assert_eq!(
        (Limits::MAIN.connections, Limits::ADMIN.connections),
        (1024, 64)
    );
    let site = few(3);
    let mut streams = Vec::new();
    for _connection in 0..3 {
        let mut stream = site.connect().await;
        assert_eq!(ask(&mut stream).await, Some(200));
        tokio::time::sleep(Duration::from_secs(1)).await;
        streams.push(stream);
    }
    // The second becomes the one idle longest.
    assert_eq!(ask(&mut streams[0]).await, Some(200));
    let begun = site.clock.now();
    let mut fourth = site.connect().await;
    assert_eq!(ask(&mut fourth).await, Some(200));
    assert_eq!(site.clock.now().elapsed_since(begun).as_secs(), 0);
    assert_eq!(closed_after(&site, &mut streams[1]).await, (0, 0));
    assert_eq!(ask(&mut streams[0]).await, Some(200));
    assert_eq!(ask(&mut streams[2]).await, Some(200));
}

#[tokio::test(start_paused = true)]
async fn when_all_are_busy_a_new_connection_waits_for_the_first_to_finish() {
    let site = few(2);
    let begun = site.clock.now();
    let waited = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let reply = site.get("/livez").await;
        (
            reply.status,
            site.clock.now().elapsed_since(begun).as_secs(),
        )
    };
    // Kept alive after their answers, so that one of them must be told to go.
    let (third, first, second) = tokio::join!(
        waited,
        site.get("/token/sfmc?wait=4s"),
        site.get("/token/sfmc?wait=8s")
    );
    assert_eq!(third, (200, 4));
    assert_eq!((first.status, second.status), (503, 503));
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", Some(3600));
    let mut stream = site.connect().await;
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let requests =
        one("/livez") + &one("/token/sfmc?format=raw") + &one("/nowhere") + &one("/livez");
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut statuses = Vec::new();
    for _answer in 0..4 {
        statuses.push(read_reply(&mut stream, false).await.unwrap().status);
    }
    assert_eq!(statuses, [200, 200, 404, 200]);
}

#[tokio::test(start_paused = true)]
async fn http_1_0_is_spoken() {
    let site = Site::new();
    let mut stream = site.connect().await;
    stream
        .write_all(b"GET /livez HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    let reply = read_reply(&mut stream, false).await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(reply.head.starts_with("HTTP/1.0"), "{reply:?}");
    assert_eq!(closed_after(&site, &mut stream).await.0, 0);
}

#[tokio::test(start_paused = true)]
async fn stopping_closes_idle_connections_and_finishes_busy_ones() {
    let site = Site::new();
    let mut idle = site.connect().await;
    assert_eq!(ask(&mut idle).await, Some(200));
    let mut fresh = site.connect().await;
    let begun = site.clock.now();
    let (busy, ()) = tokio::join!(site.get("/token/sfmc?wait=5s"), async {
        site.board("sfmc").nudged().await;
        site.stop.cancel();
        assert_eq!(closed_after(&site, &mut idle).await, (0, 0));
        assert_eq!(closed_after(&site, &mut fresh).await, (0, 0));
    });
    assert_eq!(busy.status, 503);
    assert_eq!(busy.header("connection"), Some("close"));
    site.serving.await.unwrap();
    assert_eq!(site.clock.now().elapsed_since(begun).as_secs(), 5);
}

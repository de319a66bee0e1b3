//! Local only: who is turned away at the door, on every route.

use crate::support::{Broker, Reply, Vendor, integration, request};

const ROUTES: [&str; 9] = [
    "GET /token/x",
    "POST /token/x",
    "POST /refresh/x",
    "GET /headers/x",
    "GET /integrations",
    "GET /livez",
    "GET /metrics",
    "GET /openapi.json",
    "GET /nowhere",
];

#[tokio::test(start_paused = true)]
async fn foreign_hosts_browsers_and_forwarded_requests_are_refused_everywhere() {
    let vendor = Vendor::start(|_, _| Reply::token("t", 3600)).await;
    let broker = Broker::start(&integration("x", &vendor.url(), ""));
    assert_eq!(broker.get("/token/x").await.status, 200);
    for route in ROUTES {
        for header in [
            "Host: evil.example",
            "Host: localhost.evil.example",
            "Origin: https://evil.example",
            "Origin: null",
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
            "X-Forwarded-For: 1.2.3.4",
            "X-Forwarded-Host: localhost",
            "Forwarded: for=1.2.3.4",
            "X-Real-IP: 1.2.3.4",
            "Via: 1.1 proxy",
        ] {
            let answer = request(broker.address, route, &[header], "").await;
            assert_eq!(answer.status, 403, "{route} {header}: {}", answer.text());
            assert!(!answer.text().contains("access_token"));
        }
    }
    for host in [
        "localhost",
        "LocalHost:8656",
        "127.0.0.1:1",
        "[::1]:8656",
        "app.localhost.",
        "[::ffff:127.0.0.1]",
    ] {
        let answer = request(
            broker.address,
            "GET /token/x",
            &[&format!("Host: {host}")],
            "",
        )
        .await;
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[tokio::test(start_paused = true)]
async fn junk_is_the_callers_error_and_never_ours() {
    let vendor = Vendor::start(|_, _| Reply::token("t", 3600)).await;
    let broker = Broker::start(&integration("x", &vendor.url(), ""));
    for (line, body) in [
        ("GET /token/", ""),
        ("GET /token/x/", ""),
        ("GET /token/X", ""),
        ("GET /token/%78", ""),
        ("GET /token/x?format=xml", ""),
        ("GET /token/x?min_ttl=-1", ""),
        ("GET /token/x?min_ttl=5s&min_ttl=6s", ""),
        ("GET /token/x?wait=for%20ever", ""),
        ("GET /token/x?%ff=%fe", ""),
        ("GET /token/x?unknown=1", ""),
        ("GET /token/../../etc/passwd", ""),
        ("DELETE /token/x", ""),
        ("POST /refresh/x", "{"),
        ("POST /refresh/x", "[]"),
        ("POST /refresh/x", r#"{"rejected": 5}"#),
        ("POST /refresh/x", r#"{"rejectde": "t"}"#),
        ("POST /refresh/nobody", ""),
        ("GET /headers/x?format=header", ""),
        ("PUT /metrics", ""),
        ("BREW /livez", ""),
    ] {
        let answer = request(broker.address, line, &[], body).await;
        assert!(
            (400..500).contains(&answer.status),
            "{line}: {} {}",
            answer.status,
            answer.text()
        );
    }
    assert_eq!(broker.get("/token/x").await.status, 200);
}

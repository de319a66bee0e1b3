//! Vendors that misbehave: a clear problem in bounded time, and nobody else notices.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Answer, Broker, Reply, Vendor, integration};

/// A broker with the vendor in question and a good one; what a caller of the first meets.
async fn with_vendor(reply: Reply) -> (Answer, Value) {
    let bad = Vendor::start(move |_, _| reply.clone()).await;
    let good = Vendor::start(|_, _| Reply::token("good", 3600)).await;
    let config = integration("bad", &bad.url(), "") + &integration("good", &good.url(), "");
    let broker = Broker::start(&config);
    let begun = tokio::time::Instant::now();
    assert_eq!(broker.get("/token/good").await.token(), "good");
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "the other vendor made it wait"
    );
    broker
        .until("bad", |status| status["consecutive_failures"] != 0)
        .await;
    assert!(begun.elapsed() < Duration::from_secs(16));
    let answer = broker.get("/token/bad?wait=0").await;
    assert_eq!(broker.get("/token/good").await.token(), "good");
    let problem = answer.json();
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{problem}"
    );
    assert_eq!(problem["integration"], "bad");
    assert_eq!(problem["status"], answer.status);
    (answer, problem)
}

#[tokio::test(start_paused = true)]
async fn hanging_dripping_huge_and_cut_answers_are_temporary() {
    for (reply, word) in [
        (Reply::Hang, "no answer"),
        (Reply::Drip, "no "),
        (Reply::Huge, "1 MiB"),
        (Reply::Reset, ""),
        (Reply::Full(200, String::new(), String::new()), ""),
        (Reply::Full(204, String::new(), String::new()), ""),
        (
            Reply::json(503, r#"{"error":"temporarily_unavailable"}"#),
            "503",
        ),
        (Reply::json(200, "not json"), ""),
        (
            Reply::json(200, r#"{"access_token":"a b","expires_in":60}"#),
            "",
        ),
        (Reply::token("dead-on-arrival", 0), ""),
    ] {
        let (answer, problem) = with_vendor(reply.clone()).await;
        assert_eq!(answer.status, 503, "{reply:?}: {problem}");
        assert_eq!(problem["error"], "temporarily_unavailable", "{reply:?}");
        assert_eq!(problem["retryable"], true);
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        let said = problem["error_description"].as_str().unwrap();
        assert!(said.contains(word), "{reply:?}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_are_told_at_once_and_never_retryable() {
    let html = "<html><body>Forbidden</body></html>".to_owned();
    let redirect = "location: https://elsewhere.example/\r\n".to_owned();
    for (reply, error, status) in [
        (
            Reply::json(401, r#"{"error":"invalid_client"}"#),
            "credentials_rejected",
            401,
        ),
        (
            Reply::json(400, r#"{"error":"invalid_scope"}"#),
            "request_rejected",
            400,
        ),
        (
            Reply::json(200, r#"{"error":"invalid_client"}"#),
            "credentials_rejected",
            200,
        ),
        (
            Reply::Full(302, redirect, String::new()),
            "request_rejected",
            302,
        ),
        (
            Reply::Full(404, "content-type: text/html\r\n".into(), html),
            "request_rejected",
            404,
        ),
    ] {
        let (answer, problem) = with_vendor(reply.clone()).await;
        assert_eq!(answer.status, 502, "{reply:?}: {problem}");
        assert_eq!(answer.header("retry-after"), None);
        assert_eq!(problem["error"], error, "{reply:?}");
        assert_eq!(problem["retryable"], false);
        assert_eq!(problem["vendor"]["status"], status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_valid_token_is_served_whatever_the_vendor_does_and_never_after_its_end() {
    for trouble in [
        Reply::Hang,
        Reply::Reset,
        Reply::json(500, "{}"),
        Reply::json(401, r#"{"error":"invalid_client"}"#),
        Reply::json(400, r#"{"error":"invalid_request"}"#),
        Reply::Full(429, "retry-after: 600\r\n".into(), String::new()),
    ] {
        let then = trouble.clone();
        let vendor = Vendor::start(move |_, number| match number {
            1 => Reply::token("first", 60),
            _ => then.clone(),
        })
        .await;
        let broker = Broker::start(&integration("x", &vendor.url(), ""));
        let first = broker.get("/token/x").await;
        let issued = tokio::time::Instant::now();
        assert_eq!(first.token(), "first");
        loop {
            let before = issued.elapsed();
            let answer = broker.get("/token/x?min_ttl=0&wait=0").await;
            let after = issued.elapsed();
            if answer.status == 200 {
                assert_eq!(answer.token(), "first");
                assert!(
                    before <= Duration::from_secs(60),
                    "{trouble:?}: served dead at {before:?}"
                );
            } else {
                assert!(
                    after >= Duration::from_secs(59),
                    "{trouble:?}: taken away at {after:?}"
                );
                assert!([502, 503].contains(&answer.status));
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(vendor.count() >= 2, "nobody tried to renew it");
    }
}

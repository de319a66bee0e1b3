//! Tokens in every form, refreshes and waiting.

use std::time::Duration;

use serde_json::json;

use super::support::{Site, failure, held};
use crate::base::{Clock as _, ErrorCode};
use crate::snapshot::{Doing, Nudge, Snapshot};

#[tokio::test(start_paused = true)]
async fn the_token_answer_is_live_and_complete() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", Some(3600));
    tokio::time::advance(Duration::from_millis(1500)).await;
    for _way in 0..2 {
        let reply = site.get("/token/sfmc").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(
            reply.json(),
            json!({"access_token": "tok-1", "token_type": "Bearer", "expires_in": 3598,
                "expires_at": "2027-01-15T09:00:00Z", "scope": "read", "rest_url": "https://rest.example.com/"})
        );
        for (name, value) in [
            ("content-type", "application/json"),
            ("cache-control", "no-store"),
            ("pragma", "no-cache"),
            ("vary", "Accept"),
            ("token-expires-in", "3598"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{name}");
        }
        assert!(!reply.head.to_lowercase().contains("access-control"));
    }
    let head = site.with("HEAD", "/token/sfmc", "").await;
    assert_eq!(
        (head.status, head.header("token-expires-in")),
        (200, Some("3598"))
    );
    assert_ne!(head.header("content-length"), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn a_token_without_expiry_says_nothing_about_it() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", None);
    let reply = site.get("/token/sfmc?min_ttl=100d").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("token-expires-in"), None);
    assert!(reply.json().get("expires_in").is_none() && reply.json().get("expires_at").is_none());
}

#[tokio::test(start_paused = true)]
async fn formats_and_negotiation() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", Some(3600));
    let raw = site.get("/token/sfmc?format=raw").await;
    assert_eq!(raw.body, "tok-1");
    assert_eq!(
        raw.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(raw.header("token-expires-in"), Some("3600"));
    assert_eq!(
        site.get("/token/sfmc?format=header").await.body,
        "Bearer tok-1"
    );
    let plain = site
        .with("GET", "/token/sfmc", "Accept: text/plain\r\n")
        .await;
    assert_eq!(plain.body, "tok-1");
    let any = site
        .with("GET", "/token/sfmc", "Accept: image/png\r\n")
        .await;
    assert_eq!(any.json()["access_token"], "tok-1", "never 406");
    let asked = site
        .with("GET", "/token/sfmc?format=json", "Accept: text/plain\r\n")
        .await;
    assert_eq!(asked.json()["access_token"], "tok-1");
}

#[tokio::test(start_paused = true)]
async fn an_api_without_authorization_has_no_header_format() {
    let site = Site::new();
    let issued = held("tok-1", site.clock.now(), None);
    let bare = crate::base::Issued {
        access_token: issued.token().clone(),
        token_type: "Bearer".into(),
        scope: None,
        members: serde_json::Map::new(),
        sent_at: site.clock.now(),
        lifetime: None,
        secret_in_use: None,
        refresh_token: None,
    };
    let bare = crate::snapshot::Held::new(bare, crate::snapshot::ApiCall::default());
    site.board("sfmc").publish(Snapshot {
        held: Some(std::sync::Arc::new(bare)),
        ..Snapshot::default()
    });
    let reply = site.get("/token/sfmc?format=header").await;
    assert_eq!(
        (reply.status, reply.error().as_str()),
        (400, "invalid_request")
    );
    assert!(reply.body.contains("/headers/sfmc"), "{reply:?}");
}

#[tokio::test(start_paused = true)]
async fn the_drop_in_answers_as_a_token_endpoint() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", Some(3600));
    for path in [
        "/token/sfmc",
        "/token/sfmc/v2/token",
        "/token/sfmc/oauth/%2e%2e/token?format=raw",
        "/token/sfmc?grant_type=x&client_secret=y",
    ] {
        let form = "Content-Type: application/x-www-form-urlencoded\r\nAccept: text/plain\r\n";
        let reply = site
            .post(path, form, "grant_type=client_credentials&client_id=x")
            .await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.json()["access_token"], "tok-1");
        let image = site
            .post(path, "Content-Type: image/png\r\n", "\u{1}")
            .await;
        assert_eq!(image.status, 200);
    }
    let get = site.get("/token/sfmc/v2/token").await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    let empty = site.post("/token/sfmc/", "", "").await;
    assert_eq!(
        (empty.status, empty.error().as_str()),
        (404, "invalid_request")
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiting_caller_gets_the_token_as_soon_as_it_is_there() {
    let site = Site::new();
    let (reply, ()) = tokio::join!(site.get("/token/sfmc"), async {
        assert!(site.board("sfmc").nudged().await.has(Nudge::Missing));
        site.hold("sfmc", "tok-1", Some(60));
    });
    assert_eq!(
        (reply.status, reply.json()["access_token"].as_str()),
        (200, Some("tok-1"))
    );
}

#[tokio::test(start_paused = true)]
async fn two_hundred_callers_of_a_cold_integration_cost_one_nudge() {
    let site = Site::new();
    let callers = (0..200).map(|_| site.get("/token/sfmc?format=raw"));
    let worker = async {
        assert!(site.board("sfmc").nudged().await.has(Nudge::Missing));
        site.board("sfmc").publish(Snapshot {
            doing: Doing::Asking,
            ..Snapshot::default()
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        site.hold("sfmc", "tok-1", Some(60));
    };
    let (replies, ()) = tokio::join!(futures_util::future::join_all(callers), worker);
    assert!(replies.iter().all(|reply| reply.body == "tok-1"));
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_at_what_was_asked_and_at_the_configured_most() {
    let site = Site::new();
    for (query, seconds) in [("?wait=2s", 2), ("?wait=0", 0), ("", 10), ("?wait=1h", 10)] {
        let begun = site.clock.now();
        let reply = site.get(&format!("/token/sfmc{query}")).await;
        assert_eq!(reply.status, 503, "{reply:?}");
        assert_eq!(reply.error(), "temporarily_unavailable");
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert_eq!(
            site.clock.now().elapsed_since(begun).as_secs(),
            seconds,
            "{query}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_min_ttl_that_no_token_can_meet_is_refused() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", Some(100));
    assert_eq!(site.get("/token/sfmc?min_ttl=90s").await.status, 200);
    let reply = site.get("/token/sfmc?min_ttl=91s").await;
    assert_eq!(
        (reply.status, reply.error().as_str()),
        (400, "min_ttl_unattainable")
    );
    let headers = site.get("/headers/sfmc?min_ttl=2m").await;
    assert_eq!(headers.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_forced_refresh_asks_and_the_next_one_is_spaced() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", Some(3600));
    let board = site.board("sfmc");
    let refreshed = || async {
        assert!(board.nudged().await.has(Nudge::Force));
        let now = site.clock.now();
        board.publish(Snapshot {
            held: Some(held("tok-2", now, Some(3600))),
            finished: 2,
            forced_from: now.mono.plus(Duration::from_millis(4500)),
            ..Snapshot::default()
        });
    };
    let (reply, ()) = tokio::join!(site.post("/refresh/sfmc?format=raw", "", ""), refreshed());
    assert_eq!((reply.status, reply.body.as_str()), (200, "tok-2"));
    assert_eq!(reply.header("retry-after"), None);
    let spaced = site
        .post("/refresh/sfmc", "", r#"{"rejected": "tok-2"}"#)
        .await;
    assert_eq!(
        (spaced.status, spaced.header("retry-after")),
        (200, Some("5"))
    );
    let other = site
        .post(
            "/refresh/sfmc",
            "Content-Type: application/json; charset=utf-8\r\n",
            r#"{"rejected": "tok-1"}"#,
        )
        .await;
    assert_eq!(
        (other.status, other.json()["access_token"].as_str()),
        (200, Some("tok-2"))
    );
}

#[tokio::test(start_paused = true)]
async fn bodies_of_a_refresh_are_read_strictly() {
    let site = Site::new();
    site.hold("fixed", "tok-1", Some(3600));
    let json = "Content-Type: application/json\r\n";
    for (headers, body, status) in [
        ("", "", 200),
        (json, "", 200),
        ("", "{}", 200),
        (json, "{\"rejected\": \"else\"}", 200),
        ("Content-Type: text/plain\r\n", "{}", 415),
        (json, "[]", 400),
        (json, "{\"rejected\": 5}", 400),
        (json, "{\"rejected\": \"\"}", 400),
        (json, "{\"rejected\": \"a\", \"rejected\": \"b\"}", 400),
        (json, "{\"rejcted\": \"canary-7\"}", 400),
        (json, "{\"rejected\": \"canary-7\"", 400),
        (json, "\u{1}", 400),
    ] {
        let reply = site.post("/refresh/fixed", headers, body).await;
        assert_eq!(reply.status, status, "{body}: {reply:?}");
        assert!(!reply.body.contains("canary"), "{reply:?}");
    }
    let deep = "[".repeat(60_000);
    assert_eq!(site.post("/refresh/fixed", json, &deep).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_refused_static_token_is_told_as_such() {
    let site = Site::new();
    site.hold("fixed", "tok-1", None);
    assert_eq!(site.post("/refresh/fixed", "", "").await.status, 200);
    let named = site
        .post("/refresh/fixed", "", r#"{"rejected": "tok-1"}"#)
        .await;
    assert_eq!(
        (named.status, named.error().as_str()),
        (502, "token_expired")
    );
    assert_eq!(named.header("retry-after"), None);
}

#[tokio::test(start_paused = true)]
async fn headers_as_json_and_for_curl() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", Some(3600));
    let reply = site.get("/headers/sfmc").await;
    assert_eq!(
        reply.json(),
        json!({"base_url": "https://rest.example.com/",
            "headers": {"Authorization": "Bearer tok-1", "X-Api-Key": "k\\1 \"q\""},
            "query": {"key": "a b&c", "@odd": "é"}})
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let curl = site.get("/headers/sfmc?format=curl").await;
    assert_eq!(
        curl.body,
        "header = \"Authorization: Bearer tok-1\"\nheader = \"X-Api-Key: k\\\\1 \\\"q\\\"\"\n\
         url-query = \"key=a b&c\"\nurl-query = \"+%40odd=%C3%A9\"\n"
    );
    assert_eq!(curl.header("token-expires-in"), Some("3600"));
}

/// Real curl reads the lines and sends what they mean. Time is not paused: curl has its own.
#[tokio::test]
async fn curl_understands_the_lines() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let site = Site::new();
    site.hold("sfmc", "tok-1", None);
    let lines = site.get("/headers/sfmc?format=curl").await.body;
    let vendor = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", vendor.local_addr().unwrap());
    let curl = tokio::process::Command::new("curl")
        .args(["-q", "-s", "--noproxy", "*", "-m", "20", "-K", "-", &url])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn();
    let Ok(mut curl) = curl else {
        return;
    };
    let mut input = curl.stdin.take().unwrap();
    input.write_all(lines.as_bytes()).await.unwrap();
    drop(input);
    let (mut stream, _) = vendor.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    let request = String::from_utf8(request).unwrap();
    stream.write_all(b"HTTP/1.1 204 No\r\n\r\n").await.unwrap();
    drop(stream);
    curl.wait().await.unwrap();
    // How it writes a space and hexadecimal digits depends on its version.
    let line = request
        .lines()
        .next()
        .unwrap()
        .replace("%20", "+")
        .to_lowercase();
    assert_eq!(line, "get /x?key=a+b%26c&%40odd=%c3%a9 http/1.1");
    assert!(
        request.contains("\r\nAuthorization: Bearer tok-1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("\r\nX-Api-Key: k\\1 \"q\"\r\n"),
        "{request}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_status_has_every_member() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", Some(3600));
    let until = site.clock.now().mono.plus(Duration::from_secs(7));
    site.fail("other", ErrorCode::RateLimited, Doing::BackingOff { until });
    let reply = site.get("/integrations").await.json();
    assert_eq!(reply["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        reply["config"],
        json!({"loaded_at": "2027-01-15T08:00:00Z", "last_reload": null})
    );
    let list = reply["integrations"].as_array().unwrap();
    let names: Vec<_> = list.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fixed", "optional", "other", "sfmc"]);
    let members = [
        "name",
        "provider",
        "grant",
        "state",
        "expires_at",
        "expires_in",
        "refresh_at",
        "last_success_at",
        "consecutive_failures",
        "last_error",
        "secret_in_use",
        "secret_expires_at",
        "refresh_token_expires_at",
        "store_error",
        "login",
        "token_fingerprint",
    ];
    for one in list {
        let found: Vec<_> = one.as_object().unwrap().keys().collect();
        assert_eq!(found, members);
    }
    assert_eq!(list[3]["state"], "valid");
    assert_eq!(list[3]["expires_in"], 3600);
    assert_eq!(list[3]["token_fingerprint"].as_str().unwrap().len(), 12);
    assert_eq!(list[2]["last_error"]["error"], "rate_limited");
    assert_eq!(list[2]["last_error"]["retry_after"], 7);
    assert!(!reply.to_string().contains("tok-1"));
    let one = site.get("/integrations/sfmc").await;
    assert_eq!(one.json()["name"], "sfmc");
    assert_eq!(site.get("/integrations/nobody").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn no_failure_takes_a_valid_token_away() {
    let site = Site::new();
    for code in ErrorCode::ALL {
        site.board("sfmc").publish(Snapshot {
            held: Some(held("tok-1", site.clock.now(), Some(60))),
            failure: Some(failure(code)),
            doing: Doing::Refused,
            ..Snapshot::default()
        });
        assert_eq!(site.get("/token/sfmc").await.status, 200, "{code:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_count_tokens_by_how_they_ended() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", Some(3600));
    site.fail("other", ErrorCode::CredentialsRejected, Doing::Refused);
    site.get("/token/sfmc").await;
    site.get("/headers/sfmc").await;
    site.get("/token/sfmc?bogus").await;
    site.get("/token/other").await;
    site.get("/token/optional?wait=0").await;
    let reply = site.get("/metrics").await;
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; version=0.0.4")
    );
    for line in [
        r#"token_requests_total{integration="sfmc",outcome="served"} 2"#,
        r#"token_requests_total{integration="sfmc",outcome="invalid"} 1"#,
        r#"token_requests_total{integration="other",outcome="refused"} 1"#,
        r#"token_requests_total{integration="optional",outcome="unavailable"} 1"#,
        r#"integration_state{integration="other",state="rejected"} 1"#,
        r#"http_request_duration_seconds_count{route="/token/{integration}"} 4"#,
        r#"http_request_duration_seconds_count{route="/headers/{integration}"} 1"#,
    ] {
        assert!(
            reply.body.contains(line),
            "{line} is not in\n{}",
            reply.body
        );
    }
    assert!(!reply.body.contains("tok-1"));
}

//! Problem documents, and what is said to whom.

use std::time::Duration;

use serde_json::json;

use super::super::error::status;
use super::super::openapi;
use super::super::resource::Resource;
use super::support::Site;
use crate::base::{Clock as _, ErrorCode};
use crate::snapshot::Doing;

#[tokio::test(start_paused = true)]
async fn a_refusal_is_a_complete_problem_document_without_retry_after() {
    let site = Site::new();
    site.fail("sfmc", ErrorCode::CredentialsRejected, Doing::Refused);
    let reply = site.get("/token/sfmc?format=raw").await;
    assert_eq!(reply.status, 502);
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(reply.header("retry-after"), None);
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(
        reply.json(),
        json!({
            "type": "urn:token-broker:error:credentials_rejected",
            "title": "The vendor refused the credentials",
            "status": 502,
            "detail": "No valid token of 'sfmc' can be served: the vendor answered 401 invalid_client. \
                Check the client secret.",
            "integration": "sfmc",
            "error": "credentials_rejected",
            "error_description": "the vendor answered 401 invalid_client",
            "retryable": false,
            "hint": "Check the client secret.",
            "vendor": {"status": 401, "error": "invalid_client", "error_description": null},
        })
    );
}

#[tokio::test(start_paused = true)]
async fn every_503_says_when_and_no_502_does() {
    let site = Site::new();
    for code in ErrorCode::ALL {
        let refused = status(code).as_u16() == 502;
        let until = site.clock.now().mono.plus(Duration::from_millis(29_100));
        let doing = if refused {
            Doing::Refused
        } else {
            Doing::BackingOff { until }
        };
        site.fail("sfmc", code, doing);
        for reply in [
            site.get("/token/sfmc").await,
            site.post("/token/sfmc", "", "").await,
        ] {
            assert_eq!(reply.status, status(code).as_u16(), "{code:?}");
            let promised = (reply.status == 503).then_some("30");
            assert_eq!(reply.header("retry-after"), promised, "{code:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_drop_in_speaks_rfc_6749() {
    let site = Site::new();
    let cases = [
        (
            ErrorCode::CredentialsRejected,
            Doing::Refused,
            502,
            "invalid_client",
        ),
        (
            ErrorCode::LoginRequired,
            Doing::Refused,
            502,
            "invalid_client",
        ),
        (
            ErrorCode::SecretUnavailable,
            Doing::Asking,
            503,
            "temporarily_unavailable",
        ),
        (
            ErrorCode::RateLimited,
            Doing::Asking,
            503,
            "temporarily_unavailable",
        ),
    ];
    for (code, doing, status, word) in cases {
        site.fail("sfmc", code, doing);
        let reply = site
            .post("/token/sfmc/x?wait=0", "Accept: text/html\r\n", "")
            .await;
        assert_eq!((reply.status, reply.error().as_str()), (status, word));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("retry-after").is_some(), status == 503);
    }
    let unknown = site.post("/token/nobody", "", "").await;
    assert_eq!(
        (unknown.status, unknown.error().as_str()),
        (404, "invalid_request")
    );
    let foreign = site.post("/token/sfmc", "Via: x\r\n", "").await;
    assert_eq!(
        (foreign.status, foreign.error().as_str()),
        (403, "unauthorized_client")
    );
}

#[tokio::test(start_paused = true)]
async fn unknown_names_come_with_a_suggestion() {
    let site = Site::new();
    let reply = site.get("/token/smfc").await;
    assert_eq!(
        (reply.status, reply.error().as_str()),
        (404, "unknown_integration")
    );
    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("Did you mean 'sfmc'?") && detail.contains("GET /integrations"),
        "{detail}"
    );
    assert_eq!(reply.json()["integration"], "smfc");
    let far = site.get("/token/nothing-like-it").await;
    assert!(!far.body.contains("Did you mean"), "{far:?}");
    for malformed in [
        "/token/SFMC",
        "/token/sf%6Dc",
        "/token/a--b",
        "/headers/%00",
        "/refresh/-",
    ] {
        let method = if malformed.starts_with("/refresh") {
            "POST"
        } else {
            "GET"
        };
        let reply = site.with(method, malformed, "").await;
        assert_eq!(
            (reply.status, reply.error().as_str()),
            (400, "invalid_request"),
            "{malformed}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn queries_are_strict() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", Some(3600));
    for bad in [
        "format=xml",
        "format",
        "format=",
        "Format=raw",
        "format=raw&format=raw",
        "format=raw&format=json",
        "bogus=1",
        "=",
        "&",
        "format=raw&",
        "min_ttl=-1",
        "min_ttl=1.5s",
        "min_ttl=",
        "wait=soon",
        "wait=5%20s",
        "format=%zz",
        "format=%",
        "format=%f",
        "format=%ff",
        "min_ttl=99999999999999999999",
        "wait=1s&wait=1s",
        "format=curl",
    ] {
        let reply = site.get(&format!("/token/sfmc?{bad}")).await;
        assert_eq!(
            (reply.status, reply.error().as_str()),
            (400, "invalid_request"),
            "{bad}"
        );
    }
    for good in [
        "",
        "format=%72aw",
        "f%6Frmat=raw",
        "min_ttl=5&wait=0",
        "wait=1h30m",
    ] {
        assert_eq!(
            site.get(&format!("/token/sfmc?{good}")).await.status,
            200,
            "{good}"
        );
    }
    assert_eq!(site.get("/headers/sfmc?format=raw").await.status, 400);
    for path in [
        "/integrations",
        "/integrations/sfmc",
        "/metrics",
        "/openapi.json",
        "/readyz",
    ] {
        assert_eq!(site.get(&format!("{path}?x=1")).await.status, 400, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn paths_and_methods() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", Some(3600));
    for path in [
        "/",
        "/token",
        "/token/",
        "/token/sfmc/",
        "/headers",
        "/headers/sfmc/",
        "/headers/sfmc/x",
        "/refresh/",
        "/integrations/",
        "/integrations/sfmc/",
        "/livez/",
        "//livez",
        "/token//sfmc",
        "/Token/sfmc",
        "/proxy/sfmc/x",
    ] {
        let reply = site.get(path).await;
        assert_eq!(
            (reply.status, reply.error().as_str()),
            (404, "invalid_request"),
            "{path}"
        );
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
    }
    for (method, path, allow) in [
        ("PUT", "/token/sfmc", "GET, HEAD, POST"),
        ("DELETE", "/headers/sfmc", "GET, HEAD"),
        ("POST", "/headers/sfmc", "GET, HEAD"),
        ("GET", "/refresh/sfmc", "POST"),
        ("HEAD", "/refresh/sfmc", "POST"),
        ("PATCH", "/token/sfmc/x", "POST"),
        ("POST", "/livez", "GET, HEAD"),
        ("OPTIONS", "/integrations", "GET, HEAD"),
        ("BREW", "/metrics", "GET, HEAD"),
    ] {
        let reply = site.with(method, path, "").await;
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, Some(allow)),
            "{method} {path}"
        );
    }
    for path in [
        "/headers/sfmc",
        "/integrations",
        "/livez",
        "/metrics",
        "/openapi.json",
    ] {
        let reply = site.with("HEAD", path, "").await;
        assert_eq!(reply.status, 200, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopping_broker_serves_what_it_holds_and_nothing_else() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", Some(3600));
    let (waiting, ()) = tokio::join!(site.get("/token/other"), async {
        site.board("other").nudged().await;
        site.context.health.stopping();
        site.retire("other");
    });
    assert_eq!(
        (waiting.status, waiting.error().as_str()),
        (503, "shutting_down")
    );
    assert_eq!(waiting.header("retry-after"), Some("1"));
    assert_eq!(site.get("/token/sfmc").await.status, 200);
    assert_eq!(site.post("/refresh/sfmc", "", "").await.status, 200);
    assert_eq!(
        site.post("/refresh/other", "", "").await.error(),
        "shutting_down"
    );
    assert_eq!(site.get("/readyz").await.status, 503);
    assert_eq!(site.get("/livez").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_api_document_lists_exactly_the_routes() {
    let site = Site::new();
    site.hold("sfmc", "tok-1", Some(3600));
    let document = site.get("/openapi.json").await.json();
    assert_eq!(document, openapi::document());
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), Resource::ALL.len());
    for (path, item) in paths {
        let target = path
            .replace("{integration}", "sfmc")
            .replace("{path}", "v2/token");
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let reply = site.with(method, &target, "").await;
            let listed = item.get(method.to_lowercase()).is_some();
            assert_eq!(reply.status != 405, listed, "{method} {path}");
            // This one takes no logins, and says so.
            let fine = if path.starts_with("/login/") {
                [200, 400]
            } else {
                [200, 503]
            };
            assert!(
                !listed || fine.contains(&reply.status),
                "{method} {path}: {reply:?}"
            );
        }
    }
    let text = document.to_string();
    for code in ErrorCode::ALL {
        assert!(text.contains(code.as_str()), "{code:?}");
    }
    let mut ids: Vec<_> = paths
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
    // Every reference leads somewhere.
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

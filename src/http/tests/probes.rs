//! Probes: what they depend on, and what they never take back.

use std::time::Duration;

use super::support::{NAMES, Site};
use crate::base::ErrorCode;
use crate::snapshot::{Doing, Snapshot};

#[tokio::test(start_paused = true)]
async fn the_start_is_over_with_the_first_final_answer_of_each_required_one() {
    let site = Site::new();
    let first = site.get("/startupz?verbose").await;
    assert_eq!(first.status, 503);
    assert!(
        first
            .body
            .contains("[-] sfmc has a first answer: not yet\n"),
        "{first:?}"
    );
    assert!(!first.body.contains("optional"), "not required: {first:?}");
    assert_eq!(
        first.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    site.hold("sfmc", "tok-1", Some(60));
    site.fail("fixed", ErrorCode::TokenExpired, Doing::Refused);
    site.fail("other", ErrorCode::TemporarilyUnavailable, Doing::Asking);
    assert_eq!(
        site.get("/startupz").await.status,
        503,
        "merely unreachable"
    );
    site.fail("other", ErrorCode::CredentialsRejected, Doing::Refused);
    assert_eq!(site.get("/startupz").await.status, 200);
    for name in NAMES {
        site.board(name).publish(Snapshot::default());
    }
    let latched = site.get("/startupz").await;
    assert_eq!((latched.status, latched.body.as_str()), (200, "ok\n"));
}

#[tokio::test(start_paused = true)]
async fn patience_at_the_start_ends() {
    let site = Site::new();
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(site.get("/startupz").await.status, 503);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(site.get("/startupz").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn readiness_does_not_depend_on_vendors() {
    let site = Site::new();
    let ready = site.get("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "ok\n"));
    site.context.health.stopping();
    let verbose = site.get("/readyz?verbose").await;
    assert_eq!(verbose.status, 503);
    assert!(
        verbose.body.contains("[-] not shutting down: not yet"),
        "{verbose:?}"
    );
    let live = site.get("/livez?verbose=true").await;
    assert_eq!(
        (live.status, live.body.as_str()),
        (200, "[+] process running: ok\nok\n")
    );
}

//! Which secret is tried, and when another one.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use futures_util::future::BoxFuture;

use super::*;
use crate::exchange::Ask;

const REFUSED: &str = r#"{"error":"invalid_client","error_description":"no such secret"}"#;

fn secrets_sent(peer: &Peer) -> Vec<String> {
    let requests = peer.requests();
    requests
        .iter()
        .map(|request| request.rsplit_once("client_secret=").unwrap().1.to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_refused_secret_gives_way_to_the_next_and_the_one_that_worked_comes_first() {
    let peer = Peer::start(vec![
        Act::json(401, REFUSED),
        Act::json(200, TOKEN),
        Act::json(200, TOKEN),
    ])
    .await;
    let mut request = request(&peer.url());
    request.client_secret = vec![value("old-one"), value("new-one")];
    let source = Bench::new().source(request);
    assert_eq!(issued(source.exchange().await).secret_in_use, Some(1));
    assert_eq!(issued(source.exchange().await).secret_in_use, Some(1));
    assert_eq!(secrets_sent(&peer), ["old-one", "new-one", "new-one"]);
}

#[tokio::test(start_paused = true)]
async fn each_secret_is_tried_once_and_only_when_the_vendor_refuses_credentials() {
    let peer = Peer::start(vec![Act::json(401, REFUSED)]).await;
    let mut first = request(&peer.url());
    first.client_secret = vec![value("aaaa"), value("bbbb"), value("aaaa")];
    let failure = failure(Bench::new().source(first).exchange().await);
    assert_eq!(secrets_sent(&peer), ["aaaa", "bbbb"]);
    assert_eq!(failure.code, ErrorCode::CredentialsRejected);
    assert_eq!(
        failure.description,
        "the vendor refused the client credentials: 401 invalid_client (no such secret) (each of \
         2 secrets was tried)"
    );
    for (status, body) in [(503, ""), (400, r#"{"error":"invalid_scope"}"#)] {
        let peer = Peer::start(vec![Act::json(status, body)]).await;
        let mut other = request(&peer.url());
        other.client_secret = vec![value("aaaa"), value("bbbb")];
        let _outcome = Bench::new().source(other).exchange().await;
        assert_eq!(secrets_sent(&peer), ["aaaa"], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_secret_is_not_sent_again_because_the_other_met_trouble() {
    let peer = Peer::start(vec![
        Act::json(401, REFUSED),
        Act::json(503, ""),
        Act::json(503, ""),
        Act::json(200, TOKEN),
    ])
    .await;
    let mut request = request(&peer.url());
    request.client_secret = vec![value("old-one"), value("new-one")];
    let source = Bench::new().source(request);
    assert_eq!(source.exchange().await.label(), "transient");
    assert_eq!(source.exchange().await.label(), "transient");
    assert_eq!(issued(source.exchange().await).secret_in_use, Some(1));
    assert_eq!(
        secrets_sent(&peer),
        ["old-one", "new-one", "new-one", "new-one"]
    );
}

#[tokio::test(start_paused = true)]
async fn every_secret_that_is_tried_needs_room_and_the_exchange_goes_on_where_it_stopped() {
    for (second, sent) in [
        (Act::json(200, TOKEN), vec!["old-one", "new-one"]),
        (Act::json(401, REFUSED), vec!["old-one", "new-one"]),
    ] {
        let good = second.clone();
        let peer = Peer::start(vec![Act::json(401, REFUSED), good]).await;
        let mut request = request(&peer.url());
        request.client_secret = vec![value("old-one"), value("new-one")];
        let source = Bench::new().source(request);
        let room = AtomicUsize::new(1);
        let may_send = || -> BoxFuture<'_, bool> {
            let taken = room.fetch_update(SeqCst, SeqCst, |left: usize| left.checked_sub(1));
            Box::pin(std::future::ready(taken.is_ok()))
        };
        let ask = || Ask {
            may_send: &may_send,
            ..Ask::plain()
        };
        assert!(source.ask(ask()).await.is_none());
        assert_eq!(secrets_sent(&peer), ["old-one"]);
        room.store(1, SeqCst);
        let outcome = source.ask(ask()).await.unwrap();
        assert_eq!(secrets_sent(&peer), sent);
        // With both refused there is an answer, and not an endless row of halves.
        let label = outcome.label();
        assert!(["issued", "bad_credential"].contains(&label), "{label}");
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_outside_their_time_are_left_out_unless_all_are() {
    let peer = Peer::start(vec![Act::json(200, TOKEN)]).await;
    let at = |seconds| Some(Timestamp::from_unix_seconds(START + seconds));
    let over = SecretCandidate {
        expires_at: at(-1),
        ..value("over")
    };
    let staged = SecretCandidate {
        not_before: at(60),
        ..value("next")
    };
    let mut both = request(&peer.url());
    both.client_secret = vec![over.clone(), value("good"), staged.clone()];
    let source = Bench::new().source(both);
    assert_eq!(issued(source.exchange().await).secret_in_use, Some(1));
    let mut neither = request(&peer.url());
    neither.client_secret = vec![over, staged];
    let source = Bench::new().source(neither);
    assert_eq!(issued(source.exchange().await).secret_in_use, Some(0));
    assert_eq!(secrets_sent(&peer), ["good", "over"]);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_secret_sends_nothing_and_a_new_value_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let peer = Peer::start(vec![Act::json(200, TOKEN)]).await;
    let mut missing = request(&peer.url());
    missing.client_secret = vec![SecretCandidate {
        source: SecretSource::File(path.clone()),
        ..value("")
    }];
    let source = Bench::new().source(missing);
    let changes = source.secret_changes();
    let outcome = source.exchange().await;
    assert!(matches!(outcome, Outcome::SecretUnavailable(_)));
    let failure = failure(outcome);
    assert_eq!(failure.code, ErrorCode::SecretUnavailable);
    assert!(failure.description.ends_with("secret does not exist"));
    assert_eq!(peer.requests().len(), 0);
    std::fs::write(&path, "from-a-file\n").unwrap();
    issued(source.exchange().await);
    // Who reads it itself needs no word of it.
    assert!(!changes.take());
    assert_eq!(secrets_sent(&peer), ["from-a-file"]);
}

#[tokio::test(start_paused = true)]
async fn the_timeout_covers_all_secrets_of_one_exchange() {
    let peer = Peer::start(vec![Act::json(401, REFUSED), Act::Hang]).await;
    let mut request = request(&peer.url());
    request.client_secret = vec![value("aaaa"), value("bbbb")];
    let source = Bench::new().source(request);
    let started = tokio::time::Instant::now();
    let outcome = source.exchange().await;
    assert!(matches!(outcome, Outcome::Transient { .. }));
    assert!(started.elapsed() < Duration::from_secs(16));
}

use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;

use super::*;
use crate::base::{ErrorCode, Issued, Secret, Timestamp, TokioClock};
use crate::snapshot::{ApiCall, Board, board};

fn clock() -> TokioClock {
    TokioClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000))
}

fn held(token: &str, clock: &dyn Clock, lifetime: u64) -> Arc<Held> {
    let issued = Issued {
        access_token: Secret::new(token),
        token_type: "Bearer".into(),
        scope: None,
        members: Map::new(),
        sent_at: clock.now(),
        lifetime: Some(Duration::from_secs(lifetime)),
        secret_in_use: None,
        refresh_token: None,
    };
    Arc::new(Held::new(issued, ApiCall::default()))
}

fn failure(code: ErrorCode) -> Arc<Failure> {
    Arc::new(Failure {
        code,
        description: "x".into(),
        hint: None,
        vendor: None,
        retry_after: None,
        at: Timestamp::from_unix_seconds(0),
    })
}

fn want(wait: u64) -> Want {
    Want {
        min_ttl: MinTtl::Default(Duration::from_secs(5)),
        wait: Duration::from_secs(wait),
    }
}

fn with(snapshot: Snapshot) -> (Board, Reader) {
    board(snapshot, false, false)
}

#[tokio::test(start_paused = true)]
async fn a_caller_waits_for_the_worker_and_leaves_with_the_token() {
    let clock = Arc::new(clock());
    let (board, reader) = with(Snapshot::default());
    let waiting = {
        let clock = Arc::clone(&clock);
        async move { reader.token(&*clock, want(10)).await }
    };
    let publish = async {
        assert!(board.nudged().await.has(Nudge::Missing));
        board.publish(Snapshot {
            held: Some(held("a", &*clock, 60)),
            ..Snapshot::default()
        });
    };
    let (token, ()) = tokio::join!(waiting, publish);
    assert_eq!(token.unwrap().token(), &Secret::new("a"));
}

#[tokio::test(start_paused = true)]
async fn a_caller_leaves_at_once_when_the_next_attempt_is_too_far() {
    let clock = clock();
    let until = clock.now().mono.plus(Duration::from_secs(30));
    let (_board, reader) = with(Snapshot {
        doing: Doing::BackingOff { until },
        failure: Some(failure(ErrorCode::RateLimited)),
        ..Snapshot::default()
    });
    let begun = clock.now();
    let denied = reader.token(&clock, want(10)).await.unwrap_err();
    assert!(matches!(denied, Denied::NotYet { retry_after, .. } if retry_after.as_secs() == 30));
    assert_eq!(clock.now().elapsed_since(begun), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_at_once_and_zero_wait_never_waits() {
    let clock = clock();
    let (board, reader) = with(Snapshot {
        doing: Doing::Refused,
        failure: Some(failure(ErrorCode::CredentialsRejected)),
        ..Snapshot::default()
    });
    assert!(matches!(
        reader.token(&clock, want(10)).await,
        Err(Denied::Refused(_))
    ));
    board.publish(Snapshot {
        doing: Doing::Asking,
        ..Snapshot::default()
    });
    let begun = clock.now();
    assert!(matches!(
        reader.token(&clock, want(0)).await,
        Err(Denied::NotYet { .. })
    ));
    assert_eq!(clock.now().elapsed_since(begun), Duration::ZERO);
    drop(board);
    assert_eq!(
        reader.token(&clock, want(1)).await.unwrap_err(),
        Denied::Gone
    );
}

#[tokio::test(start_paused = true)]
async fn never_a_dead_token_whatever_the_clocks_do() {
    let clock = clock();
    let (_board, reader) = with(Snapshot {
        held: Some(held("a", &clock, 60)),
        ..Snapshot::default()
    });
    let asked = |seconds| MinTtl::Asked(Duration::from_secs(seconds));
    assert!(reader.good(clock.now(), asked(0)).is_some());
    clock.shift_wall(61_000);
    assert!(
        reader.good(clock.now(), asked(0)).is_none(),
        "the wall clock says it is over"
    );
    clock.shift_wall(-1_000_000);
    assert!(reader.good(clock.now(), asked(0)).is_some());
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(
        reader.good(clock.now(), asked(0)).is_none(),
        "the monotonic clock says it is over"
    );
}

#[tokio::test(start_paused = true)]
async fn min_ttl_is_capped_by_default_and_refused_when_it_can_never_be_met() {
    let clock = clock();
    let (board, reader) = with(Snapshot {
        held: Some(held("a", &clock, 4)),
        ..Snapshot::default()
    });
    tokio::time::advance(Duration::from_millis(3500)).await;
    assert!(
        reader
            .good(clock.now(), MinTtl::Default(Duration::from_secs(5)))
            .is_some()
    );
    let asked = Want {
        min_ttl: MinTtl::Asked(Duration::from_secs(4)),
        wait: Duration::ZERO,
    };
    assert!(matches!(
        reader.token(&clock, asked).await,
        Err(Denied::Unattainable { .. })
    ));
    let asked = Want {
        min_ttl: MinTtl::Asked(Duration::from_secs(3)),
        wait: Duration::ZERO,
    };
    assert!(matches!(
        reader.token(&clock, asked).await,
        Err(Denied::NotYet { .. })
    ));
    assert!(board.nudged().await.has(Nudge::Short));
}

#[tokio::test(start_paused = true)]
async fn with_reissue_same_the_caller_waits_for_the_expiry_or_leaves() {
    let clock = clock();
    let first = Snapshot {
        held: Some(held("a", &clock, 100)),
        ..Snapshot::default()
    };
    let (_board, reader) = board(first, true, false);
    let asked = |wait| Want {
        min_ttl: MinTtl::Asked(Duration::from_secs(80)),
        wait: Duration::from_secs(wait),
    };
    tokio::time::advance(Duration::from_secs(50)).await;
    let denied = reader.token(&clock, asked(10)).await.unwrap_err();
    assert!(matches!(denied, Denied::NotYet { retry_after, .. } if retry_after.as_secs() == 50));
}

#[tokio::test(start_paused = true)]
async fn a_forced_refresh_inside_the_spacing_returns_the_current_token() {
    let clock = clock();
    let (_board, reader) = with(Snapshot {
        held: Some(held("a", &clock, 60)),
        forced_from: clock.now().mono.plus(Duration::from_secs(5)),
        ..Snapshot::default()
    });
    let refreshed = reader
        .refresh(&clock, want(10), Some(Rejected::parse("a")))
        .await
        .unwrap();
    assert_eq!(refreshed.retry_after, Some(Duration::from_secs(5)));
}

#[tokio::test(start_paused = true)]
async fn a_herd_that_names_an_old_token_costs_nothing() {
    let clock = clock();
    let (board, reader) = with(Snapshot {
        held: Some(held("b", &clock, 60)),
        ..Snapshot::default()
    });
    let refreshed = reader
        .refresh(&clock, want(10), Some(Rejected::parse("a")))
        .await
        .unwrap();
    assert_eq!(refreshed.held.token(), &Secret::new("b"));
    tokio::select! {
        biased;
        nudges = board.nudged() => panic!("nudged: {nudges:?}"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_forced_refresh_keeps_the_token_unless_it_was_rejected() {
    let clock = Arc::new(clock());
    let token = held("a", &*clock, 60);
    for (rejected, works) in [(None, true), (Some(Rejected::parse("a")), false)] {
        let (board, reader) = with(Snapshot {
            held: Some(Arc::clone(&token)),
            ..Snapshot::default()
        });
        let worker = async {
            assert!(board.nudged().await.has(Nudge::Force));
            board.publish(Snapshot {
                held: Some(Arc::clone(&token)),
                doing: Doing::BackingOff {
                    until: clock.now().mono.plus(Duration::from_secs(1)),
                },
                failure: Some(failure(ErrorCode::TemporarilyUnavailable)),
                finished: 1,
                ..Snapshot::default()
            });
        };
        let (answer, ()) = tokio::join!(reader.refresh(&*clock, want(10), rejected), worker);
        assert_eq!(answer.is_ok(), works, "{answer:?}");
    }
}

#[test]
fn a_rejected_token_is_named_by_itself_or_its_hash() {
    let hash = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    assert_eq!(Rejected::parse("a"), Rejected::parse(hash));
    assert_eq!(Rejected::parse(&hash.to_uppercase()), Rejected::parse(hash));
}

//! Vendors that fail, refuse, throttle and lie; workers that panic; secrets that change.

use super::*;

#[tokio::test(start_paused = true)]
async fn retry_after_holds_back_everyone_who_is_the_same_client_there() {
    let mut engine = Engine::new();
    let (first, _) = engine.add("first", policy(), [transient(Some(3))], token(3600));
    let demand = RefreshPolicy {
        when: When::Demand,
        ..policy()
    };
    let (second, reader) = engine.add("second", demand, [], token(3600));
    engine.start();
    sleep(Duration::from_millis(100)).await;
    let clock = Arc::clone(&engine.clock);
    let denied = reader.token(&*clock, want(1)).await.unwrap_err();
    let Denied::NotYet {
        failure: Some(failure),
        retry_after,
    } = denied
    else {
        panic!("{denied:?}");
    };
    assert_eq!(failure.code, ErrorCode::RateLimited);
    assert!(retry_after >= Duration::from_secs(2), "{retry_after:?}");
    reader.nudge(Nudge::Missing);
    reader.nudge(Nudge::Force);
    sleep(Duration::from_millis(2900)).await;
    assert_eq!((first.asked(), second.asked()), (1, 0));
    seconds(3).await;
    assert_eq!((first.asked(), second.asked()), (2, 1));
    assert!(engine.is_served(&reader));
    assert!(first.gaps()[0] >= 3.0);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_not_believed_beyond_an_hour() {
    let (engine, vendor, reader) = Engine::with(policy(), [transient(Some(u64::MAX))], token(9));
    seconds(3599).await;
    assert_eq!(vendor.asked(), 1);
    seconds(3).await;
    assert!(engine.is_served(&reader));
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_not_hammered() {
    for _ in 0..50 {
        let (engine, vendor, reader) = Engine::with(RefreshPolicy::default(), [], refused());
        for _ in 0..600 {
            reader.nudge(Nudge::Missing);
            reader.nudge(Nudge::Force);
            sleep(Duration::from_millis(100)).await;
        }
        assert!((2..=3).contains(&vendor.asked()), "{}", vendor.asked());
        let denied = reader.token(&*engine.clock, want(5)).await;
        assert!(matches!(denied, Err(Denied::Refused(_))), "{denied:?}");
        seconds(86_400).await;
        assert!(vendor.asked() < 60, "{}", vendor.asked());
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_grant_is_tried_once_an_hour() {
    let dead = Answer::Is(Outcome::DeadGrant(failure(ErrorCode::LoginRequired)));
    let (engine, vendor, reader) = Engine::with(policy(), [], dead);
    seconds(3 * 3600 + 60).await;
    assert_eq!(vendor.asked(), 4);
    assert_eq!(reader.get().state(engine.clock.now()), State::LoginRequired);
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_dies_or_refuses_later_takes_nothing_away() {
    for (answer, state) in [
        (transient(None), State::Expired),
        (refused(), State::Rejected),
    ] {
        let (engine, vendor, reader) = Engine::with(policy(), [token(100)], answer);
        seconds(1).await;
        for tenth in 10..1000 {
            assert!(engine.is_served(&reader), "not served after {tenth} tenths");
            sleep(Duration::from_millis(100)).await;
        }
        seconds(1).await;
        assert_eq!(reader.get().state(engine.clock.now()), state);
        for _ in 0..600 {
            assert!(!engine.is_served(&reader), "a dead token was served");
            sleep(Duration::from_millis(100)).await;
        }
        vendor.becomes(token(100));
        let held = reader.token(&*engine.clock, want(3600)).await;
        assert!(held.is_ok() || state == State::Rejected, "{held:?}");
        seconds(3600).await;
        assert!(engine.is_served(&reader));
        let snapshot = reader.get();
        assert_eq!(
            (snapshot.consecutive_failures, snapshot.failure.as_ref()),
            (0, None)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_caller_shortens_a_back_off() {
    let refresh = RefreshPolicy::default();
    let (engine, vendor, reader) = Engine::with(refresh, [], transient(None));
    for _ in 0..6000 {
        for nudge in [Nudge::Missing, Nudge::Short, Nudge::Force] {
            reader.nudge(nudge);
        }
        sleep(Duration::from_millis(100)).await;
    }
    let gaps = vendor.gaps();
    for (gap, size) in gaps
        .iter()
        .zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0])
    {
        assert!((size / 2.0..=size + 0.2).contains(gap), "{gaps:?}");
    }
    assert!(gaps.len() < 30);
    let failures = reader.get().consecutive_failures;
    assert_eq!(usize::try_from(failures).unwrap(), vendor.asked());
    drop(engine);
}

#[tokio::test(start_paused = true)]
async fn a_failed_forced_refresh_tells_the_caller_whose_token_was_rejected() {
    let (engine, _vendor, reader) = Engine::with(policy(), [token(3600)], transient(None));
    seconds(10).await;
    let rejected = Some(Rejected::parse("token-1"));
    let denied = reader.refresh(&*engine.clock, want(5), rejected).await;
    assert!(matches!(denied, Err(Denied::NotYet { .. })), "{denied:?}");
    assert!(engine.is_served(&reader), "others keep it");
    let kept = reader.refresh(&*engine.clock, want(0), None).await;
    assert!(kept.is_ok(), "{kept:?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_dead_on_arrival_is_a_failure() {
    let dead = Answer::Token(Some(Duration::from_millis(50)));
    let (engine, vendor, reader) = Engine::with(policy(), [token(60), dead.clone()], dead);
    seconds(30).await;
    assert_eq!(vendor.asked(), 1);
    seconds(29).await;
    assert!(engine.is_served(&reader), "the good one stays");
    assert_eq!(reader.get().state(engine.clock.now()), State::Degraded);
    assert!(vendor.asked() < 8, "it backs off: {}", vendor.asked());
}

#[tokio::test(start_paused = true)]
async fn a_panic_stays_in_its_own_integration() {
    let mut engine = Engine::new();
    let script = [token(8), Answer::Panic, Answer::Panic];
    let (broken, reader) = engine.add("broken", policy(), script, token(3600));
    let (_, other) = engine.add("other", policy(), [], token(3600));
    engine.start();
    sleep(Duration::from_millis(4100)).await;
    assert_eq!(broken.asked(), 2);
    let snapshot = reader.get();
    assert!(engine.is_served(&reader), "the held token is still served");
    assert_eq!(snapshot.state(engine.clock.now()), State::Degraded);
    let failure = snapshot.failure.clone().unwrap();
    assert_eq!(failure.code, ErrorCode::TemporarilyUnavailable);
    assert!(failure.description.contains("internal error"));
    assert!(matches!(snapshot.doing, Doing::BackingOff { .. }));
    assert_eq!(other.get().failure, None);
    seconds(2).await;
    assert_eq!(broken.asked(), 3, "restarted after a second");
    seconds(3).await;
    assert_eq!(broken.asked(), 4, "and after two");
    assert_eq!(reader.get().failure, None);
    assert!(engine.is_served(&reader) && engine.is_served(&other));
    engine.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_ends_a_refusal() {
    let (engine, vendor, reader) = Engine::with(policy(), [refused()], token(3600));
    seconds(5).await;
    assert_eq!(vendor.asked(), 1);
    vendor.new_secret();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(vendor.asked(), 2);
    assert!(engine.is_served(&reader));
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_is_proven_while_the_old_token_is_served() {
    let (engine, vendor, reader) = Engine::with(policy(), [token(3600)], refused());
    seconds(5).await;
    vendor.new_secret();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(vendor.asked(), 2);
    assert!(engine.is_served(&reader));
    assert_eq!(reader.get().state(engine.clock.now()), State::Rejected);
    // Many new ones: never twice within a second.
    for _ in 0..100 {
        vendor.new_secret();
        sleep(Duration::from_millis(100)).await;
    }
    assert!(vendor.gaps().iter().all(|gap| *gap >= 1.0));
    assert!(vendor.asked() <= 13, "{}", vendor.asked());
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_does_not_shorten_a_vendors_wait() {
    let (_engine, vendor, _reader) = Engine::with(policy(), [transient(Some(60))], token(3600));
    for _ in 0..59 {
        seconds(1).await;
        vendor.new_secret();
    }
    assert_eq!(vendor.asked(), 1);
    seconds(3).await;
    assert_eq!(vendor.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_changes_during_a_refusal_is_tried_once_more() {
    let (engine, vendor, reader) = Engine::with(policy(), [refused(), refused()], token(60));
    sleep(Duration::from_millis(20)).await;
    vendor.new_secret();
    sleep(Duration::from_millis(1010)).await;
    assert_eq!(vendor.asked(), 2);
    // The same again while that one is in flight: now the refusal's own wait holds.
    vendor.new_secret();
    seconds(10).await;
    assert_eq!(vendor.asked(), 2);
    seconds(30).await;
    assert!(engine.is_served(&reader) || vendor.asked() <= 3);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_secret_is_looked_for_every_ten_seconds_or_when_it_appears() {
    let missing = Answer::Is(Outcome::SecretUnavailable(failure(
        ErrorCode::SecretUnavailable,
    )));
    let (engine, vendor, reader) = Engine::with(policy(), [], missing);
    seconds(35).await;
    assert_eq!(vendor.asked(), 4);
    assert_eq!(reader.get().state(engine.clock.now()), State::Pending);
    vendor.becomes(token(60));
    vendor.new_secret();
    sleep(Duration::from_millis(100)).await;
    assert!(engine.is_served(&reader));
}

#[tokio::test(start_paused = true)]
async fn a_static_token_is_looked_at_again_at_its_expiry_and_when_it_is_exchanged() {
    let mut engine = Engine::new();
    let mut spec = integration("acme", policy());
    spec.grant = Grant::Static(StaticToken {
        token: SecretSource::Value(Secret::new("token-0")),
        expires_at: None,
    });
    let expired = Answer::Is(Outcome::Expired(failure(ErrorCode::TokenExpired)));
    let (vendor, reader) = engine.add_spec(spec, [token(3600)], expired);
    engine.start();
    seconds(3590).await;
    assert_eq!(vendor.asked(), 1);
    assert!(engine.is_served(&reader));
    seconds(11).await;
    assert_eq!(vendor.asked(), 2);
    let denied = reader.token(&*engine.clock, want(5)).await;
    assert!(matches!(denied, Err(Denied::Refused(_))), "{denied:?}");
    vendor.becomes(token(3600));
    vendor.new_secret();
    seconds(1).await;
    assert!(engine.is_served(&reader));
}

//! Which refresh token is presented, and what ends it.

use super::*;

#[tokio::test(start_paused = true)]
async fn each_refresh_token_is_presented_once() {
    let mut host = Host::new(Reply::Rotate(100));
    let reader = host.start(rotating());
    for second in 0..1000 {
        seconds(1).await;
        assert!(host.is_served(&reader), "{second}");
    }
    let presented = host.vendor.presented();
    assert!(presented.len() > 10);
    let mut distinct = presented.clone();
    distinct.dedup();
    assert_eq!(presented, distinct);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_refresh_token_keeps_the_old_one() {
    let mut host = Host::new(Reply::Keep(100));
    let reader = host.start(rotating());
    seconds(200).await;
    assert!(host.is_served(&reader));
    assert_eq!(host.vendor.presented(), ["refresh-0"; 3]);
    let chain = host.record().await.chain.unwrap();
    assert_eq!(chain.refresh_token.expose(), "refresh-0");
    assert_eq!(chain.intent, None);
}

#[tokio::test(start_paused = true)]
async fn a_dead_grant_leaves_a_valid_access_token() {
    let mut host = Host::new(Reply::Rotate(1000));
    let reader = host.start(rotating());
    seconds(1).await;
    host.vendor.becomes(Reply::Is(dead()));
    seconds(900).await;
    assert_eq!(host.vendor.asked(), 2);
    assert!(host.is_served(&reader));
    assert_eq!(host.state(&reader), State::LoginRequired);
    let said = hint(&reader);
    assert!(said.contains("integrations.acme.refresh_token"), "{said}");
    assert!(!said.contains("interrupted"), "{said}");
    // The same one again once an hour, restarts or not; servers are repaired.
    for _ in 0..30 {
        seconds(100).await;
        host.kill().await;
        host.start(rotating());
    }
    assert_eq!(host.vendor.asked(), 2);
    host.vendor.becomes(Reply::Rotate(1000));
    host.kill().await;
    let reader = host.start(rotating());
    seconds(900).await;
    assert!(host.is_served(&reader));
}

#[tokio::test(start_paused = true)]
async fn a_429_with_an_error_member_does_not_kill_the_grant() {
    let mut host = Host::new(Reply::Rotate(1000));
    for _ in 0..5 {
        host.vendor.next(Reply::Is(Outcome::Transient {
            retry_after: Some(Duration::from_secs(20)),
            failure: failure(ErrorCode::RateLimited),
        }));
    }
    let reader = host.start(rotating());
    seconds(90).await;
    assert_ne!(host.state(&reader), State::LoginRequired);
    assert_eq!(host.record().await.chain.unwrap().intent, None);
    seconds(60).await;
    assert!(host.is_served(&reader));
    assert_eq!(host.vendor.presented(), ["refresh-0"; 6]);
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_shorter_than_the_margin_does_not_loop() {
    for life in [0, 1, 2] {
        let mut host = Host::new(Reply::Rotate(life));
        host.start(rotating());
        seconds(60).await;
        let gaps = host.vendor.gaps();
        assert!(gaps.iter().all(|gap| *gap >= 0.5), "{life}: {gaps:?}");
        // A token without any life is no token, but its refresh token is one.
        let last = host.vendor.presented().pop().unwrap();
        assert_eq!(last, format!("refresh-{}", host.vendor.asked() - 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_asked_for_again_and_a_refusal_says_what_happened() {
    let mut host = Host::new(Reply::Rotate(1000));
    host.vendor.next(Reply::Lost);
    let reader = host.start(rotating());
    seconds(1).await;
    assert_eq!(host.vendor.presented(), ["refresh-0"; 2], "again at once");
    assert!(host.vendor.gaps()[0] < 0.2);
    assert_eq!(host.state(&reader), State::LoginRequired);
    assert!(hint(&reader).contains("interrupted"), "{}", hint(&reader));
    assert!(host.record().await.chain.unwrap().intent.is_some());
}

#[tokio::test(start_paused = true)]
async fn silence_is_no_refusal() {
    let mut host = Host::new(Reply::Rotate(1000));
    for _ in 0..6 {
        host.vendor.next(Reply::Is(ambiguous(None)));
    }
    let reader = host.start(rotating());
    seconds(600).await;
    assert!(host.is_served(&reader));
    assert_eq!(host.vendor.presented(), ["refresh-0"; 7]);
    let gaps = host.vendor.gaps();
    assert!(gaps[0] < 0.2 && gaps[5] > 7.0, "at back-off pace: {gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_in_an_unreadable_answer_is_used_from_then_on() {
    let mut host = Host::new(Reply::Rotate(1000));
    host.vendor.next(Reply::Garbage);
    let reader = host.start(rotating());
    seconds(5).await;
    assert!(host.is_served(&reader));
    assert_eq!(host.vendor.presented(), ["refresh-0", "refresh-1"]);
    assert_eq!(host.stored().await, "refresh-2");
}

#[tokio::test(start_paused = true)]
async fn a_changed_scope_or_provider_file_keeps_the_consent() {
    let mut host = Host::new(Reply::Rotate(1000));
    host.start(rotating());
    seconds(1).await;
    host.kill().await;
    let mut spec = rotating();
    request(&mut spec).scope = Some("more".into());
    request(&mut spec).endpoint = Endpoint::parse("https://auth2.example.com/v2")
        .unwrap()
        .into();
    refreshing(&mut spec).lifetime = Some(Duration::from_hours(1000));
    let reader = host.start(spec);
    seconds(1).await;
    assert!(host.is_served(&reader));
    assert_eq!(host.vendor.presented(), ["refresh-0", "refresh-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_is_never_sent_to_another_client_or_vendor() {
    let changes: [fn(&mut Integration); 2] = [
        |spec| request(spec).client_id = Some("other".into()),
        |spec| spec.provider = "umbrella".into(),
    ];
    for change in changes {
        let mut host = Host::new(Reply::Rotate(300));
        host.start(rotating());
        seconds(1).await;
        host.kill().await;
        let mut spec = rotating();
        change(&mut spec);
        let reader = host.start(spec);
        seconds(7200).await;
        assert_eq!(host.vendor.asked(), 1);
        assert_eq!(host.state(&reader), State::LoginRequired);
        let said = hint(&reader);
        assert!(said.contains("token-broker store adopt acme"), "{said}");
        assert_eq!(host.stored().await, "refresh-1", "it is kept");
        host.kill().await;
        // The change undone, it goes on.
        let reader = host.start(rotating());
        seconds(1).await;
        assert!(host.is_served(&reader));
        host.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_changed_configured_refresh_token_begins_a_new_chain() {
    let mut host = Host::new(Reply::Rotate(1000));
    let reader = host.start(rotating());
    seconds(1).await;
    host.vendor.configure("refresh-0");
    seconds(10).await;
    assert_eq!(
        host.stored().await,
        "refresh-2",
        "the change was proven by the stored chain"
    );
    host.vendor.becomes(Reply::Is(dead()));
    seconds(1000).await;
    assert_eq!(host.state(&reader), State::LoginRequired);
    *host.vendor.current.lock().unwrap() = "brand-new".into();
    host.vendor.becomes(Reply::Rotate(1000));
    host.vendor.configure("brand-new");
    seconds(2).await;
    assert_eq!(host.vendor.presented().last().unwrap(), "brand-new");
    assert!(host.is_served(&reader));
    // Changed while the broker was down.
    host.kill().await;
    *host.vendor.current.lock().unwrap() = "newer".into();
    *host.vendor.configured.lock().unwrap() = Some(Secret::new("newer"));
    host.start(rotating());
    seconds(900).await;
    assert_eq!(host.vendor.presented().last().unwrap(), "newer");
}

#[tokio::test(start_paused = true)]
async fn without_a_refresh_token_nothing_is_asked() {
    let mut host = Host::new(Reply::Rotate(1000));
    *host.vendor.configured.lock().unwrap() = None;
    let reader = host.start(rotating());
    seconds(60).await;
    let snapshot = reader.get();
    let code = snapshot.failure.as_ref().unwrap().code;
    assert_eq!(code, ErrorCode::SecretUnavailable);
    host.vendor.configure("refresh-0");
    seconds(2).await;
    assert!(host.is_served(&reader));
    // A consent that nobody has given yet.
    let mut host = Host::new(Reply::Rotate(1000));
    let mut spec = rotating();
    refreshing(&mut spec).first = FirstRefreshToken::DeviceCode {
        device_authorization_endpoint: Endpoint::parse("https://auth.example.com/d")
            .unwrap()
            .into(),
    };
    let reader = host.start(spec);
    for _ in 0..100 {
        reader.nudge(Nudge::Missing);
        reader.nudge(Nudge::Force);
        seconds(60).await;
    }
    assert_eq!(host.vendor.asked(), 0);
    assert_eq!(host.state(&reader), State::LoginRequired);
    assert!(hint(&reader).contains("token-broker login acme"));
    let denied = reader.token(&*host.clock, want(5)).await;
    assert!(matches!(denied, Err(Denied::Refused(_))), "{denied:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_idles_is_used_for_its_own_sake() {
    let mut host = Host::new(Reply::Rotate(1000));
    let mut spec = rotating();
    Arc::make_mut(&mut spec.refresh).when = When::Demand;
    refreshing(&mut spec).idle_lifetime = Some(Duration::from_secs(86_400));
    let reader = host.start(spec);
    seconds(1).await;
    assert_eq!(host.vendor.asked(), 0);
    let begun = reader.get().refresh_token_expires_at;
    assert_eq!(begun, Timestamp::parse_rfc3339("2026-11-23T00:00:00Z"));
    seconds(43_200).await;
    assert_eq!(host.vendor.asked(), 1);
    seconds(86_400 * 3).await;
    assert_eq!(host.vendor.asked(), 7, "twice in its life");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_refresh_token_is_known_and_put_off_where_that_is_possible() {
    let mut host = Host::new(Reply::Rotate(100_000));
    *host.vendor.lifetime.lock().unwrap() = Some(Duration::from_secs(10_000));
    let reader = host.start(rotating());
    seconds(1).await;
    let ends = reader.get().refresh_token_expires_at.unwrap();
    assert_eq!(ends.to_rfc3339(), "2026-11-22T02:46:40Z");
    seconds(5001).await;
    assert_eq!(host.vendor.asked(), 2, "before the refresh token ends");
    // One that stays is not renewed by being used: no loop.
    host.vendor.becomes(Reply::Keep(100_000));
    seconds(20_000).await;
    assert_eq!(host.vendor.asked(), 3);
}

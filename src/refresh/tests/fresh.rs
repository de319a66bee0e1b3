//! Vendors that work: how often they are asked, and that there is always a token.

use super::*;

#[tokio::test(start_paused = true)]
async fn one_flight_for_two_hundred_callers() {
    let mut engine = Engine::new();
    let (vendor, reader) = engine.add("acme", policy(), [], token(3600));
    engine.start();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (reader, clock) = (reader.clone(), Arc::clone(&engine.clock));
        callers.spawn(async move { reader.token(&*clock, want(10)).await });
    }
    while let Some(answer) = callers.join_next().await {
        assert_eq!(answer.unwrap().unwrap().token(), &Secret::new("token-1"));
    }
    assert_eq!(vendor.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_life_of_four_seconds_has_no_gap() {
    let refresh = RefreshPolicy::default();
    let (engine, vendor, reader) = Engine::with(refresh, [], token(4));
    seconds(1).await;
    for _ in 0..(20 * 60 * 3) {
        sleep(Duration::from_millis(50)).await;
        let now = engine.clock.now();
        assert!(
            reader.good(now, want(0).min_ttl).is_some(),
            "a gap at {now:?}"
        );
    }
    assert!(vendor.asked() <= 91, "{}", vendor.asked());
}

#[tokio::test(start_paused = true)]
async fn a_life_of_a_second_or_less_is_no_hot_loop() {
    for millis in [1000, 300, 100] {
        let life = Answer::Token(Some(Duration::from_millis(millis)));
        let (engine, vendor, reader) = Engine::with(policy(), [], life);
        for _ in 0..1200 {
            // Callers who ask all the time change nothing.
            reader.nudge(Nudge::Missing);
            reader.nudge(Nudge::Short);
            sleep(Duration::from_millis(50)).await;
            if let Some(held) = reader.good(engine.clock.now(), want(0).min_ttl) {
                assert!(!held.is_expired(engine.clock.now()));
            }
        }
        assert!((50..=61).contains(&vendor.asked()), "{}", vendor.asked());
        assert!(vendor.gaps().iter().all(|gap| *gap >= 1.0));
    }
}

#[tokio::test(start_paused = true)]
async fn ten_years_and_no_expiry_are_asked_for_once() {
    for life in [
        Some(Duration::from_secs(315_359_999)),
        None,
        Some(Duration::MAX),
    ] {
        let (engine, vendor, reader) = Engine::with(policy(), [], Answer::Token(life));
        seconds(86_400 * 7).await;
        assert!(engine.is_served(&reader));
        assert_eq!(vendor.asked(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn renewed_when_due_and_the_plan_is_shown() {
    let (engine, vendor, reader) = Engine::with(policy(), [], token(1200));
    let begun = engine.clock.now();
    seconds(1).await;
    let snapshot = reader.get();
    assert_eq!(snapshot.doing, Doing::Idle);
    assert_eq!(snapshot.state(engine.clock.now()), State::Valid);
    let planned = snapshot.refresh_at.unwrap().since(begun.wall);
    assert_eq!(planned.as_secs(), 900);
    seconds(2 * 900).await;
    assert_eq!(vendor.gaps(), [900.0, 900.0]);
    assert_eq!(reader.get().finished, 3);
    assert_eq!(reader.get().consecutive_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_kills_the_one_before_is_asked_for_late() {
    let refresh = RefreshPolicy {
        reissue: Reissue::Replaces,
        ..policy()
    };
    let (_engine, vendor, _reader) = Engine::with(refresh, [], token(1200));
    seconds(1200).await;
    assert_eq!(vendor.gaps(), [1170.0]);
}

#[tokio::test(start_paused = true)]
async fn with_reissue_same_only_the_expiry_and_a_forced_refresh_ask() {
    let refresh = RefreshPolicy {
        reissue: Reissue::Same,
        ..policy()
    };
    let (engine, vendor, reader) = Engine::with(refresh, [], token(100));
    seconds(60).await;
    let long = Want {
        min_ttl: MinTtl::Asked(Duration::from_secs(80)),
        wait: Duration::from_secs(1),
    };
    let denied = reader.token(&*engine.clock, long).await;
    assert!(matches!(denied, Err(Denied::NotYet { .. })), "{denied:?}");
    reader.nudge(Nudge::Short);
    seconds(30).await;
    assert_eq!(vendor.asked(), 1);
    seconds(11).await;
    assert_eq!(vendor.gaps(), [100.0]);
    seconds(20).await;
    let refreshed = reader.refresh(&*engine.clock, want(5), None).await.unwrap();
    assert_eq!(refreshed.retry_after, None);
    assert_eq!(vendor.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn too_little_time_left_brings_a_renewal_forward_within_the_spacing() {
    let (engine, vendor, reader) = Engine::with(policy(), [], token(100));
    seconds(2).await;
    let long = Want {
        min_ttl: MinTtl::Asked(Duration::from_secs(90)),
        wait: Duration::from_secs(30),
    };
    seconds(20).await;
    let held = reader.token(&*engine.clock, long).await.unwrap();
    assert_eq!(held.token(), &Secret::new("token-2"));
    // The next one is ten seconds after that.
    let long = Want {
        min_ttl: MinTtl::Asked(Duration::from_millis(89_900)),
        ..long
    };
    seconds(11).await;
    reader.token(&*engine.clock, long).await.unwrap();
    seconds(11).await;
    reader.token(&*engine.clock, long).await.unwrap();
    let gaps = vendor.gaps();
    assert_eq!(gaps.len(), 3);
    assert!(gaps[1] >= 10.0 && gaps[2] >= 20.0, "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn forced_refreshes_in_a_loop_from_ten_callers_are_spaced() {
    let (engine, vendor, reader) = Engine::with(policy(), [], token(86_400));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (reader, clock) = (reader.clone(), Arc::clone(&engine.clock));
        callers.spawn(async move {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(1000) {
                let answer = reader.refresh(&*clock, want(10), None).await;
                assert!(answer.is_ok(), "{answer:?}");
                sleep(Duration::from_millis(20)).await;
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    let gaps: Vec<f64> = vendor.gaps();
    let wanted = [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0];
    assert_eq!(gaps.len(), wanted.len(), "{gaps:?}");
    for (gap, wanted) in gaps.iter().zip(wanted) {
        assert!((wanted..wanted + 0.2).contains(gap), "{gaps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_set_forward_and_back() {
    let (engine, vendor, reader) = Engine::with(policy(), [], token(3600));
    seconds(10).await;
    // Forward past the expiry: not served, and renewed for whoever asks.
    engine.clock.shift_wall(7_200_000);
    assert!(!engine.is_served(&reader));
    let held = reader.token(&*engine.clock, want(5)).await.unwrap();
    assert_eq!(held.token(), &Secret::new("token-2"));
    // Forward without a caller: noticed within a minute.
    engine.clock.shift_wall(7_200_000);
    seconds(61).await;
    assert_eq!(vendor.asked(), 3);
    assert!(engine.is_served(&reader));
    // Back: the token goes on by the other clock, and no longer.
    engine.clock.shift_wall(-14_400_000);
    vendor.becomes(transient(None));
    seconds(2600).await;
    assert_eq!(vendor.asked(), 3);
    assert!(engine.is_served(&reader));
    seconds(1000).await;
    assert!(!engine.is_served(&reader));
    vendor.becomes(token(3600));
    seconds(61).await;
    assert!(engine.is_served(&reader));
}

#[tokio::test(start_paused = true)]
async fn stopping_awaits_the_exchange_in_flight_and_begins_none() {
    let mut engine = Engine::new();
    let (one, reader) = engine.add("one", policy(), [], token(3600));
    let (two, _) = engine.add("two", policy(), [], token(4));
    engine.start();
    sleep(Duration::from_millis(20)).await;
    engine.stopped().await;
    assert!(
        engine.is_served(&reader),
        "published, and readable after the worker is gone"
    );
    assert_eq!((one.asked(), two.asked()), (1, 1));
    seconds(10).await;
    assert_eq!((one.asked(), two.asked()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn two_thousand_integrations_in_one_process() {
    let mut engine = Engine::new();
    let readers: Vec<_> = (0..2000)
        .map(|n| {
            engine.add(
                &format!("acme-{n}"),
                RefreshPolicy::default(),
                [],
                token(1200),
            )
        })
        .collect();
    engine.start();
    seconds(1).await;
    assert!(readers.iter().all(|(_, reader)| engine.is_served(reader)));
    seconds(1200).await;
    assert!(
        readers
            .iter()
            .all(|(vendor, reader)| { engine.is_served(reader) && vendor.asked() == 2 })
    );
}

#[tokio::test(start_paused = true)]
async fn a_nudge_that_comes_during_an_exchange_is_answered_by_it() {
    let (_engine, vendor, reader) = Engine::with(policy(), [], token(100));
    sleep(Duration::from_millis(70_020)).await;
    assert_eq!(reader.get().doing, Doing::Asking);
    reader.nudge(Nudge::Short);
    reader.nudge(Nudge::Missing);
    seconds(65).await;
    assert_eq!(vendor.asked(), 2);
}

#[tokio::test]
async fn a_worker_is_small() {
    let mut engine = Engine::new();
    let (_, reader) = engine.add("acme", policy(), [], token(100));
    let worker = engine.supervisor.as_mut().unwrap().workers.pop().unwrap().0;
    let task = super::super::supervisor::keep_running(Box::new(worker), CancellationToken::new());
    // There may be many thousands.
    let size = size_of_val(&task) + size_of::<super::super::worker::Worker>();
    assert!(size < 1280, "{size} bytes");
    drop(reader);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_nudges_does_not_keep_a_renewal_from_being_due() {
    let refresh = RefreshPolicy {
        reissue: Reissue::Same,
        ..policy()
    };
    let (engine, vendor, reader) = Engine::with(refresh, [], token(2));
    seconds(1).await;
    let flood = async {
        while vendor.asked() == 1 && engine.clock.now().mono.since(vendor.first()) < LIMIT {
            reader.nudge(Nudge::Short);
            sleep(Duration::from_micros(300)).await;
        }
    };
    flood.await;
    assert_eq!(vendor.gaps(), [2.0]);
}

const LIMIT: Duration = Duration::from_secs(4);

//! The vendor's limit on token requests, and what asking again does to the token before.

use super::*;

fn limited(requests: u32, seconds: u64) -> RefreshPolicy {
    let per = Duration::from_secs(seconds);
    RefreshPolicy {
        rate_limit: Some(RateLimit { requests, per }),
        ..policy()
    }
}

/// The most requests that any such time has seen, at whichever of these vendors.
fn busiest(vendors: &[Arc<Script>], seconds: u64) -> usize {
    let mut sent: Vec<_> = Vec::new();
    for vendor in vendors {
        sent.extend(vendor.asked.lock().unwrap().iter().map(|now| now.mono));
    }
    sent.sort_unstable();
    let per = Duration::from_secs(seconds);
    let within = |first: usize| {
        let group = sent[first..].iter();
        group.take_while(|at| at.since(sent[first]) < per).count()
    };
    (0..sent.len()).map(within).max().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn the_window_slides_and_a_valid_token_is_served_on() {
    let (engine, vendor, reader) = Engine::with(limited(3, 60), [], token(80));
    seconds(1).await;
    for _ in 0..3000 {
        reader.nudge(Nudge::Force);
        reader.nudge(Nudge::Short);
        sleep(Duration::from_millis(200)).await;
        assert!(engine.is_served(&reader));
    }
    assert_eq!(busiest(&[Arc::clone(&vendor)], 60), 3);
    // What is lent to callers is lent again as soon as the window allows.
    assert!(vendor.asked() >= 18, "{}", vendor.asked());
    assert_eq!(reader.get().failure, None);
}

#[tokio::test(start_paused = true)]
async fn a_spent_limit_is_told_with_the_time_until_there_is_room() {
    let mut engine = Engine::new();
    let (first, _) = engine.add("first", limited(1, 3600), [], token(100_000));
    let demand = RefreshPolicy {
        when: When::Demand,
        ..limited(1, 3600)
    };
    let (second, reader) = engine.add("second", demand, [], token(100_000));
    engine.start();
    seconds(600).await;
    let denied = reader.token(&*engine.clock, want(5)).await.unwrap_err();
    let Denied::NotYet {
        failure: Some(failure),
        retry_after,
    } = denied
    else {
        panic!("{denied:?}");
    };
    assert_eq!(failure.code, ErrorCode::RateLimited);
    assert!(failure.description.contains("1/1h"), "{failure:?}");
    assert!(
        (3000..=3001).contains(&retry_after.as_secs()),
        "{retry_after:?}"
    );
    for _ in 0..290 {
        seconds(10).await;
        reader.nudge(Nudge::Missing);
        reader.nudge(Nudge::Force);
    }
    let denied = reader.token(&*engine.clock, want(5)).await.unwrap_err();
    let Denied::NotYet { retry_after, .. } = denied else {
        panic!("{denied:?}");
    };
    assert!(
        (100..=101).contains(&retry_after.as_secs()),
        "{retry_after:?}"
    );
    assert_eq!((first.asked(), second.asked()), (1, 0));
    // A moment more than there is to wait: what was asked for then is there.
    seconds(102).await;
    assert_eq!(second.asked(), 1);
    assert!(engine.is_served(&reader));
    assert_eq!(reader.get().failure, None);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_will_not_be_renewed_in_time_says_so_ahead() {
    let (engine, vendor, reader) = Engine::with(limited(1, 3600), [], token(1000));
    seconds(800).await;
    assert!(engine.is_served(&reader));
    let snapshot = reader.get();
    assert_eq!(snapshot.state(engine.clock.now()), State::Degraded);
    assert_eq!(
        snapshot.failure.as_ref().map(|failure| failure.code),
        Some(ErrorCode::RateLimited)
    );
    seconds(2700).await;
    assert_eq!(vendor.asked(), 1);
    let denied = reader.token(&*engine.clock, want(0)).await.unwrap_err();
    assert!(matches!(
        denied,
        Denied::NotYet { failure: Some(failure), .. } if failure.code == ErrorCode::RateLimited
    ));
    seconds(102).await;
    assert_eq!(vendor.asked(), 2);
    assert!(engine.is_served(&reader));
}

#[tokio::test(start_paused = true)]
async fn forced_refreshes_leave_the_last_request_to_what_is_due() {
    let (engine, vendor, reader) = Engine::with(limited(3, 36_000), [], token(20_000));
    seconds(60).await;
    let forced = reader.refresh(&*engine.clock, want(5), None).await.unwrap();
    assert_eq!((vendor.asked(), forced.retry_after), (2, None));
    let mut told = Vec::new();
    for _ in 0..20 {
        seconds(600).await;
        let again = reader.refresh(&*engine.clock, want(5), None).await.unwrap();
        told.push(again.retry_after.unwrap().as_secs());
    }
    assert_eq!(vendor.asked(), 2);
    assert!((35_300..=35_400).contains(&told[0]), "{told:?}");
    assert!(
        told.windows(2).all(|pair| pair[0] - pair[1] == 600),
        "{told:?}"
    );
    seconds(15_000 - 12_000).await;
    assert_eq!(vendor.asked(), 3, "the renewal that was due");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_integrations_of_one_client_never_exceed_its_limit() {
    let mut engine = Engine::new();
    let mut vendors = Vec::new();
    let mut readers = Vec::new();
    for index in 0..100 {
        let name = format!("one-{index}");
        // Some fail, some are asked for all the time.
        let then = if index % 10 == 0 {
            transient(None)
        } else {
            token(9000)
        };
        let (vendor, reader) = engine.add(&name, limited(10, 600), [], then);
        vendors.push(vendor);
        readers.push(reader);
    }
    engine.start();
    for round in 0..300_usize {
        readers[round % 100].nudge(Nudge::Force);
        readers[(round * 7) % 100].nudge(Nudge::Missing);
        seconds(60).await;
    }
    assert_eq!(busiest(&vendors, 600), 10);
    let asked: usize = vendors.iter().map(|vendor| vendor.asked()).sum();
    assert!(asked >= 290, "what there is room for is used: {asked}");
    let served = vendors.iter().filter(|vendor| vendor.asked() > 0).count();
    assert!(served >= 90, "{served} of 100 had their turn");
}

#[tokio::test(start_paused = true)]
async fn each_keeps_its_own_limit_over_the_requests_of_all() {
    let mut engine = Engine::new();
    let (free, _) = engine.add("free", policy(), [], token(400));
    let (strict, _) = engine.add("strict", limited(1, 40), [], token(100));
    let (broad, _) = engine.add("broad", limited(2, 40), [], token(210));
    engine.start();
    seconds(4000).await;
    assert_eq!(free.gaps().len(), 13, "nobody's limit is its own");
    let sent = |script: &Script| -> Vec<crate::base::Mono> {
        script
            .asked
            .lock()
            .unwrap()
            .iter()
            .map(|now| now.mono)
            .collect()
    };
    let mut all = [sent(&free), sent(&strict), sent(&broad)].concat();
    all.sort_unstable();
    let before = |at: crate::base::Mono| {
        let near =
            |one: &&crate::base::Mono| **one < at && at.since(**one) < Duration::from_secs(40);
        all.iter().filter(near).count()
    };
    assert!(strict.asked() > 5 && sent(&strict).iter().all(|at| before(*at) == 0));
    assert!(broad.asked() > 5 && sent(&broad).iter().all(|at| before(*at) <= 1));
}

#[tokio::test(start_paused = true)]
async fn another_limit_counts_from_the_reload_on() {
    let mut engine = Engine::new();
    let (vendor, reader) = engine.add("acme", limited(1, 86_400), [], token(100));
    let mut supervisor = engine.supervisor.take().unwrap();
    supervisor.start();
    seconds(200).await;
    assert_eq!(vendor.asked(), 1);
    assert!(!engine.is_served(&reader));
    engine.supervisor = Some(supervisor);
    let (vendor, _) = engine.add("acme", limited(20, 86_400), [], token(100));
    seconds(2).await;
    assert!(engine.is_served(&reader));
    seconds(10_000).await;
    assert_eq!(vendor.asked(), 19, "what was counted is counted still");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_served_until_the_one_that_replaces_it_is_there() {
    for reissue in [Reissue::Independent, Reissue::Extends, Reissue::Replaces] {
        let refresh = RefreshPolicy {
            reissue,
            ..policy()
        };
        let (engine, vendor, reader) = Engine::with(refresh, [], token(1000));
        let due = if reissue == Reissue::Replaces {
            970
        } else {
            750
        };
        sleep(Duration::from_millis(due * 1000 + 20)).await;
        assert_eq!((vendor.asked(), reader.get().doing), (2, Doing::Asking));
        // Nobody knows whether the vendor has ended it yet, and there is none better.
        let token = |reader: &Reader| {
            let held = reader.good(engine.clock.now(), MinTtl::Asked(Duration::ZERO));
            held.unwrap().token().expose().to_owned()
        };
        assert_eq!(token(&reader), "token-1");
        sleep(Duration::from_millis(31)).await;
        assert_eq!(token(&reader), "token-2");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_token_with_a_new_lifetime_is_a_renewal() {
    let refresh = RefreshPolicy {
        reissue: Reissue::Extends,
        ..policy()
    };
    let mut engine = Engine::new();
    let (vendor, reader) = engine.add("acme", refresh, [], token(100));
    // Its tokens are all alike.
    vendor.repeats.store(true, Ordering::SeqCst);
    engine.start();
    seconds(1).await;
    for _ in 0..500 {
        seconds(1).await;
        assert!(engine.is_served(&reader));
    }
    assert_eq!(vendor.gaps(), [70.0; 7]);
}

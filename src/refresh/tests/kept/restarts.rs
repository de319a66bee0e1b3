//! What a restart costs, and what it knows.

use super::*;

fn client() -> Integration {
    integration("acme", policy())
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_costs_no_exchange_while_a_stored_token_is_valid() {
    for spec in [client, rotating] {
        let mut host = Host::new(Reply::Rotate(1000));
        for _ in 0..20 {
            let reader = host.start(spec());
            seconds(30).await;
            assert!(host.is_served(&reader));
            host.kill().await;
        }
        assert_eq!(host.vendor.asked(), 1);
        let reader = host.start(spec());
        seconds(200).await;
        assert_eq!(host.vendor.asked(), 2, "due by the clock of its first life");
        assert!(host.is_served(&reader));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stored_token_is_never_served_past_its_expiry() {
    let mut host = Host::new(Reply::Keep(100));
    host.start(client());
    seconds(1).await;
    host.kill().await;
    host.vendor
        .becomes(Reply::Is(Outcome::BadCredential(failure(
            ErrorCode::CredentialsRejected,
        ))));
    // The wall clock went back meanwhile: no more life than it was issued with.
    host.clock.shift_wall(-3_600_000);
    let reader = host.start(client());
    seconds(1).await;
    assert!(host.is_served(&reader));
    seconds(98).await;
    assert!(host.is_served(&reader));
    seconds(2).await;
    assert!(!host.is_served(&reader));
    host.kill().await;
    // It went forward: over.
    host.clock.shift_wall(7_200_000);
    let reader = host.start(client());
    seconds(1).await;
    assert!(!host.is_served(&reader));
}

#[tokio::test(start_paused = true)]
async fn a_stored_token_is_not_used_after_client_or_endpoint_changed() {
    let changes: [fn(&mut TokenRequest); 3] = [
        |request| request.client_id = Some("other".into()),
        |request| {
            request.endpoint = Endpoint::parse("https://other.example.com/token")
                .unwrap()
                .into();
        },
        |request| request.scope = Some("more".into()),
    ];
    for change in changes {
        let mut host = Host::new(Reply::Keep(1000));
        host.start(client());
        seconds(1).await;
        host.kill().await;
        let mut spec = client();
        change(request(&mut spec));
        host.start(spec);
        seconds(1).await;
        assert_eq!(host.vendor.asked(), 2);
        host.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_costs_no_more_exchanges_than_the_waits_allow() {
    for outcome in [
        Outcome::BadCredential(failure(ErrorCode::CredentialsRejected)),
        Outcome::Transient {
            retry_after: Some(Duration::from_secs(1800)),
            failure: failure(ErrorCode::RateLimited),
        },
    ] {
        let mut host = Host::new(Reply::Is(outcome.clone()));
        for _ in 0..200 {
            let reader = host.start(client());
            seconds(2).await;
            assert!(reader.get().failure.is_some());
            host.kill().await;
            seconds(1).await;
        }
        let asked = host.vendor.asked();
        assert!(asked <= 7, "{asked} exchanges in ten minutes: {outcome:?}");
        // Whoever corrects what the configuration holds need not wait.
        host.vendor.becomes(Reply::Keep(1000));
        let mut spec = client();
        request(&mut spec).client_id = Some("corrected".into());
        let reader = host.start(spec);
        seconds(1).await;
        assert!(host.is_served(&reader));
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_exchange_is_tried_again_and_its_end_is_told() {
    let mut host = Host::new(Reply::Rotate(300));
    host.start(rotating());
    seconds(1).await;
    // The vendor rotates, and the broker dies before it reads the answer.
    seconds(224).await;
    sleep(Duration::from_millis(10)).await;
    assert_eq!(host.vendor.asked(), 2);
    host.kill().await;
    let reader = host.start(rotating());
    seconds(1).await;
    // Due since before it was killed, so it asks at once, with the only refresh token that it has.
    let presented = host.vendor.presented();
    assert_eq!(presented, ["refresh-0", "refresh-1", "refresh-1"]);
    assert!(host.is_served(&reader), "the stored token is still good");
    assert_eq!(host.state(&reader), State::LoginRequired);
    let said = hint(&reader);
    for words in [
        "interrupted",
        "probably",
        "refresh token",
        "integrations.acme",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("refresh-1"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_in_mid_exchange_keeps_the_new_refresh_token() {
    let mut host = Host::new(Reply::Rotate(300));
    host.start(rotating());
    sleep(Duration::from_millis(20)).await;
    assert_eq!(host.vendor.asked(), 1);
    host.stopped().await;
    assert_eq!(host.stored().await, "refresh-1");
    assert_eq!(host.record().await.chain.unwrap().intent, None);
    let reader = host.start(rotating());
    seconds(1).await;
    assert!(host.is_served(&reader));
    assert_eq!(host.vendor.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_saved_is_saved_at_the_end() {
    let mut host = Host::new(Reply::Rotate(3000));
    host.disk.fail_saves(true);
    host.start(rotating());
    seconds(200).await;
    host.disk.fail_saves(false);
    host.stopped().await;
    assert_eq!(host.stored().await, "refresh-1");
}

#[tokio::test(start_paused = true)]
async fn a_worker_stopped_in_its_pause_after_a_panic_saves_what_it_has() {
    let mut host = Host::new(Reply::Panic);
    host.vendor.next(Reply::Rotate(40));
    host.disk.fail_saves(true);
    let reader = host.start(rotating());
    while host.vendor.asked() < 2 {
        sleep(Duration::from_millis(100)).await;
    }
    assert!(matches!(reader.get().doing, Doing::BackingOff { .. }));
    host.disk.fail_saves(false);
    host.stopped().await;
    assert_eq!(host.stored().await, "refresh-1");
    assert_eq!(reader.get().store_error, None);
}

#[tokio::test(start_paused = true)]
async fn a_changed_definition_takes_over_what_could_not_be_saved() {
    let mut host = Host::new(Reply::Rotate(3000));
    let reader = host.start(rotating());
    seconds(1).await;
    host.disk.fail_saves(true);
    host.clock.shift_wall(2_300_000);
    seconds(500).await;
    let before = host.vendor.asked();
    assert_eq!(before, 2);
    let retired = host.stopped().await.retire();
    let mut spec = rotating();
    request(&mut spec).scope = Some("more".into());
    let worker = worker::succeed(host.parts(spec), retired);
    host.stop = CancellationToken::new();
    host.running
        .spawn(keep_running(Box::new(worker), host.stop.clone()));
    seconds(5).await;
    assert_eq!(
        host.vendor.presented(),
        ["refresh-0", "refresh-1", "refresh-2"]
    );
    assert!(host.is_served(&reader));
    host.disk.fail_saves(false);
    seconds(61).await;
    assert_eq!(host.stored().await, "refresh-3");
}

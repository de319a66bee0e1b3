//! Stores that are slow, fail, and come back.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_access_token_is_not_served_before_the_refresh_token_is_saved() {
    let mut host = Host::new(Reply::Rotate(1000));
    let gate = Arc::new(Gated {
        inner: Arc::clone(&host.disk) as Arc<dyn StateStore>,
        open: tokio::sync::Semaphore::new(1),
    });
    host.store = Arc::clone(&gate) as Arc<dyn StateStore>;
    let reader = host.start(rotating());
    seconds(5).await;
    assert_eq!(host.vendor.asked(), 1, "the intent went through");
    assert!(host.record().await.chain.unwrap().intent.is_some());
    assert!(!host.is_served(&reader));
    assert_eq!(reader.get().doing, Doing::Asking);
    gate.open.add_permits(1);
    sleep(Duration::from_millis(10)).await;
    assert!(host.is_served(&reader));
    assert_eq!(host.stored().await, "refresh-1");
    let record = host.record().await;
    assert_eq!(record.chain.unwrap().intent, None);
    assert!(record.access.is_some());
}

#[tokio::test(start_paused = true)]
async fn no_exchange_begins_before_its_intent_is_saved() {
    let mut host = Host::new(Reply::Rotate(1000));
    let gate = Arc::new(Gated {
        inner: Arc::clone(&host.disk) as Arc<dyn StateStore>,
        open: tokio::sync::Semaphore::new(0),
    });
    host.store = Arc::clone(&gate) as Arc<dyn StateStore>;
    host.start(rotating());
    seconds(9).await;
    assert_eq!(host.vendor.asked(), 0);
    gate.open.add_permits(9);
    seconds(1).await;
    assert_eq!(host.vendor.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_store_write_does_not_drop_the_new_refresh_token() {
    let mut host = Host::new(Reply::Rotate(400));
    let reader = host.start(rotating());
    seconds(1).await;
    assert_eq!(host.stored().await, "refresh-1");
    host.disk.fail_saves(true);
    // Long enough for several exchanges without a store.
    for second in 0..1500 {
        assert!(host.is_served(&reader), "not served after {second} s");
        seconds(1).await;
    }
    let asked = host.vendor.asked();
    assert!((3..=7).contains(&asked), "{asked}");
    let snapshot = reader.get();
    assert!(
        snapshot
            .store_error
            .as_ref()
            .unwrap()
            .contains("made to fail")
    );
    assert_eq!(
        (host.state(&reader), snapshot.failure.as_ref()),
        (State::Valid, None)
    );
    assert_eq!(host.stored().await, "refresh-1", "nothing was written");
    host.disk.fail_saves(false);
    seconds(61).await;
    let latest = format!("refresh-{}", host.vendor.asked());
    assert_eq!(host.stored().await, latest, "saved at the next chance");
    assert_eq!(reader.get().store_error, None);
    let presented = host.vendor.presented();
    let wanted: Vec<_> = (0..presented.len())
        .map(|n| format!("refresh-{n}"))
        .collect();
    assert_eq!(presented, wanted, "no predecessor was sent again");
    // And what was saved is good for the next life.
    host.kill().await;
    seconds(400).await;
    let reader = host.start(rotating());
    seconds(1).await;
    assert!(host.is_served(&reader));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_waits_for_its_intent_while_the_held_token_can_spare_it() {
    let mut host = Host::new(Reply::Rotate(1200));
    let reader = host.start(rotating());
    seconds(1).await;
    host.disk.fail_saves(true);
    // Due after 900 s; with a tenth of the life left it goes without.
    seconds(1078).await;
    assert_eq!(host.vendor.asked(), 1);
    assert!(reader.get().store_error.is_some());
    assert!(matches!(reader.get().doing, Doing::BackingOff { .. }));
    let tried = host.disk.tried();
    assert!((3..30).contains(&tried), "at back-off pace: {tried}");
    seconds(3).await;
    assert_eq!(host.vendor.asked(), 2);
    assert!(host.is_served(&reader));
}

#[tokio::test(start_paused = true)]
async fn without_a_valid_token_an_unsaved_intent_holds_nothing_up() {
    let mut host = Host::new(Reply::Rotate(1200));
    host.disk.fail_saves(true);
    let reader = host.start(rotating());
    seconds(1).await;
    assert!(host.is_served(&reader));
    assert!(reader.get().store_error.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_says_nothing_is_given_up_after_ten_seconds() {
    let mut host = Host::new(Reply::Rotate(1200));
    host.store = Arc::new(Gated {
        inner: Arc::clone(&host.disk) as Arc<dyn StateStore>,
        open: tokio::sync::Semaphore::new(0),
    });
    let reader = host.start(rotating());
    seconds(22).await;
    assert!(host.is_served(&reader));
    let snapshot = reader.get();
    assert!(snapshot.store_error.as_ref().unwrap().contains("10 s"));
}

#[tokio::test(start_paused = true)]
async fn a_save_whose_end_was_not_told_is_no_conflict() {
    let mut host = Host::new(Reply::Rotate(1200));
    host.disk.deny_saves(1);
    let reader = host.start(rotating());
    seconds(10).await;
    assert!(host.is_served(&reader));
    assert_eq!(reader.get().store_error, None);
    assert_eq!(host.stored().await, "refresh-1");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_keeps_refresh_tokens_from_being_sent() {
    let mut host = Host::new(Reply::Rotate(300));
    host.start(rotating());
    seconds(1).await;
    host.kill().await;
    host.disk.fail_loads(true);
    seconds(400).await;
    let reader = host.start(rotating());
    seconds(30).await;
    assert_eq!(host.vendor.asked(), 1);
    assert!(hint(&reader).contains("could not be loaded"));
    host.disk.fail_loads(false);
    seconds(61).await;
    assert!(host.is_served(&reader));
    assert_eq!(host.vendor.presented(), ["refresh-0", "refresh-1"]);
    assert_eq!(reader.get().store_error, None);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_cannot_be_understood_is_left_as_it_is() {
    let mut host = Host::new(Reply::Rotate(300));
    let key = Key::from(rotating().id);
    for junk in ["{\"format\":2}", "junk"] {
        let _forgotten = host.disk.forget(&key).await;
        let saved = host.disk.save(&key, Secret::new(junk), Version(0)).await;
        let reader = host.start(rotating());
        seconds(3600).await;
        assert_eq!(host.vendor.asked(), 0);
        assert_eq!(host.state(&reader), State::LoginRequired);
        let said = hint(&reader);
        assert!(said.contains("token-broker store forget acme"), "{said}");
        let entry = host.disk.load(&key).await.unwrap().unwrap();
        assert_eq!((entry.value.expose(), Ok(entry.version)), (junk, saved));
        host.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_entry_costs_a_client_nothing_but_its_restart() {
    let mut host = Host::new(Reply::Keep(300));
    let spec = integration("acme", policy());
    let key = Key::from(spec.id.clone());
    host.disk
        .save(&key, Secret::new("junk"), Version(0))
        .await
        .unwrap();
    let reader = host.start(spec);
    seconds(1).await;
    assert!(host.is_served(&reader));
    assert!(reader.get().store_error.is_some());
    let entry = host.disk.load(&key).await.unwrap().unwrap();
    assert_eq!(entry.value.expose(), "junk");
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_was_never_sent_leaves_no_intent_in_the_store() {
    let mut host = Host::new(Reply::Rotate(1000));
    let gate = Arc::new(Gated {
        inner: Arc::clone(&host.disk) as Arc<dyn StateStore>,
        open: tokio::sync::Semaphore::new(0),
    });
    host.store = Arc::clone(&gate) as Arc<dyn StateStore>;
    host.start(rotating());
    seconds(1).await;
    // The stop comes while the intent is being saved.
    host.stop.cancel();
    gate.open.add_permits(9);
    host.stopped().await;
    assert_eq!(host.vendor.asked(), 0);
    let chain = host.record().await.chain.unwrap();
    assert_eq!(chain.intent, None);
}

/// All workers of a broker with that disk.
fn supervisor(host: &Host) -> Supervisor {
    let mut supervisor = Supervisor::new(Deps {
        clock: Arc::clone(&host.clock) as Arc<dyn Clock>,
        metrics: Arc::new(Metrics::default()),
        keeping: Keeping::Durable(Arc::clone(&host.store)),
    });
    supervisor.start();
    supervisor
}

fn add(supervisor: &mut Supervisor, host: &Host, spec: Integration) -> Reader {
    let source = Arc::clone(&host.vendor) as Arc<dyn TokenSource>;
    supervisor.add(
        Arc::new(spec),
        source,
        Arc::new(IntegrationCounters::default()),
    )
}

#[tokio::test(start_paused = true)]
async fn only_a_refresh_token_that_is_nowhere_else_counts_as_lost() {
    let host = Host::new(Reply::Rotate(1000));
    let mut all = supervisor(&host);
    let mut plain = rotating();
    plain.grant = integration("plain", policy()).grant;
    plain.id = "plain".parse().unwrap();
    let plain = add(&mut all, &host, plain);
    let reader = add(&mut all, &host, rotating());
    seconds(1).await;
    host.disk.fail_saves(true);
    seconds(1000).await;
    assert!(plain.get().store_error.is_some());
    assert!(reader.get().store_error.is_some());
    all.stop();
    all.ended().await;
    assert_eq!(all.unsaved(), ["acme".parse().unwrap()]);
}

#[tokio::test(start_paused = true)]
async fn a_removed_integration_stays_until_its_refresh_token_is_saved() {
    for comes_back in [false, true] {
        let host = Host::new(Reply::Rotate(1000));
        let mut all = supervisor(&host);
        add(&mut all, &host, rotating());
        seconds(1).await;
        host.disk.fail_saves(true);
        seconds(1000).await;
        let id = "acme".parse().unwrap();
        all.remove(&id);
        let asked = host.vendor.asked();
        seconds(2000).await;
        assert_eq!(host.vendor.asked(), asked, "it only saves");
        if comes_back {
            let reader = add(&mut all, &host, rotating());
            seconds(100).await;
            assert!(host.is_served(&reader));
            all.remove(&id);
            seconds(100).await;
        }
        assert_eq!(all.unfinished(), [id]);
        assert_eq!(host.stored().await, "refresh-1", "nothing was written");
        host.disk.fail_saves(false);
        seconds(61).await;
        assert!(all.unfinished().is_empty() && all.unsaved().is_empty());
        assert_eq!(host.stored().await, *host.vendor.current.lock().unwrap());
        let presented = host.vendor.presented();
        let wanted: Vec<_> = (0..presented.len())
            .map(|n| format!("refresh-{n}"))
            .collect();
        assert_eq!(presented, wanted, "no predecessor was sent again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_removed_integration_that_cannot_be_saved_is_told_at_the_end() {
    let host = Host::new(Reply::Rotate(1000));
    let mut all = supervisor(&host);
    add(&mut all, &host, rotating());
    seconds(1).await;
    host.disk.fail_saves(true);
    seconds(1000).await;
    let id = "acme".parse().unwrap();
    all.remove(&id);
    seconds(100).await;
    all.stop();
    all.ended().await;
    assert_eq!(all.unsaved(), [id]);
}

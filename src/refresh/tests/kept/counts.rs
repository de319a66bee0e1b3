//! Counted requests and shared waits, from one process to the next.

use super::*;
use crate::spec::RateLimit;
use crate::store;

fn client(name: &str, requests: u32) -> Integration {
    let limit = RateLimit {
        requests,
        per: Duration::from_hours(1),
    };
    let refresh = RefreshPolicy {
        rate_limit: Some(limit),
        ..policy()
    };
    integration(name, refresh)
}

async fn quota(host: &Host) -> store::Quota {
    let (authority, client) = client("acme", 1).quota_key().unwrap();
    let entry = host.disk.load(&Key::quota(&authority, &client)).await;
    store::Quota::decode(&entry.unwrap().unwrap().value).unwrap()
}

#[tokio::test(start_paused = true)]
async fn no_crash_loop_exceeds_the_vendors_limit() {
    // Killed while the request is under way, and after its answer.
    for life in [10, 2000] {
        let mut host = Host::new(Reply::Keep(1));
        for _ in 0..500 {
            host.start(client("acme", 4));
            sleep(Duration::from_millis(life)).await;
            host.kill().await;
            seconds(20).await;
        }
        let sent: Vec<_> = host.vendor.asked.lock().unwrap().clone();
        assert!((12..=16).contains(&sent.len()), "{}", sent.len());
        for group in sent.windows(5) {
            let apart = group[4].0.mono.since(group[0].0.mono);
            // By the millisecond that the store keeps.
            assert!(apart >= Duration::from_millis(3_599_990), "{apart:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_counted_on_disk_before_it_is_sent() {
    let mut host = Host::new(Reply::Keep(3000));
    let gated = Arc::new(Gated {
        inner: Arc::clone(&host.disk) as Arc<dyn StateStore>,
        open: tokio::sync::Semaphore::new(0),
    });
    host.store = Arc::clone(&gated) as Arc<dyn StateStore>;
    host.start(client("acme", 4));
    seconds(5).await;
    assert_eq!(host.vendor.asked(), 0);
    gated.open.add_permits(1);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(host.vendor.asked(), 1);
    assert_eq!(quota(&host).await.requests.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_nothing_stops_no_request_and_lifts_no_limit() {
    let mut host = Host::new(Reply::Keep(100));
    host.disk.fail_saves(true);
    let reader = host.start(client("acme", 4));
    seconds(50).await;
    assert!(host.is_served(&reader));
    seconds(3000).await;
    assert_eq!(host.vendor.asked(), 4);
    let failure = reader.get().failure.clone().unwrap();
    assert_eq!(failure.code, ErrorCode::RateLimited);
}

#[tokio::test(start_paused = true)]
async fn what_the_vendor_asked_of_one_is_known_to_the_others_after_a_restart() {
    let mut host = Host::new(Reply::Keep(1000));
    host.vendor.next(Reply::Is(Outcome::Transient {
        retry_after: Some(Duration::from_secs(1800)),
        failure: failure(ErrorCode::RateLimited),
    }));
    host.start(client("acme", 1000));
    seconds(1).await;
    host.kill().await;
    assert!(quota(&host).await.quiet_until.is_some());
    let reader = host.start(client("other", 1000));
    seconds(1700).await;
    assert_eq!(host.vendor.asked(), 1);
    let failure = reader.get().failure.clone().unwrap();
    assert_eq!(failure.code, ErrorCode::RateLimited);
    seconds(102).await;
    assert!(host.is_served(&reader));
}

#[tokio::test(start_paused = true)]
async fn counts_that_cannot_be_read_are_begun_anew() {
    let mut host = Host::new(Reply::Keep(1000));
    let (authority, id) = client("acme", 1).quota_key().unwrap();
    let key = Key::quota(&authority, &id);
    let nonsense = Secret::new("nonsense");
    let saved = host.disk.save(&key, nonsense, Version(0)).await;
    saved.unwrap();
    let reader = host.start(client("acme", 4));
    seconds(1).await;
    assert!(host.is_served(&reader));
    assert_eq!(quota(&host).await.requests.len(), 1);
}

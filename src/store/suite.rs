//! What every store must do; run on each of them, on an empty one, under a paused clock.

use std::time::Duration;

use super::{StateStore, StoreError, Version};
use crate::base::{IntegrationId, Secret};

pub(super) async fn run(store: &dyn StateStore) {
    versions_grow_and_stale_writers_lose(store).await;
    one_holder_at_a_time(store).await;
}

fn id(name: &str) -> IntegrationId {
    name.parse().unwrap()
}

async fn versions_grow_and_stale_writers_lose(store: &dyn StateStore) {
    let (a, b) = (id("a"), id("b"));
    assert_eq!(store.load(&a).await, Ok(None));
    let first = store.save(&a, Secret::new("1"), Version(0)).await.unwrap();
    assert!(first > Version(0));
    assert_eq!(
        store.save(&a, Secret::new("lost"), Version(0)).await,
        Err(StoreError::Conflict { found: first })
    );
    let second = store.save(&a, Secret::new("2"), first).await.unwrap();
    let entry = store.load(&a).await.unwrap().unwrap();
    assert_eq!((entry.version, entry.value), (second, Secret::new("2")));
    assert_eq!(store.load(&b).await, Ok(None), "entries are apart");
}

async fn one_holder_at_a_time(store: &dyn StateStore) {
    let a = id("leased");
    let minute = Duration::from_mins(1);
    let first = store.lease(&a, "one", minute).await.unwrap();
    assert_eq!(
        store.lease(&a, "two", minute).await,
        Err(StoreError::Leased)
    );
    assert_eq!(
        store.lease(&a, "one", minute).await,
        Ok(first),
        "prolonged, not taken anew"
    );
    assert!(store.lease(&id("other"), "two", minute).await.is_ok());
    tokio::time::advance(minute).await;
    let second = store.lease(&a, "two", minute).await.unwrap();
    assert!(second.fence > first.fence);
    assert_eq!(
        store.lease(&a, "one", minute).await,
        Err(StoreError::Leased)
    );
}

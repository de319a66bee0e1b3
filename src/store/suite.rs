//! What every store must do; run on each of them, on an empty one, under a paused clock.

use std::time::Duration;

use super::{Key, Listed, StateStore, StoreError, VALUE_MAX, Version};
use crate::base::Secret;

pub(super) async fn run(store: &dyn StateStore) {
    versions_grow_and_stale_writers_lose(store).await;
    forgotten_is_gone_and_old_writers_do_not_bring_it_back(store).await;
    entries_of_all_sizes_come_back(store).await;
    of_many_savers_one_wins(store).await;
    many_entries_are_listed_in_order(store).await;
    one_holder_at_a_time(store).await;
}

fn id(name: &str) -> Key {
    Key::Integration(name.parse().unwrap())
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

async fn forgotten_is_gone_and_old_writers_do_not_bring_it_back(store: &dyn StateStore) {
    let key = Key::quota("forgotten.example:443", "client");
    assert_eq!(store.forget(&key).await, Ok(false));
    let first = store
        .save(&key, Secret::new("1"), Version(0))
        .await
        .unwrap();
    assert_eq!(store.forget(&key).await, Ok(true));
    assert_eq!(store.load(&key).await, Ok(None));
    let again = store
        .save(&key, Secret::new("2"), Version(0))
        .await
        .unwrap();
    assert!(again > first, "a number is given once");
    let late = store.save(&key, Secret::new("3"), first).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })));
    assert_eq!(store.forget(&key).await, Ok(true));
}

async fn entries_of_all_sizes_come_back(store: &dyn StateStore) {
    let key = id("sizes");
    let mut version = Version(0);
    for size in [0, 1, 100, 64 * 1024, 144 * 1024, VALUE_MAX] {
        let value = Secret::new("\u{e9}x\u{0}\"".repeat(size / 5) + &"y".repeat(size % 5));
        version = store.save(&key, value.clone(), version).await.unwrap();
        let entry = store.load(&key).await.unwrap().unwrap();
        assert_eq!((entry.version, entry.value == value), (version, true));
    }
    let larger = Secret::new("x".repeat(VALUE_MAX + 1));
    assert_eq!(
        store.save(&key, larger, version).await,
        Err(StoreError::TooLarge)
    );
    let kept = store.load(&key).await.unwrap().unwrap();
    assert_eq!(kept.version, version);
    assert_eq!(store.forget(&key).await, Ok(true));
}

async fn of_many_savers_one_wins(store: &dyn StateStore) {
    let key = id("contended");
    let savers = (0..20).map(|n| store.save(&key, Secret::new(n.to_string()), Version(0)));
    let ends = futures_util::future::join_all(savers).await;
    let won: Vec<_> = ends.iter().flatten().collect();
    let [version] = won.as_slice() else {
        panic!("{won:?} won");
    };
    for end in &ends {
        let found = **version;
        assert!(end.is_ok() || *end == Err(StoreError::Conflict { found }));
    }
    assert_eq!(store.forget(&key).await, Ok(true));
}

async fn many_entries_are_listed_in_order(store: &dyn StateStore) {
    let before = store.list().await.unwrap().len();
    let keys: Vec<Key> = (0..500).map(|n| id(&format!("many-{n:03}"))).collect();
    let value = |key: &Key| Secret::new(format!("value of {key}"));
    let saves = keys
        .iter()
        .map(|key| store.save(key, value(key), Version(0)));
    let versions = futures_util::future::join_all(saves).await;
    let listed = store.list().await.unwrap();
    assert_eq!(listed.len(), before + 500);
    assert!(listed.is_sorted_by(|a, b| a.key < b.key));
    for (key, version) in keys.iter().zip(versions) {
        let version = version.unwrap();
        let key = key.clone();
        assert!(listed.contains(&Listed { key, version }));
    }
    let loads = keys.iter().map(|key| store.load(key));
    let loaded = futures_util::future::join_all(loads).await;
    for (key, entry) in keys.iter().zip(loaded) {
        assert_eq!(entry.unwrap().unwrap().value, value(key));
    }
    let forgotten = futures_util::future::join_all(keys.iter().map(|key| store.forget(key)));
    assert!(forgotten.await.iter().all(|end| *end == Ok(true)));
}

/// For stores that are to outlive the process: `open` opens the same one again and again.
pub(super) async fn outlives(open: impl Fn() -> Box<dyn StateStore>) {
    let (kept, gone) = (id("kept"), id("gone"));
    let store = open();
    let first = store.save(&kept, Secret::new("1"), Version(0)).await;
    let second = store
        .save(&kept, Secret::new("2"), first.unwrap())
        .await
        .unwrap();
    let last = store.save(&gone, Secret::new("x"), Version(0)).await;
    assert_eq!(store.forget(&gone).await, Ok(true));
    drop(store);
    let store = open();
    let entry = store.load(&kept).await.unwrap().unwrap();
    assert_eq!((entry.version, entry.value), (second, Secret::new("2")));
    assert_eq!(store.load(&gone).await, Ok(None));
    let again = store.save(&gone, Secret::new("y"), Version(0)).await;
    assert!(again.unwrap() > last.unwrap(), "a number is given once");
    drop(store);
    let listed = open().list().await.unwrap();
    assert!(listed.iter().any(|one| one.key == gone) && listed.len() >= 2);
}

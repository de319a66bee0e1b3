//! A store that fails on demand, for tests; in no release (feature `faults`).
//!
//! Must not know which store it wraps. Invariant: unless told to fail it is that store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Entry, Key, Lease, Listed, StateStore, StoreError, Version};
use crate::base::Secret;

#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn StateStore>,
    failing: AtomicBool,
    failing_loads: AtomicBool,
    /// How many of the next saves happen and are then called failed.
    denied: AtomicUsize,
    tried: AtomicUsize,
    saved: AtomicUsize,
}

impl Faulty {
    pub fn new(inner: Arc<dyn StateStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            failing: AtomicBool::new(false),
            failing_loads: AtomicBool::new(false),
            denied: AtomicUsize::new(0),
            tried: AtomicUsize::new(0),
            saved: AtomicUsize::new(0),
        })
    }

    /// From now on saves fail and change nothing, as on a full disk; or work again.
    pub fn fail_saves(&self, fail: bool) {
        self.failing.store(fail, Ordering::SeqCst);
    }

    /// The same for loads.
    pub fn fail_loads(&self, fail: bool) {
        self.failing_loads.store(fail, Ordering::SeqCst);
    }

    /// The next `count` saves happen, and fail all the same: their caller sees an error, then a
    /// conflict, as with a store behind a network.
    pub fn deny_saves(&self, count: usize) {
        self.denied.store(count, Ordering::SeqCst);
    }

    /// Saves asked for, failed ones too.
    pub fn tried(&self) -> usize {
        self.tried.load(Ordering::SeqCst)
    }

    /// Saves that happened.
    pub fn saved(&self) -> usize {
        self.saved.load(Ordering::SeqCst)
    }
}

fn made_to_fail() -> StoreError {
    StoreError::Unavailable("made to fail".to_owned())
}

impl StateStore for Faulty {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        if self.failing_loads.load(Ordering::SeqCst) {
            return Box::pin(std::future::ready(Err(made_to_fail())));
        }
        self.inner.load(key)
    }

    fn save<'a>(
        &'a self,
        key: &'a Key,
        value: Secret,
        expected: Version,
    ) -> BoxFuture<'a, Result<Version, StoreError>> {
        self.tried.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if self.failing.load(Ordering::SeqCst) {
                return Err(made_to_fail());
            }
            let version = self.inner.save(key, value, expected).await?;
            self.saved.fetch_add(1, Ordering::SeqCst);
            let one_less = |left: usize| left.checked_sub(1);
            match self
                .denied
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            {
                Ok(_denied) => Err(made_to_fail()),
                Err(_none_left) => Ok(version),
            }
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        self.inner.list()
    }

    fn forget<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.inner.forget(key)
    }

    fn lease<'a>(
        &'a self,
        key: &'a Key,
        holder: &'a str,
        lasts: Duration,
    ) -> BoxFuture<'a, Result<Lease, StoreError>> {
        self.inner.lease(key, holder, lasts)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Memory;
    use super::*;
    use crate::base::SystemClock;

    #[tokio::test(start_paused = true)]
    async fn is_the_store_it_wraps() {
        use crate::base::{Timestamp, TokioClock};
        let clock = TokioClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        let faulty = Faulty::new(Arc::new(Memory::new(Arc::new(clock))));
        super::super::suite::run(&*faulty).await;
    }

    #[tokio::test]
    async fn fails_when_told_to() {
        let faulty = Faulty::new(Arc::new(Memory::new(Arc::new(SystemClock))));
        let key = Key::quota("a:443", "");
        let save = |expected| faulty.save(&key, Secret::new("x"), Version(expected));
        faulty.fail_saves(true);
        assert!(save(0).await.is_err());
        assert_eq!(faulty.load(&key).await, Ok(None));
        faulty.fail_saves(false);
        faulty.deny_saves(1);
        assert!(save(0).await.is_err());
        let found = Version(1);
        assert_eq!(save(0).await, Err(StoreError::Conflict { found }));
        assert_eq!(save(1).await, Ok(Version(2)));
        assert_eq!((faulty.tried(), faulty.saved()), (4, 2));
    }
}

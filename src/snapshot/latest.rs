//! The latest snapshot, and waiting for the next one.
//!
//! A channel of the runtime would do, and takes four times the memory; there may be thousands.
//! Invariant: whoever waits sees the last snapshot before learning that no more will come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::state::Snapshot;

#[derive(Debug)]
pub(super) struct Latest {
    snapshot: ArcSwap<Snapshot>,
    is_last: AtomicBool,
    changed: Notify,
}

impl Latest {
    pub(super) fn new(first: Snapshot) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(first),
            is_last: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    pub(super) fn get(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Looks without counting a reference; the snapshot must be let go before the next await.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        look(&self.snapshot.load())
    }

    pub(super) fn publish(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
        self.changed.notify_waiters();
    }

    /// Nothing will be published any more.
    pub(super) fn close(&self) {
        self.is_last.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// The first snapshot seen that is not `seen`; `None` if there will be none.
    pub(super) async fn after(&self, seen: &Arc<Snapshot>) -> Option<Arc<Snapshot>> {
        loop {
            // Made before looking: a publication between the look and the wait wakes it, too.
            let changed = self.changed.notified();
            let is_last = self.is_last.load(Ordering::Acquire);
            let latest = self.get();
            // `seen` is held, so a new snapshot cannot be at its address.
            if !Arc::ptr_eq(&latest, seen) {
                return Some(latest);
            }
            if is_last {
                return None;
            }
            changed.await;
        }
    }
}

//! What integrations share that are the same client at the same endpoint: a vendor's
//! `Retry-After`, and the count of requests that its limit is about.
//!
//! Every request counts, whoever sends it; each integration keeps its own limit, if it has one, over
//! all of them. First come, first served. Must not know what is asked. Invariants: a hold is only
//! ever prolonged; a request is counted, and its count saved if the store takes it, before it is
//! sent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::machine::{LONGEST_RETRY_AFTER, Room};
use super::window::Window;
use super::worker::{Keeping, Persist};
use crate::base::{Clock, Mono};
use crate::spec::RateLimit;
use crate::store::{self, Key};

#[derive(Debug)]
pub(super) struct Quota {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// The store was asked.
    loaded: AtomicBool,
    /// `None`: it ends with the process.
    disk: Option<tokio::sync::Mutex<Disk>>,
}

#[derive(Debug)]
struct State {
    hold: Mono,
    window: Window,
    /// Grows with everything that is worth saving.
    changes: u64,
}

#[derive(Debug)]
struct Disk {
    persist: Persist,
    /// The changes that are in the store.
    saved: u64,
    failing: bool,
}

/// A request under way, for as long as this lives.
#[derive(Debug)]
pub(super) struct Flight(Arc<Quota>);

impl Drop for Flight {
    fn drop(&mut self) {
        let now = self.0.clock.mono();
        self.0.state().window.end(now);
    }
}

impl Quota {
    pub(super) fn new(key: Key, keeping: &Keeping, clock: Arc<dyn Clock>) -> Self {
        let disk = keeping.of_quota(key).map(|persist| Disk {
            persist,
            saved: 0,
            failing: false,
        });
        Self {
            clock,
            state: Mutex::new(State {
                hold: Mono::START,
                window: Window::default(),
                changes: 0,
            }),
            loaded: AtomicBool::new(disk.is_none()),
            disk: disk.map(tokio::sync::Mutex::new),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has this limit.
    pub(super) fn announce(&self, limit: RateLimit) {
        self.state().window.announce(limit);
    }

    pub(super) fn hold(&self) -> Mono {
        self.state().hold
    }

    pub(super) fn prolong(&self, until: Mono) {
        let mut state = self.state();
        if until > state.hold {
            state.hold = until;
            state.changes += 1;
        }
    }

    /// When there is room for a request of an integration with this limit.
    pub(super) fn room(&self, limit: Option<RateLimit>, now: Mono) -> Room {
        let Some(limit) = limit else {
            return Room::FREE;
        };
        // What callers want leaves the last request to what is due.
        let spare = RateLimit {
            requests: limit.requests.saturating_sub(1).max(1),
            ..limit
        };
        let state = self.state();
        Room {
            from: state.window.free_from(limit, now),
            forced_from: state.window.free_from(spare, now),
        }
    }

    /// Counts a request that is about to be sent; `None`: it must wait.
    pub(super) async fn begin(self: &Arc<Self>, limit: Option<RateLimit>) -> Option<Flight> {
        self.load().await;
        let flight = {
            let now = self.clock.mono();
            let mut state = self.state();
            let spent = limit.is_some_and(|limit| state.window.free_from(limit, now) > now);
            if state.hold > now || spent {
                return None;
            }
            state.window.begin();
            if state.window.counts() {
                state.changes += 1;
            }
            Flight(Arc::clone(self))
        };
        self.save().await;
        Some(flight)
    }

    /// Takes up what another process left, once; without the store's help nothing is known of it.
    pub(super) async fn load(&self) {
        let Some(disk) = self.disk.as_ref() else {
            return;
        };
        if self.loaded.load(Ordering::Acquire) {
            return;
        }
        let mut disk = disk.lock().await;
        if self.loaded.load(Ordering::Acquire) {
            return;
        }
        match disk.persist.load_quota().await {
            Ok(found) => {
                let now = self.clock.now();
                let found = found.unwrap_or_default();
                let mut state = self.state();
                state.window.add(&found.requests, now);
                if let Some(until) = found.quiet_until {
                    let left = until.since(now.wall).min(LONGEST_RETRY_AFTER);
                    state.hold = state.hold.max(now.mono.plus(left));
                }
                self.loaded.store(true, Ordering::Release);
            }
            Err(why) => disk.failed(&why),
        }
    }

    /// Returns when everything up to now is in the store, or cannot be; one save serves all who
    /// wait for it.
    pub(super) async fn save(&self) {
        let Some(disk) = self.disk.as_ref() else {
            return;
        };
        let wanted = self.state().changes;
        let mut disk = disk.lock().await;
        if disk.saved >= wanted {
            return;
        }
        let (quota, changes) = {
            let now = self.clock.now();
            let state = self.state();
            let quiet = state.hold.since(now.mono);
            let quota = store::Quota {
                requests: state.window.written(now),
                quiet_until: (!quiet.is_zero()).then(|| now.wall.plus(quiet)),
            };
            (quota, state.changes)
        };
        match disk.persist.put(quota.encode()).await {
            Ok(()) => {
                disk.saved = changes;
                disk.failing = false;
            }
            Err(why) => disk.failed(&why),
        }
    }
}

impl Disk {
    /// Requests go on: the limit is kept for as long as this process lives.
    fn failed(&mut self, error: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            let key = self.persist.key();
            tracing::warn!(
                error,
                "token requests of {key} are counted, but not in the store: a restart would forget \
                 them ({error})"
            );
        }
    }
}

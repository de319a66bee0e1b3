//! What the probes report: a latch for the start, a flag for the end.
//!
//! Invariant: once started, always started; once stopping, always stopping.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::directory::{Directory, Entry};
use crate::base::{Mono, Now};
use crate::snapshot::State;
use crate::spec::When;

#[derive(Debug)]
pub struct Health {
    /// When vendors that do not answer no longer hold the start back.
    patience_ends: Mono,
    started: AtomicBool,
    stopping: AtomicBool,
    /// Another broker has the store, and this one waits for it.
    store_held: AtomicBool,
}

impl Health {
    /// `now` is the start of the process, `startup_wait` as configured.
    pub fn new(now: Now, startup_wait: Duration) -> Self {
        Self {
            patience_ends: now.mono.plus(startup_wait),
            started: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            store_held: AtomicBool::new(false),
        }
    }

    /// From now on not ready.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whether another broker holds the store: then nothing is asked and nothing served.
    pub fn set_store_held(&self, held: bool) {
        self.store_held.store(held, Ordering::Release);
    }

    pub fn is_store_held(&self) -> bool {
        self.store_held.load(Ordering::Acquire)
    }

    /// Whether the start is over; latched.
    pub fn is_started(&self, directory: &Directory, now: Now) -> bool {
        if self.started.load(Ordering::Acquire) {
            return true;
        }
        let over = now.mono >= self.patience_ends
            || directory
                .all()
                .iter()
                .all(|entry| !holds_start_back(entry, now));
        if over {
            self.started.store(true, Ordering::Release);
        }
        over
    }
}

/// Whether the start waits for this one: required, asked for by itself, and without a first final
/// answer. A refusal is final, as waiting longer would not change it.
pub(super) fn holds_start_back(entry: &Entry, now: Now) -> bool {
    entry.integration.required
        && entry.integration.refresh.when == When::Always
        && entry.reader.get().state(now) == State::Pending
}

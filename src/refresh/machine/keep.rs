//! What has to be saved, and when it is tried again. Pure.
//!
//! Invariant: nothing counts as saved that was not said to be; a failed save takes nothing away.

use crate::base::{Backoff, Mono};
use crate::store::Wait;

/// What differs from what is in the store.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unsaved {
    /// A refresh token or an intent.
    pub(super) chain: bool,
    /// An access token or a wait.
    pub(super) rest: bool,
    /// A refresh token that a vendor sent: if the process ends, it is lost.
    fresh: bool,
}

/// What only integrations need that outlive the process.
#[derive(Debug, Default)]
pub(super) struct Keep {
    pub(super) unsaved: Unsaved,
    /// What the save under way takes along.
    saving: Unsaved,
    /// Saves in a row that failed.
    failures: u32,
    again: Option<Mono>,
    error: Option<String>,
    /// The store was read.
    pub(super) loaded: bool,
    /// Why what is in the store is not ours to overwrite.
    pub(super) frozen: Option<String>,
    /// Found in the store, and not yet looked at.
    pub(super) wait: Option<Wait>,
}

impl Keep {
    /// The next thing to do is a save.
    pub(super) fn is_due(&self, now: Mono) -> bool {
        self.wants() && self.again.is_none_or(|again| again <= now)
    }

    pub(super) fn wants(&self) -> bool {
        (self.unsaved.chain || self.unsaved.rest) && self.frozen.is_none()
    }

    /// When a failed save is tried again.
    pub(super) fn again(&self) -> Option<Mono> {
        self.again.filter(|_| self.wants())
    }

    pub(super) fn begin(&mut self) {
        self.saving = std::mem::take(&mut self.unsaved);
    }

    /// A vendor sent a refresh token.
    pub(super) fn received(&mut self) {
        (self.unsaved.chain, self.unsaved.fresh) = (true, true);
    }

    /// Whether a refresh token would be lost with this process.
    pub(super) fn is_only_copy(&self) -> bool {
        self.unsaved.fresh || self.saving.fresh
    }

    /// Nobody will say how the save under way ended.
    pub(super) fn broken_off(&mut self) {
        let Unsaved { chain, rest, fresh } = std::mem::take(&mut self.saving);
        self.unsaved.chain |= chain;
        self.unsaved.rest |= rest;
        self.unsaved.fresh |= fresh;
    }

    /// Whether readers would see a difference.
    pub(super) fn ended(
        &mut self,
        result: Result<(), String>,
        backoff: Backoff,
        now: Mono,
        draw: f64,
    ) -> bool {
        match result {
            Ok(()) => {
                self.saving = Unsaved::default();
                self.failures = 0;
                self.again = None;
                self.error.take().is_some()
            }
            Err(why) => {
                self.broken_off();
                self.failures = self.failures.saturating_add(1);
                self.again = Some(now.plus(backoff.wait(self.failures, draw)));
                let changed = self.error.as_deref() != Some(why.as_str());
                self.error = Some(why);
                changed
            }
        }
    }

    pub(super) fn fail(&mut self, why: String) {
        self.error = Some(why);
    }

    pub(super) fn well(&mut self) {
        self.error = None;
    }

    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

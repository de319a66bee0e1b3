//! What has to be saved, and when it is tried again. Pure.
//!
//! Invariant: nothing counts as saved that was not said to be; a failed save takes nothing away.

use crate::base::{Backoff, Mono};
use crate::store::Wait;

/// What only integrations need that outlive the process.
#[derive(Debug, Default)]
pub(super) struct Keep {
    /// Differs from what is in the store: a refresh token or an intent.
    pub(super) chain: bool,
    /// An access token or a wait.
    pub(super) rest: bool,
    /// A refresh token that a vendor sent is not in the store: if the process ends, it is lost.
    fresh: bool,
    /// What the save under way takes along: `chain`, `rest` and `fresh`.
    saving: (bool, bool, bool),
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
        (self.chain || self.rest) && self.frozen.is_none()
    }

    /// When a failed save is tried again.
    pub(super) fn again(&self) -> Option<Mono> {
        self.again.filter(|_| self.wants())
    }

    pub(super) fn begin(&mut self) {
        self.saving = (self.chain, self.rest, self.fresh);
        (self.chain, self.rest, self.fresh) = (false, false, false);
    }

    /// A vendor sent a refresh token.
    pub(super) fn received(&mut self) {
        (self.chain, self.fresh) = (true, true);
    }

    /// Whether a refresh token would be lost with this process.
    pub(super) fn is_only_copy(&self) -> bool {
        self.fresh || self.saving.2
    }

    /// Nobody will say how the save under way ended.
    pub(super) fn broken_off(&mut self) {
        let (chain, rest, fresh) = std::mem::take(&mut self.saving);
        self.chain |= chain;
        self.rest |= rest;
        self.fresh |= fresh;
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
                self.saving = (false, false, false);
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

//! How readers call the worker: flags that add up, so nudges need no queue and no bound; and the way
//! to the queue of logins, while there is one.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::consent::Wishes;

/// Why a worker is asked to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nudge {
    /// A caller found no valid token.
    Missing = 1,
    /// A caller found a valid token with too little time left; spaced like a forced refresh.
    Short = 2,
    /// `POST /refresh`.
    Force = 4,
}

/// The nudges that came since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Nudges(u8);

impl Nudges {
    pub fn has(self, nudge: Nudge) -> bool {
        self.0 & nudge as u8 != 0
    }

    #[must_use]
    pub fn and(self, nudge: Nudge) -> Self {
        Self(self.0 | nudge as u8)
    }
}

#[derive(Debug, Default)]
pub(super) struct Bell {
    flags: AtomicU8,
    used: AtomicBool,
    /// Set anew when the definition behind the board changes.
    asks_only_at_expiry: AtomicBool,
    notify: Notify,
    /// As above: only while the grant is one that a person consents to. Never locked for a token.
    wishes: Mutex<Option<Wishes>>,
}

impl Bell {
    pub(super) fn ring(&self, nudge: Nudge) {
        self.flags.fetch_or(nudge as u8, Ordering::AcqRel);
        self.notify.notify_one();
    }

    pub(super) async fn rung(&self) -> Nudges {
        loop {
            let flags = self.flags.swap(0, Ordering::AcqRel);
            if flags != 0 {
                return Nudges(flags);
            }
            self.notify.notified().await;
        }
    }

    pub(super) fn set_asks_only_at_expiry(&self, value: bool) {
        self.asks_only_at_expiry.store(value, Ordering::Relaxed);
    }

    pub(super) fn asks_only_at_expiry(&self) -> bool {
        self.asks_only_at_expiry.load(Ordering::Relaxed)
    }

    pub(super) fn set_wishes(&self, wishes: Option<Wishes>) {
        *self.locked_wishes() = wishes;
    }

    pub(super) fn wishes(&self) -> Option<Wishes> {
        self.locked_wishes().clone()
    }

    fn locked_wishes(&self) -> MutexGuard<'_, Option<Wishes>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn mark_used(&self) {
        // Read first: writing a shared cache line for every answer would slow them all down.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }
}

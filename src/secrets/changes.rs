//! How one listener learns that a secret has a new value.
//!
//! A flag and not a channel: there is one for each integration, and nobody counts. Invariant: a
//! change that nobody has looked at yet is never lost.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Told by any number of sources, looked at by one listener.
#[derive(Debug, Default)]
pub struct Changes {
    moved: AtomicBool,
    notify: Notify,
}

impl Changes {
    pub fn tell(&self) {
        self.moved.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    /// Waits for a change since the last look, and looks.
    pub async fn changed(&self) {
        while !self.take() {
            self.notify.notified().await;
        }
    }

    /// Whether there was a change since the last look.
    pub fn take(&self) -> bool {
        self.moved.swap(false, Ordering::AcqRel)
    }
}

//! A disk that fails on demand, for tests.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Nothing can be written, as on a full disk.
    pub(super) full: AtomicBool,
    /// How many of the next syncs happen, and are then called failed.
    pub(super) denied_syncs: AtomicUsize,
    /// How many of the next syncs fail and do not happen.
    pub(super) failing_syncs: AtomicUsize,
    /// Syncs that happened.
    pub(super) syncs: AtomicUsize,
}

impl Faults {
    pub(super) fn writing(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    pub(super) fn syncing(&self) -> io::Result<()> {
        spend(&self.failing_syncs)
    }

    pub(super) fn synced(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        spend(&self.denied_syncs)
    }
}

fn spend(left: &AtomicUsize) -> io::Result<()> {
    let spent = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        left.checked_sub(1)
    });
    match spent {
        Ok(_) => Err(io::Error::other("made to fail")),
        Err(_) => Ok(()),
    }
}

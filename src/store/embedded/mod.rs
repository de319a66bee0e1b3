//! A store in one file: redb, every entry sealed if there is a key.
//!
//! Owns the file, its lock and the one thread that touches it. Must not know what entries mean.
//! Invariants: one process at a time; what was saved is on the disk; a file that cannot be used is
//! left exactly as it was found.

mod backend;
mod database;
#[cfg(test)]
mod faults;
mod file;
mod rekey;
mod seal;
mod writer;

#[cfg(test)]
mod tests;

pub(super) use rekey::rekey;
pub use seal::{KeyError, SealingKey};

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::lease::Leases;
use super::{
    Entry, Key, Lease, Listed, OpenError, OpenProblem, StateStore, StoreError, VALUE_MAX, Version,
};
use crate::base::{Clock, Secret};
use database::{STEPS, THIS_FORMAT, Wanted};
use file::{Locked, Taken};
use seal::Seal;
use writer::{Ask, QUEUE, Reply, Writer};

/// redb's own frames are small; the default of 2 MiB is for nobody's use here.
const STACK: usize = 512 * 1024;

pub(super) struct Embedded {
    /// `None` only while it is dropped.
    queue: Option<mpsc::Sender<Ask>>,
    thread: Option<JoinHandle<()>>,
    leases: Leases,
}

/// Whether a store that is not there is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Make,
    Refuse,
}

impl Embedded {
    /// Blocks for as long as the disk takes, and never waits for another process.
    pub(super) fn open(
        path: &Path,
        key: Option<&SealingKey>,
        missing: Missing,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        locked(path, key, missing)
            .and_then(|locked| Self::over(&locked, key, clock))
            .map_err(|problem| OpenError::new(path, problem))
    }

    fn over(
        locked: &Locked,
        key: Option<&SealingKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenProblem> {
        let wanted = Wanted::Exactly(key);
        let (rehearsed, seal) = database::rehearse(locked, wanted, (THIS_FORMAT, STEPS))?;
        drop(rehearsed);
        locked.make_private()?;
        let database = database::disk(locked).map_err(database::read)?;
        database::make_ready(&database, THIS_FORMAT, STEPS)?;
        let (queue, asked) = mpsc::channel(QUEUE);
        let writer = Writer::new(locked.clone(), seal, database);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .stack_size(STACK)
            .spawn(move || writer.run(asked))
            .map_err(|error| OpenProblem::io("starting its thread", &error))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
            leases: Leases::new(clock),
        })
    }

    fn ask<'a, T: Send + 'a>(
        &'a self,
        question: impl FnOnce(Reply<T>) -> Ask + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            let ended = || StoreError::Unavailable("its thread has ended".to_owned());
            let (reply, answer) = oneshot::channel();
            let queue = self.queue.as_ref().ok_or_else(ended)?;
            let queued = queue.send(question(reply)).await;
            queued.map_err(|_unsent| ended())?;
            answer.await.unwrap_or_else(|_unanswered| Err(ended()))
        })
    }
}

/// The file, locked; made if need be.
fn locked(path: &Path, key: Option<&SealingKey>, missing: Missing) -> Result<Locked, OpenProblem> {
    match file::existing(path) {
        Err(OpenProblem::Missing) if missing == Missing::Make => {}
        other => return other,
    }
    let seal = Seal::new(key);
    let fill = |locked: &Locked| database::initialise(locked, &seal, |_| Ok(()));
    match file::made(path, Taken::Keep, fill)? {
        Some(locked) => Ok(locked),
        // Another broker starts at the same moment.
        None => file::existing(path),
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Embedded")
    }
}

impl Drop for Embedded {
    /// Waits until everything asked is done and the file closed, so that the next who opens it need
    /// not repair it.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been told already.
            drop(thread.join());
        }
    }
}

impl StateStore for Embedded {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        self.ask(|reply| Ask::Load(key.clone(), reply))
    }

    fn save<'a>(
        &'a self,
        key: &'a Key,
        value: Secret,
        expected: Version,
    ) -> BoxFuture<'a, Result<Version, StoreError>> {
        if value.expose().len() > VALUE_MAX {
            return Box::pin(std::future::ready(Err(StoreError::TooLarge)));
        }
        self.ask(move |reply| Ask::Save(key.clone(), value, expected, reply))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        self.ask(Ask::List)
    }

    fn forget<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.ask(|reply| Ask::Forget(key.clone(), reply))
    }

    fn lease<'a>(
        &'a self,
        key: &'a Key,
        holder: &'a str,
        lasts: Duration,
    ) -> BoxFuture<'a, Result<Lease, StoreError>> {
        Box::pin(std::future::ready(self.leases.take(key, holder, lasts)))
    }
}

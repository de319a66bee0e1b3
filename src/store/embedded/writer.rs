//! The thread that has the database: all reading and writing happens here, a batch at a time.
//!
//! Whatever is queued while one transaction waits for the disk goes into the next: ten thousand
//! integrations that save at start cost a few syncs. Must not know what values mean. Invariants: an
//! answer to a save is sent after its transaction is on the disk; a failed one leaves every entry as
//! it was, and where nobody can say so the next save finds out.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{Database, ReadableDatabase as _, ReadableTable};
use tokio::sync::{mpsc, oneshot};

use super::database::{self, ABOUT, ENTRIES, LAST_VERSION};
use super::file::Locked;
use super::seal::Seal;
use crate::base::{CrashPoint, Secret, crash_point};
use crate::store::{Entry, Key, Listed, StoreError, Version};

/// Requests that wait at most, and go into one transaction.
pub(super) const QUEUE: usize = 1024;

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

pub(super) enum Ask {
    Load(Key, Reply<Option<Entry>>),
    Save(Key, Secret, Version, Reply<Version>),
    List(Reply<Vec<Listed>>),
    Forget(Key, Reply<bool>),
}

enum Answer {
    Loaded(Result<Option<Entry>, StoreError>),
    Saved(Result<Version, StoreError>),
    Listed(Result<Vec<Listed>, StoreError>),
    Forgot(Result<bool, StoreError>),
}

impl Ask {
    fn writes(&self) -> bool {
        match self {
            Self::Save(..) | Self::Forget(..) => true,
            Self::Load(..) | Self::List(_) => false,
        }
    }

    /// Nobody listens any more where a future was dropped.
    fn answer(self, answer: Answer) {
        match (self, answer) {
            (Self::Load(_, reply), Answer::Loaded(result)) => drop(reply.send(result)),
            (Self::Save(.., reply), Answer::Saved(result)) => drop(reply.send(result)),
            (Self::List(reply), Answer::Listed(result)) => drop(reply.send(result)),
            (Self::Forget(_, reply), Answer::Forgot(result)) => drop(reply.send(result)),
            (_, _) => debug_assert!(false, "an answer to another question"),
        }
    }

    fn fail(self, error: StoreError) {
        match self {
            Self::Load(_, reply) => drop(reply.send(Err(error))),
            Self::Save(.., reply) => drop(reply.send(Err(error))),
            Self::List(reply) => drop(reply.send(Err(error))),
            Self::Forget(_, reply) => drop(reply.send(Err(error))),
        }
    }
}

/// Saves whose transaction ended unknown: the version they were made from, and those that may have
/// come of it.
struct Unsure {
    expected: Version,
    attempts: Vec<Version>,
}

pub(super) struct Writer {
    locked: Locked,
    seal: Seal,
    /// Closed after any trouble: redb takes nothing more after an I/O error.
    database: Option<Database>,
    unsure: HashMap<Key, Unsure>,
}

/// Why a batch failed.
enum Trouble {
    Redb(redb::Error),
    Gone,
}

impl<E: Into<redb::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

impl Writer {
    pub(super) fn new(locked: Locked, seal: Seal, database: Database) -> Self {
        Self {
            locked,
            seal,
            database: Some(database),
            unsure: HashMap::new(),
        }
    }

    /// Until nobody can ask any more and everything is answered.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Ask>) {
        while let Some(first) = queue.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < QUEUE
                && let Ok(next) = queue.try_recv()
            {
                batch.push(next);
            }
            self.serve(batch);
        }
    }

    fn serve(&mut self, batch: Vec<Ask>) {
        let mut left = batch;
        if left.iter().any(Ask::writes) {
            match self.guarded(|this| this.write(&left)) {
                Ok(answers) => return answer(left, answers),
                Err(error) => {
                    let (writes, reads): (Vec<_>, Vec<_>) = left.into_iter().partition(Ask::writes);
                    for ask in writes {
                        ask.fail(error.clone());
                    }
                    left = reads;
                }
            }
        }
        if left.is_empty() {
            return;
        }
        match self.guarded(|this| this.read(&left)) {
            Ok(answers) => answer(left, answers),
            Err(error) => {
                for ask in left {
                    ask.fail(error.clone());
                }
            }
        }
    }

    /// Whatever goes wrong costs this batch, and closes the database until the next.
    fn guarded(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<Vec<Answer>, Trouble>,
    ) -> Result<Vec<Answer>, StoreError> {
        let ended = catch_unwind(AssertUnwindSafe(|| act(self)));
        let why = match ended {
            Ok(Ok(answers)) => return Ok(answers),
            Ok(Err(Trouble::Redb(error))) => database::why(&error),
            Ok(Err(Trouble::Gone)) => {
                "the file was removed, replaced or emptied: move that same file back to this path, \
                 and saving goes on by itself; a restart now loses what is only in memory, so \
                 restart and log in again only if the file is gone for good"
                    .to_owned()
            }
            Err(_panic) => database::CONTRADICTS.to_owned(),
        };
        self.database = None;
        let path = self.locked.path.display();
        Err(StoreError::Unavailable(format!("{path}: {why}")))
    }

    fn database(&mut self) -> Result<&Database, Trouble> {
        if self.database.is_none() {
            // redb would make a new database in an empty file.
            if self.locked.file.metadata().map_err(redb::Error::Io)?.len() == 0 {
                return Err(Trouble::Gone);
            }
            self.database = Some(database::disk(&self.locked)?);
        }
        self.database.as_ref().ok_or(Trouble::Gone)
    }

    fn read(&mut self, batch: &[Ask]) -> Result<Vec<Answer>, Trouble> {
        let seal = self.seal.clone();
        let entries = self.database()?.begin_read()?.open_table(ENTRIES)?;
        let mut answers = Vec::with_capacity(batch.len());
        for ask in batch {
            answers.push(match ask {
                Ask::Load(key, _) => Answer::Loaded(load(&entries, &seal, key)?),
                Ask::List(_) | Ask::Save(..) | Ask::Forget(..) => {
                    Answer::Listed(Ok(list(&entries)?))
                }
            });
        }
        Ok(answers)
    }

    fn write(&mut self, batch: &[Ask]) -> Result<Vec<Answer>, Trouble> {
        let seal = self.seal.clone();
        let txn = self.database()?.begin_write()?;
        let mut answers = Vec::with_capacity(batch.len());
        let mut attempts: Vec<(Key, Version, Version)> = Vec::new();
        {
            let mut entries = txn.open_table(ENTRIES)?;
            let mut about = txn.open_table(ABOUT)?;
            let mut last = database::number(&about, LAST_VERSION)?;
            for ask in batch {
                answers.push(match ask {
                    Ask::Load(key, _) => Answer::Loaded(load(&entries, &seal, key)?),
                    Ask::List(_) => Answer::Listed(Ok(list(&entries)?)),
                    Ask::Forget(key, _) => {
                        Answer::Forgot(Ok(entries.remove(key.row().as_str())?.is_some()))
                    }
                    Ask::Save(key, value, expected, _) => Answer::Saved({
                        let row = key.row();
                        let found = version(&entries, key)?;
                        let next = Version(last.saturating_add(1));
                        let sealed = self
                            .may_save(key, *expected, found)
                            .and_then(|()| seal.seal(&row, next, value.expose().as_bytes()));
                        match sealed {
                            Err(error) => Err(error),
                            Ok(sealed) => {
                                let stored = database::row(next, &sealed);
                                entries.insert(row.as_str(), stored.as_slice())?;
                                last = next.0;
                                attempts.push((key.clone(), *expected, next));
                                Ok(next)
                            }
                        }
                    }),
                });
            }
            about.insert(LAST_VERSION, last.to_le_bytes().as_slice())?;
        }
        if !self.locked.is_at_its_path().map_err(redb::Error::Io)? {
            return Err(Trouble::Gone);
        }
        crash_point(CrashPoint::InSave);
        match txn.commit() {
            Ok(()) => {
                for (key, ..) in &attempts {
                    self.unsure.remove(key);
                }
                Ok(answers)
            }
            Err(error) => {
                self.remember(attempts);
                Err(error.into())
            }
        }
    }

    /// A save wins over the version it was made from, or over its own earlier try that was called
    /// failed and happened all the same. Nobody else could have saved: the file is locked.
    fn may_save(
        &mut self,
        key: &Key,
        expected: Version,
        found: Result<Version, StoreError>,
    ) -> Result<(), StoreError> {
        let found = found?;
        let unsure = self.unsure.get_mut(key);
        let own = unsure.is_some_and(|unsure| {
            unsure.attempts.retain(|attempt| *attempt == found);
            unsure.expected == expected && !unsure.attempts.is_empty()
        });
        if found == expected || own {
            Ok(())
        } else {
            Err(StoreError::Conflict { found })
        }
    }

    fn remember(&mut self, attempts: Vec<(Key, Version, Version)>) {
        for (key, expected, attempt) in attempts {
            let unsure = self.unsure.entry(key).or_insert_with(|| Unsure {
                expected,
                attempts: Vec::new(),
            });
            if unsure.expected != expected {
                unsure.expected = expected;
                unsure.attempts.clear();
            }
            unsure.attempts.push(attempt);
        }
    }
}

fn answer(batch: Vec<Ask>, answers: Vec<Answer>) {
    for (ask, answer) in batch.into_iter().zip(answers) {
        ask.answer(answer);
    }
}

type Found<T> = Result<Result<T, StoreError>, redb::Error>;

fn load(
    entries: &impl ReadableTable<&'static str, &'static [u8]>,
    seal: &Seal,
    key: &Key,
) -> Found<Option<Entry>> {
    let stored = entries.get(key.row().as_str())?;
    let entry = stored.map(|stored| database::entry(seal, key, stored.value()));
    Ok(entry.transpose())
}

fn version(entries: &impl ReadableTable<&'static str, &'static [u8]>, key: &Key) -> Found<Version> {
    let Some(stored) = entries.get(key.row().as_str())? else {
        return Ok(Ok(Version(0)));
    };
    let version = database::parts(stored.value()).map(|(version, _)| version);
    Ok(version.ok_or_else(|| StoreError::Damaged {
        key: key.clone(),
        problem: "its row is too short",
    }))
}

/// Rows that no version of ours wrote are left alone.
fn list(
    entries: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Vec<Listed>, redb::Error> {
    let mut listed = Vec::new();
    for stored in entries.range::<&str>(..)? {
        let (row, stored) = stored?;
        let version = database::parts(stored.value());
        if let (Some(key), Some((version, _))) = (Key::from_row(row.value()), version) {
            listed.push(Listed { key, version });
        }
    }
    listed.sort();
    Ok(listed)
}

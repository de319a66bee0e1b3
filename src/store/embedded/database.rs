//! What is in the file: a header that says whose it is, and one row per entry.
//!
//! A row is the entry's version (eight bytes, little-endian) and its value as [`Seal`] writes it.
//! Must not know what values mean. Invariant: a file is looked at in a rehearsal first, so that one
//! that is refused is not changed, be it only by a repair.

use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase as _, ReadableTable, TableDefinition,
    TableError, WriteTransaction,
};

use super::backend::{Disk, Rehearsal};
use super::file::Locked;
use super::seal::{Seal, SealingKey};
use crate::base::Secret;
use crate::store::{Entry, Key, OpenProblem, StoreError, Version};

pub(super) const ABOUT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("about");
pub(super) const ENTRIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("entries");

const MAGIC: &str = "magic";
const OURS: &[u8] = b"token-broker state";
const FORMAT: &str = "format";
const KEY_CHECK: &str = "key check";
/// The last version given to any entry.
pub(super) const LAST_VERSION: &str = "last version";
/// How often it was opened: written at every start, as proof that it can be.
const STARTS: &str = "starts";

/// The format that this version writes.
pub(super) const THIS_FORMAT: u64 = 1;
/// Each leads from its format to the next.
pub(super) const STEPS: &[(u64, Step)] = &[];
pub(super) type Step = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// What a panic of redb's comes to.
pub(super) const CONTRADICTS: &str = "its pages contradict each other";
/// How every redb file begins.
const REDB: [u8; 9] = *b"redb\x1A\x0A\xA9\x0D\x0A";
/// Idle brokers stay small; the kernel caches too.
const CACHE: usize = 512 * 1024;

/// Which keys do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// The store must be sealed with this key, or not at all.
    Exactly(Option<&'a SealingKey>),
    /// This key if it is sealed: to change that.
    IfSealed(Option<&'a SealingKey>),
}

/// A new store in an empty file.
pub(super) fn initialise(
    locked: &Locked,
    seal: &Seal,
    fill: impl FnOnce(&WriteTransaction) -> Result<(), OpenProblem>,
) -> Result<(), OpenProblem> {
    let check = seal.check().map_err(|error| OpenProblem::Io {
        doing: "sealing it",
        why: error.to_string(),
    })?;
    let database = disk(locked).map_err(written)?;
    let txn = database.begin_write().map_err(written)?;
    let header = || -> Result<(), redb::Error> {
        let mut about = txn.open_table(ABOUT)?;
        about.insert(MAGIC, OURS)?;
        about.insert(FORMAT, THIS_FORMAT.to_le_bytes().as_slice())?;
        if let Some(check) = check {
            about.insert(KEY_CHECK, check.as_slice())?;
        }
        txn.open_table(ENTRIES)?;
        Ok(())
    };
    header().map_err(written)?;
    fill(&txn)?;
    txn.commit().map_err(written)
}

/// Opens the file as it is on the disk, repaired if a process died over it.
pub(super) fn disk(locked: &Locked) -> Result<Database, DatabaseError> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder.create_with_backend(Disk {
        file: Arc::clone(&locked.file),
        #[cfg(test)]
        faults: Arc::clone(&locked.faults),
    })
}

/// Looks at everything in the file without changing it: whose it is, whether it is whole, and
/// whether the key is the right one. The database can be read; what is written to it is gone.
pub(super) fn rehearse(
    locked: &Locked,
    wanted: Wanted<'_>,
    (format, steps): (u64, &[(u64, Step)]),
) -> Result<(Database, Seal), OpenProblem> {
    let reading = |error: &std::io::Error| OpenProblem::io("reading it", error);
    let len = locked
        .file
        .metadata()
        .map_err(|error| reading(&error))?
        .len();
    if len == 0 {
        return Err(OpenProblem::Damaged("it is empty".to_owned()));
    }
    let mut magic = [0; REDB.len()];
    match locked.file.read_exact_at(&mut magic, 0) {
        Ok(()) if magic == REDB => {}
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(reading(&error)),
        Ok(()) | Err(_) => return Err(OpenProblem::Foreign),
    }
    let rehearsal = Rehearsal::of(Arc::clone(&locked.file)).map_err(|error| reading(&error))?;
    // Where a file is damaged in a way that redb does not expect it panics.
    let ended = catch_unwind(AssertUnwindSafe(move || {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE);
        builder.set_check_integrity_on_open(true);
        let database = builder.create_with_backend(rehearsal);
        let database = database.map_err(read)?;
        let seal = recognise(&database, wanted, format)?;
        make_ready(&database, format, steps).map_err(|problem| match problem {
            OpenProblem::Io { why, .. } => OpenProblem::Damaged(why),
            other => other,
        })?;
        Ok((database, seal))
    }));
    ended.unwrap_or_else(|_panic| Err(OpenProblem::Damaged(CONTRADICTS.to_owned())))
}

/// Whether this is a store, of a format that can be read, sealed as it is meant to be.
fn recognise(database: &Database, wanted: Wanted<'_>, known: u64) -> Result<Seal, OpenProblem> {
    let txn = database.begin_read().map_err(read)?;
    let about = match txn.open_table(ABOUT) {
        Ok(about) => about,
        Err(TableError::Storage(error)) => return Err(read(error)),
        Err(_no_such_table) => return Err(OpenProblem::Foreign),
    };
    let get = |name| -> Result<Option<Vec<u8>>, OpenProblem> {
        let found = about.get(name).map_err(read)?;
        Ok(found.map(|guard| guard.value().to_vec()))
    };
    if get(MAGIC)?.as_deref() != Some(OURS) {
        return Err(OpenProblem::Foreign);
    }
    let found = number(&about, FORMAT).map_err(read)?;
    if found > known {
        return Err(OpenProblem::Newer { found, known });
    }
    let (key, plain_will_do) = match wanted {
        Wanted::Exactly(key) => (key, key.is_none()),
        Wanted::IfSealed(key) => (key, true),
    };
    match (get(KEY_CHECK)?, key) {
        (None, _) if plain_will_do => Ok(Seal::Plain),
        (None, _) => Err(OpenProblem::KeyUnneeded),
        (Some(_), None) => Err(OpenProblem::KeyMissing),
        (Some(check), Some(key)) => {
            let seal = Seal::new(Some(key));
            if seal.passes(&check) {
                Ok(seal)
            } else {
                Err(OpenProblem::WrongKey)
            }
        }
    }
}

/// All steps from the format found to `target`, and a proof that the file can be written, in one
/// transaction that waits for the disk.
pub(super) fn make_ready(
    database: &Database,
    target: u64,
    steps: &[(u64, Step)],
) -> Result<(), OpenProblem> {
    let txn = database.begin_write().map_err(written)?;
    let run = || -> Result<Option<u64>, redb::Error> {
        let mut found = number(&txn.open_table(ABOUT)?, FORMAT)?;
        while found < target {
            let Some((_, step)) = steps.iter().find(|(from, _)| *from == found) else {
                return Ok(Some(found));
            };
            step(&txn)?;
            found += 1;
            txn.open_table(ABOUT)?
                .insert(FORMAT, found.to_le_bytes().as_slice())?;
        }
        let mut about = txn.open_table(ABOUT)?;
        let starts = number(&about, STARTS)?.wrapping_add(1);
        about.insert(STARTS, starts.to_le_bytes().as_slice())?;
        Ok(None)
    };
    if let Some(unknown) = run().map_err(written)? {
        let what = format!("it is in format {unknown}, which no version wrote");
        return Err(OpenProblem::Damaged(what));
    }
    txn.commit().map_err(written)
}

/// A number of the header; 0 if it is not there.
pub(super) fn number(
    about: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &str,
) -> Result<u64, redb::Error> {
    let found = about.get(name)?;
    let bytes = found.and_then(|guard| guard.value().try_into().ok());
    Ok(bytes.map_or(0, u64::from_le_bytes))
}

/// A row taken apart.
pub(super) fn parts(stored: &[u8]) -> Option<(Version, &[u8])> {
    let (version, value) = stored.split_first_chunk()?;
    Some((Version(u64::from_le_bytes(*version)), value))
}

pub(super) fn row(version: Version, sealed: &[u8]) -> crate::base::Zeroizing<Vec<u8>> {
    crate::base::Zeroizing::new([&version.0.to_le_bytes(), sealed].concat())
}

/// One entry out of its row.
pub(super) fn entry(seal: &Seal, key: &Key, stored: &[u8]) -> Result<Entry, StoreError> {
    let damaged = |problem| StoreError::Damaged {
        key: key.clone(),
        problem,
    };
    let (version, value) = parts(stored).ok_or_else(|| damaged("its row is too short"))?;
    let opened = seal.open(&key.row(), version, value);
    let mut value =
        opened.map_err(|super::seal::Broken| damaged("it was changed after it was sealed"))?;
    let text = String::from_utf8(std::mem::take(&mut *value));
    let text = text.map_err(|error| {
        drop(crate::base::Zeroizing::new(error.into_bytes()));
        damaged("it is no text")
    })?;
    Ok(Entry {
        version,
        value: Secret::new(text),
    })
}

/// Trouble while looking: what a disk says of itself is the disk's, all else is damage.
pub(super) fn read(error: impl Into<redb::Error>) -> OpenProblem {
    match error.into() {
        redb::Error::Io(error)
            if !matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput
            ) =>
        {
            OpenProblem::io("reading it", &error)
        }
        redb::Error::Io(_) => OpenProblem::Damaged("it ends too early".to_owned()),
        other => OpenProblem::Damaged(why(&other)),
    }
}

pub(super) fn written(error: impl Into<redb::Error>) -> OpenProblem {
    OpenProblem::Io {
        doing: "writing to it",
        why: why(&error.into()),
    }
}

/// In few words, without what was read.
pub(super) fn why(error: &redb::Error) -> String {
    match error {
        redb::Error::Io(error) => error.kind().to_string(),
        redb::Error::Corrupted(what) => format!("its pages are wrong: {what}"),
        other => other.to_string(),
    }
}

//! Another key for a store: everything is written to a new file, which then takes the old one's name.
//!
//! Not in place: freed pages would go on holding what was there before under the old key, or none.
//! Invariant: at every moment the path leads to a whole store, under the old key or the new one.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, WriteTransaction};
use rustix::fs::{Gid, Uid};

use super::SealingKey;
use super::database::{
    self, ABOUT, ENTRIES, LAST_VERSION, STEPS, THIS_FORMAT, Wanted, read, written,
};
use super::file::{self, Locked, Taken};
use super::seal::Seal;
use crate::store::{Key, OpenError, OpenProblem};

/// How many entries were sealed anew. `old` does not matter where the store is not sealed.
pub(in crate::store) fn rekey(
    path: &Path,
    old: Option<&SealingKey>,
    new: Option<&SealingKey>,
) -> Result<usize, OpenError> {
    change(path, old, new).map_err(|problem| OpenError::new(path, problem))
}

fn change(
    path: &Path,
    old: Option<&SealingKey>,
    new: Option<&SealingKey>,
) -> Result<usize, OpenProblem> {
    let locked = file::existing(path)?;
    let wanted = Wanted::IfSealed(old);
    let (from, old) = database::rehearse(&locked, wanted, (THIS_FORMAT, STEPS))?;
    let new = Seal::new(new);
    let mut count = 0;
    let fill = |made: &Locked| {
        like(&locked, made)?;
        database::initialise(made, &new, |into| {
            count = copy(&from, &old, into, &new)?;
            Ok(())
        })
    };
    // The lock of the old file is held until its name is the new one's.
    file::made(path, Taken::Replace, fill)?;
    Ok(count)
}

/// Owner and mode stay: whoever runs the command may not be whom the broker runs as.
fn like(old: &Locked, new: &Locked) -> Result<(), OpenProblem> {
    let problem = |error: &std::io::Error| OpenProblem::io("giving the new file its owner", error);
    let there = old.file.metadata().map_err(|error| problem(&error))?;
    let made = new.file.metadata().map_err(|error| problem(&error))?;
    if (there.uid(), there.gid()) != (made.uid(), made.gid()) {
        let (uid, gid) = (Uid::from_raw(there.uid()), Gid::from_raw(there.gid()));
        let given = rustix::fs::fchown(&*new.file, Some(uid), Some(gid));
        given.map_err(|error| problem(&error.into()))?;
    }
    let bits = std::fs::Permissions::from_mode(there.mode() & 0o770);
    let given = new.file.set_permissions(bits);
    given.map_err(|error| problem(&error))
}

fn copy(
    from: &Database,
    old: &Seal,
    into: &WriteTransaction,
    new: &Seal,
) -> Result<usize, OpenProblem> {
    let txn = from.begin_read().map_err(read)?;
    let about = txn.open_table(ABOUT).map_err(read)?;
    let entries = txn.open_table(ENTRIES).map_err(read)?;
    let last = database::number(&about, LAST_VERSION).map_err(read)?;
    let mut header = into.open_table(ABOUT).map_err(written)?;
    header
        .insert(LAST_VERSION, last.to_le_bytes().as_slice())
        .map_err(written)?;
    let mut target = into.open_table(ENTRIES).map_err(written)?;
    let mut count = 0;
    for stored in entries.iter().map_err(read)? {
        let (row, stored) = stored.map_err(read)?;
        let row = row.value();
        let key = Key::from_row(row);
        let key = key.ok_or_else(|| OpenProblem::Damaged(format!("a row is named {row:?}")))?;
        let entry = database::entry(old, &key, stored.value());
        let entry = entry.map_err(|error| OpenProblem::Damaged(error.to_string()))?;
        let sealed = new.seal(row, entry.version, entry.value.expose().as_bytes());
        let sealed = sealed.map_err(|error| OpenProblem::Damaged(error.to_string()))?;
        target
            .insert(row, database::row(entry.version, &sealed).as_slice())
            .map_err(written)?;
        count += 1;
    }
    Ok(count)
}

//! The file of a store: made, opened and locked.
//!
//! Must not know what is in it. Invariants: what is at the path is either nothing or a whole store,
//! as a new one gets its name when it is finished; whoever has a [`Locked`] is the only one, and its
//! file is the one at the path.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::process::geteuid;

#[cfg(test)]
use super::faults::Faults;
use crate::store::OpenProblem;

/// A file's name can pass to another one between opening and locking it; not this often.
const ATTEMPTS: usize = 10;

/// The file, exclusively ours until it is dropped.
#[derive(Debug, Clone)]
pub(super) struct Locked {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    #[cfg(test)]
    pub(super) faults: Arc<Faults>,
}

impl Locked {
    fn new(file: File, path: &Path) -> Self {
        Self {
            file: Arc::new(file),
            path: path.to_owned(),
            #[cfg(test)]
            faults: Arc::default(),
        }
    }

    /// Whether the path still leads to this file.
    pub(super) fn is_at_its_path(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match std::fs::symlink_metadata(&self.path) {
            Ok(there) => Ok(same(&ours, &there)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Readable by its owner alone. Where the file is somebody else's and only a group of ours can
    /// read it (a mounted volume), it stays as it is.
    pub(super) fn make_private(&self) -> Result<(), OpenProblem> {
        let problem = |error: &io::Error| OpenProblem::io("looking at it", error);
        let mode = self
            .file
            .metadata()
            .map_err(|error| problem(&error))?
            .mode();
        if mode.trailing_zeros() >= 6 {
            // Nothing for group and others.
            return Ok(());
        }
        match self.file.set_permissions(Permissions::from_mode(0o600)) {
            Err(error) if mode & 0o007 != 0 => {
                let doing = "it can be read by everybody, and making it private fails";
                Err(OpenProblem::io(doing, &error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Opens and locks what is there.
pub(super) fn existing(path: &Path) -> Result<Locked, OpenProblem> {
    for _ in 0..ATTEMPTS {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path);
        let file = opened.map_err(|error| not_opened(path, &error))?;
        let metadata = file.metadata();
        let metadata = metadata.map_err(|error| OpenProblem::io("looking at it", &error))?;
        if !metadata.is_file() {
            return Err(OpenProblem::NotAFile("no regular file"));
        }
        lock(&file)?;
        let locked = Locked::new(file, path);
        let there = locked.is_at_its_path();
        if there.map_err(|error| OpenProblem::io("looking at it", &error))? {
            return Ok(locked);
        }
    }
    Err(OpenProblem::Held)
}

fn not_opened(path: &Path, error: &io::Error) -> OpenProblem {
    if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
        return OpenProblem::NotAFile("a symbolic link");
    }
    match error.kind() {
        ErrorKind::NotFound => OpenProblem::Missing,
        ErrorKind::IsADirectory => OpenProblem::NotAFile("a directory"),
        _ if path.is_dir() => OpenProblem::NotAFile("a directory"),
        ErrorKind::PermissionDenied => denied(path, error),
        _ => OpenProblem::io("opening it for reading and writing", error),
    }
}

/// Says whose it is: most often somebody else made it, with a command run as another user.
fn denied(path: &Path, error: &io::Error) -> OpenProblem {
    let doing = "opening it for reading and writing";
    let mut why = error.kind().to_string();
    let (we, owner) = (geteuid().as_raw(), std::fs::symlink_metadata(path));
    if let Some(owner) = owner.ok().map(|it| it.uid()).filter(|owner| *owner != we) {
        why = format!(
            "{why}; it belongs to user {owner} and this process runs as user {we}: run it as \
             {owner}, or give the file to {we} (chown)"
        );
    }
    OpenProblem::Io { doing, why }
}

fn lock(file: &File) -> Result<(), OpenProblem> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenProblem::Held),
        Err(TryLockError::Error(error)) => Err(OpenProblem::io("locking it", &error)),
    }
}

/// What to do where a name exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Somebody was quicker: theirs stays.
    Keep,
    Replace,
}

/// Makes a file under another name, locked, lets `fill` write it, and gives it its name when it is
/// on the disk. `Ok(None)`: somebody else's is there and stays.
pub(super) fn made(
    path: &Path,
    taken: Taken,
    fill: impl FnOnce(&Locked) -> Result<(), OpenProblem>,
) -> Result<Option<Locked>, OpenProblem> {
    let folder = folder(path)?;
    let Some(name) = path.file_name() else {
        return Err(OpenProblem::NotAFile("a directory"));
    };
    let mut unfinished = std::ffi::OsString::from(".");
    unfinished.push(name);
    unfinished.push(format!(".{:016x}", fastrand::u64(..)));
    let unfinished = folder.join(unfinished);
    let empty = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed())
        .open(&unfinished)
        .map_err(|error| OpenProblem::io("making a file in its directory", &error))?;
    if taken == Taken::Keep {
        give_to_owner_of(folder, &empty);
    }
    let mut locked = Locked::new(empty, path);
    let finished = lock(&locked.file)
        .and_then(|()| fill(&locked))
        .and_then(|()| name_it(&mut locked, &unfinished, taken));
    if !matches!(finished, Ok(true)) {
        // What is left behind otherwise holds nothing that is nowhere else.
        drop(std::fs::remove_file(&unfinished));
    }
    finished.map(|named| named.then_some(locked))
}

/// What root makes for a broker that runs as somebody else, that broker must be able to open. Where
/// root may not give files away, the file is root's, as any other would be.
fn give_to_owner_of(folder: &Path, file: &File) {
    if !geteuid().is_root() {
        return;
    }
    if let Ok(owner) = std::fs::metadata(folder) {
        let (uid, gid) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
        let _root_keeps_it = rustix::fs::fchown(file, Some(uid), Some(gid));
    }
}

fn name_it(locked: &mut Locked, unfinished: &Path, taken: Taken) -> Result<bool, OpenProblem> {
    let naming = |error: &io::Error| OpenProblem::io("giving the finished file its name", error);
    let synced = locked.file.sync_all();
    synced.map_err(|error| OpenProblem::io("writing it", &error))?;
    if taken == Taken::Replace {
        std::fs::rename(unfinished, &locked.path).map_err(|error| naming(&error))?;
    } else {
        match std::fs::hard_link(unfinished, &locked.path) {
            Ok(()) => drop(std::fs::remove_file(unfinished)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            // No hard links there: between this look and the renaming another broker could come,
            // which then finds the file held.
            Err(_) if std::fs::symlink_metadata(&locked.path).is_ok() => return Ok(false),
            Err(_) => {
                std::fs::rename(unfinished, &locked.path).map_err(|error| naming(&error))?;
            }
        }
    }
    let folder = locked
        .path
        .parent()
        .filter(|folder| *folder != Path::new(""));
    let folder = File::open(folder.unwrap_or(Path::new(".")));
    let synced = folder.and_then(|folder| folder.sync_all());
    synced.map_err(|error| OpenProblem::io("writing its directory", &error))?;
    Ok(true)
}

/// The directory, made if it is not there; one that is stays as it is.
fn folder(path: &Path) -> Result<&Path, OpenProblem> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => return Ok(Path::new(".")),
    };
    if !folder.exists() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| OpenProblem::io("making its directory", &error))?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_user_says_whose_it_is_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let said = || not_opened(&path, &ErrorKind::PermissionDenied.into()).to_string();
        File::create(&path).unwrap();
        assert!(!said().contains("belongs to"), "our own: {}", said());
        if geteuid().is_root() {
            let other = Some(Uid::from_raw(65_532));
            rustix::fs::chown(&path, other, None).unwrap();
            let words = "it belongs to user 65532 and this process runs as user 0: run it as 65532";
            assert!(said().contains(words), "{}", said());
        }
    }

    #[test]
    fn what_root_makes_belongs_to_whom_its_directory_belongs() {
        let folder = tempfile::tempdir().unwrap();
        let owner = if geteuid().is_root() {
            let other = (Uid::from_raw(65_532), Gid::from_raw(65_531));
            rustix::fs::chown(folder.path(), Some(other.0), Some(other.1)).unwrap();
            (65_532, 65_531)
        } else {
            (geteuid().as_raw(), rustix::process::getegid().as_raw())
        };
        let path = folder.path().join("state.redb");
        made(&path, Taken::Keep, |_| Ok(())).unwrap().unwrap();
        let there = std::fs::metadata(&path).unwrap();
        assert_eq!((there.uid(), there.gid()), owner);
        assert_eq!(there.mode() & 0o777, 0o600);
    }
}

//! One look at a secret file. Blocking: runs on the blocking pool.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use super::{MAX_BYTES, Reason, secret_in};
use crate::base::{Secret, Timestamp, Zeroizing};

/// A file changed less than this before it was read may change again within the same tick of its
/// time stamp, so its stamp proves nothing yet.
const SETTLED: Duration = Duration::from_secs(3);

/// What tells one content of a file from another without reading it. Symlinks are followed, so a
/// swap of a link in the path changes device or inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

pub(super) enum Look {
    Unchanged,
    /// The stamp is left out while it cannot be trusted.
    Read(Secret, Option<Stamp>),
}

/// What a file holds, as it is: for keys that are no text.
pub(super) fn bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, Reason> {
    // Looked at before it is opened: opening a pipe would wait for a writer.
    if !std::fs::metadata(path)
        .map_err(|error| plain(&error))?
        .is_file()
    {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    let file = File::open(path).map_err(|error| plain(&error))?;
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| plain(&error))?;
    match bytes.len() {
        0 => Err("is empty".to_owned()),
        len if len > MAX_BYTES => Err("is larger than 64 KiB".to_owned()),
        _ => Ok(bytes),
    }
}

fn plain(error: &std::io::Error) -> Reason {
    match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        kind => format!("cannot be read: {kind}"),
    }
}

pub(super) fn look(path: &Path, seen: Option<Stamp>, now: Timestamp) -> Result<Look, Reason> {
    // Looked at before it is opened: opening a pipe would wait for a writer.
    let before = std::fs::metadata(path).map_err(|error| plain(&error))?;
    if !before.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if seen == Some(stamp(&before)) {
        return Ok(Look::Unchanged);
    }
    let file = File::open(path).map_err(|error| plain(&error))?;
    let opened = file.metadata().map_err(|error| plain(&error))?;
    let mut bytes = Vec::with_capacity(1024);
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| plain(&error))?;
    let modified = Timestamp::from_unix_seconds(opened.mtime());
    let settled = now.since(modified) > SETTLED;
    Ok(Look::Read(
        secret_in(bytes)?,
        settled.then(|| stamp(&opened)),
    ))
}

fn stamp(metadata: &Metadata) -> Stamp {
    Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    }
}

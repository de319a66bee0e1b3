//! Replacing a file in one step. Blocking.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Puts a new file with `content` in the place of `path`, whatever is there: a link is replaced, not
/// followed. Readers find the old file or the new one, whole, and after a crash too.
pub(super) fn replace(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let temporary = beside(path)?;
    // One of an earlier life; nobody else writes here.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let written = write(&temporary, mode, content).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // It holds a token that nobody will read.
        let _nothing_more_to_do = fs::remove_file(&temporary);
    }
    written
}

fn write(temporary: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    // `create_new` follows no link that somebody put there.
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(temporary)?;
    // The process's umask has taken bits away, and never given any.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()
}

/// In the same folder, since a file cannot be moved to another file system in one step; hidden.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".token-broker");
    Ok(path.with_file_name(hidden))
}

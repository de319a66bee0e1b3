//! Secrets that live outside the configuration: files, polled, and the output of commands.
//!
//! Owns reading and caching; must not know what a secret is for. Invariants: a value that was read
//! once is never lost to a later failure, no value and no output of a command reaches the log, and
//! no file is read on the serving thread.

mod changes;
mod command;
mod file;
mod handle;
mod vault;

pub use changes::Changes;
pub use handle::{Handle, Unavailable};
pub use vault::Vault;

use crate::base::{Secret, Timestamp};
use crate::spec::SecretSource;

/// What a source gives right now: nothing for commands, which are not run, and for files without a
/// value. Blocking: for looking before anything runs.
pub fn peek(source: &SecretSource) -> Option<Secret> {
    match source {
        SecretSource::Value(secret) => Some(secret.clone()).filter(|secret| !secret.is_empty()),
        SecretSource::File(path) => match file::look(path, None, Timestamp::from_unix_millis(0)) {
            Ok(file::Look::Read(secret, _)) => Some(secret),
            Ok(file::Look::Unchanged) | Err(_) => None,
        },
        SecretSource::Command(_) => None,
    }
}

/// The longest secret.
const MAX_BYTES: usize = 64 * 1024;

/// Why a source has no usable value; shown to people, so it holds nothing of the value.
type Reason = String;

/// The secret in what a file or a command gave: UTF-8, without its trailing newline, not empty.
fn secret_in(bytes: Vec<u8>) -> Result<Secret, Reason> {
    if bytes.len() > MAX_BYTES {
        return Err("is larger than 64 KiB".to_owned());
    }
    let mut text = match String::from_utf8(bytes) {
        Ok(text) => crate::base::Zeroizing::new(text),
        Err(error) => {
            drop(crate::base::Zeroizing::new(error.into_bytes()));
            return Err("is not UTF-8 text".to_owned());
        }
    };
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(Secret::new(std::mem::take(&mut *text)))
}

#[cfg(test)]
mod tests;

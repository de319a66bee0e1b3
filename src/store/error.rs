//! Why a store cannot be opened: one sentence each, with the file and what to do.
//!
//! Invariant: whatever is said here, nothing in the file was changed.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("store {}: {problem}", path.display())]
pub struct OpenError {
    pub path: PathBuf,
    pub problem: OpenProblem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenProblem {
    /// The only one that passes by itself: try again while it may be another broker's last seconds.
    #[error("is held by another process: only one broker at a time can have it")]
    Held,
    #[error("does not exist yet: the broker makes it when it first starts")]
    Missing,
    #[error("is {0}, and must be a file of the broker's own")]
    NotAFile(&'static str),
    #[error("cannot be used: {doing}: {why}")]
    Io { doing: &'static str, why: String },
    #[error("is not a store of the token broker: name another path, nothing was changed in it")]
    Foreign,
    #[error(
        "is damaged ({0}): bring back a copy of it, or move it away and give every integration its \
         refresh token or consent anew; the tokens in the configuration may be spent by now"
    )]
    Damaged(String),
    #[error(
        "was written in format {found} by a newer version of the broker; this one reads up to {known}"
    )]
    Newer { found: u64, known: u64 },
    #[error(
        "is sealed with another encryption_key: give it the one it was sealed with; nothing was changed in it"
    )]
    WrongKey,
    #[error("is sealed: give it the encryption_key it was sealed with; nothing was changed in it")]
    KeyMissing,
    #[error(
        "is not sealed although there is an encryption_key: seal it with `token-broker store rekey \
         --new-key-file FILE`, or take the key away"
    )]
    KeyUnneeded,
}

impl OpenError {
    pub(super) fn new(path: &Path, problem: OpenProblem) -> Self {
        Self {
            path: path.to_owned(),
            problem,
        }
    }

    /// Whether it is worth to wait: another process has the store.
    pub fn is_held(&self) -> bool {
        self.problem == OpenProblem::Held
    }
}

impl OpenProblem {
    pub(super) fn io(doing: &'static str, error: &io::Error) -> Self {
        Self::Io {
            doing,
            why: error.kind().to_string(),
        }
    }
}

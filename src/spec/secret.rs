//! Where secrets come from.

use std::path::PathBuf;

use crate::base::{Secret, Timestamp};

/// One source of one secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Written in the configuration, or read from the environment at start.
    Value(Secret),
    /// A file, polled; its trailing newline is not part of the secret.
    File(PathBuf),
    /// An absolute path and arguments, run without a shell; its standard output is the secret.
    Command(Vec<String>),
}

/// A secret with the time in which it can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretCandidate {
    pub source: SecretSource,
    pub not_before: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

/// `[secrets]`: what integrations may name. Enforced by `config::lower`; `files` again at reading.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretPolicy {
    /// Patterns of files that may be named (`*` within a segment, `**` across); empty: any.
    pub files: Vec<String>,
    pub commands: bool,
}

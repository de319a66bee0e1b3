//! Names of entries.
//!
//! Invariant: every key has one row name, every row name at most one key.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::base::IntegrationId;

const INTEGRATION: &str = "integration/";
const QUOTA: &str = "quota/";
/// A longer name is kept as its digest: a client id comes from the configuration, any length.
const QUOTA_MAX: usize = 512;

/// What an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Holds a [`super::Record`].
    Integration(IntegrationId),
    /// What integrations share at a vendor; holds a [`super::Quota`]. Made by [`Key::quota`].
    Quota(Arc<str>),
}

impl Key {
    /// From the two parts of [`crate::spec::Integration::quota_key`].
    pub fn quota(authority: &str, client_id: &str) -> Self {
        let name = format!("{authority} {client_id}");
        if name.len() <= QUOTA_MAX {
            return Self::Quota(name.into());
        }
        Self::Quota(super::hex::encode(&Sha256::digest(name)).into())
    }

    /// The name of its row on disk.
    pub(super) fn row(&self) -> String {
        match self {
            Self::Integration(id) => format!("{INTEGRATION}{id}"),
            Self::Quota(name) => format!("{QUOTA}{name}"),
        }
    }

    pub(super) fn from_row(row: &str) -> Option<Self> {
        if let Some(id) = row.strip_prefix(INTEGRATION) {
            return id.parse().ok().map(Self::Integration);
        }
        let name = row.strip_prefix(QUOTA)?;
        (name.len() <= QUOTA_MAX).then(|| Self::Quota(name.into()))
    }
}

impl From<IntegrationId> for Key {
    fn from(id: IntegrationId) -> Self {
        Self::Integration(id)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integration(id) => fmt::Display::fmt(id, f),
            Self::Quota(name) => write!(f, "(quota) {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_keys_are_one_to_one() {
        let id: IntegrationId = "sfmc-emea".parse().unwrap();
        let long = Key::quota("auth.example.com:443", &"c".repeat(5000));
        for key in [
            Key::from(id),
            Key::quota("auth.example.com:443", "a b/é"),
            Key::quota("", ""),
            long.clone(),
        ] {
            assert_eq!(Key::from_row(&key.row()), Some(key));
        }
        assert_ne!(long, Key::quota("auth.example.com:443", &"c".repeat(5001)));
        for foreign in ["", "sfmc", "integration/UPPER", "integration/", "other/x"] {
            assert_eq!(Key::from_row(foreign), None, "{foreign}");
        }
    }
}

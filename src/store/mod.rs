//! Where what must outlive an exchange is kept: the seam for stores on disk.
//!
//! Must not know grants: an entry is named bytes with a version. Nothing on the serving path comes
//! here. Invariant: a save wins only over the version it was made from, so that of two writers one
//! learns that it lost.

mod memory;
#[cfg(test)]
mod suite;

pub use memory::Memory;

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::base::{IntegrationId, Secret};

/// Counts the saves of one entry; 0: there is none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Version(pub u64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub version: Version,
    /// In a form that only its owner reads.
    pub value: Secret,
}

/// The right to exchange for one integration, for a limited time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Grows with every holder: a store refuses saves of an earlier one.
    pub fence: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("the entry was saved by someone else: it is at version {}", found.0)]
    Conflict { found: Version },
    #[error("someone else holds the lease")]
    Leased,
    #[error("the store cannot be used: {0}")]
    Unavailable(String),
}

pub trait StateStore: Send + Sync + fmt::Debug {
    fn load<'a>(
        &'a self,
        id: &'a IntegrationId,
    ) -> BoxFuture<'a, Result<Option<Entry>, StoreError>>;

    /// Saves if the entry is still at `expected`; the new version.
    fn save<'a>(
        &'a self,
        id: &'a IntegrationId,
        value: Secret,
        expected: Version,
    ) -> BoxFuture<'a, Result<Version, StoreError>>;

    /// Takes, or as `holder` prolongs, the right to exchange.
    fn lease<'a>(
        &'a self,
        id: &'a IntegrationId,
        holder: &'a str,
        lasts: Duration,
    ) -> BoxFuture<'a, Result<Lease, StoreError>>;
}

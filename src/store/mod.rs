//! Where what must outlive an exchange is kept: the seam between the broker and its disk.
//!
//! Must not know grants or vendors: to a store an entry is named text with a version; what is
//! written in it is [`Record`]'s and [`Quota`]'s business, what it means is for `refresh` to say.
//! Nothing on the serving path comes here. Invariants: a save wins only over the version it was made
//! from, so that of two writers one learns that it lost; a save that failed left the entry as it was
//! or, where the disk did not say, is told apart by the store itself at the next one.

mod embedded;
mod error;
#[cfg(any(test, feature = "faults"))]
mod faulty;
mod hex;
mod key;
mod lease;
mod memory;
mod record;
#[cfg(test)]
mod suite;

pub use embedded::{KeyError, SealingKey};
pub use error::{OpenError, OpenProblem};
#[cfg(any(test, feature = "faults"))]
pub use faulty::Faulty;
pub use key::Key;
pub use memory::Memory;
pub use record::{
    Access, BoundTo, Chain, Quota, Record, RecordError, Wait, WaitKind, sha256_of_configured,
};

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::base::{Clock, Secret};
use crate::spec;
use embedded::{Embedded, Missing};

/// The longest value: what section 9's largest token, refresh token and members come to, twice.
pub const VALUE_MAX: usize = 1024 * 1024;

/// Grows with every save of an entry, not by one; 0: there is none.
///
/// A number is never given twice, not even to an entry that was forgotten and came back: a writer
/// that slept through that loses, as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub version: Version,
    /// In a form that only its owner reads.
    pub value: Secret,
}

/// What [`StateStore::list`] tells of an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    pub key: Key,
    pub version: Version,
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
    #[error("the entry is larger than {} bytes", VALUE_MAX)]
    TooLarge,
    /// Trying again is right: disks get space again, and mounts come back.
    #[error("the store cannot be used: {0}")]
    Unavailable(String),
    /// This entry alone; trying again does not help.
    #[error("the stored entry {key} cannot be read: {problem}")]
    Damaged { key: Key, problem: &'static str },
}

/// The calls may be made from any task, and none blocks its thread. A save or `forget` whose future
/// is dropped may still happen.
pub trait StateStore: Send + Sync + fmt::Debug {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Entry>, StoreError>>;

    /// Saves if the entry is still at `expected`; the new version. Once this is `Ok` the value
    /// outlives the process, and where the kind of store can promise it, the machine.
    fn save<'a>(
        &'a self,
        key: &'a Key,
        value: Secret,
        expected: Version,
    ) -> BoxFuture<'a, Result<Version, StoreError>>;

    /// All entries, in the order of their keys.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>>;

    /// Removes an entry at whichever version; whether there was one.
    fn forget<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Takes, or as `holder` prolongs, the right to exchange.
    fn lease<'a>(
        &'a self,
        key: &'a Key,
        holder: &'a str,
        lasts: Duration,
    ) -> BoxFuture<'a, Result<Lease, StoreError>>;
}

/// Opens the store that the configuration names; one on disk is made if it is not there.
///
/// Blocks for as long as the disk takes (the whole file is read and checked), so not on a serving
/// thread, and never waits: [`OpenError::is_held`] says that another process has it, and trying
/// again later is the caller's. Nothing is changed in a file that is refused.
pub fn open(
    store: &spec::Store,
    key: Option<&SealingKey>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn StateStore>, OpenError> {
    Ok(match store {
        spec::Store::Memory { .. } => Arc::new(Memory::new(clock)),
        spec::Store::Embedded { path, .. } => {
            Arc::new(Embedded::open(path, key, Missing::Make, clock)?)
        }
    })
}

/// For commands that work on what a broker left: a file that is not there stays so.
pub fn open_existing(
    path: &Path,
    key: Option<&SealingKey>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn StateStore>, OpenError> {
    Ok(Arc::new(Embedded::open(path, key, Missing::Refuse, clock)?))
}

/// Seals every entry with `new`, or writes them plainly without; how many there are. `old` opens the
/// store if it is sealed. All or nothing, whenever the process dies.
pub fn rekey(
    path: &Path,
    old: Option<&SealingKey>,
    new: Option<&SealingKey>,
) -> Result<usize, OpenError> {
    embedded::rekey(path, old, new)
}

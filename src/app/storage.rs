//! The store, opened before any worker begins.
//!
//! Owns the wait for another broker's last seconds. Must not know what is kept. Invariant: a store
//! that cannot be opened stops the start, and nothing in it is touched.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tracing::warn;

use super::sealing::{SealingError, sealing_key};
use crate::base::Clock;
use crate::secrets::Vault;
use crate::spec::Store;
use crate::store::{self, OpenError, OpenProblem, SealingKey, StateStore};

/// As long as a broker may take to end, and a pod to be replaced.
const PATIENCE: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_secs(1);

/// Why there is no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    #[error(transparent)]
    Sealing(#[from] SealingError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{0}; it was waited for a minute")]
    StillHeld(OpenError),
    #[error("the store could not be opened because of a bug in the token broker")]
    Panicked,
}

/// A store that is to be opened.
#[derive(Debug)]
pub(super) struct Storage {
    store: Arc<Store>,
    key: Option<Arc<SealingKey>>,
    clock: Arc<dyn Clock>,
}

/// One try.
pub(super) enum Opened {
    Store(Arc<dyn StateStore>),
    /// Another process has it.
    Held(OpenError),
}

impl Storage {
    pub(super) async fn new(
        store: &Store,
        vault: &Vault,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StorageError> {
        let key = sealing_key(store, vault).await?.map(Arc::new);
        Ok(Self {
            store: Arc::new(store.clone()),
            key,
            clock,
        })
    }

    /// On a thread of its own: the whole file is read.
    pub(super) async fn open(&self) -> Result<Opened, StorageError> {
        let (store, key) = (Arc::clone(&self.store), self.key.clone());
        let clock = Arc::clone(&self.clock);
        let opened = spawn_blocking(move || store::open(&store, key.as_deref(), clock)).await;
        match opened {
            Ok(Ok(store)) => {
                // Before it is open, nobody knows: it may be sealed and the key not configured.
                self.warn_of_readable();
                Ok(Opened::Store(store))
            }
            Ok(Err(error)) if error.problem == OpenProblem::Held => Ok(Opened::Held(error)),
            Ok(Err(error)) => Err(error.into()),
            Err(_panicked) => Err(StorageError::Panicked),
        }
    }

    fn warn_of_readable(&self) {
        if let (Store::Embedded { path, .. }, None) = (&*self.store, &self.key) {
            let path = path.display();
            warn!(
                store.path = %path,
                "store {path} is not sealed: whoever reads the file has the tokens ([store] encryption_key)"
            );
        }
    }

    /// Tries again until the other one has ended.
    pub(super) async fn wait(&self) -> Result<Arc<dyn StateStore>, StorageError> {
        let began = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(AGAIN).await;
            match self.open().await? {
                Opened::Store(store) => return Ok(store),
                Opened::Held(error) if began.elapsed() >= PATIENCE => {
                    return Err(StorageError::StillHeld(error));
                }
                Opened::Held(_) => {}
            }
        }
    }
}

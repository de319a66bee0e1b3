//! One entry in the store, an integration's record or a quota: loaded once, saved in turn.
//!
//! Must not know what is in it, but for the access token that it makes ready to be served.
//! Invariants: a load or save takes a bounded time; a save is `Ok` only if the store said so.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Now, Secret};
use crate::refresh::api;
use crate::refresh::machine::{Loaded, restored};
use crate::snapshot::Held;
use crate::spec::{Integration, Refreshing};
use crate::store::{Entry, Key, Quota, Record, StateStore, StoreError, Version};

/// A store that is slower than this counts as failing: exchanges wait for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What workers keep, and where.
#[derive(Debug, Clone)]
pub enum Keeping {
    /// It ends with the process: for what an exchange spends, which must outlive its worker.
    Memory(Arc<dyn StateStore>),
    /// Everything that a vendor was asked for.
    Durable(Arc<dyn StateStore>),
}

impl Keeping {
    pub(in crate::refresh) fn of(&self, spec: &Integration) -> Option<Persist> {
        let rotates = spec.grant.refreshing().is_some_and(Refreshing::rotates);
        let store = match self {
            Self::Memory(store) if rotates => store,
            Self::Durable(store) if spec.grant.endpoint().is_some() => store,
            Self::Memory(_) | Self::Durable(_) => return None,
        };
        Some(Persist {
            store: Arc::clone(store),
            key: Key::from(spec.id.clone()),
            version: Version::default(),
        })
    }

    /// Counts and waits that integrations share.
    pub(in crate::refresh) fn of_quota(&self, key: Key) -> Option<Persist> {
        match self {
            Self::Memory(_) => None,
            Self::Durable(store) => Some(Persist {
                store: Arc::clone(store),
                key,
                version: Version::default(),
            }),
        }
    }
}

#[derive(Debug)]
pub(in crate::refresh) struct Persist {
    store: Arc<dyn StateStore>,
    key: Key,
    /// Of the entry as it was last seen.
    version: Version,
}

impl Persist {
    /// Takes over what the worker before knew of the same entry.
    pub(super) fn go_on_from(&mut self, before: &Self) {
        if self.key == before.key && Arc::ptr_eq(&self.store, &before.store) {
            self.version = before.version;
        }
    }

    /// The record, and what was left out of the API call of its access token.
    pub(super) async fn load(&mut self, spec: &Integration, now: Now) -> (Loaded, Vec<String>) {
        let loaded = tokio::time::timeout(PATIENCE, self.store.load(&self.key)).await;
        let entry = match loaded {
            Ok(Ok(entry)) => entry,
            Ok(Err(error @ (StoreError::Damaged { .. } | StoreError::TooLarge))) => {
                return (Loaded::Unreadable(error.to_string()), Vec::new());
            }
            Ok(Err(error)) => return (Loaded::Failed(error.to_string()), Vec::new()),
            Err(_elapsed) => return (Loaded::Failed(slow()), Vec::new()),
        };
        let Some(Entry { version, value }) = entry else {
            return (Loaded::Nothing, Vec::new());
        };
        self.version = version;
        let record = match Record::decode(&value) {
            Ok(record) => Box::new(record),
            Err(error) => {
                let why = format!("the stored entry {} {error}", self.key);
                return (Loaded::Unreadable(why), Vec::new());
            }
        };
        let access = record.access.as_ref();
        let issued = access.and_then(|access| restored(access, spec, now));
        let (held, warnings) = issued.map_or((None, Vec::new()), |issued| {
            let (api, warnings) = api::render(&spec.api, &spec.grant, &issued);
            (Some(Arc::new(Held::new(issued, api))), warnings)
        });
        (Loaded::Found { record, held }, warnings)
    }

    pub(in crate::refresh) fn key(&self) -> &Key {
        &self.key
    }

    /// For an entry that is a quota; why there may be one that could not be read. One that cannot
    /// be understood counts as none.
    pub(in crate::refresh) async fn load_quota(&mut self) -> Result<Option<Quota>, String> {
        let loaded = tokio::time::timeout(PATIENCE, self.store.load(&self.key)).await;
        let entry = match loaded {
            Ok(Ok(entry)) => entry,
            Ok(Err(StoreError::Damaged { .. } | StoreError::TooLarge)) => None,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_elapsed) => return Err(slow()),
        };
        let Some(Entry { version, value }) = entry else {
            return Ok(None);
        };
        self.version = version;
        Ok(Quota::decode(&value).ok())
    }

    /// Saves; why not, fit to be shown.
    pub(super) async fn save(&mut self, record: &Record) -> Result<(), String> {
        self.put(record.encode()).await
    }

    /// The same for a value that is already written.
    pub(in crate::refresh) async fn put(&mut self, value: Secret) -> Result<(), String> {
        let saved = async {
            let save = |version| self.store.save(&self.key, value.clone(), version);
            match save(self.version).await {
                // This process alone has the store: what is there is a save of ours whose end was
                // not told.
                Err(StoreError::Conflict { found }) => save(found).await,
                other => other,
            }
        };
        match tokio::time::timeout(PATIENCE, saved).await {
            Ok(Ok(version)) => {
                self.version = version;
                Ok(())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err(slow()),
        }
    }
}

fn slow() -> String {
    format!(
        "the store cannot be used: it did not answer within {} s",
        PATIENCE.as_secs()
    )
}

//! A store that ends with the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::lease::Leases;
use super::{Entry, Key, Lease, Listed, StateStore, StoreError, VALUE_MAX, Version};
use crate::base::{Clock, Secret};

#[derive(Debug)]
pub struct Memory {
    leases: Leases,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    entries: BTreeMap<Key, Entry>,
    last: u64,
}

impl Memory {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            leases: Leases::new(clock),
            rows: Mutex::default(),
        }
    }

    /// The lock is held for a few instructions and never across an await.
    fn with<T>(&self, act: impl FnOnce(&mut Rows) -> T) -> T {
        act(&mut self.rows.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn done<'a, T: Send + 'a>(result: Result<T, StoreError>) -> BoxFuture<'a, Result<T, StoreError>> {
    Box::pin(std::future::ready(result))
}

impl StateStore for Memory {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        done(Ok(self.with(|rows| rows.entries.get(key).cloned())))
    }

    fn save<'a>(
        &'a self,
        key: &'a Key,
        value: Secret,
        expected: Version,
    ) -> BoxFuture<'a, Result<Version, StoreError>> {
        if value.expose().len() > VALUE_MAX {
            return done(Err(StoreError::TooLarge));
        }
        done(self.with(|rows| {
            let found = rows.entries.get(key);
            let found = found.map_or(Version(0), |entry| entry.version);
            if found != expected {
                return Err(StoreError::Conflict { found });
            }
            rows.last += 1;
            let version = Version(rows.last);
            rows.entries.insert(key.clone(), Entry { version, value });
            Ok(version)
        }))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        let listed = |(key, entry): (&Key, &Entry)| Listed {
            key: key.clone(),
            version: entry.version,
        };
        done(Ok(
            self.with(|rows| rows.entries.iter().map(listed).collect())
        ))
    }

    fn forget<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<bool, StoreError>> {
        done(Ok(self.with(|rows| rows.entries.remove(key).is_some())))
    }

    fn lease<'a>(
        &'a self,
        key: &'a Key,
        holder: &'a str,
        lasts: Duration,
    ) -> BoxFuture<'a, Result<Lease, StoreError>> {
        done(self.leases.take(key, holder, lasts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Timestamp, TokioClock};

    #[tokio::test(start_paused = true)]
    async fn conforms() {
        let clock = TokioClock::starting_at(Timestamp::from_unix_seconds(1_800_000_000));
        super::super::suite::run(&Memory::new(Arc::new(clock))).await;
    }
}

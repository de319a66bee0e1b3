//! A store that ends with the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Entry, Lease, StateStore, StoreError, Version};
use crate::base::{Clock, IntegrationId, Mono, Secret};

#[derive(Debug)]
pub struct Memory {
    clock: Arc<dyn Clock>,
    rows: Mutex<HashMap<IntegrationId, Row>>,
}

#[derive(Debug, Default)]
struct Row {
    entry: Option<Entry>,
    lease: Option<(String, Mono)>,
    fence: u64,
}

impl Memory {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            rows: Mutex::default(),
        }
    }

    /// The lock is held for a few instructions and never across an await.
    fn with<T>(&self, id: &IntegrationId, act: impl FnOnce(&mut Row) -> T) -> T {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        act(rows.entry(id.clone()).or_default())
    }
}

fn done<'a, T: Send + 'a>(result: Result<T, StoreError>) -> BoxFuture<'a, Result<T, StoreError>> {
    Box::pin(std::future::ready(result))
}

impl StateStore for Memory {
    fn load<'a>(
        &'a self,
        id: &'a IntegrationId,
    ) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        done(Ok(self.with(id, |row| row.entry.clone())))
    }

    fn save<'a>(
        &'a self,
        id: &'a IntegrationId,
        value: Secret,
        expected: Version,
    ) -> BoxFuture<'a, Result<Version, StoreError>> {
        done(self.with(id, |row| {
            let found = row.entry.as_ref().map_or(Version(0), |entry| entry.version);
            if found != expected {
                return Err(StoreError::Conflict { found });
            }
            let version = Version(found.0 + 1);
            row.entry = Some(Entry { version, value });
            Ok(version)
        }))
    }

    fn lease<'a>(
        &'a self,
        id: &'a IntegrationId,
        holder: &'a str,
        lasts: Duration,
    ) -> BoxFuture<'a, Result<Lease, StoreError>> {
        let now = self.clock.now().mono;
        done(self.with(id, |row| {
            let current = row.lease.as_ref().filter(|(_, ends)| *ends > now);
            match current {
                Some((by, _)) if by != holder => return Err(StoreError::Leased),
                Some(_) => {}
                None => row.fence += 1,
            }
            row.lease = Some((holder.to_owned(), now.plus(lasts)));
            Ok(Lease { fence: row.fence })
        }))
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

//! Leases among the tasks of one process: for stores that only one process can have open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Key, Lease, StoreError};
use crate::base::{Clock, Mono};

#[derive(Debug)]
pub(super) struct Leases {
    clock: Arc<dyn Clock>,
    rows: Mutex<HashMap<Key, Row>>,
}

#[derive(Debug, Default)]
struct Row {
    holder: Option<(String, Mono)>,
    fence: u64,
}

impl Leases {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            rows: Mutex::default(),
        }
    }

    pub(super) fn take(
        &self,
        key: &Key,
        holder: &str,
        lasts: Duration,
    ) -> Result<Lease, StoreError> {
        let now = self.clock.now().mono;
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.entry(key.clone()).or_default();
        match row.holder.as_ref().filter(|(_, ends)| *ends > now) {
            Some((by, _)) if by != holder => return Err(StoreError::Leased),
            Some(_) => {}
            None => row.fence += 1,
        }
        row.holder = Some((holder.to_owned(), now.plus(lasts)));
        Ok(Lease { fence: row.fence })
    }
}

//! The integrations that can be asked for, by name; the whole table is swapped at a reload.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::error::Problem;
use crate::base::IntegrationId;
use crate::snapshot::Reader;
use crate::spec::Integration;
use crate::telemetry::IntegrationCounters;

/// One integration as callers meet it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub integration: Arc<Integration>,
    pub reader: Reader,
    pub counters: Arc<IntegrationCounters>,
}

impl Entry {
    pub(super) fn name(&self) -> &str {
        self.integration.id.as_str()
    }
}

/// Readers see one whole table or the next, never a mixture, and take no lock.
#[derive(Debug)]
pub struct Directory(ArcSwap<Table>);

#[derive(Debug)]
struct Table {
    by_name: HashMap<IntegrationId, Arc<Entry>>,
    /// Sorted by name.
    listed: Vec<Arc<Entry>>,
}

impl Table {
    fn new(entries: Vec<Entry>) -> Self {
        let mut listed: Vec<_> = entries.into_iter().map(Arc::new).collect();
        listed.sort_by(|a, b| a.integration.id.cmp(&b.integration.id));
        let named = |entry: &Arc<Entry>| (entry.integration.id.clone(), Arc::clone(entry));
        Self {
            by_name: listed.iter().map(named).collect(),
            listed,
        }
    }
}

/// A look at the table that counts no references.
pub(super) struct Look(Guard<Arc<Table>>);

impl Look {
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Entry>> {
        self.0.by_name.get(name)
    }
}

impl Directory {
    pub fn new(entries: Vec<Entry>) -> Self {
        Self(ArcSwap::from_pointee(Table::new(entries)))
    }

    pub fn replace(&self, entries: Vec<Entry>) {
        self.0.store(Arc::new(Table::new(entries)));
    }

    pub fn get(&self, name: &str) -> Option<Arc<Entry>> {
        self.look().get(name).map(Arc::clone)
    }

    /// The table as it is now, to be let go at once: never kept across an await.
    pub(super) fn look(&self) -> Look {
        Look(self.0.load())
    }

    /// The entry of that name, or the problem that says what is there instead.
    pub(super) fn find(&self, name: &str) -> Result<Arc<Entry>, Problem> {
        self.get(name).ok_or_else(|| {
            if name.parse::<IntegrationId>().is_ok() {
                Problem::unknown_integration(name, self.nearest(name).as_deref())
            } else {
                Problem::malformed_name(self.nearest(&name.to_lowercase()).as_deref())
            }
        })
    }

    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.0.load().listed.clone()
    }

    /// A configured name that may have been meant.
    fn nearest(&self, name: &str) -> Option<String> {
        // Comparing costs the product of the lengths; a name has at most 64 characters.
        if name.len() > 80 {
            return None;
        }
        let table = self.0.load();
        let near = table.listed.iter().map(|entry| {
            let distance = strsim::damerau_levenshtein(name, entry.name());
            (distance, entry.name())
        });
        let (distance, found) = near.min()?;
        (distance <= (name.len() / 3).max(1)).then(|| found.to_owned())
    }
}

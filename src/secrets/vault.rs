//! All handles of a process, and the loop that looks at them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::command::Surroundings;
use super::file;
use super::handle::{Handle, Outside, Unavailable};
use crate::base::{Clock, Zeroizing};
use crate::spec::SecretSource;

/// Watching files is limited per node and blind on some mounts; looking is neither.
const POLL: Duration = Duration::from_secs(10);
/// Sources looked at side by side: one on a hanging mount must not hold up all others.
const SIDE_BY_SIDE: usize = 16;

#[derive(PartialEq, Eq, Hash)]
enum Name {
    File(PathBuf),
    Command(Vec<String>),
}

pub struct Vault {
    clock: Arc<dyn Clock>,
    around: Arc<Surroundings>,
    known: Mutex<HashMap<Name, Weak<Outside>>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

impl Vault {
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::with_environment(clock, None, None)
    }

    /// Commands see these values of `PATH` and `HOME`, and nothing else.
    pub fn with_environment(
        clock: Arc<dyn Clock>,
        path: Option<OsString>,
        home: Option<OsString>,
    ) -> Arc<Self> {
        let usual = Surroundings::default();
        Arc::new(Self {
            clock,
            around: Arc::new(Surroundings {
                path: path.unwrap_or(usual.path),
                home: home.unwrap_or(usual.home),
            }),
            known: Mutex::default(),
        })
    }

    /// The handle of a source: the same one for all who name the same file or command.
    pub fn open(&self, source: &SecretSource) -> Handle {
        let name = match source {
            SecretSource::Value(secret) => return Handle::Value(secret.clone()),
            SecretSource::File(path) => Name::File(path.clone()),
            SecretSource::Command(argv) => Name::Command(argv.clone()),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outside) = known.get(&name).and_then(Weak::upgrade) {
            return Handle::Outside(outside);
        }
        let clock = Arc::clone(&self.clock);
        let outside = match &name {
            Name::File(path) => Outside::file(path.clone(), clock),
            Name::Command(argv) => Outside::command(argv.clone(), Arc::clone(&self.around), clock),
        };
        known.insert(name, Arc::downgrade(&outside));
        Handle::Outside(outside)
    }

    /// What a source holds right now, as it is: a file's newline too, and no text need be in it.
    pub async fn read_bytes(
        &self,
        source: &SecretSource,
    ) -> Result<Zeroizing<Vec<u8>>, Unavailable> {
        let SecretSource::File(path) = source else {
            let secret = self.open(source).read().await?;
            return Ok(Zeroizing::new(secret.expose().as_bytes().to_vec()));
        };
        let (name, path) = (path.display().to_string(), path.clone());
        let read = tokio::task::spawn_blocking(move || file::bytes(&path)).await;
        let read = read.unwrap_or_else(|error| Err(format!("cannot be read: {error}")));
        read.map_err(|reason| Unavailable(format!("file {name} {reason}")))
    }

    /// Looks at every source in use every ten seconds, until `stop`.
    pub async fn poll(&self, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(POLL))
            .await
            .is_some()
        {
            if stop.run_until_cancelled(self.look()).await.is_none() {
                return;
            }
        }
    }

    /// Looks at every source in use now. Commands are run again, too, as the operator may know
    /// that they have something new to say; each at most as often as ever.
    pub async fn look_again(&self) {
        for outside in self.in_use() {
            outside.refused();
        }
        self.look().await;
    }

    async fn look(&self) {
        futures_util::stream::iter(self.in_use())
            .for_each_concurrent(SIDE_BY_SIDE, |outside| async move { outside.look().await })
            .await;
    }

    fn in_use(&self) -> Vec<Arc<Outside>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, outside| outside.strong_count() > 0);
        known.values().filter_map(Weak::upgrade).collect()
    }

    #[cfg(test)]
    pub(super) fn open_sources(&self) -> usize {
        self.in_use().len()
    }
}

//! All workers: built first, run together, each restarted if it panics.
//!
//! Owns the tasks and the waits that integrations of one client share. Invariant: what goes wrong
//! in one worker is seen in its own integration only.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::hold::Hold;
use super::worker::{self, Worker};
use crate::base::Clock;
use crate::exchange::TokenSource;
use crate::snapshot::Reader;
use crate::spec::Integration;
use crate::telemetry::{IntegrationCounters, Metrics};

#[derive(Debug, Clone)]
pub struct Deps {
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
}

#[derive(Debug)]
pub struct Supervisor {
    deps: Deps,
    holds: HashMap<(String, String), Arc<Hold>>,
    pub(super) workers: Vec<Worker>,
}

impl Supervisor {
    pub fn new(deps: Deps) -> Self {
        Self {
            deps,
            holds: HashMap::new(),
            workers: Vec::new(),
        }
    }

    /// Builds a worker; it begins with [`Supervisor::run`].
    pub fn add(
        &mut self,
        spec: Arc<Integration>,
        source: Arc<dyn TokenSource>,
        counters: Arc<IntegrationCounters>,
    ) -> Reader {
        let hold = spec
            .quota_key()
            .map(|key| Arc::clone(self.holds.entry(key).or_default()));
        let Deps { clock, metrics } = self.deps.clone();
        let (worker, reader) = worker::build(spec, source, counters, hold, clock, metrics);
        self.workers.push(worker);
        reader
    }

    /// Runs all workers until `stop`, then awaits the exchanges in flight: no new one begins.
    pub async fn run(self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        for worker in self.workers {
            tasks.spawn(keep_running(Box::new(worker), stop.clone()));
        }
        while let Some(ended) = tasks.join_next().await {
            if ended.is_err() {
                tracing::error!("a worker could not be restarted; its integration stands still");
            }
        }
    }
}

/// Runs a worker, again and again if it panics; its board, and so the token it holds, lives on.
pub(super) async fn keep_running(mut worker: Box<Worker>, stop: CancellationToken) {
    loop {
        // What a panic can leave half done is the machine, and `panicked` puts it into a wait.
        let run = AssertUnwindSafe(worker.run(&stop));
        if run.catch_unwind().await.is_ok() {
            return;
        }
        let wait = worker.panicked();
        // Slept here, too: a worker that panics at once must not spin.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

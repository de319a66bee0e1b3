//! All workers: one task each for the life of its integration, restarted if it panics, and handed
//! over when the definition changes.
//!
//! Owns the tasks and the quotas that integrations of one client share. Invariants: what goes wrong
//! in one worker is seen in its own integration only; a worker begins when the one before it has
//! ended, so that two never talk to a vendor for one integration.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::quota::Quota;
use super::worker::{self, Keeping, Parts, Worker};
use crate::base::{Clock, IntegrationId};
use crate::exchange::TokenSource;
use crate::snapshot::Reader;
use crate::spec::Integration;
use crate::store::Key;
use crate::telemetry::{IntegrationCounters, Metrics};

#[derive(Debug, Clone)]
pub struct Deps {
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub keeping: Keeping,
}

#[derive(Debug)]
pub struct Supervisor {
    deps: Deps,
    quotas: HashMap<(String, String), Arc<Quota>>,
    seats: HashMap<IntegrationId, Arc<Seat>>,
    /// Built, and begun by [`Supervisor::start`].
    pub(super) workers: Vec<(Worker, Arc<Seat>)>,
    started: bool,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Where one integration's workers follow each other.
#[derive(Debug)]
pub(super) struct Seat {
    reader: Reader,
    orders: Mutex<Orders>,
}

#[derive(Debug)]
struct Orders {
    /// Ends the worker that sits here, between two actions.
    retire: CancellationToken,
    next: Option<Order>,
    /// The task has ended: nobody follows orders any more.
    over: bool,
    /// It ended with a refresh token that is nowhere else.
    lost: bool,
}

#[derive(Debug)]
enum Order {
    Leave,
    /// The latest definition; ones that nobody came to work for are forgotten.
    Succeed(Box<Parts>),
}

impl Seat {
    /// What could not be saved is worth a word only where nobody can get it again.
    fn is_unsaved(&self) -> bool {
        let orders = self.orders();
        if orders.over {
            return orders.lost;
        }
        // Only after a stop that did not wait for it: more cannot be known from here.
        self.reader.get().store_error.is_some()
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Supervisor {
    pub fn new(deps: Deps) -> Self {
        Self {
            deps,
            quotas: HashMap::new(),
            seats: HashMap::new(),
            workers: Vec::new(),
            started: false,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// A worker for this definition; it begins with [`Supervisor::start`]. If the integration has
    /// one already, that one is retired, and this one takes over what it leaves, readers included.
    pub fn add(
        &mut self,
        spec: Arc<Integration>,
        source: Arc<dyn TokenSource>,
        counters: Arc<IntegrationCounters>,
    ) -> Reader {
        let id = spec.id.clone();
        let quota = self.quota(&spec);
        let Deps {
            clock,
            metrics,
            keeping,
        } = self.deps.clone();
        let persist = keeping.of(&spec).map(Box::new);
        let parts = Parts {
            spec,
            source,
            counters,
            quota,
            clock,
            metrics,
            persist,
        };
        if let Some(seat) = self.seats.get(&id) {
            let mut orders = seat.orders();
            if !orders.over {
                orders.next = Some(Order::Succeed(Box::new(parts)));
                orders.retire.cancel();
                return seat.reader.clone();
            }
        }
        let (worker, reader) = worker::build(parts);
        let seat = Arc::new(Seat {
            reader: reader.clone(),
            orders: Mutex::new(Orders {
                retire: self.stop.child_token(),
                next: None,
                over: false,
                lost: false,
            }),
        });
        self.seats.insert(id, Arc::clone(&seat));
        if self.started {
            self.spawn(worker, seat);
        } else {
            self.workers.push((worker, seat));
        }
        reader
    }

    fn quota(&mut self, spec: &Integration) -> Option<Arc<Quota>> {
        let key = spec.quota_key()?;
        let Deps { clock, keeping, .. } = &self.deps;
        let quota = self
            .quotas
            .entry(key)
            .or_insert_with_key(|(authority, client)| {
                let key = Key::quota(authority, client);
                Arc::new(Quota::new(key, keeping, Arc::clone(clock)))
            });
        if let Some(limit) = spec.refresh.rate_limit {
            quota.announce(limit);
        }
        Some(Arc::clone(quota))
    }

    /// Retires the worker of an integration that is no longer wanted: an exchange in flight is
    /// awaited, and no other one follows. A refresh token that is nowhere else is saved first,
    /// however long the store takes.
    pub fn remove(&mut self, id: &IntegrationId) {
        if let Some(seat) = self.seats.get(id) {
            let mut orders = seat.orders();
            orders.next = Some(Order::Leave);
            orders.retire.cancel();
        }
        self.seats.retain(|_, seat| {
            let orders = seat.orders();
            !orders.over || orders.lost
        });
        self.quotas.retain(|_, quota| Arc::strong_count(quota) > 1);
    }

    /// Begins with all workers that were added, and with those to come as they do.
    pub fn start(&mut self) {
        self.started = true;
        for (worker, seat) in std::mem::take(&mut self.workers) {
            self.spawn(worker, seat);
        }
    }

    fn spawn(&self, worker: Worker, seat: Arc<Seat>) {
        let stop = self.stop.clone();
        self.tasks.spawn(tend(Box::new(worker), seat, stop));
    }

    /// No exchange begins any more; those in flight are awaited by [`Supervisor::ended`].
    pub fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
    }

    /// Returns when every worker has ended.
    pub async fn ended(&self) {
        self.tasks.wait().await;
    }

    /// The integrations whose workers have not ended.
    pub fn unfinished(&self) -> Vec<IntegrationId> {
        let busy = self.seats.iter().filter(|(_, seat)| !seat.orders().over);
        let mut busy: Vec<_> = busy.map(|(id, _)| id.clone()).collect();
        busy.sort();
        busy
    }

    /// The integrations that hold something the store does not, removed ones among them.
    pub fn unsaved(&self) -> Vec<IntegrationId> {
        let unsaved = self.seats.iter().filter(|(_, seat)| seat.is_unsaved());
        let mut unsaved: Vec<_> = unsaved.map(|(id, _)| id.clone()).collect();
        unsaved.sort();
        unsaved
    }

    /// Runs all workers until `stop`, then awaits the exchanges in flight.
    #[cfg(test)]
    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.start();
        stop.cancelled().await;
        self.stop();
        self.ended().await;
    }
}

/// One integration's workers, each after the one before, until there is nobody to follow.
async fn tend(mut worker: Box<Worker>, seat: Arc<Seat>, stop: CancellationToken) {
    let mut leaves = false;
    loop {
        let retire = seat.orders().retire.clone();
        let work = async {
            if leaves {
                worker.linger(&retire).await;
                worker
            } else {
                keep_running(worker, retire).await
            }
        };
        let ended = AssertUnwindSafe(work).catch_unwind().await;
        let mut orders = seat.orders();
        let Ok(retired) = ended else {
            tracing::error!("a worker could not be restarted; its integration stands still");
            orders.lost = seat.reader.get().store_error.is_some();
            orders.over = true;
            return;
        };
        let order = orders.next.take().filter(|_| !stop.is_cancelled());
        leaves = matches!(order, Some(Order::Leave)) && retired.holds_only_copy();
        worker = match order {
            Some(Order::Succeed(parts)) => Box::new(worker::succeed(*parts, retired.retire())),
            Some(Order::Leave) if leaves => retired,
            Some(Order::Leave) | None => {
                orders.lost = retired.holds_only_copy();
                orders.over = true;
                return;
            }
        };
        orders.retire = stop.child_token();
    }
}

/// Runs a worker until it is retired, again and again if it panics; its board, and so the token it
/// holds, lives on.
pub(super) async fn keep_running(
    mut worker: Box<Worker>,
    retire: CancellationToken,
) -> Box<Worker> {
    loop {
        // What a panic can leave half done is the machine, and `panicked` puts it into a wait.
        let run = AssertUnwindSafe(worker.run(&retire));
        if run.catch_unwind().await.is_ok() {
            return worker;
        }
        let wait = worker.panicked();
        // Slept here, too: a worker that panics at once must not spin.
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = retire.cancelled() => {
                // What brought one panic may bring another one.
                let last = AssertUnwindSafe(worker.wind_up()).catch_unwind();
                if Box::pin(last).await.is_err() {
                    tracing::error!("a worker failed in its last save; this is a bug");
                }
                return worker;
            }
        }
    }
}

//! The life of a broker, from the store that is opened to the last token that is saved.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::reload::{Reloader, Trigger};
use super::storage::{Opened, Storage, StorageError};
use super::{App, Built};
use crate::base::IntegrationId;
use crate::exchange::Sources;
use crate::http::{self, Bound, Context, Entry, Limits};
use crate::refresh::{self, Keeping, Supervisor};
use crate::secrets::Vault;
use crate::sinks::Sinks;
use crate::snapshot::{Reader, Snapshot, board};
use crate::spec::{self, Spec};
use crate::store::StateStore;
use crate::telemetry::IntegrationCounters;

/// How a run ended that did not end well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(
        "stopped before the exchanges in flight had ended, and what they bring is lost: {}",
        listed(.0)
    )]
    Unfinished(Vec<IntegrationId>),
    #[error("stopped with refresh tokens that could not be saved and are lost: {}", listed(.0))]
    Unsaved(Vec<IntegrationId>),
}

fn listed(names: &[IntegrationId]) -> String {
    let names: Vec<&str> = names.iter().map(IntegrationId::as_str).collect();
    names.join(", ")
}

impl App {
    /// Runs until `stop`, then: not ready at once, serving on for `shutdown_delay`, then requests
    /// and exchanges in flight are finished within `shutdown_timeout`.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self {
            spec,
            main,
            admin,
            context,
            built,
            sources,
            vault,
            watch,
            trigger,
        } = self;
        let storage = Storage::new(&spec.store, &vault, Arc::clone(&context.clock)).await?;
        let opened = storage.open().await?;
        let server = Serving::new(&context);
        let (store, supervisor) = match opened {
            Opened::Store(store) => {
                // Before anybody is served: what is stored is there from the first request on.
                let supervisor = begin(&context, built, keeping(&spec.store, &store));
                server.start(main, admin, &vault);
                (store, supervisor)
            }
            Opened::Held(error) => {
                warn!("{error}; waiting for it");
                hold(&context, &built);
                server.start(main, admin, &vault);
                let waited = stop.run_until_cancelled(storage.wait()).await;
                let store = match waited {
                    Some(Ok(store)) => store,
                    ended => {
                        server.end(spec.server.shutdown_timeout).await;
                        return ended.map_or(Ok(()), |ended| Ok(ended.map(drop)?));
                    }
                };
                let supervisor = begin(&context, built, keeping(&spec.store, &store));
                context.health.set_store_held(false);
                info!("the store is open");
                (store, supervisor)
            }
        };
        let parts = (context, supervisor, sources, vault);
        let followed = follow(spec, parts, watch, &trigger, &stop).await;
        let ended = server.finish(followed).await;
        // Only now may another broker have it.
        drop(store);
        ended
    }
}

/// What goes into which store.
fn keeping(configured: &spec::Store, store: &Arc<dyn StateStore>) -> Keeping {
    match configured {
        spec::Store::Memory { .. } => Keeping::Memory(Arc::clone(store)),
        spec::Store::Embedded { .. } => Keeping::Durable(Arc::clone(store)),
    }
}

/// Workers for everything, and their readers for callers.
fn begin(context: &Context, built: Vec<Built>, keeping: Keeping) -> Supervisor {
    let mut supervisor = Supervisor::new(refresh::Deps {
        clock: Arc::clone(&context.clock),
        metrics: Arc::clone(&context.metrics),
        keeping,
    });
    let entries = built.into_iter().map(|(integration, source)| {
        let counters = Arc::new(IntegrationCounters::default());
        let reader = supervisor.add(Arc::clone(&integration), source, Arc::clone(&counters));
        Entry {
            integration,
            reader,
            counters,
        }
    });
    let entries = entries.collect();
    context.directory.replace(entries);
    supervisor.start();
    supervisor
}

/// Everything is known and nothing is there, while another broker has the store.
fn hold(context: &Context, built: &[Built]) {
    context.health.set_store_held(true);
    let entries = built.iter().map(|(integration, _)| Entry {
        integration: Arc::clone(integration),
        reader: board(Snapshot::default(), false, integration.grant.takes_logins()).1,
        counters: Arc::default(),
    });
    context.directory.replace(entries.collect());
}

/// Runs with the configuration, as it changes, until `stop`.
async fn follow(
    spec: Spec,
    (context, supervisor, sources, vault): (Arc<Context>, Supervisor, Arc<Sources>, Arc<Vault>),
    watch: Option<crate::config::Watch>,
    trigger: &Trigger,
    stop: &CancellationToken,
) -> Reloader {
    let mut sinks = Sinks::new(Arc::clone(&context.clock));
    sinks.apply(&spec.sinks, |id| reader(&context, id));
    let mut reloader = Reloader {
        context,
        supervisor,
        sources,
        sinks,
        vault,
        integrations: spec.integrations.clone(),
        log_level: spec.log.level.clone(),
        start: Spec {
            integrations: Vec::new(),
            ..spec
        },
        watch: watch.map(|watch| Arc::new(Mutex::new(watch))),
    };
    reloader.follow(trigger, stop).await;
    reloader
}

/// Listeners and the look at secret files.
struct Serving {
    context: Arc<Context>,
    tasks: TaskTracker,
    drain: CancellationToken,
}

impl Serving {
    fn new(context: &Arc<Context>) -> Self {
        Self {
            context: Arc::clone(context),
            tasks: TaskTracker::new(),
            drain: CancellationToken::new(),
        }
    }

    fn start(&self, main: Vec<Bound>, admin: Vec<Bound>, vault: &Arc<Vault>) {
        let Self {
            context,
            tasks,
            drain,
        } = self;
        let router = http::main_router(Arc::clone(context));
        tasks.spawn(http::serve(main, router, Limits::MAIN, drain.clone()));
        let router = http::admin_router(Arc::clone(context));
        tasks.spawn(http::serve(admin, router, Limits::ADMIN, drain.clone()));
        let (vault, polled) = (Arc::clone(vault), drain.clone());
        tasks.spawn(async move { vault.poll(polled).await });
        tasks.close();
    }

    /// Ends what serves, within `timeout`.
    async fn end(&self, timeout: Duration) {
        self.context.health.stopping();
        self.drain.cancel();
        let ended = tokio::time::timeout(timeout, self.tasks.wait()).await;
        if ended.is_err() {
            warn!("stopped before every request was answered");
        }
    }

    /// The orderly end: promise by promise.
    async fn finish(self, reloader: Reloader) -> Result<(), RunError> {
        let Reloader {
            context,
            supervisor,
            sinks,
            start,
            ..
        } = reloader;
        context.health.stopping();
        let delay = start.server.shutdown_delay;
        info!(delay_s = delay.as_secs(), "stopping: not ready any more");
        tokio::time::sleep(delay).await;
        self.drain.cancel();
        supervisor.stop();
        let everything = async {
            supervisor.ended().await;
            // The last token is still written.
            sinks.ended().await;
            self.tasks.wait().await;
        };
        let timeout = start.server.shutdown_timeout;
        if tokio::time::timeout(timeout, everything).await.is_err() {
            let timeout_s = timeout.as_secs();
            warn!(timeout_s, "stopped before everything had finished");
        } else {
            info!("stopped");
        }
        what_is_lost(&supervisor)
    }
}

pub(super) fn reader(context: &Context, id: &IntegrationId) -> Option<Reader> {
    let entry = context.directory.get(id.as_str())?;
    Some(entry.reader.clone())
}

/// Says which integrations the end came too early for.
fn what_is_lost(supervisor: &Supervisor) -> Result<(), RunError> {
    let unfinished = supervisor.unfinished();
    for id in &unfinished {
        error!(integration.id = %id, "stopped in the middle of an exchange of '{id}': its answer is lost");
    }
    let unsaved = supervisor.unsaved();
    for id in &unsaved {
        error!(integration.id = %id, "stopped with a refresh token of '{id}' that could not be saved: it is lost");
    }
    match (unsaved.is_empty(), unfinished.is_empty()) {
        (false, _) => Err(RunError::Unsaved(unsaved)),
        (true, false) => Err(RunError::Unfinished(unfinished)),
        (true, true) => Ok(()),
    }
}

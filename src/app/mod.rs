//! Load, then build, then run: the parts of a broker put together.
//!
//! [`App::build`] binds every listener and starts nothing; [`App::run`] owns every task until the
//! end. Only `lifecycle` touches signals. Must not know the sandbox, nor print.

mod lifecycle;
mod reload;
mod sealing;

pub use lifecycle::{ServeError, serve};
pub use reload::{Trigger, tell_warnings};
pub use sealing::{SealingError, read_sealing_key, sealing_key};

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use reload::Reloader;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::base::{Clock, IntegrationId};
use crate::config::{Env, Watch};
use crate::exchange::{SourceError, Sources};
use crate::http::{
    self, BindError, Bound, Configuration, Context, Directory, Entry, Health, Limits,
};
use crate::net::Clients;
use crate::refresh::{self, Keeping, Supervisor};
use crate::secrets::Vault;
use crate::sinks::Sinks;
use crate::snapshot::Reader;
use crate::spec::{Listen, Spec};
use crate::store::Memory;
use crate::telemetry::{IntegrationCounters, Metrics};

/// What a test may replace.
#[derive(Debug, Clone)]
pub struct Deps {
    pub clock: Arc<dyn Clock>,
    /// `PATH` and `HOME` of commands that print secrets.
    pub env: Env,
}

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("integration {integration}: {source}")]
    Source {
        integration: String,
        source: SourceError,
    },
}

/// A broker with its listeners bound and nothing running.
#[derive(Debug)]
pub struct App {
    spec: Spec,
    main: Vec<Bound>,
    admin: Vec<Bound>,
    context: Arc<Context>,
    supervisor: Supervisor,
    sources: Arc<Sources>,
    vault: Arc<Vault>,
    watch: Option<Watch>,
    trigger: Trigger,
}

/// How a run ended that did not end well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
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
    pub fn build(spec: Spec, deps: Deps) -> Result<Self, BuildError> {
        let Deps { clock, env } = deps;
        let metrics = Arc::new(Metrics::default());
        let vault = Vault::with_environment(
            Arc::clone(&clock),
            env.get("PATH").map(Into::into),
            env.get("HOME").map(Into::into),
        );
        let sources = Sources::new(Clients::new(), Arc::clone(&vault), Arc::clone(&clock));
        let sources = Arc::new(sources);
        let mut supervisor = Supervisor::new(refresh::Deps {
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            keeping: Keeping::Memory(Arc::new(Memory::new(Arc::clone(&clock)))),
        });
        let mut entries = Vec::with_capacity(spec.integrations.len());
        for integration in &spec.integrations {
            let source = sources
                .source(integration)
                .map_err(|source| BuildError::Source {
                    integration: integration.id.to_string(),
                    source,
                })?;
            let counters = Arc::new(IntegrationCounters::default());
            let reader = supervisor.add(Arc::clone(integration), source, Arc::clone(&counters));
            entries.push(Entry {
                integration: Arc::clone(integration),
                reader,
                counters,
            });
        }
        let directory = Directory::new(entries);
        let now = clock.now();
        let context = Arc::new(Context {
            health: Health::new(now, spec.server.startup_wait),
            directory,
            clock,
            metrics,
            server: spec.server.clone(),
            access: ArcSwap::from_pointee(spec.access.clone()),
            configuration: Configuration::new(now.wall),
            logins: http::Logins::default(),
        });
        let server = &spec.server;
        let main = http::bind(&server.listen, server.listen_is_default, server.socket_mode)?;
        let admin = match &spec.admin {
            Some(admin) => http::bind(&admin.listen, false, server.socket_mode)?,
            None => Vec::new(),
        };
        Ok(Self {
            spec,
            main,
            admin,
            context,
            supervisor,
            sources,
            vault,
            watch: None,
            trigger: Trigger::default(),
        })
    }

    /// Follows the files that the specification came from.
    #[must_use]
    pub fn watching(mut self, watch: Watch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// For asking for a reload at once.
    pub fn trigger(&self) -> Trigger {
        self.trigger.clone()
    }

    pub fn addresses(&self) -> Vec<Listen> {
        self.main.iter().map(Bound::address).collect()
    }

    pub fn admin_addresses(&self) -> Vec<Listen> {
        self.admin.iter().map(Bound::address).collect()
    }

    /// Runs until `stop`, then: not ready at once, serving on for `shutdown_delay`, then requests
    /// and exchanges in flight are finished within `shutdown_timeout`.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self {
            spec,
            main,
            admin,
            context,
            mut supervisor,
            sources,
            vault,
            watch,
            trigger,
        } = self;
        let tasks = TaskTracker::new();
        // Two steps: workers and connections end after the delay, probes and files last.
        let drain = CancellationToken::new();
        let router = http::main_router(Arc::clone(&context));
        tasks.spawn(http::serve(main, router, Limits::MAIN, drain.clone()));
        let router = http::admin_router(Arc::clone(&context));
        tasks.spawn(http::serve(admin, router, Limits::ADMIN, drain.clone()));
        let polling = (Arc::clone(&vault), drain.clone());
        tasks.spawn(async move { polling.0.poll(polling.1).await });
        tasks.close();
        supervisor.start();
        let mut sinks = Sinks::new(Arc::clone(&context.clock));
        sinks.apply(&spec.sinks, |id| reader(&context, id));
        let Spec {
            integrations,
            log,
            server,
            ..
        } = spec.clone();
        let mut reloader = Reloader {
            context,
            supervisor,
            sources,
            sinks,
            vault,
            integrations,
            log_level: log.level,
            start: Spec {
                integrations: Vec::new(),
                ..spec
            },
            watch: watch.map(|watch| Arc::new(Mutex::new(watch))),
        };
        reloader.follow(&trigger, &stop).await;

        let Reloader {
            context,
            supervisor,
            sinks,
            ..
        } = reloader;
        context.health.stopping();
        let delay = server.shutdown_delay;
        info!(delay_s = delay.as_secs(), "stopping: not ready any more");
        tokio::time::sleep(delay).await;
        drain.cancel();
        supervisor.stop();
        let everything = async {
            supervisor.ended().await;
            // The last token is still written.
            sinks.ended().await;
            tasks.wait().await;
        };
        let timeout = server.shutdown_timeout;
        if tokio::time::timeout(timeout, everything).await.is_err() {
            warn!(
                timeout_s = timeout.as_secs(),
                "stopped before everything had finished"
            );
        } else {
            info!("stopped");
        }
        what_is_lost(&context, &supervisor)
    }
}

fn reader(context: &Context, id: &IntegrationId) -> Option<Reader> {
    let entry = context.directory.get(id.as_str())?;
    Some(entry.reader.clone())
}

/// Says which integrations the end came too early for.
fn what_is_lost(context: &Context, supervisor: &Supervisor) -> Result<(), RunError> {
    let unfinished = supervisor.unfinished();
    for id in &unfinished {
        error!(integration.id = %id, "stopped in the middle of an exchange of '{id}': its answer is lost");
    }
    let entries = context.directory.all();
    let unsaved: Vec<_> = entries
        .iter()
        .filter(|entry| entry.reader.get().store_error.is_some())
        .map(|entry| entry.integration.id.clone())
        .collect();
    for id in &unsaved {
        error!(integration.id = %id, "stopped with a refresh token of '{id}' that could not be saved: it is lost");
    }
    match (unsaved.is_empty(), unfinished.is_empty()) {
        (false, _) => Err(RunError::Unsaved(unsaved)),
        (true, false) => Err(RunError::Unfinished(unfinished)),
        (true, true) => Ok(()),
    }
}

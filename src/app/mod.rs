//! Load, then build, then run: the parts of a broker put together.
//!
//! [`App::build`] binds every listener and starts nothing; [`App::run`] owns every task until the
//! end. Only `lifecycle` touches signals. Must not know the sandbox, nor print.

mod lifecycle;
mod sealing;

pub use lifecycle::serve;
pub use sealing::{SealingError, read_sealing_key, sealing_key};

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::base::Clock;
use crate::config::Env;
use crate::exchange::{SourceError, Sources};
use crate::http::{self, BindError, Bound, Context, Directory, Entry, Health, Limits};
use crate::net::Clients;
use crate::refresh::{self, Supervisor};
use crate::secrets::Vault;
use crate::spec::{Listen, Spec};
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
    vault: Arc<Vault>,
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
        let mut supervisor = Supervisor::new(refresh::Deps {
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
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
            access: spec.access.clone(),
            logins: http::Logins::default(),
            loaded_at: now.wall,
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
            vault,
        })
    }

    pub fn addresses(&self) -> Vec<Listen> {
        self.main.iter().map(Bound::address).collect()
    }

    pub fn admin_addresses(&self) -> Vec<Listen> {
        self.admin.iter().map(Bound::address).collect()
    }

    /// Runs until `stop`, then: not ready at once, serving on for `shutdown_delay`, then requests
    /// and exchanges in flight are finished within `shutdown_timeout`.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            spec,
            main,
            admin,
            context,
            mut supervisor,
            vault,
        } = self;
        let tasks = TaskTracker::new();
        // Two steps: workers and connections end after the delay, probes and files last.
        let drain = CancellationToken::new();
        let router = http::main_router(Arc::clone(&context));
        tasks.spawn(http::serve(main, router, Limits::MAIN, drain.clone()));
        let router = http::admin_router(Arc::clone(&context));
        tasks.spawn(http::serve(admin, router, Limits::ADMIN, drain.clone()));
        supervisor.start();
        let draining = drain.clone();
        tasks.spawn(async move {
            draining.cancelled().await;
            supervisor.stop();
            supervisor.ended().await;
        });
        let polling = drain.clone();
        tasks.spawn(async move { vault.poll(polling).await });
        tasks.close();

        stop.cancelled().await;
        context.health.stopping();
        let delay = spec.server.shutdown_delay;
        info!(delay_s = delay.as_secs(), "stopping: not ready any more");
        tokio::time::sleep(delay).await;
        drain.cancel();
        let timeout: Duration = spec.server.shutdown_timeout;
        if tokio::time::timeout(timeout, tasks.wait()).await.is_err() {
            warn!(
                timeout_s = timeout.as_secs(),
                "stopped before everything had finished"
            );
        } else {
            info!("stopped");
        }
    }
}

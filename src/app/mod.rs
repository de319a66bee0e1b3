//! Load, then build, then run: the parts of a broker put together.
//!
//! [`App::build`] binds every listener and starts nothing; [`App::run`] owns every task until the
//! end. Only `lifecycle` touches signals. Must not know the sandbox, nor print.

mod lifecycle;
mod reload;
mod run;
mod sealing;
mod storage;

pub use lifecycle::{ServeError, forbid_core_dumps, serve};
pub use reload::{Trigger, tell_warnings};
pub use run::RunError;
pub use sealing::{SealingError, read_sealing_key, sealing_key};
pub use storage::StorageError;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::base::Clock;
use crate::config::{Env, Watch};
use crate::exchange::{SourceError, Sources, TokenSource};
use crate::http::{self, BindError, Bound, Configuration, Context, Directory, Health};
use crate::net::Clients;
use crate::secrets::Vault;
use crate::spec::{Integration, Listen, Spec};
use crate::telemetry::Metrics;

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

/// A definition with what its worker needs.
type Built = (Arc<Integration>, Arc<dyn TokenSource>);

/// A broker with its listeners bound and nothing running.
#[derive(Debug)]
pub struct App {
    spec: Spec,
    main: Vec<Bound>,
    admin: Vec<Bound>,
    context: Arc<Context>,
    built: Vec<Built>,
    sources: Arc<Sources>,
    vault: Arc<Vault>,
    watch: Option<Watch>,
    trigger: Trigger,
}

impl App {
    /// Asks, while it runs too, whether it waits for another process that has the store.
    pub fn store_held(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let context = Arc::clone(&self.context);
        move || context.health.is_store_held()
    }

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
        let mut built = Vec::with_capacity(spec.integrations.len());
        for integration in &spec.integrations {
            let source = sources
                .source(integration)
                .map_err(|source| BuildError::Source {
                    integration: integration.id.to_string(),
                    source,
                })?;
            built.push((Arc::clone(integration), source));
        }
        let now = clock.now();
        let context = Arc::new(Context {
            health: Health::new(now, spec.server.startup_wait),
            // Filled when the store is open: workers begin with what is in it.
            directory: Directory::new(Vec::new()),
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
            built,
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
}

//! The process: runtime, signals, end. The only file that touches signals.

use std::io;
use std::sync::Arc;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{App, BuildError, Deps, RunError};
use crate::base::SystemClock;
use crate::config::{Env, Watch};
use crate::spec::{Listen, Server, Spec};

/// Why a broker could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("the runtime did not start: {0}")]
    Runtime(#[source] io::Error),
    #[error("stopped at once by a second signal")]
    Interrupted,
}

/// Runs a broker until SIGTERM or SIGINT; a second one ends it at once. SIGHUP reloads.
pub fn serve(spec: Spec, env: Env, watch: Watch) -> Result<(), ServeError> {
    // Done already; now there is a log to say where it could not be.
    forbid_core_dumps();
    #[cfg(feature = "faults")]
    if let Some(point) = env.get("TOKEN_BROKER_CRASH_AT") {
        warn!(armed = crate::base::arm_crash(point), "will die at {point}");
    }
    let runtime = runtime(&spec.server).map_err(ServeError::Runtime)?;
    let result = runtime.block_on(async {
        // Before anything else: a signal during the start is none that kills.
        let mut signals = Signals::new().map_err(ServeError::Runtime)?;
        let deps = Deps {
            clock: Arc::new(SystemClock),
            env,
        };
        let app = App::build(spec, deps)?.watching(watch);
        announce(&app);
        let trigger = app.trigger();
        let stop = CancellationToken::new();
        let running = app.run(stop.clone());
        tokio::pin!(running);
        loop {
            let signal = tokio::select! {
                ended = &mut running => return Ok(ended?),
                signal = signals.next() => signal,
            };
            match signal {
                Signal::Reload if stop.is_cancelled() => {}
                Signal::Reload => {
                    info!(
                        signal = "SIGHUP",
                        "signal received: the configuration is reloaded"
                    );
                    trigger.pull();
                }
                Signal::Stop(name) if stop.is_cancelled() => {
                    warn!(signal = name, "second signal: stopped at once");
                    return Err(ServeError::Interrupted);
                }
                Signal::Stop(name) => {
                    info!(signal = name, "signal received");
                    stop.cancel();
                }
            }
        }
    });
    // A name lookup or file read that hangs must not hold up the end.
    runtime.shutdown_background();
    result
}

fn runtime(server: &Server) -> io::Result<Runtime> {
    let mut builder = match server.worker_threads {
        0 | 1 => Builder::new_current_thread(),
        threads => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    };
    builder.enable_all().build()
}

enum Signal {
    Stop(&'static str),
    Reload,
}

/// Heard from the first moment on, so that none is lost between two waits.
struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hang_up: unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Signal::Stop("SIGINT"),
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }
}

fn announce(app: &App) {
    let list = |addresses: Vec<Listen>| {
        let texts = addresses.into_iter().map(|address| match address {
            Listen::Tcp(address) => format!("http://{address}"),
            Listen::Unix(path) => format!("unix:{}", path.display()),
        });
        texts.collect::<Vec<_>>().join(", ")
    };
    let integrations = app.spec.integrations.len();
    info!(integrations, "listening on {}", list(app.addresses()));
    let admin = app.admin_addresses();
    if !admin.is_empty() {
        info!("probes and metrics on {}", list(admin));
    }
}

/// Memory holds every secret: a crash must not write it to disk.
pub fn forbid_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if setrlimit(Resource::Core, none).is_err() {
        warn!("core dumps could not be switched off (RLIMIT_CORE)");
    }
    #[cfg(target_os = "linux")]
    if set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() {
        warn!("core dumps could not be switched off (PR_SET_DUMPABLE)");
    }
}

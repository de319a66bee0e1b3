//! The process: runtime, signals, end. The only file that touches signals.

use std::io;
use std::sync::Arc;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{App, BuildError, Deps};
use crate::base::SystemClock;
use crate::config::Env;
use crate::spec::{Listen, Server, Spec};

/// Why a broker could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("the runtime did not start: {0}")]
    Runtime(#[source] io::Error),
}

/// Runs a broker until SIGTERM or SIGINT; a second signal ends it at once.
pub fn serve(spec: Spec, env: Env) -> Result<(), ServeError> {
    forbid_core_dumps();
    let runtime = runtime(&spec.server).map_err(ServeError::Runtime)?;
    let result = runtime.block_on(async {
        let app = App::build(
            spec,
            Deps {
                clock: Arc::new(SystemClock),
                env,
            },
        )?;
        announce(&app);
        let stop = CancellationToken::new();
        let running = app.run(stop.clone());
        tokio::pin!(running);
        tokio::select! {
            () = &mut running => return Ok(()),
            signalled = signalled() => signalled.map_err(ServeError::Runtime)?,
        }
        stop.cancel();
        tokio::select! {
            () = running => {}
            _ = signalled() => warn!("second signal: stopped at once"),
        }
        Ok(())
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

async fn signalled() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // A terminal that goes away, or an operator who expects a reload, must not end the broker.
    let mut hang_up = signal(SignalKind::hangup())?;
    let name = loop {
        tokio::select! {
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            _ = hang_up.recv() => {
                warn!("SIGHUP ignored: a changed configuration needs a restart");
            }
        }
    };
    info!(signal = name, "signal received");
    Ok(())
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
fn forbid_core_dumps() {
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

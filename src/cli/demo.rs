//! `demo`: sandbox and broker in one process, and a calm account of what happens.

mod story;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::broker::Broker;
use super::output::{Exit, Output};
use super::{sandbox, setup};
use crate::app::{App, Deps, RunError};
use crate::base::SystemClock;
use crate::config::{self, Env, Options};
use crate::sandbox::DEFAULT_ADDRESS;
use crate::spec::{Access, Listen, Spec};
use story::Story;

const CONFIG: &str = include_str!("../../config/demo.toml");
const LOOK: Duration = Duration::from_secs(1);

/// See it work: emulated vendors and a broker, no credentials needed.
///
/// Says what happens as tokens come and are renewed, and prints curl lines to try. Nothing leaves
/// this machine. Runs until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  token-broker demo
  curl http://127.0.0.1:8656/token/sfmc        in another terminal
  token-broker demo --listen 127.0.0.1:0 --sandbox-listen 127.0.0.1:0    on free ports")]
pub(super) struct Args {
    /// Where the broker listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8656")]
    listen: SocketAddr,
    /// Where the emulated vendors listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = DEFAULT_ADDRESS)]
    sandbox_listen: SocketAddr,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<(), Exit> {
    // The story is told here; the log only adds what it does not tell.
    crate::telemetry::init_logging("error", false);
    setup::block_on(demo(args, output))?
}

async fn demo(args: &Args, output: &mut Output) -> Result<(), Exit> {
    let sandbox = sandbox::bind(args.sandbox_listen, "--sandbox-listen").await?;
    let vendors = sandbox.address();
    let stop = CancellationToken::new();
    let (listen, broker) = build(spec(args.listen, vendors)?, args.listen, stop.clone())?;
    let vendors_stop = CancellationToken::new();
    // The broker stops first: it may still have an exchange in flight with a vendor.
    let _vendors_stop_last = vendors_stop.clone().drop_guard();
    let mut tasks = JoinSet::new();
    tasks.spawn(sandbox.run(vendors_stop));
    let broker_at = Broker::at(&listen, &Access::default());
    let mut running = JoinSet::new();
    running.spawn(broker);
    let told = tokio::select! {
        told = tell(&broker_at, vendors, output) => told,
        stopped = setup::told_to_stop() => stopped,
        Some(ended) = running.join_next() => Err(Exit::Failed(match ended {
            Ok(Ok(())) => "error: the broker stopped by itself".to_owned(),
            Ok(Err(error)) => format!("error: {error}"),
            Err(_panicked) => "error: the broker failed".to_owned(),
        })),
    };
    stop.cancel();
    while running.join_next().await.is_some() {}
    told?;
    output.line("\nthe demo is over")
}

/// The broker, bound but not yet running: where it listens, and its life until `stop`.
fn build(
    spec: Spec,
    wanted: SocketAddr,
    stop: CancellationToken,
) -> Result<(Listen, BoxFuture<'static, Result<(), RunError>>), Exit> {
    let deps = Deps {
        clock: Arc::new(SystemClock),
        env: nothing(),
    };
    let app = App::build(spec, deps).map_err(|error| {
        Exit::Failed(format!(
            "error: the broker cannot start: {error}\n  \
             stop what uses {wanted} (ss -ltnp shows it), or choose another: --listen 127.0.0.1:0"
        ))
    })?;
    match app.addresses().into_iter().next() {
        Some(listen) => Ok((listen, Box::pin(app.run(stop)))),
        None => Err(Exit::Failed("error: the broker listens nowhere".to_owned())),
    }
}

/// Never returns but with an error.
async fn tell(broker: &Broker, vendors: SocketAddr, output: &mut Output) -> Result<(), Exit> {
    output.line(&story::opening(&broker.target().to_string(), vendors))?;
    let mut story = Story::default();
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let document: Value = broker.json("/integrations").await?;
        for line in story.goes_on(&document) {
            output.line(&line)?;
        }
    }
}

/// The demo's configuration, with the addresses that are really used.
fn spec(listen: SocketAddr, vendors: SocketAddr) -> Result<Spec, Exit> {
    let text = CONFIG.replace(DEFAULT_ADDRESS, &vendors.to_string());
    let options = Options::default();
    let loaded = config::load_text(
        "demo.toml",
        &text,
        config::Format::Toml,
        &nothing(),
        options,
    )
    .map_err(|problems| Exit::Usage(setup::say(&problems)))?;
    let mut spec = loaded.spec;
    spec.server.listen = vec![Listen::Tcp(listen)];
    spec.server.listen_is_default = false;
    Ok(spec)
}

/// The demo is the same everywhere: no variable of the user's reaches it.
fn nothing() -> Env {
    Env::from_pairs(std::iter::empty::<(String, String)>())
}

#[cfg(test)]
mod tests;

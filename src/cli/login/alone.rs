//! Without a running broker: one of this integration alone, in this process, for as long as the
//! login takes.
//!
//! The same store, so its lock keeps any other broker out; the same listeners, so that the browser
//! finds its way back; and everything else over HTTP, as with any broker.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::lines::Lines;
use super::{Args, follow, go_on, until_stopped};
use crate::app::{App, Deps};
use crate::base::{Secret, SystemClock};
use crate::cli::broker::Broker;
use crate::cli::output::{Exit, Output};
use crate::cli::{explain, setup};
use crate::config::{Env, Options};
use crate::spec::{Spec, Store};

pub(super) async fn login(
    args: &Args,
    env: &Env,
    output: &mut Output,
    lines: Lines,
) -> Result<(), Exit> {
    let spec = spec(args, env)?;
    // What goes wrong is told here; the log only adds what is not.
    crate::telemetry::init_logging("error", false);
    let access = spec.access.clone();
    let deps = Deps {
        clock: Arc::new(SystemClock),
        env: env.clone(),
    };
    let app = App::build(spec, deps)
        .map_err(|error| Exit::Failed(format!("error: a login cannot be begun here: {error}")))?;
    let listen = app.addresses().into_iter().next();
    let listen = listen.ok_or_else(|| Exit::Failed("error: nothing is listened on".to_owned()))?;
    let broker = Broker::at(&listen, &access);
    let held = app.store_held();
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(app.run(stop.clone()));
    let login = until_stopped(
        &args.integration,
        through(args, env, &broker, &held, output, lines),
    );
    let done = tokio::select! {
        done = login => done,
        Some(ended) = running.join_next() => {
            return Err(Exit::Failed(match ended {
                Ok(Err(error)) => format!("error: a login cannot be begun here: {error}"),
                Ok(Ok(())) | Err(_) => "error: the broker that was started for this login stopped".to_owned(),
            }));
        }
    };
    // What is under way, if anything, is awaited and saved.
    stop.cancel();
    while let Some(ended) = running.join_next().await {
        if let Ok(Err(error)) = ended {
            done?;
            return Err(Exit::Failed(format!(
                "error: {}: {error}",
                args.integration
            )));
        }
    }
    done
}

async fn through(
    args: &Args,
    env: &Env,
    broker: &Broker,
    store_held: &(impl Fn() -> bool + Sync),
    output: &mut Output,
    lines: Lines,
) -> Result<(), Exit> {
    let path = format!("/login/{}", args.integration);
    let begun = broker.post(&path, &Secret::new(""), follow::VENDOR).await?;
    let begun = begun.ok_or_else(|| broker.not_running())?;
    if begun.status == StatusCode::SERVICE_UNAVAILABLE && store_held() {
        let name = &args.integration;
        return Err(Exit::Failed(format!(
            "error: {name}: another broker has the store of this configuration open, and does not listen where this \
             configuration says\n  what to do:   log in through that one: token-broker login {name} --url \
             http://HOST:PORT, or stop it first"
        )));
    }
    if begun.status == StatusCode::SERVICE_UNAVAILABLE {
        return Err(Exit::Failed(explain::answer(&begun)));
    }
    go_on(args, env, broker, &begun, output, lines).await
}

/// The configuration with nothing in it but the integration, its store and the listeners.
fn spec(args: &Args, env: &Env) -> Result<Spec, Exit> {
    let name = &args.integration;
    let mut spec = setup::load(args.broker.config.as_deref(), env, Options::default())?.spec;
    spec.integrations.retain(|one| one.id == *name);
    let Some(integration) = spec.integrations.first() else {
        return Err(Exit::Usage(format!(
            "error: {name}: the configuration has no such integration; token-broker check lists them"
        )));
    };
    if !integration.grant.takes_logins() {
        let grant = integration.grant.name();
        return Err(Exit::Usage(format!(
            "error: {name}: nobody logs in for it: its grant is {grant}, and only authorization_code and device_code \
             begin with a person's consent"
        )));
    }
    if matches!(spec.store, Store::Memory { .. }) {
        return Err(Exit::Usage(format!(
            "error: {name}: no broker runs, and this configuration keeps nothing on disk, so the consent would be \
             lost at once\n  what to do:   start the broker (token-broker serve) and log in then, or set \
             kind = \"embedded\" and path in [store]"
        )));
    }
    spec.admin = None;
    spec.server.shutdown_delay = Duration::ZERO;
    Ok(spec)
}

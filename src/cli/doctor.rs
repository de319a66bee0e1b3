//! `doctor`: one live exchange per integration, and what it means.

mod document;
mod examine;
mod findings;
mod scope;
mod story;

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt as _;

use super::broker::BrokerArgs;
use super::output::{Exit, Output};
use super::{Format, setup};
use crate::base::{Clock, IntegrationId, SystemClock};
use crate::config::{Env, Options};
use crate::exchange::Sources;
use crate::net::Clients;
use crate::secrets::Vault;
use crate::spec::Integration;
use examine::{Examination, consult, examine};

/// Vendors that are asked at once. Many, as those that do not answer take their whole time.
const SIDE_BY_SIDE: usize = 64;

/// Ask each vendor for a token once, and explain what it answers.
///
/// For each integration, or the one that is named: what was sent (without secrets), what came back,
/// what it means, and what to do. If a vendor refuses the client, the other place or encoding for
/// its credentials is tried once. Tokens are thrown away and never shown. No broker needs to run, but
/// for integrations with a refresh token: those only the running broker may use, which is asked how
/// they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  token-broker doctor --config broker.toml           all of them
  token-broker doctor sfmc --config broker.toml      one
  token-broker doctor --config broker.toml --format json

Where a new token ends the one before (reissue = \"replaces\"), a running broker is left with a dead
one: afterwards, have it get another with POST /refresh/NAME.

Exit codes: 0 all are fine (there may be warnings), 1 at least one is not, 2 wrong usage or
configuration.")]
pub(super) struct Args {
    /// Only this one.
    #[arg(value_name = "INTEGRATION")]
    integration: Option<IntegrationId>,
    /// Configuration file (TOML, YAML or JSON) or directory.
    ///
    /// Without it: the variable `TOKEN_BROKER_CONFIG`, else /etc/token-broker/config.toml.
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args, env: &Env, output: &mut Output) -> Result<(), Exit> {
    let loaded = setup::load(args.config.as_deref(), env, Options::default())?;
    for warning in &loaded.warnings {
        output.note(&format!("warning: {warning}"));
    }
    let mut chosen = loaded.spec.integrations;
    if let Some(name) = &args.integration {
        chosen.retain(|one| one.id == *name);
        if chosen.is_empty() {
            return Err(Exit::Usage(format!(
                "error: {name}: the configuration has no such integration; token-broker check \
                 lists them"
            )));
        }
    }
    let broker = BrokerArgs {
        url: None,
        config: args.config.clone(),
    };
    let found = setup::block_on(examine_all(chosen, &broker, env, output))?;
    match args.format {
        Format::Json => output.line(&format!("{:#}", document::all(&found)))?,
        Format::Text => {
            for one in &found {
                output.line(&format!("{}\n", story::of(one)))?;
            }
        }
    }
    let bad: Vec<&str> = found
        .iter()
        .filter(|one| !findings::all_good(&findings::of(one)))
        .map(|one| one.integration.id.as_str())
        .collect();
    let count = found.len();
    if bad.is_empty() {
        if args.format == Format::Text {
            output.line(&match count {
                0 => "the configuration names no integration".to_owned(),
                1 => "the integration is fine".to_owned(),
                _ => format!("all {count} integrations are fine"),
            })?;
        }
        return Ok(());
    }
    let names = bad.join(", ");
    let bad = bad.len();
    Err(Exit::Failed(format!(
        "{bad} of {count} integrations failed: {names}"
    )))
}

/// In the order of the configuration, whoever answers first.
async fn examine_all(
    integrations: Vec<Arc<Integration>>,
    broker: &BrokerArgs,
    env: &Env,
    output: &mut Output,
) -> Vec<Examination> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let vault = Vault::with_environment(
        Arc::clone(&clock),
        env.get("PATH").map(Into::into),
        env.get("HOME").map(Into::into),
    );
    let sources = Sources::new(Clients::new(), vault, Arc::clone(&clock));
    let count = integrations.len();
    let mut alone = integrations.iter();
    let alone = alone.any(|one| one.grant.is_the_brokers_alone());
    let broker = alone.then(|| broker.connect(env));
    let mut under_way = futures_util::stream::iter(integrations.into_iter().enumerate())
        .map(|(index, integration)| {
            let (sources, clock, broker) = (&sources, &*clock, &broker);
            async move {
                let alone = integration.grant.is_the_brokers_alone();
                let examination = match broker {
                    Some(broker) if alone => consult(integration, broker, clock).await,
                    _ => examine(integration, sources, clock).await,
                };
                (index, examination)
            }
        })
        .buffer_unordered(SIDE_BY_SIDE);
    let mut found = Vec::with_capacity(count);
    output.progress(&format!("asking: 0 of {count} have answered"));
    while let Some(one) = under_way.next().await {
        found.push(one);
        let done = found.len();
        output.progress(&format!("asking: {done} of {count} have answered"));
    }
    output.progress("");
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, one)| one).collect()
}

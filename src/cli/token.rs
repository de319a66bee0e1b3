//! `token`: a token on standard output, from the running broker or without one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use super::broker::BrokerArgs;
use super::output::{Exit, Output};
use super::{explain, setup};
use crate::base::{Clock, HumanDuration, IntegrationId, Issued, Now, Secret, SystemClock};
use crate::config::{Env, Options};
use crate::exchange::{Outcome, Sources};
use crate::net::Clients;
use crate::refresh;
use crate::secrets::Vault;
use crate::snapshot::Held;
use crate::spec::Integration;

/// The broker waits this long at most unless its configuration says more.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);

/// Print a token of an integration.
///
/// Asks the running broker; with --direct no broker is needed: one exchange with the vendor is made
/// here, which is refused where it could use up a refresh token. The token goes to standard output, everything else to standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  token-broker token sfmc                          as JSON, with expiry and the vendor's members
  TOKEN=$(token-broker token sfmc --format raw)    the token alone
  curl -H \"Authorization: $(token-broker token sfmc --format header)\" https://...
  token-broker token sfmc --min-ttl 5m             one that lives five minutes more
  token-broker token sfmc --direct --config broker.toml
  token-broker doctor sfmc --config broker.toml    why there is none

Exit codes: 0 a token was printed, 1 there is none (standard error says why), 2 wrong usage or
configuration.")]
pub(super) struct Args {
    /// The integration's name in the configuration.
    #[arg(value_name = "INTEGRATION")]
    integration: IntegrationId,
    /// json (the default): the whole answer; raw: the token alone; header: the value of the
    /// Authorization header an API call needs. With json a failure is JSON too.
    #[arg(long, value_enum)]
    format: Option<TokenFormat>,
    /// Time the token must have left, such as 5m.
    #[arg(long, value_name = "DURATION", value_parser = setup::duration)]
    min_ttl: Option<Duration>,
    /// How long to wait for a token if there is none yet; 0 does not wait.
    #[arg(long, value_name = "DURATION", value_parser = setup::duration)]
    wait: Option<Duration>,
    /// Ask the vendor from here, without a running broker.
    #[arg(long, conflicts_with_all = ["url", "min_ttl", "wait"])]
    direct: bool,
    #[command(flatten)]
    broker: BrokerArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum TokenFormat {
    #[default]
    Json,
    Raw,
    Header,
}

impl TokenFormat {
    fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Raw => "raw",
            Self::Header => "header",
        }
    }
}

pub(super) fn run(args: &Args, env: &Env, output: &mut Output) -> Result<(), Exit> {
    if args.direct {
        return direct(args, env, output);
    }
    let broker = args.broker.connect(env)?;
    let wait = args.wait.unwrap_or(DEFAULT_WAIT);
    let answer = setup::block_on(broker.get(&path(args), wait))??;
    if answer.status.is_success() {
        return output.line(answer.body.expose());
    }
    Err(Exit::Failed(if args.format == Some(TokenFormat::Json) {
        answer.body.expose().to_owned()
    } else {
        explain::answer(&answer)
    }))
}

/// The request target; names and durations need no escapes.
fn path(args: &Args) -> String {
    let format = args.format.unwrap_or_default().as_str();
    let mut path = format!("/token/{}?format={format}", args.integration);
    for (name, value) in [("min_ttl", args.min_ttl), ("wait", args.wait)] {
        if let Some(value) = value {
            path = format!("{path}&{name}={}", HumanDuration(value));
        }
    }
    path
}

fn direct(args: &Args, env: &Env, output: &mut Output) -> Result<(), Exit> {
    let integration = find(args, args.broker.config.as_deref(), env)?;
    let name = integration.id.as_str();
    if integration.grant.is_the_brokers_alone() {
        return Err(Exit::Usage(format!(
            "error: {name}: --direct would use up the refresh token that the running broker keeps\n  \
             what to do:   ask the running broker: token-broker token {name}"
        )));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let outcome = setup::block_on(exchange(&integration, &clock))??;
    let failure = outcome.failure().cloned();
    if let Outcome::Issued(issued) = outcome {
        let format = args.format.unwrap_or_default();
        let shown = shown(format, *issued, &integration, clock.now(), output)?;
        return output.line(shown.expose());
    }
    Err(Exit::Failed(match failure {
        Some(failure) if args.format == Some(TokenFormat::Json) => {
            explain::failure_document(name, &failure).to_string()
        }
        Some(failure) => explain::failure(name, &failure),
        None => format!("error: {name}: the consent is still being waited for"),
    }))
}

fn find(args: &Args, config: Option<&Path>, env: &Env) -> Result<Arc<Integration>, Exit> {
    let loaded = setup::load(config, env, Options::default())?;
    let mut integrations = loaded.spec.integrations.into_iter();
    let found = integrations.find(|one| one.id == args.integration);
    found.ok_or_else(|| {
        let name = &args.integration;
        Exit::Usage(format!(
            "error: {name}: the configuration has no such integration; token-broker check lists them"
        ))
    })
}

async fn exchange(integration: &Arc<Integration>, clock: &Arc<dyn Clock>) -> Result<Outcome, Exit> {
    let sources = Sources::new(
        Clients::new(),
        Vault::new(Arc::clone(clock)),
        Arc::clone(clock),
    );
    let source = sources.source(integration);
    let source =
        source.map_err(|error| Exit::Usage(format!("error: {}: {error}", integration.id)))?;
    Ok(source.exchange().await)
}

/// As the broker would serve it; with the header the integration's own API calls need.
fn shown(
    format: TokenFormat,
    issued: Issued,
    integration: &Integration,
    now: Now,
    output: &mut Output,
) -> Result<Secret, Exit> {
    let (call, warnings) = refresh::render_api_call(&integration.api, &integration.grant, &issued);
    for warning in warnings {
        output.note(&format!("warning: {}: {warning}", integration.id));
    }
    let held = Held::new(issued, call);
    match format {
        TokenFormat::Json => Ok(Secret::new(held.json(now))),
        TokenFormat::Raw => Ok(held.token().clone()),
        TokenFormat::Header => held.api().authorization().ok_or_else(|| {
            let id = &integration.id;
            Exit::Failed(format!(
                "error: {id}: its API calls take no Authorization header\n  what to do:   ask a \
                 running broker for GET /headers/{id}: it has all that a call needs"
            ))
        }),
    }
}

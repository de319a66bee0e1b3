//! `login`: a person's consent, through the running broker, or through one started for it alone.
//!
//! Must not know the flows: it shows what the broker says, and gives back what the person pastes.
//! Invariant: what is pasted is shown nowhere, and no program is started through a shell.

mod alone;
mod follow;
mod lines;
mod words;

use std::io::Read;

use super::broker::{Broker, BrokerArgs};
use super::output::{Exit, Output};
use super::{explain, setup};
use crate::base::{IntegrationId, Secret};
use crate::config::Env;
use crate::net::local::Answer;
use follow::Way;
use lines::Lines;

/// Give an integration a person's consent: log in at the vendor.
///
/// For vendors that want a person to consent once (grants `authorization_code` and `device_code`).
/// Shows the page to visit, or the code to enter, and waits until the broker has its tokens; from
/// then on it renews them by itself. The browser may be on another machine: forward the broker's
/// port to it (`ssh -L`, `kubectl port-forward`), or paste the address at which it ends.
///
/// Asks the running broker. If none runs, the configuration's store is opened, the login is done
/// here, and the broker finds the tokens when it starts; run it as the user that the broker runs as,
/// who has to read the store.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  token-broker login hubspot                            opens a browser where there is one
  token-broker login hubspot --no-browser               only shows the page's address
  token-broker login hubspot --paste                    takes the address at which the browser ends
  ssh -L 8656:127.0.0.1:8656 HOST                       first, if the broker is on HOST
  kubectl port-forward POD 8656:8656                    first, if it is in a pod
  kubectl exec -it POD -c token-broker -- token-broker login hubspot

Exit codes: 0 the broker has its tokens, 1 it has not (standard error says why), 2 wrong usage or
configuration.")]
pub(super) struct Args {
    /// The integration's name in the configuration.
    #[arg(value_name = "INTEGRATION")]
    integration: IntegrationId,
    /// Do not open a browser.
    #[arg(long)]
    no_browser: bool,
    /// The browser cannot come back to the broker: take the address at which it ends from standard
    /// input, and nothing else.
    #[arg(long)]
    paste: bool,
    #[command(flatten)]
    broker: BrokerArgs,
}

pub(super) fn run(args: &Args, env: &Env, output: &mut Output) -> Result<(), Exit> {
    run_with(args, env, output, std::io::stdin())
}

/// `input` is read by a thread of its own, which ends with the process or with the input.
pub(super) fn run_with(
    args: &Args,
    env: &Env,
    output: &mut Output,
    input: impl Read + Send + 'static,
) -> Result<(), Exit> {
    setup::block_on(login(args, env, output, Lines::of(input)))?
}

async fn login(args: &Args, env: &Env, output: &mut Output, lines: Lines) -> Result<(), Exit> {
    let broker = args.broker.connect(env)?;
    let path = format!("/login/{}", args.integration);
    let nothing = Secret::new("");
    match broker.post(&path, &nothing, follow::VENDOR).await? {
        Some(answer) => {
            let name = &args.integration;
            until_stopped(name, go_on(args, env, &broker, &answer, output, lines)).await
        }
        // Where somebody said it is, there is none; anywhere else one can be started.
        None if args.broker.says_where(env) => Err(broker.not_running()),
        None => alone::login(args, env, output, lines).await,
    }
}

/// Ctrl-C leaves at any time; the page that was shown goes on being good for a while.
async fn until_stopped(
    name: &IntegrationId,
    login: impl Future<Output = Result<(), Exit>>,
) -> Result<(), Exit> {
    tokio::select! {
        done = login => done,
        stopped = setup::told_to_stop() => {
            stopped?;
            Err(Exit::Failed(format!("error: {name}: stopped before the login was completed")))
        }
    }
}

/// From the broker's answer to the end of the login.
async fn go_on(
    args: &Args,
    env: &Env,
    broker: &Broker,
    begun: &Answer,
    output: &mut Output,
    lines: Lines,
) -> Result<(), Exit> {
    if !begun.status.is_success() {
        return Err(Exit::Failed(explain::answer(begun)));
    }
    let begun = serde_json::from_str(begun.body.expose()).unwrap_or_default();
    let Some(way) = Way::read(&begun) else {
        let target = broker.target();
        return Err(Exit::Failed(format!(
            "error: what answers at {target} is no token broker"
        )));
    };
    let shown = words::opening(&args.integration, &way, args.paste, broker.target());
    output.line(&shown)?;
    if let Way::Browser { page, .. } = &way
        && !args.no_browser
        && !args.paste
        && follow::opens(page, env)
    {
        output.note("(opened in a browser)");
    }
    follow::to_the_end(args, broker, &way, output, lines).await
}

#[cfg(test)]
mod tests;

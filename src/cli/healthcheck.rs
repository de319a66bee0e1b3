//! `healthcheck`: a probe as an exit code, for images without a shell.

use std::time::Duration;

use clap::ValueEnum;

use super::broker::BrokerArgs;
use super::output::{Exit, Output};
use super::setup;
use crate::base::Redactor;
use crate::config::Env;

/// Ask a probe of the running broker; the exit code is its answer.
///
/// For exec probes and HEALTHCHECK: the image has neither a shell nor curl.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  token-broker healthcheck
  token-broker healthcheck --probe startupz
  HEALTHCHECK CMD [\"/token-broker\", \"healthcheck\"]

Exit codes: 0 yes, 1 no (or no broker runs), 2 wrong usage.")]
pub(super) struct Args {
    /// livez: the process runs; readyz: it can serve; startupz: every required integration has had
    /// its first answer.
    #[arg(long, value_enum, default_value_t)]
    probe: Probe,
    #[command(flatten)]
    broker: BrokerArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Probe {
    Livez,
    #[default]
    Readyz,
    Startupz,
}

impl Probe {
    fn path(self) -> &'static str {
        match self {
            Self::Livez => "/livez?verbose",
            Self::Readyz => "/readyz?verbose",
            Self::Startupz => "/startupz?verbose",
        }
    }
}

pub(super) fn run(args: &Args, env: &Env, output: &mut Output) -> Result<(), Exit> {
    let broker = args.broker.connect(env)?;
    let answer = setup::block_on(broker.get(args.probe.path(), Duration::ZERO))??;
    let redactor = Redactor::default();
    let lines = answer.body.expose().lines().take(200);
    let said: Vec<String> = lines.map(|line| redactor.clean(line)).collect();
    let said = said.join("\n");
    if answer.status.is_success() {
        output.line(&said)
    } else {
        Err(Exit::Failed(format!("{}\n{said}", answer.status)))
    }
}

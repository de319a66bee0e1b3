//! `serve`: run the broker.

use std::path::PathBuf;

use super::output::{Exit, Output};
use super::setup;
use crate::config::{Env, Options, Problem};
use crate::spec::LogFormat;

/// Run the broker: keep tokens fresh and serve them on localhost.
///
/// Runs until SIGTERM or Ctrl-C. Listens on `127.0.0.1:8656` and `[::1]:8656` unless the configuration
/// says otherwise. A vendor that is down does not stop it; a configuration that is wrong does, with
/// exit code 2 and every problem at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  token-broker serve --config broker.toml
  token-broker serve --config /etc/token-broker/        every file of a directory
  TOKEN_BROKER__LOG__LEVEL=debug token-broker serve     a key set by a variable")]
pub(super) struct Args {
    /// Configuration file (TOML, YAML or JSON) or directory.
    ///
    /// Without it: the variable `TOKEN_BROKER_CONFIG`, else /etc/token-broker/config.toml.
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
}

/// With thousands of integrations the log would begin with thousands of warnings.
const WARNINGS_MAX: usize = 20;

pub(super) fn run(args: &Args, env: &Env, _output: &mut Output) -> Result<(), Exit> {
    let loaded = setup::load(args.config.as_deref(), env, Options::default())?;
    let log = &loaded.spec.log;
    crate::telemetry::init_logging(&log.level, log.format == LogFormat::Json);
    warn(loaded.warnings);
    crate::app::serve(loaded.spec, env.clone())
        .map_err(|error| Exit::Failed(format!("error: {error}")))
}

/// By value: the memory of thousands is free before the broker runs.
fn warn(warnings: Vec<Problem>) {
    let more = warnings.len().saturating_sub(WARNINGS_MAX);
    for warning in warnings.into_iter().take(WARNINGS_MAX) {
        tracing::warn!(file = warning.file, "{}: {}", warning.key, warning.message);
    }
    if more > 0 {
        tracing::warn!("{more} more warnings: token-broker check shows them all");
    }
}

//! `serve`: run the broker.

use std::path::PathBuf;

use super::output::{Exit, Output};
use super::setup;
use crate::base::{Clock as _, SystemClock};
use crate::config::{self, Env, Options, Watch};
use crate::spec::LogFormat;

/// Run the broker: keep tokens fresh and serve them on localhost.
///
/// Runs until SIGTERM or Ctrl-C. Listens on `127.0.0.1:8656` and `[::1]:8656` unless the configuration
/// says otherwise. A vendor that is down does not stop it; a configuration that is wrong does, with
/// exit code 2 and every problem at once. A configuration that changes is followed (SIGHUP: at once);
/// one that has become wrong is told in the log, and the one before stays. Ends with exit code 0 if
/// nothing was lost.
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

pub(super) fn run(args: &Args, env: &Env, _output: &mut Output) -> Result<(), Exit> {
    let path = config::config_path(args.config.as_deref(), env);
    let mut watch = Watch::new(path, env.clone(), Options::default());
    let loaded = watch
        .load(SystemClock.now().wall)
        .map_err(|problems| Exit::Usage(setup::say(&problems)))?;
    let log = &loaded.spec.log;
    crate::telemetry::init_logging(&log.level, log.format == LogFormat::Json);
    crate::app::tell_warnings(&loaded.warnings);
    crate::app::serve(loaded.spec, env.clone(), watch)
        .map_err(|error| Exit::Failed(format!("error: {error}")))
}

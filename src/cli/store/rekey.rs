//! `store rekey`.

use std::path::PathBuf;

use super::{ConfigArgs, cannot_open, failed, vault};
use crate::app;
use crate::base::Secret;
use crate::cli::output::{Exit, Output};
use crate::cli::setup;
use crate::config::Env;
use crate::spec::SecretSource;
use crate::store::{self, OpenProblem, SealingKey};

/// Seal every entry with another key, for the first time too, or take the sealing off.
///
/// The `encryption_key` in the configuration opens the store. All or nothing: if it is interrupted,
/// the old key is still the right one. Afterwards the configuration must name the new key. A key is 32
/// bytes: as they are, as 64 hex digits, or in base64.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openssl rand -hex 32 > /run/secrets/store-key.new
  token-broker store rekey --new-key-file /run/secrets/store-key.new --config broker.toml
  token-broker store rekey --new-key-env NEW_STORE_KEY --config broker.toml
  token-broker store rekey --plain --config broker.toml      readable for whoever reads the file")]
#[group(id = "new", required = true, multiple = false, args = ["new_key_file", "new_key_env", "plain"])]
pub(super) struct Args {
    /// The file with the new key.
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
    /// The variable with the new key.
    #[arg(long, value_name = "NAME")]
    new_key_env: Option<String>,
    /// No key: entries are readable for whoever reads the file.
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &Args, env: &Env, output: &mut Output) -> Result<(), Exit> {
    let configured = args.config.load(env)?;
    let (old, new) = setup::block_on(async {
        let old = configured.key(env).await;
        Ok::<_, Exit>((old, new_key(args, env).await?))
    })??;
    // A store that is not sealed yet needs no key to open it, whatever the configuration says.
    let (old, trouble) = match old {
        Ok(key) => (key, None),
        Err(trouble) => (None, Some(trouble)),
    };
    let changed = store::rekey(&configured.path, old.as_ref(), new.as_ref());
    let count = changed.map_err(|error| match (trouble, &error.problem) {
        (Some(trouble), OpenProblem::KeyMissing) => trouble,
        _ => cannot_open(&error),
    })?;
    let entries = match count {
        1 => "1 entry".to_owned(),
        count => format!("{count} entries"),
    };
    output.line(&match &new {
        Some(_) => {
            let source = match (&args.new_key_file, &args.new_key_env) {
                (Some(file), _) => format!("file = {:?}", file.display().to_string()),
                (None, Some(name)) => format!("env = {name:?}"),
                (None, None) => String::new(),
            };
            format!(
                "sealed {entries} with the new key; now set encryption_key = {{ {source} }} in [store]"
            )
        }
        None => format!("{entries} are no longer sealed; now take encryption_key out of [store]"),
    })
}

async fn new_key(args: &Args, env: &Env) -> Result<Option<SealingKey>, Exit> {
    let source = match (&args.new_key_file, &args.new_key_env) {
        (Some(path), _) => SecretSource::File(path.clone()),
        (None, Some(name)) => {
            let value = env.get(name).filter(|value| !value.is_empty());
            let unset = || {
                let text = "error: --new-key-env names a variable that is not set";
                Exit::Usage(text.to_owned())
            };
            SecretSource::Value(Secret::new(value.ok_or_else(unset)?))
        }
        (None, None) => return Ok(None),
    };
    let key = app::read_sealing_key(&source, &vault(env)).await;
    key.map(Some).map_err(|error| match error {
        app::SealingError::NoKey(error) => Exit::Failed(format!("error: the new key {error}")),
        app::SealingError::Unavailable(_) => failed(&error),
    })
}

//! `store`: what the broker keeps on disk, while it does not run.
//!
//! Every action opens the file that the configuration names, exclusively. Must not decide what an
//! entry means to a running broker. Invariant: no token leaves through here.

mod list;
mod rekey;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;

use super::output::{Exit, Output};
use super::{Format, setup};
use crate::app;
use crate::base::{IntegrationId, SystemClock};
use crate::config::{Env, Options};
use crate::secrets::Vault;
use crate::spec::{self, Spec};
use crate::store::{self, BoundTo, Entry, Key, OpenError, Record, SealingKey, StateStore};

/// Look at, and repair, what the broker keeps on disk ([store] in the configuration).
///
/// It holds refresh tokens, access tokens that are still valid, and waits. The broker must not be
/// running: one process at a time has the file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  token-broker store list --config broker.toml            what is kept, never a token
  token-broker store forget crm --config broker.toml      drop what is kept about one integration
  token-broker store adopt crm --config broker.toml       keep its refresh token after a change of client_id or vendor
  token-broker store rekey --new-key-file key.new --config broker.toml")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(ListArgs),
    Forget(NameArgs),
    Adopt(AdoptArgs),
    Rekey(rekey::Args),
}

#[derive(Debug, clap::Args)]
struct ConfigArgs {
    /// Configuration file (TOML, YAML or JSON) or directory.
    ///
    /// Without it: the variable `TOKEN_BROKER_CONFIG`, else /etc/token-broker/config.toml.
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
}

/// Show what is kept: one line per entry, never a token.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  token-broker store list --config broker.toml
  token-broker store list --config broker.toml --format json")]
struct ListArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Drop everything that is kept about one integration: its refresh token is gone for good.
///
/// The broker then begins with the refresh token in the configuration, which may be spent, or asks
/// for a new consent.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  token-broker store forget crm --config broker.toml")]
struct NameArgs {
    /// The integration; it need not be in the configuration any more.
    #[arg(value_name = "INTEGRATION")]
    integration: IntegrationId,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Keep a refresh token although its integration has another `client_id`, provider or host now.
///
/// A refresh token is sent to nobody but whom it was issued by, for the client it was issued to.
/// When that changes in the configuration it stays where it is, unused. If the vendor is the same
/// behind another name, this says so.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  token-broker store list --config broker.toml      what it is bound to
  token-broker store adopt crm --config broker.toml")]
struct AdoptArgs {
    /// The integration.
    #[arg(value_name = "INTEGRATION")]
    integration: IntegrationId,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &Args, env: &Env, output: &mut Output) -> Result<(), Exit> {
    match &args.action {
        Action::List(args) => list::run(args, env, output),
        Action::Forget(args) => forget(args, env, output),
        Action::Adopt(args) => adopt(args, env, output),
        Action::Rekey(args) => rekey::run(args, env, output),
    }
}

/// What the configuration says of the store, secrets of integrations left out.
struct Configured {
    spec: Spec,
    path: PathBuf,
    key: Option<spec::SecretSource>,
}

impl ConfigArgs {
    fn load(&self, env: &Env) -> Result<Configured, Exit> {
        let options = Options {
            without_secrets: true,
        };
        let spec = setup::load(self.config.as_deref(), env, options)?.spec;
        match spec.store.clone() {
            spec::Store::Embedded {
                path,
                encryption_key,
            } => Ok(Configured {
                spec,
                path,
                key: encryption_key,
            }),
            spec::Store::Memory { .. } => Err(Exit::Usage(
                "error: nothing is kept on disk: set kind = \"embedded\" and path in [store]"
                    .to_owned(),
            )),
        }
    }
}

impl Configured {
    async fn key(&self, env: &Env) -> Result<Option<SealingKey>, Exit> {
        let Some(source) = &self.key else {
            return Ok(None);
        };
        let key = app::read_sealing_key(source, &vault(env)).await;
        key.map(Some).map_err(|error| failed(&error))
    }

    async fn open(&self, env: &Env) -> Result<Arc<dyn StateStore>, Exit> {
        let key = self.key(env).await?;
        let opened = store::open_existing(&self.path, key.as_ref(), Arc::new(SystemClock));
        opened.map_err(|error| cannot_open(&error))
    }
}

fn vault(env: &Env) -> Arc<Vault> {
    Vault::with_environment(
        Arc::new(SystemClock),
        env.get("PATH").map(Into::into),
        env.get("HOME").map(Into::into),
    )
}

fn failed(error: &dyn std::error::Error) -> Exit {
    Exit::Failed(format!("error: {error}"))
}

fn cannot_open(error: &OpenError) -> Exit {
    let Exit::Failed(mut text) = failed(error) else {
        return failed(error);
    };
    if error.is_held() {
        text.push_str("\nstop the broker first, and start it again afterwards");
    }
    Exit::Failed(text)
}

/// The entry of an integration, or a word on what there is instead.
async fn stored(store: &dyn StateStore, id: &IntegrationId, path: &Path) -> Result<Entry, Exit> {
    let found = store.load(&Key::from(id.clone())).await;
    found.map_err(|error| failed(&error))?.ok_or_else(|| {
        Exit::Failed(format!(
            "error: nothing is kept about {id} in {}: see token-broker store list",
            path.display()
        ))
    })
}

fn forget(args: &NameArgs, env: &Env, output: &mut Output) -> Result<(), Exit> {
    let configured = args.config.load(env)?;
    let id = &args.integration;
    let what = setup::block_on(async {
        let store = configured.open(env).await?;
        let key = Key::from(id.clone());
        // What cannot be read can be forgotten all the same.
        let what = match stored(&*store, id, &configured.path).await {
            Ok(entry) => list::holds(&Record::decode(&entry.value)),
            Err(not_there) => match store.forget(&key).await {
                Ok(true) => return Ok("an entry that could not be read".to_owned()),
                Ok(false) | Err(_) => return Err(not_there),
            },
        };
        store.forget(&key).await.map_err(|error| failed(&error))?;
        Ok(what)
    })??;
    output.line(&format!("forgot what was kept about {id}: {what}"))
}

fn adopt(args: &AdoptArgs, env: &Env, output: &mut Output) -> Result<(), Exit> {
    let configured = args.config.load(env)?;
    let id = &args.integration;
    let integrations = &configured.spec.integrations;
    let Some(integration) = integrations.iter().find(|one| one.id == *id) else {
        let text = format!("error: the configuration has no integration {id}");
        return Err(Exit::Usage(text));
    };
    let Some(now) = BoundTo::of(integration) else {
        let grant = integration.grant.name();
        let text = format!("error: {id} has no use for a refresh token: its grant is {grant}");
        return Err(Exit::Usage(text));
    };
    let before = setup::block_on(async {
        let store = configured.open(env).await?;
        let entry = stored(&*store, id, &configured.path).await?;
        let record = Record::decode(&entry.value);
        let mut record = record
            .map_err(|error| Exit::Failed(format!("error: what is kept about {id} {error}")))?;
        let Some(chain) = &mut record.chain else {
            let text = format!("error: no refresh token of {id} is kept");
            return Err(Exit::Failed(text));
        };
        let before = std::mem::replace(&mut chain.bound_to, now.clone());
        if before != now {
            let key = Key::from(id.clone());
            let saved = store.save(&key, record.encode(), entry.version).await;
            saved.map_err(|error| failed(&error))?;
        }
        Ok(before)
    })??;
    output.line(&if before == now {
        format!(
            "nothing to do: the refresh token of {id} is bound to {} already",
            list::whose(&now)
        )
    } else {
        format!(
            "the refresh token of {id} was bound to {} and is bound to {} now: the broker sends it \
             there",
            list::whose(&before),
            list::whose(&now)
        )
    })
}

#[cfg(test)]
mod tests;

//! Finding the running broker and asking it.

use std::path::PathBuf;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::explain;
use super::output::Exit;
use super::setup;
use crate::config::{self, Env, Options};
use crate::net::local::{Answer, Local, LocalError, Target};
use crate::spec::{DEFAULT_LISTEN, Listen, Spec};

/// How long any answer may take, beyond what the request itself waits.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the running broker is.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct BrokerArgs {
    /// The running broker: `http://HOST:PORT` or `unix:/PATH`.
    ///
    /// Without it: the variable `TOKEN_BROKER_URL`, else the first address in the configuration file
    /// if there is one, else `http://127.0.0.1:8656`.
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// The configuration file or directory, read for the broker's address and the header it wants
    /// (`[access] require_header`).
    ///
    /// Without it: the variable `TOKEN_BROKER_CONFIG`, else /etc/token-broker/config.toml.
    #[arg(long, value_name = "PATH")]
    pub(super) config: Option<PathBuf>,
}

impl BrokerArgs {
    pub(super) fn connect(&self, env: &Env) -> Result<Broker, Exit> {
        let asked = self.url.as_deref().or_else(|| env.get("TOKEN_BROKER_URL"));
        let asked = asked
            .map(Target::parse)
            .transpose()
            .map_err(|error| Exit::Usage(format!("error: {error}")))?;
        let spec = self.spec(env, asked.is_some())?;
        let target = match (asked, &spec) {
            (Some(target), _) => target,
            (None, Some(spec)) => first_listener(spec),
            (None, None) => tcp(DEFAULT_LISTEN[0]),
        };
        let mut local = Local::new(target);
        let wanted = spec.and_then(|spec| spec.access.require_header);
        if let Some(name) = wanted.and_then(|name| name.parse::<HeaderName>().ok()) {
            local = local.with_header(name, HeaderValue::from_static("token-broker"));
        }
        Ok(Broker { local })
    }

    /// The configuration, where there is one to read. Its problems matter only if it was named, and
    /// the address was not.
    fn spec(&self, env: &Env, address_is_known: bool) -> Result<Option<Spec>, Exit> {
        let path = config::config_path(self.config.as_deref(), env);
        let named = self.config.is_some() || env.get("TOKEN_BROKER_CONFIG").is_some();
        if !named && !path.exists() {
            return Ok(None);
        }
        let options = Options {
            without_secrets: true,
        };
        match config::load(&path, env, options) {
            Ok(loaded) => Ok(Some(loaded.spec)),
            Err(problems) if named && !address_is_known => Err(Exit::Usage(setup::say(&problems))),
            Err(_not_ours_to_judge) => Ok(None),
        }
    }
}

/// A broker that is believed to run.
#[derive(Debug)]
pub(super) struct Broker {
    local: Local,
}

impl Broker {
    #[cfg(feature = "sandbox")]
    pub(super) fn at(listen: &Listen) -> Self {
        Self {
            local: Local::new(target(listen)),
        }
    }

    pub(super) fn target(&self) -> &Target {
        self.local.target()
    }

    /// `path` with its query; `wait` is what the request itself may take.
    pub(super) async fn get(&self, path: &str, wait: Duration) -> Result<Answer, Exit> {
        let answer = self.local.get(path, wait.saturating_add(PATIENCE)).await;
        answer.map_err(|error| {
            let advice = match &error {
                LocalError::NotRunning(_) => {
                    "\n  start one:       token-broker serve --config PATH\
                     \n  or say where:    --url http://HOST:PORT or --url unix:/PATH"
                }
                _ => "",
            };
            Exit::Failed(format!("error: {error}{advice}"))
        })
    }

    /// An answer that must be 200 and JSON; anything else is explained.
    pub(super) async fn json(&self, path: &str) -> Result<Value, Exit> {
        let answer = self.get(path, Duration::ZERO).await?;
        if !answer.status.is_success() {
            return Err(Exit::Failed(explain::answer(&answer)));
        }
        serde_json::from_str(answer.body.expose()).map_err(|_unfit| {
            let target = self.target();
            Exit::Failed(format!(
                "error: what answers at {target} is no token broker"
            ))
        })
    }
}

fn first_listener(spec: &Spec) -> Target {
    let first = spec.server.listen.first();
    first.map_or_else(|| tcp(DEFAULT_LISTEN[0]), target)
}

fn target(listen: &Listen) -> Target {
    match listen {
        Listen::Tcp(address) => tcp(*address),
        Listen::Unix(path) => Target::Unix(path.clone()),
    }
}

fn tcp(address: std::net::SocketAddr) -> Target {
    Target::Tcp(address.to_string())
}

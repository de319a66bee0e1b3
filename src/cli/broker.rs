//! Finding the running broker and asking it.

use std::path::PathBuf;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::explain;
use super::output::Exit;
use super::setup;
use crate::base::Secret;
use crate::config::{self, Env, Options};
use crate::net::local::{Answer, Local, LocalError, Target};
use crate::spec::{Access, DEFAULT_LISTEN, Listen, Spec};

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
        let access = spec.map(|spec| spec.access).unwrap_or_default();
        Ok(Broker::new(target, &access))
    }

    /// Whether somebody said where the broker is: then it is there, or nowhere.
    pub(super) fn says_where(&self, env: &Env) -> bool {
        self.url.is_some() || env.get("TOKEN_BROKER_URL").is_some()
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
    fn new(target: Target, access: &Access) -> Self {
        let mut local = Local::new(target);
        let wanted = access.require_header.as_deref();
        if let Some(name) = wanted.and_then(|name| name.parse::<HeaderName>().ok()) {
            local = local.with_header(name, HeaderValue::from_static("token-broker"));
        }
        Self { local }
    }

    /// A broker in this very process.
    pub(super) fn at(listen: &Listen, access: &Access) -> Self {
        Self::new(target(listen), access)
    }

    /// For those who need one.
    pub(super) fn not_running(&self) -> Exit {
        unreachable(&LocalError::NotRunning(self.target().clone()))
    }

    pub(super) fn target(&self) -> &Target {
        self.local.target()
    }

    /// `path` with its query; `wait` is what the request itself may take.
    pub(super) async fn get(&self, path: &str, wait: Duration) -> Result<Answer, Exit> {
        let answer = self.local.get(path, wait.saturating_add(PATIENCE)).await;
        answer.map_err(|error| unreachable(&error))
    }

    /// Posts text; `None`: no broker runs.
    pub(super) async fn post(
        &self,
        path: &str,
        text: &Secret,
        wait: Duration,
    ) -> Result<Option<Answer>, Exit> {
        let patience = wait.saturating_add(PATIENCE);
        match self.local.post(path, text, patience).await {
            Ok(answer) => Ok(Some(answer)),
            Err(LocalError::NotRunning(_)) => Ok(None),
            Err(error) => Err(unreachable(&error)),
        }
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

fn unreachable(error: &LocalError) -> Exit {
    let advice = match error {
        LocalError::NotRunning(_) => {
            "\n  start one:       token-broker serve --config PATH\
             \n  or say where:    --url http://HOST:PORT or --url unix:/PATH"
        }
        _ => "",
    };
    Exit::Failed(format!("error: {error}{advice}"))
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

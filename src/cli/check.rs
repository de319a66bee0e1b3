//! `check`: is the configuration right? Asks nobody.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Format;
use super::output::{Exit, Output};
use super::setup;
use crate::base::{Clock as _, SystemClock, Timestamp};
use crate::config::{self, Env, Loaded, Options, Problem, Problems};
use crate::exchange;
use crate::spec::{Listen, SecretKind, Spec};

/// Check a configuration without starting anything or asking any vendor.
///
/// Shows every problem at once, each with its file and key. Never shows a value.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  token-broker check --config broker.toml
  token-broker check --config broker.toml --without-secrets    where the secrets are not, as in CI
  token-broker check --config broker.toml --format json
  token-broker doctor --config broker.toml    the next step: ask the vendors, once each

Exit codes: 0 no problem (there may be warnings), 2 problems.")]
pub(super) struct Args {
    /// Configuration file (TOML, YAML or JSON) or directory.
    ///
    /// Without it: the variable `TOKEN_BROKER_CONFIG`, else /etc/token-broker/config.toml.
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Do not ask for variables that hold secrets to be set.
    #[arg(long)]
    without_secrets: bool,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args, env: &Env, output: &mut Output) -> Result<(), Exit> {
    let path = config::config_path(args.config.as_deref(), env);
    let options = Options {
        without_secrets: args.without_secrets,
    };
    let mut loaded = config::load(&path, env, options).and_then(|loaded| with_keys(loaded, &path));
    if let Ok(loaded) = &mut loaded {
        let now = SystemClock.now().wall;
        let ending = ending_secrets(&loaded.spec, &path, now);
        loaded.warnings.extend(ending);
    }
    if args.format == Format::Json {
        let (document, good) = match &loaded {
            Ok(loaded) => (good_document(loaded), true),
            Err(problems) => {
                let mut document = problems.to_json();
                if let Some(members) = document.as_object_mut() {
                    members.insert("ok".to_owned(), json!(false));
                }
                (document, false)
            }
        };
        output.line(&format!("{document:#}"))?;
        return if good {
            Ok(())
        } else {
            Err(Exit::Usage("the configuration has problems".to_owned()))
        };
    }
    match loaded {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                output.line(&format!("warning: {warning}"))?;
            }
            output.line(&summary(&loaded.spec))
        }
        Err(problems) => Err(Exit::Usage(setup::say(&problems))),
    }
}

/// Secrets that end soon, as warnings: the configuration itself is right.
fn ending_secrets(spec: &Spec, path: &Path, now: Timestamp) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for one in &spec.integrations {
        for secret in one.grant.ending_secrets(now) {
            let kind = match secret.kind {
                SecretKind::ClientSecret => "client_secret",
                SecretKind::ClientKey => "client_assertion.key",
                SecretKind::Key => "assertion.key",
                SecretKind::Token => "token",
            };
            let key = match secret.of {
                1 => kind.to_owned(),
                _ => format!("{kind}.{}", secret.index),
            };
            let at = secret.at;
            let message = match at.since(now).as_secs() {
                0 => format!("has expired ({at}): put a new one in"),
                left => format!(
                    "expires in {} days ({at}): get a new one in time",
                    left / 86_400
                ),
            };
            warnings.push(Problem {
                file: path.display().to_string(),
                key: format!("integrations.{}.{key}", one.id),
                message,
            });
        }
    }
    warnings
}

/// Looks at the keys that assertions are signed with, too.
fn with_keys(loaded: Loaded, path: &Path) -> Result<Loaded, Problems> {
    let file = path.display().to_string();
    let integrations = loaded.spec.integrations.iter();
    let mut problems = integrations
        .flat_map(|integration| exchange::validate(integration))
        .map(|found| Problem::new(&file, &found.key, found.message));
    match problems.next() {
        None => {}
        Some(first) => {
            let more = problems.collect();
            return Err(Problems::found(first, more, loaded.warnings.clone()));
        }
    }
    drop(problems);
    Ok(loaded)
}

fn good_document(loaded: &Loaded) -> Value {
    let integrations: Vec<Value> = loaded
        .spec
        .integrations
        .iter()
        .map(|one| {
            json!({
                "name": one.id.as_str(),
                "provider": &*one.provider,
                "grant": one.grant.name(),
                "rate_limit": one.refresh.rate_limit.map(|limit| limit.to_string()),
            })
        })
        .collect();
    let warnings: Vec<Value> = loaded.warnings.iter().map(Problem::to_json).collect();
    json!({ "ok": true, "problems": [], "warnings": warnings, "integrations": integrations })
}

/// What is configured, in a few lines.
fn summary(spec: &Spec) -> String {
    let mut lines = vec![match spec.integrations.len() {
        0 => "the configuration is right, but names no integration: nothing would be served"
            .to_owned(),
        1 => "the configuration is right: 1 integration".to_owned(),
        count => format!("the configuration is right: {count} integrations"),
    }];
    let mut rows = Vec::new();
    for one in &spec.integrations {
        rows.push(vec![
            format!("  {}", one.id),
            one.provider.to_string(),
            one.grant.name().to_owned(),
            match one.refresh.rate_limit {
                Some(limit) => format!("at most {limit}"),
                None => String::new(),
            },
        ]);
    }
    if !rows.is_empty() {
        lines.push(super::table::aligned(&rows));
    }
    let listen: Vec<String> = spec.server.listen.iter().map(shown).collect();
    lines.push(format!("served on {}", listen.join(" and ")));
    if let Some(admin) = &spec.admin {
        let listen: Vec<String> = admin.listen.iter().map(shown).collect();
        lines.push(format!("probes and metrics on {}", listen.join(" and ")));
    }
    lines.join("\n")
}

fn shown(listen: &Listen) -> String {
    match listen {
        Listen::Tcp(address) => format!("http://{address}"),
        Listen::Unix(path) => format!("unix:{}", path.display()),
    }
}

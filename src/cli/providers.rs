//! `providers`: the vendors the broker knows, and what each needs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::output::{Exit, Output};
use super::{Format, setup, table};
use crate::config::{self, Env, Options, Param, Provider};

/// List the vendors the broker knows, or show what one of them needs and a configuration to begin
/// with.
///
/// A vendor that is not listed works too: its endpoints are spelled out in the configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  token-broker providers
  token-broker providers 360learning
  token-broker providers 360learning --format json
  token-broker providers --config broker.toml          with those of your own")]
pub(super) struct Args {
    /// The vendor, as `provider = \"...\"` names it.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// A folder with provider files of your own, as `[providers] path` in the configuration.
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// The configuration file or directory whose `[providers] path` names that folder.
    #[arg(long, value_name = "PATH", conflicts_with = "path")]
    config: Option<PathBuf>,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args, env: &Env, output: &mut Output) -> Result<(), Exit> {
    let folder = folder(args, env)?;
    let Some(name) = &args.name else {
        return list(args.format, folder.as_deref(), output);
    };
    let provider = config::provider(name, folder.as_deref())
        .map_err(|problems| Exit::Usage(setup::say(&problems)))?;
    let starter = config::starter_config(&provider);
    output.line(&match args.format {
        Format::Json => {
            let mut document = document(&provider);
            if let Some(members) = document.as_object_mut() {
                members.insert("starter_config".to_owned(), starter.into());
            }
            format!("{document:#}")
        }
        Format::Text => text(&provider, &starter),
    })
}

/// Where the user's own provider files are: `--path`, else as the broker would find it.
fn folder(args: &Args, env: &Env) -> Result<Option<PathBuf>, Exit> {
    if args.path.is_some() {
        return Ok(args.path.clone());
    }
    if let Some(config) = &args.config {
        let options = Options {
            without_secrets: true,
        };
        return Ok(setup::load(Some(config), env, options)?.providers_path);
    }
    Ok(env.get("TOKEN_BROKER__PROVIDERS__PATH").map(PathBuf::from))
}

fn list(format: Format, folder: Option<&Path>, output: &mut Output) -> Result<(), Exit> {
    let all = config::providers(folder).map_err(|problems| Exit::Usage(setup::say(&problems)))?;
    if format == Format::Json {
        let all: Vec<Value> = all.iter().map(|one| document(one)).collect();
        return output.line(&format!("{:#}", json!({ "providers": all })));
    }
    let headings = ["NAME", "VENDOR", "GRANT", "STATUS", "CHECKED"];
    let mut rows = vec![headings.map(str::to_owned).to_vec()];
    rows.extend(all.iter().map(|one| {
        vec![
            one.id.clone(),
            one.name.clone(),
            one.grant().unwrap_or("-").to_owned(),
            one.status.clone(),
            one.checked.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    }));
    output.line(&table::aligned(&rows))?;
    output.line("\nwhat one needs: token-broker providers NAME")
}

fn text(provider: &Provider, starter: &str) -> String {
    let mut lines = vec![format!("{} ({})", provider.name, provider.id)];
    let (grants, renewal) = (provider.grants(), provider.renewal());
    let others = grants.get(1..).unwrap_or_default().join(", ");
    let facts = [
        ("grant", provider.grant()),
        ("or", Some(others.as_str()).filter(|text| !text.is_empty())),
        ("renewal", renewal.as_deref()),
        ("docs", provider.docs.as_deref()),
        ("checked", provider.checked.as_deref()),
        ("status", Some(provider.status.as_str())),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            lines.push(format!("  {name:<8} {value}"));
        }
    }
    if provider.takes_logins() {
        let text = "\na person consents once, with 'token-broker login NAME'; from then on the broker \
                    renews by itself";
        lines.push(text.to_owned());
    }
    if !provider.params.is_empty() {
        lines.push("\nit needs:".to_owned());
    }
    for param in &provider.params {
        lines.push(format!("  {}  {}", param.name, needs(param)));
        for line in param.description.lines() {
            lines.push(format!("      {line}"));
        }
    }
    lines.push("\na configuration to begin with:\n".to_owned());
    lines.push(starter.trim_end().to_owned());
    lines.join("\n")
}

/// What is asked of a parameter's value, in a few words.
fn needs(param: &Param) -> String {
    let mut words = vec![
        if param.required {
            "(required)"
        } else {
            "(optional)"
        }
        .to_owned(),
    ];
    if param.secret {
        words.push("a secret".to_owned());
    }
    if !param.choices.is_empty() {
        let names: Vec<&str> = param
            .choices
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        words.push(format!("one of {}", names.join(", ")));
    }
    if let Some(default) = param.default.as_deref().filter(|text| !text.is_empty()) {
        words.push(format!("default {default}"));
    }
    if let Some(example) = &param.example {
        words.push(format!("for example {example}"));
    }
    words.join(", ")
}

fn document(provider: &Provider) -> Value {
    let params: Vec<Value> = provider
        .params
        .iter()
        .map(|param| {
            let choices: Vec<&str> = param
                .choices
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            json!({
                "name": param.name,
                "description": param.description,
                "required": param.required,
                "secret": param.secret,
                "default": param.default,
                "example": param.example,
                "choices": choices,
            })
        })
        .collect();
    json!({
        "name": provider.id,
        "title": provider.name,
        "grant": provider.grant(),
        "grants": provider.grants(),
        "renewal": provider.renewal(),
        "docs": provider.docs,
        "checked": provider.checked,
        "status": provider.status,
        "params": params,
    })
}

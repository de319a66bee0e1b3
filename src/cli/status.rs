//! `status`: how the integrations of the running broker are.

use std::time::Duration;

use serde_json::Value;

use super::broker::BrokerArgs;
use super::output::{Exit, Output};
use super::{Format, setup, table};
use crate::base::{HumanDuration, IntegrationId, Redactor};

/// Show how the integrations of the running broker are.
///
/// States: valid, refreshing, degraded (valid, but the last attempt failed), pending (no token yet),
/// expired, rejected and `login_required` (somebody has to act).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  token-broker status
  token-broker status sfmc
  token-broker status --url http://127.0.0.1:8656 --format json
  token-broker doctor sfmc --config broker.toml    why one is not valid")]
pub(super) struct Args {
    /// Only this one.
    #[arg(value_name = "INTEGRATION")]
    integration: Option<IntegrationId>,
    /// How to write the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    broker: BrokerArgs,
}

pub(super) fn run(args: &Args, env: &crate::config::Env, output: &mut Output) -> Result<(), Exit> {
    let broker = args.broker.connect(env)?;
    let path = args.integration.as_ref().map_or_else(
        || "/integrations".to_owned(),
        |name| format!("/integrations/{name}"),
    );
    let document = setup::block_on(broker.json(&path))??;
    output.line(&match args.format {
        Format::Json => format!("{document:#}"),
        Format::Text => text(&document),
    })
}

/// A table of all, or of the one that was asked for.
fn text(document: &Value) -> String {
    let one = std::slice::from_ref(document);
    let all = document.get("integrations").and_then(Value::as_array);
    let integrations = all.map_or(one, Vec::as_slice);
    if integrations.is_empty() {
        return "the broker runs, but has no integrations".to_owned();
    }
    let headings = ["NAME", "PROVIDER", "STATE", "EXPIRES IN", "LAST ERROR"];
    let mut rows = vec![headings.map(str::to_owned).to_vec()];
    let mut hints = Vec::new();
    for one in integrations {
        let name = word(one, "name");
        let error = one.get("last_error").filter(|error| !error.is_null());
        let said = error.map_or_else(String::new, |error| {
            let said = word(error, "error_description");
            if said == "-" {
                word(error, "error")
            } else {
                said
            }
        });
        if let Some(hint) = error.and_then(|error| error.get("hint")?.as_str()) {
            hints.push(format!("{name}: {}", Redactor::default().clean(hint)));
        }
        rows.push(vec![
            name,
            word(one, "provider"),
            word(one, "state"),
            expires_in(one),
            said,
        ]);
    }
    let mut text = table::aligned(&rows);
    if !hints.is_empty() {
        text.push_str("\n\n");
        text.push_str(&hints.join("\n"));
    }
    text
}

fn word(one: &Value, member: &str) -> String {
    one.get(member)
        .and_then(Value::as_str)
        .map_or_else(|| "-".to_owned(), |text| Redactor::default().clean(text))
}

fn expires_in(one: &Value) -> String {
    let held = one.get("token_fingerprint").is_some_and(Value::is_string);
    match one.get("expires_in").and_then(Value::as_u64) {
        Some(seconds) => HumanDuration(Duration::from_secs(seconds)).to_string(),
        None if held => "never".to_owned(),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_with_hints_below() {
        let document = json!({"integrations": [
            {"name": "a", "provider": "p", "state": "valid", "expires_in": 3661,
                "token_fingerprint": "0", "last_error": null},
            {"name": "long-name", "provider": "v.example", "state": "rejected", "expires_in": null,
                "token_fingerprint": null, "last_error": {"error": "credentials_rejected",
                "error_description": "the vendor\u{1b}[31m refused", "hint": "rotate it"}},
            {"name": "s", "provider": "p", "state": "valid", "expires_in": null,
                "token_fingerprint": "1"}]});
        assert_eq!(
            text(&document),
            "NAME       PROVIDER   STATE     EXPIRES IN  LAST ERROR\n\
             a          p          valid     1h1m1s\n\
             long-name  v.example  rejected  -           the vendor[31m refused\n\
             s          p          valid     never\n\
             \n\
             long-name: rotate it"
        );
        assert!(text(&json!({"integrations": []})).contains("no integrations"));
        assert!(
            text(&json!({"name": "x", "state": "pending"})).contains("x     -         pending")
        );
    }
}

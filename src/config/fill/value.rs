//! What an operator gave for a parameter, held to what the provider wants.

use crate::config::lower::secret::{Secrets, one_secret};
use crate::config::merge::Definition;
use crate::config::problem::Report;
use crate::config::provider::{Choice, Param};
use crate::config::tree::{Node, Raw};
use crate::spec::SecretSource;

const MAX_VALUE: usize = 4096;

pub(super) enum Value {
    Given(String),
    /// Written in the provider file itself: may shape a URL.
    Trusted(Choice),
    Secret(SecretSource),
    /// Optional and not given: whatever needs it is left out.
    Absent,
    /// Required and not given: a problem once something asks for it.
    Missing,
    Bad,
}

pub(super) fn of(
    definition: &Definition,
    param: &Param,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Value {
    let node = definition
        .table
        .get(&param.name)
        .filter(|node| node.text() != Some(""));
    let path = format!("integrations.{}.{}", definition.id, param.name);
    match node {
        Some(node) if param.secret => {
            one_secret(node, &path, secrets, report).map_or(Value::Bad, Value::Secret)
        }
        Some(node) => given(node, param, &path, report),
        None => match &param.default {
            Some(default) => chosen(param, default).unwrap_or(Value::Bad),
            None if param.required => Value::Missing,
            None => Value::Absent,
        },
    }
}

fn given(node: &Node, param: &Param, path: &str, report: &mut Report) -> Value {
    let Some(text) = node.text() else {
        if !matches!(node.raw, Raw::Bad) {
            let message = "must be a string: write it in quotes";
            report.problem(node.file(), node.key(path), message);
        }
        return Value::Bad;
    };
    if !param.choices.is_empty() {
        return chosen(param, text).unwrap_or_else(|| {
            let names: Vec<_> = param
                .choices
                .iter()
                .map(|(name, _)| format!("\"{name}\""))
                .collect();
            let message = format!("must be {}", names.join(" or "));
            report.problem(node.file(), node.key(path), message);
            Value::Bad
        });
    }
    let matches = param
        .pattern
        .as_ref()
        .is_none_or(|pattern| pattern.is_match(text));
    if text.len() > MAX_VALUE || text.chars().any(char::is_control) || !matches {
        let about = &param.description;
        let mut message = format!("does not have the form the provider wants: {about}");
        if let Some(example) = &param.example {
            message = format!("{message}, such as \"{example}\"");
        }
        report.problem(node.file(), node.key(path), message);
        return Value::Bad;
    }
    Value::Given(text.to_owned())
}

fn chosen(param: &Param, name: &str) -> Option<Value> {
    if param.choices.is_empty() {
        return Some(Value::Given(name.to_owned()));
    }
    let found = param.choices.iter().find(|(choice, _)| choice == name);
    found.map(|(_, choice)| Value::Trusted(choice.clone()))
}

//! Checks a raw tree against the schema: unknown keys, keys that are not built yet, wrong kinds.
//!
//! Whatever is reported here becomes [`Raw::Bad`], so that `lower` neither reads it nor calls it
//! missing. Text from variables takes the kind of its key here.

use crate::base::Zeroizing;

use super::problem::{Report, did_you_mean};
use super::schema::{Key, Kind, PARAM};
use super::tree::{Node, Origin, Raw, Table};
use crate::base::{Timestamp, parse_duration};

/// Tables and lists in one another where values are free.
const MAX_DEPTH: usize = 16;

pub(super) const NOT_BUILT: &str = "is not built yet in this version: remove it";

/// Checks a table; `parameters` are the further names a provider adds.
pub(super) fn check(
    table: &mut Table,
    keys: &[Key],
    parameters: &[&str],
    path: &str,
    report: &mut Report,
) {
    for (name, node) in &mut table.0 {
        let at = join(path, name);
        let Some(key) = keys.iter().find(|key| key.name == name) else {
            // A parameter's kind depends on its provider: checked where it is resolved.
            if parameters.contains(&name.as_str()) {
                continue;
            }
            let known = keys
                .iter()
                .map(|key| key.name)
                .chain(parameters.iter().copied());
            let message = format!("is not a known key{}", did_you_mean(name, known));
            report.problem(node.file(), node.key(&at), message);
            node.raw = Raw::Bad;
            continue;
        };
        check_value(node, key.kind, &at, report);
    }
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn check_value(node: &mut Node, kind: Kind, at: &str, report: &mut Report) {
    if matches!(node.origin, Origin::Variable(_)) {
        type_variable(node, kind);
    }
    if matches!(kind, Kind::Later) {
        report.problem(node.file(), node.key(at), NOT_BUILT);
        node.raw = Raw::Bad;
        return;
    }
    if matches!(node.raw, Raw::Null) {
        let message = "has no value: give it one or remove the key";
        report.problem(node.file(), node.key(at), message);
        node.raw = Raw::Bad;
        return;
    }
    match (kind, &mut node.raw) {
        (Kind::Table(keys), Raw::Table(table)) => return check(table, keys, &[], at, report),
        (Kind::Map, Raw::Table(table)) => return check_all(table, Kind::Text, at, report),
        (Kind::Free, Raw::Table(table)) => return check_free(table, at, MAX_DEPTH, report),
        (Kind::Params, Raw::Table(table)) => {
            for (name, node) in &mut table.0 {
                let at = join(at, name);
                match &node.raw {
                    Raw::Table(_) => check_value(node, Kind::Table(PARAM), &at, report),
                    _ => check_free_value(node, &at, MAX_DEPTH, report),
                }
            }
            return;
        }
        (Kind::Choices, Raw::Table(table)) => {
            for (name, node) in &mut table.0 {
                let kind = match &node.raw {
                    Raw::Table(_) => Kind::Map,
                    _ => Kind::Text,
                };
                check_value(node, kind, &join(at, name), report);
            }
            return;
        }
        (Kind::Rules(keys), Raw::List(items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                check_value(item, Kind::Table(keys), &format!("{at}.{index}"), report);
            }
            return;
        }
        _ => {}
    }
    if let Some(wanted) = wrong(kind, &node.raw) {
        report.problem(node.file(), node.key(at), wanted);
        node.raw = Raw::Bad;
    }
}

/// Any JSON value but null, with numbers that JSON can write.
fn check_free(table: &mut Table, at: &str, depth: usize, report: &mut Report) {
    for (name, node) in &mut table.0 {
        check_free_value(node, &join(at, name), depth, report);
    }
}

fn check_free_value(node: &mut Node, at: &str, depth: usize, report: &mut Report) {
    let below = depth.checked_sub(1);
    let message = match (&mut node.raw, below) {
        (Raw::Text(_) | Raw::Bool(_) | Raw::Int(_) | Raw::Bad, _) => return,
        (Raw::Float(number), _) if number.is_finite() => return,
        (Raw::Float(_), _) => "must be a number that JSON can write",
        (Raw::Null, _) => "has no value: give it one or remove the key",
        (Raw::Table(_) | Raw::List(_), None) => "is nested too deeply",
        (Raw::Table(table), Some(below)) => return check_free(table, at, below, report),
        (Raw::List(items), Some(below)) => {
            for (index, item) in items.iter_mut().enumerate() {
                check_free_value(item, &format!("{at}.{index}"), below, report);
            }
            return;
        }
    };
    report.problem(node.file(), node.key(at), message);
    node.raw = Raw::Bad;
}

fn check_all(table: &mut Table, kind: Kind, at: &str, report: &mut Report) {
    for (name, node) in &mut table.0 {
        check_value(node, kind, &join(at, name), report);
    }
}

/// What would be right, if the value is not.
fn wrong(kind: Kind, raw: &Raw) -> Option<String> {
    let text = match raw {
        Raw::Text(text) => Some(text.as_str()),
        _ => None,
    };
    let scalar = matches!(raw, Raw::Bool(_) | Raw::Int(_) | Raw::Float(_));
    let all_text = |items: &[Node]| items.iter().all(|item| item.text().is_some());
    let removed = text == Some("");
    let message = match kind {
        _ if matches!(raw, Raw::Bad) => return None,
        Kind::Text if text.is_some() => return None,
        Kind::Text if scalar => "must be a string: write it in quotes".to_owned(),
        Kind::Text => "must be a string".to_owned(),
        Kind::Choice(words) if removed || text.is_some_and(|text| words.contains(&text)) => {
            return None;
        }
        Kind::Choice(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
            format!("must be {}", words.join(" or "))
        }
        Kind::Bool if matches!(raw, Raw::Bool(_)) => return None,
        Kind::Bool => "must be true or false, without quotes".to_owned(),
        Kind::Integer if matches!(raw, Raw::Int(_)) => return None,
        Kind::Integer => "must be a whole number, without quotes".to_owned(),
        Kind::Number if matches!(raw, Raw::Int(_) | Raw::Float(_)) => return None,
        Kind::Number => "must be a number, without quotes".to_owned(),
        Kind::Duration if removed || duration(raw).is_some() => return None,
        Kind::Duration => {
            "must be a duration such as \"1h30m\", \"500ms\" or whole seconds".to_owned()
        }
        Kind::Time if removed || text.and_then(Timestamp::parse_rfc3339).is_some() => return None,
        Kind::Time => "must be a time such as \"2027-05-01T00:00:00Z\" (RFC 3339)".to_owned(),
        Kind::List | Kind::TextOrList => match raw {
            Raw::List(items) if all_text(items) => return None,
            Raw::List(_) => "must be a list of strings: write each in quotes".to_owned(),
            Raw::Text(_) if matches!(kind, Kind::TextOrList) => return None,
            _ if matches!(kind, Kind::TextOrList) => {
                "must be a string or a list of strings, in quotes".to_owned()
            }
            _ => "must be a list of strings: [\"...\"]".to_owned(),
        },
        Kind::Secret | Kind::Secrets => match raw {
            Raw::Text(_) | Raw::Table(_) => return None,
            Raw::List(_) if matches!(kind, Kind::Secrets) => return None,
            _ if scalar => "must be a string: write it in quotes".to_owned(),
            _ => super::lower::SECRET_FORMS.to_owned(),
        },
        Kind::Scalars => match raw {
            Raw::Table(table)
                if table.0.iter().all(|(_, node)| {
                    matches!(node.raw, Raw::Text(_) | Raw::Int(_) | Raw::Bool(_))
                }) =>
            {
                return None;
            }
            _ => "must be a table of strings, whole numbers or true and false".to_owned(),
        },
        Kind::Free => "must be a table of names and values".to_owned(),
        Kind::Map | Kind::Choices => "must be a table of names and strings".to_owned(),
        Kind::Table(_) | Kind::Params => "must be a table".to_owned(),
        Kind::Rules(_) => "must be a list of tables".to_owned(),
        Kind::Later => NOT_BUILT.to_owned(),
    };
    Some(message)
}

pub(super) fn duration(raw: &Raw) -> Option<std::time::Duration> {
    match raw {
        Raw::Text(text) => parse_duration(text),
        Raw::Int(seconds) => u64::try_from(*seconds)
            .ok()
            .map(std::time::Duration::from_secs),
        _ => None,
    }
}

/// Variables hold text; keys of other kinds read theirs out of it.
fn type_variable(node: &mut Node, kind: Kind) {
    let Raw::Text(text) = &node.raw else { return };
    let typed = match kind {
        Kind::Bool => text.parse().ok().map(Raw::Bool),
        Kind::Integer => text.parse().ok().map(Raw::Int),
        Kind::Number => text.parse().ok().map(Raw::Float),
        Kind::List => Some(Raw::List(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Node {
                    raw: Raw::Text(Zeroizing::new(item.to_owned())),
                    origin: node.origin.clone(),
                })
                .collect(),
        )),
        _ => None,
    };
    if let Some(raw) = typed {
        node.raw = raw;
    }
}

//! Reading a provider file, and holding it to what it promises.

use std::sync::Arc;

use regex_lite::RegexBuilder;

use super::super::parse::{Format, parse};
use super::super::problem::Report;
use super::super::schema::{INTEGRATION, PROVIDER_OWN, provider_file};
use super::super::shape;
use super::super::tree::{Node, Origin, Raw, Table};
use super::holes;
use super::{Choice, Param, Provider};
use crate::spec::{ErrorRule, Hint, Match, OutcomeClass, Vendor};

const MAX_PATTERN: usize = 500;
const PATTERN_MEMORY: usize = 256 * 1024;
/// More than any vendor has, and few enough for each to have a pattern.
const MAX_PARAMETERS: usize = 64;
/// What stands for something by itself where a text is made when it is sent.
const RESERVED: [&str; 6] = [
    "now",
    "uuid",
    "steps",
    "key_fingerprint",
    "certificate_fingerprint",
    "access_token",
];

/// Reads a provider file. `None` once the reason is in the report.
pub(in crate::config) fn read_provider(
    id: &str,
    text: &str,
    format: Format,
    file: &str,
    report: &mut Report,
) -> Option<Provider> {
    let origin = Origin::Provider(file.into());
    let mut reading = Report::default();
    let found = parse(text, format, &origin, file, &mut reading).map(|mut table| {
        shape::check(&mut table, &provider_file(), &[], "", &mut reading);
        assemble(id, table, file, &mut reading)
    });
    match reading.finish(found) {
        Ok((provider, _)) => Some(provider),
        Err(problems) => {
            for problem in problems.list() {
                report.problem(&problem.file, &problem.key, problem.message.clone());
            }
            None
        }
    }
}

fn assemble(id: &str, mut table: Table, file: &str, report: &mut Report) -> Provider {
    let mut request = Table::default();
    let mut params = Vec::new();
    if let Some(Raw::Table(entries)) = table.take("params").map(|node| node.raw) {
        for (name, node) in entries.0 {
            match &node.raw {
                Raw::Table(_) if params.len() == MAX_PARAMETERS => {
                    let message = format!("are more than {MAX_PARAMETERS} parameters");
                    report.problem(file, "params", message);
                    break;
                }
                Raw::Table(definition) => {
                    params.push(param(&name, definition, file, report));
                    if let Some(sent_as) = definition.text("sent_as") {
                        let hole = Raw::Text(format!("{{{name}}}").into());
                        let origin = node.origin.clone();
                        request.set(sent_as, Node { raw: hole, origin });
                    }
                }
                _ => request.set(&name, node),
            }
        }
    }
    if !request.0.is_empty() {
        let origin = Origin::Provider(file.into());
        table.set(
            "params",
            Node {
                raw: Raw::Table(request),
                origin,
            },
        );
    }
    let errors = rules(&mut table, "errors", file, report, |when, rule| {
        let outcome = match rule.text("outcome")? {
            "transient" => OutcomeClass::Transient,
            "rate_limited" => OutcomeClass::RateLimited,
            "bad_credential" => OutcomeClass::BadCredential,
            "bad_request" => OutcomeClass::BadRequest,
            _ => OutcomeClass::DeadGrant,
        };
        Some(ErrorRule { when, outcome })
    });
    let hints = rules(&mut table, "hints", file, report, |when, rule| {
        let advice = rule.text("advice")?.to_owned();
        Some(Hint { when, advice })
    });
    let mut own = |key: &str| {
        table
            .take(key)
            .and_then(|node| node.text().map(str::to_owned))
    };
    let docs = own("docs");
    let provider = Provider {
        id: id.to_owned(),
        name: own("name").unwrap_or_else(|| id.to_owned()),
        checked: own("checked"),
        status: own("status").unwrap_or_else(|| "unverified".to_owned()),
        params,
        vendor: Arc::new(Vendor {
            docs: docs.clone(),
            errors,
            hints,
        }),
        docs,
        table,
    };
    holes::check(&provider, file, report);
    provider
}

fn param(name: &str, definition: &Table, file: &str, report: &mut Report) -> Param {
    let path = format!("params.{name}");
    let well_named = !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !well_named {
        report.problem(file, &path, "a parameter is named with a-z, 0-9 and '_'");
    }
    let taken = INTEGRATION
        .iter()
        .chain(PROVIDER_OWN)
        .any(|key| key.name == name);
    if taken {
        report.problem(
            file,
            &path,
            "is a key of every integration: name the parameter otherwise",
        );
    }
    if RESERVED.contains(&name) {
        let message =
            format!("is what {{{name}}} stands for already: name the parameter otherwise");
        report.problem(file, &path, message);
    }
    let text = |key: &str| definition.text(key).map(str::to_owned);
    let flag = |key: &str| match definition.get(key).map(|node| &node.raw) {
        Some(Raw::Bool(value)) => Some(*value),
        _ => None,
    };
    let pattern = definition.text("pattern").and_then(|source| {
        let regex = (source.len() <= MAX_PATTERN)
            .then(|| {
                RegexBuilder::new(&format!("^(?:{source})$"))
                    .size_limit(PATTERN_MEMORY)
                    .build()
            })
            .and_then(Result::ok);
        if regex.is_none() {
            report.problem(
                file,
                &format!("{path}.pattern"),
                "is not a regular expression of sane size",
            );
        }
        regex
    });
    let choices = choices(definition, &path, file, report);
    // An empty one is one: the vendor wants the member, with nothing in it.
    let default = definition.get("default").and_then(Node::text);
    let default = default.map(str::to_owned);
    let known =
        |default: &String| choices.is_empty() || choices.iter().any(|(name, _)| name == default);
    if default.as_ref().is_some_and(|default| !known(default)) {
        report.problem(
            file,
            &format!("{path}.default"),
            "must be one of the choices",
        );
    }
    Param {
        name: name.to_owned(),
        description: text("description").unwrap_or_default(),
        required: flag("required").unwrap_or(default.is_none()),
        pattern,
        default,
        example: text("example"),
        secret: flag("secret").unwrap_or(false),
        choices,
    }
}

fn choices(
    definition: &Table,
    path: &str,
    file: &str,
    report: &mut Report,
) -> Vec<(String, Choice)> {
    let text = |(name, node): &(String, Node)| Some((name.clone(), node.text()?.to_owned()));
    let entry = |(name, node): &(String, Node)| {
        let choice = match &node.raw {
            Raw::Table(table) => Choice::Table(table.0.iter().filter_map(text).collect()),
            _ => Choice::Text(node.text()?.to_owned()),
        };
        Some((name.clone(), choice))
    };
    let found: Vec<(String, Choice)> = definition
        .table("choices")
        .map(|table| table.0.iter().filter_map(entry).collect())
        .unwrap_or_default();
    let members = |choice: &Choice| match choice {
        Choice::Text(_) => Vec::new(),
        Choice::Table(entries) => {
            let mut names: Vec<String> = entries.iter().map(|(name, _)| name.clone()).collect();
            names.sort_unstable();
            names
        }
    };
    let mut all = found.iter().map(|(_, choice)| members(choice));
    let first = all.next();
    if all.any(|members| Some(members) != first) {
        let message = "must all be strings, or tables with the same names";
        report.problem(file, &format!("{path}.choices"), message);
    }
    found
}

/// Reads a list of rules; each has at least one condition.
fn rules<T>(
    table: &mut Table,
    key: &str,
    file: &str,
    report: &mut Report,
    build: impl Fn(Match, &Table) -> Option<T>,
) -> Vec<T> {
    let Some(Raw::List(items)) = table.take(key).map(|node| node.raw) else {
        return Vec::new();
    };
    let mut all = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let Raw::Table(rule) = &item.raw else {
            continue;
        };
        let path = format!("{key}.{index}");
        let status = match rule.get("status").map(|node| &node.raw) {
            Some(Raw::Int(status)) if (100..600).contains(status) => u16::try_from(*status).ok(),
            Some(_) => {
                report.problem(file, &format!("{path}.status"), "must be an HTTP status");
                None
            }
            None => None,
        };
        let when = Match {
            status,
            error: rule.text("error").map(str::to_owned),
            text: rule.text("text").map(str::to_lowercase),
        };
        if when == Match::default() {
            report.problem(file, &path, "needs a condition: status, error or text");
            continue;
        }
        match build(when, rule) {
            Some(one) => all.push(one),
            None => report.problem(
                file,
                &path,
                "says when, but not what then: outcome or advice",
            ),
        }
    }
    all
}

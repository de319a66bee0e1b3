//! Overrides from the environment: `TOKEN_BROKER__SERVER__WAIT=5s`.
//!
//! A variable replaces one whole key. Names are matched with `_` standing for `-` or `_`; a name
//! that fits no key is an error, so that a typo cannot pass in silence.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::Zeroizing;

use super::problem::{Report, did_you_mean};
use super::provider::Providers;
use super::schema::{INTEGRATION, Key, Kind, SECTIONS};
use super::source::Env;
use super::tree::{Node, Origin, Raw, Table};

const PREFIX: &str = "TOKEN_BROKER__";

struct Variable<'a> {
    name: &'a str,
    steps: Vec<String>,
    value: &'a str,
}

fn variables(env: &Env) -> Vec<Variable<'_>> {
    env.iter()
        .filter_map(|(name, value)| {
            let rest = name.strip_prefix(PREFIX)?;
            let steps = rest.to_lowercase().split("__").map(str::to_owned).collect();
            Some(Variable { name, steps, value })
        })
        .collect()
}

impl Variable<'_> {
    fn node(&self) -> Node {
        Node {
            raw: Raw::Text(Zeroizing::new(self.value.to_owned())),
            origin: self.origin(),
        }
    }

    fn origin(&self) -> Origin {
        Origin::Variable(Arc::from(self.name))
    }

    fn wrong(&self, report: &mut Report, message: impl Into<String>) {
        report.problem("environment", self.name, message);
    }
}

/// All but `[integrations]`, whose keys depend on providers that these settings lead to.
pub(super) fn sections(env: &Env, root: &mut Table, report: &mut Report) {
    for name in env.unreadable().filter(|name| name.starts_with(PREFIX)) {
        report.problem("environment", name, "has a value that is not UTF-8");
    }
    for variable in variables(env) {
        let steps: Vec<&str> = variable.steps.iter().map(String::as_str).collect();
        match steps.as_slice() {
            ["integrations", ..] | [] => {}
            [section, rest @ ..] => {
                let Some(key) = SECTIONS.iter().find(|key| key.name == *section) else {
                    let known = SECTIONS.iter().map(|key| key.name).chain(["integrations"]);
                    let near = did_you_mean(section, known);
                    variable.wrong(report, format!("fits no key of the configuration{near}"));
                    continue;
                };
                put(&variable, root, *key, rest, report);
            }
        }
    }
}

/// `[integrations]`: names first, then the keys of the schema, then parameters of the provider.
pub(super) fn integrations(
    env: &Env,
    integrations: &mut BTreeMap<String, Node>,
    providers: &Providers,
    report: &mut Report,
) {
    let mut variables: Vec<_> = variables(env)
        .into_iter()
        .filter(|variable| {
            variable
                .steps
                .first()
                .is_some_and(|step| step == "integrations")
        })
        .collect();
    if variables.is_empty() {
        return;
    }
    let names: BTreeMap<String, String> = integrations
        .keys()
        .map(|name| (name.replace('-', "_"), name.clone()))
        .collect();
    // `provider` and `inherit` decide which parameters the other variables may name.
    variables.sort_by_key(|variable| {
        !matches!(
            variable.steps.last().map(String::as_str),
            Some("provider" | "inherit")
        )
    });
    for variable in variables {
        let steps: Vec<&str> = variable.steps.iter().map(String::as_str).collect();
        let [_, name, rest @ ..] = steps.as_slice() else {
            variable.wrong(
                report,
                "names no key: write TOKEN_BROKER__INTEGRATIONS__NAME__KEY",
            );
            continue;
        };
        let Some(id) = names.get(&name.replace('-', "_")) else {
            let near = did_you_mean(name, names.values().map(String::as_str));
            let message = format!("names an integration that the files do not define{near}");
            variable.wrong(report, message);
            continue;
        };
        let parameters = super::merge::parameters_of(integrations, id, providers);
        let Some(Raw::Table(table)) = integrations.get_mut(id).map(|node| &mut node.raw) else {
            continue;
        };
        match rest {
            [] => variable.wrong(report, "names a table, not a key"),
            [key, rest @ ..] => {
                let key = key.replace('-', "_");
                if let Some(known) = INTEGRATION.iter().find(|known| known.name == key) {
                    put(&variable, table, *known, rest, report);
                } else if parameters.contains(&key) && rest.is_empty() {
                    table.set(&key, variable.node());
                } else {
                    let known = INTEGRATION.iter().map(|key| key.name);
                    let near =
                        did_you_mean(&key, known.chain(parameters.iter().map(String::as_str)));
                    variable.wrong(report, format!("fits no key of the integration{near}"));
                }
            }
        }
    }
}

/// Puts a variable at `key` of `table`, or at the key that `rest` leads to below it.
fn put(variable: &Variable<'_>, table: &mut Table, key: Key, rest: &[&str], report: &mut Report) {
    match (key.kind, rest) {
        (Kind::Table(_), []) => variable.wrong(report, "names a table, not a key"),
        (
            Kind::Map | Kind::Scalars | Kind::Free | Kind::Params | Kind::Choices | Kind::Rules(_),
            _,
        ) => variable.wrong(
            report,
            "cannot be set by a variable: names in this table are free, write it in the file",
        ),
        (Kind::Table(keys), [next, rest @ ..]) => {
            let next = next.replace('-', "_");
            let Some(inner) = keys.iter().find(|inner| inner.name == next) else {
                let near = did_you_mean(&next, keys.iter().map(|key| key.name));
                variable.wrong(report, format!("fits no key of the configuration{near}"));
                return;
            };
            if table.get(key.name).is_none() {
                let node = Node {
                    raw: Raw::Table(Table::default()),
                    origin: variable.origin(),
                };
                table.set(key.name, node);
            }
            // Anything but a table there is a problem of the file, told by the check.
            if let Some(Raw::Table(below)) = table.get_mut(key.name).map(|node| &mut node.raw) {
                put(variable, below, *inner, rest, report);
            }
        }
        (Kind::Secret | Kind::Secrets, [source @ ("env" | "file")]) => {
            let node = Node {
                raw: Raw::Table(Table(vec![((*source).to_owned(), variable.node())])),
                origin: variable.origin(),
            };
            // Two variables for one secret would hide one of them.
            let twice = table
                .get(key.name)
                .is_some_and(|old| matches!(old.origin, Origin::Variable(_)));
            if twice {
                variable.wrong(report, "sets a secret that another variable sets too");
            }
            table.set(key.name, node);
        }
        (_, []) => table.set(key.name, variable.node()),
        (_, [..]) => {
            let message = format!("goes too deep: '{}' is not a table", key.name);
            variable.wrong(report, message);
        }
    }
}

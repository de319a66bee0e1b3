//! Brings the parts of a definition together: files, variables, `inherit`, the provider's keys.
//!
//! Owns who wins. Invariant: a definition comes from one file only, so that no file can redirect
//! a secret that another one names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::problem::{Report, did_you_mean};
use super::provider::{Provider, Providers};
use super::schema::{INTEGRATION, SECTIONS, merges};
use super::shape;
use super::source::{Document, Env};
use super::tree::{Node, Raw, Table};
use crate::base::IntegrationId;

const MAX_INTEGRATIONS: usize = 100_000;

/// All files as one, nothing looked into yet.
pub(super) struct Root {
    sections: Table,
    integrations: BTreeMap<String, Node>,
}

/// One integration with everything that belongs to it.
pub(super) struct Definition {
    pub(super) id: IntegrationId,
    pub(super) file: Arc<str>,
    pub(super) table: Table,
    pub(super) provider: Option<Arc<Provider>>,
}

pub(super) struct Resolved {
    pub(super) sections: Table,
    pub(super) definitions: Vec<Definition>,
}

/// Joins files; a second definition is a problem that names both.
pub(super) fn documents(documents: Vec<Document>, report: &mut Report) -> Root {
    let mut root = Root {
        sections: Table::default(),
        integrations: BTreeMap::new(),
    };
    for Document { name: file, table } in documents {
        for (name, node) in table.0 {
            if name == "integrations" {
                match node.raw {
                    Raw::Table(table) => collect(&mut root.integrations, table, report),
                    Raw::Null => {}
                    _ => report.problem(&file, "integrations", "must be a table"),
                }
                continue;
            }
            if !SECTIONS.iter().any(|section| section.name == name) {
                let known = SECTIONS
                    .iter()
                    .map(|section| section.name)
                    .chain(["integrations"]);
                let near = did_you_mean(&name, known);
                report.problem(&file, &name, format!("is not a known section{near}"));
                continue;
            }
            match root.sections.get(&name) {
                Some(first) => {
                    let message = format!("is defined in {} too: keep one", first.file());
                    report.problem(&file, &name, message);
                }
                None => root.sections.set(&name, node),
            }
        }
    }
    if root.integrations.len() > MAX_INTEGRATIONS {
        report.problem("configuration", "integrations", "are more than 100000");
    }
    root
}

fn collect(all: &mut BTreeMap<String, Node>, table: Table, report: &mut Report) {
    for (name, node) in table.0 {
        let key = format!("integrations.{name}");
        if let Err(error) = name.parse::<IntegrationId>() {
            report.problem(node.file(), &key, error.to_string());
            continue;
        }
        if !matches!(node.raw, Raw::Table(_)) {
            report.problem(node.file(), &key, "must be a table");
            continue;
        }
        match all.get(&name) {
            Some(first) => {
                let message = format!("is defined in {} too: keep one", first.file());
                report.problem(node.file(), &key, message);
            }
            None => {
                all.insert(name, node);
            }
        }
    }
}

/// Applies variables, checks every table against the schema and merges.
pub(super) fn resolve(mut root: Root, env: &Env, report: &mut Report) -> Resolved {
    refuse_twins(&root.integrations, report);
    super::overrides::sections(env, &mut root.sections, report);
    shape::check(&mut root.sections, SECTIONS, &[], "", report);
    let folder = provider_folder(&root.sections, report);
    let providers = Providers::load(folder, report);
    super::overrides::integrations(env, &mut root.integrations, &providers, report);

    let ids: Vec<String> = root.integrations.keys().cloned().collect();
    for id in &ids {
        if is_lost(&root.integrations, id, &providers) {
            continue;
        }
        let parameters = parameters_of(&root.integrations, id, &providers);
        let names: Vec<&str> = parameters.iter().map(String::as_str).collect();
        if let Some(Raw::Table(table)) = root.integrations.get_mut(id).map(|node| &mut node.raw) {
            let path = format!("integrations.{id}");
            shape::check(table, INTEGRATION, &names, &path, report);
        }
    }
    let definitions = root
        .integrations
        .iter()
        .filter(|(id, _)| !is_lost(&root.integrations, id, &providers))
        .filter_map(|(id, node)| define(id, node, &root.integrations, &providers, report))
        .collect();
    Resolved {
        sections: root.sections,
        definitions,
    }
}

/// `[providers] path`, if it is a folder.
fn provider_folder<'a>(sections: &'a Table, report: &mut Report) -> Option<&'a Path> {
    let section = sections.table("providers")?;
    let folder = Path::new(section.text("path")?);
    report.providers_path = Some(folder.to_owned());
    if folder.is_dir() {
        return Some(folder);
    }
    let node = section.get("path")?;
    let message = "must be a folder with provider files that can be read";
    report.problem(node.file(), node.key("providers.path"), message);
    None
}

/// A variable could not tell `a-b` from `a_b`, nor could a person.
fn refuse_twins(integrations: &BTreeMap<String, Node>, report: &mut Report) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (id, node) in integrations {
        if let Some(first) = seen.insert(id.replace('-', "_"), id) {
            let message = format!("differs from '{first}' only in '-' and '_': rename one");
            report.problem(node.file(), &format!("integrations.{id}"), message);
        }
    }
}

fn table_of(node: &Node) -> Option<&Table> {
    match &node.raw {
        Raw::Table(table) => Some(table),
        _ => None,
    }
}

/// The provider that an integration is based on, itself or by `inherit`.
fn provider_of<'a>(integrations: &'a BTreeMap<String, Node>, id: &str) -> Option<&'a str> {
    let table = integrations.get(id).and_then(table_of)?;
    let inherited = || {
        integrations
            .get(table.text("inherit")?)
            .and_then(table_of)?
            .text("provider")
    };
    table.text("provider").or_else(inherited)
}

/// Whether its provider file was refused: what else could be said of it would mislead.
fn is_lost(integrations: &BTreeMap<String, Node>, id: &str, providers: &Providers) -> bool {
    provider_of(integrations, id).is_some_and(|name| providers.is_refused(name))
}

/// The names of the parameters of the provider an integration is based on, itself or by `inherit`.
pub(super) fn parameters_of(
    integrations: &BTreeMap<String, Node>,
    id: &str,
    providers: &Providers,
) -> Vec<String> {
    provider_of(integrations, id)
        .and_then(|name| providers.get(name))
        .map(|provider| {
            provider
                .params
                .iter()
                .map(|param| param.name.clone())
                .collect()
        })
        .unwrap_or_default()
}

fn define(
    id: &str,
    node: &Node,
    all: &BTreeMap<String, Node>,
    providers: &Providers,
    report: &mut Report,
) -> Option<Definition> {
    let own = table_of(node)?;
    let path = format!("integrations.{id}");
    let mut table = Table::default();
    if let Some(base) = own
        .get("inherit")
        .and_then(|_| inherited(own, node, all, &path, report))
    {
        table = base.clone();
        // Two integrations cannot write one file.
        table.take("files");
    }
    let deep = |key: &str| merges(key);
    table.overlay(own, &deep);
    table.take("inherit");

    let mut provider = None;
    if let Some(name) = table.text("provider") {
        provider = providers.get(name);
        if let (None, Some(named)) = (&provider, table.get("provider")) {
            let near = did_you_mean(name, providers.names());
            let key = shape::join(&path, "provider");
            let message =
                format!("is not a provider of the catalogue (see 'token-broker providers'){near}");
            report.problem(named.file(), named.key(&key), message);
            return None;
        }
    }
    if let Some(provider) = &provider {
        let mut under = provider.table.clone();
        under.overlay(&table, &deep);
        table = under;
    }
    Some(Definition {
        id: id.parse().ok()?,
        file: node.file().into(),
        table,
        provider,
    })
}

/// The table named by `inherit`: in the same file, and not itself inheriting.
fn inherited<'a>(
    own: &Table,
    node: &Node,
    all: &'a BTreeMap<String, Node>,
    path: &str,
    report: &mut Report,
) -> Option<&'a Table> {
    let wanted = own.get("inherit")?;
    let base = wanted.text()?;
    let key = shape::join(path, "inherit");
    let here = |base: &&Node| base.origin == node.origin;
    let Some(found) = all.get(base).filter(here).and_then(table_of) else {
        let names = all
            .iter()
            .filter(|(_, other)| here(other))
            .map(|(name, _)| name.as_str());
        let near = did_you_mean(base, names);
        let message = format!("must name an integration of the same file{near}");
        report.problem(wanted.file(), wanted.key(&key), message);
        return None;
    };
    if found.get("inherit").is_some() {
        let message = "must name an integration that does not itself inherit: one level only";
        report.problem(wanted.file(), wanted.key(&key), message);
        return None;
    }
    Some(found)
}

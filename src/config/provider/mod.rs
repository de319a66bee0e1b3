//! The catalogue: vendors as data, shipped and the operator's own.
//!
//! Owns the list and who wins in it; all vendor knowledge is in the files, none here.

mod holes;
mod read;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use regex_lite::Regex;

use super::parse::Format;
use super::problem::{Problem, Problems, Report, did_you_mean};
use super::source::{files_in, read_text};
use super::tree::Table;
use crate::base::IntegrationId;
use crate::spec::Vendor;
pub(super) use read::read_provider;

/// Compiled in. The list lies with the files, so that no vendor has a name in this code.
const SHIPPED: &[(&str, &str)] = include!("../../../config/providers/shipped.in");

const MAX_FILES: usize = 1000;

/// One vendor.
#[derive(Debug, Clone)]
pub struct Provider {
    /// What `provider = "..."` says: the file's name without its ending.
    pub id: String,
    /// The vendor's own name.
    pub name: String,
    pub docs: Option<String>,
    /// The date the facts were last compared with the documentation.
    pub checked: Option<String>,
    /// `verified` with the live vendor, `documented`, or `unverified`.
    pub status: String,
    pub params: Vec<Param>,
    pub(super) vendor: Arc<Vendor>,
    /// Keys of an integration, with holes.
    pub(super) table: Table,
}

/// What an integration based on a provider is asked for.
#[derive(Debug, Clone)]
pub struct Param {
    pub name: String,
    pub description: String,
    pub required: bool,
    /// Anchored at both ends.
    pub pattern: Option<Regex>,
    pub default: Option<String>,
    pub example: Option<String>,
    pub secret: bool,
    /// If there are any, the value is one of these names and stands for what is beside it.
    pub choices: Vec<(String, Choice)>,
}

/// What a named choice stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// `{region}`
    Text(String),
    /// `{region.api}` and the like; each choice of a parameter has the same ones.
    Table(Vec<(String, String)>),
}

impl Choice {
    /// What stands in the place of a hole: `member` is what follows the parameter's name.
    pub fn text(&self, member: Option<&str>) -> Option<&str> {
        match (self, member) {
            (Self::Text(text), None) => Some(text),
            (Self::Table(entries), Some(member)) => {
                let found = entries.iter().find(|(name, _)| name == member);
                found.map(|(_, text)| text.as_str())
            }
            (Self::Text(_), Some(_)) | (Self::Table(_), None) => None,
        }
    }
}

impl Param {
    /// Whether the hole `{name.member}` stands for something, whatever is chosen.
    pub(super) fn knows(&self, member: Option<&str>) -> bool {
        match member {
            None if self.choices.is_empty() => true,
            member => {
                !self.choices.is_empty()
                    && self
                        .choices
                        .iter()
                        .all(|(_, choice)| choice.text(member).is_some())
            }
        }
    }
}

impl Provider {
    /// The grant it uses, if the file says so.
    pub fn grant(&self) -> Option<&str> {
        self.table.text("grant")
    }

    /// The grants it describes, its own first: those that a refresh token or a login begins work
    /// wherever there is an endpoint for them.
    pub fn grants(&self) -> Vec<&str> {
        let own = self.grant();
        let browser = self.table.get("authorization_endpoint");
        let device = self.table.get("device_authorization_endpoint");
        let described = [
            ("authorization_code", browser.is_some()),
            ("device_code", device.is_some()),
            ("refresh_token", browser.or(device).is_some()),
        ];
        let others = described
            .into_iter()
            .filter(|(name, there)| *there && own != Some(name))
            .map(|(name, _)| name);
        own.into_iter().chain(others).collect()
    }

    /// Whether its own grant begins with a person's consent.
    pub fn takes_logins(&self) -> bool {
        matches!(self.grant(), Some("authorization_code" | "device_code"))
    }

    /// What becomes of its refresh tokens, in the words of the keys.
    pub fn renewal(&self) -> Option<String> {
        if !self.grants().contains(&"refresh_token") {
            return None;
        }
        let mut words = vec![match self.table.text("refresh_token_rotation") {
            Some("never") => "its refresh token stays the same".to_owned(),
            Some("always") => "its refresh token changes with every use".to_owned(),
            _ => "its refresh token may change with every use".to_owned(),
        }];
        if let Some(lifetime) = self.table.text("refresh_token_lifetime") {
            words.push(format!("it lives {lifetime}"));
        }
        if let Some(idle) = self.table.text("refresh_token_idle_lifetime") {
            words.push(format!("it ends when unused for {idle}"));
        }
        Some(words.join(", "))
    }
}

/// The shipped providers, by name.
pub fn catalogue() -> &'static [Arc<Provider>] {
    static CATALOGUE: LazyLock<Vec<Arc<Provider>>> = LazyLock::new(|| {
        SHIPPED
            .iter()
            .filter_map(|(id, text)| {
                let file = format!("provider {id}");
                // A file of ours that does not parse cannot pass the tests.
                read_provider(id, text, Format::Toml, &file, &mut Report::default()).map(Arc::new)
            })
            .collect()
    });
    &CATALOGUE
}

/// One provider by name; `user_dir` is `[providers] path`.
pub fn provider(name: &str, user_dir: Option<&Path>) -> Result<Arc<Provider>, Problems> {
    let mut report = Report::default();
    let providers = Providers::load(user_dir, &mut report);
    let (providers, _) = report.finish(Some(providers))?;
    providers.get(name).ok_or_else(|| {
        let near = did_you_mean(name, providers.names());
        Problem::new("providers", name, format!("is not in the catalogue{near}")).into()
    })
}

/// All providers by name, the operator's among them; `user_dir` is `[providers] path`.
pub fn providers(user_dir: Option<&Path>) -> Result<Vec<Arc<Provider>>, Problems> {
    let mut report = Report::default();
    let providers = Providers::load(user_dir, &mut report);
    let (providers, _) = report.finish(Some(providers))?;
    Ok(providers.0.into_values().collect())
}

/// Shipped providers and the operator's, his replacing ours.
pub(super) struct Providers(BTreeMap<String, Arc<Provider>>);

impl Providers {
    pub(super) fn load(folder: Option<&Path>, report: &mut Report) -> Self {
        let mut all: BTreeMap<String, Arc<Provider>> = catalogue()
            .iter()
            .map(|one| (one.id.clone(), Arc::clone(one)))
            .collect();
        let files = folder
            .map(|folder| files_in(folder, report))
            .unwrap_or_default();
        if let (true, Some(folder)) = (files.len() > MAX_FILES, folder) {
            let message = "has more than 1000 provider files";
            report.problem(&folder.display().to_string(), "", message);
            return Self(all);
        }
        let mut from: BTreeMap<String, String> = BTreeMap::new();
        for (path, format) in files {
            let file = path.display().to_string();
            let id = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default();
            if let Err(error) = id.parse::<IntegrationId>() {
                report.problem(
                    &file,
                    "",
                    format!("is named after its provider, and {error}"),
                );
                continue;
            }
            if let Some(first) = from.insert(id.to_owned(), file.clone()) {
                let message = format!("defines a provider that {first} defines too: keep one");
                report.problem(&file, "", message);
                continue;
            }
            let Some(text) = read_text(&path, report) else {
                continue;
            };
            let Some(provider) = read_provider(id, &text, format, &file, report) else {
                continue;
            };
            if all.insert(id.to_owned(), Arc::new(provider)).is_some() {
                report.warning(
                    &file,
                    "",
                    "replaces the provider of this name that is shipped",
                );
            }
        }
        Self(all)
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Provider>> {
        self.0.get(name).map(Arc::clone)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

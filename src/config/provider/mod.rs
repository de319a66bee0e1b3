//! The catalogue: vendors as data, shipped and the operator's own.
//!
//! Owns the list and who wins in it; all vendor knowledge is in the files, none here.

mod holes;
mod read;

use std::cell::RefCell;
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
    /// May be empty: then the vendor wants it sent with nothing in it.
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
    /// wherever there is an endpoint for them, or an issuer that may have one.
    pub fn grants(&self) -> Vec<&str> {
        let own = self.grant();
        let has = |key: &str| self.table.get(key).is_some();
        // Its metadata may name them all.
        let issuer = has("issuer") && !has("token_endpoint");
        let browser = issuer || has("authorization_endpoint");
        let device = issuer || has("device_authorization_endpoint");
        let described = [
            ("authorization_code", browser),
            ("device_code", device),
            ("refresh_token", browser || device),
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

/// A provider that comes with the broker, by its place in the list. A file of ours that does not parse
/// cannot pass the tests.
fn shipped((id, text): &(&str, &str)) -> Option<Arc<Provider>> {
    let file = format!("provider {id}");
    read_provider(id, text, Format::Toml, &file, &mut Report::default()).map(Arc::new)
}

/// All shipped providers, by name.
pub fn catalogue() -> &'static [Arc<Provider>] {
    static CATALOGUE: LazyLock<Vec<Arc<Provider>>> =
        LazyLock::new(|| SHIPPED.iter().filter_map(shipped).collect());
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
    let mut names: Vec<&str> = providers.names().collect();
    names.sort_unstable();
    Ok(names
        .into_iter()
        .filter_map(|name| providers.get(name))
        .collect())
}

/// Shipped providers and the operator's, his replacing ours.
pub(super) struct Providers {
    own: BTreeMap<String, Arc<Provider>>,
    /// Of the operator's, those that were told about and cannot be used.
    refused: Vec<String>,
    /// Shipped ones that somebody asked for: reading all of them would hold up every start.
    read: RefCell<BTreeMap<&'static str, Arc<Provider>>>,
}

impl Providers {
    pub(super) fn load(folder: Option<&Path>, report: &mut Report) -> Self {
        let mut own = BTreeMap::new();
        let files = folder
            .map(|folder| files_in(folder, report))
            .unwrap_or_default();
        let mut from: BTreeMap<String, String> = BTreeMap::new();
        if let (true, Some(folder)) = (files.len() > MAX_FILES, folder) {
            let message = "has more than 1000 provider files";
            report.problem(&folder.display().to_string(), "", message);
        } else {
            for (path, format) in files {
                if let Some((id, provider)) = read_own(&path, format, &mut from, report) {
                    own.insert(id, Arc::new(provider));
                }
            }
        }
        let refused = from.into_keys().filter(|id| !own.contains_key(id));
        Self {
            refused: refused.collect(),
            own,
            read: RefCell::default(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Provider>> {
        if let Some(own) = self.own.get(name) {
            return Some(Arc::clone(own));
        }
        let mut read = self.read.borrow_mut();
        if let Some(known) = read.get(name) {
            return Some(Arc::clone(known));
        }
        let found = SHIPPED.iter().find(|(id, _)| *id == name)?;
        let provider = shipped(found)?;
        read.insert(found.0, Arc::clone(&provider));
        Some(provider)
    }

    pub(super) fn is_refused(&self, name: &str) -> bool {
        self.refused.iter().any(|refused| refused == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let own = self.own.keys().map(String::as_str);
        let shipped = SHIPPED.iter().map(|(id, _)| *id);
        own.chain(shipped.filter(|id| !self.own.contains_key(*id)))
    }
}

/// One of the operator's provider files; `from` are those that were read before it.
fn read_own(
    path: &Path,
    format: Format,
    from: &mut BTreeMap<String, String>,
    report: &mut Report,
) -> Option<(String, Provider)> {
    let file = path.display().to_string();
    let id = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    if let Err(error) = id.parse::<IntegrationId>() {
        let message = format!("is named after its provider, and {error}");
        report.problem(&file, "", message);
        return None;
    }
    if let Some(first) = from.insert(id.to_owned(), file.clone()) {
        let message = format!("defines a provider that {first} defines too: keep one");
        report.problem(&file, "", message);
        return None;
    }
    let text = read_text(path, report)?;
    let provider = read_provider(id, &text, format, &file, report)?;
    if SHIPPED.iter().any(|(shipped, _)| *shipped == id) {
        let message = "replaces the provider of this name that is shipped";
        report.warning(&file, "", message);
    }
    Some((id.to_owned(), provider))
}

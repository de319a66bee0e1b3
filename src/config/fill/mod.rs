//! Puts a provider's parameters into its strings. Where a value lands decides what it may be.
//!
//! `value` says what a parameter may be, `url` what may land in a URL, `phrase` reads what is only made
//! when it is sent. Invariant: values are put in once and never expanded again, and no value can change
//! which host a secret is sent to.

mod phrase;
mod url;
mod value;

pub(super) use phrase::{Realm, step_hole};
pub(super) use url::UrlOf;
#[cfg(feature = "fuzzing")]
pub(super) use url::land;

use super::lower::secret::Secrets;
use super::merge::Definition;
use super::problem::Report;
use super::tree::Node;
use crate::spec::{SecretSource, Template};
use value::Value;

/// A value that is not there, and why.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// Leave the key out.
    Absent,
    /// A problem has been reported.
    Reported,
}

pub(super) struct Parameters<'a> {
    definition: &'a Definition,
    values: Vec<(&'a str, Value)>,
    client_id: Option<String>,
    /// Whether there is one, so that `{client_secret}` stands for something.
    client_secret: bool,
    username: Option<String>,
    username_is_used: bool,
    password: Option<SecretSource>,
    missing: Vec<String>,
}

impl<'a> Parameters<'a> {
    /// Looks all parameters up and checks them against their patterns and choices.
    pub(super) fn new(
        definition: &'a Definition,
        secrets: &Secrets<'_>,
        report: &mut Report,
    ) -> Self {
        let params = definition
            .provider
            .as_ref()
            .map_or(&[][..], |one| one.params.as_slice());
        let values = params
            .iter()
            .map(|param| {
                let value = value::of(definition, param, secrets, report);
                (param.name.as_str(), value)
            })
            .collect();
        Self {
            definition,
            values,
            client_id: None,
            client_secret: false,
            username: None,
            username_is_used: false,
            password: None,
            missing: Vec::new(),
        }
    }

    pub(super) fn set_client_id(&mut self, client_id: Option<String>) {
        self.client_id = client_id;
    }

    pub(super) fn set_client_secret(&mut self, there: bool) {
        self.client_secret = there;
    }

    pub(super) fn set_login(&mut self, username: Option<String>, password: Option<SecretSource>) {
        self.username = username;
        self.password = password;
    }

    /// What the two stand for, as far as they are there and good.
    pub(super) fn login(&self) -> (Option<String>, Option<SecretSource>) {
        (self.username.clone(), self.password.clone())
    }

    /// Whether anything had a hole for it.
    pub(super) fn username_is_used(&self) -> bool {
        self.username_is_used
    }

    fn problem(&self, node: &Node, path: &str, message: &str, report: &mut Report) -> Gap {
        let at = format!("integrations.{}.{path}", self.definition.id);
        report.problem(node.file(), node.key(&at), message);
        Gap::Reported
    }

    /// The text for one hole, and whether it may shape a URL; `None` if the name is no parameter.
    fn lookup(&mut self, name: &str, report: &mut Report) -> Option<Result<(String, bool), Gap>> {
        match name {
            "client_id" => return self.client_id.clone().map(|id| Ok((id, false))),
            "username" => {
                self.username_is_used = true;
                return self.username.clone().map(|user| Ok((user, false)));
            }
            _ => {}
        }
        let (first, rest) = match name.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (name, None),
        };
        let (_, value) = self.values.iter().find(|(known, _)| *known == first)?;
        Some(match value {
            Value::Given(text) => Ok((text.clone(), false)),
            Value::Trusted(choice) => match choice.text(rest) {
                Some(text) => Ok((text.to_owned(), true)),
                // The provider file has been held to it: only a broken one gets here.
                None => Err(Gap::Reported),
            },
            Value::Absent => Err(Gap::Absent),
            Value::Bad | Value::Secret(_) => Err(Gap::Reported),
            Value::Missing => {
                self.report_missing(first, report);
                Err(Gap::Reported)
            }
        })
    }

    fn report_missing(&mut self, name: &str, report: &mut Report) {
        if self.missing.iter().any(|known| known == name) {
            return;
        }
        self.missing.push(name.to_owned());
        let provider = self.definition.provider.as_ref();
        let about = provider
            .and_then(|one| one.params.iter().find(|param| param.name == name))
            .map(|param| param.description.as_str())
            .unwrap_or_default();
        let key = format!("integrations.{}.{name}", self.definition.id);
        let message = format!("is missing: the provider needs it ({about})");
        report.problem(&self.definition.file, &key, message);
    }

    /// A string outside URLs. The operator's own strings have no holes.
    pub(super) fn text(
        &mut self,
        node: &Node,
        path: &str,
        report: &mut Report,
    ) -> Result<String, Gap> {
        let text = given(node)?;
        if !node.is_providers() {
            return Ok(text.to_owned());
        }
        let template = self.parse(node, text, path, report)?;
        template
            .fill_all(|name| match self.lookup(name, report) {
                Some(found) => found.map(|(text, _)| Some(text)),
                None => Err(self.problem(node, path, NO_PARAMETER, report)),
            })?
            .render(|_| None)
            .map_err(|_hole| Gap::Reported)
    }

    fn parse(
        &self,
        node: &Node,
        text: &str,
        path: &str,
        report: &mut Report,
    ) -> Result<Template, Gap> {
        Template::parse(text).map_err(|error| self.problem(node, path, &error.to_string(), report))
    }

    /// A string of `api` outside URLs: holes that are no parameters stay, for the answer to fill.
    pub(super) fn template(
        &mut self,
        node: &Node,
        path: &str,
        report: &mut Report,
    ) -> Result<Template, Gap> {
        let text = given(node)?;
        let template = self.parse(node, text, path, report)?;
        let providers = node.is_providers();
        if template
            .holes()
            .iter()
            .any(|hole| OURS_ALONE.contains(hole))
        {
            let message = "has a hole for a secret of ours, which no caller is given";
            return Err(self.problem(node, path, message, report));
        }
        template.fill_all(|name| {
            if !providers && name != "client_id" {
                return Ok(None);
            }
            self.lookup(name, report)
                .transpose()
                .map(|found| found.map(|(text, _)| text))
        })
    }
}

const NO_PARAMETER: &str = "has a hole that is no parameter";
/// What is sent for a token and handed to nobody.
const OURS_ALONE: [&str; 3] = ["client_secret", "password", "refresh_token"];

/// A text that is there, and does not stand for "remove".
fn given(node: &Node) -> Result<&str, Gap> {
    let text = node.text().filter(|text| !text.is_empty());
    text.ok_or(Gap::Absent)
}

/// What [`Template::fill`] is, for fillings that can fail.
trait FillAll: Sized {
    fn fill_all(self, fill: impl FnMut(&str) -> Result<Option<String>, Gap>) -> Result<Self, Gap>;
}

impl FillAll for Template {
    fn fill_all(
        self,
        mut fill: impl FnMut(&str) -> Result<Option<String>, Gap>,
    ) -> Result<Self, Gap> {
        let mut gap = None;
        let filled = self.fill(|name| match fill(name) {
            Ok(text) => text,
            Err(Gap::Reported) => {
                gap = Some(Gap::Reported);
                None
            }
            Err(Gap::Absent) => {
                gap.get_or_insert(Gap::Absent);
                None
            }
        });
        gap.map_or(Ok(filled), Err)
    }
}

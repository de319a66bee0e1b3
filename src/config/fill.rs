//! Puts a provider's parameters into its strings. Where a value lands decides what it may be.
//!
//! Invariant: values are put in once and never expanded again, and no value can change which host
//! a secret is sent to.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::lower::secret::{Secrets, one_secret};
use super::merge::Definition;
use super::problem::Report;
use super::tree::{Node, Raw};
use crate::spec::{Endpoint, Part, Phrase, Piece, RequestValue, SecretSource, Template};

/// What RFC 3986 leaves alone.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const MAX_VALUE: usize = 4096;

enum Value {
    Given(String),
    /// Written in the provider file itself: may shape a URL.
    Trusted(String),
    Secret(SecretSource),
    /// Optional and not given: whatever needs it is left out.
    Absent,
    /// Required and not given: a problem once something asks for it.
    Missing,
    Bad,
}

/// A value that is not there, and why.
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
                let node = definition
                    .table
                    .get(&param.name)
                    .filter(|node| node.text() != Some(""));
                let path = format!("integrations.{}.{}", definition.id, param.name);
                let value = match node {
                    Some(node) if param.secret => {
                        one_secret(node, &path, secrets, report).map_or(Value::Bad, Value::Secret)
                    }
                    Some(node) => given(node, param, &path, report),
                    None => match &param.default {
                        Some(default) => chosen(param, default).unwrap_or(Value::Bad),
                        None if param.required => Value::Missing,
                        None => Value::Absent,
                    },
                };
                (param.name.as_str(), value)
            })
            .collect();
        Self {
            definition,
            values,
            client_id: None,
            missing: Vec::new(),
        }
    }

    pub(super) fn set_client_id(&mut self, client_id: Option<String>) {
        self.client_id = client_id;
    }

    fn problem(&self, node: &Node, path: &str, message: &str, report: &mut Report) -> Gap {
        let at = format!("integrations.{}.{path}", self.definition.id);
        report.problem(node.file(), node.key(&at), message);
        Gap::Reported
    }

    /// The text for one hole; `None` if the name is no parameter.
    fn lookup(&mut self, name: &str, report: &mut Report) -> Option<Result<(String, bool), Gap>> {
        if name == "client_id" {
            return self.client_id.clone().map(|id| Ok((id, false)));
        }
        let (_, value) = self.values.iter().find(|(known, _)| *known == name)?;
        Some(match value {
            Value::Given(text) => Ok((text.clone(), false)),
            Value::Trusted(text) => Ok((text.clone(), true)),
            Value::Absent => Err(Gap::Absent),
            Value::Bad | Value::Secret(_) => Err(Gap::Reported),
            Value::Missing => {
                self.report_missing(name, report);
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
        let text = node
            .text()
            .filter(|text| !text.is_empty())
            .ok_or(Gap::Absent)?;
        if !node.is_providers() {
            return Ok(text.to_owned());
        }
        let template = self.parse(node, text, path, report)?;
        template
            .fill_all(|name| match self.lookup(name, report) {
                Some(found) => found.map(|(text, _)| Some(text)),
                None => Err(self.problem(node, path, "has a hole that is no parameter", report)),
            })?
            .render(|_| None)
            .map_err(|_hole| Gap::Reported)
    }

    /// A value of the token request: text, or one whole secret.
    pub(super) fn request_value(
        &mut self,
        node: &Node,
        path: &str,
        report: &mut Report,
    ) -> Result<RequestValue, Gap> {
        if let (true, Some(text)) = (node.is_providers(), node.text()) {
            let name = text
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            let found = self.values.iter().find(|(known, _)| Some(*known) == name);
            if let Some((_, Value::Secret(source))) = found {
                return Ok(RequestValue::Secret(source.clone()));
            }
        }
        self.text(node, path, report).map(RequestValue::Text)
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
        let text = node
            .text()
            .filter(|text| !text.is_empty())
            .ok_or(Gap::Absent)?;
        let template = self.parse(node, text, path, report)?;
        let providers = node.is_providers();
        template.fill_all(|name| {
            if !providers && name != "client_id" {
                return Ok(None);
            }
            self.lookup(name, report)
                .transpose()
                .map(|found| found.map(|(text, _)| text))
        })
    }

    /// Text of an assertion, whoever wrote it: `{now}`, `{uuid}` and `{client_id}` are holes, and in
    /// a provider file its parameters.
    pub(super) fn phrase(
        &mut self,
        node: &Node,
        text: &str,
        path: &str,
        report: &mut Report,
    ) -> Result<Phrase, Gap> {
        let template = Template::parse_claim(text)
            .map_err(|error| self.problem(node, path, &error.to_string(), report))?;
        let mut parts = Vec::with_capacity(template.pieces().len());
        for piece in template.pieces() {
            parts.push(match piece {
                Piece::Text(text) => Part::Text(text.clone()),
                Piece::Member(name) => match Part::parse(name) {
                    Some(part) => part,
                    None => Part::Text(self.claim_hole(node, name, path, report)?),
                },
            });
        }
        Ok(Phrase(parts))
    }

    fn claim_hole(
        &mut self,
        node: &Node,
        name: &str,
        path: &str,
        report: &mut Report,
    ) -> Result<String, Gap> {
        let ours = node.is_providers() || name == "client_id";
        match ours.then(|| self.lookup(name, report)).flatten() {
            Some(found) => found.map(|(text, _)| text),
            None if name == "client_id" => {
                Err(self.problem(node, path, "needs a client_id, and there is none", report))
            }
            None => {
                let message = "has a hole that is not {client_id}, {now}, {now+300}, {uuid} or a \
                               parameter of the provider file it is in (a brace is written twice)";
                Err(self.problem(node, path, message, report))
            }
        }
    }

    /// A URL. With `members`, holes that are no parameters stay.
    pub(super) fn url(
        &mut self,
        node: &Node,
        path: &str,
        members: bool,
        report: &mut Report,
    ) -> Result<Template, Gap> {
        let text = node
            .text()
            .filter(|text| !text.is_empty())
            .ok_or(Gap::Absent)?;
        if !node.is_providers() && !members {
            return Template::parse(&text.replace('{', "{{").replace('}', "}}"))
                .map_err(|error| self.problem(node, path, &error.to_string(), report));
        }
        let template = self.parse(node, text, path, report)?;
        let mut fillings = Vec::new();
        let mut so_far = String::new();
        for piece in template.pieces() {
            match piece {
                Piece::Text(literal) => so_far.push_str(literal),
                Piece::Member(name) => {
                    let ours = node.is_providers() || name == "client_id";
                    let found = ours.then(|| self.lookup(name, report)).flatten();
                    let filling = match found {
                        None if members => {
                            // Stands for a whole URL if in front, else for some text.
                            so_far.push_str(if so_far.is_empty() { "https://h" } else { "x" });
                            fillings.push(None);
                            continue;
                        }
                        None => {
                            return Err(self.problem(
                                node,
                                path,
                                "has a hole that is no parameter",
                                report,
                            ));
                        }
                        Some(Err(Gap::Absent)) => {
                            self.report_missing(name, report);
                            return Err(Gap::Reported);
                        }
                        Some(found) => found?,
                    };
                    let landed = land(&so_far, &filling.0, filling.1);
                    let text = landed.map_err(|wanted| self.bad_parameter(name, wanted, report))?;
                    so_far.push_str(&text);
                    fillings.push(Some(text));
                }
            }
        }
        let mut fillings = fillings.into_iter();
        Ok(template.fill(|_| fillings.next().flatten()))
    }

    fn bad_parameter(&self, name: &str, wanted: &str, report: &mut Report) -> Gap {
        let at = format!("integrations.{}.{name}", self.definition.id);
        match self.definition.table.get(name) {
            Some(node) => report.problem(node.file(), node.key(&at), wanted),
            None => report.problem(&self.definition.file, &at, wanted),
        }
        Gap::Reported
    }
}

/// Checks and encodes a value for the place where it lands in a URL; the error says what would be
/// right there.
fn land(before: &str, value: &str, trusted: bool) -> Result<String, &'static str> {
    if trusted {
        return Ok(value.to_owned());
    }
    if before.is_empty() {
        let url = Endpoint::parse(value)
            .ok()
            .filter(|endpoint| endpoint.url().query().is_none() && !value.contains(['?', '#']))
            .ok_or("must be a whole URL: https, without user, query and fragment")?;
        return Ok(url.url().as_str().trim_end_matches('/').to_owned());
    }
    let after_scheme = before.split_once("://").map_or(before, |(_, rest)| rest);
    if !after_scheme.contains(['/', '?']) {
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        return value
            .split('.')
            .all(label_ok)
            .then(|| value.to_ascii_lowercase())
            .ok_or("must be a part of a host name: letters, digits and '-', no dots at the ends, no slashes");
    }
    if !after_scheme.contains('?') && matches!(value, "." | "..") {
        return Err("must be a name that can stand in a path");
    }
    Ok(utf8_percent_encode(value, SEGMENT).to_string())
}

fn given(node: &Node, param: &super::Param, path: &str, report: &mut Report) -> Value {
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

fn chosen(param: &super::Param, name: &str) -> Option<Value> {
    if param.choices.is_empty() {
        return Some(Value::Given(name.to_owned()));
    }
    let found = param.choices.iter().find(|(choice, _)| choice == name);
    found.map(|(_, text)| Value::Trusted(text.clone()))
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

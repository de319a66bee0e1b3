//! Texts that are only made when they are sent: which holes they may have, and what these are.

use super::{Gap, Parameters, given};
use crate::config::problem::Report;
use crate::config::tree::{Node, Raw, Table};
use crate::spec::{Draft, Part, Path, Phrase, Piece, Template};

use super::url::is_built_in;
use super::value::Value;

/// Where a text is sent, which decides what may stand in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Realm {
    /// Names and values of a JWT of our own: it is readable to whoever sees it, so no secret.
    Assertion {
        /// So many steps before it.
        steps: usize,
    },
    /// `params` and `headers` of a token request.
    TokenRequest,
    /// A request with so many steps before it.
    Step { steps: usize },
}

impl Realm {
    /// Whether a hole stands for something by itself: the value of a member of an earlier step's
    /// answer, or a word of ours. `Err` says why it cannot.
    pub(in crate::config) fn part(self, hole: &str) -> Result<Option<Part>, String> {
        if let Some(part) = Part::parse(hole) {
            return Ok(Some(part));
        }
        let (steps, is_assertion) = match self {
            Self::Assertion { steps } => (steps, true),
            Self::Step { steps } => (steps, false),
            Self::TokenRequest => (0, false),
        };
        match hole {
            "key_fingerprint" if is_assertion => return Ok(Some(Part::KeyFingerprint)),
            "certificate_fingerprint" if is_assertion => {
                return Ok(Some(Part::CertificateFingerprint));
            }
            "key_fingerprint" | "certificate_fingerprint" => {
                return Err(format!("has {{{hole}}}, which only an assertion knows"));
            }
            _ => {}
        }
        match step_hole(hole) {
            None => Ok(None),
            Some(found) => {
                let (step, path) = found?;
                if self == Self::TokenRequest {
                    return Err(format!("has {{{hole}}}, but only 'steps' have steps"));
                }
                if step >= steps {
                    return Err(format!(
                        "refers to step {step}, which is not before it: steps count from 0, and this \
                         is step {steps}"
                    ));
                }
                Ok(Some(Part::Answer { step, path }))
            }
        }
    }

    fn takes_secrets(self) -> bool {
        match self {
            Self::Assertion { .. } => false,
            Self::TokenRequest | Self::Step { .. } => true,
        }
    }

    /// What a hole may be, for whoever wrote another one.
    fn wanted(self) -> &'static str {
        match self {
            Self::Assertion { .. } => {
                "has a hole that is not {client_id}, {now}, {now+300}, {uuid}, {key_fingerprint}, \
                 {certificate_fingerprint} or a parameter of the provider file it is in (a brace is \
                 written twice)"
            }
            Self::TokenRequest => {
                "has a hole that is not {client_id}, {client_secret}, {now}, {uuid} or a parameter of \
                 the provider file it is in (a brace is written twice)"
            }
            Self::Step { .. } => {
                "has a hole that is not {client_id}, {client_secret}, {username}, {password}, {now}, \
                 {uuid}, a member of an earlier step's answer such as {steps.0.access_token}, or a \
                 parameter of the provider file it is in (a brace is written twice)"
            }
        }
    }
}

/// Reads `steps.N.path`; `None` if it is something else.
pub(in crate::config) fn step_hole(hole: &str) -> Option<Result<(usize, Path), String>> {
    let rest = hole.strip_prefix("steps.")?;
    let found = rest.split_once('.').and_then(|(number, path)| {
        let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = plain.then(|| number.parse().ok())??;
        Some((number, Path::parse(path)?))
    });
    let wanted =
        "has {steps...} that is no member of a step's answer: write {steps.0.access_token}";
    Some(found.ok_or_else(|| wanted.to_owned()))
}

impl Parameters<'_> {
    /// A text, with holes whoever wrote it.
    pub(in crate::config) fn phrase(
        &mut self,
        node: &Node,
        text: &str,
        path: &str,
        realm: Realm,
        report: &mut Report,
    ) -> Result<Phrase, Gap> {
        let template = Template::parse_phrase(text)
            .map_err(|error| self.problem(node, path, &error.to_string(), report))?;
        self.parts(&template, node, path, realm, report)
    }

    /// A text of a token request: the operator's own has no holes.
    pub(in crate::config) fn sent(
        &mut self,
        node: &Node,
        path: &str,
        report: &mut Report,
    ) -> Result<Phrase, Gap> {
        let text = given(node)?;
        if !node.is_providers() {
            return Ok(Phrase::literal(text));
        }
        self.phrase(node, text, path, Realm::TokenRequest, report)
    }

    fn parts(
        &mut self,
        template: &Template,
        node: &Node,
        path: &str,
        realm: Realm,
        report: &mut Report,
    ) -> Result<Phrase, Gap> {
        let mut parts = Vec::with_capacity(template.pieces().len());
        for piece in template.pieces() {
            parts.push(match piece {
                Piece::Text(text) => Part::Text(text.clone()),
                Piece::Member(name) => self.hole(node, name, path, realm, report)?,
                Piece::Apply(function, inner) => {
                    Part::Apply(*function, self.parts(inner, node, path, realm, report)?)
                }
            });
        }
        Ok(Phrase::new(parts))
    }

    /// A key of the operator's own that a hole stands for: a provider's file is not to blame.
    fn absent(&self, key: &str, node: &Node, path: &str, report: &mut Report) -> Gap {
        if !node.is_providers() {
            let message = format!("needs a {key}, and there is none");
            return self.problem(node, path, &message, report);
        }
        let at = format!("integrations.{}.{key}", self.definition.id);
        let message = "is missing: the provider's request needs it";
        report.problem(&self.definition.file, &at, message);
        Gap::Reported
    }

    fn hole(
        &mut self,
        node: &Node,
        name: &str,
        path: &str,
        realm: Realm,
        report: &mut Report,
    ) -> Result<Part, Gap> {
        match realm.part(name) {
            Ok(Some(part)) => return Ok(part),
            Ok(None) => {}
            Err(why) => return Err(self.problem(node, path, &why, report)),
        }
        match name {
            "client_secret" if realm.takes_secrets() => {
                let there = self.client_secret.then_some(Part::ClientSecret);
                return there.ok_or_else(|| self.absent(name, node, path, report));
            }
            "password" if realm.takes_secrets() => {
                return match &self.password {
                    Some(source) => Ok(Part::Secret(source.clone())),
                    None => Err(self.absent(name, node, path, report)),
                };
            }
            _ => {}
        }
        if realm.takes_secrets() && node.is_providers() {
            let found = self.values.iter().find(|(known, _)| *known == name);
            if let Some((_, Value::Secret(source))) = found {
                return Ok(Part::Secret(source.clone()));
            }
        }
        let builtin = is_built_in(name);
        let ours = node.is_providers() || builtin;
        match ours.then(|| self.lookup(name, report)).flatten() {
            Some(found) => found.map(|(text, _)| Part::Text(text)),
            None if builtin => Err(self.absent(name, node, path, report)),
            None => Err(self.problem(node, path, realm.wanted(), report)),
        }
    }

    /// A JSON value, its texts with holes whoever wrote them; what needs an optional parameter that is
    /// not given is left out.
    pub(in crate::config) fn draft(
        &mut self,
        node: &Node,
        path: &str,
        realm: Realm,
        report: &mut Report,
    ) -> Result<Draft, Gap> {
        Ok(match &node.raw {
            Raw::Bool(value) => Draft::Bool(*value),
            Raw::Int(value) => Draft::Integer(*value),
            Raw::Float(value) => Draft::Float(*value),
            Raw::Text(text) if realm == Realm::TokenRequest && !node.is_providers() => {
                Draft::Text(Phrase::literal(text.as_str()))
            }
            Raw::Text(text) => Draft::Text(self.phrase(node, text, path, realm, report)?),
            Raw::Table(table) => Draft::Table(self.members(table, path, realm, report)),
            Raw::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    match self.draft(item, path, realm, report) {
                        Ok(value) => list.push(value),
                        Err(Gap::Absent) => {}
                        Err(Gap::Reported) => return Err(Gap::Reported),
                    }
                }
                Draft::List(list)
            }
            Raw::Null | Raw::Bad => return Err(Gap::Reported),
        })
    }

    /// The members of an object, whose names may have holes too.
    pub(in crate::config) fn members(
        &mut self,
        table: &Table,
        path: &str,
        realm: Realm,
        report: &mut Report,
    ) -> Vec<(Phrase, Draft)> {
        let mut all = Vec::with_capacity(table.0.len());
        for (name, node) in &table.0 {
            let path = format!("{path}.{name}");
            let named = if realm == Realm::TokenRequest {
                Ok(Phrase::literal(name.as_str()))
            } else {
                self.phrase(node, name, &path, realm, report)
            };
            let Ok(named) = named else { continue };
            match self.draft(node, &path, realm, report) {
                Ok(value) => all.push((named, value)),
                Err(Gap::Absent | Gap::Reported) => {}
            }
        }
        all
    }
}

//! Holds a provider file's holes to what it declares, before anybody uses it: every hole is a parameter
//! or stands for something by itself, secrets go nowhere but into the request for a token, and no
//! parameter can lead a URL to another host.

use super::Provider;
use crate::config::fill::Realm;
use crate::config::lower::url_shape::{self, Opening};
use crate::config::problem::{Report, did_you_mean};
use crate::config::shape::join;
use crate::config::tree::{Node, Raw, Table};
use crate::spec::Template;

/// Keys whose strings are URLs.
const URLS: [&str; 6] = [
    "token_endpoint",
    "refresh_endpoint",
    "authorization_endpoint",
    "device_authorization_endpoint",
    "redirect_uri",
    "issuer",
];
/// Names of strings or paths that are taken as they are.
const PLAIN: [&str; 4] = ["response", "refresh", "parameter_names", "query_parameters"];
/// What the operator's own keys stand for.
const BUILT_IN: [&str; 2] = ["client_id", "username"];
const BUILT_IN_SECRETS: [&str; 2] = ["client_secret", "password"];

pub(super) fn check(provider: &Provider, file: &str, report: &mut Report) {
    let mut check = Check {
        provider,
        file,
        report,
    };
    for (name, node) in &provider.table.0 {
        check.key(name, node);
    }
}

/// What may stand in a string.
#[derive(Clone, Copy)]
enum Place {
    /// Known when the configuration is read.
    Text,
    /// The same, where a token's answer fills what is no parameter.
    Api,
    Sent(Realm),
}

struct Check<'a> {
    provider: &'a Provider,
    file: &'a str,
    report: &'a mut Report,
}

impl Check<'_> {
    fn key(&mut self, name: &str, node: &Node) {
        match (name, &node.raw) {
            (name, _) if PLAIN.contains(&name) => {}
            (name, Raw::Text(text)) if URLS.contains(&name) => {
                self.url(name, text, Place::Text);
            }
            ("api", Raw::Table(table)) => self.api(table),
            ("params" | "headers", _) => self.all(name, node, Place::Sent(Realm::TokenRequest)),
            ("assertion" | "client_assertion", _) => {
                self.all(name, node, Place::Sent(Realm::Assertion { steps: 0 }));
            }
            ("request", Raw::Table(table)) => self.request(name, table, 0),
            ("steps", Raw::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.step(index, item);
                }
            }
            _ => self.all(name, node, Place::Text),
        }
    }

    fn step(&mut self, index: usize, item: &Node) {
        let Raw::Table(step) = &item.raw else { return };
        let path = format!("steps.{index}");
        if let Some(node) = step.get("assertion") {
            let realm = Realm::Assertion { steps: index };
            self.all(&join(&path, "assertion"), node, Place::Sent(realm));
        }
        if let Some(request) = step.table("request") {
            self.request(&join(&path, "request"), request, index);
        }
    }

    fn request(&mut self, path: &str, table: &Table, steps: usize) {
        let place = Place::Sent(Realm::Step { steps });
        for (name, node) in &table.0 {
            let at = join(path, name);
            match (name.as_str(), node.text()) {
                ("url", Some(text)) => {
                    let hosts = table.get("hosts").is_some();
                    if self.url(&at, text, place) == Some(Opening::Answer) && !hosts {
                        let message = "takes its host from an answer: name the hosts it may have in \
                                       'hosts' beside it";
                        self.report.problem(self.file, &at, message);
                    }
                }
                ("hosts" | "method" | "success", _) => {}
                _ => self.all(&at, node, place),
            }
        }
    }

    fn api(&mut self, table: &Table) {
        for (name, node) in &table.0 {
            let at = join("api", name);
            match (name.as_str(), node.text()) {
                ("base_url", Some(text)) => {
                    self.url(&at, text, Place::Api);
                }
                _ => self.all(&at, node, Place::Api),
            }
        }
    }

    /// Every string, at any depth; in what is sent as JSON the names have holes too.
    fn all(&mut self, path: &str, node: &Node, place: Place) {
        match &node.raw {
            Raw::Text(text) => {
                self.text(path, text, place);
            }
            Raw::List(items) => {
                for item in items {
                    self.all(path, item, place);
                }
            }
            Raw::Table(table) => {
                for (name, node) in &table.0 {
                    let path = join(path, name);
                    if let Place::Sent(Realm::Assertion { .. } | Realm::Step { .. }) = place {
                        self.text(&path, name, place);
                    }
                    self.all(&path, node, place);
                }
            }
            Raw::Null | Raw::Bool(_) | Raw::Int(_) | Raw::Float(_) | Raw::Bad => {}
        }
    }

    /// Whether it can be read, with the problems it has told.
    fn text(&mut self, path: &str, text: &str, place: Place) -> Option<Template> {
        let parsed = match place {
            Place::Text | Place::Api => Template::parse(text),
            Place::Sent(_) => Template::parse_phrase(text),
        };
        let template = match parsed {
            Ok(template) => template,
            Err(error) => {
                self.report.problem(self.file, path, error.to_string());
                return None;
            }
        };
        for hole in template.holes() {
            if let Some(problem) = self.hole(hole, place) {
                self.report.problem(self.file, path, problem);
            }
        }
        Some(template)
    }

    /// A URL, and what its host depends on.
    fn url(&mut self, path: &str, text: &str, place: Place) -> Option<Opening> {
        let template = self.text(path, text, place)?;
        let is_secret = |hole: &&str| {
            let param = self.provider.params.iter().find(|one| one.name == **hole);
            BUILT_IN_SECRETS.contains(hole) || param.is_some_and(|param| param.secret)
        };
        if matches!(place, Place::Sent(_)) && template.holes().iter().any(is_secret) {
            let message =
                "has a secret in it, and URLs are shown: send it in query, headers, form or json";
            self.report.problem(self.file, path, message);
            return None;
        }
        let chosen = |hole: &str| {
            let name = hole.split('.').next().unwrap_or_default();
            let found = self.provider.params.iter().find(|one| one.name == name);
            found.is_some_and(|param| !param.choices.is_empty())
        };
        let answered = |hole: &str| match place {
            Place::Text => false,
            Place::Api => !BUILT_IN.contains(&hole) && !self.is_param(hole),
            Place::Sent(_) => hole.starts_with("steps."),
        };
        match url_shape::opening(&template, chosen, answered) {
            Ok(opening) => Some(opening),
            Err(message) => {
                self.report.problem(self.file, path, message);
                None
            }
        }
    }

    fn is_param(&self, hole: &str) -> bool {
        let name = hole.split('.').next().unwrap_or_default();
        self.provider.params.iter().any(|one| one.name == name)
    }

    /// What is wrong with a hole.
    fn hole(&self, hole: &str, place: Place) -> Option<String> {
        let takes_secrets = match place {
            Place::Text | Place::Api | Place::Sent(Realm::Assertion { .. }) => false,
            Place::Sent(Realm::TokenRequest | Realm::Step { .. }) => true,
        };
        if let Place::Sent(realm) = place {
            match realm.part(hole) {
                Ok(Some(_)) => return None,
                Ok(None) => {}
                Err(why) => return Some(why),
            }
        }
        if BUILT_IN.contains(&hole) || (takes_secrets && BUILT_IN_SECRETS.contains(&hole)) {
            return None;
        }
        let (name, member) = match hole.split_once('.') {
            Some((name, member)) => (name, Some(member)),
            None => (hole, None),
        };
        let Some(param) = self.provider.params.iter().find(|one| one.name == name) else {
            if matches!(place, Place::Api) {
                return None;
            }
            let known = self.provider.params.iter().map(|param| param.name.as_str());
            let near = did_you_mean(hole, known);
            return Some(format!("has a hole that is no parameter{near}"));
        };
        if param.secret && !takes_secrets {
            return Some(
                "a secret parameter can only be sent in params, headers, request and steps"
                    .to_owned(),
            );
        }
        if !param.knows(member) {
            return Some(format!(
                "has {{{hole}}}, which not every choice of '{name}' has"
            ));
        }
        None
    }
}

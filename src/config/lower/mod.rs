//! Raw tree to [`Spec`]: what the values mean, and every reason why one cannot be used.
//!
//! Kinds have been checked by `shape`; what it refused is [`Raw::Bad`] and read as absent here,
//! with [`View::has`] telling the two apart.

mod api;
mod assertion;
mod client;
mod grant;
mod integration;
mod keeping;
mod policy;
mod refreshing;
mod request;
mod response;
pub(super) mod secret;
mod server;
mod sink;
mod steps;
mod unsent;
pub(super) mod url_shape;

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::Options;
use super::merge::Resolved;
use super::problem::Report;
use super::shape;
use super::source::Env;
use super::tree::{Node, Raw, Table};
use crate::base::Timestamp;
use crate::spec::{Listen, Server, Spec};

pub(super) const SECRET_FORMS: &str =
    "must be a string, { env = \"...\" }, { file = \"...\" } or { command = [\"...\"] }";

/// A table, where it is, and the file that is to blame for what is missing in it.
#[derive(Clone)]
pub(super) struct View<'a> {
    table: Option<&'a Table>,
    path: String,
    file: &'a str,
}

impl<'a> View<'a> {
    pub(super) fn new(table: &'a Table, path: String, file: &'a str) -> Self {
        Self {
            table: Some(table),
            path,
            file,
        }
    }

    /// Whether anything was written there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.get(key).is_some())
    }

    /// Whether the operator took away what a provider or `inherit` brought.
    pub(super) fn removed(&self, key: &str) -> bool {
        self.table
            .and_then(|table| table.get(key))
            .is_some_and(|node| node.text() == Some(""))
    }

    /// A value that is there and does not stand for "remove".
    pub(super) fn node(&self, key: &str) -> Option<&'a Node> {
        let node = self.table?.get(key)?;
        (!matches!(node.raw, Raw::Bad) && node.text() != Some("")).then_some(node)
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.node(key)?.text()
    }

    fn boolean(&self, key: &str) -> Option<bool> {
        match self.node(key)?.raw {
            Raw::Bool(value) => Some(value),
            _ => None,
        }
    }

    fn duration(&self, key: &str) -> Option<Duration> {
        shape::duration(&self.node(key)?.raw)
    }

    fn time(&self, key: &str) -> Option<Timestamp> {
        self.text(key).and_then(Timestamp::parse_rfc3339)
    }

    fn number(&self, key: &str) -> Option<f64> {
        match self.node(key)?.raw {
            Raw::Float(value) => Some(value),
            #[expect(
                clippy::cast_precision_loss,
                reason = "only small numbers pass the bounds"
            )]
            Raw::Int(value) => Some(value as f64),
            _ => None,
        }
    }

    fn integer(&self, key: &str) -> Option<i64> {
        match self.node(key)?.raw {
            Raw::Int(value) => Some(value),
            _ => None,
        }
    }

    /// A string, or the strings of a list.
    fn texts(&self, key: &str) -> Option<Vec<&'a str>> {
        match &self.node(key)?.raw {
            Raw::Text(text) => Some(vec![text.as_str()]),
            Raw::List(items) => Some(items.iter().filter_map(Node::text).collect()),
            _ => None,
        }
    }

    /// The entries of a free table.
    pub(super) fn entries(&self, key: &str) -> &'a [(String, Node)] {
        self.table
            .and_then(|table| table.table(key))
            .map_or(&[], |table| &table.0)
    }

    /// A table below, empty if it is not there.
    fn below(&self, key: &str) -> Self {
        View {
            table: self.table.and_then(|table| table.table(key)),
            path: shape::join(&self.path, key),
            file: self.file,
        }
    }

    pub(super) fn path(&self, key: &str) -> String {
        shape::join(&self.path, key)
    }

    fn place(&self, key: &str) -> (&'a str, String) {
        let path = self.path(key);
        match self.table.and_then(|table| table.get(key)) {
            Some(node) => (node.file(), node.key(&path).to_owned()),
            None => (self.file, path),
        }
    }

    pub(super) fn problem(&self, key: &str, message: impl Into<String>, report: &mut Report) {
        let (file, key) = self.place(key);
        report.problem(file, &key, message);
    }

    fn warning(&self, key: &str, message: impl Into<String>, report: &mut Report) {
        let (file, key) = self.place(key);
        report.warning(file, &key, message);
    }

    /// A duration within bounds, or the default.
    fn bounded(
        &self,
        key: &str,
        default: Duration,
        (least, most): (Duration, Duration),
        report: &mut Report,
    ) -> Duration {
        let Some(value) = self.duration(key) else {
            return default;
        };
        if value < least || value > most {
            let (least, most) = (
                crate::base::HumanDuration(least),
                crate::base::HumanDuration(most),
            );
            self.problem(key, format!("must be within {least} and {most}"), report);
            return default;
        }
        value
    }
}

/// Everything; not fit for use if the report has problems afterwards.
pub(super) fn spec(resolved: &Resolved, env: &Env, options: Options, report: &mut Report) -> Spec {
    let root = View::new(&resolved.sections, String::new(), "configuration");
    let policy = server::secret_policy(&root.below("secrets"), report);
    let server = server::server(&root.below("server"), report);
    let admin = server::admin(&root.below("admin"), report);
    let log = server::log(&root.below("log"), report);
    let access = server::access(&root.below("access"), report);
    let secrets = secret::Secrets {
        env,
        options,
        policy: &policy,
    };
    let store = server::store(&root.below("store"), &secrets, report);
    // Both are read even where no integration uses them as they are.
    let net = Arc::new(policy::net(&root.below("net"), env, report));
    let refresh = Arc::new(policy::refresh(&root.below("refresh"), report));
    let globals = integration::Globals {
        secrets: &secrets,
        sections: &resolved.sections,
        callback: callback(&server),
        listen: &server.listen,
        net,
        refresh,
        responses: integration::Pool::default(),
        apis: integration::Pool::default(),
        no_vendor: Arc::default(),
    };
    let mut lowered = Vec::with_capacity(resolved.definitions.len());
    for definition in &resolved.definitions {
        match integration::integration(definition, &globals, report) {
            Some(one) => lowered.push((definition, Arc::new(one))),
            // Whatever went wrong, none vanishes without a word.
            None if report.clean() => {
                let at = format!("integrations.{}", definition.id);
                report.problem(&definition.file, &at, "cannot be used");
            }
            None => {}
        }
    }
    keeping::check(&lowered, &store, report);
    // Only now are all files known that are no place for a token.
    let mut sinks = sink::Sinks::new(&store, &server, options);
    for (definition, one) in &lowered {
        sinks.add(definition, one, report);
    }
    let sinks = sinks.all;
    let integrations = lowered.into_iter().map(|(_, one)| one).collect();
    if resolved.definitions.is_empty() && report.clean() {
        report.warning(
            "configuration",
            "integrations",
            "there is none: nothing will be served",
        );
    }
    Spec {
        server,
        admin,
        log,
        access,
        secrets: policy,
        store,
        integrations,
        sinks,
    }
}

/// Where a browser on this machine finds the broker: its first TCP listener, if the port is known.
fn callback(server: &Server) -> Option<Url> {
    let address = server.listen.iter().find_map(|listen| match listen {
        Listen::Tcp(address) => Some(address),
        Listen::Unix(_) => None,
    })?;
    if address.port() == 0 {
        return None;
    }
    Url::parse(&format!("http://{address}/login/callback")).ok()
}

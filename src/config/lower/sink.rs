//! `[[integrations.NAME.files]]`: files that tokens are written to.
//!
//! Invariant: no two of them are one file, whatever links lead there, and none is a file that the
//! broker lives on: a token in its place would be the end of that.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::server::permission_bits;
use super::{Report, View};
use crate::base::IntegrationId;
use crate::config::Options;
use crate::config::merge::Definition;
use crate::config::tree::Raw;
use crate::spec::{FileSink, Integration, Listen, Server, SinkFormat, Store, When};

/// Whoever is not the owner and not of the group.
const OTHERS: u32 = 0o007;

/// The files of all integrations.
pub(super) struct Sinks<'a> {
    pub(super) all: Vec<FileSink>,
    store: &'a Store,
    server: &'a Server,
    options: Options,
    /// Filled for the first file: few configurations have one, and secrets may be thousands.
    taken: Option<HashMap<PathBuf, Use>>,
}

/// What a file is already.
#[derive(Clone)]
enum Use {
    Store,
    Socket,
    Configuration,
    Secret,
    Sink(IntegrationId),
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store => f.write_str("is the store, which a token would overwrite"),
            Self::Socket => f.write_str("is the socket of server.listen"),
            Self::Configuration => f.write_str("is a file of this configuration"),
            Self::Secret => f.write_str("is the file of a secret, which a token would overwrite"),
            Self::Sink(other) => write!(
                f,
                "is a file of integration '{other}' too: each needs one of its own"
            ),
        }
    }
}

impl<'a> Sinks<'a> {
    pub(super) fn new(store: &'a Store, server: &'a Server, options: Options) -> Self {
        Self {
            all: Vec::new(),
            store,
            server,
            options,
            taken: None,
        }
    }

    /// Those of one integration.
    pub(super) fn add(
        &mut self,
        definition: &Definition,
        integration: &Integration,
        report: &mut Report,
    ) {
        let path = format!("integrations.{}", definition.id);
        let view = View::new(&definition.table, path, &definition.file);
        let Some(Raw::List(items)) = view.node("files").map(|node| &node.raw) else {
            return;
        };
        if integration.refresh.when == When::Demand && !items.is_empty() {
            let message = "need refresh.when = \"always\": a file asks for nothing";
            view.problem("files", message, report);
        }
        for (index, item) in items.iter().enumerate() {
            if let Raw::Table(table) = &item.raw {
                let path = view.path(&format!("files.{index}"));
                let view = View::new(table, path, item.file());
                if let Some(sink) = sink(&view, integration, self.options, report) {
                    self.take(&view, &sink, report);
                    self.all.push(sink);
                }
            }
        }
    }

    /// Each file is for one thing only.
    fn take(&mut self, view: &View<'_>, sink: &FileSink, report: &mut Report) {
        let taken = self
            .taken
            .get_or_insert_with(|| taken(self.store, self.server, report));
        match taken.entry(place(&sink.path)) {
            Entry::Occupied(before) => view.problem("path", before.get().to_string(), report),
            Entry::Vacant(free) => {
                free.insert(Use::Sink(sink.integration.clone()));
            }
        }
    }
}

/// The files that the broker lives on.
fn taken(store: &Store, server: &Server, report: &Report) -> HashMap<PathBuf, Use> {
    let mut taken = HashMap::new();
    let mut take = |path: &Path, what: Use| {
        // The link goes if a token is written in its place, and the file if it is written there.
        if let Ok(target) = path.canonicalize() {
            taken.insert(target, what.clone());
        }
        taken.insert(place(path), what);
    };
    for path in &report.secret_files {
        take(path, Use::Secret);
    }
    for path in &report.configuration {
        take(path, Use::Configuration);
    }
    for listen in &server.listen {
        if let Listen::Unix(path) = listen {
            take(path, Use::Socket);
        }
    }
    if let Store::Embedded { path, .. } = store {
        take(path, Use::Store);
    }
    taken
}

/// The file's own name in its folder without links, since a link in the file's place is replaced.
fn place(path: &Path) -> PathBuf {
    let folder = path.parent().map(|folder| {
        if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        }
    });
    let folder = folder.and_then(|folder| folder.canonicalize().ok());
    match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

fn sink(
    view: &View<'_>,
    integration: &Integration,
    options: Options,
    report: &mut Report,
) -> Option<FileSink> {
    let format = match view.text("format") {
        Some("raw") => SinkFormat::Raw,
        Some("header") => SinkFormat::Header,
        _ => SinkFormat::Json,
    };
    let headers = &integration.api.headers;
    let authorization = |(name, _): &(String, _)| name.eq_ignore_ascii_case("authorization");
    if format == SinkFormat::Header && !headers.iter().any(authorization) {
        let message =
            "cannot be \"header\": API calls of this integration have no Authorization header";
        view.problem("format", message, report);
    }
    let mode = permission_bits(view, "mode", report).unwrap_or(FileSink::MODE);
    if mode & OTHERS != 0 {
        let message = "gives every user of the machine access to the token: \"0440\" is for the \
                       owner and the group, \"0400\" for the owner alone";
        view.warning("mode", message, report);
    }
    let Some(path) = view.text("path") else {
        if !view.has("path") || view.removed("path") {
            view.problem("path", "is missing", report);
        }
        return None;
    };
    let path = normal(Path::new(path));
    let folder = path.parent().filter(|_| path.file_name().is_some());
    let Some(folder) = folder else {
        view.problem("path", "must name a file", report);
        return None;
    };
    // Where the secrets are not, the folders of the target machine are not either.
    let here = folder.as_os_str().is_empty() || folder.is_dir();
    if !here && !options.without_secrets {
        let message = "must be in a folder that is there";
        view.problem("path", message, report);
    }
    Some(FileSink {
        integration: integration.id.clone(),
        path,
        format,
        mode,
    })
}

/// Without `.` and doubled slashes, so that one file has one name; `..` stays, since a link before
/// it decides where it leads.
fn normal(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| !matches!(part, Component::CurDir))
        .collect()
}

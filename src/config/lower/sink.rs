//! `[[integrations.NAME.files]]`: files that tokens are written to.

use std::path::{Component, Path, PathBuf};

use super::server::permission_bits;
use super::{Report, View};
use crate::config::Options;
use crate::config::merge::Definition;
use crate::config::tree::Raw;
use crate::spec::{FileSink, Integration, SinkFormat, When};

/// The files of one integration, each path only once in `all`.
pub(super) fn sinks(
    definition: &Definition,
    integration: &Integration,
    options: Options,
    all: &mut Vec<FileSink>,
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
            if let Some(sink) = sink(&view, integration, options, all, report) {
                all.push(sink);
            }
        }
    }
}

fn sink(
    view: &View<'_>,
    integration: &Integration,
    options: Options,
    all: &[FileSink],
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
    if let Some(other) = all.iter().find(|other| other.path == path) {
        let message = format!(
            "is a file of integration '{}' too: each needs one of its own",
            other.integration
        );
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

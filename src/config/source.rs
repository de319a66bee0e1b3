//! Where configuration comes from: the environment as a value, files, directories.
//!
//! Owns reading. Must not know what any key means. Invariant: everything read is bounded.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::parse::{Format, parse};
use super::problem::Report;
use super::tree::{Origin, Table};

/// Where the configuration is unless somebody says otherwise.
const DEFAULT_PATH: &str = "/etc/token-broker/config.toml";
pub(super) const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The environment as a value. Nothing else in the crate reads the process's own.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Env {
    variables: BTreeMap<String, String>,
    /// Names of those whose value is not UTF-8.
    unreadable: Vec<String>,
}

impl Env {
    pub fn from_process() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that may")]
        let all = std::env::vars_os();
        let mut env = Self::default();
        for (name, value) in all {
            // No name of ours can be anything but UTF-8; a value can be mistaken.
            let Ok(name) = name.into_string() else {
                continue;
            };
            if let Ok(value) = value.into_string() {
                env.variables.insert(name, value);
            } else {
                env.unreadable.push(name);
            }
        }
        env
    }

    pub fn from_pairs<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let named = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Self {
            variables: named.collect(),
            unreadable: Vec::new(),
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Names of variables whose value is not UTF-8.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = &str> {
        self.unreadable.iter().map(String::as_str)
    }

    /// By name, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// `--config`, else `TOKEN_BROKER_CONFIG`, else the default.
pub fn config_path(flag: Option<&Path>, env: &Env) -> PathBuf {
    flag.map(Path::to_path_buf)
        .or_else(|| {
            env.get("TOKEN_BROKER_CONFIG")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        })
        .unwrap_or_else(|| PathBuf::from(DEFAULT_PATH))
}

/// One parsed file.
pub(super) struct Document {
    pub(super) name: Arc<str>,
    pub(super) table: Table,
}

/// Reads a file, or all configuration files of a directory in byte order of their names.
pub(super) fn read_all(path: &Path, report: &mut Report) -> Vec<Document> {
    if path.is_dir() {
        files_in(path, report)
            .into_iter()
            .filter_map(|(file, format)| read(&file, format, report))
            .collect()
    } else {
        let Some(format) = Format::of(path) else {
            let message = "must end in .toml, .yaml, .yml or .json";
            report.problem(&path.display().to_string(), "", message);
            return Vec::new();
        };
        read(path, format, report).into_iter().collect()
    }
}

/// Files by our endings; follows links to files, skips names with a dot in front (Kubernetes
/// keeps its `..data` there).
pub(super) fn files_in(path: &Path, report: &mut Report) -> Vec<(PathBuf, Format)> {
    let shown = path.display().to_string();
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            report.problem(&shown, "", format!("cannot be read: {}", error.kind()));
            return Vec::new();
        }
    };
    let mut files = Vec::new();
    for entry in entries {
        let file = match entry {
            Ok(entry) => entry.path(),
            Err(error) => {
                report.problem(&shown, "", format!("cannot be listed: {}", error.kind()));
                break;
            }
        };
        let hidden = file
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if let Some(format) = Format::of(&file)
            && !hidden
            && !file.is_dir()
        {
            files.push((file, format));
        }
    }
    files.sort_by(|(a, _), (b, _)| {
        a.as_os_str()
            .as_encoded_bytes()
            .cmp(b.as_os_str().as_encoded_bytes())
    });
    files
}

pub(super) fn read_text(path: &Path, report: &mut Report) -> Option<String> {
    let shown = path.display().to_string();
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let message = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "is not there: name the configuration with --config or TOKEN_BROKER_CONFIG".into()
            }
            kind => format!("cannot be read: {kind}"),
        };
        report.problem(&shown, "", message);
        return None;
    }
    if bytes.len() as u64 > MAX_FILE {
        report.problem(&shown, "", "is larger than 16 MiB");
        return None;
    }
    let text = String::from_utf8(bytes);
    if text.is_err() {
        report.problem(&shown, "", "is not UTF-8 text");
    }
    text.ok()
}

fn read(path: &Path, format: Format, report: &mut Report) -> Option<Document> {
    let text = crate::base::Zeroizing::new(read_text(path, report)?);
    let name: Arc<str> = path.display().to_string().into();
    let origin = Origin::File(Arc::clone(&name));
    let table = parse(&text, format, &origin, &name, report)?;
    Some(Document { name, table })
}

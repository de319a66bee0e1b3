//! Which providers are tried.

use std::path::{Path, PathBuf};

use token_broker::config::catalogue;

pub(super) struct Tried {
    pub(super) names: Vec<String>,
    /// With copies of those that somebody named, which may not be compiled in yet.
    folder: Option<tempfile::TempDir>,
}

pub(super) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config/providers")
        .join(format!("{name}.toml"))
}

impl Tried {
    pub(super) fn new() -> Self {
        let Ok(wanted) = std::env::var("PROVIDERS") else {
            let names = catalogue().iter().map(|provider| provider.id.clone());
            return Self {
                names: names.collect(),
                folder: None,
            };
        };
        let names: Vec<String> = wanted.split(',').map(str::to_owned).collect();
        let folder = tempfile::tempdir().unwrap();
        for name in &names {
            let copy = folder.path().join(format!("{name}.toml"));
            std::fs::copy(file(name), copy).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        Self {
            names,
            folder: Some(folder),
        }
    }

    pub(super) fn is_part(&self) -> bool {
        self.folder.is_some()
    }

    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(tempfile::TempDir::path)
    }
}

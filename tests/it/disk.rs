//! A disk in trouble, and the real binary on it: refused starts change nothing, and what cannot be
//! saved is kept until it can be.

#[cfg(target_os = "linux")]
mod full;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::Process;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A configuration with this store and nothing else.
    fn config(&self, store: &Path, key: Option<&str>) -> PathBuf {
        let key = key.map_or_else(String::new, |key| {
            let path = self.path("key");
            fs::write(&path, key).unwrap();
            let path = path.display();
            format!("encryption_key = {{ file = \"{path}\" }}\n")
        });
        let text = format!(
            "server.listen = \"127.0.0.1:0\"\n[store]\nkind = \"embedded\"\npath = \"{}\"\n{key}",
            store.display()
        );
        let path = self.path("broker.toml");
        fs::write(&path, text).unwrap();
        path
    }

    /// A store that a broker has made and left.
    fn made(&self, key: Option<&str>) -> PathBuf {
        let store = self.path("state.redb");
        Process::serve(&self.config(&store, key), &[]).stop();
        store
    }
}

/// Starts a broker that must not come up: what it says.
fn refused(config: &Path) -> String {
    let output = Process::run(&["serve", "--config", config.to_str().unwrap()]);
    said(&output)
}

fn said(output: &Output) -> String {
    let log = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log}");
    log
}

fn says(log: &str, words: &[&str]) {
    for word in words {
        assert!(log.contains(word), "{word}: {log}");
    }
}

/// Names and contents of all files in a folder.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap();
    let path = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().path();
    let files = entries.map(path).filter(|path| path.is_file());
    files
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn a_truncated_store_stops_the_start_and_stays_as_it_is() {
    let place = Place::new();
    let store = place.made(None);
    let whole = fs::read(&store).unwrap();
    let config = place.config(&store, None);
    for length in [1, 100, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&store, &whole[..length]).unwrap();
        let before = contents(place.folder.path());
        says(&refused(&config), &["state.redb"]);
        let same = contents(place.folder.path()) == before;
        assert!(same, "touched at {length} of {} bytes", whole.len());
    }
    // It was whole after all: nothing but the file decides.
    fs::write(&store, &whole).unwrap();
    Process::serve(&config, &[]).stop();
}

#[test]
fn a_wrong_key_says_so_and_changes_nothing() {
    let place = Place::new();
    let store = place.made(Some(KEY));
    let wrong = KEY.replace("00", "ff");
    for (key, words) in [
        (Some(wrong.as_str()), ["state.redb", "key"]),
        (None, ["state.redb", "encryption_key"]),
    ] {
        let config = place.config(&store, key);
        let before = contents(place.folder.path());
        let log = refused(&config);
        says(&log, &words);
        assert!(!log.contains(KEY) && !log.contains(&wrong), "{log}");
        assert!(contents(place.folder.path()) == before, "touched: {log}");
    }
    Process::serve(&place.config(&store, Some(KEY)), &[]).stop();
}

#[test]
fn a_missing_key_file_stops_the_start_and_the_store_stays_as_it_is() {
    let place = Place::new();
    let store = place.made(Some(KEY));
    let config = place.config(&store, Some(KEY));
    fs::remove_file(place.path("key")).unwrap();
    let before = contents(place.folder.path());
    says(&refused(&config), &["encryption_key", "does not exist"]);
    assert!(contents(place.folder.path()) == before);
}

#[test]
fn an_unwritable_path_says_which_and_why() {
    let place = Place::new();
    let file = place.path("file");
    fs::write(&file, "x").unwrap();
    let folder = place.path("folder");
    fs::create_dir(&folder).unwrap();
    for (store, why) in [
        (file.join("state.redb"), "not a directory"),
        (folder.clone(), "irectory"),
        (PathBuf::from("/proc/token-broker/state.redb"), ""),
    ] {
        let log = refused(&place.config(&store, None));
        says(&log, &[store.to_str().unwrap(), why]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "x");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

/// Root may write anywhere: the capability to do so is taken away first.
#[cfg(target_os = "linux")]
#[test]
fn a_read_only_directory_stops_the_start_and_says_so() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let folder = place.path("state");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    let store = folder.join("state.redb");
    let config = place.config(&store, None);
    let broker = env!("CARGO_BIN_EXE_token-broker");
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args([
            "--bounding-set=-dac_override,-dac_read_search",
            "--inh-caps=-dac_override,-dac_read_search",
            broker,
        ]);
        command
    } else {
        Command::new(broker)
    };
    command.args(["serve", "--config"]).arg(&config);
    says(
        &said(&command.output().unwrap()),
        &[store.to_str().unwrap(), "permission denied"],
    );
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::base::{Secret, SystemClock, Timestamp, TokioClock};
use crate::spec::SecretSource;

fn clock() -> Arc<TokioClock> {
    Arc::new(TokioClock::starting_at(Timestamp::from_unix_seconds(
        1_800_000_000,
    )))
}

fn file(path: &Path) -> SecretSource {
    SecretSource::File(path.to_owned())
}

/// Polls until `stop` is dropped; returns when the vault has looked at all its sources.
fn polling(vault: &Arc<Vault>) -> (TaskTracker, tokio_util::sync::DropGuard) {
    let tracker = TaskTracker::new();
    let stop = CancellationToken::new();
    let (vault, token) = (Arc::clone(vault), stop.clone());
    tracker.spawn(async move { vault.poll(token).await });
    (tracker, stop.drop_guard())
}

#[test]
fn what_counts_as_a_secret() {
    for (bytes, secret) in [
        ("abc", "abc"),
        ("abc\n", "abc"),
        ("abc\r\n", "abc"),
        ("abc\n\n", "abc\n"),
        (" abc ", " abc "),
        ("a\nb\n", "a\nb"),
    ] {
        assert_eq!(secret_in(bytes.into()), Ok(Secret::new(secret)));
    }
    assert_eq!(secret_in(vec![]).unwrap_err(), "is empty");
    assert_eq!(secret_in(b"\r\n".to_vec()).unwrap_err(), "is empty");
    assert_eq!(secret_in(vec![0xff]).unwrap_err(), "is not UTF-8 text");
    assert!(secret_in(vec![b'a'; MAX_BYTES]).is_ok());
    assert!(secret_in(vec![b'a'; MAX_BYTES + 1]).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_file_missing_at_the_start_is_read_once_it_appears() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let vault = Vault::new(clock());
    let handle = vault.open(&file(&path));
    let missing = handle.read().await.unwrap_err();
    assert!(missing.to_string().ends_with("secret does not exist"));
    fs::write(&path, "first\n").unwrap();
    assert_eq!(handle.read().await, Ok(Secret::new("first")));
}

#[tokio::test(start_paused = true)]
async fn the_poll_notices_a_file_that_appears_and_one_that_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let vault = Vault::new(clock());
    let handle = vault.open(&file(&path));
    let changes = Arc::new(Changes::default());
    handle.notify(&changes);
    let _running = polling(&vault);
    for text in ["first", "other", "third"] {
        fs::write(&path, text).unwrap();
        // Times out, after half an hour of the paused clock, if the poll notices nothing.
        let noticed = tokio::time::timeout(Duration::from_mins(30), changes.changed()).await;
        noticed.unwrap();
        assert_eq!(handle.read().await, Ok(Secret::new(text)));
    }
    assert!(!changes.take(), "told once of each");
}

#[tokio::test(start_paused = true)]
async fn a_swapped_data_link_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (version, text) in [("v1", "old"), ("v2", "new")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("secret"), text).unwrap();
    }
    symlink("v1", at("..data")).unwrap();
    symlink("..data/secret", at("secret")).unwrap();
    let vault = Vault::new(clock());
    let handle = vault.open(&file(&at("secret")));
    assert_eq!(handle.read().await, Ok(Secret::new("old")));
    symlink("v2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    assert_eq!(handle.read().await, Ok(Secret::new("new")));
}

#[tokio::test(start_paused = true)]
async fn trouble_keeps_the_value_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    fs::write(&path, "good").unwrap();
    let vault = Vault::new(clock());
    let handle = vault.open(&file(&path));
    let changes = Arc::new(Changes::default());
    assert_eq!(handle.read().await, Ok(Secret::new("good")));
    handle.notify(&changes);
    fs::write(&path, "").unwrap();
    assert_eq!(handle.read().await, Ok(Secret::new("good")));
    fs::write(&path, vec![b'x'; MAX_BYTES + 1]).unwrap();
    assert_eq!(handle.read().await, Ok(Secret::new("good")));
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert_eq!(handle.read().await, Ok(Secret::new("good")));
    fs::remove_file(&path).unwrap();
    assert_eq!(handle.read().await, Ok(Secret::new("good")));
    fs::create_dir(&path).unwrap();
    assert_eq!(handle.read().await, Ok(Secret::new("good")));
    fs::remove_dir(&path).unwrap();
    assert!(!changes.take(), "none of this is a new value");
    fs::write(&path, "better\n").unwrap();
    assert_eq!(handle.read().await, Ok(Secret::new("better")));
    assert!(changes.take());
}

#[test]
fn one_file_named_twice_is_one_source_and_is_forgotten_with_its_last_user() {
    let vault = Vault::new(Arc::new(SystemClock));
    let (one, two) = (
        vault.open(&file(Path::new("/x/a"))),
        vault.open(&file(Path::new("/x/a"))),
    );
    let (Handle::Outside(a), Handle::Outside(b)) = (&one, &two) else {
        panic!("a file is outside");
    };
    assert!(Arc::ptr_eq(a, b));
    let _other = vault.open(&file(Path::new("/x/b")));
    assert_eq!(vault.open_sources(), 2);
    drop((one, two));
    assert_eq!(vault.open_sources(), 1);
}

fn script(dir: &Path, text: &str) -> SecretSource {
    let path = dir.join("script");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    // Through the shell by name: a file just written may still be busy for execution.
    SecretSource::Command(vec![
        "/bin/sh".to_owned(),
        path.to_string_lossy().into_owned(),
        "$HOME; canary".to_owned(),
    ])
}

#[tokio::test]
async fn a_command_sees_path_and_home_only_and_its_arguments_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::with_environment(
        Arc::new(SystemClock),
        Some("/bin".into()),
        Some("/h".into()),
    );
    let text = r#"/usr/bin/env | /bin/grep -c "" ; echo "$PATH|$HOME|$1""#;
    let handle = vault.open(&script(dir.path(), text));
    let secret = handle.read().await.unwrap();
    // PWD and the like are the shell's own doing.
    let told = secret.expose().lines().last().unwrap();
    assert_eq!(told, "/bin|/h|$HOME; canary");
    assert!(!format!("{handle:?}").contains("canary"));
}

#[tokio::test]
async fn a_failing_command_says_so_without_its_output() {
    let dir = tempfile::tempdir().unwrap();
    for (text, said) in [
        ("echo canary; echo canary >&2; exit 3", "exit status: 3"),
        ("true", "is empty"),
        ("exec /bin/cat /dev/zero", "prints more than 64 KiB"),
    ] {
        let vault = Vault::new(Arc::new(SystemClock));
        let error = vault.open(&script(dir.path(), text)).read().await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains("canary"), "{error}");
    }
    let vault = Vault::new(Arc::new(SystemClock));
    for program in ["relative", "/does/not/exist"] {
        let source = SecretSource::Command(vec![program.to_owned()]);
        assert!(vault.open(&source).read().await.is_err());
    }
}

#[tokio::test]
async fn a_command_runs_again_after_a_refusal_but_not_at_once() {
    let dir = tempfile::tempdir().unwrap();
    tokio::time::pause();
    let clock = clock();
    let vault = Vault::new(Arc::clone(&clock) as Arc<dyn crate::base::Clock>);
    let log = dir.path().join("runs");
    let text = format!("echo x >> {0}; /usr/bin/wc -l < {0}", log.display());
    let handle = vault.open(&script(dir.path(), &text));
    // A child is outside the runtime: the clock stands still only while it does not matter.
    tokio::time::resume();
    let first = handle.read().await.unwrap();
    assert_eq!(handle.read().await, Ok(first.clone()));
    handle.refused();
    assert_eq!(handle.read().await, Ok(first.clone()), "too soon");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(30)).await;
    tokio::time::resume();
    let second = handle.read().await.unwrap();
    assert_ne!(first, second);
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(5)).await;
    tokio::time::resume();
    assert_eq!(handle.read().await, Ok(second), "nobody refused this one");
}

#[tokio::test(start_paused = true)]
async fn who_reads_a_new_value_is_not_told_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    fs::write(&path, "one").unwrap();
    let vault = Vault::new(clock());
    let handle = vault.open(&file(&path));
    let (reader, other) = (Arc::new(Changes::default()), Arc::new(Changes::default()));
    handle.notify(&reader);
    handle.notify(&other);
    assert_eq!(handle.read_for(&reader).await, Ok(Secret::new("one")));
    fs::write(&path, "two, longer").unwrap();
    let read = handle.read_for(&reader).await;
    assert_eq!(read, Ok(Secret::new("two, longer")));
    assert!(!reader.take() && other.take());
}

#[tokio::test]
async fn keys_are_read_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let vault = Vault::new(Arc::new(SystemClock));
    let source = SecretSource::File(path.clone());
    for bytes in [&[0, 255, 10, 10][..], b"text\n"] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(vault.read_bytes(&source).await.unwrap().as_slice(), bytes);
    }
    for (content, words) in [(vec![], "is empty"), (vec![b'x'; 70_000], "larger than")] {
        fs::write(&path, content).unwrap();
        let error = vault.read_bytes(&source).await.unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("/key"), "{error}");
    }
    fs::remove_file(&path).unwrap();
    let error = vault.read_bytes(&source).await.unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
    let value = SecretSource::Value(Secret::new("v"));
    assert_eq!(vault.read_bytes(&value).await.unwrap().as_slice(), b"v");
}

//! Files in a folder of the test's own, written from a board that the test fills.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::write::replace;
use super::*;
use crate::base::{Issued, Secret, Timestamp, TokioClock};
use crate::snapshot::{ApiCall, Board, Held, Snapshot, board};
use crate::spec::SinkFormat;

fn clock() -> Arc<TokioClock> {
    let wall = Timestamp::parse_rfc3339("2026-11-22T00:00:00Z").unwrap();
    Arc::new(TokioClock::starting_at(wall))
}

fn publish(board: &Board, clock: &TokioClock, token: &str, lifetime: u64) {
    let issued = Issued {
        access_token: Secret::new(token),
        token_type: "Bearer".into(),
        scope: None,
        members: json!({"rest_url": "https://x/"})
            .as_object()
            .unwrap()
            .clone(),
        sent_at: clock.now(),
        lifetime: Some(Duration::from_secs(lifetime)),
        secret_in_use: None,
        refresh_token: None,
    };
    let api = ApiCall {
        headers: vec![(
            "Authorization".into(),
            Secret::new(format!("Bearer {token}")),
        )],
        ..ApiCall::default()
    };
    board.publish(Snapshot {
        held: Some(Arc::new(Held::new(issued, api))),
        ..Snapshot::default()
    });
}

fn sink(path: &Path, format: SinkFormat, mode: u32) -> FileSink {
    FileSink {
        integration: "acme".parse().unwrap(),
        path: path.to_owned(),
        format,
        mode,
    }
}

async fn until(holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_micros(200)))
            .await
            .unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    panic!("never");
}

fn reads(path: &Path, text: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|found| found == text)
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn replaced_whole_with_its_mode_and_no_link_followed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("target"), "untouched").unwrap();
    symlink(at("target"), at("token")).unwrap();
    // What an earlier life left, and what somebody put in its place.
    symlink(at("target"), at(".token.token-broker")).unwrap();
    for mode in [0o440, 0o400, 0o644, 0o777] {
        replace(&at("token"), mode, b"t1").unwrap();
        assert_eq!(mode_of(&at("token")), mode);
        assert!(reads(&at("token"), "t1"));
    }
    assert!(reads(&at("target"), "untouched"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_failure_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("token");
    fs::create_dir(&taken).unwrap();
    replace(&taken, 0o440, b"t1").unwrap_err();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    replace(&folder.path().join("no/such/token"), 0o440, b"t1").unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn every_format_at_every_change() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let clock = clock();
    let (board, reader) = board(Snapshot::default(), false, false);
    let mut sinks = Sinks::new(Arc::clone(&clock) as Arc<dyn Clock>);
    let wanted = [
        sink(&at("raw"), SinkFormat::Raw, 0o440),
        sink(&at("header"), SinkFormat::Header, 0o400),
        sink(&at("json"), SinkFormat::Json, 0o644),
    ];
    sinks.apply(&wanted, |_| Some(reader.clone()));
    for token in ["t1", "t2"] {
        publish(&board, &clock, token, 3600);
        until(|| reads(&at("raw"), token)).await;
        until(|| reads(&at("header"), &format!("Bearer {token}"))).await;
        until(|| fs::read_to_string(at("json")).is_ok_and(|text| text.contains(token))).await;
    }
    let answer: Value = serde_json::from_slice(&fs::read(at("json")).unwrap()).unwrap();
    let members: Vec<_> = answer.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["access_token", "token_type", "expires_at", "rest_url"]
    );
    // A token that is over is left where it is.
    publish(&board, &clock, "t3", 0);
    drop(board);
    sinks.ended().await;
    assert!(reads(&at("raw"), "t2"));
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_comes_back_gets_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    let path = inner.join("token");
    let clock = clock();
    let (board, reader) = board(Snapshot::default(), false, false);
    let mut sinks = Sinks::new(Arc::clone(&clock) as Arc<dyn Clock>);
    sinks.apply(&[sink(&path, SinkFormat::Raw, 0o440)], |_| {
        Some(reader.clone())
    });
    publish(&board, &clock, "t1", 100_000);
    sleep(Duration::from_secs(10)).await;
    fs::create_dir(&inner).unwrap();
    until(|| reads(&path, "t1")).await;
}

#[tokio::test(start_paused = true)]
async fn files_come_and_go_with_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let clock = clock();
    let (board, reader) = board(Snapshot::default(), false, false);
    let mut sinks = Sinks::new(Arc::clone(&clock) as Arc<dyn Clock>);
    publish(&board, &clock, "t1", 3600);
    let one = sink(&at("one"), SinkFormat::Raw, 0o440);
    sinks.apply(std::slice::from_ref(&one), |_| Some(reader.clone()));
    until(|| reads(&at("one"), "t1")).await;
    let changed = FileSink {
        mode: 0o400,
        ..one.clone()
    };
    let two = sink(&at("two"), SinkFormat::Raw, 0o440);
    sinks.apply(&[changed, two.clone()], |_| Some(reader.clone()));
    until(|| reads(&at("two"), "t1") && mode_of(&at("one")) == 0o400).await;
    sinks.apply(&[two], |_| Some(reader.clone()));
    publish(&board, &clock, "t2", 3600);
    until(|| reads(&at("two"), "t2")).await;
    drop(board);
    sinks.ended().await;
    assert!(reads(&at("one"), "t1"), "left as it was");
}

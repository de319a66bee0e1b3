//! The store at the start: one broker at a time, and none with a file that is not its own.

use std::fs;
use std::path::Path;
use std::time::Duration;

use token_broker::app::{RunError, StorageError};
use tokio::time::sleep;

use crate::support::{Broker, Process, Reply, Vendor, integration};

fn store(path: &Path) -> String {
    format!(
        "[store]\nkind = \"embedded\"\npath = \"{}\"\n",
        path.display()
    )
}

async fn vendor() -> Vendor {
    Vendor::start(|_, number| Reply::token(&format!("t{number}"), 3600)).await
}

#[tokio::test(start_paused = true)]
async fn a_second_broker_waits_with_its_listeners_up() {
    let folder = tempfile::tempdir().unwrap();
    let vendor = vendor().await;
    let config = format!(
        "{}{}",
        store(&folder.path().join("state.redb")),
        integration("x", &vendor.url(), "")
    );
    let first = Broker::start(&config);
    first.until("x", |status| status["state"] == "valid").await;
    let second = Broker::start(&config);
    while second.get("/readyz").await.status == 200 {
        sleep(Duration::from_millis(50)).await;
    }
    let ready = second.get("/readyz?verbose").await;
    assert_eq!(ready.status, 503);
    assert!(
        ready.text().contains("[-] store: held by another broker"),
        "{}",
        ready.text()
    );
    assert_eq!(second.get("/livez").await.status, 200);
    assert_eq!(second.get("/startupz").await.status, 503);
    for path in ["/token/x", "/headers/x"] {
        let refused = second.get(path).await;
        assert_eq!(refused.status, 503);
        assert_eq!(refused.json()["error"], "temporarily_unavailable");
        assert!(refused.header("retry-after").is_some());
    }
    assert_eq!(second.get("/token/y").await.status, 404);
    assert_eq!(second.status("x").await["state"], "pending");
    let asked = vendor.count();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(vendor.count(), asked, "it asks nobody meanwhile");
    first.stop().await;
    second.until("x", |status| status["state"] == "valid").await;
    assert_eq!(second.get("/readyz").await.status, 200);
    assert_eq!(second.get("/token/x").await.status, 200);
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_held_ends_the_second_broker() {
    let folder = tempfile::tempdir().unwrap();
    let config = store(&folder.path().join("state.redb"));
    let first = Broker::start(&config);
    while first.get("/readyz").await.status != 200 {
        sleep(Duration::from_millis(50)).await;
    }
    let second = Broker::start(&config);
    let ended = second.ended().await;
    assert!(
        matches!(
            &ended,
            Err(RunError::Storage(StorageError::StillHeld(error))) if error.is_held()
        ),
        "{ended:?}"
    );
    // One that is told to stop meanwhile ends well.
    Broker::start(&config).end().await.unwrap();
    first.stop().await;
}

#[test]
fn a_store_that_cannot_be_used_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let config = folder.path().join("broker.toml");
    let listen = "[server]\nlisten = \"127.0.0.1:0\"\n";
    let run = |text: String| {
        fs::write(&config, format!("{listen}{text}")).unwrap();
        let output = Process::run(&["serve", "--config", config.to_str().unwrap()]);
        let log = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), log)
    };
    fs::write(&path, "not a store").unwrap();
    let (code, log) = run(store(&path));
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("state.redb") && log.contains("not a store"),
        "{log}"
    );
    assert!(!log.contains("is not sealed"), "nobody looked: {log}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "not a store");
    fs::remove_file(&path).unwrap();
    let key = "encryption_key = { file = \"/no/such/key\" }\n";
    let (code, log) = run(format!("{}{key}", store(&path)));
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("encryption_key") && log.contains("/no/such/key"),
        "{log}"
    );
    assert!(!path.exists(), "nothing was made");
}

#[tokio::test]
async fn a_store_without_a_key_is_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("broker.toml");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n{}",
        store(&folder.path().join("state.redb"))
    );
    fs::write(&config, text).unwrap();
    let log = tokio::task::spawn_blocking(move || {
        let mut broker = Process::serve(&config, &[]);
        broker.until_logged("is not sealed");
        broker.stop()
    });
    assert!(log.await.unwrap().contains("state.redb"));
}

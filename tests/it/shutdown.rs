//! The end: what is in flight is awaited, and the exit code says whether all went well.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use token_broker::app::RunError;
use tokio::time::sleep;

use crate::support::{Broker, Process, Reply, Vendor, integration};

fn slow(wait: Duration) -> impl Fn(usize) -> Reply {
    move |number| Reply::After(wait, Box::new(Reply::token(&format!("t{number}"), 3600)))
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_in_mid_exchange_keeps_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let reply = slow(Duration::from_secs(10));
    let vendor = Vendor::start(move |_, number| reply(number)).await;
    let broker = Broker::start(&format!(
        "{}[[integrations.x.files]]\npath = \"{}\"\nformat = \"raw\"\n",
        integration("x", &vendor.url(), ""),
        path.display()
    ));
    while vendor.count() == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    broker.end().await.unwrap();
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "t1",
        "what came last is kept"
    );
    assert_eq!(vendor.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn not_ready_at_once_and_serving_on_for_the_delay() {
    let vendor = Vendor::start(|_, number| Reply::token(&format!("t{number}"), 3600)).await;
    let broker = Broker::start(&format!(
        "shutdown_delay = \"30s\"\n{}",
        integration("x", &vendor.url(), "")
    ));
    broker.until("x", |status| status["state"] == "valid").await;
    assert_eq!(broker.get("/readyz").await.status, 200);
    broker.begin_to_stop();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(broker.get("/readyz").await.status, 503);
    sleep(Duration::from_secs(20)).await;
    assert_eq!(broker.get("/token/x").await.token(), "t1");
    broker.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_outlasts_the_end_is_told() {
    let vendor = Vendor::start(|_, _| Reply::Hang).await;
    let broker = Broker::start(&format!(
        "shutdown_timeout = \"5s\"\n{}",
        integration("x", &vendor.url(), "")
    ));
    while vendor.count() == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    let ended = broker.end().await;
    assert_eq!(ended, Err(RunError::Unfinished(vec!["x".parse().unwrap()])));
}

fn config(folder: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("broker.toml");
    fs::write(&path, format!("[server]\nlisten = \"127.0.0.1:0\"\n{text}")).unwrap();
    path
}

#[tokio::test]
async fn the_exit_code_tells_how_it_ended() {
    let vendor = Vendor::start(|_, _| Reply::Hang).await;
    let folder = tempfile::tempdir().unwrap();
    let path = config(
        &folder,
        &format!(
            "shutdown_timeout = \"50ms\"\n{}",
            integration("x", &vendor.url(), "")
        ),
    );
    let start = move || Process::serve(&path, &[]);
    let mut broker = tokio::task::spawn_blocking(start).await.unwrap();
    while vendor.count() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let ended = tokio::task::spawn_blocking(move || {
        broker.signal(Signal::INT);
        broker.ended()
    });
    let (code, log) = ended.await.unwrap();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("in the middle of an exchange of 'x'"), "{log}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = config(&folder, "shutdown_delay = \"1h\"\n");
    let ended = tokio::task::spawn_blocking(move || {
        let mut broker = Process::serve(&path, &[]);
        broker.signal(Signal::TERM);
        broker.until_logged("not ready any more");
        // Not one that ends it.
        broker.signal(Signal::HUP);
        broker.signal(Signal::TERM);
        broker.ended()
    });
    let (code, log) = ended.await.unwrap();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("second signal"), "{log}");
}

//! Files with tokens, as a program that reads files meets them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use crate::support::{Broker, Reply, Vendor, integration};

fn file(path: &Path, more: &str) -> String {
    format!(
        "[[integrations.x.files]]\npath = \"{}\"\n{more}\n",
        path.display()
    )
}

async fn until(path: &Path, holds: impl Fn(&str) -> bool) -> String {
    for _ in 0..12_000 {
        if let Ok(text) = fs::read_to_string(path)
            && holds(&text)
        {
            return text;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {:?}", fs::read_to_string(path));
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test(start_paused = true)]
async fn a_file_follows_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let vendor = Vendor::start(|_, number| Reply::token(&format!("t{number}"), 60)).await;
    let broker = Broker::start(&format!(
        "{}{}{}{}",
        integration("x", &vendor.url(), ""),
        file(&at("json"), ""),
        file(&at("raw"), "format = \"raw\"\nmode = \"0400\""),
        file(&at("header"), "format = \"header\"\nmode = \"0644\""),
    ));
    let first: Value =
        serde_json::from_str(&until(&at("json"), |text| text.contains("t1")).await).unwrap();
    assert_eq!(first["token_type"], "Bearer");
    assert!(
        first["expires_at"].is_string() && first["expires_in"].is_null(),
        "{first}"
    );
    for number in [1, 2, 3] {
        until(&at("raw"), |text| text == format!("t{number}")).await;
        until(&at("header"), |text| text == format!("Bearer t{number}")).await;
    }
    let modes = ["json", "raw", "header"].map(|name| mode(&at(name)));
    assert_eq!(modes, [0o440, 0o400, 0o644]);
    // What is held when it stops is what lies there.
    let held = broker.get("/token/x").await.token();
    broker.stop().await;
    assert_eq!(fs::read_to_string(at("raw")).unwrap(), held);
}

#[tokio::test(start_paused = true)]
async fn a_reader_finds_one_whole_token_or_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let long = |number: usize| {
        char::from(b'a' + u8::try_from(number % 26).unwrap())
            .to_string()
            .repeat(60_000)
    };
    let vendor = Vendor::start(move |_, number| Reply::token(&long(number), 2)).await;
    let broker = Broker::start(&format!(
        "{}{}",
        integration("x", &vendor.url(), ""),
        file(&path, "format = \"raw\"")
    ));
    until(&path, |_| true).await;
    let (over, read) = (Arc::new(AtomicBool::new(false)), path.clone());
    let stop = Arc::clone(&over);
    let reader = std::thread::spawn(move || {
        let mut seen = std::collections::BTreeSet::new();
        while !stop.load(Ordering::Relaxed) {
            let text = fs::read_to_string(&read).unwrap();
            assert_eq!(text.len(), 60_000);
            let first = text.chars().next().unwrap();
            assert!(text.chars().all(|c| c == first));
            assert_eq!(mode(&read), 0o440);
            seen.insert(first);
        }
        seen.len()
    });
    while vendor.count() < 30 {
        sleep(Duration::from_millis(100)).await;
    }
    over.store(true, Ordering::Relaxed);
    assert!(reader.join().unwrap() > 1);
    broker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn files_come_and_go_with_a_reload_and_ask_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let vendor = Vendor::start(|_, number| Reply::token(&format!("t{number}"), 3600)).await;
    let config: PathBuf = at("broker.toml");
    let write = |files: &str| {
        let text = integration("x", &vendor.url(), "");
        fs::write(
            &config,
            format!("[server]\nlisten = \"127.0.0.1:0\"\n{text}{files}"),
        )
        .unwrap();
    };
    write(&file(&at("one"), "format = \"raw\""));
    let broker = Broker::follow(&config);
    until(&at("one"), |text| text == "t1").await;
    write(&format!(
        "{}{}",
        file(&at("one"), ""),
        file(&at("two"), "format = \"header\"")
    ));
    broker.reload().await;
    until(&at("two"), |text| text == "Bearer t1").await;
    until(&at("one"), |text| text.starts_with('{')).await;
    write(&file(&at("two"), "format = \"header\""));
    broker.reload().await;
    assert_eq!(vendor.count(), 1);
    sleep(Duration::from_secs(6)).await;
    broker.post("/refresh/x", "").await;
    until(&at("two"), |text| text == "Bearer t2").await;
    assert!(
        fs::read_to_string(at("one")).unwrap().contains("t1"),
        "left as it was"
    );
}

//! Secrets: from files that change, and nowhere they should not be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::{Broker, Reply, Request, Vendor};

fn secret_of(request: &Request) -> String {
    let basic = request
        .header("authorization")
        .unwrap()
        .strip_prefix("Basic ")
        .unwrap();
    let pair = String::from_utf8(STANDARD.decode(basic).unwrap()).unwrap();
    pair.split_once(':').unwrap().1.to_owned()
}

/// A vendor that takes one secret only, whichever `good` names.
async fn vendor_that_wants(good: &'static str) -> Vendor {
    Vendor::start(move |request, number| {
        if secret_of(request) == good {
            Reply::token(&format!("t{number}"), 3600)
        } else {
            Reply::json(401, r#"{"error":"invalid_client"}"#)
        }
    })
    .await
}

fn from_file(url: &str, file: &Path) -> String {
    format!(
        "[integrations.x]\ngrant = \"client_credentials\"\ntoken_endpoint = \"{url}\"\n\
         client_id = \"abc\"\nclient_secret = {{ file = \"{}\" }}\n",
        file.display()
    )
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_missing_at_start_and_appears_later() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let vendor = vendor_that_wants("late").await;
    let broker = Broker::start(&from_file(&vendor.url(), &file));
    let answer = broker.get("/token/x?wait=1s").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error"], "secret_unavailable");
    assert_eq!(broker.status("x").await["state"], "pending");
    assert_eq!(vendor.count(), 0);
    fs::write(&file, "late\n").unwrap();
    broker.until("x", |status| status["state"] == "valid").await;
    assert_eq!(vendor.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_secret_swapped_by_symlink_ends_a_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, secret) in [("v1", "old"), ("v2", "new")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("secret"), secret).unwrap();
    }
    symlink("v1", at("..data")).unwrap();
    symlink("..data/secret", at("secret")).unwrap();
    let vendor = vendor_that_wants("new").await;
    let broker = Broker::start(&from_file(&vendor.url(), &at("secret")));
    broker
        .until("x", |status| status["state"] == "rejected")
        .await;
    symlink("v2", at("..tmp")).unwrap();
    fs::rename(at("..tmp"), at("..data")).unwrap();
    broker.until("x", |status| status["state"] == "valid").await;
    assert_eq!(
        vendor.count(),
        2,
        "the refusal's wait ended with the new secret"
    );
}

#[tokio::test(start_paused = true)]
async fn a_file_truncated_then_written_is_never_read_as_empty() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "first").unwrap();
    let vendor = Vendor::start(|_, number| Reply::token(&format!("t{number}"), 3600)).await;
    let broker = Broker::start(&from_file(&vendor.url(), &file));
    broker.until("x", |status| status["state"] == "valid").await;
    fs::write(&file, "").unwrap();
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(broker.post("/refresh/x", "").await.token(), "t2");
    fs::write(&file, "second").unwrap();
    broker.until("x", |_| vendor.count() == 3).await;
    let secrets: Vec<String> = vendor.requests().iter().map(secret_of).collect();
    assert_eq!(secrets, ["first", "first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn of_two_secrets_the_one_that_works_is_found_and_kept() {
    let vendor = vendor_that_wants("next").await;
    let broker = Broker::start(&format!(
        "[integrations.x]\ngrant = \"client_credentials\"\ntoken_endpoint = \"{}\"\n\
         client_id = \"abc\"\nclient_secret = [\"now\", \"next\"]\n",
        vendor.url()
    ));
    assert_eq!(broker.get("/token/x").await.token(), "t2");
    assert_eq!(broker.status("x").await["secret_in_use"], 1);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(broker.post("/refresh/x", "").await.token(), "t3");
    let secrets: Vec<String> = vendor.requests().iter().map(secret_of).collect();
    assert_eq!(secrets, ["now", "next", "next"]);
}

/// The first reading of a file is no change to whoever reads it next.
#[tokio::test(start_paused = true)]
async fn a_refused_secret_that_many_share_is_sent_once_by_each() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "wrong").unwrap();
    let vendor = vendor_that_wants("right").await;
    let heirs = ["y", "z"].map(|name| format!("[integrations.{name}]\ninherit = \"x\"\n"));
    let broker = Broker::start(&(from_file(&vendor.url(), &file) + &heirs.concat()));
    for name in ["x", "y", "z"] {
        broker
            .until(name, |status| status["state"] == "rejected")
            .await;
    }
    // Sooner than any of them would try again by itself.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(vendor.count(), 3);
    // One that is changed is tried by all of them.
    fs::write(&file, "right").unwrap();
    for name in ["x", "y", "z"] {
        broker
            .until(name, |status| status["state"] == "valid")
            .await;
    }
    assert_eq!(vendor.count(), 6);
}

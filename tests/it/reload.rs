//! A configuration that changes while the broker serves.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{Broker, Process, Reply, Vendor, integration, request};

const SERVER: &str = "[server]\nlisten = \"127.0.0.1:0\"\n";

struct Site {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Site {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.toml");
        let site = Self {
            _folder: folder,
            path,
        };
        site.write(text);
        site
    }

    fn write(&self, text: &str) {
        fs::write(&self.path, format!("{SERVER}{text}")).unwrap();
    }

    fn start(text: &str) -> (Self, Broker) {
        let site = Self::new(text);
        let broker = Broker::follow(&site.path);
        (site, broker)
    }
}

async fn good_vendor() -> Vendor {
    Vendor::start(|_, number| Reply::token(&format!("t{number}"), 3600)).await
}

fn valid(status: &Value) -> bool {
    status["state"] == "valid"
}

#[tokio::test(start_paused = true)]
async fn a_symlink_swap_is_noticed() {
    let vendor = good_vendor().await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, name) in [("..v1", "old"), ("..v2", "new")] {
        fs::create_dir(at(version)).unwrap();
        let text = format!("{SERVER}{}", integration(name, &vendor.url(), ""));
        fs::write(at(version).join("broker.toml"), text).unwrap();
    }
    symlink("..v1", at("..data")).unwrap();
    symlink("..data/broker.toml", at("broker.toml")).unwrap();
    let followed: [&Path; 2] = [&at("broker.toml"), folder.path()];
    for path in followed {
        let broker = Broker::follow(path);
        assert_eq!(broker.get("/token/old").await.status, 200);
        symlink("..v2", at("..tmp")).unwrap();
        fs::rename(at("..tmp"), at("..data")).unwrap();
        let last = broker.until_reloaded(&Value::Null).await;
        assert_eq!(last["outcome"], "success");
        assert_eq!(broker.get("/token/new").await.status, 200);
        assert_eq!(broker.get("/token/old").await.status, 404);
        symlink("..v1", at("..tmp")).unwrap();
        fs::rename(at("..tmp"), at("..data")).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_more_in_a_folder_and_a_provider_file_are_noticed() {
    let vendor = good_vendor().await;
    let folder = tempfile::tempdir().unwrap();
    let providers = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.toml"), SERVER).unwrap();
    let broker = Broker::follow(folder.path());
    assert_eq!(broker.get("/token/x").await.status, 404);
    let provider = |scope: &str| {
        let text = format!(
            "name = \"Mine\"\ngrant = \"client_credentials\"\nscope = \"{scope}\"\ntoken_endpoint = \"{}\"\n",
            vendor.url()
        );
        fs::write(providers.path().join("mine.toml"), text).unwrap();
    };
    provider("one");
    fs::write(
        at("b.toml"),
        format!(
            "[providers]\npath = \"{}\"\n[integrations.x]\nprovider = \"mine\"\n\
             client_id = \"a\"\nclient_secret = \"s\"\n",
            providers.path().display()
        ),
    )
    .unwrap();
    let last = broker.until_reloaded(&Value::Null).await;
    assert_eq!(last["outcome"], "success", "{last}");
    assert_eq!(broker.get("/token/x").await.token(), "t1");
    provider("two");
    broker.until_reloaded(&last).await;
    assert_eq!(broker.get("/token/x").await.token(), "t2");
    assert!(vendor.requests()[1].text().contains("scope=two"));
}

#[tokio::test(start_paused = true)]
async fn a_bad_configuration_keeps_the_one_before_and_is_told_once() {
    let vendor = good_vendor().await;
    let good = integration("x", &vendor.url(), "");
    let (site, broker) = Site::start(&good);
    broker.until("x", valid).await;
    assert_eq!(broker.last_reload().await, Value::Null);
    let loaded_at = broker.get("/integrations").await.json()["config"]["loaded_at"].clone();
    site.write(
        "[integrations.x]\ngrant = \"nonsense\"\nclient_secret = 5\nsecret_typo = \"c4nary\"\n",
    );
    let last = broker.until_reloaded(&Value::Null).await;
    assert_eq!(last["outcome"], "failure");
    let keys: Vec<_> = last["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["key"])
        .collect();
    assert!(
        keys.len() >= 3 && keys.contains(&&json!("integrations.x.grant")),
        "{last}"
    );
    assert!(!last.to_string().contains("c4nary"), "{last}");
    let status = broker.get("/integrations").await.json();
    assert_eq!(status["config"]["loaded_at"], loaded_at);
    let failed = "token_broker_config_reloads_total{outcome=\"failure\"}";
    assert_eq!(broker.metric(failed).await, "1");
    assert_eq!(
        broker
            .metric("token_broker_config_last_reload_successful")
            .await,
        "0"
    );
    sleep(Duration::from_secs(60)).await;
    assert_eq!(
        broker.metric(failed).await,
        "1",
        "not again while it is the same"
    );
    assert_eq!(broker.get("/token/x").await.token(), "t1");
    // Asked to, it says so again.
    assert_eq!(broker.reload().await["outcome"], "failure");
    assert_eq!(broker.metric(failed).await, "2");
    site.write(&good);
    let before = broker.last_reload().await;
    assert_eq!(broker.until_reloaded(&before).await["outcome"], "success");
    assert_eq!(
        broker
            .metric("token_broker_config_last_reload_successful")
            .await,
        "1"
    );
    assert_eq!(vendor.count(), 1, "nothing changed in the end");
}

#[tokio::test(start_paused = true)]
async fn what_did_not_change_is_not_touched() {
    let vendor = good_vendor().await;
    let other = good_vendor().await;
    let same = integration("same", &vendor.url(), "");
    let (site, broker) = Site::start(&format!("{same}{}", integration("x", &other.url(), "")));
    broker.until("same", valid).await;
    broker.until("x", valid).await;
    let before = broker.status("same").await;
    site.write(&format!(
        "[access]\nrequire_header = \"X-Mine\"\n{same}{}",
        integration("x", &other.url(), "scope = \"more\"")
    ));
    sleep(Duration::from_secs(15)).await;
    let mine = |path: &'static str| request(broker.address, path, &["X-Mine: 1"], "");
    assert_eq!(
        broker.get("/token/same").await.status,
        403,
        "[access] is applied"
    );
    assert_eq!(mine("GET /token/same").await.token(), "t1");
    assert_eq!(mine("GET /token/x").await.token(), "t2");
    let after = mine("GET /integrations/same").await.json();
    assert_eq!(after["refresh_at"], before["refresh_at"]);
    assert_eq!((vendor.count(), other.count()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn what_needs_a_restart_is_named_and_the_rest_applied() {
    let vendor = good_vendor().await;
    let (site, broker) = Site::start("");
    fs::write(
        &site.path,
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nwait = \"3s\"\n[log]\nformat = \"json\"\n[admin]\nlisten = \"127.0.0.1:0\"\n{}",
            integration("x", &vendor.url(), "")
        ),
    )
    .unwrap();
    let last = broker.until_reloaded(&Value::Null).await;
    assert_eq!(last["outcome"], "success");
    let warned = last["warnings"].as_array().unwrap().iter();
    let keys: Vec<_> = warned
        .filter(|one| one["message"].as_str().unwrap().contains("restart"))
        .map(|one| one["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["server.wait", "admin", "log.format"]);
    assert_eq!(broker.get("/token/x").await.token(), "t1");
}

#[tokio::test(start_paused = true)]
async fn a_reload_in_mid_exchange_keeps_the_answer() {
    let vendor = Vendor::start(|_, number| {
        let token = Reply::token(&format!("t{number}"), 3600);
        Reply::After(Duration::from_secs(8), Box::new(token))
    })
    .await;
    let (site, broker) = Site::start(&integration("x", &vendor.url(), ""));
    let other = good_vendor().await;
    while vendor.count() == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    let later = integration("x", &vendor.url(), "refresh.at = 0.5");
    site.write(&format!("{later}{}", integration("y", &other.url(), "")));
    let last = broker.reload().await;
    assert_eq!(last["outcome"], "success");
    // One that hangs does not hold up the others.
    assert_eq!(broker.get("/token/y?wait=1s").await.token(), "t1");
    assert_eq!(broker.get("/token/x?wait=0").await.status, 503);
    assert_eq!(broker.get("/token/x?wait=10s").await.token(), "t1");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(vendor.count(), 1, "neither lost nor asked twice");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_emptied_takes_nothing_away() {
    let vendor = good_vendor().await;
    let text = integration("x", &vendor.url(), "");
    let (site, broker) = Site::start(&text);
    broker.until("x", valid).await;
    let mut last = Value::Null;
    for triggered in [false, true] {
        site.write("");
        last = if triggered {
            broker.reload().await
        } else {
            broker.until_reloaded(&last).await
        };
        assert_eq!(last["outcome"], "failure", "{last}");
        assert!(
            last.to_string().contains("no integration any more"),
            "{last}"
        );
        assert_eq!(broker.get("/token/x").await.token(), "t1");
        site.write(&text);
        last = broker.reload().await;
        assert_eq!(last["outcome"], "success", "{last}");
    }
    assert_eq!(vendor.count(), 1);
}

/// As slow editors and copies do: every second there is more of it.
#[tokio::test(start_paused = true)]
async fn a_file_that_is_still_being_written_is_not_loaded() {
    let vendor = good_vendor().await;
    let (x, y) = (
        integration("x", &vendor.url(), ""),
        integration("y", &vendor.url(), ""),
    );
    let (site, broker) = Site::start(&format!("{x}{y}"));
    broker.until("y", valid).await;
    for line in 0..30 {
        site.write(&format!("{x}# {line}\n"));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(broker.get("/token/y?wait=0").await.status, 200);
    }
    assert_eq!(broker.last_reload().await, Value::Null);
    site.write(&x);
    let last = broker.until_reloaded(&Value::Null).await;
    assert_eq!(last["outcome"], "success", "{last}");
    assert_eq!(broker.get("/token/y?wait=0").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_is_proven_while_the_old_token_is_served() {
    let vendor = Vendor::start(|request, number| {
        if request.text().contains("wrong") {
            return Reply::json(401, r#"{"error":"invalid_client"}"#);
        }
        let token = Reply::token(&format!("t{number}"), 3600);
        Reply::After(Duration::from_secs(3), Box::new(token))
    })
    .await;
    let with = |secret: &str| {
        format!(
            "[integrations.x]\ngrant = \"client_credentials\"\ntoken_endpoint = \"{}\"\nclient_id = \"abc\"\n\
             token_endpoint_auth_method = \"client_secret_post\"\nclient_secret = \"{secret}\"\n",
            vendor.url()
        )
    };
    let (site, broker) = Site::start(&with("first"));
    broker.until("x", valid).await;
    site.write(&with("wrong"));
    broker.reload().await;
    broker
        .until("x", |status| status["state"] == "rejected")
        .await;
    assert_eq!(broker.get("/token/x").await.token(), "t1");
    site.write(&with("second"));
    broker.reload().await;
    while vendor.count() < 3 {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        broker.get("/token/x?wait=0").await.token(),
        "t1",
        "while it is proven"
    );
    broker.until("x", valid).await;
    assert_eq!(broker.get("/token/x").await.token(), "t3");
    assert!(vendor.requests()[2].text().contains("second"));
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_answers_404() {
    let vendor = good_vendor().await;
    let hanging = Vendor::start(|_, _| Reply::Hang).await;
    let (x, y) = (
        integration("x", &vendor.url(), ""),
        integration("y", &hanging.url(), ""),
    );
    let (site, broker) = Site::start(&format!("{x}{y}"));
    broker.until("x", valid).await;
    site.write(&x);
    broker.reload().await;
    assert_eq!(broker.get("/token/y").await.status, 404);
    assert_eq!(broker.get("/integrations/y").await.status, 404);
    assert_eq!(broker.get("/token/x").await.token(), "t1");
    assert_eq!(vendor.count(), 1);
    // And comes back.
    site.write(&format!("{x}{}", integration("y", &vendor.url(), "")));
    broker.reload().await;
    broker.until("y", valid).await;
    assert_eq!(vendor.count(), 2);
}

#[tokio::test]
async fn the_signal_reloads_at_once_and_a_bad_file_stops_only_a_start() {
    let vendor = good_vendor().await;
    let site = Site::new(&integration("x", &vendor.url(), ""));
    let folder = site.path.clone();
    let done = tokio::task::spawn_blocking(move || {
        let mut broker = Process::serve(&folder, &[]);
        let good = fs::read_to_string(&folder).unwrap();
        fs::write(&folder, "nonsense").unwrap();
        broker.signal(Signal::HUP);
        broker.until_logged("the configuration was not reloaded, the one before is kept");
        fs::write(&folder, &good).unwrap();
        broker.signal(Signal::HUP);
        broker.until_logged("configuration reloaded: 0 added, 0 changed, 0 removed");
        fs::write(&folder, format!("{good}\n[log]\nlevel = \"debug\"\n")).unwrap();
        broker.signal(Signal::HUP);
        broker.until_logged("configuration reloaded");
        let log = broker.stop();
        fs::write(&folder, "nonsense").unwrap();
        let start = Process::run(&["serve", "--config", folder.to_str().unwrap()]);
        (log, start)
    });
    let (log, start) = done.await.unwrap();
    assert!(log.contains("broker.toml: "), "{log}");
    assert_eq!(start.status.code(), Some(2));
}

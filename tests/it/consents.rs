//! What a person gave once, at the running broker: every way in which others lose it.
//!
//! The vendor is strict: a refresh token works once, and one that is used again ends the grant. The
//! store, the socket and the files are real.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use crate::support::{Broker, Process, Reply, Request, Vendor, request};

/// What the vendor says to the next requests, before it goes back to rotating.
type Next = Arc<Mutex<Vec<Reply>>>;

struct Site {
    folder: tempfile::TempDir,
    vendor: Vendor,
    next: Next,
}

fn form(request: &Request) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(request.text().as_bytes())
        .into_owned()
        .collect()
}

fn rotated(number: usize) -> Reply {
    Reply::json(
        200,
        &format!(
            r#"{{"access_token":"at-{number}","token_type":"bearer","expires_in":"40000","refresh_token":"rt-{number}"}}"#
        ),
    )
}

impl Site {
    async fn new() -> Self {
        let next = Next::default();
        let told = Arc::clone(&next);
        let good = Mutex::new("rt-0".to_owned());
        let vendor = Vendor::start(move |request, number| {
            let mut good = good.lock().unwrap();
            if let Some(reply) = told.lock().unwrap().pop() {
                return reply;
            }
            if form(request)["refresh_token"] != *good {
                good.clear();
                return Reply::json(400, r#"{"error":"invalid_grant"}"#);
            }
            *good = format!("rt-{number}");
            // As long as a shutdown or a reload needs to come in between.
            Reply::After(Duration::from_millis(500), Box::new(rotated(number)))
        })
        .await;
        let site = Self {
            // In memory, where there is such a place: time leaps here while a disk is slow.
            folder: tempfile::tempdir_in("/dev/shm")
                .or_else(|_| tempfile::tempdir())
                .unwrap(),
            vendor,
            next,
        };
        site.write("scope = \"read\"\n");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `more` is TOML for the table of the only integration.
    fn write(&self, more: &str) {
        self.write_grant(&format!(
            "grant = \"refresh_token\"\ntoken_endpoint = \"{}\"\n\
             token_endpoint_auth_method = \"none\"\nclient_id = \"crm\"\n\
             refresh_token = \"rt-0\"\n{more}",
            self.vendor.url()
        ));
    }

    fn write_grant(&self, table: &str) {
        let text = format!(
            "server = {{ listen = \"127.0.0.1:0\", shutdown_timeout = \"10m\" }}\nproviders.path = \"{}\"\n\
             store = {{ kind = \"embedded\", path = \"{}\" }}\n[integrations.crm]\n{table}",
            self.path("providers").display(),
            self.path("state.redb").display()
        );
        fs::create_dir_all(self.path("providers")).unwrap();
        fs::write(self.path("broker.toml"), text).unwrap();
    }

    fn start(&self) -> Broker {
        Broker::follow(&self.path("broker.toml"))
    }

    fn says_next(&self, reply: Reply) {
        self.next.lock().unwrap().push(reply);
    }

    /// The refresh tokens that were sent, in order.
    fn presented(&self) -> Vec<String> {
        let requests = self.vendor.requests();
        requests
            .iter()
            .map(|request| form(request)["refresh_token"].clone())
            .collect()
    }

    async fn until_asked(&self, times: usize) {
        while self.vendor.count() < times {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn token(broker: &Broker) -> String {
    let held = |status: &Value| !status["token_fingerprint"].is_null();
    broker.until("crm", held).await;
    broker.get("/token/crm").await.token()
}

/// Another exchange, and its end: a real disk is slow where time leaps, so it is asked for until it
/// comes.
async fn renew(site: &Site, broker: &Broker) {
    let before = site.vendor.count();
    for _ in 0..2_000 {
        broker.post("/refresh/crm", "").await;
        if site.vendor.count() > before {
            let over = |status: &Value| status["state"] != "refreshing";
            broker.until("crm", over).await;
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
    panic!("never asked again");
}

#[tokio::test(start_paused = true)]
async fn a_reload_in_mid_exchange_keeps_the_refresh_token() {
    let site = Site::new().await;
    let broker = site.start();
    site.until_asked(1).await;
    // Another request altogether: its answer is of no use, but the refresh token in it is.
    site.write("params = { audience = \"other\" }\n");
    let last = broker.reload().await;
    assert_eq!(last["outcome"], "success", "{last}");
    site.until_asked(2).await;
    broker
        .until("crm", |status| status["state"] == "valid")
        .await;
    assert_eq!(token(&broker).await, "at-2");
    assert_eq!(site.presented(), ["rt-0", "rt-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_in_mid_exchange_keeps_the_refresh_token() {
    let site = Site::new().await;
    let broker = site.start();
    site.until_asked(1).await;
    broker.stop().await;
    let broker = site.start();
    assert_eq!(
        token(&broker).await,
        "at-1",
        "the answer was awaited and saved"
    );
    renew(&site, &broker).await;
    assert_eq!(site.presented()[..2], ["rt-0", "rt-1"]);
    broker
        .until("crm", |status| status["state"] == "valid")
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_429_with_an_error_member_does_not_kill_the_grant() {
    let site = Site::new().await;
    let throttled = |error: &str| {
        let head = "content-type: application/json\r\nretry-after: 7\r\n".to_owned();
        Reply::Full(429, head, format!(r#"{{"error":"{error}"}}"#))
    };
    for error in ["invalid_client", "invalid_grant"] {
        site.says_next(throttled(error));
    }
    let broker = site.start();
    site.until_asked(1).await;
    let status = broker
        .until("crm", |status| status["consecutive_failures"] != 0)
        .await;
    assert_eq!(status["state"], "pending", "{status}");
    let waiting = broker.get("/token/crm?wait=0").await;
    assert_eq!(waiting.status, 503, "{}", waiting.text());
    assert_eq!(waiting.json()["error"], "rate_limited");
    assert_eq!(broker.get("/token/crm?wait=1m").await.status, 503);
    broker
        .until("crm", |status| status["state"] == "valid")
        .await;
    assert_eq!(site.presented(), ["rt-0"; 3]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_refresh_token_does_not_erase_the_old_one() {
    let site = Site::new().await;
    let broker = site.start();
    assert_eq!(token(&broker).await, "at-1");
    site.says_next(Reply::token("at-kept", 40_000));
    renew(&site, &broker).await;
    broker.stop().await;
    let broker = site.start();
    renew(&site, &broker).await;
    let presented = site.presented();
    assert_eq!(presented[..3], ["rt-0", "rt-1", "rt-1"]);
    broker
        .until("crm", |status| status["state"] == "valid")
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_grant_leaves_a_valid_access_token() {
    let site = Site::new().await;
    let broker = site.start();
    assert_eq!(token(&broker).await, "at-1");
    site.says_next(Reply::json(400, r#"{"error":"invalid_grant"}"#));
    renew(&site, &broker).await;
    // The early warning.
    let warned = |status: &Value| status["state"] == "login_required";
    broker.until("crm", warned).await;
    assert_eq!(token(&broker).await, "at-1");
    // A restart knows both.
    broker.stop().await;
    let broker = site.start();
    assert_eq!(token(&broker).await, "at-1");
    assert_eq!(broker.status("crm").await["state"], "login_required");
}

#[tokio::test(start_paused = true)]
async fn a_changed_scope_keeps_the_consent() {
    let site = Site::new().await;
    let broker = site.start();
    broker
        .until("crm", |status| status["state"] == "valid")
        .await;
    site.write("scope = \"read write\"\n");
    broker.stop().await;
    let broker = site.start();
    assert_eq!(token(&broker).await, "at-2");
    assert_eq!(site.presented(), ["rt-0", "rt-1"]);
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_provider_file_keeps_the_consent() {
    let site = Site::new().await;
    let provider = |more: &str| {
        let text = format!(
            "name = \"Ours\"\ngrant = \"refresh_token\"\ntoken_endpoint = \"{}\"\n\
             token_endpoint_auth_method = \"none\"\n{more}\n",
            site.vendor.url()
        );
        fs::write(site.path("providers/ours.toml"), text).unwrap();
    };
    provider("scope = \"read\"");
    let table = "provider = \"ours\"\nclient_id = \"crm\"\nrefresh_token = \"rt-0\"\n";
    site.write_grant(table);
    let broker = site.start();
    assert_eq!(token(&broker).await, "at-1");
    // While the broker runs, ...
    provider("params = { audience = \"one\" }\nrefresh_token_idle_lifetime = \"60d\"");
    broker.reload().await;
    broker
        .until("crm", |status| {
            status["state"] == "valid" && site.vendor.count() == 2
        })
        .await;
    assert!(site.vendor.requests()[1].text().contains("audience=one"));
    broker.stop().await;
    // ... and between two of its lives.
    provider("params = { audience = \"two\" }");
    let broker = site.start();
    assert_eq!(token(&broker).await, "at-3");
    assert_eq!(site.presented(), ["rt-0", "rt-1", "rt-2"]);
}

/// A refresh token goes to the client and the vendor that it belongs to, whatever is configured now.
#[tokio::test(start_paused = true)]
async fn a_stored_refresh_token_is_not_used_after_the_client_changed() {
    let site = Site::new().await;
    let broker = site.start();
    assert_eq!(token(&broker).await, "at-1");
    broker.stop().await;
    let grant = |client: &str| {
        site.write_grant(&format!(
            "grant = \"refresh_token\"\ntoken_endpoint = \"{}\"\nclient_id = \"{client}\"\n\
             token_endpoint_auth_method = \"none\"\nrefresh_token = \"rt-0\"\n",
            site.vendor.url()
        ));
    };
    grant("another");
    let broker = site.start();
    broker
        .until("crm", |status| status["state"] == "login_required")
        .await;
    let refused = broker.get("/token/crm").await;
    assert_eq!(refused.status, 502, "{}", refused.text());
    assert_eq!(refused.json()["error"], "login_required");
    assert!(
        refused.text().contains("store adopt crm"),
        "{}",
        refused.text()
    );
    broker.stop().await;
    // Nothing was touched: with the old client all is as it was.
    grant("crm");
    let broker = site.start();
    broker
        .until("crm", |status| status["state"] == "valid")
        .await;
    assert!(!site.presented()[1..].contains(&"rt-0".to_owned()));
}

async fn get(process: &Process, path: &str) -> (u16, Value) {
    let answer = request(process.address, &format!("GET {path}"), &[], "").await;
    (answer.status, answer.json())
}

/// Two real processes with one configuration, as after a deployment that starts the new one first.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_do_not_share_one_refresh_token() {
    let site = Site::new().await;
    let config = site.path("broker.toml");
    let start = || tokio::task::block_in_place(|| Process::serve(&config, &[]));
    let mut first = start();
    let (status, token) = get(&first, "/token/crm").await;
    assert_eq!(
        (status, token["access_token"].as_str()),
        (200, Some("at-1"))
    );
    let mut second = start();
    let (status, problem) = get(&second, "/token/crm?wait=0").await;
    assert_eq!(status, 503, "{problem}");
    assert_eq!(problem["error"], "temporarily_unavailable");
    let alive = request(second.address, "GET /livez", &[], "").await;
    assert_eq!(alive.status, 200);
    // Forced or not, only the one with the store asks.
    request(second.address, "POST /refresh/crm?wait=0", &[], "").await;
    assert_eq!(site.vendor.count(), 1);
    tokio::task::block_in_place(|| first.stop());
    tokio::task::block_in_place(|| second.until_logged("the store is open"));
    let (status, token) = get(&second, "/token/crm").await;
    assert_eq!(
        (status, token["access_token"].as_str()),
        (200, Some("at-1"))
    );
    let give_up = tokio::time::Instant::now() + Duration::from_secs(30);
    while site.vendor.count() < 2 {
        assert!(tokio::time::Instant::now() < give_up);
        request(second.address, "POST /refresh/crm", &[], "").await;
        sleep(Duration::from_millis(100)).await;
    }
    let (status, token) = get(&second, "/token/crm?wait=5s").await;
    assert_eq!(status, 200, "{token}");
    tokio::task::block_in_place(|| second.stop());
    assert_eq!(site.presented(), ["rt-0", "rt-1"]);
}

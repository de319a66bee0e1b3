//! A person's consent, from the first visit to the vendor's page to a token that renews itself, at
//! emulated vendors.

mod reloads;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use token_broker::sandbox::Sandbox;
use tokio_util::sync::CancellationToken;

use crate::support::{Answer, Broker, Process, Typing, request};

/// What a browser sends when a vendor's page leads it here.
const BROWSER: [&str; 3] = [
    "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-Mode: navigate",
    "Origin: null",
];

async fn vendors() -> SocketAddr {
    let sandbox = Sandbox::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = sandbox.address();
    tokio::task::spawn(sandbox.run(CancellationToken::new()));
    consent(address, "allow").await;
    address
}

/// What the vendor's page decides without asking.
async fn consent(vendors: SocketAddr, decision: &str) {
    let body = json!({ "consent": decision }).to_string();
    let line = "PUT /control/rotating/consent";
    let answer = request(vendors, line, &[], &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn config(vendors: SocketAddr, folder: &Path) -> String {
    let vendor = format!("http://{vendors}/rotating");
    let store = folder.join("state.redb");
    let client = format!(
        "token_endpoint = \"{vendor}/token\"\nclient_id = \"demo-client-rotating\"\nscope = \"read\"\n\
         redirect_uri = \"http://127.0.0.1:8656/login/callback\"\n"
    );
    format!(
        "[store]\nkind = \"embedded\"\npath = \"{store}\"\n\
         [integrations.crm]\ngrant = \"authorization_code\"\n\
         authorization_endpoint = \"{vendor}/authorize?access_type=offline\"\n{client}\
         [integrations.books]\ngrant = \"authorization_code\"\n\
         authorization_endpoint = \"{vendor}/authorize\"\n{client}\
         [integrations.box]\ngrant = \"device_code\"\ntoken_endpoint = \"{vendor}/token\"\n\
         device_authorization_endpoint = \"{vendor}/device/code\"\nclient_id = \"demo-client-rotating\"\n",
        store = store.display(),
    )
}

async fn begin(broker: &Broker, name: &str) -> Value {
    let begun = broker.post(&format!("/login/{name}"), "").await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    begun.json()
}

/// Visits the page, and says where it leads.
async fn visit(vendors: SocketAddr, begun: &Value) -> String {
    let page = begun["authorization_url"].as_str().unwrap();
    let path = page.strip_prefix(&format!("http://{vendors}")).unwrap();
    let answer = request(vendors, &format!("GET {path}"), &[], "").await;
    let back = answer.header("location");
    back.unwrap_or_else(|| panic!("{}", answer.head)).to_owned()
}

/// Leads a browser there.
async fn come_back(broker: &Broker, to: &str) -> Answer {
    let path = to.strip_prefix("http://127.0.0.1:8656").unwrap();
    request(broker.address, &format!("GET {path}"), &BROWSER, "").await
}

fn code_of(back: &str) -> String {
    let url = url::Url::parse(back).unwrap();
    let mut pairs = url.query_pairs();
    pairs
        .find(|(name, _)| name == "code")
        .unwrap()
        .1
        .into_owned()
}

async fn log_in(broker: &Broker, vendors: SocketAddr, name: &str) {
    let begun = begin(broker, name).await;
    let page = come_back(broker, &visit(vendors, &begun).await).await;
    assert_eq!(page.status, 200, "{}", page.text());
}

#[tokio::test(start_paused = true)]
async fn a_login_brings_a_token_that_renews_itself_over_a_restart() {
    let (vendors, folder) = (vendors().await, tempfile::tempdir().unwrap());
    let config = config(vendors, folder.path());
    let broker = Broker::start(&config);
    let none = broker.get("/token/crm").await;
    assert_eq!(none.status, 502, "{}", none.text());
    assert_eq!(none.json()["error"], "login_required");
    assert!(
        none.text().contains("token-broker login crm"),
        "{}",
        none.text()
    );

    let begun = begin(&broker, "crm").await;
    assert_eq!(
        begun["redirect_uri"],
        "http://127.0.0.1:8656/login/callback"
    );
    assert_eq!(begun["expires_in"], 600);
    assert!(begun.get("state").is_none());
    assert_eq!(broker.status("crm").await["login"]["state"], "waiting");
    let back = visit(vendors, &begun).await;
    let page = come_back(&broker, &back).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let code = code_of(&back);
    let status = broker.status("crm").await;
    assert_eq!(status["login"], json!({"state": "done", "error": null}));
    assert_eq!(status["state"], "valid");
    let metrics = broker.get("/metrics").await;
    for shown in [page.text(), &status.to_string(), metrics.text()] {
        assert!(!shown.contains(&code), "{shown}");
    }
    let first = broker.get("/token/crm").await.token();

    // The same redirect once more.
    let again = come_back(&broker, &back).await;
    assert_eq!(again.status, 400);
    assert!(
        again.text().contains("already completed"),
        "{}",
        again.text()
    );
    assert_eq!(broker.get("/token/crm").await.token(), first);

    // A lifetime later another token is served, and after a restart it goes on without anybody.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let second = broker.get("/token/crm").await.token();
    assert_ne!(first, second);
    broker.stop().await;
    let broker = Broker::start(&config);
    assert_eq!(broker.get("/token/crm").await.status, 200);
    let status = broker.status("crm").await;
    assert!(
        status["login"].is_null() && status["state"] == "valid",
        "{status}"
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(broker.get("/token/crm").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_pasted_redirect_does_as_well() {
    let (vendors, folder) = (vendors().await, tempfile::tempdir().unwrap());
    let broker = Broker::start(&config(vendors, folder.path()));
    let begun = begin(&broker, "crm").await;
    let back = visit(vendors, &begun).await;
    let wrong = json!({"redirect_url": back.replace("state=", "state=x")}).to_string();
    let refused = broker.post("/login/crm/complete", &wrong).await;
    assert_eq!(
        (refused.status, refused.json()["error"].as_str()),
        (400, Some("invalid_request"))
    );
    assert!(refused.text().contains("state"), "{}", refused.text());
    let right = json!({"redirect_url": format!(" '{back}'\n")}).to_string();
    let done = broker.post("/login/crm/complete", &right).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(done.json()["state"], "valid");
    assert_eq!(broker.get("/token/crm").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn another_integrations_redirect_completes_nothing() {
    let (vendors, folder) = (vendors().await, tempfile::tempdir().unwrap());
    let broker = Broker::start(&config(vendors, folder.path()));
    let crm = visit(vendors, &begin(&broker, "crm").await).await;
    begin(&broker, "books").await;
    let body = json!({ "redirect_url": crm }).to_string();
    let refused = broker.post("/login/books/complete", &body).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("a login of 'crm'"),
        "{}",
        refused.text()
    );
    assert_eq!(broker.status("books").await["login"]["state"], "waiting");
    // It is still good for the one it belongs to.
    assert_eq!(come_back(&broker, &crm).await.status, 200);
    assert_eq!(broker.get("/token/books?wait=0").await.status, 502);
}

#[tokio::test(start_paused = true)]
async fn only_a_browser_with_a_known_state_gets_past_the_guards() {
    let (vendors, folder) = (vendors().await, tempfile::tempdir().unwrap());
    let config = config(vendors, folder.path());
    let broker = Broker::start(&format!("{config}[access]\nrequire_header = \"X-Ours\"\n"));
    let line = "POST /login/crm";
    assert_eq!(request(broker.address, line, &[], "").await.status, 403);
    let begun = request(broker.address, line, &["X-Ours: 1"], "")
        .await
        .json();
    let back = visit(vendors, &begun).await;
    let strange = come_back(&broker, &back.replace("state=", "state=x")).await;
    assert_eq!(
        (strange.status, strange.json()["error"].as_str()),
        (403, Some("access_denied"))
    );
    assert_eq!(come_back(&broker, &back).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_explained_and_takes_no_token_away() {
    let (vendors, folder) = (vendors().await, tempfile::tempdir().unwrap());
    let broker = Broker::start(&config(vendors, folder.path()));
    log_in(&broker, vendors, "crm").await;
    let token = broker.get("/token/crm").await.token();
    consent(vendors, "deny").await;
    let begun = begin(&broker, "crm").await;
    let page = come_back(&broker, &visit(vendors, &begun).await).await;
    assert_eq!(page.status, 502);
    assert!(page.text().contains("access_denied"), "{}", page.text());
    let status = broker.status("crm").await;
    assert_eq!(status["login"]["state"], "failed");
    assert_eq!(status["login"]["error"]["vendor"]["error"], "access_denied");
    assert_eq!(status["state"], "valid");
    assert_eq!(broker.get("/token/crm").await.token(), token);
    // While a token is valid a login replaces it at once.
    consent(vendors, "allow").await;
    log_in(&broker, vendors, "crm").await;
    assert_ne!(broker.get("/token/crm").await.token(), token);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_from_another_issuer_is_refused_and_the_login_goes_on() {
    let (vendors, folder) = (vendors().await, tempfile::tempdir().unwrap());
    let ours = format!("http://{vendors}/rotating");
    let config = config(vendors, folder.path());
    let named = format!("[integrations.crm]\nissuer = \"{ours}\"\n");
    let broker = Broker::start(&config.replace("[integrations.crm]\n", &named));
    let begun = begin(&broker, "crm").await;
    let back = visit(vendors, &begun).await;
    // The emulated vendor names itself, as RFC 9207 wants it.
    let mut evil = url::Url::parse(&back).unwrap();
    let kept: Vec<(String, String)> = evil
        .query_pairs()
        .into_owned()
        .filter(|(name, _)| name != "iss")
        .collect();
    let mut pairs = evil.query_pairs_mut();
    pairs.clear().extend_pairs(kept);
    pairs.append_pair("iss", "https://evil.example");
    drop(pairs);
    let evil = come_back(&broker, evil.as_str()).await;
    assert_eq!(evil.status, 400, "{}", evil.text());
    assert!(
        evil.text().contains("another authorization server"),
        "{}",
        evil.text()
    );
    assert_eq!(broker.status("crm").await["login"]["state"], "waiting");
    assert!(back.contains("iss="), "{back}");
    let page = come_back(&broker, &back).await;
    assert_eq!(page.status, 200, "{}", page.text());
}

#[tokio::test(start_paused = true)]
async fn a_login_lasts_ten_minutes() {
    let (vendors, folder) = (vendors().await, tempfile::tempdir().unwrap());
    let broker = Broker::start(&config(vendors, folder.path()));
    let begun = begin(&broker, "crm").await;
    tokio::time::sleep(Duration::from_secs(599)).await;
    assert_eq!(broker.status("crm").await["login"]["state"], "waiting");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let status = broker.status("crm").await;
    assert_eq!(status["login"]["state"], "failed", "{status}");
    let page = come_back(&broker, &visit(vendors, &begun).await).await;
    assert_eq!(page.status, 502);
    assert!(
        page.text().contains("ten minutes have passed"),
        "{}",
        page.text()
    );
    assert_eq!(broker.get("/token/crm?wait=0").await.status, 502);
}

#[tokio::test(start_paused = true)]
async fn a_device_code_is_polled_until_somebody_consents() {
    let (vendors, folder) = (vendors().await, tempfile::tempdir().unwrap());
    consent(vendors, "ask").await;
    let broker = Broker::start(&config(vendors, folder.path()));
    let begun = begin(&broker, "box").await;
    let code = begun["user_code"].as_str().unwrap();
    assert!(
        begun["verification_uri"]
            .as_str()
            .unwrap()
            .contains("/rotating/device")
    );
    assert!(begun["expires_in"].as_u64().unwrap() > 60);
    // No caller makes the broker ask for codes without end, and there is nothing to paste.
    let flood = broker.post("/login/box", "").await;
    assert_eq!(flood.status, 503, "{}", flood.text());
    assert!(
        flood.text().contains("was asked for moments ago"),
        "{}",
        flood.text()
    );
    assert_eq!(flood.json()["title"], "The login cannot go on right now");
    assert_eq!(flood.json()["retry_after"], 5);
    let nothing = json!({"redirect_url": "http://x/?code=c&state=s"}).to_string();
    assert_eq!(
        broker.post("/login/box/complete", &nothing).await.status,
        400
    );
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(broker.status("box").await["login"]["state"], "waiting");
    let body = json!({"user_code": code, "allow": true}).to_string();
    let line = "POST /control/rotating/device";
    assert_eq!(request(vendors, line, &[], &body).await.status, 200);
    let status = broker
        .until("box", |status| status["login"]["state"] == "done")
        .await;
    assert_eq!(status["state"], "valid", "{status}");
    assert_eq!(broker.get("/token/box").await.status, 200);
}

/// The command as a person uses it where no broker runs, and then the broker.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_logs_in_without_a_broker_which_then_finds_the_token() {
    let (vendors, folder) = (vendors().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("broker.toml");
    let listen = "[server]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(&path, format!("{listen}{}", config(vendors, folder.path()))).unwrap();
    let mut command = Typing::begin(&[
        "login",
        "crm",
        "--paste",
        "--config",
        path.to_str().unwrap(),
    ]);
    let page = loop {
        let line = command.line();
        if line.trim_start().starts_with("http") {
            break line.trim().to_owned();
        }
    };
    #[cfg(target_os = "linux")]
    {
        // It holds refresh tokens for a while, and a crash must not write them to disk.
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", command.pid())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core"));
        let words: Vec<_> = core.unwrap().split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{words:?}");
    }
    let back = visit(vendors, &json!({ "authorization_url": page })).await;
    let code = code_of(&back);
    let said = command.types(&format!("{back}\n"));
    assert!(!said.contains(&code), "{said}");
    assert!(said.contains("crm: logged in"), "{said}");
    let mut broker = Process::serve(&path, &[]);
    let token = request(broker.address, "GET /token/crm", &[], "").await;
    assert_eq!(token.status, 200, "{}", token.text());
    let log = broker.stop();
    assert!(!log.contains(&code), "{log}");
}

/// It listens elsewhere, so the command finds its store, but not it.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_that_another_broker_has_the_store() {
    let (vendors, folder) = (vendors().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("broker.toml");
    let listen = "[server]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(&path, format!("{listen}{}", config(vendors, folder.path()))).unwrap();
    let mut broker = Process::serve(&path, &[]);
    while request(broker.address, "GET /readyz", &[], "").await.status != 200 {
        tokio::task::yield_now().await;
    }
    let config = path.to_str().unwrap();
    let said = Process::output(&["login", "crm", "--paste", "--config", config]);
    let first = said.lines().next().unwrap_or_default();
    assert!(
        first.contains("crm: another broker has the store"),
        "{said}"
    );
    assert!(said.contains("--url http://HOST:PORT"), "{said}");
    assert!(
        !said.contains("by itself meanwhile") && !said.contains("doctor"),
        "{said}"
    );
    broker.stop();
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_refused_says_so() {
    let (vendors, folder) = (vendors().await, tempfile::tempdir().unwrap());
    consent(vendors, "ask").await;
    let broker = Broker::start(&config(vendors, folder.path()));
    let begun = begin(&broker, "box").await;
    let body = json!({"user_code": begun["user_code"], "allow": false}).to_string();
    let line = "POST /control/rotating/device";
    assert_eq!(request(vendors, line, &[], &body).await.status, 200);
    let status = broker
        .until("box", |status| status["login"]["state"] == "failed")
        .await;
    let error = &status["login"]["error"];
    assert_eq!(error["vendor"]["error"], "access_denied", "{status}");
}

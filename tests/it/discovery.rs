//! Endpoints that an issuer's metadata names (RFC 8414, OpenID Connect Discovery).

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Broker, Reply, Request, Vendor};

/// An authorization server: its metadata as a test wants it, and tokens.
struct Server {
    vendor: Vendor,
    metadata: Arc<Mutex<Value>>,
    /// What the first of the two well-known places answers.
    openid: Arc<AtomicU16>,
}

const OPENID: &str = "/.well-known/openid-configuration";
/// Stands for no answer at all.
const SILENT: u16 = 0;
const OAUTH: &str = "/.well-known/oauth-authorization-server";

impl Server {
    async fn start() -> Self {
        let metadata = Arc::new(Mutex::new(json!({})));
        let openid = Arc::new(AtomicU16::new(200));
        let (said, status) = (Arc::clone(&metadata), Arc::clone(&openid));
        let vendor = Vendor::start(move |request, number| {
            let path = path(request);
            match path.as_str() {
                _ if path.ends_with(OPENID) => {
                    let status = status.load(Ordering::SeqCst);
                    if status == SILENT {
                        return Reply::Hang;
                    }
                    Reply::json(status, &said.lock().unwrap().to_string())
                }
                _ if path.starts_with(OAUTH) => Reply::json(200, &said.lock().unwrap().to_string()),
                "/gone" => Reply::json(404, "{}"),
                _ => Reply::token(&format!("t0ken-{number}"), 600),
            }
        })
        .await;
        let server = Self {
            vendor,
            metadata,
            openid,
        };
        server.says(&json!({}));
        server
    }

    fn issuer(&self) -> String {
        format!("http://{}", self.vendor.address)
    }

    /// Its usual metadata, with changes.
    fn says(&self, changes: &Value) {
        let issuer = self.issuer();
        let mut metadata = json!({
            "issuer": issuer, "token_endpoint": format!("{issuer}/oauth/token"),
            "authorization_endpoint": format!("{issuer}/authorize?prompt=consent"),
        });
        for (name, value) in changes.as_object().unwrap() {
            metadata[name] = value.clone();
        }
        *self.metadata.lock().unwrap() = metadata;
    }

    fn broker(&self, more: &str) -> Broker {
        Broker::start(&format!(
            "[integrations.x]\ngrant = \"client_credentials\"\nissuer = \"{}\"\n\
             client_id = \"abc\"\nclient_secret = \"s3cret\"\n{more}\n",
            self.issuer()
        ))
    }

    fn asked(&self) -> Vec<String> {
        self.vendor.requests().iter().map(path).collect()
    }
}

fn path(request: &Request) -> String {
    request.line.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn the_token_endpoint_is_looked_up_once_for_all_who_need_it() {
    let server = Server::start().await;
    let broker = server.broker("[integrations.y]\ninherit = \"x\"\nclient_id = \"def\"\n");
    for name in ["x", "y"] {
        let answer = broker.get(&format!("/token/{name}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let mut asked = server.asked();
    asked.sort();
    assert_eq!(asked, [OPENID, "/oauth/token", "/oauth/token"]);
    let metadata = server.vendor.requests();
    let metadata = metadata.iter().find(|one| path(one) == OPENID).unwrap();
    assert_eq!(metadata.header("authorization"), None);
    assert_eq!(broker.status("x").await["provider"], "127.0.0.1");
    // It is asked again once what is known is an hour old.
    tokio::time::sleep(Duration::from_mins(70)).await;
    let again = server.asked().iter().filter(|path| *path == OPENID).count();
    // Twice where it is too slow for those who can go on.
    assert!((2..=3).contains(&again), "{again}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_at_the_first_place_is_at_the_second() {
    let server = Server::start().await;
    server.openid.store(404, Ordering::SeqCst);
    let broker = server.broker("");
    assert_eq!(broker.get("/token/x").await.status, 200);
    assert_eq!(server.asked(), [OPENID, OAUTH, "/oauth/token"]);
}

#[tokio::test(start_paused = true)]
async fn another_issuers_word_is_never_used() {
    let server = Server::start().await;
    let issuer = server.issuer();
    for (changes, words) in [
        (json!({"issuer": format!("{issuer}/")}), "letter by letter"),
        (
            json!({"issuer": "https://evil.example"}),
            "letter by letter",
        ),
        (json!({"issuer": null}), "no metadata that is JSON"),
        (
            json!({"token_endpoint": null}),
            "names no usable token_endpoint",
        ),
        (
            json!({"token_endpoint": "http://evil.example/token"}),
            "names no usable token_endpoint",
        ),
    ] {
        server.says(&changes);
        let broker = server.broker("");
        let answer = broker.get("/token/x").await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert_eq!(answer.json()["error"], "request_rejected");
        assert!(answer.text().contains(words), "{words}: {}", answer.text());
    }
    assert!(!server.asked().contains(&"/oauth/token".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn trouble_of_the_issuer_passes_and_takes_nothing_away() {
    let server = Server::start().await;
    server.openid.store(503, Ordering::SeqCst);
    let broker = server.broker("");
    let answer = broker.get("/token/x?wait=0").await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let status = broker
        .until("x", |status| !status["last_error"].is_null())
        .await;
    assert!(
        status["last_error"].to_string().contains("metadata"),
        "{status}"
    );
    server.openid.store(200, Ordering::SeqCst);
    broker.until("x", |status| status["state"] == "valid").await;
    // What was found stays in use.
    server.openid.store(503, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_mins(70)).await;
    assert_eq!(broker.status("x").await["state"], "valid");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_silent_keeps_nobody_from_a_token() {
    let server = Server::start().await;
    let broker = server.broker("[integrations.x.refresh]\ntimeout = \"1s\"\n");
    assert_eq!(broker.get("/token/x").await.status, 200);
    server.openid.store(SILENT, Ordering::SeqCst);
    let before = server.asked().len();
    tokio::time::sleep(Duration::from_mins(70)).await;
    let status = broker.status("x").await;
    assert_eq!(
        (&status["state"], &status["consecutive_failures"]),
        (&json!("valid"), &json!(0)),
        "{status}"
    );
    let asked = server.asked().split_off(before);
    let (metadata, tokens): (Vec<_>, Vec<_>) = asked.into_iter().partition(|path| path == OPENID);
    assert!(!metadata.is_empty() && tokens.len() > metadata.len());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_silent_issuer_is_told_of_it_and_asks_it_once() {
    let server = Server::start().await;
    server.openid.store(SILENT, Ordering::SeqCst);
    let others: Vec<String> = (0..20)
        .map(|number| format!("[integrations.y{number}]\ninherit = \"x\"\n"))
        .collect();
    let broker = server.broker(&others.concat());
    for name in ["x", "y7", "y19"] {
        let status = broker
            .until(name, |status| !status["last_error"].is_null())
            .await;
        let description = status["last_error"]["error_description"].as_str().unwrap();
        assert!(
            description.contains("metadata") && description.contains("within 10 s"),
            "{description}"
        );
    }
    assert_eq!(server.asked(), [OPENID], "one answer is everybody's");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_moves_is_looked_up_again() {
    let server = Server::start().await;
    server.says(&json!({"token_endpoint": format!("{}/gone", server.issuer())}));
    let broker = server.broker("");
    let answer = broker.get("/token/x").await;
    assert_eq!(
        answer.json()["error"],
        "request_rejected",
        "{}",
        answer.text()
    );
    assert!(
        answer.text().contains("compare issuer"),
        "{}",
        answer.text()
    );
    server.says(&json!({}));
    broker.until("x", |status| status["state"] == "valid").await;
}

#[tokio::test(start_paused = true)]
async fn a_login_finds_its_page_and_checks_who_sent_the_browser_back() {
    let server = Server::start().await;
    let broker = Broker::start(&format!(
        "[store]\nallow_losing_refresh_tokens = true\n\
         [integrations.x]\ngrant = \"authorization_code\"\nissuer = \"{}\"\nclient_id = \"abc\"\n\
         redirect_uri = \"http://127.0.0.1:8656/login/callback\"\n",
        server.issuer()
    ));
    let begun = broker.post("/login/x", "").await.json();
    let page = begun["authorization_url"]
        .as_str()
        .unwrap_or_else(|| panic!("{begun}"));
    let start = format!(
        "{}/authorize?prompt=consent&response_type=code&",
        server.issuer()
    );
    assert!(page.starts_with(&start), "{page}");
    let state = page
        .split("state=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    let back = |issuer: &str| {
        format!(
            "{{\"redirect_url\": \"http://127.0.0.1:8656/login/callback?code=c&state={state}&iss={issuer}\"}}"
        )
    };
    let wrong = broker
        .post("/login/x/complete", &back("https%3A%2F%2Fevil.example"))
        .await;
    assert_ne!(wrong.status, 200, "{}", wrong.text());
    let issuer = server.issuer().replace(':', "%3A").replace('/', "%2F");
    let right = broker.post("/login/x/complete", &back(&issuer)).await;
    assert_eq!(right.status, 200, "{}", right.text());
    assert_eq!(broker.get("/token/x").await.status, 200);
}

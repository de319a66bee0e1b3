//! A whole run of the real binary at TRACE, with vendors that echo everything back: no secret shows.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::{Process, Reply, Request, Vendor, request};

const SECRET: &str = "c4nary/secret+1";
const TOKEN: &str = "c4nary-token.1";
const REFRESH_TOKEN: &str = "c4nary-refresh";

/// Issues a token that lives two seconds, then fails with all that it knows, and so on.
fn echo(request: &Request, number: usize) -> Reply {
    if number % 2 == 1 {
        return Reply::json(
            200,
            &format!(
                r#"{{"access_token":"{TOKEN}","expires_in":2,"refresh_token":"{REFRESH_TOKEN}","x":"{SECRET}"}}"#
            ),
        );
    }
    let sent = request.text().replace('"', "'");
    let said = format!("you sent {} {sent} for {TOKEN}", request.line);
    Reply::json(
        500,
        &format!(r#"{{"error":"server_error","error_description":"{said}"}}"#),
    )
}

async fn configure(folder: &Path) -> (String, Vec<Vendor>) {
    let secret = folder.join("secret");
    fs::write(&secret, SECRET).unwrap();
    let mut text = "[server]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \
                    \"trace,hyper=trace,reqwest=trace,hyper_util=trace,rustls=trace\"\n"
        .to_owned();
    let mut vendors = Vec::new();
    let post = "token_endpoint_auth_method = \"client_secret_post\"\n";
    for (name, more) in [
        ("basic", String::new()),
        ("post", post.to_owned()),
        ("query", format!("{post}request_format = \"query\"\n")),
    ] {
        let vendor = Vendor::start(echo).await;
        write!(
            text,
            "[integrations.{name}]\ngrant = \"client_credentials\"\ntoken_endpoint = \"{}\"\n\
             client_id = \"abc\"\nclient_secret = {{ file = \"{}\" }}\n{more}",
            vendor.url(),
            secret.display()
        )
        .unwrap();
        vendors.push(vendor);
    }
    (text, vendors)
}

/// All forms in which a canary might show.
fn forms(canary: &str) -> Vec<String> {
    let hex = canary.bytes().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    // Base64 of the canary at each of the three offsets it can have inside something longer.
    let shifted = (0..3).map(|shift| {
        let encoded = STANDARD.encode(format!("{}{canary}", "x".repeat(shift)));
        encoded[4..encoded.len() - 4].to_owned()
    });
    let percent = canary.replace('/', "%2F").replace('+', "%2B");
    let escaped = canary.replace('/', "\\/");
    [canary.to_owned(), percent, escaped, hex]
        .into_iter()
        .chain(shifted)
        .collect()
}

#[tokio::test]
async fn canaries_are_found_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (text, vendors) = configure(folder.path()).await;
    let config = folder.path().join("config.toml");
    fs::write(&config, text).unwrap();
    let mut broker = Process::serve(&config, &[]);
    let mut shown = String::new();
    let mut tokens = 0;
    // Until each vendor has issued and echoed, and issued again; at most a minute.
    for _ in 0..600 {
        if vendors.iter().all(|vendor| vendor.count() > 3) {
            break;
        }
        for name in ["basic", "post", "query"] {
            let path = format!("GET /token/{name}?wait=3s");
            let answer = request(broker.address, &path, &[], "").await;
            if answer.status == 200 {
                tokens += 1;
                assert!(!answer.text().contains(REFRESH_TOKEN) && !answer.text().contains(SECRET));
            } else {
                shown += answer.text();
            }
        }
        let rejected = r#"{"rejected":"x"}"#;
        shown += &request(broker.address, "POST /refresh/basic?wait=0", &[], rejected)
            .await
            .head;
        shown += request(broker.address, "GET /integrations", &[], "")
            .await
            .text();
        shown += request(broker.address, "GET /metrics", &[], "")
            .await
            .text();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    shown += &Process::output(&["check", "--config", config.to_str().unwrap()]);
    let url = format!("http://{}", broker.address);
    shown += &Process::output(&["status", "--url", &url]);
    let log = broker.stop();
    let asked: Vec<usize> = vendors.iter().map(Vendor::count).collect();
    assert!(
        tokens > 0 && asked.iter().all(|count| *count > 3),
        "{tokens} tokens, {asked:?}"
    );
    assert!(shown.contains("server_error"), "no failure was shown");
    assert!(
        log.contains("DEBUG"),
        "the log was not at its finest: {log}"
    );
    for canary in [SECRET, TOKEN, REFRESH_TOKEN] {
        for form in forms(canary) {
            assert!(!log.contains(&form), "{form} is in the log");
            assert!(!shown.contains(&form), "{form} was shown");
        }
    }
}

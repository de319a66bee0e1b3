//! A whole run of the real binary at TRACE, with vendors that echo everything back: no secret shows.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
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

/// What the key's file holds, line by line, and its private parts as they are sent nowhere.
const LOCKED_KEY: &str = include_str!("../../src/exchange/assertion/testdata/rsa.locked.pem");
/// The same key without a passphrase: what signing has in its hands.
const OPEN_KEY: &str = include_str!("../../src/exchange/assertion/testdata/rsa.pem");
const PASSPHRASE: &str = "swordfish";

/// The encoded lines of a PEM file that are long enough to be nobody else's.
fn lines_of(pem: &str) -> impl Iterator<Item = &str> {
    pem.lines()
        .filter(|line| line.len() > 30 && !line.contains('-'))
}

/// An assertion in a form: whole, and its signature alone.
fn assertions_in(request: &Request) -> Vec<String> {
    let form = url::form_urlencoded::parse(&request.body);
    let sent = form.filter(|(name, _)| name == "assertion");
    sent.flat_map(|(_, value)| {
        let signature = value.rsplit('.').next().unwrap().to_owned();
        [value.into_owned(), signature]
    })
    .collect()
}

/// A configuration that signs, and one whose passphrase opens nothing.
fn configure_signing(folder: &Path, vendor: &Vendor) -> [PathBuf; 2] {
    let key = folder.join("key.pem");
    let passphrase = folder.join("passphrase");
    fs::write(&key, LOCKED_KEY).unwrap();
    fs::write(&passphrase, PASSPHRASE).unwrap();
    let signing = format!(
        "key = {{ file = \"{}\" }}\npassphrase = {{ file = \"{}\" }}\nissuer = \"abc\"\n\
         audience = \"https://auth.example.com\"\n",
        key.display(),
        passphrase.display()
    );
    let config = folder.join("config.toml");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \"trace\"\n\
         [integrations.bearer]\ngrant = \"jwt_bearer\"\ntoken_endpoint = \"{}\"\n\
         client_id = \"abc\"\nclient_secret = \"{SECRET}\"\n\
         token_endpoint_auth_method = \"client_secret_post\"\n\
         [integrations.bearer.assertion]\n{signing}\
         [integrations.minted]\ngrant = \"signed_jwt\"\n\
         [integrations.minted.assertion]\n{signing}lifetime = \"40s\"\n",
        vendor.url(),
    );
    fs::write(&config, &text).unwrap();
    // And a key that the passphrase does not open: the refusal must not say what either is.
    let wrong = folder.join("wrong.toml");
    fs::write(folder.join("other"), "c4nary-passphrase").unwrap();
    fs::write(&wrong, text.replace("/passphrase\"", "/other\"")).unwrap();
    [config, wrong]
}

#[tokio::test]
async fn nothing_of_an_assertion_is_found_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    // Only what it was sent: a command of its own cannot know the token that another process holds.
    let vendor = Vendor::start(|request, number| match echo(request, number) {
        Reply::Full(status, head, body) if status == 500 => {
            Reply::Full(status, head, body.replace(TOKEN, "somebody"))
        }
        reply => reply,
    })
    .await;
    let [config, wrong] = configure_signing(folder.path(), &vendor);
    let mut broker = Process::serve(&config, &[]);
    let mut shown = String::new();
    let mut minted = Vec::new();
    // Until the vendor has issued and echoed, and issued again; at most a minute.
    for _ in 0..600 {
        if vendor.count() > 3 && !minted.is_empty() {
            break;
        }
        let answer = request(broker.address, "GET /token/bearer?wait=3s", &[], "").await;
        if answer.status != 200 {
            shown += answer.text();
        }
        let answer = request(broker.address, "GET /token/minted?wait=3s", &[], "").await;
        if answer.status == 200 {
            minted.push(answer.token());
        }
        for path in ["GET /integrations", "GET /metrics"] {
            shown += request(broker.address, path, &[], "").await.text();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (path, wrong) = (config.to_str().unwrap(), wrong.to_str().unwrap());
    let url = format!("http://{}", broker.address);
    let commands = [
        vec!["check", "--config", path],
        vec!["check", "--config", wrong],
        vec!["status", "--url", &url],
        vec!["doctor", "--config", path],
        vec!["doctor", "--config", path, "--format", "json"],
        vec!["doctor", "--config", wrong],
    ];
    for command in commands {
        let command: Vec<String> = command.into_iter().map(str::to_owned).collect();
        // The vendor runs in this runtime: waiting must not stop it.
        let run = move || Process::output(&command.iter().map(String::as_str).collect::<Vec<_>>());
        shown += &tokio::task::spawn_blocking(run).await.unwrap();
    }
    let log = broker.stop();

    let assertions: Vec<String> = vendor.requests().iter().flat_map(assertions_in).collect();
    assert!(vendor.count() > 3 && assertions.len() > 6 && !minted.is_empty());
    assert!(shown.contains("server_error"), "no failure was shown");
    assert!(
        log.contains("DEBUG"),
        "the log was not at its finest: {log}"
    );
    let keys = lines_of(LOCKED_KEY).chain(lines_of(OPEN_KEY));
    let words = [
        SECRET,
        TOKEN,
        REFRESH_TOKEN,
        PASSPHRASE,
        "c4nary-passphrase",
    ];
    let hidden = words.into_iter().chain(keys).map(str::to_owned);
    for canary in hidden.chain(assertions).chain(minted) {
        for form in forms(&canary) {
            assert!(!log.contains(&form), "{form} is in the log");
            assert!(!shown.contains(&form), "{form} was shown");
        }
    }
}

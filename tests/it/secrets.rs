//! Secrets: from files that change, and nowhere they should not be.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::{Broker, Reply, Request, Vendor, request};

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
    let broker = Broker::start(&from_file(&vendor.url(), &file)).await;
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
    let broker = Broker::start(&from_file(&vendor.url(), &at("secret"))).await;
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
    let broker = Broker::start(&from_file(&vendor.url(), &file)).await;
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
    ))
    .await;
    assert_eq!(broker.get("/token/x").await.token(), "t2");
    assert_eq!(broker.status("x").await["secret_in_use"], 1);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(broker.post("/refresh/x", "").await.token(), "t3");
    let secrets: Vec<String> = vendor.requests().iter().map(secret_of).collect();
    assert_eq!(secrets, ["now", "next", "next"]);
}

/// The real binary at TRACE, with a vendor that echoes everything back in its errors.
#[tokio::test]
async fn canaries_are_found_nowhere() {
    const SECRET: &str = "c4nary/secret+1";
    const TOKEN: &str = "c4nary-token.1";
    let echo = |request: &Request, number: usize| match number % 2 {
        1 => Reply::json(
            200,
            &format!(
                r#"{{"access_token":"{TOKEN}","expires_in":2,"refresh_token":"c4nary-refresh","x":"{SECRET}"}}"#
            ),
        ),
        _ => Reply::json(
            500,
            &format!(
                r#"{{"error":"server_error","error_description":"you sent {} {} {TOKEN}"}}"#,
                request.line,
                request.text().replace('"', "'")
            ),
        ),
    };
    let mut vendors = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    let mut text = "[server]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \"trace,hyper=trace,reqwest=trace,hyper_util=trace,rustls=trace\"\n".to_owned();
    for (name, more) in [
        ("basic", ""),
        (
            "post",
            "token_endpoint_auth_method = \"client_secret_post\"\n",
        ),
        (
            "query",
            "token_endpoint_auth_method = \"client_secret_post\"\nrequest_format = \"query\"\n",
        ),
    ] {
        let vendor = Vendor::start(echo).await;
        text += &format!(
            "[integrations.{name}]\ngrant = \"client_credentials\"\ntoken_endpoint = \"{}\"\n\
             client_id = \"abc\"\nclient_secret = {{ file = \"{}\" }}\n{more}",
            vendor.url(),
            folder.path().join("secret").display()
        );
        vendors.push(vendor);
    }
    fs::write(folder.path().join("secret"), SECRET).unwrap();
    fs::write(&config, text).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_token-broker"))
        .args(["serve", "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    let address = loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended: {seen}");
        seen.push_str(&line);
        if let Some((_, rest)) = line.split_once("listening on http://") {
            break rest.split_whitespace().next().unwrap().parse().unwrap();
        }
    };
    let mut shown = String::new();
    let mut tokens = 0;
    // Until each vendor has issued and echoed, and issued again; at most half a minute.
    for _ in 0..300 {
        if vendors.iter().all(|vendor| vendor.count() > 3) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        for name in ["basic", "post", "query"] {
            let path = format!("/token/{name}?wait=3s");
            let answer = request(address, &format!("GET {path}"), &[], "").await;
            if answer.status == 200 {
                tokens += 1;
                assert!(!answer.text().contains("refresh") && !answer.text().contains(SECRET));
            } else {
                shown += answer.text();
            }
        }
        shown += request(
            address,
            "POST /refresh/basic?wait=0",
            &[],
            r#"{"rejected":"x"}"#,
        )
        .await
        .head
        .as_str();
        shown += request(address, "GET /integrations", &[], "").await.text();
        shown += request(address, "GET /metrics", &[], "").await.text();
    }
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    log.read_to_string(&mut seen).unwrap();
    let mut printed = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut printed)
        .unwrap();
    assert!(child.wait().unwrap().success(), "{seen}");
    let command = Command::new(env!("CARGO_BIN_EXE_token-broker"))
        .args(["check", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    printed += &String::from_utf8_lossy(&command.stdout);
    printed += &String::from_utf8_lossy(&command.stderr);
    let asked: Vec<usize> = vendors.iter().map(Vendor::count).collect();
    assert!(
        tokens > 0 && asked.iter().all(|count| *count > 3),
        "{tokens} tokens, {asked:?}"
    );
    assert!(
        seen.contains("TRACE") || seen.contains("DEBUG"),
        "the log was not at its finest"
    );
    let everything = format!("{seen}\n{shown}\n{printed}");
    for canary in [SECRET, TOKEN, "c4nary-refresh"] {
        let form = canary.replace('/', "%2F").replace('+', "%2B");
        let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
        let escaped = canary.replace('/', "\\/");
        // Base64 of the canary at each of the three offsets it can have inside something longer.
        let shifted = (0..3).map(|shift| {
            let encoded = STANDARD.encode(format!("{}{canary}", "x".repeat(shift)));
            encoded[4..encoded.len() - 4].to_owned()
        });
        for form in [canary.to_owned(), form, hex, escaped]
            .into_iter()
            .chain(shifted)
        {
            assert!(!everything.contains(&form), "{form} leaked");
        }
    }
}

//! Commands against something that listens: a scripted broker, or the sandbox.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;

/// Answers one request; the thread yields the request's head.
fn broker(status: &'static str, body: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(head).unwrap()
    });
    (url, thread)
}

const PROBLEM: &str = r#"{"type": "urn:x", "title": "The vendor refused the credentials",
    "status": 502, "detail": "long", "integration": "sfmc", "error": "credentials_rejected",
    "error_description": "the vendor said no\u001b[2J", "retryable": false, "hint": "rotate it",
    "vendor": {"status": 401, "error": "invalid_client", "error_description": null}}"#;

#[test]
fn a_token_goes_to_standard_output() {
    let (url, peer) = broker("200 OK", "t0ken");
    let line = format!("token-broker token sfmc --format raw --min-ttl 5m --wait 2s --url {url}");
    let (code, out, err) = typed(&line, &[]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "t0ken\n", ""));
    let head = peer.join().unwrap();
    assert!(
        head.starts_with("GET /token/sfmc?format=raw&min_ttl=5m&wait=2s HTTP/1.1\r\n"),
        "{head}"
    );
}

#[test]
fn a_problem_is_explained_or_left_as_json() {
    let (url, _peer) = broker("502 Bad Gateway", PROBLEM);
    let (code, out, err) = typed(&format!("token-broker token sfmc --url {url}"), &[]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(
        err,
        "error: sfmc: The vendor refused the credentials: the vendor said no[2J\n  \
         vendor said:  401, invalid_client\n  \
         hint:         rotate it\n  \
         what to do:   correct the client id or secret; a new secret is tried at once\n  \
         to see more:  token-broker doctor sfmc --config PATH\n"
    );
    let (url, _peer) = broker("502 Bad Gateway", PROBLEM);
    let line = format!("token-broker token sfmc --format json --url {url}");
    let (code, out, err) = typed(&line, &[]);
    assert_eq!((code, out.as_str()), (1, ""));
    let document: serde_json::Value = serde_json::from_str(&err).unwrap();
    assert_eq!(document["error"], "credentials_rejected");
}

#[test]
fn what_is_no_broker_is_told_apart() {
    let (url, _peer) = broker("200 OK", "<html>");
    let (code, _, err) = typed(&format!("token-broker status --url {url}"), &[]);
    assert!(code == 1 && err.contains("is no token broker"), "{err}");
    let (url, _peer) = broker("404 Not Found", "nope");
    let (code, _, err) = typed(&format!("token-broker status --url {url}"), &[]);
    assert!(code == 1 && err.contains("404"), "{err}");
}

#[test]
fn probes_become_exit_codes() {
    let (url, peer) = broker("200 OK", "ok");
    let line = format!("token-broker healthcheck --probe livez --url {url}");
    assert_eq!(typed(&line, &[]).0, 0);
    assert!(peer.join().unwrap().starts_with("GET /livez?verbose "));
    let (url, _peer) = broker("503 Service Unavailable", "waiting for sfmc");
    let (code, _, err) = typed(&format!("token-broker healthcheck --url {url}"), &[]);
    assert!(code == 1 && err.contains("waiting for sfmc"), "{err}");
}

#[test]
fn address_and_required_header_come_from_the_configuration() {
    let (url, peer) = broker("200 OK", r#"{"integrations": []}"#);
    let address = url.strip_prefix("http://").unwrap();
    let (_folder, path) = config_file(&format!(
        "[server]\nlisten = \"{address}\"\n[access]\nrequire_header = \"X-Token-Broker\"\n"
    ));
    let (code, out, err) = typed(&format!("token-broker status --config {path}"), &[]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("no integrations"));
    assert!(
        peer.join()
            .unwrap()
            .to_lowercase()
            .contains("\r\nx-token-broker: ")
    );
}

#[cfg(feature = "sandbox")]
#[test]
fn direct_asks_the_vendor_itself_and_explains_a_refusal() {
    use crate::sandbox::{Sandbox, VENDORS};
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let sandbox = runtime.block_on(Sandbox::bind("127.0.0.1:0".parse().unwrap()));
    let sandbox = sandbox.unwrap();
    let (address, vendor) = (sandbox.address(), VENDORS[0]);
    let _running = runtime.spawn(sandbox.run(tokio_util::sync::CancellationToken::new()));
    let (_folder, path) = config_file(&format!(
        "[integrations.x]\nprovider = \"{}\"\nclient_id = \"{}\"\nclient_secret = {{ env = \"S\" }}\n\
         token_endpoint = \"http://{address}/{}{}\"\n",
        vendor.name, vendor.client_id, vendor.name, vendor.token_path
    ));
    let line = format!("token-broker token x --direct --config {path}");
    let good = [("S", vendor.client_secret)];
    let (code, out, err) = typed(&line, &good);
    assert_eq!(code, 0, "{err}");
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["token_type"], "Bearer");
    assert!(answer["expires_in"].as_u64().unwrap() >= 10);
    let (_, out, _) = typed(&format!("{line} --format header"), &good);
    assert!(out.starts_with("Bearer eyJ"));
    let (code, out, err) = typed(&line, &[("S", "canary-wrong-3")]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.contains("invalid_client") && err.contains("hint:"),
        "{err}"
    );
    assert!(!err.contains("canary"), "{err}");
    let (code, _, err) = typed(&line.replace("token x", "token y"), &good);
    assert!(code == 2 && err.contains("no such integration"), "{err}");
}

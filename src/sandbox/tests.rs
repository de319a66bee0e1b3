//! Over real sockets, byte by byte: what a client of the emulated vendors sees.

mod consents;
mod faults;
mod vendors;

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

pub(super) const SFMC: &str = "salesforce-marketing-cloud";
pub(super) const LEARNING: &str = "360learning";
pub(super) const JSON: &str = "content-type: application/json";

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A running sandbox; stopped when dropped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    _task: JoinSet<()>,
}

pub(super) async fn start() -> Running {
    let sandbox = Sandbox::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = sandbox.address();
    let mut task = JoinSet::new();
    task.spawn(sandbox.run(CancellationToken::new()));
    Running {
        address,
        _task: task,
    }
}

pub(super) fn vendor(name: &str) -> &'static Vendor {
    VENDORS.iter().find(|vendor| vendor.name == name).unwrap()
}

/// The ordinary token request of a vendor.
pub(super) fn credentials(name: &str) -> Value {
    let vendor = vendor(name);
    serde_json::json!({ "grant_type": "client_credentials", "client_id": vendor.client_id,
        "client_secret": vendor.client_secret })
}

impl Running {
    /// Sends a request and reads what comes until the connection ends, however it ends.
    pub(super) async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> (Vec<u8>, io::Result<usize>) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let end = stream.read_to_end(&mut bytes).await;
        (bytes, end)
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> Answer {
        let (bytes, end) = self.raw(method, path, headers, body).await;
        end.unwrap();
        let split = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8(bytes[..split].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: head.to_lowercase(),
            body: bytes[split + 4..].to_vec(),
        }
    }

    pub(super) async fn token(&self, name: &str, body: &Value) -> Answer {
        let path = format!("/{name}{}", vendor(name).token_path);
        self.send("POST", &path, &[JSON], &body.to_string()).await
    }

    pub(super) async fn call(&self, name: &str, token: &str) -> Answer {
        let vendor = vendor(name);
        let authorization = format!("authorization: Bearer {token}");
        let mut headers = vec![authorization];
        let extra = vendor.api_headers.iter();
        headers.extend(extra.map(|(name, value)| format!("{name}: {value}")));
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let path = format!("/{name}{}", vendor.api_path);
        self.send("GET", &path, &headers, "").await
    }

    pub(super) async fn fault(&self, name: &str, fault: &Value) -> Answer {
        let path = format!("/control/{name}/fault");
        self.send("POST", &path, &[], &fault.to_string()).await
    }

    pub(super) async fn report(&self, name: &str) -> Value {
        self.send("GET", &format!("/control/{name}"), &[], "")
            .await
            .json()
    }
}

#[tokio::test]
async fn the_guide_names_every_vendor_credentials_and_curl_lines() {
    let sandbox = start().await;
    let guide = sandbox.send("GET", "/", &[], "").await;
    assert_eq!(guide.status, 200);
    for vendor in VENDORS.iter().chain(CONSENT_VENDORS) {
        for needed in [
            vendor.name,
            vendor.client_id,
            vendor.client_secret,
            vendor.token_path,
        ] {
            assert!(guide.text().contains(needed), "{needed}");
        }
    }
    assert!(guide.text().contains("curl http://"));
    // Every kind of trouble the guide shows is one the control path takes.
    for line in guide
        .text()
        .lines()
        .filter(|line| line.starts_with("{\"kind\""))
    {
        let (json, _) = line.split_once("  ").unwrap();
        let fault: Value = serde_json::from_str(json.trim()).unwrap();
        assert_eq!(sandbox.fault(SFMC, &fault).await.status, 200, "{fault}");
    }
}

#[tokio::test]
async fn junk_is_a_4xx() {
    let sandbox = start().await;
    for (method, path, status) in [
        ("GET", "/nobody/v2/token", 404),
        ("POST", "/", 405),
        ("GET", "/control/nobody", 404),
        ("GET", "/control/360learning/else", 404),
        ("PUT", "/control/360learning/fault", 405),
        ("POST", "/control", 405),
        ("GET", "/360learning/api/v2/oauth2/token", 405),
    ] {
        let answer = sandbox.send(method, path, &[], "").await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
    let long = "x".repeat(65 * 1024);
    let answer = sandbox
        .send("POST", "/360learning/api/v2/oauth2/token", &[JSON], &long)
        .await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn stops_when_told() {
    let stop = CancellationToken::new();
    let sandbox = Sandbox::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = sandbox.address();
    stop.cancel();
    sandbox.run(stop).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn tokens_remembered_are_bounded() {
    let shared = Shared::new("127.0.0.1:1".parse().unwrap());
    let (vendor, mut state) = shared.vendor(LEARNING).unwrap();
    for n in 0..10_050 {
        let token = crate::base::Secret::new(n.to_string());
        state.issue(vendor, token, vendor::Permission::default());
    }
    assert_eq!(state.report(vendor)["tokens_accepted_now"], 10_000);
    assert_eq!(state.permission(&crate::base::Secret::new("49")), None);
    assert!(state.permission(&crate::base::Secret::new("50")).is_some());
}

#[test]
fn lifetimes_without_end_do_not_overflow() {
    for vendor in VENDORS {
        let longest = Duration::from_secs(1_000_000_000_000);
        assert!((vendor.true_lifetime)(longest) >= longest);
    }
}

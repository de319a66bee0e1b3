//! `doctor` as a user runs it: the real binary against vendors that are right, wrong and away.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::{Process, Reply, Request, Vendor, integration};

const SECRET: &str = "c4nary/secret+1";
const TOKEN: &str = "c4nary-token.1";
const SECRET_WORD: &str = "c4naryproxy";
const REFRESH: &str = "c4nary-refresh";
const SECRETS: [&str; 3] = [SECRET, TOKEN, REFRESH];

struct Seen {
    code: i32,
    out: String,
    err: String,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    fn says(&self, wanted: &[&str]) {
        for text in wanted {
            assert!(self.out.contains(text), "no '{text}' in:\n{}", self.out);
        }
    }
}

/// Runs `doctor` with this configuration; whatever it prints is looked through for canaries.
async fn doctor(config: &str, arguments: &[&str]) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.toml");
    std::fs::write(&path, config).unwrap();
    doctor_at(&path, arguments).await
}

async fn doctor_at(path: &Path, arguments: &[&str]) -> Seen {
    let mut all = vec!["doctor".to_owned(), "--config".to_owned()];
    all.push(path.to_str().unwrap().to_owned());
    all.extend(arguments.iter().map(|one| (*one).to_owned()));
    // The vendor runs in this runtime: waiting must not stop it.
    let run = move || Process::run(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let Output {
        status,
        stdout,
        stderr,
    } = tokio::task::spawn_blocking(run).await.unwrap();
    let (out, err) = (
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    );
    for canary in SECRETS {
        let encoded = STANDARD.encode(canary);
        for form in [
            canary.to_owned(),
            canary.replace('/', "%2F").replace('+', "%2B"),
            canary.replace('/', "\\/"),
            encoded.trim_end_matches('=').to_owned(),
        ] {
            assert!(!out.contains(&form), "{form} in {out}");
            assert!(!err.contains(&form), "{form} in {err}");
        }
    }
    assert!(!out.contains(&pair(SECRET)), "{out}");
    Seen {
        code: status.code().unwrap(),
        out,
        err,
    }
}

/// An integration with the canary as its secret.
fn with_canary(url: &str, more: &str) -> String {
    integration("crm", url, more).replace("\"s3cret\"", &format!("\"{SECRET}\""))
}

fn issued(more: &str) -> Reply {
    Reply::json(
        200,
        &format!(
            r#"{{"access_token":"{TOKEN}","token_type":"bearer","expires_in":3600,
            "refresh_token":"{REFRESH}","legacy":"{REFRESH}","echo":"{SECRET}",
            "instance_url":"https://eu.example.com/x?t={TOKEN}"{more}}}"#
        ),
    )
}

/// Says everything back that it was sent.
fn refused(request: &Request) -> Reply {
    let said = format!(
        "{} {}",
        request.text(),
        request.header("authorization").unwrap_or("-")
    );
    Reply::json(
        401,
        &format!(r#"{{"error":"invalid_client","error_description":"you sent {said}"}}"#),
    )
}

fn pair(secret: &str) -> String {
    STANDARD.encode(format!("abc:{secret}"))
}

#[tokio::test]
async fn a_vendor_that_answers_is_shown_without_its_token() {
    let vendor = Vendor::start(|_, _| issued(r#","scope":"read write""#)).await;
    let config = with_canary(
        &vendor.url(),
        "scope = \"read write\"\nparams = { audience = \"a b\" }",
    );
    let seen = doctor(&config, &[]).await;
    assert_eq!(seen.code, 0, "{}{}", seen.out, seen.err);
    seen.says(&[
        "crm: ok  (127.0.0.1, client_credentials)",
        "POST http://127.0.0.1:",
        "authorization: Basic (secret)",
        "grant_type=client_credentials&scope=read+write&audience=a+b",
        "came back   200 after ",
        r#""access_token":"(secret)""#,
        r#""refresh_token":"(secret)""#,
        r#""legacy":"(14 characters)""#,
        r#""instance_url":"https://eu.example.com/…""#,
        "a Bearer token that lives 1h",
        "the integration is fine",
    ]);
    assert_eq!(vendor.count(), 1, "one exchange and no more");
}

#[tokio::test]
async fn a_wrong_secret_is_explained_and_the_other_place_tried_once() {
    let vendor = Vendor::start(|request, _| refused(request)).await;
    let config = with_canary(
        &vendor.url(),
        "token_endpoint_auth_method = \"client_secret_post\"",
    );
    let seen = doctor(&config, &["crm"]).await;
    assert_eq!(seen.code, 1, "{}{}", seen.out, seen.err);
    seen.says(&[
        "crm: FAILED",
        "client_secret=(secret)",
        "came back   401",
        "tried too   the same with client_secret_basic",
        "problem     the vendor refused the client credentials: 401 invalid_client",
        "the client id or the secret itself is probably wrong",
    ]);
    assert!(seen.err.contains("1 of 1 integrations"), "{}", seen.err);
    assert_eq!(vendor.count(), 2);
}

#[tokio::test]
async fn a_vendor_that_looks_in_the_body_only() {
    let vendor = Vendor::start(|request, _| {
        if request.text().contains("client_secret=") {
            issued("")
        } else {
            Reply::json(
                400,
                r#"{"error":"invalid_request","error_description":"client_id is missing"}"#,
            )
        }
    })
    .await;
    let seen = doctor(&with_canary(&vendor.url(), ""), &["--format", "json"]).await;
    assert_eq!(seen.code, 1);
    let one = &seen.json()["integrations"][0];
    let setting = "token_endpoint_auth_method = \"client_secret_post\"";
    assert_eq!(one["setting"], setting);
    assert_eq!(one["findings"][0]["code"], "client_authentication");
    assert_eq!(one["findings"][0]["level"], "problem");
    assert_eq!(one["attempts"][1]["variation"], "client_secret_post");
    assert_eq!(one["attempts"][1]["outcome"], "issued");
    let fixed = doctor(&with_canary(&vendor.url(), setting), &[]).await;
    assert_eq!(fixed.code, 0, "the advice is right: {}", fixed.out);
    assert_eq!(vendor.count(), 3);
}

#[tokio::test]
async fn a_vendor_that_does_not_decode_basic_credentials() {
    let vendor = Vendor::start(|request, _| {
        if request.header("authorization") == Some(&format!("Basic {}", pair(SECRET))) {
            issued("")
        } else {
            refused(request)
        }
    })
    .await;
    let seen = doctor(&with_canary(&vendor.url(), ""), &[]).await;
    assert_eq!(seen.code, 1);
    seen.says(&[
        "the vendor takes it with basic_encoding = \"raw\"",
        "[integrations.crm]",
    ]);
    let fixed = doctor(&with_canary(&vendor.url(), "basic_encoding = \"raw\""), &[]).await;
    assert_eq!(fixed.code, 0, "{}", fixed.out);
}

#[tokio::test]
async fn a_vendor_that_ends_the_token_before() {
    let vendor = Vendor::start(|_, _| issued("")).await;
    let more = "[integrations.crm.refresh]\nreissue = \"replaces\"";
    let seen = doctor(&with_canary(&vendor.url(), more), &[]).await;
    assert_eq!(seen.code, 0, "{}", seen.err);
    seen.says(&[
        "warning     this token ended the one before",
        "POST /refresh/crm",
    ]);
}

#[tokio::test]
async fn a_smaller_scope_is_told_and_no_failure() {
    let vendor = Vendor::start(|_, _| issued(&format!(r#","scope":"read {SECRET}""#))).await;
    let config = with_canary(&vendor.url(), "scope = \"read write\"");
    let seen = doctor(&config, &[]).await;
    assert_eq!(seen.code, 0, "{}", seen.err);
    seen.says(&["warning     less was granted than asked for: 'write' is missing"]);
    let seen = doctor(&config, &["--format", "json"]).await.json();
    let scope = &seen["integrations"][0]["scope"];
    assert_eq!(scope["missing"], serde_json::json!(["write"]));
    assert_eq!(scope["asked"], serde_json::json!(["read", "write"]));
}

#[tokio::test]
async fn clocks_apart() {
    for (seconds, code, level) in [(200, 0, "warning"), (1000, 1, "problem")] {
        let vendor = Vendor::start(move |_, _| {
            let then = SystemTime::now() + std::time::Duration::from_secs(seconds);
            let Reply::Full(status, headers, body) = issued("") else {
                unreachable!()
            };
            let date = httpdate::fmt_http_date(then);
            Reply::Full(status, format!("{headers}date: {date}\r\n"), body)
        })
        .await;
        let seen = doctor(&with_canary(&vendor.url(), ""), &["--format", "json"]).await;
        assert_eq!(seen.code, code, "{}", seen.out);
        let one = &seen.json()["integrations"][0];
        let skew = one["clock_skew_seconds"].as_u64().unwrap();
        assert!((seconds - 60..=seconds).contains(&skew), "{skew}");
        let findings = one["findings"].as_array().unwrap();
        let found = findings.iter().find(|one| one["code"] == "clock_skew");
        assert_eq!(found.unwrap()["level"], level);
    }
}

#[tokio::test]
async fn wrong_addresses() {
    let html = Vendor::start(|_, _| {
        let page = format!("<html><title>Not here</title>{SECRET}</html>");
        Reply::Full(404, "content-type: text/html\r\n".into(), page)
    })
    .await;
    let seen = doctor(&with_canary(&html.url(), ""), &[]).await;
    assert_eq!(seen.code, 1);
    seen.says(&[
        "<title>Not here</title>",
        "the token endpoint's URL is probably wrong",
        "compare token_endpoint with the vendor's documentation",
    ]);
    assert_eq!(html.count(), 1, "no other placement mends a wrong URL");

    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let seen = doctor(&with_canary(&format!("http://{closed}/t"), ""), &[]).await;
    assert_eq!(seen.code, 1);
    seen.says(&["connection refused", "check host and port of '127.0.0.1'"]);

    let silent = Vendor::start(|_, _| Reply::Hang).await;
    let more = "[integrations.crm.refresh]\ntimeout = \"1s\"\nconnect_timeout = \"1s\"";
    let seen = doctor(&with_canary(&silent.url(), more), &["--format", "json"]).await;
    assert_eq!(seen.code, 1);
    let one = &seen.json()["integrations"][0];
    assert_eq!(one["findings"][0]["code"], "timeout");
    assert_eq!(one["attempts"][0]["error"], "timeout");
    assert_eq!(one["attempts"][0]["response"], Value::Null);
    assert_eq!(one["token"], Value::Null);
}

/// Certificates of authorities that this machine does not know.
const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/net/client/testdata");

/// A peer with a certificate of the test data; as a proxy it leads everywhere to itself.
fn tls_peer(certificate: &str, is_proxy: bool) -> std::net::SocketAddr {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let folder = Path::new(CERTIFICATES);
    let certificate = CertificateDer::from_pem_file(folder.join(certificate)).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("localhost.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            if is_proxy {
                let mut head = [0; 4096];
                let length = stream.read(&mut head).unwrap_or(0);
                assert!(head[..length].starts_with(b"CONNECT vendor.invalid:443 "));
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            }
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            // The client goes away in the handshake.
            let _gone = connection.complete_io(&mut stream);
        }
    });
    address
}

#[tokio::test]
async fn certificates_that_do_not_hold() {
    let port = tls_peer("localhost.pem", false).port();
    let unknown = with_canary(&format!("https://localhost:{port}/t"), "");
    let seen = doctor(&unknown, &[]).await;
    assert_eq!(seen.code, 1);
    seen.says(&["UnknownIssuer", "[net] ca_file"]);
    let authority = format!("{CERTIFICATES}/authority.pem");
    let proxy = tls_peer("localhost.pem", true);
    let other_name = format!(
        "{}[net]\nca_file = \"{authority}\"\nproxy = \"http://user:{SECRET_WORD}@{proxy}\"\n",
        with_canary("https://vendor.invalid/t", "")
    );
    let seen = doctor(&other_name, &[]).await;
    assert_eq!(seen.code, 1);
    seen.says(&[
        &format!("through the proxy http://{proxy}\n"),
        "what answers is not 'vendor.invalid' by its certificate",
        "check that it runs and lets 'vendor.invalid' through",
    ]);
    assert!(!seen.out.contains(SECRET_WORD), "{}", seen.out);
    let seen = doctor(&other_name, &["--format", "json"]).await.json();
    let one = &seen["integrations"][0];
    assert_eq!(one["findings"][0]["code"], "tls_other_name");
    assert_eq!(one["proxy"], format!("http://{proxy}"));
}

#[tokio::test]
async fn a_certificate_out_of_its_dates_or_for_another_name_is_explained() {
    for (certificate, code, words) in [
        (
            "expired.pem",
            "tls_expired",
            [
                "the certificate is outside its dates, or this machine's clock is wrong",
                "must renew the certificate",
            ],
        ),
        (
            "future.pem",
            "tls_not_yet_valid",
            [
                "the certificate is outside its dates, or this machine's clock is wrong",
                "it says 20",
            ],
        ),
        (
            "elsewhere.pem",
            "tls_other_name",
            [
                "what answers is not 'localhost' by its certificate",
                "compare tenant, region and domain",
            ],
        ),
    ] {
        let port = tls_peer(certificate, false).port();
        let config = format!(
            "{}[net]\nca_file = \"{CERTIFICATES}/odd-authority.pem\"\n",
            with_canary(&format!("https://localhost:{port}/t"), "")
        );
        let seen = doctor(&config, &[]).await;
        assert_eq!(seen.code, 1, "{certificate}");
        seen.says(&words);
        let seen = doctor(&config, &["--format", "json"]).await.json();
        let one = &seen["integrations"][0];
        assert_eq!(one["findings"][0]["code"], code, "{one}");
        assert_eq!(one["findings"][0]["level"], "problem");
        assert_eq!(one["attempts"][0]["error"], "tls");
        // Nothing was sent, so nothing came back, and there is no other way to ask.
        assert_eq!(one["attempts"].as_array().unwrap().len(), 1);
        assert_eq!(one["attempts"][0]["response"], Value::Null);
    }
}

#[tokio::test]
async fn many_integrations_tokens_of_ones_own_and_wrong_usage() {
    let vendor = Vendor::start(|request, _| match request.header("authorization") {
        Some(_) => issued(""),
        None => refused(request),
    })
    .await;
    let config = format!(
        "{}[integrations.bad]\ngrant = \"client_credentials\"\ntoken_endpoint = \"{}\"\n\
         client_id = \"abc\"\n[integrations.fixed]\ngrant = \"static\"\ntoken = \"{TOKEN}\"\n\
         expires_at = \"2099-01-01T00:00:00Z\"\n[integrations.over]\ngrant = \"static\"\n\
         token = \"{TOKEN}\"\nexpires_at = \"2020-01-01T00:00:00Z\"\n",
        with_canary(&vendor.url(), ""),
        vendor.url()
    );
    let seen = doctor(&config, &["--format", "json"]).await;
    assert_eq!(seen.code, 1);
    let document = seen.json();
    assert_eq!(document["ok"], false);
    let shown: Vec<_> = document["integrations"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    let good: Vec<_> = shown.iter().map(|one| (&one["name"], &one["ok"])).collect();
    let expected = [
        ("bad", false),
        ("crm", true),
        ("fixed", true),
        ("over", false),
    ];
    assert_eq!(good.len(), expected.len());
    for (found, (name, ok)) in good.iter().zip(expected) {
        assert_eq!((found.0, found.1), (&Value::from(name), &Value::from(ok)));
    }
    assert_eq!(shown[2]["token"]["expires_at"], "2099-01-01T00:00:00Z");
    assert_eq!(shown[3]["findings"][0]["code"], "token_expired");
    assert!(seen.err.contains("2 of 4 integrations"), "{}", seen.err);
    let text = doctor(&config, &["fixed"]).await;
    assert_eq!(text.code, 0);
    text.says(&["the token expires at 2099-01-01T00:00:00Z"]);
    assert_eq!(doctor(&config, &["nobody"]).await.code, 2);
    assert_eq!(doctor("[integrations.x]\n", &[]).await.code, 2);
}

#[tokio::test]
async fn json_members_are_always_there() {
    let vendor = Vendor::start(|_, _| issued("")).await;
    let document = doctor(&with_canary(&vendor.url(), ""), &["--format", "json"])
        .await
        .json();
    let names =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(names(&document), ["ok", "integrations"]);
    let one = &document["integrations"][0];
    assert_eq!(
        names(one),
        [
            "name",
            "provider",
            "grant",
            "ok",
            "outcome",
            "proxy",
            "clock_skew_seconds",
            "token",
            "scope",
            "setting",
            "attempts",
            "findings"
        ]
    );
    assert_eq!(
        names(&one["attempts"][0]),
        [
            "variation",
            "secret",
            "request",
            "response",
            "error",
            "duration_ms",
            "outcome"
        ]
    );
    assert_eq!(
        names(&one["findings"][0]),
        ["level", "code", "text", "advice"]
    );
    assert_eq!(
        names(&one["token"]),
        ["token_type", "expires_in", "expires_at", "secret_in_use"]
    );
}

/// What a broker's log would tell, and what a chain of requests did.
#[tokio::test]
async fn strange_lifetimes_and_chains_are_told_as_they_are() {
    let vendor = Vendor::start(|request, _| match request.line.split(' ').nth(1) {
        Some("/odd") => Reply::json(
            200,
            r#"{"access_token":"c4nary-token","expires_in":"1 hour"}"#,
        ),
        Some("/first") => Reply::json(200, r#"{"key":"c4nary-key"}"#),
        _ => Reply::json(200, r#"{"access_token":"c4nary-token","expires_in":600}"#),
    })
    .await;
    let at = |path: &str| format!("http://{}{path}", vendor.address);
    let client = "client_id = \"me\"\nclient_secret = \"c4nary-secret\"\n";
    let odd = format!(
        "[integrations.odd]\ngrant = \"client_credentials\"\ntoken_endpoint = \"{}\"\n{client}",
        at("/odd")
    );
    let seen = doctor(&odd, &[]).await;
    seen.says(&["could not be read", "expires_in_unit"]);
    assert!(!seen.out.contains("c4nary"), "{}", seen.out);
    let chain = |path: &str| {
        format!(
            "[integrations.x]\ngrant = \"steps\"\n{client}\
             [[integrations.x.steps]]\n[integrations.x.steps.request]\nurl = \"{}\"\n\
             form = {{ secret = \"{{client_secret}}\" }}\n\
             [[integrations.x.steps]]\n[integrations.x.steps.request]\nurl = \"{}\"\n\
             form = {{ key = \"{{steps.0.{path}}}\" }}\n",
            at("/first"),
            at("/second")
        )
    };
    let seen = doctor(&chain("key"), &[]).await;
    seen.says(&["lives 10m"]);
    for other in ["refused", "c4nary"] {
        assert!(!seen.out.contains(other), "{other}: {}", seen.out);
    }
    let seen = doctor(&chain("other"), &[]).await;
    seen.says(&["in step 0", "nothing at 'other'"]);
    assert!(!seen.out.contains("token_endpoint"), "{}", seen.out);
}

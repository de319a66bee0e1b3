//! Clients that name themselves by a certificate while they connect (RFC 8705), over real TLS.

use std::collections::BTreeMap;
use std::path::Path;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::support::{Broker, Internet, Reply};

fn der(pem: &str) -> Vec<u8> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes());
    certificate.unwrap().to_vec()
}

fn put(folder: &Path, (certificate, key): &(String, String)) {
    std::fs::write(folder.join("client.pem"), certificate).unwrap();
    std::fs::write(folder.join("client.key"), key).unwrap();
}

fn config(internet: &Internet, folder: &Path, more: &str) -> String {
    let folder = folder.display();
    format!(
        "{}[integrations.x]\ngrant = \"client_credentials\"\nclient_id = \"abc\"\n\
         token_endpoint = \"https://mtls.vendor.example/token\"\n\
         client_certificate = {{ file = \"{folder}/client.pem\" }}\n\
         client_key = {{ file = \"{folder}/client.key\" }}\n{more}\n",
        internet.net()
    )
}

#[tokio::test(start_paused = true)]
async fn the_certificate_is_shown_and_a_new_one_is_from_its_file_on() {
    let internet = Internet::start(|_, number| Reply::token(&format!("t0ken-{number}"), 600)).await;
    let folder = tempfile::tempdir().unwrap();
    let first = internet.client("client-1");
    put(folder.path(), &first);
    let method = "token_endpoint_auth_method = \"tls_client_auth\"";
    let broker = Broker::start(&config(&internet, folder.path(), method));
    assert_eq!(broker.get("/token/x").await.token(), "t0ken-1");
    let seen = internet.seen().remove(0);
    assert_eq!(seen.certificate, Some(der(&first.0)));
    assert_eq!(seen.header("authorization"), None);
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(&seen.body)
        .into_owned()
        .collect();
    let sent: Vec<(&str, &str)> = form
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        sent,
        [("client_id", "abc"), ("grant_type", "client_credentials")]
    );

    let second = internet.client("client-2");
    put(folder.path(), &second);
    let renewed = |status: &serde_json::Value| {
        status["state"] == "valid"
            && internet
                .seen()
                .last()
                .is_some_and(|request| request.certificate == Some(der(&second.0)))
    };
    broker.until("x", renewed).await;
    assert_ne!(broker.get("/token/x").await.token(), "t0ken-1");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_stands_beside_a_secret_too() {
    let internet = Internet::start(|_, _| Reply::token("t0ken", 600)).await;
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &internet.client("client-1"));
    let broker = Broker::start(&config(
        &internet,
        folder.path(),
        "client_secret = \"s3cret\"",
    ));
    assert_eq!(broker.get("/token/x").await.token(), "t0ken");
    let seen = internet.seen().remove(0);
    assert!(seen.certificate.is_some());
    assert_eq!(seen.header("authorization"), Some("Basic YWJjOnMzY3JldA=="));
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_cannot_be_used_says_why_and_nothing_is_sent() {
    let internet = Internet::start(|_, _| Reply::token("t0ken", 600)).await;
    let folder = tempfile::tempdir().unwrap();
    let (certificate, _) = internet.client("client-1");
    let (_, key) = internet.client("client-2");
    let secret = key.lines().nth(1).unwrap().to_owned();
    let method = "token_endpoint_auth_method = \"tls_client_auth\"";
    for (certificate, key, words) in [
        (
            certificate.as_str(),
            key.as_str(),
            "not the one of the certificate",
        ),
        (certificate.as_str(), "nothing", "the client key"),
        (
            "nothing",
            key.as_str(),
            "the client certificate holds no certificate",
        ),
    ] {
        put(folder.path(), &(certificate.to_owned(), key.to_owned()));
        let broker = Broker::start(&config(&internet, folder.path(), method));
        let answer = broker.get("/token/x").await;
        assert_ne!(answer.status, 200);
        assert!(answer.text().contains(words), "{words}: {}", answer.text());
        assert!(!answer.text().contains(&secret));
    }
    assert!(internet.seen().is_empty());
}

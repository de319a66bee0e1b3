//! Each provider file against what its vendor's page says.
//!
//! `tests/conformance/<provider>.toml` is written from the page, never from the provider file: what a
//! request looks like, and what each documented answer must come to. A provider file that loses or
//! changes any key must fail its case: that shows that the case covers every key.

mod case;
mod consented;
mod fixture;
mod mutate;

use std::path::Path;

use serde_json::{Value, json};
use token_broker::base::Clock as _;
use token_broker::config::catalogue;

use crate::support::{Broker, Reply, Vendor, request};
use case::{Bench, config_text, first_config, member};
use fixture::{Api, Fixture};

/// Keys that tell a reader something and change nothing.
fn is_documentation(path: &str) -> bool {
    matches!(path, "name" | "docs" | "checked" | "status")
        || (path.starts_with("params.")
            && (path.ends_with(".description") || path.ends_with(".example")))
}

#[tokio::test]
async fn every_provider_keeps_to_its_vendors_page() {
    let bench = Bench::start().await;
    for provider in catalogue() {
        let fixture = Fixture::of(&provider.id);
        let held = bench.holds(&fixture, &provider.id, None).await;
        held.unwrap_or_else(|why| panic!("{}: {why}", provider.id));
    }
}

/// Every hint is shown for some documented answer: else nobody would ever read it.
#[tokio::test]
async fn a_provider_file_that_loses_or_changes_any_key_fails_its_case() {
    let bench = Bench::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut survivors = Vec::new();
    let mut tried = 0;
    for provider in catalogue() {
        let name = provider.id.as_str();
        let fixture = Fixture::of(name);
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("config/providers")
            .join(format!("{name}.toml"));
        let text = std::fs::read_to_string(file).unwrap();
        let tree = serde_json::to_value(toml::from_str::<toml::Table>(&text).unwrap()).unwrap();
        let copy = folder.path().join(format!("{name}.json"));
        std::fs::write(&copy, tree.to_string()).unwrap();
        let whole = bench.holds(&fixture, name, Some(folder.path())).await;
        whole.unwrap_or_else(|why| panic!("{name}, unchanged: {why}"));
        for mutation in mutate::all(&tree) {
            if is_documentation(&mutation.path) {
                continue;
            }
            tried += 1;
            std::fs::write(&copy, mutation.tree.to_string()).unwrap();
            if bench
                .holds(&fixture, name, Some(folder.path()))
                .await
                .is_ok()
            {
                survivors.push(format!("{name}: {} {}", mutation.path, mutation.what));
            }
        }
        std::fs::remove_file(&copy).unwrap();
    }
    assert!(
        survivors.is_empty(),
        "no case notices:\n{}",
        survivors.join("\n")
    );
    assert!(
        tried > 300,
        "{tried} mutations are too few to mean anything"
    );
}

/// The whole way: the broker asks over a socket, serves the token, and says what a call needs.
#[tokio::test(start_paused = true)]
async fn a_broker_serves_each_provider_and_a_call_made_of_its_headers_is_the_documented_one() {
    for provider in catalogue() {
        let name = provider.id.as_str();
        let fixture = Fixture::of(name);
        if fixture
            .requests
            .first()
            .is_some_and(|one| one.consent.is_some())
        {
            // Nothing is asked before a person has consented: see `consented`.
            continue;
        }
        let token = fixture.answers.first().map(|answer| answer.body.clone());
        let answer = token.unwrap_or_else(|| "{}".to_owned());
        let vendor = Vendor::start(move |_, _| Reply::json(200, &answer)).await;
        let mut config = first_config(&fixture);
        let expected = fixture.requests.first();
        if let Some(expected) = expected {
            let (_, path) = split(&expected.url);
            let endpoint = format!("http://{}{path}", vendor.address);
            config.insert("token_endpoint".into(), endpoint.into());
        }
        let broker = Broker::start(&config_text(name, &config, None));
        let served = broker.get("/token/x").await;
        assert_eq!(served.status, 200, "{name}: {}", served.text());
        let token = served.token();
        if let Some(expected) = expected {
            let requests = vendor.requests();
            assert_eq!(requests.len(), 1, "{name}");
            // The paused clock goes on while the kernel takes its time.
            let made = case::start()..=broker.clock.now().wall;
            case::same_request(expected, &requests[0], made)
                .unwrap_or_else(|why| panic!("{name}: {why}"));
        }
        let headers = broker.get("/headers/x").await.json();
        let source: Value = fixture.answers.first().map_or(json!({}), |answer| {
            serde_json::from_str(&answer.body).unwrap()
        });
        call(name, &fixture.api, &headers, &source, &token, &vendor).await;
    }
}

/// Makes the call that `/headers` describes, at our own vendor.
async fn call(
    name: &str,
    api: &Api,
    headers: &Value,
    source: &Value,
    token: &str,
    vendor: &Vendor,
) {
    assert_eq!(headers["base_url"], json!(api.base_url), "{name}");
    let lines: Vec<String> = headers["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(header, value)| format!("{header}: {}", value.as_str().unwrap()))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut url = url::Url::parse(headers["base_url"].as_str().unwrap()).unwrap();
    for (key, value) in headers["query"].as_object().unwrap() {
        url.query_pairs_mut()
            .append_pair(key, value.as_str().unwrap());
    }
    let (_, path) = split(url.as_str());
    let answer = request(vendor.address, &format!("GET {path}"), &lines, "").await;
    assert_eq!(answer.status, 200);
    let seen = vendor.requests().pop().unwrap();
    let fill = |text: &str| {
        let token_type = "Bearer";
        text.replace(
            "{access_token}",
            &member(source, "access_token").unwrap_or(token.to_owned()),
        )
        .replace("{token_type}", token_type)
    };
    for (header, value) in &api.headers {
        let found = seen.header(&header.to_lowercase());
        assert_eq!(found, Some(fill(value).as_str()), "{name}: {header}");
    }
    let (_, wanted) = split(&api.base_url);
    let query: Vec<String> = api
        .query
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let wanted = match query.as_slice() {
        [] => wanted.to_owned(),
        pairs => format!("{wanted}?{}", pairs.join("&")),
    };
    assert_eq!(seen.line, format!("GET {wanted} HTTP/1.1"), "{name}");
}

/// Scheme and host; path and query, `/` if there is none.
fn split(url: &str) -> (&str, &str) {
    let start = url.find("://").unwrap() + 3;
    match url[start..].find('/') {
        Some(at) => url.split_at(start + at),
        None => (url, "/"),
    }
}

/// Whatever an operator types for a parameter, the secret goes to no other host.
#[test]
fn no_parameter_of_any_provider_moves_the_endpoint_elsewhere() {
    let mut seen = 0;
    for provider in catalogue() {
        let fixture = Fixture::of(&provider.id);
        for param in &provider.params {
            for value in [
                "evil.example/",
                "x.evil.example#",
                "evil.example?",
                "x@evil.example",
                "evil.example\\",
                "evil.example:443",
                "//evil.example",
                "..",
                "{client_id}",
                "%2f",
                "a b",
                "\r\nHost: evil.example",
            ] {
                let mut config = first_config(&fixture);
                config.insert(param.name.clone(), value.into());
                let loaded = case::load(&config_text(&provider.id, &config, None));
                let Err(problems) = loaded else {
                    panic!("{}: {} takes {value:?}", provider.id, param.name)
                };
                let key = format!("integrations.x.{}", param.name);
                assert!(
                    problems.list().iter().all(|one| one.key == key),
                    "{}: {problems}",
                    provider.id
                );
                assert!(!problems.to_string().contains("evil"), "{problems}");
                seen += 1;
            }
        }
    }
    assert!(seen > 50, "{seen}");
}

//! Each provider file against what its vendor's page says.
//!
//! `tests/conformance/<provider>.toml` is written from the page, never from the provider file: what a
//! request looks like, and what each documented answer must come to. A provider file that loses or
//! changes any key must fail its case: that shows that the case covers every key.
//!
//! With `PROVIDERS=name,name` in the environment it is those files only, as they are on the disk: for
//! who writes one.

mod case;
mod consented;
mod differ;
mod fixture;
mod jwt;
mod mutate;
mod seen;
mod tried;

use serde_json::{Value, json};
use token_broker::base::Clock as _;
use token_broker::config::provider;

use crate::support::{Broker, Internet, Reply, Vendor, request};
use case::{Bench, config_text};
use fixture::{Api, Fixture};
use jwt::same_jwt;
use seen::same_call;
use tried::Tried;

/// Keys that tell a reader something and change nothing.
fn is_documentation(path: &str) -> bool {
    matches!(path, "name" | "docs" | "checked" | "status")
        || (path.starts_with("params.")
            && (path.ends_with(".description") || path.ends_with(".example")))
}

#[tokio::test]
async fn every_provider_keeps_to_its_vendors_page() {
    let mut bench = Bench::start().await;
    let tried = Tried::new();
    for name in &tried.names {
        let held = bench.holds(&Fixture::of(name), name, tried.folder()).await;
        held.unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

/// What is tried of one provider file, and what of that its case does not notice.
async fn mutated(bench: &mut Bench, name: &str, text: &str, fixture: &Fixture) -> Mutated {
    let tree = serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join(format!("{name}.json"));
    std::fs::write(&copy, tree.to_string()).unwrap();
    let whole = bench.holds(fixture, name, Some(folder.path())).await;
    whole.unwrap_or_else(|why| panic!("{name}, unchanged: {why}"));
    let mut found = Mutated::default();
    for mutation in mutate::all(&tree) {
        if is_documentation(&mutation.path) {
            continue;
        }
        found.tried += 1;
        std::fs::write(&copy, mutation.tree.to_string()).unwrap();
        if bench
            .holds(fixture, name, Some(folder.path()))
            .await
            .is_ok()
        {
            let survivor = format!("{name}: {} {}", mutation.path, mutation.what);
            found.survivors.push(survivor);
        }
    }
    found
}

#[derive(Default)]
struct Mutated {
    tried: usize,
    survivors: Vec<String>,
}

/// Every hint is shown for some documented answer: else nobody would ever read it.
#[tokio::test]
async fn a_provider_file_that_loses_or_changes_any_key_fails_its_case() {
    let mut bench = Bench::start().await;
    let mut all = Mutated::default();
    let tried = Tried::new();
    for name in &tried.names {
        let text = std::fs::read_to_string(tried::file(name)).unwrap();
        let found = mutated(&mut bench, name, &text, &Fixture::of(name)).await;
        all.tried += found.tried;
        all.survivors.extend(found.survivors);
    }
    assert!(
        all.survivors.is_empty(),
        "no case notices:\n{}",
        all.survivors.join("\n")
    );
    assert!(
        all.tried > 5 * tried.names.len(),
        "{} mutations are too few to mean anything",
        all.tried
    );
}

/// Whoever writes a provider begins with what the documentation shows.
#[tokio::test]
async fn the_example_of_the_documentation_is_a_provider_and_its_case() {
    let page = include_str!("../../docs/adding-a-provider.md");
    let mut examples = page
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("```")?.0));
    let (provider, case) = (examples.next().unwrap(), examples.next().unwrap());
    let fixture = Fixture::parse("example", case);
    let mut bench = Bench::start().await;
    let found = mutated(&mut bench, "example", provider, &fixture).await;
    assert!(
        found.survivors.is_empty(),
        "no case notices:\n{}",
        found.survivors.join("\n")
    );
}

/// The whole way: the broker asks over a socket, serves the token, and says what a call needs.
#[tokio::test(start_paused = true)]
async fn a_broker_serves_each_provider_and_a_call_made_of_its_headers_is_the_documented_one() {
    let tried = Tried::new();
    for name in &tried.names {
        let fixture = Fixture::of(name);
        let expected = fixture.requests.first();
        if expected.is_some_and(fixture::Expected::begins_with_a_login) {
            // Nothing is asked before a person has consented: see `consented`.
            continue;
        }
        let success = fixture.answers.first();
        let says = match (expected, success) {
            (Some(expected), Some(success)) => case::replies(expected, success),
            _ => Vec::new(),
        };
        let internet = Internet::start(move |_, number| says[number - 1].clone()).await;
        let text = config_text(name, fixture.config(), &internet.net(), tried.folder());
        let broker = Broker::start(&text);
        let served = broker.get("/token/x").await;
        assert_eq!(served.status, 200, "{name}: {}", served.text());
        let token = served.token();
        // The paused clock goes on while the kernel takes its time.
        let made = case::start()..=broker.clock.now().wall;
        if let Some(expected) = expected {
            let requests = internet.take();
            let calls = expected.calls();
            assert_eq!(requests.len(), calls.len(), "{name}");
            for (call, request) in calls.into_iter().zip(&requests) {
                same_call(call, request, made.clone())
                    .unwrap_or_else(|why| panic!("{name}: {why}"));
            }
        }
        if let Some(signed) = fixture.signed.first() {
            same_jwt(&signed.jwt, &token, made).unwrap_or_else(|why| panic!("{name}: {why}"));
        }
        let headers = broker.get("/headers/x").await.json();
        call(name, &fixture.api, &headers, &token).await;
    }
}

/// Makes the call that `/headers` describes, at a vendor of our own.
async fn call(name: &str, api: &Api, headers: &Value, token: &str) {
    assert_eq!(headers["base_url"], json!(api.base_url), "{name}");
    let Some(base_url) = &api.base_url else {
        return;
    };
    let lines: Vec<String> = headers["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(header, value)| format!("{header}: {}", value.as_str().unwrap()))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut url = url::Url::parse(base_url).unwrap();
    for (key, value) in headers["query"].as_object().unwrap() {
        url.query_pairs_mut()
            .append_pair(key, value.as_str().unwrap());
    }
    let vendor = Vendor::start(|_, _| Reply::json(200, "{}")).await;
    let (_, path) = split(url.as_str());
    let answer = request(vendor.address, &format!("GET {path}"), &lines, "").await;
    assert_eq!(answer.status, 200);
    let seen = vendor.requests().pop().unwrap();
    for (header, value) in &api.headers {
        let found = seen.header(&header.to_lowercase());
        let value = case::filled(value, token);
        assert_eq!(found, Some(value.as_str()), "{name}: {header}");
    }
    let (_, wanted) = split(base_url);
    let query: Vec<String> = api
        .query
        .iter()
        .map(|(key, value)| format!("{key}={}", case::filled(value, token)))
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

/// Of every URL in a specification as it is printed.
fn hosts(printed: &str) -> Vec<String> {
    let urls = printed.split("https://").skip(1);
    let end = |c: char| matches!(c, '/' | '"' | '?' | '#' | '\\' | '{');
    let mut hosts: Vec<String> = urls
        .map(|url| url.split(end).next().unwrap().to_owned())
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

/// Whatever an operator types for a parameter, the secret goes to no other host.
#[test]
fn no_parameter_of_any_provider_moves_the_endpoint_elsewhere() {
    let mut seen = 0;
    let tried = Tried::new();
    for name in &tried.names {
        let provider = provider(name, tried.folder()).unwrap();
        let fixture = Fixture::of(name);
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
                let mut config = fixture.config().clone();
                config.insert(param.name.clone(), value.into());
                let loaded = case::load(&config_text(name, &config, "", tried.folder()));
                let problems = match loaded {
                    Ok(loaded) => {
                        // Free text, that may go anywhere but into a host.
                        let one = &loaded.spec.integrations[0];
                        let hosts = hosts(&format!("{:?} {:?}", one.grant, one.api));
                        let evil = hosts.iter().any(|host| host.contains("evil"));
                        assert!(!evil, "{name}: {} leads to {hosts:?}", param.name);
                        continue;
                    }
                    Err(problems) => problems,
                };
                let key = format!("integrations.x.{}", param.name);
                assert!(
                    problems.list().iter().all(|one| one.key == key),
                    "{name}: {problems}"
                );
                assert!(!problems.to_string().contains("evil"), "{problems}");
                seen += 1;
            }
        }
    }
    assert!(tried.is_part() || seen > 50, "{seen}");
}

//! Whole exchanges over real sockets, both ends in one runtime.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::base::{Clock, ErrorCode, Failure, Issued, Secret, Timestamp, TokioClock};
use crate::net::Clients;
use crate::net::peer::{Act, Peer};
use crate::secrets::Vault;
use crate::spec::{
    Api, BasicEncoding, ClientAuth, Draft, Grant, Integration, Method, Net, Part, Phrase,
    RefreshPolicy, RequestFormat, ResponseShape, SecretCandidate, SecretSource, StaticToken,
    TokenRequest, Vendor,
};

mod answers;
mod requests;
mod secrets;

const START: i64 = 1_800_000_000;
/// Everything that encoders get wrong.
const HARD: &str = "+/%&=\" é x";
const HARD_FORM: &str = "%2B%2F%25%26%3D%22+%C3%A9+x";
const TOKEN: &str = r#"{"access_token":"tok-1","expires_in":3600}"#;

struct Bench {
    clock: Arc<TokioClock>,
    sources: Sources,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::from_unix_seconds(START)));
        let vault = Vault::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let sources = Sources::new(Clients::new(), vault, Arc::clone(&clock) as Arc<dyn Clock>);
        Self { clock, sources }
    }

    fn source(&self, request: TokenRequest) -> Arc<dyn TokenSource> {
        self.source_of(integration(Grant::ClientCredentials(Arc::new(request))))
    }

    fn source_of(&self, integration: Integration) -> Arc<dyn TokenSource> {
        self.sources.source(&Arc::new(integration)).unwrap()
    }
}

fn integration(grant: Grant) -> Integration {
    Integration {
        id: "billing".parse().unwrap(),
        provider: "auth.example.com".into(),
        required: true,
        grant,
        net: Arc::new(Net::default()),
        refresh: Arc::new(RefreshPolicy::default()),
        response: Arc::new(ResponseShape::default()),
        api: Arc::new(Api {
            base_url: None,
            headers: vec![],
            query: vec![],
            hosts: vec![],
        }),
        vendor: Arc::new(Vendor::default()),
    }
}

fn value(secret: &str) -> SecretCandidate {
    SecretCandidate {
        source: SecretSource::Value(Secret::new(secret)),
        not_before: None,
        expires_at: None,
    }
}

fn hidden(source: SecretSource) -> Phrase {
    Phrase::new([Part::Secret(source)])
}

fn request(url: &str) -> TokenRequest {
    TokenRequest {
        auth: ClientAuth::Post,
        client_id: Some(HARD.to_owned()),
        client_secret: vec![value(HARD)],
        ..TokenRequest::to(url)
    }
}

fn issued(outcome: Outcome) -> Issued {
    match outcome {
        Outcome::Issued(issued) => *issued,
        other => panic!("{other:?}"),
    }
}

fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Issued(issued) => panic!("{issued:?}"),
        other => other.failure().cloned().expect("a failure"),
    }
}

#[tokio::test(start_paused = true)]
async fn four_at_once_at_one_endpoint_and_others_are_not_held_up() {
    let (slow, quick) = (
        Peer::start(vec![Act::Hang]).await,
        Peer::start(vec![Act::json(200, TOKEN)]).await,
    );
    let bench = Bench::new();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let source = bench.source(request(&slow.url()));
        tasks.spawn(async move { source.exchange().await });
    }
    let started = tokio::time::Instant::now();
    issued(bench.source(request(&quick.url())).exchange().await);
    assert!(started.elapsed() < Duration::from_secs(15));
    assert_eq!(slow.requests().len(), 4);
    tasks.join_all().await;
    assert_eq!(slow.requests().len(), 5);
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(31));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_page_becomes_a_refusal_at_the_fourth_in_a_row() {
    let page = Act::with(
        403,
        &[("Content-Type", "text/html")],
        b"<html>blocked</html>",
    );
    let peer = Peer::start(vec![
        page.clone(),
        page.clone(),
        Act::json(200, TOKEN),
        page,
    ])
    .await;
    let source = Bench::new().source(request(&peer.url()));
    let mut labels = Vec::new();
    for _ in 0..7 {
        labels.push(source.exchange().await.label());
    }
    let (t, issued) = ("transient", "issued");
    assert_eq!(labels, [t, t, issued, t, t, t, "bad_credential"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_vendor_repeats_of_the_request_is_not_shown() {
    let canary = "canary/+ é=1";
    let encoded = STANDARD.encode(canary);
    let body = serde_json::json!({
        "error": "invalid_client",
        "error_description": format!("unknown {canary} and {encoded} and param-canary"),
    });
    let peer = Peer::start(vec![Act::json(400, &body.to_string())]).await;
    let mut request = request(&peer.url());
    request.client_secret = vec![value(canary)];
    let param = SecretSource::Value(Secret::new("param-canary"));
    request.params = vec![("p".to_owned(), Draft::Text(hidden(param)))];
    let source = Bench::new().source(request);
    let shown = format!("{:?} {source:?}", source.exchange().await);
    assert!(
        !shown.contains("canary") && !shown.contains(&encoded),
        "{shown}"
    );
    assert!(shown.contains("invalid_client"));
}

fn fixed(token: &str, expires_at: Option<i64>) -> Integration {
    integration(Grant::Static(StaticToken {
        token: SecretSource::Value(Secret::new(token)),
        expires_at: expires_at.map(Timestamp::from_unix_seconds),
    }))
}

#[tokio::test(start_paused = true)]
async fn a_static_token_lives_until_its_configured_end() {
    let bench = Bench::new();
    let forever = issued(bench.source_of(fixed("key-1", None)).exchange().await);
    assert_eq!(
        (forever.access_token.expose(), forever.lifetime),
        ("key-1", None)
    );
    let source = bench.source_of(fixed("key-1", Some(START + 60)));
    let limited = issued(source.exchange().await);
    assert_eq!(limited.lifetime, Some(Duration::from_mins(1)));
    tokio::time::advance(Duration::from_mins(1)).await;
    let outcome = source.exchange().await;
    assert!(matches!(outcome, Outcome::Expired(_)));
    let failure = failure(outcome);
    assert_eq!(failure.code, ErrorCode::TokenExpired);
    assert_eq!(
        failure.description,
        "the configured token expired at 2027-01-15T08:01:00Z: put a new one in"
    );
    let outcome = bench.source_of(fixed("two words", None)).exchange().await;
    assert!(matches!(outcome, Outcome::SecretUnavailable(_)));
}

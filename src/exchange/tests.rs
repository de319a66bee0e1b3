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
    Api, BasicEncoding, ClientAuth, Endpoint, Grant, Integration, Method, Net, RefreshPolicy,
    RequestFormat, RequestValue, ResponseShape, SecretCandidate, SecretSource, StaticToken,
    TokenRequest, Vendor,
};

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
        refresh: RefreshPolicy::default(),
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

fn request(url: &str) -> TokenRequest {
    TokenRequest {
        endpoint: Endpoint::parse(url).unwrap(),
        auth: ClientAuth::Post,
        format: RequestFormat::Form,
        method: Method::Post,
        client_id: Some(HARD.to_owned()),
        client_secret: vec![value(HARD)],
        scope: None,
        params: vec![],
        headers: vec![],
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

/// Request line, header lines in lower-case names and sorted, body.
fn parts(request: &str) -> (String, Vec<(String, String)>, String) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let first = lines.next().unwrap().to_owned();
    let mut headers: Vec<_> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    headers.sort();
    (first, headers, body.to_owned())
}

async fn sent(change: impl FnOnce(&mut TokenRequest)) -> (String, Vec<(String, String)>, String) {
    let peer = Peer::start(vec![Act::json(200, TOKEN)]).await;
    let mut request = request(&peer.url());
    change(&mut request);
    let outcome = Bench::new().source(request).exchange().await;
    assert_eq!(issued(outcome).access_token.expose(), "tok-1");
    let requests = peer.requests();
    assert_eq!(requests.len(), 1);
    let (first, mut headers, body) = parts(&requests[0]);
    headers.retain(|(name, _)| name != "host");
    (first, headers, body)
}

fn usual(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let agent = concat!("token-broker/", env!("CARGO_PKG_VERSION"));
    let mut all: Vec<_> = [
        ("accept", "application/json"),
        ("accept-encoding", "gzip"),
        ("user-agent", agent),
    ]
    .iter()
    .chain(more)
    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    .collect();
    all.sort();
    all
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const POST: &str = "POST /token HTTP/1.1";

#[tokio::test(start_paused = true)]
async fn basic_sends_id_and_secret_form_encoded() {
    let (first, headers, body) = sent(|request| {
        request.auth = ClientAuth::Basic(BasicEncoding::Form);
    })
    .await;
    let pair = STANDARD.encode(format!("{HARD_FORM}:{HARD_FORM}"));
    assert_eq!(first, POST);
    assert_eq!(body, "grant_type=client_credentials");
    let length = body.len().to_string();
    assert_eq!(
        headers,
        usual(&[
            FORM,
            ("content-length", &length),
            ("authorization", &format!("Basic {pair}"))
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn basic_can_be_raw() {
    let (_, headers, _) = sent(|request| {
        request.auth = ClientAuth::Basic(BasicEncoding::Raw);
    })
    .await;
    let pair = STANDARD.encode(format!("{HARD}:{HARD}"));
    let expected = ("authorization".to_owned(), format!("Basic {pair}"));
    assert!(headers.contains(&expected), "{headers:?}");
}

#[tokio::test(start_paused = true)]
async fn post_in_a_form() {
    let (first, headers, body) = sent(|_| {}).await;
    assert_eq!(first, POST);
    assert_eq!(
        body,
        format!("grant_type=client_credentials&client_id={HARD_FORM}&client_secret={HARD_FORM}")
    );
    let length = body.len().to_string();
    assert_eq!(headers, usual(&[FORM, ("content-length", &length)]));
}

#[tokio::test(start_paused = true)]
async fn post_in_json() {
    let (first, headers, body) = sent(|request| {
        request.format = RequestFormat::Json;
        request.scope = Some("a b".to_owned());
    })
    .await;
    assert_eq!(first, POST);
    assert_eq!(
        body,
        format!(
            r#"{{"grant_type":"client_credentials","client_id":{0},"client_secret":{0},"scope":"a b"}}"#,
            serde_json::Value::from(HARD)
        )
    );
    let length = body.len().to_string();
    assert_eq!(
        headers,
        usual(&[
            ("content-type", "application/json"),
            ("content-length", &length)
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn post_and_get_in_the_query() {
    let query =
        format!("grant_type=client_credentials&client_id={HARD_FORM}&client_secret={HARD_FORM}");
    let (first, headers, body) = sent(|request| request.format = RequestFormat::Query).await;
    assert_eq!(first, format!("POST /token?{query} HTTP/1.1"));
    assert_eq!(headers, usual(&[("content-length", "0")]));
    assert_eq!(body, "");
    let (first, headers, _) = sent(|request| {
        request.format = RequestFormat::Query;
        request.method = Method::Get;
    })
    .await;
    assert_eq!(first, format!("GET /token?{query} HTTP/1.1"));
    assert_eq!(headers, usual(&[]));
}

#[tokio::test(start_paused = true)]
async fn none_sends_the_client_id_if_there_is_one() {
    let (_, _, body) = sent(|request| {
        request.auth = ClientAuth::None;
        request.client_secret.clear();
    })
    .await;
    assert_eq!(
        body,
        format!("grant_type=client_credentials&client_id={HARD_FORM}")
    );
    let (_, _, body) = sent(|request| {
        request.auth = ClientAuth::None;
        request.client_secret.clear();
        request.client_id = None;
    })
    .await;
    assert_eq!(body, "grant_type=client_credentials");
}

#[tokio::test(start_paused = true)]
async fn parameters_and_headers_as_named_and_nothing_empty() {
    let text = |text: &str| RequestValue::Text(text.to_owned());
    let secret = |text: &str| RequestValue::Secret(SecretSource::Value(Secret::new(text)));
    let (_, headers, body) = sent(|request| {
        request.auth = ClientAuth::None;
        request.client_secret.clear();
        request.scope = Some("read write".to_owned());
        request.params = vec![
            ("audience".to_owned(), text("https://api.example.com/")),
            ("empty".to_owned(), text("")),
            ("client_id".to_owned(), text("")),
            ("pass word".to_owned(), secret("p&ss")),
            ("grant_type".to_owned(), text("account_credentials")),
        ];
        request.headers = vec![
            ("x-tenant".to_owned(), text("t1")),
            ("x-key".to_owned(), secret("k-é")),
            ("x-empty".to_owned(), text("")),
        ];
    })
    .await;
    assert_eq!(
        body,
        "scope=read+write&audience=https%3A%2F%2Fapi.example.com%2F&pass+word=p%26ss\
         &grant_type=account_credentials"
    );
    let length = body.len().to_string();
    assert_eq!(
        headers,
        usual(&[
            FORM,
            ("content-length", &length),
            ("x-key", "k-é"),
            ("x-tenant", "t1")
        ])
    );
}

/// One exchange with a peer that acts so, and the time it took on the paused clock.
async fn met(act: Act) -> (Outcome, Duration, usize) {
    let peer = Peer::start(vec![act]).await;
    let bench = Bench::new();
    let source = bench.source(request(&peer.url()));
    let started = tokio::time::Instant::now();
    let outcome = source.exchange().await;
    (outcome, started.elapsed(), peer.requests().len())
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_hangs_or_drips_costs_the_timeout_and_no_more() {
    let drip = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{TOKEN}",
        TOKEN.len()
    );
    for act in [Act::Hang, Act::Drip(drip.into_bytes())] {
        let (outcome, took, _) = met(act).await;
        assert!(took >= Duration::from_secs(15) && took < Duration::from_secs(16));
        let failure = failure(outcome);
        assert_eq!(failure.code, ErrorCode::TemporarilyUnavailable);
        assert!(
            failure.description.starts_with("no answer from 127.0.0.1:")
                && failure.description.ends_with(" within 15s"),
            "{}",
            failure.description
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_cut_off() {
    let part = vec![b'x'; 64 * 1024];
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let (outcome, _, _) = met(Act::Flood(head.into(), part.clone(), 4096)).await;
        let failure = failure(outcome);
        assert!(
            failure.description.ends_with("larger than 1 MiB"),
            "{}",
            failure.description
        );
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_break_off() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"access".to_vec();
    for act in [Act::Reset(head.clone()), Act::Say(head), Act::Say(vec![])] {
        let (outcome, _, _) = met(act).await;
        let failure = failure(outcome);
        assert_eq!(failure.code, ErrorCode::TemporarilyUnavailable);
        assert!(
            failure.description.starts_with("no complete answer from"),
            "{}",
            failure.description
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_never_followed() {
    let elsewhere = Peer::start(vec![Act::json(200, TOKEN)]).await;
    let (outcome, _, asked) = met(Act::with(307, &[("Location", &elsewhere.url())], b"")).await;
    assert!(matches!(outcome, Outcome::BadRequest(_)));
    assert_eq!((asked, elsewhere.requests().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_page_or_an_error_inside_200() {
    let (outcome, _, _) = met(Act::with(
        200,
        &[("Content-Type", "text/html")],
        b"<html>welcome</html>",
    ))
    .await;
    assert!(matches!(outcome, Outcome::Transient { .. }));
    let (outcome, _, _) = met(Act::json(200, r#"{"error":"invalid_client"}"#)).await;
    assert!(matches!(outcome, Outcome::BadCredential(_)));
}

#[tokio::test(start_paused = true)]
async fn compressed_answers_are_read_and_bombs_are_not() {
    // {"access_token":"zipped"}, by gzip.
    let zipped = gzip_stored(br#"{"access_token":"zipped"}"#);
    let headers = [("Content-Encoding", "gzip")];
    let (outcome, _, _) = met(Act::with(200, &headers, &zipped)).await;
    assert_eq!(issued(outcome).access_token.expose(), "zipped");
    let bomb = gzip_zeros(64);
    assert!(bomb.len() < 500_000);
    let (outcome, _, _) = met(Act::with(200, &headers, &bomb)).await;
    assert!(failure(outcome).description.ends_with("larger than 1 MiB"));
    let (outcome, _, _) = met(Act::with(200, &headers, b"not gzip")).await;
    assert!(matches!(outcome, Outcome::Transient { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_vendor_is_named() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let source = Bench::new().source(request(&format!("http://{closed}/t?key=canary")));
    let failure = failure(source.exchange().await);
    assert_eq!(
        failure.description,
        format!("could not connect to {closed}: connection refused")
    );
    assert_eq!(failure.vendor, None);
}

#[tokio::test(start_paused = true)]
async fn lifetimes_count_from_when_the_request_was_sent() {
    let late = [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", TOKEN.len()).as_bytes(),
        TOKEN.as_bytes(),
    ]
    .concat();
    let peer = Peer::start(vec![Act::Say(late)]).await;
    let bench = Bench::new();
    let source = bench.source(request(&peer.url()));
    tokio::time::advance(Duration::from_secs(100)).await;
    let before = bench.clock.now();
    let issued = issued(source.exchange().await);
    assert_eq!(issued.sent_at.wall, before.wall);
    assert_eq!(issued.lifetime, Some(Duration::from_hours(1)));
}

const REFUSED: &str = r#"{"error":"invalid_client","error_description":"no such secret"}"#;

fn secrets_sent(peer: &Peer) -> Vec<String> {
    let requests = peer.requests();
    requests
        .iter()
        .map(|request| request.rsplit_once("client_secret=").unwrap().1.to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_refused_secret_gives_way_to_the_next_and_the_one_that_worked_comes_first() {
    let peer = Peer::start(vec![
        Act::json(401, REFUSED),
        Act::json(200, TOKEN),
        Act::json(200, TOKEN),
    ])
    .await;
    let mut request = request(&peer.url());
    request.client_secret = vec![value("old-one"), value("new-one")];
    let source = Bench::new().source(request);
    assert_eq!(issued(source.exchange().await).secret_in_use, Some(1));
    assert_eq!(issued(source.exchange().await).secret_in_use, Some(1));
    assert_eq!(secrets_sent(&peer), ["old-one", "new-one", "new-one"]);
}

#[tokio::test(start_paused = true)]
async fn each_secret_is_tried_once_and_only_when_the_vendor_refuses_credentials() {
    let peer = Peer::start(vec![Act::json(401, REFUSED)]).await;
    let mut first = request(&peer.url());
    first.client_secret = vec![value("aaaa"), value("bbbb"), value("aaaa")];
    let failure = failure(Bench::new().source(first).exchange().await);
    assert_eq!(secrets_sent(&peer), ["aaaa", "bbbb"]);
    assert_eq!(failure.code, ErrorCode::CredentialsRejected);
    assert_eq!(
        failure.description,
        "the vendor refused the client credentials: 401 invalid_client (no such secret) (each of \
         2 secrets was tried)"
    );
    for (status, body) in [(503, ""), (400, r#"{"error":"invalid_scope"}"#)] {
        let peer = Peer::start(vec![Act::json(status, body)]).await;
        let mut other = request(&peer.url());
        other.client_secret = vec![value("aaaa"), value("bbbb")];
        let _outcome = Bench::new().source(other).exchange().await;
        assert_eq!(secrets_sent(&peer), ["aaaa"], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_secret_is_not_sent_again_because_the_other_met_trouble() {
    let peer = Peer::start(vec![
        Act::json(401, REFUSED),
        Act::json(503, ""),
        Act::json(503, ""),
        Act::json(200, TOKEN),
    ])
    .await;
    let mut request = request(&peer.url());
    request.client_secret = vec![value("old-one"), value("new-one")];
    let source = Bench::new().source(request);
    assert_eq!(source.exchange().await.label(), "transient");
    assert_eq!(source.exchange().await.label(), "transient");
    assert_eq!(issued(source.exchange().await).secret_in_use, Some(1));
    assert_eq!(
        secrets_sent(&peer),
        ["old-one", "new-one", "new-one", "new-one"]
    );
}

#[tokio::test(start_paused = true)]
async fn secrets_outside_their_time_are_left_out_unless_all_are() {
    let peer = Peer::start(vec![Act::json(200, TOKEN)]).await;
    let at = |seconds| Some(Timestamp::from_unix_seconds(START + seconds));
    let over = SecretCandidate {
        expires_at: at(-1),
        ..value("over")
    };
    let staged = SecretCandidate {
        not_before: at(60),
        ..value("next")
    };
    let mut both = request(&peer.url());
    both.client_secret = vec![over.clone(), value("good"), staged.clone()];
    let source = Bench::new().source(both);
    assert_eq!(issued(source.exchange().await).secret_in_use, Some(1));
    let mut neither = request(&peer.url());
    neither.client_secret = vec![over, staged];
    let source = Bench::new().source(neither);
    assert_eq!(issued(source.exchange().await).secret_in_use, Some(0));
    assert_eq!(secrets_sent(&peer), ["good", "over"]);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_secret_sends_nothing_and_a_new_value_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let peer = Peer::start(vec![Act::json(200, TOKEN)]).await;
    let mut missing = request(&peer.url());
    missing.client_secret = vec![SecretCandidate {
        source: SecretSource::File(path.clone()),
        ..value("")
    }];
    let source = Bench::new().source(missing);
    let changes = source.secret_changes();
    let outcome = source.exchange().await;
    assert!(matches!(outcome, Outcome::SecretUnavailable(_)));
    let failure = failure(outcome);
    assert_eq!(failure.code, ErrorCode::SecretUnavailable);
    assert!(failure.description.ends_with("secret does not exist"));
    assert_eq!(peer.requests().len(), 0);
    std::fs::write(&path, "from-a-file\n").unwrap();
    issued(source.exchange().await);
    // Who reads it itself needs no word of it.
    assert!(!changes.has_changed().unwrap());
    assert_eq!(secrets_sent(&peer), ["from-a-file"]);
}

#[tokio::test(start_paused = true)]
async fn the_timeout_covers_all_secrets_of_one_exchange() {
    let peer = Peer::start(vec![Act::json(401, REFUSED), Act::Hang]).await;
    let mut request = request(&peer.url());
    request.client_secret = vec![value("aaaa"), value("bbbb")];
    let source = Bench::new().source(request);
    let started = tokio::time::Instant::now();
    let outcome = source.exchange().await;
    assert!(matches!(outcome, Outcome::Transient { .. }));
    assert!(started.elapsed() < Duration::from_secs(16));
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
    request.params = vec![("p".to_owned(), RequestValue::Secret(param))];
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

/// gzip without compression: one stored block.
fn gzip_stored(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    let length = u16::try_from(data.len()).unwrap();
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(data);
    out.extend(crc32(data.iter().copied()).to_le_bytes());
    out.extend(u32::from(length).to_le_bytes());
    out
}

/// `mebibytes` of zeros: blocks with fixed codes, a literal and then copies of length 258.
fn gzip_zeros(mebibytes: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(0b1, 1);
    bits.push(0b01, 2);
    // The literal 0 is 00110000, the length 258 is 11000101, the distance 1 is 00000.
    bits.push_code(0b0011_0000, 8);
    for _ in 0..(mebibytes * 1024 * 1024 / 258) {
        bits.push_code(0b1100_0101, 8);
        bits.push_code(0, 5);
    }
    bits.push_code(0, 7);
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    out.extend(bits.bytes);
    out.extend([0; 8]);
    out
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        for at in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if value >> at & 1 == 1 {
                *self.bytes.last_mut().unwrap() |= 1 << (self.used % 8);
            }
            self.used += 1;
        }
    }

    /// Codes go in from their highest bit.
    fn push_code(&mut self, code: u32, count: u32) {
        for at in (0..count).rev() {
            self.push(code >> at & 1, 1);
        }
    }
}

fn crc32(data: impl Iterator<Item = u8>) -> u32 {
    !data.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

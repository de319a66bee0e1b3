//! Bytes that come through a local connection: answers blame the caller, never us.
//!
//! An input that begins with `+` is the target of a GET, one with `=` of a POST whose body follows
//! the first line; with anything else the input is what the connection carries.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use token_broker::base::{Clock, ErrorCode, Failure, Issued, Now, Secret, Timestamp, TokioClock};
use token_broker::config::{Env, Format, Options, load_text};
use token_broker::http::{
    Configuration, Context, Directory, Entry, Health, Logins, Router, fuzz, main_router,
};
use token_broker::snapshot::{ApiCall, Board, Doing, Held, Snapshot, board};
use token_broker::spec::Spec;
use token_broker::telemetry::{IntegrationCounters, Metrics};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const CONFIG: &str = r#"
[integrations.good]
grant = "client_credentials"
token_endpoint = "https://auth.vendor.example/token"
client_id = "id"
client_secret = "s"

[integrations.fixed]
grant = "static"
token = "tok-fixed"

[integrations.refused]
inherit = "good"

[integrations.pending]
inherit = "good"
"#;
const TOKEN: &str = "tok-0123456789";

static SPEC: LazyLock<Spec> = LazyLock::new(|| {
    let env = Env::from_pairs(std::iter::empty::<(String, String)>());
    let loaded = load_text("fuzz.toml", CONFIG, Format::Toml, &env, Options::default());
    loaded.unwrap().spec
});

fn snapshot(name: &str, now: Now) -> Snapshot {
    let mut snapshot = Snapshot {
        finished: 1,
        ..Snapshot::default()
    };
    match name {
        "refused" => {
            snapshot.doing = Doing::Refused;
            snapshot.failure = Some(Arc::new(Failure {
                code: ErrorCode::CredentialsRejected,
                description: "the vendor refused".to_owned(),
                hint: None,
                vendor: None,
                retry_after: None,
                at: now.wall,
            }));
        }
        "pending" => {}
        _ => {
            let issued = Issued {
                access_token: Secret::new(TOKEN),
                token_type: "Bearer".to_owned(),
                scope: None,
                members: serde_json::Map::new(),
                sent_at: now,
                lifetime: (name == "good").then_some(Duration::from_secs(3600)),
                secret_in_use: None,
                refresh_token: None,
            };
            let api = ApiCall {
                base_url: None,
                headers: vec![("Authorization".to_owned(), Secret::new("Bearer \"\\"))],
                query: vec![("@a".to_owned(), Secret::new("é"))],
            };
            snapshot.held = Some(Arc::new(Held::new(issued, api)));
        }
    }
    snapshot
}

/// Boards stay with the router: a board that is gone means an integration that is gone.
fn site() -> (Router, Vec<Board>) {
    let clock = Arc::new(TokioClock::starting_at(Timestamp::from_unix_seconds(
        1_800_000_000,
    )));
    let now = clock.now();
    let mut boards = Vec::new();
    let mut entries = Vec::new();
    for integration in &SPEC.integrations {
        let (board, reader) = board(snapshot(integration.id.as_str(), now), false, false);
        boards.push(board);
        entries.push(Entry {
            integration: Arc::clone(integration),
            reader,
            counters: Arc::new(IntegrationCounters::default()),
        });
    }
    let context = Context {
        directory: Directory::new(entries),
        health: Health::new(now, SPEC.server.startup_wait),
        clock,
        metrics: Arc::new(Metrics::default()),
        server: SPEC.server.clone(),
        access: Arc::new(SPEC.access.clone()).into(),
        configuration: Configuration::new(now.wall),
        logins: Logins::default(),
    };
    (main_router(Arc::new(context)), boards)
}

fn bytes(data: &[u8]) -> Vec<u8> {
    let Some((kind @ (b'+' | b'='), rest)) = data.split_first() else {
        return data.to_vec();
    };
    let end = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(rest.len());
    let body = rest.get(end + 1..).unwrap_or_default();
    let method: &[u8] = if *kind == b'+' { b"GET /" } else { b"POST /" };
    let mut request = [
        method,
        &rest[..end],
        b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: ",
    ]
    .concat();
    request.extend(format!("{}\r\n\r\n", body.len()).bytes());
    request.extend(body);
    request
}

/// Every answer in what came back, as far as heads can be told from bodies.
fn check(answer: &[u8]) {
    let mut rest = answer;
    while let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = std::str::from_utf8(&rest[..end]).expect("heads of ours are ASCII");
        let status: u16 = head
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .expect("a status");
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        if status == 100 {
            // A word in between: the caller asked whether to go on.
            rest = &rest[end + 4..];
            continue;
        }
        assert!(
            (200..505).contains(&status) && status != 500 && status != 501,
            "{head}"
        );
        if status == 503 {
            assert!(
                header("retry-after").is_some()
                    || header("content-type") == Some("text/plain; charset=utf-8"),
                "{head}"
            );
        }
        if status == 502 {
            assert!(header("retry-after").is_none(), "{head}");
        }
        let length: usize =
            header("content-length").map_or(0, |length| length.parse().expect("a length"));
        let body = rest.get(end + 4..end + 4 + length);
        // An answer to HEAD has a length and no body: the next head, or the end, follows at once.
        let body = body.filter(|body| !body.starts_with(b"HTTP/1."));
        if let Some(body) = body
            && header("content-type").is_some_and(|kind| kind.contains("json"))
        {
            let json: serde_json::Value = serde_json::from_slice(body).expect("JSON");
            assert!(json.is_object(), "{json}");
            assert!(
                status < 400 || !String::from_utf8_lossy(body).contains(TOKEN),
                "{json}"
            );
        }
        rest = &rest[end + 4 + body.map_or(0, <[u8]>::len)..];
    }
}

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let request = bytes(data);
    let answer = runtime.block_on(async {
        let (router, _boards) = site();
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let caller = async {
            let (mut reader, mut writer) = tokio::io::split(theirs);
            let mut answer = Vec::new();
            let send = async {
                let _sent = writer.write_all(&request).await;
                let _ended = writer.shutdown().await;
            };
            let (_read, ()) = tokio::join!(reader.read_to_end(&mut answer), send);
            answer
        };
        tokio::join!(fuzz::connection(ours, router), caller).1
    });
    check(&answer);
});

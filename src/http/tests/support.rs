//! A broker with integrations whose workers are the tests, and a caller that speaks bytes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::base::{
    Clock, ErrorCode, Failure, Issued, Now, Secret, Timestamp, TokioClock, VendorAnswer,
};
use crate::http::{
    Configuration, Context, Directory, Entry, Health, Limits, admin_router, bind, main_router,
    serve,
};
use crate::snapshot::{ApiCall, Board, Doing, Held, Snapshot, board};
use crate::spec::{
    Access, Api, BasicEncoding, ClientAuth, Endpoint, FirstRefreshToken, Grant, Integration,
    Listen, RefreshPolicy, Refreshing, Rotation, SecretSource, Server, StaticToken, TokenRequest,
};
use crate::telemetry::{IntegrationCounters, Metrics};

pub(super) struct Site {
    pub(super) context: Arc<Context>,
    pub(super) clock: Arc<TokioClock>,
    boards: Mutex<Vec<(String, Arc<Board>)>>,
    pub(super) address: Listen,
    pub(super) stop: CancellationToken,
    pub(super) serving: JoinHandle<()>,
}

#[derive(Default)]
pub(super) struct Setup {
    pub(super) server: Server,
    pub(super) access: Access,
    pub(super) admin: bool,
    pub(super) unix: Option<std::path::PathBuf>,
    pub(super) limits: Option<Limits>,
    pub(super) extra: Vec<Entry>,
}

/// An integration that a person consents to; its worker is whoever holds the board.
pub(super) fn consented(name: &str) -> (Entry, Board) {
    let Grant::ClientCredentials(request) = request_grant() else {
        unreachable!()
    };
    let refreshing = Refreshing {
        first: FirstRefreshToken::AuthorizationCode {
            authorization_endpoint: Endpoint::parse("https://auth.example.com/authorize")
                .unwrap()
                .into(),
            redirect_uri: "http://127.0.0.1:8656/login/callback".parse().unwrap(),
            issuer: None,
        },
        refresh_endpoint: None,
        rotation: Rotation::Always,
        lifetime: None,
        idle_lifetime: None,
    };
    let (board, reader) = board(Snapshot::default(), false, true);
    let entry = Entry {
        integration: Arc::new(Integration {
            grant: Grant::RefreshToken(request, Arc::new(refreshing)),
            ..integration(name)
        }),
        reader,
        counters: Arc::new(IntegrationCounters::default()),
    };
    (entry, board)
}

pub(super) fn request_grant() -> Grant {
    Grant::ClientCredentials(Arc::new(TokenRequest {
        auth: ClientAuth::Basic(BasicEncoding::Form),
        client_id: Some("id".into()),
        ..TokenRequest::to("https://auth.example.com/token")
    }))
}

fn integration(name: &str) -> Integration {
    let fixed = StaticToken {
        token: SecretSource::Value(Secret::new("x")),
        expires_at: None,
    };
    Integration {
        id: name.parse().unwrap(),
        provider: "acme".into(),
        required: name != "optional",
        grant: if name == "fixed" {
            Grant::Static(fixed)
        } else {
            request_grant()
        },
        net: Arc::default(),
        refresh: Arc::new(RefreshPolicy::default()),
        response: Arc::default(),
        api: Arc::new(Api {
            base_url: None,
            headers: Vec::new(),
            query: Vec::new(),
            hosts: Vec::new(),
        }),
        vendor: Arc::default(),
    }
}

pub(super) const NAMES: [&str; 4] = ["sfmc", "fixed", "optional", "other"];

impl Site {
    pub(super) fn start(setup: Setup) -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::from_unix_seconds(
            1_800_000_000,
        )));
        let mut boards = Vec::new();
        let mut entries = setup.extra;
        for name in NAMES {
            let (board, reader) = board(Snapshot::default(), false, false);
            boards.push((name.to_owned(), Arc::new(board)));
            entries.push(Entry {
                integration: Arc::new(integration(name)),
                reader,
                counters: Arc::new(IntegrationCounters::default()),
            });
        }
        let context = Arc::new(Context {
            directory: Directory::new(entries),
            health: Health::new(clock.now(), setup.server.startup_wait),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            metrics: Arc::new(Metrics::default()),
            configuration: Configuration::new(clock.now().wall),
            access: ArcSwap::from_pointee(setup.access),
            logins: crate::http::Logins::default(),
            server: setup.server,
        });
        let listen = match setup.unix {
            Some(path) => Listen::Unix(path),
            None => Listen::Tcp("127.0.0.1:0".parse().unwrap()),
        };
        let bound = bind(&[listen], false, 0o600).unwrap();
        let address = bound[0].address();
        let router = if setup.admin {
            admin_router(Arc::clone(&context))
        } else {
            main_router(Arc::clone(&context))
        };
        let stop = CancellationToken::new();
        let limits = setup.limits.unwrap_or(Limits::MAIN);
        let serving = serve(bound, router, limits, stop.clone());
        // The handle's own method: a test's runtime owns its tasks.
        let serving = tokio::runtime::Handle::current().spawn(serving);
        Self {
            context,
            clock,
            boards: Mutex::new(boards),
            address,
            stop,
            serving,
        }
    }

    pub(super) fn new() -> Self {
        Self::start(Setup::default())
    }

    pub(super) fn board(&self, name: &str) -> Arc<Board> {
        let boards = self.boards.lock().unwrap();
        let found = boards.iter().find(|(it, _)| it == name).unwrap();
        Arc::clone(&found.1)
    }

    /// Ends the worker of that integration.
    pub(super) fn retire(&self, name: &str) {
        self.boards.lock().unwrap().retain(|(it, _)| it != name);
    }

    /// Publishes a token of that lifetime in seconds; `None`: one without expiry.
    pub(super) fn hold(&self, name: &str, token: &str, lifetime: Option<u64>) {
        self.board(name).publish(Snapshot {
            held: Some(held(token, self.clock.now(), lifetime)),
            finished: 1,
            ..Snapshot::default()
        });
    }

    pub(super) fn fail(&self, name: &str, code: ErrorCode, doing: Doing) {
        self.board(name).publish(Snapshot {
            failure: Some(failure(code)),
            doing,
            finished: 1,
            ..Snapshot::default()
        });
    }

    pub(super) async fn connect(&self) -> TcpStream {
        let Listen::Tcp(address) = self.address else {
            panic!("a unix socket")
        };
        TcpStream::connect(address).await.unwrap()
    }

    /// One request on a connection of its own.
    pub(super) async fn send(&self, request: &str) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        read_reply(&mut stream, request.starts_with("HEAD "))
            .await
            .unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.with("GET", path, "").await
    }

    /// `headers`: lines that end with CRLF.
    pub(super) async fn with(&self, method: &str, path: &str, headers: &str) -> Reply {
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
        ))
        .await
    }

    pub(super) async fn post(&self, path: &str, headers: &str, body: &str) -> Reply {
        let length = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
        .await
    }
}

pub(super) fn held(token: &str, now: Now, lifetime: Option<u64>) -> Arc<Held> {
    let mut members = Map::new();
    members.insert("rest_url".into(), "https://rest.example.com/".into());
    let issued = Issued {
        access_token: Secret::new(token),
        token_type: "Bearer".into(),
        scope: Some("read".into()),
        members,
        sent_at: now,
        lifetime: lifetime.map(Duration::from_secs),
        secret_in_use: None,
        refresh_token: None,
    };
    let api = ApiCall {
        base_url: Some("https://rest.example.com/".into()),
        headers: vec![
            (
                "Authorization".into(),
                Secret::new(format!("Bearer {token}")),
            ),
            ("X-Api-Key".into(), Secret::new("k\\1 \"q\"")),
        ],
        query: vec![
            ("key".into(), Secret::new("a b&c")),
            ("@odd".into(), Secret::new("é")),
        ],
    };
    Arc::new(Held::new(issued, api))
}

pub(super) fn failure(code: ErrorCode) -> Arc<Failure> {
    Arc::new(Failure {
        code,
        description: "the vendor answered 401 invalid_client".into(),
        hint: Some("Check the client secret.".into()),
        vendor: Some(VendorAnswer {
            status: Some(401),
            error: Some("invalid_client".into()),
            error_description: None,
        }),
        retry_after: None,
        at: Timestamp::from_unix_seconds(1_800_000_000),
    })
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }
}

/// `None`: the connection was closed instead.
pub(super) async fn read_reply<S>(stream: &mut S, head_only: bool) -> Option<Reply>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break end + 4;
        }
        let mut byte = [0; 1];
        match stream.read(&mut byte).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => bytes.push(byte[0]),
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut reply = Reply {
        status,
        head,
        body: String::new(),
    };
    let length = reply
        .header("content-length")
        .map_or(0, |it| it.parse().unwrap());
    if !head_only {
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        reply.body = String::from_utf8(body).unwrap();
    }
    Some(reply)
}

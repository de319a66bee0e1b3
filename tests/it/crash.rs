//! `kill -9` on the real binary, again and again: no refresh token is lost, none is used twice.
//!
//! Every round starts a broker on the store that the round before left, and kills it at a random
//! moment, or lets it die at a point compiled for this test. Afterwards the store, what the vendor
//! saw and what callers got must agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use token_broker::base::SystemClock;
use token_broker::spec::Store;
use token_broker::store::{self, Key, Record};
use tokio::time::Instant;

use crate::support::{Process, Reply, Request, Vendor};

const KILLS: u32 = 300;
const INTEGRATIONS: usize = 16;
const POINTS: [&str; 3] = ["before_request", "after_answer", "in_save"];
/// A dead process that should have died at a point is waited for no longer than this.
const PATIENCE: Duration = Duration::from_secs(3);

/// The vendor's book: which refresh token of each client is the good one.
#[derive(Default)]
struct Book {
    clients: BTreeMap<String, Client>,
    /// What was presented since the broker was started, in order.
    presented: Vec<(String, u64)>,
    wrong: Vec<String>,
}

#[derive(Default)]
struct Client {
    /// The number of the refresh token that is good; the one before was spent for it.
    current: u64,
    /// A spent token was used: the grant is dead until a person consents again.
    revoked: bool,
    /// This client is given the same pair again if it repeats its last request.
    grace: bool,
}

impl Book {
    fn answer(&mut self, form: &BTreeMap<String, String>) -> Reply {
        let name = form["client_id"].clone();
        let sent = number(&form["refresh_token"]);
        self.presented.push((name.clone(), sent));
        let client = self.clients.get_mut(&name).unwrap();
        if client.revoked {
            return refusal();
        }
        if sent == client.current {
            client.current += 1;
        } else if client.grace && sent + 1 == client.current {
            // As the first time.
        } else {
            client.revoked = true;
            if sent + 1 < client.current {
                self.wrong.push(format!(
                    "{name} used {sent} after {} was issued",
                    client.current
                ));
            }
            return refusal();
        }
        let now = client.current;
        Reply::json(
            200,
            &format!(
                r#"{{"access_token":"at-{name}-{now}","token_type":"bearer","expires_in":1,"refresh_token":"rt-{name}-{now}"}}"#
            ),
        )
    }
}

fn refusal() -> Reply {
    Reply::json(400, r#"{"error":"invalid_grant"}"#)
}

/// The counter at the end of every token here.
fn number(token: &str) -> u64 {
    token.rsplit('-').next().unwrap().parse().unwrap()
}

fn form(request: &Request) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(request.text().as_bytes())
        .into_owned()
        .collect()
}

fn names() -> Vec<String> {
    (0..INTEGRATIONS).map(|index| format!("i{index}")).collect()
}

struct Bench {
    folder: tempfile::TempDir,
    vendor: Vendor,
    book: Arc<Mutex<Book>>,
    /// The configured refresh token of each integration: a person consented so often.
    seeds: BTreeMap<String, u64>,
}

impl Bench {
    async fn start() -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        for (index, name) in names().into_iter().enumerate() {
            let grace = index % 2 == 0;
            let client = Client {
                grace,
                ..Client::default()
            };
            book.lock().unwrap().clients.insert(name, client);
        }
        let answering = Arc::clone(&book);
        let vendor =
            Vendor::start(move |request, _| answering.lock().unwrap().answer(&form(request))).await;
        Self {
            folder: tempfile::tempdir().unwrap(),
            vendor,
            book,
            seeds: names().into_iter().map(|name| (name, 0)).collect(),
        }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("state.redb")
    }

    fn config(&self) -> PathBuf {
        let path = self.folder.path().join("broker.toml");
        let mut text = format!(
            "server.listen = \"127.0.0.1:0\"\nstore = {{ kind = \"embedded\", path = \"{}\" }}\n",
            self.store().display()
        );
        for (name, seed) in &self.seeds {
            write!(
                text,
                "[integrations.{name}]\ngrant = \"refresh_token\"\ntoken_endpoint = \"{}\"\n\
                 token_endpoint_auth_method = \"none\"\nclient_id = \"{name}\"\n\
                 refresh_token = \"rt-{name}-{seed}\"\n",
                self.vendor.url()
            )
            .unwrap();
        }
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What the store holds: the number of each refresh token, and whether its use is in doubt.
    async fn saved(&self) -> BTreeMap<String, (u64, bool)> {
        let embedded = Store::Embedded {
            path: self.store(),
            encryption_key: None,
        };
        let opened = tokio::task::spawn_blocking(move || {
            store::open(&embedded, None, Arc::new(SystemClock))
        });
        let store = opened
            .await
            .unwrap()
            .expect("a killed broker leaves a good store");
        let mut saved = BTreeMap::new();
        for name in names() {
            let key = Key::Integration(name.parse().unwrap());
            let Some(entry) = store.load(&key).await.unwrap() else {
                continue;
            };
            let record = Record::decode(&entry.value).unwrap();
            if let Some(chain) = record.chain {
                let sent = number(chain.refresh_token.expose());
                saved.insert(name, (sent, chain.intent.is_some()));
            }
        }
        saved
    }

    /// A person consents again where the vendor has ended a grant.
    fn consent(&mut self) -> usize {
        let mut book = self.book.lock().unwrap();
        let mut renewed = 0;
        for (name, client) in &mut book.clients {
            if std::mem::take(&mut client.revoked) {
                client.current += 1;
                self.seeds.insert(name.clone(), client.current);
                renewed += 1;
            }
        }
        renewed
    }
}

/// The tokens that a caller gets until the broker dies, or until it is time to kill it.
fn served(process: &mut Process, until: Instant) -> BTreeSet<String> {
    let mut got = BTreeSet::new();
    while Instant::now() < until && !process.has_ended() {
        for name in names() {
            if let Some(token) = get(process.address, &name) {
                got.insert(token);
            }
        }
    }
    got
}

fn get(address: SocketAddr, name: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = format!(
        "GET /token/{name}?format=raw&wait=0&min_ttl=0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

/// What must hold after a death, given what the store held before the start.
fn check(
    before: &BTreeMap<String, (u64, bool)>,
    after: &BTreeMap<String, (u64, bool)>,
    served: &BTreeSet<String>,
    bench: &Bench,
) {
    let book = bench.book.lock().unwrap();
    assert_eq!(book.wrong, [""; 0]);
    for (name, client) in &book.clients {
        let seed = bench.seeds[name];
        let stored = before.get(name).map_or(0, |(sent, _)| *sent);
        let mut known = stored.max(seed);
        for (index, (_, sent)) in book
            .presented
            .iter()
            .filter(|(who, _)| who == name)
            .enumerate()
        {
            if index == 0 {
                assert_eq!(*sent, known, "{name} began with another than the saved one");
            } else {
                assert!(
                    *sent > known || client.revoked,
                    "{name} used {sent} after {known} in one life"
                );
            }
            known = *sent;
        }
        let (saved, doubt) = after.get(name).copied().unwrap_or((seed, false));
        assert!(saved >= stored, "{name} fell back from {stored} to {saved}");
        if !client.revoked {
            let lost = client.current - saved.max(seed);
            assert!(lost <= 1, "{name}: {lost} refresh tokens were lost");
            assert!(lost == 0 || doubt, "{name}: lost, and nobody knows");
        }
        for token in served
            .iter()
            .filter(|token| token.contains(&format!("-{name}-")))
        {
            let number = number(token);
            assert!(
                number <= saved,
                "{name}: {token} was served before it was safe"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts and kills three hundred brokers, which takes minutes; tests/run does"]
#[expect(
    clippy::print_stdout,
    reason = "the seed, for whoever repeats a failure"
)]
async fn three_hundred_kills_lose_nothing() {
    let seed = std::env::var("TOKEN_BROKER_CRASH_SEED")
        .map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
    println!("TOKEN_BROKER_CRASH_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bench = Bench::start().await;
    let (mut died, mut consents, mut tokens) = (BTreeMap::new(), 0, 0);
    let mut before = BTreeMap::new();
    for round in 0..KILLS {
        consents += bench.consent();
        bench.book.lock().unwrap().presented.clear();
        let config = bench.config();
        let point = (round % 2 == 1).then(|| *random.choice(&POINTS).unwrap());
        let armed = point.map(|point| format!("{point}:{}", random.u32(1..=12)));
        let env: Vec<_> = armed
            .iter()
            .map(|armed| ("TOKEN_BROKER_CRASH_AT", armed.as_str()))
            .collect();
        let lives = match point {
            Some(_) => PATIENCE,
            None => Duration::from_millis(random.u64(0..400)),
        };
        let mut process = Process::serve(Path::new(&config), &env);
        let got = tokio::task::block_in_place(|| served(&mut process, Instant::now() + lives));
        if process.has_ended() {
            *died.entry(point.unwrap_or("by itself")).or_insert(0) += 1;
        }
        process.kill();
        tokens += got.len();
        let after = bench.saved().await;
        check(&before, &after, &got, &bench);
        before = after;
    }
    println!("died at points: {died:?}; {consents} consents, {tokens} tokens served");
    assert!(!died.contains_key("by itself"), "a broker ended by itself");
    for point in POINTS {
        let times = died.get(point).copied().unwrap_or(0);
        assert!(times >= 20, "only {times} deaths at {point}");
    }
    assert!(tokens > 100, "the callers got hardly any token");
    last_words(&bench, &before);
}

/// A broker that lives tells each integration's state: those in doubt that the vendor then refuses
/// say that an exchange was interrupted; all others have a token.
fn last_words(bench: &Bench, before: &BTreeMap<String, (u64, bool)>) {
    let process = Process::serve(&bench.config(), &[]);
    for name in names() {
        let give_up = Instant::now() + PATIENCE;
        let (mut token, mut status) = (None, String::new());
        while token.is_none() && !status.contains("login_required") {
            assert!(Instant::now() < give_up, "{name}: {status}");
            token = get(process.address, &name);
            status = Process::output(&[
                "status",
                &name,
                "--format",
                "json",
                "--url",
                &format!("http://{}", process.address),
            ]);
        }
        if token.is_none() {
            let (_, doubt) = before[&name];
            assert!(doubt && status.contains("interrupted"), "{name}: {status}");
        }
    }
}

//! The engine as a whole: supervisor, workers and readers against scripted vendors, under tokio's
//! paused clock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Map;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Deps, Keeping, Supervisor};
use crate::base::{Clock, ErrorCode, Failure, Issued, Now, Secret, Timestamp, TokioClock};
use crate::exchange::{Ask, DeviceAuthorization, Outcome, TokenSource};
use crate::secrets::Changes;
use crate::snapshot::{Denied, Doing, MinTtl, Nudge, Reader, Rejected, State, Want};
use crate::spec::{
    Api, Endpoint, Grant, Integration, Net, RateLimit, RefreshPolicy, Reissue, SecretSource,
    StaticToken, Template, TokenRequest, Vendor, When,
};
use crate::store::Memory;
use crate::telemetry::{IntegrationCounters, Metrics};

mod demand;
mod fresh;
mod kept;
mod limited;
mod succession;
mod told;
mod trouble;

pub(super) use kept::rotating;

/// An integration at a made-up vendor.
pub(super) fn integration(name: &str, refresh: RefreshPolicy) -> Integration {
    Integration {
        id: name.parse().unwrap(),
        provider: "acme".into(),
        required: true,
        grant: Grant::ClientCredentials(Arc::new(TokenRequest {
            client_id: Some("abc".into()),
            ..TokenRequest::to("https://auth.example.com/token")
        })),
        net: Arc::new(Net::default()),
        refresh: Arc::new(refresh),
        response: Arc::default(),
        api: Arc::new(Api {
            base_url: None,
            headers: vec![(
                "Authorization".into(),
                Template::parse(Api::AUTHORIZATION).unwrap(),
            )],
            query: Vec::new(),
            hosts: Vec::new(),
        }),
        vendor: Arc::new(Vendor::default()),
    }
}

pub(super) fn failure(code: ErrorCode) -> Failure {
    Failure {
        code,
        description: "the vendor is in trouble".into(),
        hint: None,
        vendor: None,
        retry_after: None,
        at: Timestamp::from_unix_seconds(0),
    }
}

fn transient(retry_after: Option<u64>) -> Answer {
    Answer::Is(Outcome::Transient {
        retry_after: retry_after.map(Duration::from_secs),
        failure: failure(ErrorCode::TemporarilyUnavailable),
    })
}

fn refused() -> Answer {
    Answer::Is(Outcome::BadCredential(failure(
        ErrorCode::CredentialsRejected,
    )))
}

#[derive(Debug, Clone)]
enum Answer {
    /// A new token of this life.
    Token(Option<Duration>),
    Is(Outcome),
    Panic,
}

/// Seconds.
fn token(life: u64) -> Answer {
    Answer::Token(Some(Duration::from_secs(life)))
}

/// A vendor that answers from a script, then always the same.
#[derive(Debug)]
struct Script {
    clock: Arc<TokioClock>,
    latency: Duration,
    first: Mutex<VecDeque<Answer>>,
    then: Mutex<Answer>,
    asked: Mutex<Vec<Now>>,
    in_flight: AtomicUsize,
    issued: AtomicU64,
    /// Every token is the same one.
    repeats: AtomicBool,
    secrets: Changes,
}

impl Script {
    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn first(&self) -> crate::base::Mono {
        self.asked.lock().unwrap()[0].mono
    }

    /// Seconds between the exchanges.
    fn gaps(&self) -> Vec<f64> {
        let asked = self.asked.lock().unwrap();
        let gap = |pair: &[Now]| pair[1].mono.since(pair[0].mono).as_secs_f64();
        asked.windows(2).map(gap).collect()
    }

    fn becomes(&self, answer: Answer) {
        *self.then.lock().unwrap() = answer;
    }

    fn new_secret(&self) {
        self.secrets.tell();
    }
}

impl TokenSource for Script {
    fn ask<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Option<Outcome>> {
        async move {
            if !(ask.may_send)().await {
                return None;
            }
            let sent_at = self.clock.now();
            self.asked.lock().unwrap().push(sent_at);
            let others = self.in_flight.fetch_add(1, Ordering::SeqCst);
            assert_eq!(others, 0, "two exchanges in flight");
            sleep(self.latency).await;
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            let scripted = self.first.lock().unwrap().pop_front();
            let answer = scripted.unwrap_or_else(|| self.then.lock().unwrap().clone());
            Some(match answer {
                Answer::Is(outcome) => outcome,
                Answer::Panic => panic!("scripted"),
                Answer::Token(lifetime) => {
                    let mut number = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
                    if self.repeats.load(Ordering::SeqCst) {
                        number = 1;
                    }
                    Outcome::Issued(Box::new(Issued {
                        access_token: Secret::new(format!("token-{number}")),
                        token_type: "Bearer".into(),
                        scope: None,
                        members: Map::new(),
                        sent_at,
                        lifetime,
                        secret_in_use: None,
                        refresh_token: None,
                    }))
                }
            })
        }
        .boxed()
    }

    fn device_authorization(&self) -> BoxFuture<'_, Result<DeviceAuthorization, Outcome>> {
        async { panic!("no device flow") }.boxed()
    }

    fn authorization_endpoint(&self) -> BoxFuture<'_, Result<Endpoint, Outcome>> {
        async { panic!("nothing to look up") }.boxed()
    }

    fn secret_changes(&self) -> &Changes {
        &self.secrets
    }
}

/// A running engine.
struct Engine {
    clock: Arc<TokioClock>,
    supervisor: Option<Supervisor>,
    task: tokio::task::JoinSet<()>,
    stop: CancellationToken,
}

/// A vendor that answers from a script, then always the same.
fn vendor(
    clock: &Arc<TokioClock>,
    script: impl IntoIterator<Item = Answer>,
    then: Answer,
) -> Arc<Script> {
    Arc::new(Script {
        clock: Arc::clone(clock),
        latency: Duration::from_millis(50),
        first: Mutex::new(script.into_iter().collect()),
        then: Mutex::new(then),
        asked: Mutex::default(),
        in_flight: AtomicUsize::new(0),
        issued: AtomicU64::new(0),
        repeats: AtomicBool::new(false),
        secrets: Changes::default(),
    })
}

impl Engine {
    fn new() -> Self {
        let wall = Timestamp::parse_rfc3339("2026-11-22T00:00:00Z").unwrap();
        let clock = Arc::new(TokioClock::starting_at(wall));
        let deps = Deps {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            metrics: Arc::new(Metrics::default()),
            keeping: Keeping::Memory(Arc::new(Memory::new(Arc::clone(&clock) as Arc<dyn Clock>))),
        };
        Self {
            clock,
            supervisor: Some(Supervisor::new(deps)),
            task: tokio::task::JoinSet::new(),
            stop: CancellationToken::new(),
        }
    }

    fn add(
        &mut self,
        name: &str,
        refresh: RefreshPolicy,
        script: impl IntoIterator<Item = Answer>,
        then: Answer,
    ) -> (Arc<Script>, Reader) {
        self.add_spec(integration(name, refresh), script, then)
    }

    fn add_spec(
        &mut self,
        spec: Integration,
        script: impl IntoIterator<Item = Answer>,
        then: Answer,
    ) -> (Arc<Script>, Reader) {
        let vendor = vendor(&self.clock, script, then);
        let source = Arc::clone(&vendor) as Arc<dyn TokenSource>;
        let spec = Arc::new(spec);
        let reader = self.supervisor.as_mut().unwrap().add(
            spec,
            source,
            Arc::new(IntegrationCounters::default()),
        );
        (vendor, reader)
    }

    fn start(&mut self) {
        let supervisor = self.supervisor.take().unwrap();
        self.task.spawn(supervisor.run(self.stop.clone()));
    }

    async fn stopped(&mut self) {
        self.stop.cancel();
        self.task.join_next().await.unwrap().unwrap();
    }

    /// The usual one: a single integration, running.
    fn with(
        refresh: RefreshPolicy,
        script: impl IntoIterator<Item = Answer>,
        then: Answer,
    ) -> (Self, Arc<Script>, Reader) {
        let mut engine = Self::new();
        let (vendor, reader) = engine.add("acme", refresh, script, then);
        engine.start();
        (engine, vendor, reader)
    }

    fn is_served(&self, reader: &Reader) -> bool {
        let now = self.clock.now();
        reader.good(now, MinTtl::Asked(Duration::ZERO)).is_some()
    }
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

fn want(wait: u64) -> Want {
    Want {
        min_ttl: MinTtl::Default(Duration::from_secs(5)),
        wait: Duration::from_secs(wait),
    }
}

/// Without jitter, so that moments can be named.
fn policy() -> RefreshPolicy {
    RefreshPolicy {
        jitter: 0.0,
        ..RefreshPolicy::default()
    }
}

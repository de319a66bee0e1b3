//! What outlives an exchange, a failing store and the process: scripted vendors whose refresh
//! tokens work once, stores that fail, brokers that are killed.

use super::*;
use crate::base::RefreshToken;
use crate::exchange::Present;
use crate::refresh::quota::Quota;
use crate::refresh::supervisor::keep_running;
use crate::refresh::worker::{self, Parts};
use crate::spec::{FirstRefreshToken, Refreshing, Rotation};
use crate::store::{Entry, Faulty, Key, Lease, Listed, Record, StateStore, StoreError, Version};

mod chains;
mod counts;
mod logins;
mod restarts;
mod stores;

/// What the vendor does with the next request that presents its refresh token.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// A token of this life, with a new refresh token.
    Rotate(u64),
    /// The same, and the refresh token stays.
    Keep(u64),
    /// A new refresh token, in an answer that never arrives.
    Lost,
    /// A new refresh token, in an answer that is of no other use.
    Garbage,
    Panic,
    Is(Outcome),
}

/// A vendor whose refresh token works once; only the latest does.
#[derive(Debug)]
pub(super) struct Strict {
    clock: Arc<TokioClock>,
    latency: Duration,
    first: Mutex<VecDeque<Reply>>,
    then: Mutex<Reply>,
    /// Every refresh token presented, and when.
    asked: Mutex<Vec<(Now, String)>>,
    current: Mutex<String>,
    lifetime: Mutex<Option<Duration>>,
    issued: AtomicU64,
    configured: Mutex<Option<Secret>>,
    secrets: Changes,
}

impl Strict {
    fn new(clock: &Arc<TokioClock>, then: Reply) -> Arc<Self> {
        Arc::new(Self {
            clock: Arc::clone(clock),
            latency: Duration::from_millis(50),
            first: Mutex::default(),
            then: Mutex::new(then),
            asked: Mutex::default(),
            current: Mutex::new("refresh-0".to_owned()),
            lifetime: Mutex::default(),
            issued: AtomicU64::new(0),
            configured: Mutex::new(Some(Secret::new("refresh-0"))),
            secrets: Changes::default(),
        })
    }

    fn next(&self, reply: Reply) {
        self.first.lock().unwrap().push_back(reply);
    }

    fn becomes(&self, reply: Reply) {
        *self.then.lock().unwrap() = reply;
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn presented(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(_, token)| token.clone()).collect()
    }

    fn gaps(&self) -> Vec<f64> {
        let asked = self.asked.lock().unwrap();
        let gap = |pair: &[(Now, String)]| pair[1].0.mono.since(pair[0].0.mono).as_secs_f64();
        asked.windows(2).map(gap).collect()
    }

    fn configure(&self, token: &str) {
        *self.configured.lock().unwrap() = Some(Secret::new(token));
        self.secrets.tell();
    }

    fn rotate(&self) -> RefreshToken {
        let number = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
        let token = format!("refresh-{number}");
        (*self.current.lock().unwrap()).clone_from(&token);
        RefreshToken {
            token: Secret::new(token),
            lifetime: *self.lifetime.lock().unwrap(),
        }
    }

    fn token(&self, sent_at: Now, life: u64, refresh_token: Option<RefreshToken>) -> Outcome {
        Outcome::Issued(Box::new(Issued {
            access_token: Secret::new(format!("token-{}", self.asked())),
            token_type: "Bearer".into(),
            scope: None,
            members: Map::new(),
            sent_at,
            lifetime: Some(Duration::from_secs(life)),
            secret_in_use: None,
            refresh_token,
        }))
    }
}

fn ambiguous(refresh_token: Option<RefreshToken>) -> Outcome {
    Outcome::Ambiguous {
        retry_after: None,
        failure: failure(ErrorCode::TemporarilyUnavailable),
        refresh_token,
    }
}

fn dead() -> Outcome {
    Outcome::DeadGrant(failure(ErrorCode::LoginRequired))
}

impl TokenSource for Strict {
    fn ask<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Option<Outcome>> {
        async move {
            if !(ask.may_send)().await {
                return None;
            }
            let sent_at = self.clock.now();
            let presented = match &ask.present {
                Present::RefreshToken(token) => Some(token.expose().to_owned()),
                Present::Nothing | Present::Code { .. } | Present::DeviceCode(_) => None,
            };
            let known = presented.clone().unwrap_or_default();
            self.asked.lock().unwrap().push((sent_at, known.clone()));
            let reply = self.first.lock().unwrap().pop_front();
            let reply = reply.unwrap_or_else(|| self.then.lock().unwrap().clone());
            // Decided when the request arrives, told when the answer does.
            let earns = presented.is_some() || matches!(ask.present, Present::Code { .. });
            let spent = presented.is_some() && known != *self.current.lock().unwrap();
            let outcome = match reply {
                Reply::Is(outcome) => outcome,
                Reply::Panic => panic!("scripted"),
                _ if spent => dead(),
                Reply::Rotate(life) if earns => {
                    let refresh_token = self.rotate();
                    self.token(sent_at, life, Some(refresh_token))
                }
                Reply::Rotate(life) | Reply::Keep(life) => self.token(sent_at, life, None),
                Reply::Lost => {
                    self.rotate();
                    ambiguous(None)
                }
                Reply::Garbage => ambiguous(Some(self.rotate())),
            };
            sleep(self.latency).await;
            Some(outcome)
        }
        .boxed()
    }

    fn device_authorization(&self) -> BoxFuture<'_, Result<DeviceAuthorization, Outcome>> {
        let failure = Failure {
            at: self.clock.now().wall,
            ..failure(ErrorCode::RateLimited)
        };
        let retry_after = Some(Duration::from_secs(60));
        async move {
            Err(Outcome::Transient {
                retry_after,
                failure,
            })
        }
        .boxed()
    }

    fn authorization_endpoint(&self) -> BoxFuture<'_, Result<Endpoint, Outcome>> {
        async { panic!("nothing to look up") }.boxed()
    }

    fn configured_refresh_token(&self) -> BoxFuture<'_, Result<Option<Secret>, Outcome>> {
        let configured = self.configured.lock().unwrap().clone();
        let missing = Outcome::SecretUnavailable(failure(ErrorCode::SecretUnavailable));
        async move { configured.map(Some).ok_or(missing) }.boxed()
    }

    fn secret_changes(&self) -> &Changes {
        &self.secrets
    }
}

/// The grant `refresh_token` with a refresh token that works once.
pub(in crate::refresh) fn rotating() -> Integration {
    let mut spec = integration("acme", policy());
    let Grant::ClientCredentials(request) = spec.grant else {
        panic!("another grant")
    };
    spec.grant = Grant::RefreshToken(
        request,
        Arc::new(Refreshing {
            first: FirstRefreshToken::Configured(SecretSource::Value(Secret::new("refresh-0"))),
            refresh_endpoint: None,
            rotation: Rotation::Maybe,
            lifetime: None,
            idle_lifetime: None,
        }),
    );
    spec
}

fn refreshing(spec: &mut Integration) -> &mut Refreshing {
    let Grant::RefreshToken(_, refreshing) = &mut spec.grant else {
        panic!("another grant")
    };
    Arc::make_mut(refreshing)
}

fn request(spec: &mut Integration) -> &mut TokenRequest {
    let (Grant::RefreshToken(request, _) | Grant::ClientCredentials(request)) = &mut spec.grant
    else {
        panic!("another grant")
    };
    Arc::make_mut(request)
}

/// A store whose saves wait once a few were let through.
#[derive(Debug)]
pub(super) struct Gated {
    inner: Arc<dyn StateStore>,
    open: tokio::sync::Semaphore,
}

impl StateStore for Gated {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Entry>, StoreError>> {
        self.inner.load(key)
    }

    fn save<'a>(
        &'a self,
        key: &'a Key,
        value: Secret,
        expected: Version,
    ) -> BoxFuture<'a, Result<Version, StoreError>> {
        Box::pin(async move {
            self.open.acquire().await.unwrap().forget();
            self.inner.save(key, value, expected).await
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        self.inner.list()
    }

    fn forget<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.inner.forget(key)
    }

    fn lease<'a>(
        &'a self,
        key: &'a Key,
        holder: &'a str,
        lasts: Duration,
    ) -> BoxFuture<'a, Result<Lease, StoreError>> {
        self.inner.lease(key, holder, lasts)
    }
}

/// A machine with a disk, on which brokers run and die.
struct Host {
    clock: Arc<TokioClock>,
    disk: Arc<Faulty>,
    /// What workers see of the disk.
    store: Arc<dyn StateStore>,
    vendor: Arc<Strict>,
    running: tokio::task::JoinSet<Box<worker::Worker>>,
    stop: CancellationToken,
}

impl Host {
    fn new(then: Reply) -> Self {
        let wall = Timestamp::parse_rfc3339("2026-11-22T00:00:00Z").unwrap();
        let clock = Arc::new(TokioClock::starting_at(wall));
        let memory = Memory::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let disk = Faulty::new(Arc::new(memory));
        Self {
            vendor: Strict::new(&clock, then),
            store: Arc::clone(&disk) as Arc<dyn StateStore>,
            disk,
            clock,
            running: tokio::task::JoinSet::new(),
            stop: CancellationToken::new(),
        }
    }

    fn parts(&self, spec: Integration) -> Parts {
        let persist = Keeping::Durable(Arc::clone(&self.store)).of(&spec);
        Parts {
            source: Arc::clone(&self.vendor) as Arc<dyn TokenSource>,
            counters: Arc::new(IntegrationCounters::default()),
            quota: spec
                .refresh
                .rate_limit
                .map(|limit| self.quota(&spec, limit)),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            metrics: Arc::new(Metrics::default()),
            persist: persist.map(Box::new),
            spec: Arc::new(spec),
        }
    }

    fn quota(&self, spec: &Integration, limit: RateLimit) -> Arc<Quota> {
        let (authority, client) = spec.quota_key().unwrap();
        let keeping = Keeping::Durable(Arc::clone(&self.store));
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let quota = Quota::new(Key::quota(&authority, &client), &keeping, clock);
        quota.announce(limit);
        Arc::new(quota)
    }

    fn start(&mut self, spec: Integration) -> Reader {
        let (worker, reader) = worker::build(self.parts(spec));
        self.stop = CancellationToken::new();
        self.running
            .spawn(keep_running(Box::new(worker), self.stop.clone()));
        reader
    }

    /// A definition that changes while the broker runs, or what it is given instead.
    async fn changed(&mut self, spec: Integration) {
        let retired = self.stopped().await.retire();
        let worker = worker::succeed(self.parts(spec), retired);
        self.stop = CancellationToken::new();
        self.running
            .spawn(keep_running(Box::new(worker), self.stop.clone()));
    }

    /// `kill -9`.
    async fn kill(&mut self) {
        self.running.shutdown().await;
    }

    /// SIGTERM, or the reload of a changed definition: the worker with all it knows.
    async fn stopped(&mut self) -> Box<worker::Worker> {
        self.stop.cancel();
        self.running.join_next().await.unwrap().unwrap()
    }

    fn is_served(&self, reader: &Reader) -> bool {
        let now = self.clock.now();
        reader.good(now, MinTtl::Asked(Duration::ZERO)).is_some()
    }

    fn state(&self, reader: &Reader) -> State {
        reader.get().state(self.clock.now())
    }

    async fn record(&self) -> Record {
        let key = Key::from(rotating().id);
        let entry = self.disk.load(&key).await.unwrap().unwrap();
        Record::decode(&entry.value).unwrap()
    }

    async fn stored(&self) -> String {
        let chain = self.record().await.chain.unwrap();
        chain.refresh_token.expose().to_owned()
    }
}

fn hint(reader: &Reader) -> String {
    let failure = reader.get().failure.clone().unwrap();
    format!(
        "{}; {}",
        failure.description,
        failure.hint.clone().unwrap_or_default()
    )
}

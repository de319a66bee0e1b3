//! The async shell around one integration's state machine: timers, nudges, changed secrets, logins,
//! one exchange, load or save at a time.
//!
//! Owns the board. Must not decide anything: the machine does. Invariants: this is the only caller
//! of its `TokenSource`, one call at a time; an exchange in flight is never cancelled, and what it
//! brought is saved before the worker ends.

mod persist;

pub use persist::Keeping;
pub(super) use persist::Persist;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::api;
use super::consent::Consents;
use super::machine::{At, Configured, Ended, Event, Loaded, Machine, Next, Room};
use super::quota::Quota;
use super::report::{self, Report};
use crate::base::{Clock, ErrorCode, Failure, Mono, Now};
use crate::exchange::{Ask, Outcome, TokenSource};
use crate::snapshot::{Board, Call, Held, Reader, Snapshot, board};
use crate::spec::{Change, Integration};
use crate::telemetry::{IntegrationCounters, Metrics, RefreshLabel};

#[derive(Debug)]
pub(super) struct Worker {
    spec: Arc<Integration>,
    source: Arc<dyn TokenSource>,
    counters: Arc<IntegrationCounters>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    quota: Option<Arc<Quota>>,
    /// It has a hold that is not saved.
    owes_hold: bool,
    board: Board,
    machine: Machine,
    report: Report,
    /// Panics since the last success.
    panics: u32,
    /// The machine has been told that it may begin, or goes on for one that was.
    begun: bool,
    persist: Option<Box<Persist>>,
    consents: Consents,
    /// The configured refresh token may have changed.
    reread: bool,
    /// Exchanges that were told of.
    told: u64,
}

/// What a retired worker leaves to the one that takes its place.
#[derive(Debug)]
pub(super) struct Carried {
    spec: Arc<Integration>,
    /// Readers stay with it.
    board: Board,
    machine: Machine,
    report: Report,
    persist: Option<Box<Persist>>,
    consents: Consents,
}

/// What a worker is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) spec: Arc<Integration>,
    pub(super) source: Arc<dyn TokenSource>,
    pub(super) counters: Arc<IntegrationCounters>,
    pub(super) quota: Option<Arc<Quota>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    /// `None`: nothing outlives the worker.
    pub(super) persist: Option<Box<Persist>>,
}

/// What woke a worker.
enum Woken {
    Stop,
    Timer,
    Call(Call),
    Secrets,
}

/// The worker and its reader; nothing runs yet.
pub(super) fn build(parts: Parts) -> (Worker, Reader) {
    let only_at_expiry = Machine::asks_only_at_expiry(&parts.spec);
    let (board, reader) = board(
        Snapshot::default(),
        only_at_expiry,
        parts.spec.grant.takes_logins(),
    );
    let machine = Machine::new(Arc::clone(&parts.spec), parts.persist.is_some());
    (assemble(parts, board, machine, Report::default()), reader)
}

/// The worker of a definition that takes the place of another one; readers stay, and see at once
/// what is left of what they saw.
pub(super) fn succeed(mut parts: Parts, carried: Carried) -> Worker {
    let Carried {
        spec: before,
        mut board,
        machine,
        report,
        persist,
        consents,
    } = carried;
    if let (Some(persist), Some(before)) = (&mut parts.persist, persist) {
        persist.go_on_from(&before);
    }
    let change = parts.spec.change_from(&before);
    let at = moment(&*parts.clock, parts.quota.as_deref(), &parts.spec);
    let mut rendered = None;
    let mut warnings = Vec::new();
    if parts.spec.api != before.api
        && let Some((held, secret_in_use)) = machine.held()
    {
        let issued = held.to_issued(secret_in_use);
        let (api, left_out) = api::render(&parts.spec.api, &parts.spec.grant, &issued);
        rendered = Some(Arc::new(Held::new(issued, api)));
        warnings = left_out;
    }
    let keeps = parts.persist.is_some();
    let machine = machine.succeeded_by(Arc::clone(&parts.spec), keeps, change, rendered, at);
    board.set_asks_only_at_expiry(Machine::asks_only_at_expiry(&parts.spec));
    board.set_takes_logins(parts.spec.grant.takes_logins());
    let snapshot = machine.snapshot(at.now);
    let told = snapshot.finished;
    board.publish(snapshot);
    let anew = change == Change::Request;
    let report = if anew { Report::default() } else { report };
    let mut worker = assemble(parts, board, machine, report);
    worker.begun = !anew;
    if !anew {
        // Whoever is out to log in comes back to the same request.
        worker.consents = consents;
    }
    worker.told = told;
    worker.reread = change == Change::Secrets && worker.machine.reads_configured();
    if !warnings.is_empty() {
        worker.report.left_out(&worker.spec, warnings);
    }
    worker
}

fn moment(clock: &dyn Clock, quota: Option<&Quota>, spec: &Integration) -> At {
    let now = clock.now();
    let limit = spec.refresh.rate_limit;
    At {
        now,
        hold: quota.map_or(Mono::START, Quota::hold),
        room: quota.map_or(Room::FREE, |quota| quota.room(limit, now.mono)),
        draw: fastrand::f64(),
    }
}

fn assemble(parts: Parts, board: Board, machine: Machine, report: Report) -> Worker {
    let Parts {
        spec,
        source,
        counters,
        quota,
        clock,
        metrics,
        persist,
    } = parts;
    Worker {
        machine,
        report,
        panics: 0,
        begun: false,
        spec,
        source,
        counters,
        clock,
        metrics,
        quota,
        owes_hold: false,
        board,
        persist,
        consents: Consents::default(),
        reread: false,
        told: 0,
    }
}

impl Worker {
    /// Runs until `stop`, then saves what is unsaved; call again after a panic, with [`Worker::panicked`] in between.
    pub(super) async fn run(&mut self, stop: &CancellationToken) {
        if let Some(quota) = &self.quota {
            Box::pin(quota.load()).await;
        }
        let mut next = if std::mem::replace(&mut self.begun, true) {
            Next::Sleep(Duration::ZERO)
        } else {
            self.step(Event::Started)
        };
        loop {
            let stopped = stop.is_cancelled();
            let event = match next {
                // Nothing has been sent.
                _ if stopped && self.machine.is_about_to_ask() => break,
                // Boxed: seldom, and thousands of workers sleep.
                Next::Load => Box::pin(self.load()).await,
                Next::Save => Event::Saved(Box::pin(self.save()).await),
                Next::Configured => Event::Configured(Box::pin(self.configured()).await),
                Next::Fetch => match Box::pin(self.exchange(stop)).await {
                    Some(event) => event,
                    None if stop.is_cancelled() => break,
                    None => Event::HeldBack,
                },
                Next::Sleep(_) | Next::Listen | Next::Await if self.owes_hold => {
                    self.owes_hold = false;
                    if let Some(quota) = &self.quota {
                        Box::pin(quota.save()).await;
                    }
                    continue;
                }
                Next::Sleep(_) | Next::Listen | Next::Await if self.reread && !stopped => {
                    self.reread = false;
                    Event::Configured(Box::pin(self.configured()).await)
                }
                // A flood of nudges must not keep what is due from being done.
                Next::Sleep(Duration::ZERO) if !stopped => Event::Timer {
                    used: self.board.take_used(),
                },
                Next::Sleep(_) | Next::Listen | Next::Await => {
                    // Only this loop runs errands, so none can be under way here.
                    match self.woken(next.sleep(), stop).await {
                        Some(event) => event,
                        None => break,
                    }
                }
            };
            next = self.step(event);
        }
        Box::pin(self.wind_up()).await;
    }

    /// What is unsaved is tried once more.
    pub(super) async fn wind_up(&mut self) {
        let at = self.at();
        self.machine.settle(at);
        if self.machine.begin_last_save() {
            let result = self.save().await;
            let _next = self.step(Event::Saved(result));
            self.machine.settle(at);
        }
    }

    /// Ends it between two actions, for another one to take its place.
    pub(super) fn retire(self) -> Carried {
        let Self {
            spec,
            board,
            machine,
            report,
            source: _,
            counters: _,
            clock: _,
            metrics: _,
            quota: _,
            owes_hold: _,
            panics: _,
            begun: _,
            persist,
            consents,
            reread: _,
            told: _,
        } = self;
        Carried {
            spec,
            board,
            machine,
            report,
            persist,
            consents,
        }
    }

    /// Whether a refresh token would be lost with it.
    pub(super) fn holds_only_copy(&self) -> bool {
        self.machine.holds_only_copy()
    }

    /// Goes on saving what nobody else has, and does nothing else, until that is done or `stop`.
    pub(super) async fn linger(&mut self, stop: &CancellationToken) {
        report::lingers(&self.spec, self.machine.store_error());
        while self.holds_only_copy() && !stop.is_cancelled() {
            let again = self.machine.saves_again().unwrap_or(Mono::START);
            // Never at once: a save that is not due again would else be tried without a pause.
            let wait = again.since(self.clock.now().mono).max(LEAST_RESTART);
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
            Box::pin(self.wind_up()).await;
        }
    }

    /// `None`: stop.
    async fn woken(&mut self, wait: Option<Duration>, stop: &CancellationToken) -> Option<Event> {
        let woken = {
            let (board, secrets) = (&mut self.board, self.source.secret_changes());
            let timer = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => Woken::Stop,
                () = secrets.changed() => Woken::Secrets,
                call = board.called() => Woken::Call(call),
                () = timer => Woken::Timer,
            }
        };
        Some(match woken {
            Woken::Stop => return None,
            Woken::Secrets => {
                self.reread = self.machine.reads_configured();
                Event::SecretChanged
            }
            Woken::Call(Call::Nudges(nudges)) => Event::Nudged(nudges),
            Woken::Call(Call::Login(wish)) => {
                let taken = {
                    let now = self.clock.now();
                    self.consents
                        .take(wish, &self.spec, &*self.source, self.quota.as_deref(), now)
                };
                let taken = Box::pin(taken).await;
                match taken {
                    Some(login) => Event::Login(login),
                    // A flood of them must not put off what is due, either: look at the time.
                    None => Event::Timer {
                        used: self.board.take_used(),
                    },
                }
            }
            Woken::Timer => Event::Timer {
                used: self.board.take_used(),
            },
        })
    }

    fn at(&self) -> At {
        moment(&*self.clock, self.quota.as_deref(), &self.spec)
    }

    async fn load(&mut self) -> Event {
        let now = self.clock.now();
        let Some(persist) = &mut self.persist else {
            return Event::Loaded(Loaded::Nothing);
        };
        let (loaded, warnings) = persist.load(&self.spec, now).await;
        self.report.left_out(&self.spec, warnings);
        Event::Loaded(loaded)
    }

    async fn save(&mut self) -> Result<(), String> {
        let record = self.machine.record(self.clock.now());
        match &mut self.persist {
            Some(persist) => persist.save(&record).await,
            None => Ok(()),
        }
    }

    async fn configured(&self) -> Configured {
        let read = self.source.configured_refresh_token();
        let failure = match tokio::time::timeout(self.spec.refresh.timeout, read).await {
            Ok(Ok(token)) => return Ok(token),
            Ok(Err(outcome)) => outcome.failure().cloned(),
            Err(_elapsed) => None,
        };
        let now = self.clock.now();
        Err(failure.unwrap_or_else(|| report::silent_secret(&self.spec, now)))
    }

    /// Steps the machine and publishes what it says.
    fn step(&mut self, event: Event) -> Next {
        let at = self.at();
        self.report.ending_secrets(&self.spec, at.now);
        let opened = matches!(event, Event::Loaded(_) | Event::Configured(_));
        let panicked = matches!(event, Event::Panicked { .. });
        let actions = self.machine.step(event, at);
        if let (Some(until), Some(quota)) = (actions.hold, &self.quota) {
            quota.prolong(until);
            self.owes_hold = true;
        }
        let end = self.machine.refresh_token_end();
        self.report.ending_refresh_token(&self.spec, end, at.now);
        self.report.store(&self.spec, self.machine.store_error());
        if let Some(snapshot) = actions.publish {
            let ended = snapshot.finished > self.told;
            self.told = snapshot.finished;
            if panicked {
                // Told already.
            } else if ended || (opened && snapshot.is_refused()) {
                self.tell(&snapshot, at.now);
            } else if opened {
                self.report.restored(&self.spec, &snapshot);
            } else {
                self.tell_of_a_limit(&snapshot, at.now);
            }
            self.board.publish(snapshot);
            if self.consents.is_awaited() {
                self.consents.answer(&self.board.latest());
            }
        }
        actions.next
    }

    /// Nothing was sent and nothing failed, but somebody may have to wait for long.
    fn tell_of_a_limit(&mut self, snapshot: &Snapshot, now: Now) {
        let Some(failure) = &snapshot.failure else {
            return;
        };
        let before = self.board.latest();
        let known = before.failure.as_ref();
        if failure.code == ErrorCode::RateLimited
            && known.is_none_or(|known| known.code != ErrorCode::RateLimited)
        {
            self.report.failed(&self.spec, failure, snapshot, now);
        }
    }

    fn tell(&mut self, snapshot: &Snapshot, now: Now) {
        if let Some(failure) = &snapshot.failure {
            self.report.failed(&self.spec, failure, snapshot, now);
        } else {
            self.panics = 0;
            self.report.issued(&self.spec, snapshot);
        }
    }

    /// `None`: nothing more was sent, because of the stop, a wait that the vendor imposed meanwhile, or
    /// its limit.
    async fn exchange(&mut self, stop: &CancellationToken) -> Option<Event> {
        let begun = self.clock.now();
        let (quota, limit) = (self.quota.as_ref(), self.spec.refresh.rate_limit);
        let flight = Mutex::new(None);
        let flies = || flight.lock().unwrap_or_else(PoisonError::into_inner);
        let may_send = || -> BoxFuture<'_, bool> {
            Box::pin(async {
                // The one before, of the same exchange, has ended.
                drop(flies().take());
                let Some(quota) = quota.filter(|_| !stop.is_cancelled()) else {
                    return !stop.is_cancelled();
                };
                let begun = quota.begin(limit).await;
                let may = begun.is_some();
                *flies() = begun;
                may
            })
        };
        let ask = Ask {
            present: self.machine.present(),
            held: self.machine.held().map(|(held, _)| held.token().clone()),
            may_send: &may_send,
            trace: None,
        };
        let outcome = self.source.ask(ask).await;
        drop(flies().take());
        let outcome = outcome?;
        let now = self.clock.now();
        let (ended, label) = self.ended(outcome, now);
        self.counters.refresh(label);
        let took = now.mono.since(begun.mono);
        self.metrics.refreshed(&self.spec.provider, label, took);
        // Nudges that came meanwhile asked for what has just happened; whoever still waits looks
        // again at the publication.
        let _answered = self.board.nudged().now_or_never();
        let _answered = self.board.take_used();
        let secret_moved = self.source.secret_changes().take();
        self.reread |= secret_moved && self.machine.reads_configured();
        Some(Event::Finished {
            ended,
            secret_moved,
        })
    }

    fn ended(&mut self, outcome: Outcome, now: Now) -> (Ended, RefreshLabel) {
        match outcome {
            Outcome::Issued(mut issued) => {
                let refresh_token = issued.refresh_token.take();
                let (api, warnings) = api::render(&self.spec.api, &self.spec.grant, &issued);
                let secret_in_use = issued.secret_in_use;
                let held = Arc::new(Held::new(*issued, api));
                if held.is_expired(now) {
                    let ended = Ended::Transient {
                        retry_after: None,
                        failure: report::dead_on_arrival(&self.spec, now),
                        refresh_token,
                    };
                    return (ended, RefreshLabel::Transient);
                }
                self.report.left_out(&self.spec, warnings);
                let ended = Ended::Issued {
                    held,
                    secret_in_use,
                    refresh_token,
                };
                (ended, RefreshLabel::Issued)
            }
            Outcome::Transient {
                retry_after,
                failure,
            } => {
                let ended = Ended::Transient {
                    retry_after,
                    failure,
                    refresh_token: None,
                };
                (ended, RefreshLabel::Transient)
            }
            Outcome::Ambiguous {
                retry_after,
                failure,
                refresh_token,
            } => {
                let ended = Ended::Ambiguous {
                    retry_after,
                    failure,
                    refresh_token,
                };
                (ended, RefreshLabel::Transient)
            }
            Outcome::BadCredential(f) => (Ended::Refused(f), RefreshLabel::BadCredential),
            Outcome::BadRequest(f) => (Ended::Refused(f), RefreshLabel::BadRequest),
            Outcome::AuthorizationPending { slower } => {
                (Ended::Pending { slower }, RefreshLabel::Transient)
            }
            Outcome::DeadGrant(f) => (Ended::DeadGrant(f), RefreshLabel::DeadGrant),
            Outcome::Expired(f) => (Ended::Refused(f), RefreshLabel::Expired),
            Outcome::SecretUnavailable(f) => {
                (Ended::SecretUnavailable(f), RefreshLabel::SecretUnavailable)
            }
        }
    }

    /// Publishes that the worker failed; the time after which it may run again.
    pub(super) fn panicked(&mut self) -> Duration {
        self.panics = self.panics.saturating_add(1);
        let size = LEAST_RESTART.saturating_mul(1 << (self.panics - 1).min(10));
        let wait = size.min(LONGEST_RESTART);
        self.counters.refresh(RefreshLabel::Panicked);
        report::panicked(&self.spec, wait);
        let failure: Failure = report::internal_error(&self.spec, self.clock.now());
        let _next = self.step(Event::Panicked { failure, wait });
        wait
    }
}

const LEAST_RESTART: Duration = Duration::from_secs(1);
const LONGEST_RESTART: Duration = Duration::from_mins(1);

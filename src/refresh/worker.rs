//! The async shell around one integration's state machine: timers, nudges, changed secrets, one
//! exchange at a time.
//!
//! Owns the board. Must not decide anything: the machine does. Invariants: this is the only caller
//! of its `TokenSource`, one call at a time; an exchange in flight is never cancelled.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::api;
use super::hold::Hold;
use super::machine::{At, Ended, Event, Machine, Next};
use super::report::{self, Report};
use crate::base::{Clock, Failure, Mono, Now};
use crate::exchange::{Ask, Outcome, TokenSource};
use crate::snapshot::{Board, Held, Reader, Snapshot, board};
use crate::spec::{Change, Integration};
use crate::telemetry::{IntegrationCounters, Metrics, RefreshLabel};

#[derive(Debug)]
pub(super) struct Worker {
    spec: Arc<Integration>,
    source: Arc<dyn TokenSource>,
    counters: Arc<IntegrationCounters>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    hold: Option<Arc<Hold>>,
    board: Board,
    machine: Machine,
    /// `None` once the source cannot change any more.
    secrets: Option<watch::Receiver<u64>>,
    report: Report,
    /// Panics since the last success.
    panics: u32,
    /// The machine has been told that it may begin, or goes on for one that was.
    begun: bool,
}

/// What a retired worker leaves to the one that takes its place.
#[derive(Debug)]
pub(super) struct Carried {
    spec: Arc<Integration>,
    /// Readers stay with it.
    board: Board,
    machine: Machine,
    report: Report,
}

/// What a worker is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) spec: Arc<Integration>,
    pub(super) source: Arc<dyn TokenSource>,
    pub(super) counters: Arc<IntegrationCounters>,
    pub(super) hold: Option<Arc<Hold>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
}

/// What woke a worker.
enum Woken {
    Stop,
    Event(Event),
    SecretsGone,
}

/// The worker and its reader; nothing runs yet.
pub(super) fn build(parts: Parts) -> (Worker, Reader) {
    let only_at_expiry = Machine::asks_only_at_expiry(&parts.spec);
    let (board, reader) = board(
        Snapshot::default(),
        only_at_expiry,
        parts.spec.grant.takes_logins(),
    );
    let machine = Machine::new(Arc::clone(&parts.spec));
    (assemble(parts, board, machine, Report::default()), reader)
}

/// The worker of a definition that takes the place of another one; readers stay, and see at once
/// what is left of what they saw.
pub(super) fn succeed(parts: Parts, carried: Carried) -> Worker {
    let Carried {
        spec: before,
        board,
        machine,
        report,
    } = carried;
    let change = parts.spec.change_from(&before);
    let at = At {
        now: parts.clock.now(),
        hold: parts.hold.as_ref().map_or(Mono::START, |hold| hold.until()),
        draw: fastrand::f64(),
    };
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
    let machine = machine.succeeded_by(Arc::clone(&parts.spec), change, rendered, at);
    board.set_asks_only_at_expiry(Machine::asks_only_at_expiry(&parts.spec));
    board.publish(machine.snapshot(at.now));
    let anew = change == Change::Request;
    let report = if anew { Report::default() } else { report };
    let mut worker = assemble(parts, board, machine, report);
    worker.begun = !anew;
    if !warnings.is_empty() {
        worker.report.left_out(&worker.spec, warnings);
    }
    worker
}

fn assemble(parts: Parts, board: Board, machine: Machine, report: Report) -> Worker {
    let Parts {
        spec,
        source,
        counters,
        hold,
        clock,
        metrics,
    } = parts;
    Worker {
        machine,
        secrets: Some(source.secret_changes()),
        report,
        panics: 0,
        begun: false,
        spec,
        source,
        counters,
        clock,
        metrics,
        hold,
        board,
    }
}

impl Worker {
    /// Runs until `stop`; call again after a panic, with [`Worker::panicked`] in between.
    pub(super) async fn run(&mut self, stop: &CancellationToken) {
        let mut next = if std::mem::replace(&mut self.begun, true) {
            Next::Sleep(Duration::ZERO)
        } else {
            self.step(Event::Started)
        };
        loop {
            let event = match next {
                Next::Fetch if stop.is_cancelled() => return,
                Next::Fetch => match self.exchange(stop).await {
                    Some(event) => event,
                    None if stop.is_cancelled() => return,
                    None => Event::HeldBack,
                },
                // A flood of nudges must not keep what is due from being done.
                Next::Sleep(Duration::ZERO) if !stop.is_cancelled() => Event::Timer {
                    used: self.board.take_used(),
                },
                Next::Sleep(_) | Next::Listen | Next::Await => {
                    // Only this loop exchanges, so no exchange can be in flight here.
                    match self.woken(next.sleep(), stop).await {
                        Some(event) => event,
                        None => return,
                    }
                }
            };
            next = self.step(event);
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
            hold: _,
            secrets: _,
            panics: _,
            begun: _,
        } = self;
        Carried {
            spec,
            board,
            machine,
            report,
        }
    }

    /// `None`: stop.
    async fn woken(&mut self, wait: Option<Duration>, stop: &CancellationToken) -> Option<Event> {
        loop {
            let woken = {
                let (board, secrets) = (&self.board, self.secrets.as_mut());
                let timer = async {
                    match wait {
                        Some(wait) => tokio::time::sleep(wait).await,
                        None => std::future::pending().await,
                    }
                };
                let moved = async {
                    match secrets {
                        Some(secrets) => secrets.changed().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    () = stop.cancelled() => Woken::Stop,
                    moved = moved => match moved {
                        Ok(()) => Woken::Event(Event::SecretChanged),
                        Err(_) => Woken::SecretsGone,
                    },
                    nudges = board.nudged() => Woken::Event(Event::Nudged(nudges)),
                    () = timer => Woken::Event(Event::Timer { used: board.take_used() }),
                }
            };
            match woken {
                Woken::Stop => return None,
                Woken::Event(event) => return Some(event),
                Woken::SecretsGone => self.secrets = None,
            }
        }
    }

    /// Steps the machine and publishes what it says.
    fn step(&mut self, event: Event) -> Next {
        let at = At {
            now: self.clock.now(),
            hold: self.hold.as_ref().map_or(Mono::START, |hold| hold.until()),
            draw: fastrand::f64(),
        };
        self.report.ending_secrets(&self.spec, at.now);
        let finished = matches!(event, Event::Finished { .. });
        let actions = self.machine.step(event, at);
        if let (Some(until), Some(hold)) = (actions.hold, &self.hold) {
            hold.prolong(until);
        }
        if let Some(snapshot) = actions.publish {
            if finished {
                self.tell(&snapshot, at.now);
            }
            self.board.publish(snapshot);
        }
        actions.next
    }

    fn tell(&mut self, snapshot: &Snapshot, now: Now) {
        if let Some(failure) = &snapshot.failure {
            self.report.failed(&self.spec, failure, snapshot, now);
        } else {
            self.panics = 0;
            self.report.issued(&self.spec, snapshot);
        }
    }

    /// `None`: nothing was sent, because of the stop or a wait that the vendor imposed meanwhile.
    async fn exchange(&mut self, stop: &CancellationToken) -> Option<Event> {
        let begun = self.clock.now();
        let (hold, clock) = (self.hold.as_deref(), &*self.clock);
        let may_send =
            || !stop.is_cancelled() && hold.is_none_or(|hold| hold.until() <= clock.now().mono);
        let ask = Ask {
            may_send: &may_send,
            ..Ask::plain()
        };
        let outcome = self.source.ask(ask).await?;
        let now = self.clock.now();
        let (ended, label) = self.ended(outcome, now);
        self.counters.refresh(label);
        let took = now.mono.since(begun.mono);
        self.metrics.refreshed(&self.spec.provider, label, took);
        // Nudges that came meanwhile asked for what has just happened; whoever still waits looks
        // again at the publication.
        let _answered = self.board.nudged().now_or_never();
        let _answered = self.board.take_used();
        Some(Event::Finished {
            ended,
            secret_moved: self.secret_moved(),
        })
    }

    fn secret_moved(&mut self) -> bool {
        self.secrets.as_mut().is_some_and(|secrets| {
            let moved = secrets.has_changed().unwrap_or(false);
            secrets.mark_unchanged();
            moved
        })
    }

    fn ended(&mut self, outcome: Outcome, now: Now) -> (Ended, RefreshLabel) {
        match outcome {
            Outcome::Issued(issued) => {
                let (api, warnings) = api::render(&self.spec.api, &self.spec.grant, &issued);
                let secret_in_use = issued.secret_in_use;
                let held = Arc::new(Held::new(*issued, api));
                if held.is_expired(now) {
                    let failure = report::dead_on_arrival(&self.spec, now);
                    let retry_after = None;
                    let ended = Ended::Transient {
                        retry_after,
                        failure,
                    };
                    return (ended, RefreshLabel::Transient);
                }
                self.report.left_out(&self.spec, warnings);
                let ended = Ended::Issued {
                    held,
                    secret_in_use,
                };
                (ended, RefreshLabel::Issued)
            }
            Outcome::Transient {
                retry_after,
                failure,
            }
            | Outcome::Ambiguous {
                retry_after,
                failure,
                refresh_token: _,
            } => {
                let ended = Ended::Transient {
                    retry_after,
                    failure,
                };
                (ended, RefreshLabel::Transient)
            }
            Outcome::BadCredential(f) => (Ended::Refused(f), RefreshLabel::BadCredential),
            Outcome::BadRequest(f) => (Ended::Refused(f), RefreshLabel::BadRequest),
            Outcome::AuthorizationPending { .. } => {
                let failure = report::internal_error(&self.spec, now);
                (Ended::Refused(failure), RefreshLabel::BadRequest)
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

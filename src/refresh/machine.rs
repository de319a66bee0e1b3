//! What a worker does next: a pure state machine.
//!
//! Two orthogonal enums: what is held ([`Token`]) and what is being done ([`Work`]). Serving
//! depends on the first alone, working on both. Must not know the runtime, randomness or clocks:
//! they come in with [`At`]. Invariants: at most one exchange at a time; nothing is asked inside a
//! wait that the vendor or a refusal imposed, whoever nudges; a held token is only ever replaced.

#![warn(clippy::wildcard_enum_match_arm)]

mod event;

pub(super) use event::{Actions, At, Ended, Event, Next};

use std::sync::Arc;
use std::time::Duration;

use super::schedule::{FLOOR, due};
use super::spacing::Spacing;
use crate::base::{ErrorCode, Failure, Mono, Now};
use crate::snapshot::{Doing, Held, Nudge, Nudges, Snapshot};
use crate::spec::{Change, Grant, Integration, Reissue, When};

/// Clocks jump and machines sleep, so no sleep is trusted for longer.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// A vendor that asks for more is not believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);
/// A dead refresh token stays dead; vendors do repair their servers, though.
const DEAD_GRANT_WAIT: Duration = Duration::from_hours(1);
/// As often as secret files are looked at.
const SECRET_WAIT: Duration = Duration::from_secs(10);
/// Those who waited for the same hold do not all ask in the same instant.
const HOLD_SPREAD: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Token {
    None,
    /// `due`: time after `sent_at` at which it is renewed; `None` also where nobody uses it.
    Held {
        held: Arc<Held>,
        due: Option<Duration>,
    },
}

#[derive(Debug, Clone, Copy)]
enum Work {
    /// Nothing until the token is due, or until an exchange that was brought forward.
    Idle {
        early: Option<Early>,
    },
    Asking,
    BackingOff {
        until: Mono,
        why: Why,
    },
    Refused {
        until: Mono,
    },
}

#[derive(Debug, Clone, Copy)]
struct Early {
    at: Mono,
    forced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Trouble,
    /// Nothing was sent: a new secret ends the wait.
    Secret,
}

#[derive(Debug)]
pub(super) struct Machine {
    spec: Arc<Integration>,
    token: Token,
    work: Work,
    spacing: Spacing,
    last_exchange: Option<Mono>,
    /// Since the token was issued; only looked at with `when = "demand"`.
    used: bool,
    /// Failures of each kind in a row: they set the waits.
    troubles: u32,
    refusals: u32,
    /// The exchange to come, or in flight, is there to prove a changed secret.
    proving: bool,
    /// What readers see, but for what is derived when it is published.
    view: Snapshot,
    changed: bool,
}

impl Machine {
    pub(super) fn new(spec: Arc<Integration>) -> Self {
        let view = Snapshot {
            secret_expires_at: spec.grant.secret_expiry(None),
            ..Snapshot::default()
        };
        Self {
            spec,
            token: Token::None,
            work: Work::Idle { early: None },
            spacing: Spacing::default(),
            last_exchange: None,
            used: false,
            troubles: 0,
            refusals: 0,
            proving: false,
            view,
            changed: false,
        }
    }

    /// The machine of a definition that takes the place of this one's. `rendered`: what is held,
    /// with what an API call needs by the new definition.
    pub(super) fn succeeded_by(
        mut self,
        spec: Arc<Integration>,
        change: Change,
        rendered: Option<Arc<Held>>,
        at: At,
    ) -> Self {
        if change == Change::Request {
            let mut fresh = Self::new(spec);
            fresh.view.finished = self.view.finished;
            fresh.last_exchange = self.last_exchange;
            return fresh;
        }
        self.spec = spec;
        let only_at_expiry = Self::asks_only_at_expiry(&self.spec);
        if let Token::Held { held, due: next } = &mut self.token {
            *held = rendered.unwrap_or_else(|| Arc::clone(held));
            *next = due(held.lifetime(), &self.spec.refresh, only_at_expiry, at.draw);
        }
        let soonest = self.floor().max(at.now.mono);
        let early = Some(Early {
            at: soonest,
            forced: false,
        });
        let always = self.spec.refresh.when == When::Always;
        self.work = match self.work {
            // Nothing is in flight: it was stopped before it sent anything.
            Work::Asking => Work::Idle { early },
            Work::Idle { early: None } if always && !self.valid(at.now) => Work::Idle { early },
            Work::BackingOff { why, .. } if change == Change::Answer => Work::BackingOff {
                until: soonest,
                why,
            },
            Work::Refused { .. } if change == Change::Answer => Work::Refused { until: soonest },
            same @ (Work::Idle { .. } | Work::BackingOff { .. } | Work::Refused { .. }) => same,
        };
        if change == Change::Secrets {
            self.view.secret_in_use = None;
            self.secret_changed(at);
        }
        self.view.secret_expires_at = self.spec.grant.secret_expiry(self.view.secret_in_use);
        self.changed = true;
        self
    }

    /// The held token, and the index of the secret that brought it.
    pub(super) fn held(&self) -> Option<(&Arc<Held>, Option<usize>)> {
        match &self.token {
            Token::None => None,
            Token::Held { held, .. } => Some((held, self.view.secret_in_use)),
        }
    }

    /// Whether asking before expiry brings nothing new.
    pub(super) fn asks_only_at_expiry(spec: &Integration) -> bool {
        spec.refresh.reissue == Reissue::Same || matches!(spec.grant, Grant::Static(_))
    }

    pub(super) fn step(&mut self, event: Event, at: At) -> Actions {
        let was_asking = self.is_asking() && !matches!(event, Event::HeldBack);
        let mut hold = None;
        match event {
            Event::Started => self.started(at),
            Event::Timer { used } => self.timer(used, at),
            Event::Nudged(nudges) => self.nudged(nudges, at),
            Event::Finished {
                ended,
                secret_moved,
            } => hold = self.finished(ended, secret_moved, at),
            Event::HeldBack => {
                self.work = Work::Idle { early: None };
                self.ask(false, at);
            }
            Event::SecretChanged => self.secret_changed(at),
            Event::Panicked { failure, wait } => {
                self.failed(failure);
                let until = at.now.mono.plus(wait);
                self.begin(Work::BackingOff {
                    until,
                    why: Why::Trouble,
                });
            }
        }
        let next = match (self.is_asking(), self.planned(at.now)) {
            (true, _) if was_asking => Next::Await,
            (true, _) => Next::Fetch,
            (false, Some(wait)) => Next::Sleep(wait.min(LONGEST_SLEEP)),
            (false, None) => Next::Listen,
        };
        let publish = std::mem::take(&mut self.changed).then(|| self.snapshot(at.now));
        Actions {
            publish,
            hold,
            next,
        }
    }

    fn is_asking(&self) -> bool {
        matches!(self.work, Work::Asking)
    }

    fn begin(&mut self, work: Work) {
        self.work = work;
        self.changed = true;
    }

    fn started(&mut self, at: At) {
        let soonest = self.floor();
        match self.spec.refresh.when {
            // Only after another definition: its last exchange counts.
            When::Always if soonest > at.now.mono => self.begin(Work::Idle {
                early: Some(Early {
                    at: soonest,
                    forced: false,
                }),
            }),
            When::Always => self.ask(false, at),
            When::Demand => self.changed = true,
        }
    }

    fn timer(&mut self, used: bool, at: At) {
        self.used |= used;
        let over = |until: Mono| until <= at.now.mono;
        match self.work {
            Work::Idle { early: Some(early) } if over(early.at) => self.ask(early.forced, at),
            Work::Idle { .. } => {
                if self.planned(at.now) == Some(Duration::ZERO) {
                    self.renew(at);
                }
            }
            Work::BackingOff { until, .. } | Work::Refused { until } if over(until) => {
                self.ask(false, at);
            }
            Work::Asking | Work::BackingOff { .. } | Work::Refused { .. } => {}
        }
    }

    fn renew(&mut self, at: At) {
        if self.spec.refresh.when == When::Always || self.used {
            self.ask(false, at);
        } else if let Token::Held { due, .. } = &mut self.token {
            *due = None;
            self.changed = true;
        }
    }

    fn nudged(&mut self, nudges: Nudges, at: At) {
        let Work::Idle { early } = self.work else {
            return;
        };
        let now = at.now.mono;
        let forced_from = self.forced_from();
        let valid = self.valid(at.now);
        let early_at = |at, forced| Some(Early { at, forced });
        let wanted = if nudges.has(Nudge::Force) && now >= forced_from {
            early_at(now, true)
        } else if nudges.has(Nudge::Missing) && !valid {
            early_at(self.floor().max(now), false)
        } else if nudges.has(Nudge::Short) && valid && !Self::asks_only_at_expiry(&self.spec) {
            early_at(forced_from.max(now), true)
        } else {
            None
        };
        let Some(wanted) = wanted else {
            return;
        };
        if wanted.at <= now {
            self.ask(wanted.forced, at);
        } else if early.is_none_or(|early| wanted.at < early.at) {
            // Only then: a publication makes waiting callers look, and nudge, again.
            self.begin(Work::Idle {
                early: Some(wanted),
            });
        }
    }

    fn secret_changed(&mut self, at: At) {
        // Without a valid token an idle worker is one that nobody asks.
        if matches!(self.work, Work::Idle { .. }) && !self.valid(at.now) {
            return;
        }
        self.prove(self.floor().max(at.now.mono));
    }

    /// Begins an exchange, unless the vendor asked this client to wait.
    fn ask(&mut self, forced: bool, at: At) {
        let now = at.now.mono;
        if at.hold > now {
            if self.view.failure.is_none() && !self.valid(at.now) {
                self.view.failure = Some(Arc::new(self.held_back(at)));
            }
            let until = at.hold.plus(HOLD_SPREAD.mul_f64(at.draw.clamp(0.0, 1.0)));
            let why = Why::Trouble;
            return self.begin(Work::BackingOff { until, why });
        }
        if forced {
            self.spacing.force(now, &self.spec.refresh);
        }
        self.last_exchange = Some(now);
        self.begin(Work::Asking);
    }

    fn held_back(&self, at: At) -> Failure {
        let id = &self.spec.id;
        Failure {
            code: ErrorCode::RateLimited,
            description: format!(
                "the vendor asked this client to wait before the next token request of '{id}'"
            ),
            hint: Some(
                "another integration with the same client id at the same endpoint met the limit"
                    .to_owned(),
            ),
            vendor: None,
            retry_after: Some(at.hold.since(at.now.mono)),
            at: at.now.wall,
        }
    }

    fn finished(&mut self, ended: Ended, secret_moved: bool, at: At) -> Option<Mono> {
        let now = at.now.mono;
        let proving = std::mem::take(&mut self.proving);
        let policy = &self.spec.refresh;
        let mut hold = None;
        let (failure, work) = match ended {
            Ended::Issued {
                held,
                secret_in_use,
            } => {
                // The first read of a secret counts as a change: the first token proves it.
                let unproven = secret_moved && !proving && self.view.last_success_at.is_some();
                self.issued(held, secret_in_use, at);
                if unproven {
                    self.prove(self.floor().max(now));
                }
                return None;
            }
            Ended::Transient {
                retry_after,
                failure,
            } => {
                self.troubles = self.troubles.saturating_add(1);
                let asked = retry_after.map(|wait| wait.min(LONGEST_RETRY_AFTER));
                hold = asked.map(|wait| now.plus(wait));
                let wait = policy.backoff.wait(self.troubles, at.draw);
                let until = now.plus(wait.max(asked.unwrap_or_default()));
                let why = Why::Trouble;
                (failure, Work::BackingOff { until, why })
            }
            Ended::Refused(failure) => {
                self.refusals = self.refusals.saturating_add(1);
                let asked = failure
                    .retry_after
                    .unwrap_or_default()
                    .min(LONGEST_RETRY_AFTER);
                let wait = policy.rejected_backoff.wait(self.refusals, at.draw);
                let until = now.plus(wait.max(asked));
                (failure, Work::Refused { until })
            }
            Ended::DeadGrant(failure) => {
                let until = now.plus(DEAD_GRANT_WAIT);
                (failure, Work::Refused { until })
            }
            Ended::SecretUnavailable(failure) => {
                let (until, why) = (now.plus(SECRET_WAIT), Why::Secret);
                (failure, Work::BackingOff { until, why })
            }
        };
        self.failed(failure);
        self.begin(work);
        // The refused secret may already be the old one. Only once: a source that yields
        // something new at every read would else turn refusals into a loop.
        if secret_moved && !proving {
            self.prove(self.floor().max(now));
        }
        hold
    }

    /// Plans an exchange for the sake of a changed secret, where that makes sense.
    fn prove(&mut self, soonest: Mono) {
        let early = Some(Early {
            at: soonest,
            forced: false,
        });
        let waiting = match self.work {
            Work::Idle { .. } => Work::Idle { early },
            Work::Refused { .. } => Work::Refused { until: soonest },
            Work::BackingOff {
                why: Why::Secret, ..
            } => Work::BackingOff {
                until: soonest,
                why: Why::Secret,
            },
            // The next try takes the new secret.
            Work::Asking
            | Work::BackingOff {
                why: Why::Trouble, ..
            } => return,
        };
        self.proving = true;
        self.begin(waiting);
    }

    fn issued(&mut self, held: Arc<Held>, secret_in_use: Option<usize>, at: At) {
        let only_at_expiry = Self::asks_only_at_expiry(&self.spec);
        let sent_at = held.sent_at().mono;
        self.last_exchange = self.last_exchange.max(Some(sent_at));
        self.used = false;
        self.troubles = 0;
        self.refusals = 0;
        self.view.failure = None;
        self.view.consecutive_failures = 0;
        self.view.finished = self.view.finished.saturating_add(1);
        self.view.last_success_at = Some(at.now.wall);
        self.view.secret_in_use = secret_in_use;
        self.view.secret_expires_at = self.spec.grant.secret_expiry(secret_in_use);
        let due = due(held.lifetime(), &self.spec.refresh, only_at_expiry, at.draw);
        self.token = Token::Held { held, due };
        self.begin(Work::Idle { early: None });
    }

    fn failed(&mut self, failure: Failure) {
        self.view.failure = Some(Arc::new(failure));
        self.view.consecutive_failures = self.view.consecutive_failures.saturating_add(1);
        self.view.finished = self.view.finished.saturating_add(1);
    }

    fn valid(&self, now: Now) -> bool {
        match &self.token {
            Token::None => false,
            Token::Held { held, .. } => !held.is_expired(now),
        }
    }

    /// No exchange before this because of the one before.
    fn floor(&self) -> Mono {
        self.last_exchange
            .map_or(Mono::START, |last| last.plus(FLOOR))
    }

    fn forced_from(&self) -> Mono {
        self.spacing
            .forced_from(self.last_exchange, &self.spec.refresh)
    }

    /// Time until the next exchange; `None` where none is planned, or one is in flight.
    fn planned(&self, now: Now) -> Option<Duration> {
        match self.work {
            Work::Asking => None,
            Work::BackingOff { until, .. } | Work::Refused { until } => Some(until.since(now.mono)),
            Work::Idle { early } => {
                let early = early.map(|early| early.at.since(now.mono));
                [early, self.until_due(now)].into_iter().flatten().min()
            }
        }
    }

    fn until_due(&self, now: Now) -> Option<Duration> {
        let Token::Held { held, due } = &self.token else {
            return None;
        };
        let left = due
            .as_ref()?
            .saturating_sub(now.elapsed_since(held.sent_at()));
        Some(left.max(self.floor().since(now.mono)))
    }

    pub(super) fn snapshot(&self, now: Now) -> Snapshot {
        Snapshot {
            held: match &self.token {
                Token::None => None,
                Token::Held { held, .. } => Some(Arc::clone(held)),
            },
            doing: match self.work {
                Work::Idle { .. } => Doing::Idle,
                Work::Asking => Doing::Asking,
                Work::BackingOff { until, .. } => Doing::BackingOff { until },
                Work::Refused { .. } => Doing::Refused,
            },
            forced_from: self.forced_from(),
            refresh_at: self.planned(now).map(|wait| now.wall.plus(wait)),
            ..self.view.clone()
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

//! What a worker does next: a pure state machine.
//!
//! Two orthogonal enums: what is held ([`Token`]) and what is being done ([`Work`]). Serving
//! depends on the first alone, working on both. What only grants with refresh tokens need is in
//! [`chain::Consent`], what only a store needs in [`keep::Keep`]. Must not know the runtime,
//! randomness or clocks: they come in with [`At`]; what takes time is asked for with [`Next`], one
//! thing at a time, and its end is an event. Invariants: at most one exchange at a time; nothing is
//! asked inside a wait that the vendor or a refusal imposed, whoever nudges; a held token is only
//! ever replaced; what a rotating exchange brought is saved before it is shown, if it can be.

#![warn(clippy::wildcard_enum_match_arm)]

mod chain;
mod ended;
mod event;
mod keep;
mod life;
mod login;
mod record;
mod words;

pub(super) use event::{
    Actions, At, Configured, Device, Ended, Event, Loaded, LoginStep, Next, Room,
};
pub(super) use record::restored;
pub(super) use words::remedy;

use std::sync::Arc;
use std::time::Duration;

use chain::Consent;
use keep::Keep;

use super::schedule::{FLOOR, due};
use super::spacing::Spacing;
use crate::base::{ErrorCode, Failure, Mono, Now, Timestamp};
use crate::exchange::Present;
use crate::snapshot::{Doing, Held, LoginState, Nudge, Nudges, Snapshot};
use crate::spec::{Grant, Integration, Reissue, When};
use crate::store::Chain;

/// Clocks jump and machines sleep, so no sleep is trusted for longer.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// A vendor that asks for more is not believed.
pub(super) const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);
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
    /// The record is on its way.
    Loading,
    /// The configuration is asked for the first refresh token.
    Reading,
    Saving(Saving),
    Asking,
    BackingOff {
        until: Mono,
        why: Why,
    },
    Refused {
        until: Mono,
    },
    /// There is nothing that could be sent: nothing is, until someone acts.
    Closed,
}

impl Work {
    fn is_busy(self) -> bool {
        match self {
            Self::Loading | Self::Reading | Self::Saving(_) | Self::Asking => true,
            Self::Idle { .. } | Self::BackingOff { .. } | Self::Refused { .. } | Self::Closed => {
                false
            }
        }
    }
}

/// What must be saved before the next thing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saving {
    /// That a refresh token is about to be sent.
    Intent,
    /// What came back.
    Answer,
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
    /// Nothing was sent: the store does not take the intent, or does not answer.
    Store,
    /// Nothing was sent: the vendor asked this client to wait, or its limit is spent.
    Held,
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
    /// What readers see, but for what is derived when it is published. Its `forced_from` is the
    /// vendor's limit's alone, as of the last step.
    view: Snapshot,
    changed: bool,
    /// The errand that the worker is at, and whose end is an event.
    away: Option<Next>,
    /// Boxed, as what follows: most integrations have neither.
    consent: Option<Box<Consent>>,
    keep: Option<Box<Keep>>,
    /// The consent of another definition, which had a use for it: kept for when it comes back.
    aside: Option<Box<Chain>>,
}

impl Machine {
    /// `keeps`: there is a store that this integration's record is loaded from, and saved to.
    pub(super) fn new(spec: Arc<Integration>, keeps: bool) -> Self {
        let view = Snapshot {
            secret_expires_at: spec.grant.secret_expiry(None),
            ..Snapshot::default()
        };
        Self {
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
            away: None,
            consent: spec.grant.refreshing().map(|_| Box::default()),
            keep: keeps.then(Box::default),
            aside: None,
            spec,
        }
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
        let mut hold = None;
        // After a panic nobody runs the errands of this step.
        let mut pause = None;
        self.view.forced_from = at.room.forced_from;
        match event {
            Event::Started => self.started(at),
            Event::Loaded(loaded) => self.loaded(loaded, at),
            Event::Configured(configured) => self.configured(configured, at),
            Event::Saved(result) => self.saved(result, at),
            Event::Timer { used } => self.timer(used, at),
            Event::Nudged(nudges) => self.nudged(nudges, at),
            Event::Finished {
                ended,
                secret_moved,
            } => {
                self.away = None;
                hold = self.finished(ended, secret_moved, at);
            }
            Event::HeldBack => self.held_back_now(at),
            Event::SecretChanged => self.secret_changed(at),
            Event::Login(step) => self.login(step, at),
            Event::Panicked { failure, wait } => {
                pause = Some(wait);
                self.panicked(failure, wait, at);
            }
        }
        let next = match pause {
            Some(wait) => Next::Sleep(wait),
            None => self.next(at.now),
        };
        if next == Next::Save
            && let Some(keep) = &mut self.keep
        {
            keep.begin();
        }
        let publish = std::mem::take(&mut self.changed).then(|| self.snapshot(at.now));
        Actions {
            publish,
            hold,
            next,
        }
    }

    fn next(&mut self, now: Now) -> Next {
        if self.away.is_some() {
            return Next::Await;
        }
        let next = match self.work {
            Work::Loading => Next::Load,
            Work::Reading => Next::Configured,
            Work::Saving(_) => Next::Save,
            Work::Asking => Next::Fetch,
            Work::Idle { .. } | Work::BackingOff { .. } | Work::Refused { .. } | Work::Closed => {
                let due = self.keep.as_ref().is_some_and(|keep| keep.is_due(now.mono));
                if due && self.may_overwrite() {
                    Next::Save
                } else if due && self.consent.is_none() {
                    Next::Load
                } else {
                    match self.planned(now) {
                        Some(wait) => Next::Sleep(wait.min(LONGEST_SLEEP)),
                        None => Next::Listen,
                    }
                }
            }
        };
        self.away = next.is_errand().then_some(next);
        next
    }

    /// What the exchange of [`Next::Fetch`] presents.
    pub(super) fn present(&self) -> Present {
        if let Some(present) = self.login_present() {
            return present.clone();
        }
        let consent = self.consent.as_ref();
        match consent.and_then(|consent| consent.refresh_token()) {
            Some(token) => Present::RefreshToken(token.clone()),
            None => Present::Nothing,
        }
    }

    fn begin(&mut self, work: Work) {
        self.work = work;
        self.changed = true;
    }

    fn timer(&mut self, used: bool, at: At) {
        self.used |= used;
        self.login_timer(at);
        let over = |until: Mono| until <= at.now.mono;
        match self.work {
            Work::Idle { early: Some(early) } if over(early.at) => self.ask(early.forced, at),
            Work::Idle { .. } => self.renew(at),
            Work::BackingOff { until, .. } | Work::Refused { until } if over(until) => {
                self.ask(false, at);
            }
            Work::Loading
            | Work::Reading
            | Work::Saving(_)
            | Work::Asking
            | Work::BackingOff { .. }
            | Work::Refused { .. }
            | Work::Closed => {}
        }
    }

    /// Asks if the token, or the refresh token, is due.
    fn renew(&mut self, at: At) {
        let is_over = |left: Option<Duration>| left == Some(Duration::ZERO);
        let due = is_over(self.until_due(at.now));
        let wanted = self.spec.refresh.when == When::Always || self.used;
        if is_over(self.until_use(at.now)) || (due && wanted) {
            self.ask(false, at);
        } else if due && let Token::Held { due, .. } = &mut self.token {
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
        // Whoever wants one learns at once that there is none.
        self.changed |= nudges.has(Nudge::Force) && self.view.forced_from > now;
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

    /// Begins an exchange, unless the vendor asked this client to wait or its limit is spent.
    fn ask(&mut self, forced: bool, at: At) {
        let now = at.now.mono;
        if at.sends_from() > now {
            return self.hold_back(at);
        }
        if forced && self.valid(at.now) && self.view.forced_from > now {
            let at = self.view.forced_from;
            let early = Some(Early { at, forced });
            return self.begin(Work::Idle { early });
        }
        if self.may_present(forced, at) {
            self.send(forced, at);
        }
    }

    /// Waits for the vendor's sake; whoever has no token, or will have none, learns why.
    fn hold_back(&mut self, at: At) {
        // A limit that is for a second is not stretched by another one.
        let short = self.spec.refresh.rate_limit.map(|limit| limit.per / 10);
        let spread = match short.filter(|_| at.room.from > at.hold) {
            Some(short) => HOLD_SPREAD.min(short),
            None => HOLD_SPREAD,
        };
        let spread = spread.mul_f64(at.draw.clamp(0.0, 1.0));
        let until = at.sends_from().plus(spread);
        if self.refused_until_then(until) {
            return self.begin(Work::Refused { until });
        }
        let own = at.room.from > at.hold;
        let tells_less = match self.view.failure.as_ref().map(|known| known.code) {
            None | Some(ErrorCode::RateLimited) => true,
            Some(code) => own && code == ErrorCode::TemporarilyUnavailable,
        };
        if tells_less && self.outlives_token(until, at.now) {
            self.view.failure = Some(Arc::new(self.held_back(at)));
        }
        let why = Why::Held;
        self.begin(Work::BackingOff { until, why });
    }

    /// A refusal stays one while it cannot be asked whether it still is.
    fn refused_until_then(&self, until: Mono) -> bool {
        matches!(self.work, Work::Refused { until: before } if before <= until)
    }

    /// Whether there will be no valid token before `until`.
    fn outlives_token(&self, until: Mono, now: Now) -> bool {
        match &self.token {
            Token::None => true,
            Token::Held { held, .. } => held
                .left(now)
                .is_some_and(|left| left < until.since(now.mono)),
        }
    }

    fn send(&mut self, forced: bool, at: At) {
        let now = at.now.mono;
        if forced {
            self.spacing.force(now, &self.spec.refresh);
        }
        self.last_exchange = Some(now);
        self.begin(Work::Asking);
    }

    fn held_back_now(&mut self, at: At) {
        self.away = None;
        if self.login_present().is_some() {
            return self.login_held_back(at);
        }
        self.not_spent();
        self.work = Work::Idle { early: None };
        self.ask(false, at);
    }

    fn panicked(&mut self, failure: Failure, wait: Duration, at: At) {
        self.away = None;
        if self.login_present().is_some() {
            self.login_failed(failure.clone());
        }
        // What was obtained is good, whatever happened to saving it.
        let ready = self.consent.as_mut().and_then(|it| it.ready.take());
        if let Some(ready) = ready {
            self.issued(ready.held, ready.secret_in_use, at);
        }
        if self
            .consent
            .as_mut()
            .is_some_and(|it| it.rescued.take().is_some())
        {
            self.view.login = Some(LoginState::Done);
        }
        if let Some(keep) = &mut self.keep {
            keep.broken_off();
            keep.unsaved.chain |= self.consent.is_some();
            if !keep.loaded && (self.consent.is_some() || matches!(self.work, Work::Loading)) {
                self.failed(failure);
                return self.begin(Work::Loading);
            }
        }
        self.failed(failure);
        let until = at.now.mono.plus(wait);
        let why = Why::Trouble;
        self.begin(Work::BackingOff { until, why });
    }

    fn held_back(&self, at: At) -> Failure {
        let id = &self.spec.id;
        if at.room.from > at.hold
            && let Some(limit) = self.spec.refresh.rate_limit
        {
            return words::limit_spent(&self.spec, limit, at);
        }
        Failure {
            code: ErrorCode::RateLimited,
            description: format!(
                "the vendor asked this client to wait before the next token request of '{id}'"
            ),
            hint: Some(
                "this integration, or another one with the same client id at the same endpoint, \
                 met the limit"
                    .to_owned(),
            ),
            vendor: None,
            retry_after: Some(at.hold.since(at.now.mono)),
            at: at.now.wall,
        }
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
            .max(self.view.forced_from)
    }

    /// Time until the next exchange; `None` where none is planned, or one is under way.
    fn until_exchange(&self, now: Now) -> Option<Duration> {
        match self.work {
            Work::Loading | Work::Reading | Work::Saving(_) | Work::Asking | Work::Closed => None,
            Work::BackingOff { until, .. } | Work::Refused { until } => Some(until.since(now.mono)),
            Work::Idle { early } => {
                let early = early.map(|early| early.at.since(now.mono));
                let waits = [early, self.until_due(now), self.until_use(now)];
                waits.into_iter().flatten().min()
            }
        }
    }

    /// Time until there is anything to do.
    fn planned(&self, now: Now) -> Option<Duration> {
        let save = self.keep.as_ref().and_then(|keep| keep.again());
        let at = [save, self.login_next()].into_iter().flatten().min();
        let wait = at.map(|at| at.since(now.mono));
        [wait, self.until_exchange(now)].into_iter().flatten().min()
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

    /// Time until the refresh token is used for its own sake.
    fn until_use(&self, now: Now) -> Option<Duration> {
        let refreshing = self.spec.grant.refreshing()?;
        let use_by = self.consent.as_ref()?.use_by(refreshing)?;
        Some(use_by.since(now.wall).max(self.floor().since(now.mono)))
    }

    pub(super) fn snapshot(&self, now: Now) -> Snapshot {
        Snapshot {
            held: match &self.token {
                Token::None => None,
                Token::Held { held, .. } => Some(Arc::clone(held)),
            },
            doing: match self.work {
                Work::Idle { .. } => Doing::Idle,
                Work::Loading | Work::Reading | Work::Saving(_) | Work::Asking => Doing::Asking,
                Work::BackingOff { until, .. } => Doing::BackingOff { until },
                Work::Refused { .. } | Work::Closed => Doing::Refused,
            },
            forced_from: self.forced_from(),
            refresh_at: self.until_exchange(now).map(|wait| now.wall.plus(wait)),
            refresh_token_expires_at: self.refresh_token_end().map(|(at, _)| at),
            store_error: self.store_error().map(str::to_owned),
            ..self.view.clone()
        }
    }

    /// Until when the refresh token lives if it is not used, and how long it lives in all.
    pub(super) fn refresh_token_end(&self) -> Option<(Timestamp, Duration)> {
        self.consent.as_ref()?.end()
    }

    /// Why something is not saved.
    pub(super) fn store_error(&self) -> Option<&str> {
        self.keep.as_ref()?.error()
    }
}

#[cfg(test)]
mod chain_properties;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

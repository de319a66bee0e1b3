//! How a machine begins, stops and is succeeded: the record, the first refresh token, and what
//! must hold before a refresh token is presented. Pure.
//!
//! Invariants: no refresh token is presented before the store was read; none that may be spent by
//! it before its intent was saved, but where the design says that waiting would cost the token.

use std::sync::Arc;
use std::time::Duration;

use super::chain::Consent;
use super::keep::Keep;
use super::{At, DEAD_GRANT_WAIT, LONGEST_RETRY_AFTER, SECRET_WAIT};
use super::{Configured, Early, Loaded, Machine, Saving, Token, Why, Work, due, record, words};
use crate::base::{Failure, Mono, Now};
use crate::refresh::schedule::intent_margin;
use crate::snapshot::{Held, LoginState};
use crate::spec::{Change, FirstRefreshToken, Integration, Refreshing, When};
use crate::store::{Record, Wait, WaitKind};

impl Machine {
    pub(super) fn started(&mut self, at: At) {
        match &self.keep {
            Some(keep) if !keep.loaded => self.work = Work::Loading,
            Some(_) | None => self.read_or_begin(at),
        }
    }

    pub(super) fn loaded(&mut self, loaded: Loaded, at: At) {
        self.away = None;
        if !matches!(self.work, Work::Loading) {
            return self.loaded_late(loaded, at);
        }
        let Some(keep) = &mut self.keep else {
            return self.read_or_begin(at);
        };
        keep.loaded = true;
        match loaded {
            Loaded::Nothing => {}
            Loaded::Found { record, held } => self.found(*record, held, at),
            Loaded::Unreadable(why) => {
                keep.fail(why.clone());
                keep.frozen = Some(why);
            }
            Loaded::Failed(why) => {
                keep.fail(why.clone());
                keep.loaded = false;
                if self.consent.is_some() {
                    return self.load_again(&why, at);
                }
            }
        }
        self.read_or_begin(at);
    }

    /// Of a store that could not be read at the start, and that nothing had to wait for: only what
    /// another definition needs is taken, so that a save does not erase it.
    fn loaded_late(&mut self, loaded: Loaded, at: At) {
        let Some(keep) = &mut self.keep else {
            return;
        };
        match loaded {
            Loaded::Nothing => keep.loaded = true,
            Loaded::Found { record, held: _ } => {
                keep.loaded = true;
                self.aside = self.aside.take().or(record.chain.map(Box::new));
            }
            Loaded::Unreadable(why) => {
                keep.loaded = true;
                keep.fail(why.clone());
                keep.frozen = Some(why);
                self.changed = true;
            }
            Loaded::Failed(why) => {
                keep.begin();
                let backoff = self.spec.refresh.backoff;
                self.changed |= keep.ended(Err(why), backoff, at.now.mono, at.draw);
            }
        }
    }

    /// Whether all that the store holds of this integration is known, or newer here.
    pub(super) fn may_overwrite(&self) -> bool {
        let newer = self.consent.as_ref().is_some_and(|it| it.chain.is_some());
        newer || self.keep.as_ref().is_some_and(|keep| keep.loaded)
    }

    /// An older refresh token than the one that may be stored must not be presented: nothing goes
    /// on without the record.
    fn load_again(&mut self, why: &str, at: At) {
        self.troubles = self.troubles.saturating_add(1);
        let wait = self.spec.refresh.backoff.wait(self.troubles, at.draw);
        self.failed(words::unloaded(&self.spec, why, at.now));
        self.begin(Work::BackingOff {
            until: at.now.mono.plus(wait),
            why: Why::Store,
        });
    }

    fn found(&mut self, record: Record, held: Option<Arc<Held>>, at: At) {
        let Record {
            chain,
            access,
            wait,
        } = record;
        if let (Some(consent), Some(refreshing)) = (&mut self.consent, self.spec.grant.refreshing())
        {
            // What another definition left behind is newer.
            consent.chain = consent.chain.take().or(chain);
            if let Some(chain) = &mut consent.chain {
                chain.idle_lifetime = refreshing.idle_lifetime;
            }
        } else {
            self.aside = self.aside.take().or(chain.map(Box::new));
        }
        if let Some(keep) = &mut self.keep {
            let asked = record::asked(&self.spec);
            keep.wait = wait.filter(|wait| wait.asked == asked);
            keep.well();
        }
        if let Some(held) = held {
            let secret_in_use = access.and_then(|access| access.secret_in_use);
            self.view.last_success_at = Some(held.sent_at().wall);
            self.view.secret_in_use = secret_in_use;
            self.view.secret_expires_at = self.spec.grant.secret_expiry(secret_in_use);
            self.hold(held, at);
        }
        // There was trouble only in loading: nothing else was done before.
        self.view.failure = None;
        self.view.consecutive_failures = 0;
        self.troubles = 0;
    }

    pub(super) fn hold(&mut self, held: Arc<Held>, at: At) {
        let only_at_expiry = Self::asks_only_at_expiry(&self.spec);
        let due = due(held.lifetime(), &self.spec.refresh, only_at_expiry, at.draw);
        self.token = Token::Held { held, due };
    }

    fn read_or_begin(&mut self, at: At) {
        if self.reads_configured() {
            self.work = Work::Reading;
        } else {
            self.go_on(at);
        }
    }

    pub(in crate::refresh) fn reads_configured(&self) -> bool {
        let first = self.spec.grant.refreshing().map(|it| &it.first);
        matches!(first, Some(FirstRefreshToken::Configured(_)))
    }

    pub(super) fn configured(&mut self, configured: Configured, at: At) {
        if !matches!(self.work, Work::Reading) {
            return self.reconfigured(configured, at);
        }
        self.away = None;
        let Some(consent) = &mut self.consent else {
            return;
        };
        let superseded = consent.configured(configured, &self.spec, at.now.wall);
        let unknown = consent.unknown.take_if(|_| consent.chain.is_none());
        if superseded && let Some(keep) = &mut self.keep {
            keep.unsaved.chain = true;
            keep.wait = None;
        }
        match unknown {
            Some(failure) => {
                self.failed(failure);
                self.begin(Work::BackingOff {
                    until: at.now.mono.plus(SECRET_WAIT),
                    why: Why::Secret,
                });
            }
            None => self.go_on(at),
        }
    }

    /// A secret changed: a new first refresh token is used at once.
    fn reconfigured(&mut self, configured: Configured, at: At) {
        let Some(consent) = &mut self.consent else {
            return;
        };
        if !consent.configured(configured, &self.spec, at.now.wall) {
            return;
        }
        if let Some(ready) = &mut consent.ready {
            ready.unproven = true;
        }
        if let Some(keep) = &mut self.keep {
            keep.unsaved.chain = true;
        }
        let nobody_asks = self.spec.refresh.when == When::Demand && !self.valid(at.now);
        match self.work {
            Work::Idle { .. } if nobody_asks => {}
            Work::Idle { .. }
            | Work::Refused { .. }
            | Work::Closed
            | Work::BackingOff {
                why: Why::Secret, ..
            } => {
                self.proving = true;
                let at = self.floor().max(at.now.mono);
                let early = Some(Early { at, forced: false });
                self.begin(Work::Idle { early });
            }
            // The next try takes it along.
            Work::Loading
            | Work::Reading
            | Work::Saving(_)
            | Work::Asking
            | Work::BackingOff {
                why: Why::Trouble | Why::Store | Why::Held,
                ..
            } => {}
        }
    }

    /// All is known that there is to know: waits, asks, or says what is missing.
    fn go_on(&mut self, at: At) {
        let wait = self.keep.as_mut().and_then(|keep| keep.wait.take());
        if let Some(failure) = self.obstacle(at.now) {
            return self.close(failure);
        }
        if let Some(work) = wait.and_then(|wait| self.resumed(wait, at)) {
            return self.begin(work);
        }
        self.begin(Work::Idle { early: None });
        if self.valid(at.now) || self.spec.refresh.when == When::Demand {
            return;
        }
        let soonest = self.floor();
        if soonest > at.now.mono {
            // Only after another definition: its last exchange counts.
            let early = Some(Early {
                at: soonest,
                forced: false,
            });
            return self.begin(Work::Idle { early });
        }
        self.ask(false, at);
    }

    /// A wait goes on by the wall clock, however that was set, for no longer than it could be.
    fn resumed(&mut self, wait: Wait, at: At) -> Option<Work> {
        let policy = &self.spec.refresh;
        self.troubles = wait.failures;
        self.refusals = wait.refusals;
        let most = match wait.kind {
            WaitKind::Trouble => policy.backoff.max().max(LONGEST_RETRY_AFTER),
            WaitKind::Refused => policy.rejected_backoff.max().max(LONGEST_RETRY_AFTER),
            WaitKind::DeadGrant => DEAD_GRANT_WAIT,
        };
        let left = wait.until.since(at.now.wall).min(most);
        if left.is_zero() {
            return None;
        }
        let until = at.now.mono.plus(left);
        let mut failure = words::restored(&self.spec, wait.kind, at.now.wall.plus(left), at.now);
        let chain = self.consent.as_ref().and_then(|it| it.chain.as_ref());
        if let (WaitKind::DeadGrant, Some(chain)) = (wait.kind, chain) {
            failure = words::dead(&self.spec, chain, failure, at.now);
        }
        self.view.failure = Some(Arc::new(failure));
        self.view.consecutive_failures = wait.failures.saturating_add(wait.refusals);
        Some(match wait.kind {
            WaitKind::Trouble => Work::BackingOff {
                until,
                why: Why::Trouble,
            },
            WaitKind::Refused | WaitKind::DeadGrant => Work::Refused { until },
        })
    }

    /// Why nothing can be presented.
    fn obstacle(&self, now: Now) -> Option<Failure> {
        let consent = self.consent.as_ref()?;
        if let Some(why) = self.keep.as_ref().and_then(|keep| keep.frozen.as_ref()) {
            return Some(words::unreadable(&self.spec, why, now));
        }
        match &consent.chain {
            None => Some(words::no_refresh_token(&self.spec, now)),
            Some(chain) if consent.is_foreign(&self.spec) => {
                Some(words::foreign(&self.spec, chain, now))
            }
            Some(_) => None,
        }
    }

    fn close(&mut self, failure: Failure) {
        self.view.failure = Some(Arc::new(failure));
        self.begin(Work::Closed);
    }

    /// Whether an exchange can begin now; else what has to be done before is begun.
    pub(super) fn may_present(&mut self, forced: bool, at: At) -> bool {
        let Some(consent) = &mut self.consent else {
            return true;
        };
        consent.forced = forced;
        if self.keep.as_ref().is_some_and(|keep| !keep.loaded) {
            self.begin(Work::Loading);
            return false;
        }
        let has_none = self.consent.as_ref().is_some_and(|it| it.chain.is_none());
        if has_none && self.reads_configured() {
            self.begin(Work::Reading);
            return false;
        }
        if let Some(failure) = self.obstacle(at.now) {
            self.close(failure);
            return false;
        }
        let unsaved = self.open_intent(at);
        if unsaved {
            self.begin(Work::Saving(Saving::Intent));
        }
        !unsaved
    }

    /// Notes that a refresh token is about to be sent; whether that has to be saved.
    fn open_intent(&mut self, at: At) -> bool {
        let rotates = self
            .spec
            .grant
            .refreshing()
            .is_some_and(Refreshing::rotates);
        let (Some(consent), Some(keep)) = (&mut self.consent, &mut self.keep) else {
            return false;
        };
        let Consent { chain, opened, .. } = &mut **consent;
        let Some(chain) = chain.as_mut().filter(|_| rotates) else {
            return false;
        };
        if chain.intent.is_none() {
            chain.intent = Some(at.now.wall);
            *opened = true;
            keep.unsaved.chain = true;
        }
        keep.unsaved.chain
    }

    pub(super) fn saved(&mut self, result: Result<(), String>, at: At) {
        self.away = None;
        let saved = result.is_ok();
        if let Some(keep) = &mut self.keep {
            let backoff = self.spec.refresh.backoff;
            self.changed |= keep.ended(result, backoff, at.now.mono, at.draw);
        }
        match self.work {
            Work::Saving(Saving::Intent) => self.intended(saved, at),
            Work::Saving(Saving::Answer) => self.publish_ready(at),
            Work::Idle { .. }
            | Work::Loading
            | Work::Reading
            | Work::Asking
            | Work::BackingOff { .. }
            | Work::Refused { .. }
            | Work::Closed => {}
        }
    }

    /// With the intent saved, or where waiting for that would cost the token that is held.
    fn intended(&mut self, saved: bool, at: At) {
        let patience = if saved { None } else { self.patience(at) };
        let Some(consent) = &mut self.consent else {
            return;
        };
        match patience {
            None => {
                consent.unsaved_intents = 0;
                let forced = consent.forced;
                self.send(forced, at);
            }
            Some(wait) => {
                consent.unsaved_intents = consent.unsaved_intents.saturating_add(1);
                self.begin(Work::BackingOff {
                    until: at.now.mono.plus(wait),
                    why: Why::Store,
                });
            }
        }
    }

    /// How long to wait before the store is tried again; `None`: no longer.
    fn patience(&self, at: At) -> Option<Duration> {
        let Token::Held { held, .. } = &self.token else {
            return None;
        };
        let tries = self.consent.as_ref()?.unsaved_intents.saturating_add(1);
        let wait = self.spec.refresh.backoff.wait(tries, at.draw);
        let (Some(lifetime), Some(left)) = (held.lifetime(), held.left(at.now)) else {
            return Some(wait);
        };
        let spare = left.saturating_sub(intent_margin(lifetime));
        (!spare.is_zero()).then(|| wait.min(spare))
    }

    /// The worker stops between two actions: what it was about to do is not done.
    pub(in crate::refresh) fn settle(&mut self, at: At) {
        self.away = None;
        let early = Some(Early {
            at: self.floor().max(at.now.mono),
            forced: false,
        });
        match self.work {
            Work::Asking if self.login_present().is_some() => {
                let failure = words::login_cut_short(&self.spec, at.now);
                self.login_withdrawn();
                self.login_failed(failure);
            }
            Work::Asking | Work::Saving(Saving::Intent) => {
                self.not_spent();
                self.begin(Work::Idle { early });
            }
            Work::Saving(Saving::Answer) => self.publish_ready(at),
            Work::Idle { .. }
            | Work::Loading
            | Work::Reading
            | Work::BackingOff { .. }
            | Work::Refused { .. }
            | Work::Closed => {}
        }
    }

    /// Whether the next thing is an exchange, or what comes before one.
    pub(in crate::refresh) fn is_about_to_ask(&self) -> bool {
        matches!(
            self.work,
            Work::Loading | Work::Reading | Work::Asking | Work::Saving(Saving::Intent)
        )
    }

    /// Whether something is not in the store that should be: then `Event::Saved` follows.
    pub(in crate::refresh) fn begin_last_save(&mut self) -> bool {
        let may = self.may_overwrite();
        let wanted = |keep: &&mut Box<Keep>| may && keep.wants();
        let Some(keep) = self.keep.as_mut().filter(wanted) else {
            return false;
        };
        keep.begin();
        true
    }

    /// Whether a refresh token would be lost if the process ended now.
    pub(in crate::refresh) fn holds_only_copy(&self) -> bool {
        self.keep.as_ref().is_some_and(|keep| keep.is_only_copy())
    }

    /// When a save that failed is tried again.
    pub(in crate::refresh) fn saves_again(&self) -> Option<Mono> {
        self.keep.as_ref()?.again()
    }

    /// The machine of a definition that takes the place of this one's, which has settled.
    /// `rendered`: what is held, with what an API call needs by the new definition.
    pub(in crate::refresh) fn succeeded_by(
        mut self,
        spec: Arc<Integration>,
        keeps: bool,
        change: Change,
        rendered: Option<Arc<Held>>,
        at: At,
    ) -> Self {
        if change == Change::Request {
            return self.begun_anew(spec, keeps, at);
        }
        self.spec = spec;
        if let Token::Held { held, .. } = &self.token {
            let held = rendered.unwrap_or_else(|| Arc::clone(held));
            self.hold(held, at);
        }
        if let (Some(consent), Some(refreshing)) = (&mut self.consent, self.spec.grant.refreshing())
            && let Some(chain) = &mut consent.chain
        {
            chain.idle_lifetime = refreshing.idle_lifetime;
        }
        if self.keep.is_some() != keeps {
            self.keep = keeps.then(Box::default);
            if let Some(keep) = &mut self.keep {
                // What this machine knows is newer than what could be stored.
                (keep.loaded, keep.unsaved.chain) = (true, true);
                if self.consent.as_ref().is_some_and(|it| it.chain.is_some()) {
                    keep.received();
                }
            }
        }
        let soonest = self.floor().max(at.now.mono);
        let early = Some(Early {
            at: soonest,
            forced: false,
        });
        let always = self.spec.refresh.when == When::Always;
        match self.work {
            Work::Idle { early: None } if always && !self.valid(at.now) => {
                self.work = Work::Idle { early };
            }
            // What held it back is looked at again: the limit may be another one.
            Work::BackingOff { why, .. } if change == Change::Answer || why == Why::Held => {
                self.work = Work::BackingOff {
                    until: soonest,
                    why,
                };
            }
            Work::Refused { .. } if change == Change::Answer => {
                self.work = Work::Refused { until: soonest };
            }
            // What was in the way may be gone: the provider's name, or the store's entry.
            Work::Closed => self.read_or_begin(at),
            Work::Idle { .. }
            | Work::Loading
            | Work::Reading
            | Work::Saving(_)
            | Work::Asking
            | Work::BackingOff { .. }
            | Work::Refused { .. } => {}
        }
        if change == Change::Secrets {
            self.view.secret_in_use = None;
            self.secret_changed(at);
        }
        self.view.secret_expires_at = self.spec.grant.secret_expiry(self.view.secret_in_use);
        self.changed = true;
        self
    }

    /// Another request: its token is another token, but the consent stays, and so does what of it
    /// could not be saved yet.
    fn begun_anew(self, spec: Arc<Integration>, keeps: bool, at: At) -> Self {
        let mut fresh = Self::new(spec, keeps);
        fresh.view.finished = self.view.finished;
        fresh.last_exchange = self.last_exchange;
        fresh.view.login = self.view.login.filter(|_| fresh.spec.grant.takes_logins());
        if fresh.view.login == Some(LoginState::Waiting) {
            let failure = words::login_cut_short(&fresh.spec, at.now);
            fresh.view.login = Some(LoginState::Failed(Box::new(failure)));
        }
        let aside = self.aside.map(|chain| *chain);
        let chain = self.consent.and_then(|consent| consent.chain).or(aside);
        match &mut fresh.consent {
            Some(consent) => consent.chain = chain,
            None => fresh.aside = chain.map(Box::new),
        }
        if let (Some(keep), Some(mut before)) = (&mut fresh.keep, self.keep) {
            before.unsaved.rest = before.loaded;
            before.wait = None;
            *keep = before;
        }
        fresh
    }
}

//! What the end of an exchange means for the token, the refresh token and the next wait. Pure.
//!
//! Invariant: no failure takes a held token away, and none a refresh token.

use std::sync::Arc;
use std::time::Duration;

use super::chain::Ready;
use super::{
    At, DEAD_GRANT_WAIT, Early, Ended, LONGEST_RETRY_AFTER, Machine, SECRET_WAIT, Saving, Why,
    Work, words,
};
use crate::base::{Failure, Mono, RefreshToken};
use crate::snapshot::{Held, LoginState};

impl Machine {
    /// Until when the vendor asked this client to wait, if it did.
    pub(super) fn finished(&mut self, ended: Ended, secret_moved: bool, at: At) -> Option<Mono> {
        let login = self.login_present().is_some();
        if login && !matches!(ended, Ended::Issued { .. }) {
            return self.login_ended(ended, at);
        }
        let now = at.now.mono;
        let proving = std::mem::take(&mut self.proving);
        self.dirty(false);
        let (failure, work, hold) = match ended {
            Ended::Issued {
                held,
                secret_in_use,
                refresh_token,
            } => {
                // The first read of a secret counts as a change: the first token proves it.
                let unproven = secret_moved && !proving && self.view.last_success_at.is_some();
                let ready = Ready {
                    held,
                    secret_in_use,
                    unproven,
                    login,
                };
                self.obtained(ready, refresh_token, at);
                return None;
            }
            Ended::Transient {
                retry_after,
                failure,
                refresh_token,
            } => {
                self.not_spent();
                self.found_in_passing(refresh_token.as_ref(), at);
                let asked = retry_after.max(failure.retry_after);
                let work = self.backing_off(false, asked, at);
                (failure, work, retry_after)
            }
            Ended::Ambiguous {
                retry_after,
                failure,
                refresh_token,
            } => {
                self.found_in_passing(refresh_token.as_ref(), at);
                let first = self.unclear();
                let work = self.backing_off(first, retry_after, at);
                (failure, work, retry_after)
            }
            Ended::Refused(failure) => {
                self.not_spent();
                let work = self.refused(failure.retry_after, at);
                (failure, work, None)
            }
            Ended::DeadGrant(failure) => {
                self.not_spent();
                let chain = self.consent.as_ref().and_then(|it| it.chain.as_ref());
                let failure = match chain {
                    Some(chain) => words::dead(&self.spec, chain, failure, at.now),
                    None => failure,
                };
                let until = now.plus(DEAD_GRANT_WAIT);
                (failure, Work::Refused { until }, None)
            }
            Ended::SecretUnavailable(failure) => {
                self.not_spent();
                let (until, why) = (now.plus(SECRET_WAIT), Why::Secret);
                (failure, Work::BackingOff { until, why }, None)
            }
            // Only a login polls: from here it is a refusal of a request that makes no sense.
            Ended::Pending { .. } => {
                self.not_spent();
                let failure = words::no_refresh_token(&self.spec, at.now);
                (failure, self.refused(None, at), None)
            }
        };
        self.failed(failure);
        self.begin(work);
        // The refused secret may already be the old one. Only once: a source that yields
        // something new at every read would else turn refusals into a loop.
        if secret_moved && !proving {
            self.prove(self.floor().max(now));
        }
        hold.map(|wait| now.plus(wait.min(LONGEST_RETRY_AFTER)))
    }

    /// Trouble that passes; `at_once`: without a wait of our own.
    pub(super) fn backing_off(&mut self, at_once: bool, asked: Option<Duration>, at: At) -> Work {
        let mut wait = asked.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        if !at_once {
            self.troubles = self.troubles.saturating_add(1);
            wait = wait.max(self.spec.refresh.backoff.wait(self.troubles, at.draw));
        }
        Work::BackingOff {
            until: at.now.mono.plus(wait),
            why: Why::Trouble,
        }
    }

    fn refused(&mut self, asked: Option<Duration>, at: At) -> Work {
        self.refusals = self.refusals.saturating_add(1);
        let asked = asked.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        let policy = &self.spec.refresh;
        let wait = policy.rejected_backoff.wait(self.refusals, at.draw);
        Work::Refused {
            until: at.now.mono.plus(wait.max(asked)),
        }
    }

    /// What is kept has changed; `chain`: the refresh token or its intent.
    pub(super) fn dirty(&mut self, chain: bool) {
        if let Some(keep) = &mut self.keep {
            keep.unsaved.chain |= chain;
            keep.unsaved.rest = true;
        }
    }

    /// An intent that was taken back must not be found in the store by the next broker.
    pub(super) fn not_spent(&mut self) {
        if self.consent.as_mut().is_some_and(|it| it.not_spent()) {
            self.dirty(false);
        }
    }

    /// A refresh token came that is not in the store.
    pub(super) fn received(&mut self) {
        if let Some(keep) = &mut self.keep {
            keep.received();
        }
    }

    /// A refresh token in an answer that is of no other use: never forgotten, and the one before is
    /// not sent again.
    fn found_in_passing(&mut self, found: Option<&RefreshToken>, at: At) {
        let (Some(found), Some(consent), Some(refreshing)) =
            (found, &mut self.consent, self.spec.grant.refreshing())
        else {
            return;
        };
        if consent.found(found, at.now.wall, refreshing) {
            self.dirty(true);
            self.received();
        }
    }

    /// What the vendor did with the refresh token is not known. Whether that is new: then it is asked
    /// again at once, since an answer may be had that a vendor keeps for a moment.
    fn unclear(&mut self) -> bool {
        let Some(consent) = &mut self.consent else {
            return false;
        };
        // From here on the intent stays open.
        consent.opened = false;
        consent.ambiguous = consent.ambiguous.saturating_add(1);
        consent.ambiguous == 1
    }

    /// A token. Where a refresh token may have been spent for it, what came back is saved before
    /// anything is shown.
    fn obtained(&mut self, ready: Ready, received: Option<RefreshToken>, at: At) {
        let sent_at = ready.held.sent_at().wall;
        let refreshing = self.spec.grant.refreshing();
        let (Some(consent), Some(refreshing)) = (&mut self.consent, refreshing) else {
            return self.publish(ready, at);
        };
        let (another, changed) = if ready.login {
            let another = received.is_some();
            consent.consented(received, sent_at, &self.spec, refreshing);
            (another, true)
        } else {
            let another = consent.answered(received.as_ref(), sent_at, refreshing);
            (another, another)
        };
        let first_saved = changed || refreshing.rotates();
        consent.ready = Some(ready);
        self.dirty(first_saved);
        if another {
            self.received();
        }
        if first_saved && self.keep.is_some() {
            self.begin(Work::Saving(Saving::Answer));
        } else {
            self.publish_ready(at);
        }
    }

    pub(super) fn publish_ready(&mut self, at: At) {
        if let Some((failure, asked)) = self.consent.as_mut().and_then(|it| it.rescued.take()) {
            self.login_rescued(failure, asked, at);
        }
        if let Some(ready) = self.consent.as_mut().and_then(|it| it.ready.take()) {
            self.publish(ready, at);
        }
    }

    fn publish(&mut self, ready: Ready, at: At) {
        let Ready {
            held,
            secret_in_use,
            unproven,
            login,
        } = ready;
        self.issued(held, secret_in_use, at);
        if login {
            if let Some(consent) = &mut self.consent {
                consent.login = None;
            }
            self.view.login = Some(LoginState::Done);
        }
        if unproven {
            self.prove(self.floor().max(at.now.mono));
        }
    }

    pub(super) fn issued(&mut self, held: Arc<Held>, secret_in_use: Option<usize>, at: At) {
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
        self.hold(held, at);
        self.begin(Work::Idle { early: None });
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        self.view.failure = Some(Arc::new(failure));
        self.view.consecutive_failures = self.view.consecutive_failures.saturating_add(1);
        self.view.finished = self.view.finished.saturating_add(1);
    }

    pub(super) fn secret_changed(&mut self, at: At) {
        // Without a valid token an idle worker is one that nobody asks.
        if matches!(self.work, Work::Idle { .. }) && !self.valid(at.now) {
            return;
        }
        self.prove(self.floor().max(at.now.mono));
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
            Work::Loading
            | Work::Reading
            | Work::Saving(_)
            | Work::Asking
            | Work::Closed
            | Work::BackingOff {
                why: Why::Trouble | Why::Store | Why::Held,
                ..
            } => return,
        };
        self.proving = true;
        self.begin(waiting);
    }
}

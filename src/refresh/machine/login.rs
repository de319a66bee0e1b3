//! A person's login as the machine sees it: a code to exchange, or a device code to poll.
//!
//! Pure. Must not know URLs, states or verifiers. Invariant: a login that fails changes neither
//! token nor refresh token nor the wait that it came into.

use std::time::Duration;

use super::event::{Device, Ended, LoginStep};
use super::{At, LONGEST_RETRY_AFTER, Machine, Saving, Work, words};
use crate::base::{Failure, Mono, RefreshToken};
use crate::exchange::Present;
use crate::snapshot::LoginState;

/// RFC 8628 section 3.5.
const SLOWER: Duration = Duration::from_secs(5);
/// Vendors that name no pace, or none that a vendor could stand.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// Codes that a browser brings are good for a minute at least.
const LONGEST_QUEUE: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Login {
    /// The person is not waited for any longer.
    ends: Mono,
    device: Option<Polling>,
    /// A code that waits for the vendor's limit.
    queued: Option<(Present, Mono)>,
    /// Of the exchange in flight.
    under_way: Option<(Present, Work)>,
}

#[derive(Debug)]
struct Polling {
    device: Device,
    next: Mono,
}

impl Login {
    /// When something is to be done without anybody asking.
    fn next(&self) -> Option<Mono> {
        if let (None, Some((_, from))) = (&self.under_way, &self.queued) {
            return Some(*from);
        }
        match (&self.under_way, &self.device) {
            (Some(_), _) => None,
            (None, Some(polling)) => Some(polling.next.min(self.ends)),
            (None, None) => Some(self.ends),
        }
    }
}

impl Machine {
    fn login_mut(&mut self) -> Option<&mut Login> {
        self.consent.as_mut()?.login.as_mut()
    }

    pub(super) fn login_next(&self) -> Option<Mono> {
        self.consent.as_ref()?.login.as_ref()?.next()
    }

    /// What the exchange in flight presents, if it is one of a login.
    pub(super) fn login_present(&self) -> Option<&Present> {
        let login = self.consent.as_ref()?.login.as_ref()?;
        login.under_way.as_ref().map(|(present, _)| present)
    }

    pub(super) fn login(&mut self, step: LoginStep, at: At) {
        if self.work.is_busy() {
            return;
        }
        let Some(consent) = &mut self.consent else {
            return;
        };
        match step {
            LoginStep::Begun { lasts, device } => {
                let device = device.map(|device| Polling {
                    next: at.now.mono.plus(device.interval.max(LEAST_INTERVAL)),
                    device,
                });
                consent.login = Some(Login {
                    ends: at.now.mono.plus(lasts),
                    device,
                    queued: None,
                    under_way: None,
                });
                self.view.login = Some(LoginState::Waiting);
                self.changed = true;
            }
            LoginStep::Failed(failure) => self.login_failed(failure),
            LoginStep::Came(present) => {
                consent.login = Some(Login {
                    ends: at.now.mono,
                    device: None,
                    queued: None,
                    under_way: None,
                });
                self.view.login = Some(LoginState::Waiting);
                self.login_exchange(present, at);
            }
        }
    }

    fn login_exchange(&mut self, present: Present, at: At) {
        if self.keep.as_ref().is_some_and(|keep| keep.frozen.is_some()) {
            // What is stored could not be replaced by what the login brings.
            let why = self.view.failure.as_deref().cloned();
            let failure = why.unwrap_or_else(|| words::login_expired(&self.spec, at.now));
            return self.login_failed(failure);
        }
        let before = self.work;
        if let Some(login) = self.login_mut() {
            login.under_way = Some((present, before));
            self.last_exchange = Some(at.now.mono);
            self.begin(Work::Asking);
        }
    }

    /// Time passed: polls, or gives up.
    pub(super) fn login_timer(&mut self, at: At) {
        let now = at.now.mono;
        if self.work.is_busy() {
            return;
        }
        let Some(login) = self.login_mut().filter(|login| login.under_way.is_none()) else {
            return;
        };
        if let Some((_, from)) = &login.queued {
            if *from <= now
                && let Some((present, _)) = login.queued.take()
            {
                self.login_exchange(present, at);
            }
            return;
        }
        if login.ends <= now {
            let failure = words::login_expired(&self.spec, at.now);
            return self.login_failed(failure);
        }
        let Some(polling) = login.device.as_mut().filter(|polling| polling.next <= now) else {
            return;
        };
        if at.sends_from() > now {
            polling.next = at.sends_from();
            return;
        }
        let present = Present::DeviceCode(polling.device.code.clone());
        self.login_exchange(present, at);
    }

    /// The end of a login's exchange that brought no token. What the vendor asked all to wait.
    pub(super) fn login_ended(&mut self, ended: Ended, at: At) -> Option<Mono> {
        let now = at.now.mono;
        let login = self.login_mut()?;
        let (_, before) = login.under_way.take()?;
        let ended = match ended {
            Ended::Transient {
                retry_after,
                failure,
                refresh_token: Some(received),
            }
            | Ended::Ambiguous {
                retry_after,
                failure,
                refresh_token: Some(received),
            } => return self.login_consented(received, (failure, retry_after), at),
            other @ (Ended::Issued { .. }
            | Ended::Transient { .. }
            | Ended::Ambiguous { .. }
            | Ended::Refused(_)
            | Ended::DeadGrant(_)
            | Ended::SecretUnavailable(_)
            | Ended::Pending { .. }) => other,
        };
        let polling = login.device.as_mut();
        let (wait, failure) = match (ended, polling) {
            (Ended::Pending { slower }, Some(polling)) => {
                if slower {
                    polling.device.interval = polling.device.interval.saturating_add(SLOWER);
                }
                (Duration::ZERO, None)
            }
            // RFC 8628 section 3.5: a time-out means to ask less often, not that it is over.
            (
                Ended::Transient { retry_after, .. } | Ended::Ambiguous { retry_after, .. },
                Some(polling),
            ) => {
                polling.device.interval = polling.device.interval.saturating_add(SLOWER);
                let wait = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
                (wait, None)
            }
            (
                Ended::Transient {
                    failure,
                    retry_after,
                    ..
                }
                | Ended::Ambiguous {
                    failure,
                    retry_after,
                    ..
                },
                None,
            ) => {
                let wait = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
                (wait, Some(words::to_repeat(&self.spec, failure, wait)))
            }
            (Ended::SecretUnavailable(failure), _) => {
                let failure = words::to_repeat(&self.spec, failure, Duration::ZERO);
                (Duration::ZERO, Some(failure))
            }
            (Ended::Refused(failure) | Ended::DeadGrant(failure), _) => {
                (Duration::ZERO, Some(failure))
            }
            (Ended::Pending { .. } | Ended::Issued { .. }, _) => (
                Duration::ZERO,
                Some(words::login_expired(&self.spec, at.now)),
            ),
        };
        self.begin(before);
        match failure {
            Some(failure) => self.login_failed(failure),
            None => self.poll_again(wait, now),
        }
        (!wait.is_zero()).then(|| now.plus(wait))
    }

    /// The consent is given, though the answer that says so has no access token of use: a code
    /// counts once, and the refresh token is all there is of it.
    fn login_consented(
        &mut self,
        received: RefreshToken,
        trouble: (Failure, Option<Duration>),
        at: At,
    ) -> Option<Mono> {
        let (consent, refreshing) = (self.consent.as_mut()?, self.spec.grant.refreshing()?);
        consent.consented(Some(received), at.now.wall, &self.spec, refreshing);
        consent.login = None;
        let asked = trouble.1.map(|asked| asked.min(LONGEST_RETRY_AFTER));
        consent.rescued = Some(trouble);
        self.dirty(true);
        self.received();
        if self.keep.is_some() {
            self.begin(Work::Saving(Saving::Answer));
        } else {
            self.publish_ready(at);
        }
        asked.map(|asked| at.now.mono.plus(asked))
    }

    /// Its refresh token is saved, and brings an access token at the next try.
    pub(super) fn login_rescued(&mut self, failure: Failure, asked: Option<Duration>, at: At) {
        self.view.login = Some(LoginState::Done);
        self.view.consecutive_failures = 0;
        (self.troubles, self.refusals) = (0, 0);
        self.failed(failure);
        let work = self.backing_off(false, asked, at);
        self.begin(work);
    }

    fn poll_again(&mut self, wait: Duration, now: Mono) {
        if let Some(polling) = self.login_mut().and_then(|login| login.device.as_mut()) {
            let interval = polling.device.interval.max(LEAST_INTERVAL);
            polling.next = now.plus(interval.max(wait));
        }
    }

    /// Nothing more of a login's exchange was sent: the vendor asked this client to wait, or its
    /// limit is spent.
    pub(super) fn login_held_back(&mut self, at: At) {
        let wait = at.sends_from().since(at.now.mono);
        let failure = words::to_repeat(&self.spec, self.held_back(at), wait);
        let Some(login) = self.login_mut() else {
            return;
        };
        let Some((present, before)) = login.under_way.take() else {
            return;
        };
        let polls = login.device.is_some();
        if !polls && wait <= LONGEST_QUEUE {
            login.queued = Some((present, at.now.mono.plus(wait)));
            return self.begin(before);
        }
        self.begin(before);
        if polls {
            self.poll_again(wait, at.now.mono);
        } else {
            self.login_failed(failure);
        }
    }

    /// Back to what the login's exchange came into.
    pub(super) fn login_withdrawn(&mut self) {
        if let Some((_, before)) = self.login_mut().and_then(|login| login.under_way.take()) {
            self.begin(before);
        }
    }

    pub(super) fn login_failed(&mut self, failure: Failure) {
        if let Some(consent) = &mut self.consent {
            consent.login = None;
            self.view.login = Some(LoginState::Failed(Box::new(failure)));
            self.changed = true;
        }
    }
}

#[cfg(test)]
mod tests;

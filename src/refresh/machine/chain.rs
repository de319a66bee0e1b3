//! The refresh token: which one is presented, what an answer makes of it, until when it lives.
//!
//! Pure. Invariants: a received refresh token replaces the one before at once and in one place, so
//! that a predecessor is never presented again; one that belongs to another client or vendor is
//! never presented at all.

use std::sync::Arc;
use std::time::Duration;

use super::event::Configured;
use super::login::Login;
use crate::base::{Failure, RefreshToken, Secret, Timestamp};
use crate::snapshot::Held;
use crate::spec::{Integration, Refreshing};
use crate::store::{BoundTo, Chain, sha256_of_configured};

/// What only grants with refresh tokens need.
#[derive(Debug, Default)]
pub(super) struct Consent {
    pub(super) chain: Option<Chain>,
    /// The intent was opened for the exchange to come or in flight, not by one before it.
    pub(super) opened: bool,
    /// Intents in a row that could not be saved.
    pub(super) unsaved_intents: u32,
    /// The exchange that waits for its intent to be saved was forced.
    pub(super) forced: bool,
    /// Ambiguous ends since the last clear one.
    pub(super) ambiguous: u32,
    /// Issued, and not published before its refresh token is saved.
    pub(super) ready: Option<Ready>,
    /// A login brought a refresh token and no access token of use: why, told once it is saved, and
    /// the least time until it is used.
    pub(super) rescued: Option<(Failure, Option<Duration>)>,
    /// Why the configured refresh token is not known.
    pub(super) unknown: Option<Failure>,
    pub(super) login: Option<Login>,
}

#[derive(Debug)]
pub(super) struct Ready {
    pub(super) held: Arc<Held>,
    pub(super) secret_in_use: Option<usize>,
    /// A secret changed meanwhile.
    pub(super) unproven: bool,
    /// It ends a login.
    pub(super) login: bool,
}

impl Consent {
    /// An answer to the refresh token that is held. Whether there is another one now.
    pub(super) fn answered(
        &mut self,
        received: Option<&RefreshToken>,
        sent_at: Timestamp,
        refreshing: &Refreshing,
    ) -> bool {
        self.opened = false;
        self.ambiguous = 0;
        let Some(chain) = &mut self.chain else {
            return false;
        };
        chain.intent = None;
        chain.used_at = Some(sent_at);
        received.is_some_and(|received| succeed(chain, received, sent_at, refreshing))
    }

    /// A refresh token in an answer that was of no other use.
    pub(super) fn found(
        &mut self,
        received: &RefreshToken,
        at: Timestamp,
        refreshing: &Refreshing,
    ) -> bool {
        let Some(chain) = &mut self.chain else {
            return false;
        };
        let another = succeed(chain, received, at, refreshing);
        if another {
            chain.intent = None;
            self.opened = false;
        }
        another
    }

    /// A person's consent: the chain begins anew. An answer without a refresh token keeps what
    /// there is.
    pub(super) fn consented(
        &mut self,
        received: Option<RefreshToken>,
        sent_at: Timestamp,
        spec: &Integration,
        refreshing: &Refreshing,
    ) {
        self.opened = false;
        self.ambiguous = 0;
        let (Some(received), Some(bound_to)) = (received, BoundTo::of(spec)) else {
            return;
        };
        let lifetime = received.lifetime.or(refreshing.lifetime);
        self.chain = Some(Chain {
            refresh_token: received.token,
            bound_to,
            received_at: sent_at,
            used_at: None,
            expires_at: lifetime.map(|lifetime| sent_at.plus(lifetime)),
            idle_lifetime: refreshing.idle_lifetime,
            configured: None,
            intent: None,
        });
    }

    /// The exchange that the intent was opened for has sent nothing, or ended clearly without
    /// spending the refresh token. Whether an intent was taken back.
    pub(super) fn not_spent(&mut self) -> bool {
        if !std::mem::take(&mut self.opened) {
            return false;
        }
        let intent = self.chain.as_mut().and_then(|chain| chain.intent.take());
        intent.is_some()
    }

    /// What the configuration says: a *changed* refresh token begins a new chain, an unchanged one
    /// never does, whatever became of it meanwhile.
    pub(super) fn configured(
        &mut self,
        configured: Configured,
        spec: &Integration,
        now: Timestamp,
    ) -> bool {
        self.unknown = None;
        let token = match configured {
            Ok(Some(token)) if !token.is_empty() => token,
            Ok(_) => return false,
            Err(failure) => {
                self.unknown = Some(failure);
                return false;
            }
        };
        let digest = sha256_of_configured(&token);
        let known = |chain: &Chain| chain.configured == Some(digest);
        let (false, Some(bound_to), Some(refreshing)) = (
            self.chain.as_ref().is_some_and(known),
            BoundTo::of(spec),
            spec.grant.refreshing(),
        ) else {
            return false;
        };
        self.opened = false;
        self.ambiguous = 0;
        self.chain = Some(Chain {
            refresh_token: token,
            bound_to,
            received_at: now,
            used_at: None,
            expires_at: refreshing.lifetime.map(|lifetime| now.plus(lifetime)),
            idle_lifetime: refreshing.idle_lifetime,
            configured: Some(digest),
            intent: None,
        });
        true
    }

    /// Whether there is a refresh token, and it is not for `spec`.
    pub(super) fn is_foreign(&self, spec: &Integration) -> bool {
        self.chain
            .as_ref()
            .is_some_and(|chain| BoundTo::of(spec).as_ref() != Some(&chain.bound_to))
    }

    pub(super) fn refresh_token(&self) -> Option<&Secret> {
        self.chain.as_ref().map(|chain| &chain.refresh_token)
    }

    /// Until when the refresh token lives, if it is not used meanwhile, and how long it lived in all
    /// then.
    pub(super) fn end(&self) -> Option<(Timestamp, Duration)> {
        let chain = self.chain.as_ref()?;
        let used_at = chain.used_at.unwrap_or(chain.received_at);
        let idle = chain.idle_lifetime.map(|idle| (used_at.plus(idle), idle));
        let absolute = chain
            .expires_at
            .map(|end| (end, end.since(chain.received_at)));
        [idle, absolute].into_iter().flatten().min()
    }

    /// When it is used at the latest for the sake of its own life: at half of what use prolongs,
    /// which leaves time to try, and is before anybody is warned.
    pub(super) fn use_by(&self, refreshing: &Refreshing) -> Option<Timestamp> {
        let chain = self.chain.as_ref()?;
        let used_at = chain.used_at.unwrap_or(chain.received_at);
        let idle = chain.idle_lifetime.map(|idle| used_at.plus(idle / 2));
        // Using it helps against the absolute end only where it brings another one: one that was
        // used and is still there is not renewed by being used once more.
        let renews =
            refreshing.rotates() && chain.used_at.is_none_or(|used| used <= chain.received_at);
        let absolute = chain.expires_at.filter(|_| renews);
        let absolute = absolute.map(|end| {
            let received_at = chain.received_at;
            received_at.plus(end.since(received_at) / 2)
        });
        [idle, absolute].into_iter().flatten().min()
    }
}

/// `received` takes the place of the refresh token that was presented; whether it is another one.
fn succeed(
    chain: &mut Chain,
    received: &RefreshToken,
    at: Timestamp,
    refreshing: &Refreshing,
) -> bool {
    if received.token.is_empty() {
        return false;
    }
    let another = received.token != chain.refresh_token;
    if another {
        chain.refresh_token = received.token.clone();
        chain.received_at = at;
        chain.expires_at = refreshing.lifetime.map(|lifetime| at.plus(lifetime));
    }
    if let Some(lifetime) = received.lifetime {
        chain.expires_at = Some(at.plus(lifetime));
    }
    chain.idle_lifetime = refreshing.idle_lifetime;
    another
}

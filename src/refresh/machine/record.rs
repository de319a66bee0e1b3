//! Between a machine and its record: what is written down, and what of it still counts. Pure.
//!
//! Invariant: an access token comes back only for what it was issued for, and never with more life
//! than it was issued with.

use sha2::{Digest as _, Sha256};

use super::{Machine, Token, Why, Work};
use crate::base::{ErrorCode, Issued, Now};
use crate::snapshot::Held;
use crate::spec::{Integration, SecretSource};
use crate::store::{Access, Record, Wait, WaitKind};

/// Fingerprint of what a wait is about: the request, and the secrets that the configuration itself
/// holds. Whoever changed one of them and starts the broker need not wait.
pub(super) fn asked(spec: &Integration) -> [u8; 32] {
    let mut digest = Sha256::new_with_prefix(spec.shaped_by());
    for source in spec.secret_sources() {
        if let SecretSource::Value(secret) = source {
            digest.update(Sha256::digest(secret.expose()));
        }
    }
    digest.finalize().into()
}

/// The answer that a stored access token was, if it is one that today's request would bring.
pub(in crate::refresh) fn restored(
    access: &Access,
    spec: &Integration,
    now: Now,
) -> Option<Issued> {
    if access.shaped_by != spec.shaped_by() {
        return None;
    }
    let issued = Issued {
        access_token: access.access_token.clone(),
        token_type: access.token_type.clone(),
        scope: access.scope.clone(),
        members: access.members.clone(),
        // A wall clock that was set back prolongs nothing: life counts from loading then.
        sent_at: Now {
            wall: access.sent_at.min(now.wall),
            mono: now.mono,
        },
        lifetime: access.lifetime,
        secret_in_use: access.secret_in_use,
        refresh_token: None,
    };
    let over = |life| now.elapsed_since(issued.sent_at) >= life;
    (!issued.lifetime.is_some_and(over)).then_some(issued)
}

impl Machine {
    /// What [`super::Next::Save`] saves.
    pub(in crate::refresh) fn record(&self, now: Now) -> Record {
        let consent = self.consent.as_ref();
        Record {
            chain: match consent {
                Some(consent) => consent.chain.clone(),
                None => self.aside.as_deref().cloned(),
            },
            access: self.access(now),
            wait: self.wait(now),
        }
    }

    fn access(&self, now: Now) -> Option<Access> {
        let ready = self.consent.as_ref().and_then(|it| it.ready.as_ref());
        let (held, secret_in_use) = match (ready, &self.token) {
            (Some(ready), _) => (&ready.held, ready.secret_in_use),
            (None, Token::Held { held, .. }) => (held, self.view.secret_in_use),
            (None, Token::None) => return None,
        };
        if held.is_expired(now) {
            return None;
        }
        Some(access(held, secret_in_use, &self.spec))
    }

    fn wait(&self, now: Now) -> Option<Wait> {
        let code = self.view.failure.as_ref().map(|failure| failure.code);
        let (until, kind) = match self.work {
            Work::BackingOff {
                until,
                why: Why::Trouble,
            } => (until, WaitKind::Trouble),
            Work::Refused { until } if code == Some(ErrorCode::LoginRequired) => {
                (until, WaitKind::DeadGrant)
            }
            Work::Refused { until } => (until, WaitKind::Refused),
            Work::Idle { .. }
            | Work::Loading
            | Work::Reading
            | Work::Saving(_)
            | Work::Asking
            | Work::Closed
            | Work::BackingOff { .. } => return None,
        };
        Some(Wait {
            until: now.wall.plus(until.since(now.mono)),
            kind,
            failures: self.troubles,
            refusals: self.refusals,
            asked: asked(&self.spec),
        })
    }
}

fn access(held: &Held, secret_in_use: Option<usize>, spec: &Integration) -> Access {
    let Issued {
        access_token,
        token_type,
        scope,
        members,
        sent_at,
        lifetime,
        secret_in_use,
        refresh_token: _,
    } = held.to_issued(secret_in_use);
    Access {
        access_token,
        token_type,
        scope,
        members,
        sent_at: sent_at.wall,
        lifetime,
        shaped_by: spec.shaped_by(),
        secret_in_use,
    }
}

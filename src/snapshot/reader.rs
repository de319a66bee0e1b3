//! Reading: the latest token if it is good, or a bounded wait for one.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use super::Shared;
use super::bell::Nudge;
use super::consent::{self, Begun, LoginError};
use super::held::Held;
use super::state::{Doing, Snapshot};
use crate::base::{Clock, Failure, Now, Secret};

/// How much time a caller wants left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinTtl {
    /// `server.min_ttl`: capped at a tenth of the lifetime.
    Default(Duration),
    /// Asked for in the request: more than nine tenths of the lifetime can never be met.
    Asked(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    pub min_ttl: MinTtl,
    /// How long the caller waits at most.
    pub wait: Duration,
}

/// Why a caller gets no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Nothing will change until someone acts.
    Refused(Arc<Failure>),
    /// No good token within the caller's wait; another try makes sense after `retry_after`.
    NotYet {
        failure: Option<Arc<Failure>>,
        retry_after: Duration,
    },
    /// The asked `min_ttl` exceeds nine tenths of this lifetime.
    Unattainable { lifetime: Duration },
    /// The worker is gone: the integration was removed or the broker is stopping.
    Gone,
}

/// What a caller of `POST /refresh` says about the token it holds: its sha256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected([u8; 32]);

impl Rejected {
    /// From the token itself, or from its sha256 in 64 hex digits.
    pub fn parse(text: &str) -> Self {
        Self(hex32(text).unwrap_or_else(|| Sha256::digest(text.as_bytes()).into()))
    }

    pub fn names(self, held: &Held) -> bool {
        // A token could itself look like 64 hex digits.
        let as_text = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let digest: [u8; 32] = Sha256::digest(
            as_text
                .filter_map(|nibble| char::from_digit(u32::from(nibble), 16))
                .collect::<String>()
                .as_bytes(),
        )
        .into();
        self.0 == *held.fingerprint() || digest == *held.fingerprint()
    }
}

fn hex32(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    let mut digits = text.chars().map(|c| c.to_digit(16));
    for byte in &mut bytes {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

/// The answer to a forced refresh.
#[derive(Debug, Clone)]
pub struct Refreshed {
    pub held: Arc<Held>,
    /// Set where no exchange was made for this request: time until the next forced one.
    pub retry_after: Option<Duration>,
}

/// A reader of one integration; cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// What one look at a snapshot says.
enum Look {
    Good(Arc<Held>),
    Denied(Denied),
    /// Wait; `until` is how long the next change takes at least, where that is known.
    Wait {
        nudge: Option<Nudge>,
        until: Option<Duration>,
    },
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Waits for a snapshot other than `seen`; `None` once there will be no other.
    pub async fn after(&self, seen: &Arc<Snapshot>) -> Option<Arc<Snapshot>> {
        self.shared.latest.after(seen).await
    }

    pub fn get(&self) -> Arc<Snapshot> {
        self.shared.latest.get()
    }

    /// Whether both see what the same worker publishes.
    pub fn is_of_one_board(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub fn nudge(&self, nudge: Nudge) {
        self.shared.bell.ring(nudge);
    }

    /// Begins a login in the place of one that was begun before.
    pub async fn login(&self) -> Result<Begun, LoginError> {
        consent::begin(self.shared.bell.wishes()).await
    }

    /// Goes on with a login, with what came back from the vendor's page: a URL, or its query.
    pub async fn complete_login(&self, redirect: Secret) -> Result<(), LoginError> {
        consent::complete(self.shared.bell.wishes(), redirect).await
    }

    /// The held token if it is good now: the path of almost every request, without waiting.
    pub fn good(&self, now: Now, min_ttl: MinTtl) -> Option<Arc<Held>> {
        self.shared.bell.mark_used();
        self.shared.latest.look(|snapshot| {
            let held = snapshot.valid(now)?;
            matches!(enough(held, now, min_ttl), Ok(true)).then(|| Arc::clone(held))
        })
    }

    /// A good token, waiting for the worker if need be.
    pub async fn token(&self, clock: &dyn Clock, want: Want) -> Result<Arc<Held>, Denied> {
        if let Some(held) = self.good(clock.now(), want.min_ttl) {
            return Ok(held);
        }
        let deadline = Instant::now() + want.wait;
        let mut snapshot = self.get();
        loop {
            let now = clock.now();
            let patience = deadline.saturating_duration_since(Instant::now());
            let until = match self.look(&snapshot, now, want.min_ttl) {
                Look::Good(held) => return Ok(held),
                Look::Denied(denied) => return Err(denied),
                Look::Wait { nudge, until } => {
                    if let Some(nudge) = nudge {
                        self.nudge(nudge);
                    }
                    until
                }
            };
            let not_yet = || Denied::NotYet {
                failure: snapshot.failure.clone(),
                retry_after: until.unwrap_or_default(),
            };
            if patience.is_zero() || until.is_some_and(|until| until > patience) {
                return Err(not_yet());
            }
            match timeout_at(deadline, self.shared.latest.after(&snapshot)).await {
                Err(_elapsed) => return Err(not_yet()),
                Ok(None) => return Err(Denied::Gone),
                Ok(Some(next)) => snapshot = next,
            }
        }
    }

    fn look(&self, snapshot: &Snapshot, now: Now, min_ttl: MinTtl) -> Look {
        let mut nudge = Nudge::Missing;
        let mut until = snapshot.until_next_attempt(now);
        if let Some(held) = snapshot.valid(now) {
            match enough(held, now, min_ttl) {
                Ok(true) => return Look::Good(Arc::clone(held)),
                Ok(false) => {}
                Err(denied) => return Look::Denied(denied),
            }
            nudge = Nudge::Short;
            if snapshot.doing == Doing::Idle {
                let left = if self.shared.bell.asks_only_at_expiry() {
                    held.left(now)
                } else {
                    None
                };
                until = left.or(Some(snapshot.forced_from.since(now.mono)));
            }
        }
        match (&snapshot.failure, snapshot.doing) {
            (Some(failure), Doing::Refused) => Look::Denied(Denied::Refused(Arc::clone(failure))),
            (_, Doing::Idle) => Look::Wait {
                nudge: Some(nudge),
                until,
            },
            _ => Look::Wait { nudge: None, until },
        }
    }

    /// A new token now, where the rules allow asking; see `POST /refresh` in the design.
    pub async fn refresh(
        &self,
        clock: &dyn Clock,
        want: Want,
        rejected: Option<Rejected>,
    ) -> Result<Refreshed, Denied> {
        let first = self.get();
        let now = clock.now();
        let named = |snapshot: &Snapshot, now: Now| {
            snapshot
                .valid(now)
                .is_some_and(|held| rejected.is_some_and(|bad| bad.names(held)))
        };
        let replaced = rejected.is_some() && first.valid(now).is_some() && !named(&first, now);
        let spacing = first.forced_from.since(now.mono);
        let may_ask = first.doing == Doing::Idle && spacing.is_zero();
        if replaced || !may_ask {
            let held = self.token(clock, want).await?;
            let next = spacing.max(first.until_next_attempt(now).unwrap_or_default());
            return Ok(Refreshed {
                held,
                retry_after: (!next.is_zero()).then_some(next),
            });
        }
        self.nudge(Nudge::Force);
        let deadline = Instant::now() + want.wait;
        // A worker that has to wait itself, as when a `Retry-After` is shared, does not ask for this.
        let pending = |now: &Snapshot| {
            let asks = match now.doing {
                Doing::Asking => true,
                // Else the vendor's limit leaves no room for this.
                Doing::Idle => now.forced_from <= clock.mono(),
                Doing::BackingOff { .. } | Doing::Refused => false,
            };
            asks && now.finished == first.finished
        };
        let mut last = Arc::clone(&first);
        while pending(&last) {
            match timeout_at(deadline, self.shared.latest.after(&last)).await {
                Err(_elapsed) => break,
                Ok(None) => return Err(Denied::Gone),
                Ok(Some(next)) => last = next,
            }
        }
        // A token that the vendor's API refused is useless to its caller, whatever its expiry.
        if named(&last, clock.now())
            && let Some(failure) = &last.failure
        {
            return Err(if last.is_refused() {
                Denied::Refused(Arc::clone(failure))
            } else {
                Denied::NotYet {
                    failure: Some(Arc::clone(failure)),
                    retry_after: last.until_next_attempt(clock.now()).unwrap_or_default(),
                }
            });
        }
        let patience = deadline.saturating_duration_since(Instant::now());
        let held = self
            .token(
                clock,
                Want {
                    wait: patience,
                    ..want
                },
            )
            .await?;
        let now = clock.now();
        let next = last.until_next_attempt(now).unwrap_or_default();
        let next = next.max(last.forced_from.since(now.mono));
        let held_back = last.finished == first.finished && last.doing != Doing::Asking;
        Ok(Refreshed {
            held,
            retry_after: (held_back && !next.is_zero()).then_some(next),
        })
    }
}

/// Whether a token that is not expired has enough time left.
fn enough(held: &Held, now: Now, min_ttl: MinTtl) -> Result<bool, Denied> {
    let (Some(lifetime), Some(left)) = (held.lifetime(), held.left(now)) else {
        return Ok(true);
    };
    match min_ttl {
        MinTtl::Default(wanted) => Ok(left >= wanted.min(lifetime / 10)),
        MinTtl::Asked(wanted) if wanted > lifetime.mul_f64(0.9) => {
            Err(Denied::Unattainable { lifetime })
        }
        MinTtl::Asked(wanted) => Ok(left >= wanted),
    }
}

#[cfg(test)]
mod tests;

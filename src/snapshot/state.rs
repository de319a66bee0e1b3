//! One integration at one moment.

use std::sync::Arc;
use std::time::Duration;

use super::consent::LoginState;
use super::held::Held;
use crate::base::{ErrorCode, Failure, Mono, Now, Timestamp};

/// What the worker is doing. Serving depends on `held` alone; this says what waiting can bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Nothing until the token is due.
    Idle,
    /// An exchange is in flight.
    Asking,
    /// The last attempt failed; the next one is at `until`.
    BackingOff { until: Mono },
    /// Nothing will change until someone acts (the worker still looks now and then).
    Refused,
}

#[derive(Debug, Clone)]
pub struct Snapshot {
    pub held: Option<Arc<Held>>,
    pub doing: Doing,
    /// Why the last attempt failed; `None` after a success.
    pub failure: Option<Arc<Failure>>,
    /// Exchanges that have ended since the worker started.
    pub finished: u64,
    /// No forced exchange before this.
    pub forced_from: Mono,
    /// When the next exchange is planned, on the wall clock.
    pub refresh_at: Option<Timestamp>,
    pub last_success_at: Option<Timestamp>,
    pub consecutive_failures: u32,
    /// Index in the configured list.
    pub secret_in_use: Option<usize>,
    pub secret_expires_at: Option<Timestamp>,
    pub refresh_token_expires_at: Option<Timestamp>,
    pub store_error: Option<String>,
    /// How the last login stands.
    pub login: Option<LoginState>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            held: None,
            doing: Doing::Idle,
            failure: None,
            finished: 0,
            forced_from: Mono::START,
            refresh_at: None,
            last_success_at: None,
            consecutive_failures: 0,
            secret_in_use: None,
            secret_expires_at: None,
            refresh_token_expires_at: None,
            store_error: None,
            login: None,
        }
    }
}

/// The `state` of status and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    LoginRequired,
    Rejected,
    Expired,
    Pending,
    Refreshing,
    Degraded,
    Valid,
}

impl State {
    pub const ALL: [Self; 7] = [
        Self::LoginRequired,
        Self::Rejected,
        Self::Expired,
        Self::Pending,
        Self::Refreshing,
        Self::Degraded,
        Self::Valid,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoginRequired => "login_required",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Pending => "pending",
            Self::Refreshing => "refreshing",
            Self::Degraded => "degraded",
            Self::Valid => "valid",
        }
    }
}

impl Snapshot {
    /// The first that matches, in the order of the design: a refusal shows even while a token is
    /// still valid, as the early warning it is.
    pub fn state(&self, now: Now) -> State {
        let code = self.failure.as_ref().map(|failure| failure.code);
        match (code, &self.held) {
            (Some(ErrorCode::LoginRequired), _) => State::LoginRequired,
            (Some(ErrorCode::CredentialsRejected | ErrorCode::RequestRejected), _) => {
                State::Rejected
            }
            (Some(ErrorCode::TokenExpired), None) => State::Expired,
            (_, None) => State::Pending,
            (_, Some(held)) if held.is_expired(now) => State::Expired,
            (None, Some(_)) if self.doing == Doing::Asking => State::Refreshing,
            (Some(_), Some(_)) => State::Degraded,
            (None, Some(_)) => State::Valid,
        }
    }

    /// A held token that is not expired.
    pub fn valid(&self, now: Now) -> Option<&Arc<Held>> {
        self.held.as_ref().filter(|held| !held.is_expired(now))
    }

    /// Whether nothing will change until someone acts.
    pub fn is_refused(&self) -> bool {
        self.doing == Doing::Refused
    }

    /// Time until the next attempt, where that is known and not now.
    pub fn until_next_attempt(&self, now: Now) -> Option<Duration> {
        match self.doing {
            Doing::BackingOff { until } => Some(until.since(now.mono)),
            Doing::Idle | Doing::Asking | Doing::Refused => None,
        }
    }
}

//! What goes into a step of the machine and what comes out: the vocabulary it shares with the
//! worker. Pure data.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Failure, Mono, Now, RefreshToken, Secret};
use crate::exchange::Present;
use crate::snapshot::{Held, Nudges, Snapshot};
use crate::store::Record;

/// The moment of a step, with all that is not the machine's own.
#[derive(Debug, Clone, Copy)]
pub(in crate::refresh) struct At {
    pub(in crate::refresh) now: Now,
    /// Until when the vendor asked this client to wait.
    pub(in crate::refresh) hold: Mono,
    /// What the vendor's limit leaves.
    pub(in crate::refresh) room: Room,
    /// Uniform in `0.0..1.0`.
    pub(in crate::refresh) draw: f64,
}

/// When the limit on token requests has room for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::refresh) struct Room {
    pub(in crate::refresh) from: Mono,
    /// For one that a caller wants while the token is good: the last one is left to what is due.
    pub(in crate::refresh) forced_from: Mono,
}

impl Room {
    /// Without a limit.
    pub(in crate::refresh) const FREE: Self = Self {
        from: Mono::START,
        forced_from: Mono::START,
    };
}

impl At {
    /// No request before this, whoever asks for it.
    pub(super) fn sends_from(&self) -> Mono {
        self.hold.max(self.room.from)
    }
}

/// What the configuration says the first refresh token is, read just now.
pub(in crate::refresh) type Configured = Result<Option<Secret>, Failure>;

#[derive(Debug)]
pub(in crate::refresh) enum Event {
    Started,
    /// The end of [`Next::Load`].
    Loaded(Loaded),
    /// The end of [`Next::Configured`], or read because a secret changed.
    Configured(Configured),
    /// The end of [`Next::Save`]; why nothing was saved, fit to be shown.
    Saved(Result<(), String>),
    /// A sleep is over; `used`: the token was asked for since the last look.
    Timer {
        used: bool,
    },
    Nudged(Nudges),
    /// `secret_moved`: a secret changed while the exchange was in flight.
    Finished {
        ended: Ended,
        secret_moved: bool,
    },
    /// Nothing more was sent: the vendor asked this client to wait, or others used up its limit,
    /// while the exchange was queued.
    HeldBack,
    SecretChanged,
    /// A person logs in.
    Login(LoginStep),
    /// The worker itself failed; it starts again after `wait`.
    Panicked {
        failure: Failure,
        wait: Duration,
    },
}

/// What was found in the store.
#[derive(Debug)]
pub(in crate::refresh) enum Loaded {
    Nothing,
    Found {
        record: Box<Record>,
        /// Made of the record's access token, where that is still one for what is asked today.
        held: Option<Arc<Held>>,
    },
    /// There is an entry that this broker does not understand, and why.
    Unreadable(String),
    /// Trying again may help.
    Failed(String),
}

/// What happens in a login.
#[derive(Debug)]
pub(in crate::refresh) enum LoginStep {
    /// A person was shown what to do, and has so much time for it. `device`: ask the vendor
    /// meanwhile how it goes.
    Begun {
        lasts: Duration,
        device: Option<Device>,
    },
    /// The person came back with a code; an exchange tells what it is worth.
    Came(Present),
    /// What the person came back with ends the login.
    Failed(Failure),
}

/// A device flow under way (RFC 8628).
#[derive(Debug)]
pub(in crate::refresh) struct Device {
    pub(in crate::refresh) code: Secret,
    /// The least time between two polls.
    pub(in crate::refresh) interval: Duration,
}

/// How an exchange ended, as far as the machine cares.
#[derive(Debug)]
pub(in crate::refresh) enum Ended {
    Issued {
        held: Arc<Held>,
        secret_in_use: Option<usize>,
        refresh_token: Option<RefreshToken>,
    },
    Transient {
        /// What holds for all who share the quota; `failure` has what holds for this one.
        retry_after: Option<Duration>,
        failure: Failure,
        /// Found in an answer whose access token is of no use.
        refresh_token: Option<RefreshToken>,
    },
    /// Whether the vendor took the refresh token is not known.
    Ambiguous {
        retry_after: Option<Duration>,
        failure: Failure,
        refresh_token: Option<RefreshToken>,
    },
    Refused(Failure),
    DeadGrant(Failure),
    SecretUnavailable(Failure),
    /// The person has not decided yet; `slower`: ask less often.
    Pending {
        slower: bool,
    },
}

/// What the worker has to do after a step.
#[derive(Debug)]
pub(in crate::refresh) struct Actions {
    /// Set where readers would see a difference.
    pub(in crate::refresh) publish: Option<Snapshot>,
    /// Set where the vendor asked this client to wait.
    pub(in crate::refresh) hold: Option<Mono>,
    pub(in crate::refresh) next: Next,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::refresh) enum Next {
    /// Load the record.
    Load,
    /// Read the refresh token of the configuration.
    Configured,
    /// Save the record: [`super::Machine::record`].
    Save,
    /// Begin an exchange, and present [`super::Machine::present`].
    Fetch,
    /// One of the above is under way.
    Await,
    Sleep(Duration),
    /// Nothing until a nudge, a new secret or a login.
    Listen,
}

impl Next {
    pub(in crate::refresh) fn sleep(self) -> Option<Duration> {
        match self {
            Self::Sleep(wait) => Some(wait),
            Self::Load
            | Self::Configured
            | Self::Save
            | Self::Fetch
            | Self::Await
            | Self::Listen => None,
        }
    }

    /// Whether it ends with an event of its own.
    pub(in crate::refresh) fn is_errand(self) -> bool {
        match self {
            Self::Load | Self::Configured | Self::Save | Self::Fetch => true,
            Self::Await | Self::Sleep(_) | Self::Listen => false,
        }
    }
}

//! What goes into a step of the machine and what comes out: the vocabulary it shares with the
//! worker. Pure data.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Failure, Mono, Now};
use crate::snapshot::{Held, Nudges, Snapshot};

/// The moment of a step, with all that is not the machine's own.
#[derive(Debug, Clone, Copy)]
pub(in crate::refresh) struct At {
    pub(in crate::refresh) now: Now,
    /// Until when the vendor asked this client to wait.
    pub(in crate::refresh) hold: Mono,
    /// Uniform in `0.0..1.0`.
    pub(in crate::refresh) draw: f64,
}

#[derive(Debug)]
pub(in crate::refresh) enum Event {
    Started,
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
    /// Nothing was sent: the vendor asked this client to wait while the exchange was queued.
    HeldBack,
    SecretChanged,
    /// The worker itself failed; it starts again after `wait`.
    Panicked {
        failure: Failure,
        wait: Duration,
    },
}

/// How an exchange ended, as far as the machine cares.
#[derive(Debug)]
pub(in crate::refresh) enum Ended {
    Issued {
        held: Arc<Held>,
        secret_in_use: Option<usize>,
    },
    Transient {
        retry_after: Option<Duration>,
        failure: Failure,
    },
    Refused(Failure),
    DeadGrant(Failure),
    SecretUnavailable(Failure),
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
    /// Begin an exchange.
    Fetch,
    /// An exchange is in flight.
    Await,
    Sleep(Duration),
    /// Nothing until a nudge or a new secret.
    Listen,
}

impl Next {
    pub(in crate::refresh) fn sleep(self) -> Option<Duration> {
        match self {
            Self::Sleep(wait) => Some(wait),
            Self::Fetch | Self::Await | Self::Listen => None,
        }
    }
}

//! One vendor round trip: secrets in, a typed outcome out.
//!
//! `request` and `auth` say what is sent, `answer`, `lifetime`, `members` and `response` what came
//! back, `verdict` what it means: all pure. `assertion` signs JWTs, `candidates` says which secret is
//! next. `endpoint` ties them to the network, `fixed` and `minted` are the sources that ask nobody,
//! `source` makes them all; `validate` looks at keys before anything runs. `trace` writes an exchange
//! down for a person, and `variation` says how it could be tried otherwise. Must not know when to ask
//! again, or who waits.
//! Invariant: no secret and no token appears in a failure or a log line.

mod answer;
mod assertion;
mod auth;
mod candidates;
mod endpoint;
mod fixed;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
mod lifetime;
mod members;
mod minted;
mod outcome;
mod request;
mod response;
mod skew;
mod source;
mod trace;
mod validate;
mod variation;
mod verdict;

pub use outcome::Outcome;
pub use source::{SourceError, Sources};
pub use trace::{Answered, Attempt, Sent, Trace, words};
pub use validate::{KeyProblem, validate};
pub use variation::{Variation, variation};

use std::fmt;

use futures_util::future::BoxFuture;

use crate::secrets::Changes;

/// Asked when a request is about to be sent.
pub type MaySend<'a> = dyn Fn() -> bool + Send + Sync + 'a;

/// Where a worker gets its token: the seam at which tests stand in for a vendor.
pub trait TokenSource: Send + Sync + fmt::Debug {
    /// One exchange, bounded in time by the integration's `refresh.timeout`; called by one worker,
    /// one call at a time.
    fn exchange(&self) -> BoxFuture<'_, Outcome>;

    /// The same, but `None` if `may_send` says no when it is this source's turn to send the first
    /// request: until then others may have been told to wait.
    fn exchange_if<'a>(&'a self, _may_send: &'a MaySend<'a>) -> BoxFuture<'a, Option<Outcome>> {
        Box::pin(async { Some(self.exchange().await) })
    }

    /// As [`TokenSource::exchange`], and writes down what was sent and what came back, fit to be
    /// shown. A source that asks nobody has nothing to write.
    fn examine<'a>(&'a self, _trace: &'a mut Trace) -> BoxFuture<'a, Outcome> {
        self.exchange()
    }

    /// Says when a secret this source uses has a new value; the worker alone looks at it.
    fn secret_changes(&self) -> &Changes;
}

#[cfg(test)]
mod tests;

//! One vendor round trip: secrets in, a typed outcome out.
//!
//! `request` and `auth` say what is sent, `answer`, `lifetime`, `members` and `response` what came
//! back, `verdict` what it means: all pure. `assertion` signs JWTs, `candidates` says which secret is
//! next. `endpoint` ties them to the network, `fixed` and `minted` are the sources that ask nobody,
//! `source` makes them all; `validate` looks at keys before anything runs. Must not know when to ask again, or who waits.
//! Invariant: no secret and no token appears in a failure or a log line.

mod answer;
mod assertion;
mod auth;
mod candidates;
mod endpoint;
mod fixed;
mod lifetime;
mod members;
mod minted;
mod outcome;
mod request;
mod response;
mod skew;
mod source;
mod validate;
mod verdict;

pub use outcome::Outcome;
pub use source::{SourceError, Sources};
pub use validate::{KeyProblem, validate};

use std::fmt;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// Where a worker gets its token: the seam at which tests stand in for a vendor.
pub trait TokenSource: Send + Sync + fmt::Debug {
    /// One exchange, bounded in time by the integration's `refresh.timeout`; called by one worker,
    /// one call at a time.
    fn exchange(&self) -> BoxFuture<'_, Outcome>;

    /// A counter that moves when a secret this source uses has a new value.
    fn secret_changes(&self) -> watch::Receiver<u64>;
}

#[cfg(test)]
mod tests;

//! One vendor round trip.

mod outcome;

pub use outcome::Outcome;

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

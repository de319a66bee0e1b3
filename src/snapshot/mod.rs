//! What is known about one integration, published by its worker and read by everyone else.
//!
//! The worker holds the [`Board`], the only writer; readers hold [`Reader`]s, which see the latest
//! [`Snapshot`] and can *nudge*. Must not know how tokens are obtained. Invariant: an invalid
//! answer is never published as `held`, and no failure takes a held token away.

mod bell;
mod call;
mod held;
mod latest;
mod reader;
mod state;

pub use bell::{Nudge, Nudges};
pub use call::ApiCall;
pub use held::Held;
pub use reader::{Denied, MinTtl, Reader, Refreshed, Rejected, Want};
pub use state::{Doing, Snapshot, State};

use std::sync::Arc;

use bell::Bell;
use latest::Latest;

/// The writer's end.
#[derive(Debug)]
pub struct Board(Arc<Shared>);

/// What both ends see: one piece of memory for each integration.
#[derive(Debug)]
struct Shared {
    latest: Latest,
    bell: Bell,
}

/// A board and its reader. `asks_only_at_expiry` is `reissue = "same"`: a caller who wants more
/// time left than there is then waits for the expiry instead of nudging.
pub fn board(first: Snapshot, asks_only_at_expiry: bool) -> (Board, Reader) {
    let shared = Arc::new(Shared {
        latest: Latest::new(first),
        bell: Bell::default(),
    });
    let reader = Reader::new(Arc::clone(&shared), asks_only_at_expiry);
    (Board(shared), reader)
}

impl Board {
    pub fn publish(&self, snapshot: Snapshot) {
        self.0.latest.publish(snapshot);
    }

    pub fn latest(&self) -> Arc<Snapshot> {
        self.0.latest.get()
    }

    /// Waits for the next nudge; nudges that came meanwhile are taken together.
    pub async fn nudged(&self) -> Nudges {
        self.0.bell.rung().await
    }

    /// Whether anybody asked for the token since the last call.
    pub fn take_used(&self) -> bool {
        self.0.bell.take_used()
    }
}

/// Whoever still waits learns that the worker is gone.
impl Drop for Board {
    fn drop(&mut self) {
        self.0.latest.close();
    }
}

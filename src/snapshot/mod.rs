//! What is known about one integration, published by its worker and read by everyone else.
//!
//! The worker holds the [`Board`], the only writer; readers hold [`Reader`]s, which see the latest
//! [`Snapshot`] and can *nudge*. Must not know how tokens are obtained. Invariant: an invalid
//! answer is never published as `held`, and no failure takes a held token away.

mod bell;
mod call;
mod consent;
mod held;
mod latest;
mod reader;
mod state;

pub use bell::{Nudge, Nudges};
pub use call::ApiCall;
pub use consent::{Begun, Login, LoginError, LoginState};
pub use held::Held;
pub use reader::{Denied, MinTtl, Reader, Refreshed, Rejected, Want};
pub use state::{Doing, Snapshot, State};

use std::sync::Arc;

use bell::Bell;
use consent::Wished;
use latest::Latest;

/// The writer's end.
#[derive(Debug)]
pub struct Board {
    shared: Arc<Shared>,
    /// For grants that a person consents to.
    logins: Option<Wished>,
}

/// What both ends see: one piece of memory for each integration.
#[derive(Debug)]
struct Shared {
    latest: Latest,
    bell: Bell,
}

/// What readers want of the worker.
#[derive(Debug)]
pub enum Call {
    Nudges(Nudges),
    /// The wish of a person who logs in.
    Login(Login),
}

/// A board and its reader. `asks_only_at_expiry` is `reissue = "same"`: a caller who wants more
/// time left than there is then waits for the expiry instead of nudging.
/// `takes_logins`: the grant is one that a person consents to.
pub fn board(first: Snapshot, asks_only_at_expiry: bool, takes_logins: bool) -> (Board, Reader) {
    let shared = Arc::new(Shared {
        latest: Latest::new(first),
        bell: Bell::default(),
    });
    shared.bell.set_asks_only_at_expiry(asks_only_at_expiry);
    let reader = Reader::new(Arc::clone(&shared));
    let mut board = Board {
        shared,
        logins: None,
    };
    board.set_takes_logins(takes_logins);
    (board, reader)
}

impl Board {
    pub fn publish(&self, snapshot: Snapshot) {
        self.shared.latest.publish(snapshot);
    }

    pub fn latest(&self) -> Arc<Snapshot> {
        self.shared.latest.get()
    }

    /// For a definition that took the place of the one before: readers stay.
    pub fn set_asks_only_at_expiry(&self, asks_only_at_expiry: bool) {
        self.shared
            .bell
            .set_asks_only_at_expiry(asks_only_at_expiry);
    }

    /// The same for the grant. Wishes that wait stay, unless nobody can fulfil them any more.
    pub fn set_takes_logins(&mut self, takes_logins: bool) {
        if takes_logins == self.logins.is_some() {
            return;
        }
        let (wishes, logins) = takes_logins.then(consent::channel).unzip();
        self.shared.bell.set_wishes(wishes);
        self.logins = logins;
    }

    /// Waits for the next nudge; nudges that came meanwhile are taken together.
    pub async fn nudged(&self) -> Nudges {
        self.shared.bell.rung().await
    }

    /// Waits for the next call of any kind.
    pub async fn called(&mut self) -> Call {
        let logins = &mut self.logins;
        let wish = async {
            let wish = match logins {
                Some(logins) => logins.recv().await,
                None => None,
            };
            match wish {
                Some(wish) => wish,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            wish = wish => Call::Login(wish),
            nudges = self.shared.bell.rung() => Call::Nudges(nudges),
        }
    }

    /// Whether anybody asked for the token since the last call.
    pub fn take_used(&self) -> bool {
        self.shared.bell.take_used()
    }
}

/// Whoever still waits learns that the worker is gone.
impl Drop for Board {
    fn drop(&mut self) {
        self.shared.latest.close();
    }
}

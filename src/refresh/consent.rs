//! A login on its way through a worker: from a person's wish to what the machine is told, and back
//! to the person.
//!
//! Must not decide what a login changes: the machine does. Invariant: each wish is answered once,
//! that of a code not before its tokens are saved and published.

use tokio::sync::oneshot;

use super::machine::LoginStep;
use crate::exchange::TokenSource;
use crate::snapshot::{Login, LoginError, LoginState, Snapshot};
use crate::spec::Integration;

/// What a worker remembers of logins.
#[derive(Debug, Default)]
pub(super) struct Consents {
    /// Waits for the end of the exchange under way.
    waiting: Option<oneshot::Sender<Result<(), LoginError>>>,
}

impl Consents {
    /// Takes a wish. What the machine is to know of it, if anything.
    pub(super) async fn take(
        &mut self,
        wish: Login,
        _spec: &Integration,
        _source: &dyn TokenSource,
    ) -> Option<LoginStep> {
        // Flows begin here: a `LoginStep::Begun` with the answer to the person sent, or a
        // `LoginStep::Came` with the reply kept in `waiting`.
        match wish {
            Login::Begin { reply } => {
                let _gone = reply.send(Err(LoginError::NotConsented));
            }
            Login::Complete { redirect: _, reply } => {
                let _gone = reply.send(Err(LoginError::NotBegun));
            }
        }
        None
    }

    /// Whether somebody waits for the end of a login's exchange.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.is_some()
    }

    /// Answers whoever waits, once a published snapshot says how the login ended.
    pub(super) fn answer(&mut self, snapshot: &Snapshot) {
        let result = match &snapshot.login {
            Some(LoginState::Done) => Ok(()),
            Some(LoginState::Failed(failure)) => Err(LoginError::Failed(failure.clone())),
            Some(LoginState::Waiting) | None => return,
        };
        if let Some(reply) = self.waiting.take() {
            let _gone = reply.send(result);
        }
    }
}

//! Consent: how a person's login reaches the worker, which alone exchanges and saves.
//!
//! Must not know the flows: what comes back from the vendor's page is passed on as it is. Invariant:
//! at most [`QUEUE`] wishes wait for one worker, and each is answered or dropped.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::base::{Failure, Secret};

/// Logins are made by people: a few at once are already a mistake.
const QUEUE: usize = 4;

/// What a person has to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// RFC 6749 section 4.1: visit this page; the browser comes back to `redirect_uri`.
    Browser {
        authorization_url: String,
        redirect_uri: String,
        /// Comes back with the redirect, and tells whose it is.
        state: Secret,
        expires_in: Duration,
    },
    /// RFC 8628: enter the code on that page; the worker polls meanwhile.
    Device {
        user_code: String,
        verification_uri: String,
        verification_uri_complete: Option<String>,
        expires_in: Duration,
    },
}

/// Why a login did not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginError {
    /// The grant is none that a person consents to.
    NotConsented,
    /// No login was begun, or it is over, or another one was begun since.
    NotBegun,
    /// What came back cannot be used, and why: no exchange was made, the login can go on.
    BadRedirect(String),
    /// The vendor, or the person, refused: this login is over.
    Failed(Box<Failure>),
    /// A device code was asked for moments ago; the next may be after this time.
    TooSoon(Duration),
    /// The worker is gone, or has too much to do.
    Busy,
}

/// A wish for a worker.
#[derive(Debug)]
pub enum Login {
    Begin {
        reply: oneshot::Sender<Result<Begun, LoginError>>,
    },
    Complete {
        /// The whole redirect URL, or its query.
        redirect: Secret,
        /// Answered when tokens are saved and published.
        reply: oneshot::Sender<Result<(), LoginError>>,
    },
}

/// How the last login stands: part of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginState {
    Waiting,
    Done,
    Failed(Box<Failure>),
}

pub(super) type Wishes = mpsc::Sender<Login>;
pub(super) type Wished = mpsc::Receiver<Login>;

pub(super) fn channel() -> (Wishes, Wished) {
    mpsc::channel(QUEUE)
}

pub(super) async fn begin(wishes: Option<Wishes>) -> Result<Begun, LoginError> {
    let wishes = wishes.ok_or(LoginError::NotConsented)?;
    let (reply, answer) = oneshot::channel();
    let sent = wishes.try_send(Login::Begin { reply });
    sent.ok().ok_or(LoginError::Busy)?;
    answer.await.unwrap_or(Err(LoginError::Busy))
}

pub(super) async fn complete(wishes: Option<Wishes>, redirect: Secret) -> Result<(), LoginError> {
    let wishes = wishes.ok_or(LoginError::NotConsented)?;
    let (reply, answer) = oneshot::channel();
    let sent = wishes.try_send(Login::Complete { redirect, reply });
    sent.ok().ok_or(LoginError::Busy)?;
    answer.await.unwrap_or(Err(LoginError::Busy))
}

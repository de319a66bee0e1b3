//! One vendor round trip: secrets in, a typed outcome out.
//!
//! `request`, `call`, `body` and `auth` say what is sent, with `phrase` for what is only made then;
//! `answer`, `lifetime`, `claims`, `members` and `response` what came back (`granted` its refresh token),
//! `verdict` what it means, with `presented` for what may be spent by being sent, `device` how a device
//! flow begins: all pure. `assertion` signs JWTs, `candidates` says which secret is next, `discovery` and
//! `way` where to. `endpoint` ties them to the network, `fixed` and `minted` are the sources that ask
//! nobody, `source` makes them all; `validate` looks at keys before anything runs. `trace` writes an
//! exchange down for a person, and `variation` says how it could be tried otherwise. Must not know when
//! to ask again, or who waits.
//! Invariant: no secret and no token appears in a failure or a log line.

mod answer;
mod assertion;
mod auth;
mod body;
mod call;
mod candidates;
mod claims;
mod device;
mod discovery;
mod endpoint;
mod fixed;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
mod granted;
mod lifetime;
mod members;
mod minted;
mod outcome;
mod phrase;
mod presented;
mod request;
mod response;
mod skew;
mod source;
mod trace;
mod validate;
mod variation;
mod verdict;
mod way;

pub use outcome::Outcome;
pub use source::{SourceError, Sources};
pub use trace::{Answered, Attempt, Sent, Trace, words};
pub use validate::{KeyProblem, validate};
pub use variation::{Variation, variation};

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::secrets::Changes;

use crate::base::Secret;
use crate::spec;

/// Asked when a request is about to be sent, each time; takes as long as counting it does.
pub type MaySend<'a> = dyn Fn() -> BoxFuture<'a, bool> + Send + Sync + 'a;

/// What an exchange presents besides the client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Present {
    /// Nothing: the client speaks for itself, or the grant brings what it needs.
    #[default]
    Nothing,
    /// RFC 6749 section 6.
    RefreshToken(Secret),
    /// RFC 6749 section 4.1.3 with RFC 7636.
    Code {
        code: Secret,
        verifier: Secret,
        redirect_uri: String,
    },
    /// RFC 8628 section 3.4.
    DeviceCode(Secret),
}

impl Present {
    /// What must not be shown.
    fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Nothing => Vec::new(),
            Self::RefreshToken(token) | Self::DeviceCode(token) => vec![token.clone()],
            Self::Code { code, verifier, .. } => vec![code.clone(), verifier.clone()],
        }
    }
}

/// How one exchange is asked for.
pub struct Ask<'a> {
    pub present: Present,
    /// The token that is held now: some vendors prolong it instead of issuing another one.
    pub held: Option<Secret>,
    /// Asked when it is this source's turn to send a request: until then others may have been told
    /// to wait.
    pub may_send: &'a MaySend<'a>,
    /// Where to write down what was sent and what came back, fit to be shown. A source that asks
    /// nobody has nothing to write.
    pub trace: Option<&'a mut Trace>,
}

impl fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ask({:?})", self.present)
    }
}

impl Ask<'_> {
    /// At once, with nothing but the client.
    pub fn plain() -> Self {
        Self {
            present: Present::Nothing,
            held: None,
            may_send: &|| Box::pin(std::future::ready(true)),
            trace: None,
        }
    }
}

/// For commands that make one exchange by themselves. Not for grants whose exchange may spend a
/// refresh token: those are their worker's alone ([`crate::spec::Grant::is_the_brokers_alone`]).
impl dyn TokenSource {
    /// One exchange with what the configuration has, whoever else waits.
    pub async fn exchange(&self) -> Outcome {
        self.exchange_with(None).await
    }

    /// The same, written down.
    pub async fn examine(&self, trace: &mut Trace) -> Outcome {
        self.exchange_with(Some(trace)).await
    }

    async fn exchange_with(&self, mut trace: Option<&mut Trace>) -> Outcome {
        let configured = match self.configured_refresh_token().await {
            Ok(configured) => configured,
            Err(outcome) => return outcome,
        };
        let present = configured.map_or(Present::Nothing, Present::RefreshToken);
        loop {
            let ask = Ask {
                present: present.clone(),
                trace: trace.as_deref_mut(),
                ..Ask::plain()
            };
            // `None` only where `may_send` says no.
            if let Some(outcome) = self.ask(ask).await {
                return outcome;
            }
        }
    }
}

/// The answer of a device authorization endpoint (RFC 8628 section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceAuthorization {
    pub device_code: Secret,
    pub user_code: String,
    pub verification_uri: String,
    pub verification_uri_complete: Option<String>,
    /// From when the request was sent.
    pub expires_in: Duration,
    /// The least time between two polls.
    pub interval: Duration,
}

/// Where a worker gets its token: the seam at which tests stand in for a vendor.
pub trait TokenSource: Send + Sync + fmt::Debug {
    /// One exchange, bounded in time by the integration's `refresh.timeout`; called by one worker,
    /// one call at a time. `None`: `may_send` said no, and there is more to try; what is left of
    /// the exchange is tried first in the next one.
    fn ask<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Option<Outcome>>;

    /// Begins a device flow; only for grants that have one.
    fn device_authorization(&self) -> BoxFuture<'_, Result<DeviceAuthorization, Outcome>>;

    /// The page a person is sent to, where the issuer has to be asked for it.
    fn authorization_endpoint(&self) -> BoxFuture<'_, Result<spec::Endpoint, Outcome>>;

    /// The refresh token of the configuration, for grants that begin with one: `Ok(None)` where a
    /// person's consent brings it.
    fn configured_refresh_token(&self) -> BoxFuture<'_, Result<Option<Secret>, Outcome>> {
        Box::pin(async { Ok(None) })
    }

    /// Says when a secret this source uses has a new value; the worker alone looks at it.
    fn secret_changes(&self) -> &Changes;
}

#[cfg(test)]
mod tests;

//! A vendor that is asked, as a source: how an exchange runs.
//!
//! `reach` says where a request goes, `reading` reads what it is made of, `token` asks a token endpoint,
//! `steps` makes requests of a vendor's own kind, `device` begins a device flow, `sending` sends and
//! judges.
//!
//! Invariant: a permit of an endpoint's gate is held for nothing but a request under way and its
//! count.

mod device;
mod reach;
mod reading;
mod sending;
mod steps;
mod token;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::candidates::{Candidates, Pair, pairs};
use super::discovery::Which;
use super::fixed::failure;
use super::lifetime::Oddity;
use super::request::Filled;
use super::skew::Skew;
use super::way::Ways;
use super::{Ask, DeviceAuthorization, MaySend, Outcome, Present, SourceError, TokenSource, Trace};
use crate::base::{Clock, ErrorCode, Failure, Mono, Now, Secret};
use crate::secrets;
use crate::spec::{self, FirstRefreshToken, Integration, Reissue, SecretSource};

use reach::{Found, Reach};

const SILENT: &str = "a secret's source does not answer";

/// What signs for the grant, or for the client.
struct Signer {
    /// Of the grant: those of a client are its credentials.
    keys: Candidates,
    passphrase: Option<secrets::Handle>,
    certificate: Option<secrets::Handle>,
}

/// What one exchange leaves for the next.
#[derive(Default)]
struct Memory {
    /// Indices of the credential and of the key that worked last.
    worked: (usize, usize),
    /// Those refused in an exchange that ended in passing trouble: tried last when it is repeated.
    refused: Vec<Pair>,
    skew: Skew,
    html_refusals: u32,
    /// The token before: a vendor may repeat it in an error.
    token: Option<Secret>,
    /// Told once, until it is another one.
    oddity: Option<Oddity>,
}

/// A vendor that is asked.
pub(super) struct Endpoint {
    integration: Arc<Integration>,
    reach: Reach,
    clock: Arc<dyn Clock>,
    /// Client secrets, or the keys that sign for the client.
    credentials: Candidates,
    /// Of the grant, and of the client.
    signers: [Option<Box<Signer>>; 2],
    /// What stands in parameters, headers and requests.
    inputs: Vec<(SecretSource, secrets::Handle)>,
    /// The refresh token of the configuration.
    first: Option<Box<secrets::Handle>>,
    changes: Arc<secrets::Changes>,
    memory: Mutex<Memory>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.integration.grant.endpoint();
        let host = endpoint.map_or("", |endpoint| endpoint.host());
        write!(f, "Endpoint({}, {host})", self.integration.id)
    }
}

impl TokenSource for Endpoint {
    fn ask<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Option<Outcome>> {
        Box::pin(self.exchange(ask))
    }

    fn device_authorization(&self) -> BoxFuture<'_, Result<DeviceAuthorization, Outcome>> {
        Box::pin(async { self.begin_device_flow().await.map_err(|outcome| *outcome) })
    }

    fn authorization_endpoint(&self) -> BoxFuture<'_, Result<spec::Endpoint, Outcome>> {
        Box::pin(async { self.find_the_page().await.map_err(|outcome| *outcome) })
    }

    fn configured_refresh_token(&self) -> BoxFuture<'_, Result<Option<Secret>, Outcome>> {
        Box::pin(async { self.first_refresh_token().await.map_err(|outcome| *outcome) })
    }

    fn secret_changes(&self) -> &secrets::Changes {
        &self.changes
    }
}

/// What is left of `refresh.timeout`; waiting for a permit does not count.
struct Budget<'a> {
    left: Duration,
    clock: &'a dyn Clock,
}

impl Budget<'_> {
    async fn spend<T>(&mut self, work: impl Future<Output = T> + Send) -> Option<T> {
        let started: Mono = self.clock.now().mono;
        let done = tokio::time::timeout(self.left, work).await.ok();
        let spent = self.clock.now().mono.since(started);
        self.left = self.left.saturating_sub(spent);
        done
    }
}

/// How a try with one set of secrets ended.
enum Tried {
    /// It was not allowed to send anything, or to go on.
    HeldBack,
    /// The key cannot be used: nothing was sent.
    Unusable(String),
    Done(Outcome),
}

/// What a try needs besides its secrets.
struct Attempt<'a, 'b, 'm> {
    pair: Pair,
    found: Option<&'a Found>,
    budget: &'a mut Budget<'b>,
    may_send: &'m MaySend<'m>,
    trace: Option<&'a mut Trace>,
    /// The token that a good answer without one prolongs.
    prolongs: Option<&'a Secret>,
}

impl Endpoint {
    pub(super) fn new(
        integration: Arc<Integration>,
        ways: &Arc<Ways>,
        vault: &secrets::Vault,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SourceError> {
        let changes = Arc::new(secrets::Changes::default());
        let open = |source: &SecretSource| {
            let handle = vault.open(source);
            handle.notify(&changes);
            handle
        };
        let grant = &integration.grant;
        let sent = grant.sent_secrets().into_iter();
        let mut inputs: Vec<_> = sent.map(|source| (source.clone(), open(source))).collect();
        let client = grant.request().map(|request| &request.auth);
        if let Some(spec::ClientAuth::AssertionFile(source)) = client {
            inputs.push((source.clone(), open(source)));
        }
        let signer = |assertion: &spec::Assertion, keys: bool| {
            Box::new(Signer {
                keys: Candidates::new(if keys { &assertion.key } else { &[] }, open),
                passphrase: assertion.passphrase.as_ref().map(open),
                certificate: assertion.certificate.as_ref().map(open),
            })
        };
        let of_grant = grant.assertion().map(|one| signer(one, true));
        let of_client = grant.request().and_then(|one| one.client_assertion());
        let of_client = of_client.map(|one| signer(one, false));
        let first = grant.refreshing().map(|refreshing| &refreshing.first);
        let first = match first {
            Some(FirstRefreshToken::Configured(source)) => Some(Box::new(open(source))),
            Some(
                FirstRefreshToken::AuthorizationCode { .. } | FirstRefreshToken::DeviceCode { .. },
            )
            | None => None,
        };
        Ok(Self {
            reach: Reach::of(&integration, ways, open, &clock)?,
            credentials: Candidates::new(grant.credentials(), open),
            signers: [of_grant, of_client],
            inputs,
            first,
            integration,
            clock,
            changes,
            memory: Mutex::default(),
        })
    }

    /// Asks with the secret and the key that worked last; if the vendor refuses them, with the
    /// others, once each.
    async fn exchange(&self, ask: Ask<'_>) -> Option<Outcome> {
        let Ask {
            present,
            held,
            may_send,
            mut trace,
        } = ask;
        let mut budget = self.budget();
        // Boxed, as what follows: thousands may wait at the gate after a start, and what came before
        // it is then no part of what waits.
        let prepared = Box::pin(self.prepare(present, &mut budget)).await;
        let (mut filled, found) = match prepared {
            Ok(prepared) => prepared,
            Err(outcome) => return Some(*outcome),
        };
        let extends = self.integration.refresh.reissue == Reissue::Extends;
        let prolongs = held.filter(|_| extends);
        let mut refusal: Option<Failure> = None;
        let mut unreadable: Option<String> = None;
        let mut unusable: Option<String> = None;
        let mut tried: Vec<(Option<Secret>, Option<Secret>)> = Vec::new();
        let mut sent = 0_usize;
        for pair in self.pairs() {
            let (credential, key) = match Box::pin(self.read_pair(pair, &mut budget)).await {
                Ok(found) => found,
                Err(why) => {
                    unreadable.get_or_insert(why);
                    continue;
                }
            };
            let again = tried
                .iter()
                .any(|known| *known == (credential.clone(), key.clone()));
            if again || (refusal.is_some() && budget.left.is_zero()) {
                continue;
            }
            tried.push((credential.clone(), key.clone()));
            (filled.credential, filled.key) = (credential, key);
            let attempt = Attempt {
                pair,
                found: found.as_deref(),
                budget: &mut budget,
                may_send,
                trace: trace.as_deref_mut(),
                prolongs: prolongs.as_ref(),
            };
            let ended = match self.integration.grant.steps() {
                Some(_) => Box::pin(self.run_steps(&mut filled, attempt)).await,
                None => self.ask_for_a_token(&mut filled, attempt).await,
            };
            match ended {
                // Those refused so far are the last to be tried when it goes on; if there are no
                // others, what was refused is the answer.
                Tried::HeldBack if refusal.is_some() && self.is_all_refused() => break,
                Tried::HeldBack => return None,
                Tried::Unusable(why) => {
                    unusable.get_or_insert(why);
                }
                Tried::Done(Outcome::BadCredential(failure)) => {
                    sent += 1;
                    self.refused(pair);
                    refusal.get_or_insert(failure);
                }
                Tried::Done(other @ (Outcome::Transient { .. } | Outcome::Ambiguous { .. })) => {
                    return Some(other);
                }
                Tried::Done(other) => {
                    self.memory().refused.clear();
                    return Some(other);
                }
            }
        }
        self.memory().refused.clear();
        Some(match (refusal, unusable, unreadable) {
            (Some(failure), _, _) => self.all_refused(failure, sent),
            (None, Some(why), _) => unusable_key(&why, self.clock.now()),
            (None, None, Some(why)) => self.unavailable(&why),
            (None, None, None) => self.unavailable("there is no client secret to try"),
        })
    }

    /// What is the same whichever secret is tried.
    async fn prepare(
        &self,
        present: Present,
        budget: &mut Budget<'_>,
    ) -> Result<(Filled, Option<Box<Found>>), Box<Outcome>> {
        let inputs = budget.spend(self.read_inputs()).await;
        let mut filled = inputs.unwrap_or_else(|| Err(self.refused_for(SILENT)))?;
        let found = self.look_up(&present, &mut filled, budget).await?;
        filled.present = present;
        Ok((filled, found))
    }

    fn budget(&self) -> Budget<'_> {
        Budget {
            left: self.integration.refresh.timeout,
            clock: &*self.clock,
        }
    }

    fn is_all_refused(&self) -> bool {
        let pairs = self.pairs();
        let memory = self.memory();
        pairs.iter().all(|pair| memory.refused.contains(pair))
    }

    /// The vendor refused whatever there was to try.
    fn all_refused(&self, mut failure: Failure, sent: usize) -> Outcome {
        for (_, handle) in &self.inputs {
            handle.refused();
        }
        if sent > 1 {
            let grant = &self.integration.grant;
            let client_signs = grant.request().and_then(|it| it.client_assertion());
            let what = match (grant.assertion(), client_signs) {
                (Some(_), _) => format!(" ({sent} pairs of key and secret were tried)"),
                (None, Some(_)) => format!(" (each of {sent} keys was tried)"),
                (None, None) => format!(" (each of {sent} secrets was tried)"),
            };
            failure.description.push_str(&what);
        }
        Outcome::BadCredential(failure)
    }

    fn pairs(&self) -> Vec<Pair> {
        let now = self.clock.now().wall;
        let memory = self.memory();
        let (credential, key) = memory.worked;
        let [of_grant, _] = &self.signers;
        let keys = of_grant.as_ref().map(|one| one.keys.order(key, now));
        let credentials = self.credentials.order(credential, now);
        let mut pairs = pairs(&credentials, &keys.unwrap_or_default());
        pairs.sort_by_key(|pair| memory.refused.contains(pair));
        pairs
    }

    fn refused(&self, pair: Pair) {
        self.memory().refused.push(pair);
        for handle in self.handles(pair).into_iter().flatten() {
            handle.refused();
        }
        for signer in self.signers.iter().flatten() {
            for handle in signer.passphrase.iter().chain(&signer.certificate) {
                handle.refused();
            }
        }
    }

    /// Which page a person is sent to, by the issuer.
    async fn find_the_page(&self) -> Result<spec::Endpoint, Box<Outcome>> {
        self.discover(Which::Authorization).await
    }

    fn rotates(&self) -> bool {
        let refreshing = self.integration.grant.refreshing();
        refreshing.is_some_and(spec::Refreshing::rotates)
    }

    fn unavailable(&self, why: &str) -> Outcome {
        let description = format!("a secret cannot be used: {why}");
        let now = self.clock.now();
        Outcome::SecretUnavailable(failure(ErrorCode::SecretUnavailable, description, now))
    }

    /// The same, for whoever cannot go on.
    fn refused_for(&self, why: &str) -> Box<Outcome> {
        Box::new(self.unavailable(why))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that must not be shown: what is sent as a secret, what was made of it, and the token before.
    fn held(&self, filled: &Filled, derived: Vec<Secret>) -> Vec<Secret> {
        let token = self.memory().token.clone();
        filled.held().chain(derived).chain(token).collect()
    }
}

/// A key that is there, but is none or does not fit: nothing will change until someone acts.
pub(super) fn unusable_key(why: &str, now: Now) -> Outcome {
    let mut failure = failure(
        ErrorCode::RequestRejected,
        format!("the assertion cannot be signed: {why}"),
        now,
    );
    failure.hint = Some(
        "correct the key, the passphrase or the algorithm; 'token-broker check' looks at all of \
         them"
            .to_owned(),
    );
    Outcome::BadRequest(failure)
}

#[cfg(test)]
mod tests;

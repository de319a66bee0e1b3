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
use tokio::sync::SemaphorePermit;

use super::candidates::{Candidates, Pair, pairs};
use super::discovery::Which;
use super::fixed::{failure, unavailable};
use super::lifetime::Oddity;
use super::members::Tokens;
use super::request::Filled;
use super::skew::Skew;
use super::way::Ways;
use super::{Ask, DeviceAuthorization, MaySend, Outcome, SourceError, TokenSource, Trace};
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
    is_bound: bool,
    /// What the chain before was made of: a vendor may repeat that as well.
    chain: Option<Box<Tokens>>,
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
        Box::pin(self.in_turn(ask))
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

/// An exchange under way.
struct Exchange<'a> {
    /// It was its turn before it began.
    permit: Option<SemaphorePermit<'a>>,
    filled: Filled,
    found: Option<Box<Found>>,
    budget: Budget<'a>,
    may_send: &'a MaySend<'a>,
    trace: Option<&'a mut Trace>,
    /// The token that a good answer without one prolongs.
    prolongs: Option<Secret>,
    /// Those that are still to be tried.
    pairs: std::vec::IntoIter<Pair>,
    /// The one that is tried.
    pair: Pair,
    tried: Vec<(Option<Secret>, Option<Secret>)>,
    /// Requests that were answered, or should have been.
    sent: usize,
    /// The first of each: what the vendor said, why a key cannot be used, why a secret is not there.
    refusal: Option<Box<Failure>>,
    unusable: Option<Box<str>>,
    unreadable: Option<Box<str>>,
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
            inputs.push(((**source).clone(), open(source)));
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

    /// Thousands may wait for their turn after a start. Where all is at hand that a request is made
    /// of, nothing is made before it is its turn.
    async fn in_turn<'a>(&'a self, ask: Ask<'a>) -> Option<Outcome> {
        let aim = self.aim(&ask.present, None).filter(|_| self.is_at_hand());
        let permit = match aim {
            Some(aim) => aim.way.gate.acquire().await.ok(),
            None => None,
        };
        Box::pin(self.exchange(ask, permit)).await
    }

    /// Asks with the secret and the key that worked last; if the vendor refuses them, with the
    /// others, once each.
    async fn exchange<'a>(
        &'a self,
        ask: Ask<'a>,
        permit: Option<SemaphorePermit<'a>>,
    ) -> Option<Outcome> {
        let mut exchange = self.begin(ask, permit);
        if self.needs_reading()
            && let Err(outcome) = Box::pin(self.prepare(&mut exchange)).await
        {
            return Some(*outcome);
        }
        loop {
            let next = match self.next_at_hand(&mut exchange) {
                Some(next) => next,
                None => Box::pin(self.next_pair(&mut exchange)).await,
            };
            if !next {
                break;
            }
            let ended = match self.integration.grant.steps() {
                Some(_) => Box::pin(self.run_steps(&mut exchange)).await,
                None => self.ask_for_a_token(&mut exchange).await,
            };
            match ended {
                // Those refused so far are the last to be tried when it goes on; if there are no
                // others, what was refused is the answer.
                Tried::HeldBack if exchange.refusal.is_some() && self.is_all_refused() => break,
                Tried::HeldBack => return None,
                Tried::Unusable(why) => {
                    exchange.unusable.get_or_insert(why.into());
                }
                Tried::Done(Outcome::BadCredential(failure)) => {
                    exchange.sent += 1;
                    self.refused(exchange.pair);
                    exchange.refusal.get_or_insert(Box::new(failure));
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
        let Exchange {
            refusal,
            unusable,
            unreadable,
            sent,
            ..
        } = exchange;
        Some(match (refusal, unusable, unreadable) {
            (Some(failure), _, _) => self.all_refused(*failure, sent),
            (None, Some(why), _) => unusable_key(&why, self.clock.now()),
            (None, None, Some(why)) => self.unavailable(&why),
            (None, None, None) => self.unavailable("there is no client secret to try"),
        })
    }

    fn begin<'a>(&'a self, ask: Ask<'a>, permit: Option<SemaphorePermit<'a>>) -> Exchange<'a> {
        let Ask {
            present,
            held,
            may_send,
            trace,
        } = ask;
        let extends = self.integration.refresh.reissue == Reissue::Extends;
        Exchange {
            permit,
            filled: Filled {
                present,
                ..Filled::default()
            },
            found: None,
            budget: self.budget(),
            may_send,
            trace,
            prolongs: held.filter(|_| extends),
            pairs: self.pairs().into_iter(),
            pair: (None, None),
            tried: Vec::new(),
            sent: 0,
            refusal: None,
            unusable: None,
            unreadable: None,
        }
    }

    /// Whether something has to be read or looked up before a request can be made, besides what is
    /// tried.
    fn needs_reading(&self) -> bool {
        let signs = self.signers.iter().any(Option::is_some);
        signs || !self.inputs.is_empty() || matches!(self.reach, Reach::Open(_))
    }

    /// Whether nothing has to be waited for but the vendor.
    fn is_at_hand(&self) -> bool {
        let values = |pair: &Pair| self.pair_at_hand(*pair).is_some();
        !self.needs_reading() && self.pairs().iter().all(values)
    }

    /// What is the same whichever secret is tried.
    async fn prepare(&self, exchange: &mut Exchange<'_>) -> Result<(), Box<Outcome>> {
        let Exchange {
            filled,
            found,
            budget,
            ..
        } = exchange;
        let read = budget.spend(self.read_inputs(filled)).await;
        read.unwrap_or_else(|| Err(self.refused_for(SILENT)))?;
        *found = self.look_up(filled, budget).await?;
        Ok(())
    }

    /// The next pair that has not been tried under another name, if it can be had without waiting:
    /// whether there is one.
    fn next_at_hand(&self, exchange: &mut Exchange<'_>) -> Option<bool> {
        loop {
            let Some(pair) = exchange.pairs.as_slice().first().copied() else {
                return Some(false);
            };
            let read = self.pair_at_hand(pair)?;
            exchange.pairs.next();
            if takes(exchange, pair, read) {
                return Some(true);
            }
        }
    }

    /// The same for pairs that have to be read.
    async fn next_pair(&self, exchange: &mut Exchange<'_>) -> bool {
        while let Some(pair) = exchange.pairs.next() {
            match self.read_pair(pair, &mut exchange.budget).await {
                Ok(read) => {
                    if takes(exchange, pair, read) {
                        return true;
                    }
                }
                Err(why) => {
                    exchange.unreadable.get_or_insert(why.into());
                }
            }
        }
        false
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
        unavailable(&self.integration.vendor, why, self.clock.now())
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

/// Whether a pair is still worth a try; then it is the one that is tried.
fn takes(exchange: &mut Exchange<'_>, pair: Pair, read: (Option<Secret>, Option<Secret>)) -> bool {
    let late = exchange.refusal.is_some() && exchange.budget.left.is_zero();
    if late || exchange.tried.contains(&read) {
        return false;
    }
    if exchange.pairs.len() > 0 {
        exchange.tried.push(read.clone());
    }
    (exchange.filled.credential, exchange.filled.key) = read;
    exchange.pair = pair;
    true
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

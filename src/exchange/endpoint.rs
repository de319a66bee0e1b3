//! A token endpoint as a source: how an exchange runs.
//!
//! `elsewhere` is what grants with refresh tokens need besides, `device` begins a device flow.
//!
//! Invariant: a permit of the endpoint's gate is held for nothing but a request under way and its
//! count.

mod device;
mod elsewhere;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::answer::Answer;
use super::assertion;
use super::candidates::{Candidates, Pair, pairs};
use super::fixed::failure;
use super::presented::Presented;
use super::request::{self, Filled};
use super::skew::Skew;
use super::verdict::{self, Context};
use super::{Ask, DeviceAuthorization, MaySend, Outcome, Present, TokenSource, Trace, trace};
use crate::base::{Clock, CrashPoint, ErrorCode, Failure, Mono, Now, Secret, crash_point};
use crate::net;
use crate::secrets;
use crate::spec::{
    Bearer, FirstRefreshToken, Grant, Integration, RequestValue, SecretSource, TokenRequest,
};

use elsewhere::Aim;
pub(super) use elsewhere::{Elsewhere, Place};

const SILENT: &str = "a secret's source does not answer";

/// What an endpoint shares with others.
pub(super) struct Shared<'a> {
    pub(super) client: net::Client,
    pub(super) gate: Arc<Semaphore>,
    /// For grants with refresh tokens.
    pub(super) elsewhere: Option<Elsewhere>,
    pub(super) vault: &'a secrets::Vault,
    pub(super) clock: Arc<dyn Clock>,
}

enum Input {
    Text(Secret),
    Source(secrets::Handle),
}

/// What assertions are made of.
struct Signing {
    bearer: Arc<Bearer>,
    keys: Candidates,
    passphrase: Option<secrets::Handle>,
}

/// What one exchange leaves for the next.
#[derive(Default)]
struct Memory {
    /// Indices of the client secret and of the key that worked last.
    worked: (usize, usize),
    /// Those refused in an exchange that ended in passing trouble: tried last when it is repeated.
    refused: Vec<Pair>,
    skew: Skew,
    html_refusals: u32,
    /// The token before: a vendor may repeat it in an error.
    token: Option<Secret>,
}

/// A token endpoint.
pub(super) struct Endpoint {
    integration: Arc<Integration>,
    request: Arc<TokenRequest>,
    host: String,
    client: net::Client,
    gate: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    secrets: Candidates,
    signing: Option<Signing>,
    params: Vec<Input>,
    headers: Vec<Input>,
    elsewhere: Option<Box<Elsewhere>>,
    changes: Arc<secrets::Changes>,
    memory: Mutex<Memory>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({}, {})", self.integration.id, self.host)
    }
}

impl TokenSource for Endpoint {
    fn ask<'a>(&'a self, ask: Ask<'a>) -> BoxFuture<'a, Option<Outcome>> {
        Box::pin(self.exchange(ask))
    }

    fn device_authorization(&self) -> BoxFuture<'_, Result<DeviceAuthorization, Outcome>> {
        Box::pin(self.begin_device_flow())
    }

    fn configured_refresh_token(&self) -> BoxFuture<'_, Result<Option<Secret>, Outcome>> {
        Box::pin(self.first_refresh_token())
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

impl Endpoint {
    pub(super) fn new(
        integration: Arc<Integration>,
        request: &Arc<TokenRequest>,
        shared: Shared<'_>,
    ) -> Self {
        let changes = Arc::new(secrets::Changes::default());
        let open = |source: &SecretSource| {
            let handle = shared.vault.open(source);
            handle.notify(&changes);
            handle
        };
        let values = |values: &[(String, RequestValue)]| {
            let open = |(_, value): &(String, RequestValue)| match value {
                RequestValue::Text(text) => Input::Text(Secret::new(text.as_str())),
                RequestValue::Secret(source) => Input::Source(open(source)),
            };
            values.iter().map(open).collect()
        };
        let endpoint = &request.endpoint;
        Self {
            host: elsewhere::host(endpoint),
            elsewhere: shared.elsewhere.map(|mut elsewhere| {
                let refreshing = integration.grant.refreshing();
                if let Some(FirstRefreshToken::Configured(source)) = refreshing.map(|it| &it.first)
                {
                    elsewhere.first = Some(open(source));
                }
                Box::new(elsewhere)
            }),
            secrets: Candidates::new(&request.client_secret, open),
            signing: match &integration.grant {
                Grant::JwtBearer(_, bearer) => Some(Signing {
                    keys: Candidates::new(&bearer.assertion.key, open),
                    passphrase: bearer.assertion.passphrase.as_ref().map(open),
                    bearer: Arc::clone(bearer),
                }),
                Grant::ClientCredentials(_)
                | Grant::RefreshToken(..)
                | Grant::SignedJwt(_)
                | Grant::Static(_) => None,
            },
            params: values(&request.params),
            headers: values(&request.headers),
            request: Arc::clone(request),
            integration,
            client: shared.client,
            gate: shared.gate,
            clock: shared.clock,
            changes,
            memory: Mutex::default(),
        }
    }

    /// Asks with the secret and the key that worked last; if the vendor refuses them, with the
    /// others, once each.
    async fn exchange(&self, ask: Ask<'_>) -> Option<Outcome> {
        let Ask {
            present,
            may_send,
            mut trace,
        } = ask;
        let mut budget = Budget {
            left: self.integration.refresh.timeout,
            clock: &*self.clock,
        };
        // Boxed, as what follows: thousands may wait at the gate after a start, and what came before
        // it is then no part of what waits.
        let Some(inputs) = budget.spend(Box::pin(self.read_inputs())).await else {
            return Some(self.unavailable(SILENT));
        };
        let mut filled = match inputs {
            Ok(filled) => filled,
            Err(outcome) => return Some(outcome),
        };
        filled.present = present;
        let mut refusal: Option<Failure> = None;
        let mut unreadable: Option<String> = None;
        let mut unusable: Option<String> = None;
        let mut tried: Vec<(Option<Secret>, Option<Secret>)> = Vec::new();
        let mut sent = 0_usize;
        for pair in self.pairs() {
            let (secret, key) = match Box::pin(self.read_pair(pair, &mut budget)).await {
                Ok(found) => found,
                Err(why) => {
                    unreadable.get_or_insert(why);
                    continue;
                }
            };
            let again = tried
                .iter()
                .any(|known| *known == (secret.clone(), key.clone()));
            if again || (refusal.is_some() && budget.left.is_zero()) {
                continue;
            }
            tried.push((secret.clone(), key.clone()));
            filled.client_secret = secret;
            if let (Some(signing), Some(key)) = (&self.signing, key) {
                match Box::pin(self.sign(signing, &key, &filled, &mut budget)).await {
                    Ok(assertion) => filled.assertion = Some(assertion),
                    Err(why) => {
                        unusable.get_or_insert(why);
                        continue;
                    }
                }
                filled.key = Some(key);
            }
            sent += 1;
            let trace = trace.as_deref_mut();
            match self
                .attempt(&filled, pair, &mut budget, may_send, trace)
                .await
            {
                // Those refused so far are the last to be tried when it goes on; if there are no
                // others, what was refused is the answer.
                None if refusal.is_some() && self.is_all_refused() => break,
                None => return None,
                Some(Outcome::BadCredential(failure)) => {
                    self.refused(pair);
                    refusal.get_or_insert(failure);
                }
                other @ Some(Outcome::Transient { .. } | Outcome::Ambiguous { .. }) => {
                    return other;
                }
                other => {
                    self.memory().refused.clear();
                    return other;
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

    fn is_all_refused(&self) -> bool {
        let pairs = self.pairs();
        let memory = self.memory();
        pairs.iter().all(|pair| memory.refused.contains(pair))
    }

    /// The vendor refused whatever there was to try.
    fn all_refused(&self, mut failure: Failure, sent: usize) -> Outcome {
        for input in self.params.iter().chain(&self.headers) {
            if let Input::Source(handle) = input {
                handle.refused();
            }
        }
        if sent > 1 {
            let what = match &self.signing {
                Some(_) => format!(" ({sent} pairs of key and secret were tried)"),
                None => format!(" (each of {sent} secrets was tried)"),
            };
            failure.description.push_str(&what);
        }
        Outcome::BadCredential(failure)
    }

    fn pairs(&self) -> Vec<Pair> {
        let now = self.clock.now().wall;
        let memory = self.memory();
        let (secret, key) = memory.worked;
        let keys = self.signing.as_ref().map(|one| one.keys.order(key, now));
        let mut pairs = pairs(&self.secrets.order(secret, now), &keys.unwrap_or_default());
        pairs.sort_by_key(|pair| memory.refused.contains(pair));
        pairs
    }

    fn handles(&self, (secret, key): Pair) -> [Option<&secrets::Handle>; 2] {
        let keys = self.signing.as_ref().map(|signing| &signing.keys);
        [
            secret.and_then(|index| self.secrets.get(index)),
            key.and_then(|index| keys?.get(index)),
        ]
    }

    async fn read_pair(
        &self,
        pair: Pair,
        budget: &mut Budget<'_>,
    ) -> Result<(Option<Secret>, Option<Secret>), String> {
        let mut found = [None, None];
        for (handle, found) in self.handles(pair).into_iter().zip(&mut found) {
            if let Some(handle) = handle {
                *found = match budget.spend(handle.read_for(&self.changes)).await {
                    Some(Ok(secret)) => Some(secret),
                    Some(Err(error)) => return Err(error.to_string()),
                    None => return Err(SILENT.to_owned()),
                };
            }
        }
        let [secret, key] = found;
        Ok((secret, key))
    }

    fn refused(&self, pair: Pair) {
        self.memory().refused.push(pair);
        for handle in self.handles(pair).into_iter().flatten() {
            handle.refused();
        }
        if let Some(handle) = self
            .signing
            .as_ref()
            .and_then(|one| one.passphrase.as_ref())
        {
            handle.refused();
        }
    }

    /// A new assertion, by the vendor's clock; made off the serving thread.
    async fn sign(
        &self,
        signing: &Signing,
        key: &Secret,
        filled: &Filled,
        budget: &mut Budget<'_>,
    ) -> Result<Secret, String> {
        let now = self.memory().skew.correct(self.clock.now().wall);
        let bearer = Arc::clone(&signing.bearer);
        let (key, passphrase) = (key.clone(), filled.passphrase.clone());
        let work = tokio::task::spawn_blocking(move || {
            assertion::sign(&bearer.assertion, &key, passphrase.as_ref(), now)
        });
        match budget.spend(work).await {
            Some(Ok(signed)) => signed.map_err(|error| error.to_string()),
            Some(Err(error)) => Err(format!("could not be used: {error}")),
            None => Err("takes too long to unlock".to_owned()),
        }
    }

    async fn read_inputs(&self) -> Result<Filled, Outcome> {
        Ok(Filled {
            present: Present::Nothing,
            client_secret: None,
            assertion: None,
            key: None,
            passphrase: self.read_passphrase().await?,
            params: self.read_all(&self.params).await?,
            headers: self.read_all(&self.headers).await?,
        })
    }

    async fn read_passphrase(&self) -> Result<Option<Secret>, Outcome> {
        let Some(handle) = self
            .signing
            .as_ref()
            .and_then(|one| one.passphrase.as_ref())
        else {
            return Ok(None);
        };
        match handle.read_for(&self.changes).await {
            Ok(secret) => Ok(Some(secret)),
            Err(error) => Err(self.unavailable(&error.to_string())),
        }
    }

    async fn read_all(&self, inputs: &[Input]) -> Result<Vec<Secret>, Outcome> {
        let mut values = Vec::with_capacity(inputs.len());
        for input in inputs {
            values.push(match input {
                Input::Text(text) => text.clone(),
                Input::Source(handle) => match handle.read_for(&self.changes).await {
                    Ok(secret) => secret,
                    Err(error) => return Err(self.unavailable(&error.to_string())),
                },
            });
        }
        Ok(values)
    }

    /// One request with one set of secrets.
    async fn attempt(
        &self,
        filled: &Filled,
        pair: Pair,
        budget: &mut Budget<'_>,
        may_send: &MaySend<'_>,
        trace: Option<&mut Trace>,
    ) -> Option<Outcome> {
        // It is never closed; without a permit the request goes all the same. Thousands may wait
        // here after a start, so what a request takes is made, and boxed, behind the gate; and it is
        // counted there, since it must not count as earlier than it is.
        let permit = self.aim(&filled.present).gate.acquire().await.ok();
        if !may_send().await {
            return None;
        }
        Some(Box::pin(self.send(filled, pair, budget, permit, trace)).await)
    }

    async fn send(
        &self,
        filled: &Filled,
        pair: Pair,
        budget: &mut Budget<'_>,
        permit: Option<SemaphorePermit<'_>>,
        trace: Option<&mut Trace>,
    ) -> Outcome {
        let id = &self.integration.id;
        let aim = self.aim(&filled.present);
        let secret_in_use = if self.integration.grant.counts_keys() {
            pair.1
        } else {
            pair.0
        };
        let bearer = self.signing.as_ref().map(|signing| &*signing.bearer);
        let request = match request::build(&self.request, aim.endpoint, bearer, filled) {
            Ok(request) => request,
            Err(error) => return self.unavailable(&error.to_string()),
        };
        let looked = trace.map(|trace| {
            let held = self.held(filled, &self.memory());
            let proxy = aim.client.proxy_for(&request.url);
            let look = trace::Look::at(&self.request, filled, &request, held, proxy);
            (trace, look)
        });
        let sent_at = self.clock.now();
        tracing::debug!(
            integration.id = %id, endpoint = %aim.endpoint, secret.index = secret_in_use,
            "asking for a token for {id}"
        );
        crash_point(CrashPoint::BeforeRequest);
        let sent = budget.spend(aim.client.send(request)).await;
        crash_point(CrashPoint::AfterAnswer);
        drop(permit);
        let now = self.clock.now();
        let answer = sent.unwrap_or_else(|| Err(net::Error::timeout()));
        let outcome = self.judge(&answer, filled, aim.host, sent_at, now, secret_in_use);
        if let Outcome::Issued(_) = &outcome {
            self.memory().worked = (pair.0.unwrap_or_default(), pair.1.unwrap_or_default());
        }
        let took = now.mono.since(sent_at.mono);
        tracing::debug!(
            integration.id = %id, outcome = outcome.label(), took_ms = took.as_millis(),
            status = answer.as_ref().ok().map(|answer| answer.status),
            "the exchange for {id} ended"
        );
        if let Some((trace, look)) = looked {
            let shape = &self.integration.response;
            trace
                .attempts
                .push(look.finish(&answer, &outcome, shape, sent_at, now, secret_in_use));
        }
        outcome
    }

    /// Where a request goes that presents this.
    fn aim(&self, present: &Present) -> Aim<'_> {
        let refresh = match (present, self.elsewhere.as_deref()) {
            (Present::RefreshToken(_), Some(elsewhere)) => elsewhere.refresh.as_ref(),
            _ => None,
        };
        refresh.map_or(
            Aim {
                endpoint: &self.request.endpoint,
                host: &self.host,
                client: &self.client,
                gate: &self.gate,
            },
            Place::aim,
        )
    }

    fn rotates(&self) -> bool {
        self.elsewhere
            .as_ref()
            .is_some_and(|elsewhere| elsewhere.rotates)
    }

    async fn first_refresh_token(&self) -> Result<Option<Secret>, Outcome> {
        let first = self.elsewhere.as_ref().and_then(|one| one.first.as_ref());
        let Some(handle) = first else {
            return Ok(None);
        };
        let limit = self.integration.refresh.timeout;
        match tokio::time::timeout(limit, handle.read_for(&self.changes)).await {
            Ok(Ok(token)) => Ok(Some(token)),
            Ok(Err(error)) => Err(self.unavailable(&error.to_string())),
            Err(_) => Err(self.unavailable(SILENT)),
        }
    }

    fn judge(
        &self,
        answer: &Result<net::Response, net::Error>,
        filled: &Filled,
        host: &str,
        sent_at: Now,
        now: Now,
        secret_in_use: Option<usize>,
    ) -> Outcome {
        let mut memory = self.memory();
        let held = self.held(filled, &memory);
        let policy = &self.integration.refresh;
        let context = Context {
            id: &self.integration.id,
            shape: &self.integration.response,
            vendor: &self.integration.vendor,
            host,
            sent_at,
            now,
            held: &held,
            secret_in_use,
            presented: Presented::of(&filled.present, self.rotates()),
            takes_logins: self.integration.grant.takes_logins(),
            html_refusals: memory.html_refusals,
            timeout: policy.timeout,
            connect_timeout: policy.connect_timeout,
        };
        let outcome = match answer {
            Ok(response) => {
                if self.signing.is_some() {
                    let date = net::answer_date(&response.headers, now.wall);
                    memory.skew.learn(date, sent_at.wall, now.wall, context.id);
                }
                let answer = Answer::read(response, context.shape, sent_at);
                let is_html_refusal = answer.is_html && matches!(answer.status, 401 | 403);
                let outcome = verdict::judge(&answer, &context);
                memory.html_refusals = if is_html_refusal {
                    memory.html_refusals.saturating_add(1)
                } else {
                    0
                };
                outcome
            }
            Err(error) => verdict::no_answer(error, &context),
        };
        if let Outcome::Issued(issued) = &outcome {
            memory.token = Some(issued.access_token.clone());
        }
        outcome
    }

    /// All that must not be shown: what is sent as a secret, and the token before.
    fn held(&self, filled: &Filled, memory: &Memory) -> Vec<Secret> {
        let inputs = self.params.iter().zip(&filled.params);
        let inputs = inputs.chain(self.headers.iter().zip(&filled.headers));
        let secret_inputs = inputs
            .filter(|(input, _)| matches!(input, Input::Source(_)))
            .map(|(_, value)| value.clone());
        filled
            .client_secret
            .clone()
            .into_iter()
            .chain(request::basic_credentials(&self.request, filled))
            .chain(filled.assertion.clone())
            .chain(filled.key.clone())
            .chain(filled.passphrase.clone())
            .chain(secret_inputs)
            .chain(memory.token.clone())
            .chain(filled.present.secrets())
            .collect()
    }

    fn unavailable(&self, why: &str) -> Outcome {
        let description = format!("a secret cannot be used: {why}");
        let now = self.clock.now();
        Outcome::SecretUnavailable(failure(ErrorCode::SecretUnavailable, description, now))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key that is there, but is none or does not fit: nothing will change until someone acts.
pub(super) fn unusable_key(why: &str, now: Now) -> Outcome {
    let mut failure = failure(
        ErrorCode::RequestRejected,
        format!("the assertion cannot be signed: the key {why}"),
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

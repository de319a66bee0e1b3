//! A token endpoint as a source: how an exchange runs.
//!
//! Invariant: a permit of the endpoint's gate is held for nothing but a request under way.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, watch};

use super::answer::Answer;
use super::request::{self, Filled};
use super::verdict::{self, Context};
use super::{Outcome, TokenSource};
use crate::base::{Clock, ErrorCode, Failure, Mono, Now, Secret};
use crate::net;
use crate::secrets;
use crate::spec::{Integration, RequestValue, SecretCandidate, SecretSource, TokenRequest};

/// What an endpoint shares with others.
pub(super) struct Shared<'a> {
    pub(super) client: net::Client,
    pub(super) gate: Arc<Semaphore>,
    pub(super) vault: &'a secrets::Vault,
    pub(super) clock: Arc<dyn Clock>,
}

enum Input {
    Text(Secret),
    Source(Arc<secrets::Handle>),
}

/// What one exchange leaves for the next.
#[derive(Default)]
struct Memory {
    /// Index of the client secret that worked last.
    worked: usize,
    html_refusals: u32,
    /// The token before: a vendor may repeat it in an error.
    token: Option<Secret>,
}

/// A token endpoint.
pub(super) struct Endpoint {
    integration: Arc<Integration>,
    request: TokenRequest,
    host: String,
    client: net::Client,
    gate: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    secrets: Vec<Arc<secrets::Handle>>,
    params: Vec<Input>,
    headers: Vec<Input>,
    changes: Arc<watch::Sender<u64>>,
    memory: Mutex<Memory>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({}, {})", self.integration.id, self.host)
    }
}

impl TokenSource for Endpoint {
    fn exchange(&self) -> BoxFuture<'_, Outcome> {
        Box::pin(self.ask())
    }

    fn secret_changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
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
        request: &TokenRequest,
        shared: Shared<'_>,
    ) -> Self {
        let changes = Arc::new(watch::Sender::new(0));
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
            host: endpoint.url().port().map_or_else(
                || endpoint.host().to_owned(),
                |port| format!("{}:{port}", endpoint.host()),
            ),
            secrets: request
                .client_secret
                .iter()
                .map(|candidate| open(&candidate.source))
                .collect(),
            params: values(&request.params),
            headers: values(&request.headers),
            request: request.clone(),
            integration,
            client: shared.client,
            gate: shared.gate,
            clock: shared.clock,
            changes,
            memory: Mutex::default(),
        }
    }

    /// Asks with the secret that worked last; if the vendor refuses it, with each other one once.
    async fn ask(&self) -> Outcome {
        let mut budget = Budget {
            left: self.integration.refresh.timeout,
            clock: &*self.clock,
        };
        let Some(inputs) = budget.spend(self.read_inputs()).await else {
            return self.unavailable("a secret's source does not answer");
        };
        let mut filled = match inputs {
            Ok(filled) => filled,
            Err(outcome) => return outcome,
        };
        if self.secrets.is_empty() {
            return self.attempt(&filled, None, &mut budget).await;
        }
        let mut refusal: Option<Failure> = None;
        let mut unreadable: Option<String> = None;
        let mut tried: Vec<Secret> = Vec::new();
        for index in self.order() {
            let Some(handle) = self.secrets.get(index) else {
                continue;
            };
            let secret = match budget.spend(handle.read()).await {
                Some(Ok(secret)) => secret,
                Some(Err(error)) => {
                    unreadable.get_or_insert(error.to_string());
                    continue;
                }
                None => {
                    unreadable.get_or_insert("a secret's source does not answer".to_owned());
                    continue;
                }
            };
            if tried.contains(&secret) || (refusal.is_some() && budget.left.is_zero()) {
                continue;
            }
            tried.push(secret.clone());
            filled.client_secret = Some(secret);
            match self.attempt(&filled, Some(index), &mut budget).await {
                Outcome::BadCredential(failure) => {
                    handle.refused();
                    refusal.get_or_insert(failure);
                }
                other => return other,
            }
        }
        match (refusal, unreadable) {
            (Some(mut failure), _) => {
                for input in self.params.iter().chain(&self.headers) {
                    if let Input::Source(handle) = input {
                        handle.refused();
                    }
                }
                if tried.len() > 1 {
                    let note = format!(" (each of {} secrets was tried)", tried.len());
                    failure.description.push_str(&note);
                }
                Outcome::BadCredential(failure)
            }
            (None, Some(why)) => self.unavailable(&why),
            (None, None) => self.unavailable("there is no client secret to try"),
        }
    }

    /// Candidates to try, the one that worked last first. Those outside their time are left out,
    /// unless all are: then the dates are more likely wrong than the secrets.
    fn order(&self) -> Vec<usize> {
        let now = self.clock.now().wall;
        let usable = |candidate: &SecretCandidate| {
            candidate.not_before.is_none_or(|from| now >= from)
                && candidate.expires_at.is_none_or(|until| now < until)
        };
        let candidates = &self.request.client_secret;
        let mut order: Vec<usize> = candidates
            .iter()
            .enumerate()
            .filter(|(_, candidate)| usable(candidate))
            .map(|(index, _)| index)
            .collect();
        if order.is_empty() {
            order = (0..candidates.len()).collect();
        }
        let worked = self.memory().worked;
        order.sort_by_key(|index| *index != worked);
        order
    }

    async fn read_inputs(&self) -> Result<Filled, Outcome> {
        Ok(Filled {
            client_secret: None,
            params: self.read_all(&self.params).await?,
            headers: self.read_all(&self.headers).await?,
        })
    }

    async fn read_all(&self, inputs: &[Input]) -> Result<Vec<Secret>, Outcome> {
        let mut values = Vec::with_capacity(inputs.len());
        for input in inputs {
            values.push(match input {
                Input::Text(text) => text.clone(),
                Input::Source(handle) => match handle.read().await {
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
        secret_in_use: Option<usize>,
        budget: &mut Budget<'_>,
    ) -> Outcome {
        let id = &self.integration.id;
        // It is never closed; without a permit the request goes all the same. Thousands may wait
        // here after a start, so what a request takes is made, and boxed, behind the gate.
        let permit = self.gate.acquire().await.ok();
        let request = match request::build(&self.request, filled) {
            Ok(request) => request,
            Err(error) => return self.unavailable(&error.to_string()),
        };
        let sent_at = self.clock.now();
        tracing::debug!(
            integration.id = %id, endpoint = %self.request.endpoint, secret.index = secret_in_use,
            "asking for a token for {id}"
        );
        let sent = budget.spend(Box::pin(self.client.send(request))).await;
        drop(permit);
        let now = self.clock.now();
        let answer = sent.unwrap_or_else(|| Err(net::Error::timeout()));
        let outcome = self.judge(&answer, filled, sent_at, now, secret_in_use);
        let took = now.mono.since(sent_at.mono);
        tracing::debug!(
            integration.id = %id, outcome = outcome.label(), took_ms = took.as_millis(),
            status = answer.as_ref().ok().map(|answer| answer.status),
            "the exchange for {id} ended"
        );
        outcome
    }

    fn judge(
        &self,
        answer: &Result<net::Response, net::Error>,
        filled: &Filled,
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
            host: &self.host,
            sent_at,
            now,
            held: &held,
            secret_in_use,
            refresh_token_sent: false,
            html_refusals: memory.html_refusals,
            timeout: policy.timeout,
            connect_timeout: policy.connect_timeout,
        };
        let outcome = match answer {
            Ok(response) => {
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
            if let Some(index) = secret_in_use {
                memory.worked = index;
            }
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
            .chain(secret_inputs)
            .chain(memory.token.clone())
            .collect()
    }

    fn unavailable(&self, why: &str) -> Outcome {
        Outcome::SecretUnavailable(Failure {
            code: ErrorCode::SecretUnavailable,
            description: format!("a secret cannot be used: {why}"),
            hint: None,
            vendor: None,
            retry_after: None,
            at: self.clock.now().wall,
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

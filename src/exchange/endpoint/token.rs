//! One request to a token endpoint with one set of secrets.

use std::sync::Arc;

use tokio::sync::SemaphorePermit;

use super::sending::Shot;
use super::{Budget, Endpoint, Exchange, Tried};
use crate::base::{Issued, Secret};
use crate::exchange::Outcome;
use crate::exchange::assertion::{self, Material};
use crate::exchange::candidates::Pair;
use crate::exchange::claims;
use crate::exchange::lifetime::Oddity;
use crate::exchange::members::Tokens;
use crate::exchange::presented::Presented;
use crate::exchange::request::{self, Filled};
use crate::exchange::trace::Shown;
use crate::exchange::verdict::{self, Place};
use crate::exchange::way::Aim;
use crate::spec::{Assertion, Bearer, ClientAuth, Grant, TokenRequest};

impl Endpoint {
    pub(super) async fn ask_for_a_token(&self, exchange: &mut Exchange<'_>) -> Tried {
        if self.needs_reading()
            && let Err(why) = Box::pin(self.sign_all(exchange)).await
        {
            return Tried::Unusable(why);
        }
        // It is never closed; without a permit the request goes all the same. It is counted behind
        // the gate, since it must not count as earlier than it is.
        if let Some(permit) = exchange.permit.take() {
            return self.count_and_send(exchange, Some(permit)).await;
        }
        let aim = self.aim(&exchange.filled.present, exchange.found.as_deref());
        let Some(gate) = aim.map(|aim| Arc::clone(&aim.way.gate)) else {
            return Tried::Done(self.unavailable("there is nobody to ask"));
        };
        let permit = gate.acquire().await.ok();
        self.count_and_send(exchange, permit).await
    }

    async fn count_and_send(
        &self,
        exchange: &mut Exchange<'_>,
        permit: Option<SemaphorePermit<'_>>,
    ) -> Tried {
        if !(exchange.may_send)().await {
            return Tried::HeldBack;
        }
        let outcome = Box::pin(self.send_for_a_token(exchange)).await;
        drop(permit);
        Tried::Done(outcome)
    }

    /// New assertions, by the vendor's clock.
    async fn sign_all(&self, exchange: &mut Exchange<'_>) -> Result<(), String> {
        let Exchange {
            filled,
            found,
            budget,
            ..
        } = exchange;
        let aim = self.aim(&filled.present, found.as_deref());
        if let (Some(request), Some(aim)) = (self.integration.grant.request(), aim) {
            self.name_client(request, aim, filled, budget).await?;
        }
        if let (Some(bearer), Some(key)) = (self.bearer(), filled.key.clone()) {
            let material = self.material(&key, false).await?;
            let bearer = Arc::clone(bearer);
            let now = self.vendors_time();
            let sign = move || assertion::sign(&bearer.assertion, &material, None, &[], now);
            filled.assertion = Some(off_thread(sign, budget).await?);
        }
        Ok(())
    }

    /// The client's assertion, for methods that have one. It is for the token endpoint, wherever a
    /// refresh token is presented or a device flow begins (RFC 7523 section 3).
    pub(super) async fn name_client(
        &self,
        request: &TokenRequest,
        aim: Aim<'_>,
        filled: &mut Filled,
        budget: &mut Budget<'_>,
    ) -> Result<(), String> {
        match (&request.auth, &filled.credential) {
            (ClientAuth::Assertion(assertion), Some(key)) => {
                let audience = match request.endpoint.known() {
                    Some(endpoint) => endpoint.url(),
                    None => aim.endpoint.url(),
                };
                let signed = self.sign_for_client(assertion, key, audience.as_str(), budget);
                filled.client_assertion = Some(signed.await?);
            }
            (ClientAuth::AssertionFile(source), _) => {
                let found = filled.secrets.iter().find(|(known, _)| *known == **source);
                filled.client_assertion = found.map(|(_, assertion)| assertion.clone());
            }
            _ => {}
        }
        Ok(())
    }

    async fn sign_for_client(
        &self,
        assertion: &Arc<Assertion>,
        key: &Secret,
        audience: &str,
        budget: &mut Budget<'_>,
    ) -> Result<Secret, String> {
        let material: Material = self.material(key, true).await?;
        let (assertion, audience) = (Arc::clone(assertion), audience.to_owned());
        let now = self.vendors_time();
        let sign = move || assertion::sign(&assertion, &material, Some(&audience), &[], now);
        off_thread(sign, budget).await
    }

    pub(super) fn vendors_time(&self) -> crate::base::Timestamp {
        let now = self.clock.now().wall;
        self.memory().skew.correct(now)
    }

    fn bearer(&self) -> Option<&Arc<Bearer>> {
        match &self.integration.grant {
            Grant::JwtBearer(_, bearer) => Some(bearer),
            _ => None,
        }
    }

    pub(super) fn secret_in_use(&self, pair: Pair) -> Option<usize> {
        if self.integration.grant.counts_keys() {
            pair.1
        } else {
            pair.0
        }
    }

    async fn send_for_a_token(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let Exchange {
            filled,
            found,
            budget,
            trace,
            prolongs,
            pair,
            ..
        } = exchange;
        let aim = self.aim(&filled.present, found.as_deref());
        let (Some(request), Some(aim)) = (self.integration.grant.request(), aim) else {
            return self.unavailable("there is nobody to ask");
        };
        let now = self.clock.now().wall;
        let bearer = self.bearer().map(|bearer| &**bearer);
        let mut built = match request::build(request, aim.endpoint, bearer, filled, now) {
            Ok(built) => built,
            Err(error) => return self.unavailable(&error.to_string()),
        };
        let shot = Shot {
            aim,
            place: match request.endpoint.issuer() {
                Some(_) => Place::Issuer,
                None => Place::TokenEndpoint,
            },
            presented: Presented::of(&filled.present, self.rotates()),
            held: self.held(filled, std::mem::take(&mut built.derived)),
            hidden: Tokens::default(),
            secret_in_use: self.secret_in_use(*pair),
            prolongs: prolongs.as_ref(),
        };
        let shown = trace
            .as_ref()
            .map(|_| Shown::of(request, filled.credential.as_ref()));
        let back = self.send(built, &shot, shown, budget).await;
        let judged = self.judge(&back, &shot, |answer, context| {
            verdict::judge(answer, context, &[])
        });
        let outcome = match judged {
            Ok((issued, oddity)) => self.issued(issued, oddity, *pair),
            Err(outcome) => *outcome,
        };
        self.note(back, Some(&outcome), &shot, trace.as_deref_mut());
        outcome
    }

    /// Remembers what brought a token.
    pub(super) fn issued(
        &self,
        issued: Box<Issued>,
        oddity: Option<Oddity>,
        pair: Pair,
    ) -> Outcome {
        let mut memory = self.memory();
        memory.worked = (pair.0.unwrap_or_default(), pair.1.unwrap_or_default());
        memory.token = Some(issued.access_token.clone());
        let id = &self.integration.id;
        if let Some(oddity) = oddity.filter(|found| memory.oddity != Some(*found)) {
            tracing::warn!(integration.id = %id, "the token of {id} is strange: {oddity}");
        }
        memory.oddity = oddity;
        let is_bound = claims::is_bound(issued.access_token.expose(), &issued.token_type);
        if is_bound && !memory.is_bound {
            tracing::warn!(integration.id = %id, "the token of {id} is strange: {BOUND}");
        }
        memory.is_bound = is_bound;
        Outcome::Issued(issued)
    }

    /// The same, of the last token, for whoever examines it.
    pub(super) fn oddities(&self) -> Vec<String> {
        let memory = self.memory();
        let bound = memory.is_bound.then(|| BOUND.to_owned());
        let oddity = memory.oddity.map(|oddity| oddity.to_string());
        oddity.into_iter().chain(bound).collect()
    }
}

const BOUND: &str = "it is bound to a key (DPoP) or a certificate (RFC 8705), which the caller of the API \
                     does not have: the API will probably refuse it; turn that off for this client, if \
                     the vendor allows it";

/// Signing takes milliseconds, unlocking a key longer.
pub(super) async fn off_thread(
    sign: impl FnOnce() -> Result<Secret, assertion::SignError> + Send + 'static,
    budget: &mut Budget<'_>,
) -> Result<Secret, String> {
    match budget.spend(tokio::task::spawn_blocking(sign)).await {
        Some(Ok(signed)) => signed.map_err(|error| error.to_string()),
        Some(Err(error)) => Err(format!("the key could not be used: {error}")),
        None => Err("the key takes too long to unlock".to_owned()),
    }
}

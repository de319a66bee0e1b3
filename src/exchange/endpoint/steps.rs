//! Requests of a vendor's own kind, one after the other: each may use what those before it brought, and
//! the last one's answer holds the token.

use std::sync::Arc;

use serde_json::{Value, json};

use super::sending::Shot;
use super::token::off_thread;
use super::{Endpoint, Exchange, Tried};
use crate::base::{ErrorCode, Secret};
use crate::exchange::answer::Answer;
use crate::exchange::call::{self, Ready};
use crate::exchange::fixed::failure;
use crate::exchange::members::Tokens;
use crate::exchange::presented::Presented;
use crate::exchange::request::{Built, Unsendable};
use crate::exchange::trace::Shown;
use crate::exchange::verdict::{self, Place};
use crate::exchange::way::Aim;
use crate::exchange::{Outcome, assertion, members};
use crate::spec::{self, Call, Grant, Step, Steps, StepsKind};

/// What a chain has come to.
#[derive(Default)]
struct Chain {
    /// What each step brought, as far as later ones need it.
    answers: Vec<Value>,
    /// What was made of secrets for those requests, as the configuration says.
    derived: Vec<Secret>,
    /// What is in those answers, and tokens beside it: no later error may show it.
    taken: Tokens,
    private: Tokens,
}

impl Chain {
    fn hidden(&self) -> Tokens {
        self.taken.clone().and(&self.private)
    }
}

impl Endpoint {
    /// All of them with one set of secrets; counted as one request.
    pub(super) async fn run_steps(&self, exchange: &mut Exchange<'_>) -> Tried {
        let Grant::Steps(steps) = &self.integration.grant else {
            return Tried::Done(self.unavailable("there is nobody to ask"));
        };
        let mut chain = Chain::default();
        let tried = self.walk(steps, exchange, &mut chain).await;
        let mut hidden = chain.hidden();
        // Where nothing came back, what came before is still what could be repeated.
        if !hidden.known.is_empty() {
            hidden.known.extend(chain.derived);
            self.memory().chain = Some(Box::new(hidden));
        }
        tried
    }

    async fn walk(
        &self,
        steps: &Arc<Steps>,
        exchange: &mut Exchange<'_>,
        chain: &mut Chain,
    ) -> Tried {
        let mut asked = false;
        for (index, step) in steps.steps.iter().enumerate() {
            let call = match step {
                Step::Assertion { .. } => {
                    match self.sign_step(steps, index, exchange, chain).await {
                        Ok(()) => continue,
                        Err(why) => return Tried::Unusable(why),
                    }
                }
                Step::Request(call) => call,
            };
            let now = self.clock.now().wall;
            let ready = match call::build(call, &exchange.filled, &chain.answers, now) {
                Ok(ready) => ready,
                Err(error) if asked => return Tried::Done(self.unfit(index, &error)),
                Err(error) => return Tried::Done(self.unavailable(&error.to_string())),
            };
            let endpoint = ready.endpoint.clone();
            let way = match self.way_of_step(&endpoint, exchange.found.as_deref()) {
                Ok(way) => way,
                Err(outcome) => return Tried::Done(*outcome),
            };
            let permit = way.gate.acquire().await.ok();
            // Those that follow belong to the one that was allowed.
            if !std::mem::replace(&mut asked, true) && !(exchange.may_send)().await {
                return Tried::HeldBack;
            }
            let aim = Aim {
                endpoint: &endpoint,
                way: &way,
            };
            let taken = self.take_step((steps, index, call), (ready, aim), exchange, chain);
            let outcome = taken.await;
            drop(permit);
            if let Some(outcome) = outcome {
                return Tried::Done(self.kept_to(&endpoint, outcome));
            }
        }
        Tried::Done(self.unavailable("no request holds a token"))
    }

    /// Whoever else is this client at the first host has nothing to do with a wait that another asks for.
    fn kept_to(&self, endpoint: &spec::Endpoint, outcome: Outcome) -> Outcome {
        let own = self.integration.grant.endpoint();
        match outcome {
            Outcome::Transient { failure, .. }
                if own.is_none_or(|own| own.authority() != endpoint.authority()) =>
            {
                Outcome::Transient {
                    retry_after: None,
                    failure,
                }
            }
            other => other,
        }
    }

    /// An answer that the next request cannot be made of: the vendor is not asked again for a while.
    fn unfit(&self, index: usize, error: &Unsendable) -> Outcome {
        let description = format!("in step {index}: the request cannot be made: {error}");
        let mut failure = failure(ErrorCode::RequestRejected, description, self.clock.now());
        failure.hint = Some(
            "compare what this step takes of earlier answers, and its 'hosts', with what the vendor \
             answers: 'token-broker doctor' shows it"
                .to_owned(),
        );
        Outcome::BadRequest(failure)
    }

    async fn sign_step(
        &self,
        steps: &Arc<Steps>,
        index: usize,
        exchange: &mut Exchange<'_>,
        chain: &mut Chain,
    ) -> Result<(), String> {
        let key = exchange.filled.key.as_ref();
        let key = key.ok_or("there is no key to sign with")?;
        let material = self.material(key, false).await?;
        let (steps, answers) = (Arc::clone(steps), chain.answers.clone());
        let now = self.vendors_time();
        let sign = move || match steps.steps.get(index) {
            Some(Step::Assertion { assertion, .. }) => {
                assertion::sign(assertion, &material, None, &answers, now)
            }
            Some(Step::Request(_)) | None => Ok(Secret::new("")),
        };
        let signed = off_thread(sign, &mut exchange.budget).await?;
        chain.answers.push(json!({ "assertion": signed.expose() }));
        chain.derived.push(signed);
        Ok(())
    }

    /// `None`: it went well, and there is another one.
    async fn take_step(
        &self,
        (steps, index, call): (&Steps, usize, &Call),
        (ready, aim): (Ready, Aim<'_>),
        exchange: &mut Exchange<'_>,
        chain: &mut Chain,
    ) -> Option<Outcome> {
        let Exchange {
            filled,
            budget,
            trace,
            pair,
            ..
        } = exchange;
        chain.derived.extend(ready.derived);
        let mut hidden = chain.hidden();
        if let Some(before) = self.memory().chain.as_deref() {
            hidden = hidden.and(before);
        }
        // A short text is in many an answer, and is no secret for that.
        let long = hidden.known.iter().filter(|one| members::is_long(one));
        let derived = chain.derived.iter().chain(long).cloned().collect();
        let wanted = steps.wanted_of(index);
        let shot = Shot {
            aim,
            place: match steps.kind {
                StepsKind::Request => Place::Request,
                StepsKind::Steps => Place::Step(index),
            },
            presented: Presented::Nothing,
            held: self.held(filled, derived),
            hidden,
            secret_in_use: self.secret_in_use(*pair),
            prolongs: None,
        };
        let shown = trace
            .as_ref()
            .map(|_| Shown::of_call(steps, call, filled.credential.as_ref(), wanted.clone()));
        let built = Built {
            request: ready.request,
            derived: Vec::new(),
        };
        let back = Box::pin(self.send(built, &shot, shown, budget)).await;
        let outcome = if index + 1 == steps.steps.len() {
            let judged = self.judge(&back, &shot, |answer, context| {
                verdict::judge(answer, context, &call.success)
            });
            Some(match judged {
                Ok((issued, oddity)) => self.issued(issued, oddity, *pair),
                Err(outcome) => *outcome,
            })
        } else {
            let shape = &self.integration.response;
            let mut private = Tokens::default();
            let judged = self.judge(&back, &shot, |answer, context| {
                let read = |answer: &Answer| {
                    let taken = call::read(answer, &wanted)?;
                    if let Some(json) = &answer.json {
                        private = members::tokens_in(json, shape);
                    }
                    Ok(taken)
                };
                verdict::judged(answer, context, &[&call.success], read)
            });
            match judged {
                Ok(taken) => {
                    chain.taken.push_all(&taken);
                    chain.private.extend(private);
                    chain.answers.push(taken);
                    // More than can be hidden is more than anybody needs.
                    let too_many = chain.taken.are_more;
                    too_many.then(|| self.unfit(index + 1, &Unsendable::TooManyTexts))
                }
                Err(outcome) => Some(*outcome),
            }
        };
        self.note(back, outcome.as_ref(), &shot, trace.as_deref_mut());
        outcome
    }
}

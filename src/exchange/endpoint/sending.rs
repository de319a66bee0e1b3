//! One request: sent, its answer judged, and both written down for whoever wants to see them.

use crate::base::{CrashPoint, Now, Secret, crash_point};
use crate::exchange::answer::Answer;
use crate::exchange::lifetime::Oddity;
use crate::exchange::members::Tokens;
use crate::exchange::presented::Presented;
use crate::exchange::request::Built;
use crate::exchange::trace::{Look, Shown};
use crate::exchange::verdict::{self, Context, Place};
use crate::exchange::way::Aim;
use crate::exchange::{Outcome, Trace};
use crate::net;

use super::{Budget, Endpoint};

/// What is asked, and with what.
pub(super) struct Shot<'a> {
    pub(super) aim: Aim<'a>,
    pub(super) place: Place,
    pub(super) presented: Presented,
    /// What must not be shown.
    pub(super) held: Vec<Secret>,
    pub(super) hidden: Tokens,
    pub(super) secret_in_use: Option<usize>,
    pub(super) prolongs: Option<&'a Secret>,
}

/// What came of a request.
pub(super) struct Back {
    pub(super) answer: Result<net::Response, net::Error>,
    sent_at: Now,
    now: Now,
    look: Option<Look>,
}

impl Endpoint {
    pub(super) async fn send(
        &self,
        built: Built,
        shot: &Shot<'_>,
        shown: Option<Shown<'_>>,
        budget: &mut Budget<'_>,
    ) -> Back {
        let id = &self.integration.id;
        let request = built.request;
        let client = &shot.aim.way.client;
        let look = shown.map(|shown| {
            let proxy = client.proxy_for(&request.url);
            Look::at(
                shown,
                &request,
                (shot.held.clone(), shot.hidden.clone()),
                proxy,
            )
        });
        let sent_at = self.clock.now();
        tracing::debug!(
            integration.id = %id, host = %shot.aim.way.host,
            secret.index = shot.secret_in_use, "asking for a token for {id}"
        );
        crash_point(CrashPoint::BeforeRequest);
        let sent = budget.spend(client.send(request)).await;
        crash_point(CrashPoint::AfterAnswer);
        Back {
            answer: sent.unwrap_or_else(|| Err(net::Error::timeout())),
            sent_at,
            now: self.clock.now(),
            look,
        }
    }

    /// Judges an answer with `verdict`, or says why there is none.
    pub(super) fn judge<T>(
        &self,
        back: &Back,
        shot: &Shot<'_>,
        judge: impl FnOnce(&Answer, &Context<'_>) -> Result<T, Box<Outcome>>,
    ) -> Result<T, Box<Outcome>> {
        let mut memory = self.memory();
        let policy = &self.integration.refresh;
        let context = Context {
            id: &self.integration.id,
            shape: &self.integration.response,
            vendor: &self.integration.vendor,
            proof: self.integration.grant.proof(),
            host: &shot.aim.way.host,
            place: shot.place,
            sent_at: back.sent_at,
            now: back.now,
            held: &shot.held,
            hidden: &shot.hidden,
            secret_in_use: shot.secret_in_use,
            presented: shot.presented,
            prolongs: shot.prolongs,
            takes_logins: self.integration.grant.takes_logins(),
            html_refusals: memory.html_refusals,
            timeout: policy.timeout,
            connect_timeout: policy.connect_timeout,
        };
        let response = match &back.answer {
            Ok(response) => response,
            Err(error) => {
                if matches!(error.kind, net::ErrorKind::Dns | net::ErrorKind::Connect) {
                    self.suspect();
                }
                return Err(Box::new(verdict::no_answer(error, &context)));
            }
        };
        if matches!(response.status, 300..=399 | 404 | 405 | 410) {
            self.suspect();
        }
        if self.signers.iter().any(Option::is_some) {
            let date = net::answer_date(&response.headers, back.now.wall);
            memory
                .skew
                .learn(date, back.sent_at.wall, back.now.wall, context.id);
        }
        let answer = Answer::read(response, context.shape, back.sent_at);
        let is_html_refusal = answer.is_html && matches!(answer.status, 401 | 403);
        memory.html_refusals = if is_html_refusal {
            memory.html_refusals.saturating_add(1)
        } else {
            0
        };
        judge(&answer, &context)
    }

    /// Writes down how a request ended; `None`: it was a step that went well.
    pub(super) fn note(
        &self,
        back: Back,
        outcome: Option<&Outcome>,
        shot: &Shot<'_>,
        trace: Option<&mut Trace>,
    ) {
        let id = &self.integration.id;
        let took = back.now.mono.since(back.sent_at.mono);
        let label = outcome.map_or("step", Outcome::label);
        tracing::debug!(
            integration.id = %id, outcome = label, took_ms = took.as_millis(),
            status = back.answer.as_ref().ok().map(|answer| answer.status),
            "the exchange for {id} ended"
        );
        if let (Some(trace), Some(look)) = (trace, back.look) {
            let shape = &self.integration.response;
            let times = (back.sent_at, back.now);
            let mut attempt = look.finish(&back.answer, outcome, shape, times, shot.secret_in_use);
            if let Some(Outcome::Issued(_)) = outcome {
                attempt.oddities = self.oddities();
                attempt.lifetime_is_unread = self.memory().oddity == Some(Oddity::Unreadable);
            }
            trace.attempts.push(attempt);
        }
    }
}

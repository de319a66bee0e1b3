//! Doors for the fuzz targets: an answer judged, and requests made, without the exchange around them.

use serde_json::Value;

use super::answer::Answer;
use super::presented::Presented;
use super::request::{self, Filled};
use super::verdict::{self, Context, Place};
use super::{Outcome, call};
use crate::base::{Now, Secret};
use crate::net;
use crate::spec::{Grant, Integration, Part, Step};

/// What `response` means to `integration`. `held` are the secrets of the attempt.
pub fn judge(
    integration: &Integration,
    response: &net::Response,
    held: &[Secret],
    now: Now,
    refresh_token_sent: bool,
    html_refusals: u32,
) -> Outcome {
    let answer = Answer::read(response, &integration.response, now);
    let context = Context {
        id: &integration.id,
        shape: &integration.response,
        vendor: &integration.vendor,
        proof: crate::spec::Proof::default(),
        hidden: &super::members::Tokens::default(),
        host: "vendor.example",
        place: Place::default(),
        sent_at: now,
        now,
        held,
        secret_in_use: None,
        presented: if refresh_token_sent {
            Presented::RefreshToken { rotates: true }
        } else {
            Presented::Nothing
        },
        prolongs: None,
        takes_logins: integration.grant.takes_logins(),
        html_refusals,
        timeout: integration.refresh.timeout,
        connect_timeout: integration.refresh.connect_timeout,
    };
    match verdict::judge(&answer, &context, &[]) {
        Ok((issued, _)) => Outcome::Issued(issued),
        Err(outcome) => *outcome,
    }
}

/// The requests that `integration` makes if each of its steps is answered with `answer`; every secret
/// is `secret`. Without those that cannot be made.
pub fn requests(
    integration: &Integration,
    answer: &Value,
    secret: &Secret,
    now: Now,
) -> Vec<net::Request> {
    let mut filled = Filled {
        credential: Some(secret.clone()),
        ..Filled::default()
    };
    let mut fill = |part: &Part| {
        if let Part::Secret(source) = part {
            filled.secrets.push((source.clone(), secret.clone()));
        }
    };
    match &integration.grant {
        Grant::Steps(steps) => {
            steps.walk(&mut fill);
            let answers = vec![answer.clone(); steps.steps.len()];
            let calls = steps
                .steps
                .iter()
                .enumerate()
                .filter_map(|(index, step)| match step {
                    Step::Request(call) => {
                        call::build(call, &filled, answers.get(..index)?, now.wall).ok()
                    }
                    Step::Assertion { .. } => None,
                });
            calls.map(|ready| ready.request).collect()
        }
        grant => {
            let Some(request) = grant.request() else {
                return Vec::new();
            };
            request.walk(&mut fill);
            let endpoint = request.endpoint.nearest();
            let built = request::build(request, endpoint, None, &filled, now.wall);
            built.into_iter().map(|built| built.request).collect()
        }
    }
}

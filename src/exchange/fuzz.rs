//! A door for the fuzz targets: an answer judged without the exchange around it.

use super::Outcome;
use super::answer::Answer;
use super::presented::Presented;
use super::verdict::{self, Context, Place};
use crate::base::{Now, Secret};
use crate::net;
use crate::spec::Integration;

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

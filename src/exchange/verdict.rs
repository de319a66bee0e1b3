//! How an exchange ended: the one place that decides, and the words for it. Pure.

use std::time::Duration;

use super::Outcome;
use super::answer::Answer;
use super::granted;
use super::lifetime::Oddity;
use super::members::{self, Tokens as Hidden};
use super::presented::{Pending, Presented};
use super::response::{self, Reading, Unreadable};
use crate::base::{
    ErrorCode, Failure, HumanDuration, IntegrationId, Issued, Now, Redactor, RefreshToken, Secret,
    VendorAnswer,
};
use crate::net;
use crate::spec::{OutcomeClass, Path, Proof, ResponseShape, Scalar, Vendor};

/// An HTML page with 401 or 403 is a gateway's word; this often it is taken for passing trouble.
pub(super) const HTML_TRIES: u32 = 3;

/// What is known besides the answer.
pub(super) struct Context<'a> {
    pub(super) id: &'a IntegrationId,
    pub(super) shape: &'a ResponseShape,
    pub(super) vendor: &'a Vendor,
    /// Decides what is advised where no hint of the vendor's matches.
    pub(super) proof: Proof,
    /// Host and port as the operator wrote them.
    pub(super) host: &'a str,
    pub(super) place: Place,
    pub(super) sent_at: Now,
    pub(super) now: Now,
    /// Secrets of this attempt and the token before.
    pub(super) held: &'a [Secret],
    /// What else may be one: texts of a chain's earlier answers.
    pub(super) hidden: &'a Hidden,
    pub(super) secret_in_use: Option<usize>,
    pub(super) presented: Presented,
    /// The token that a good answer without one prolongs.
    pub(super) prolongs: Option<&'a Secret>,
    /// A person consents to this grant in a login.
    pub(super) takes_logins: bool,
    /// HTML pages with 401 or 403 in a row before this answer.
    pub(super) html_refusals: u32,
    pub(super) timeout: Duration,
    pub(super) connect_timeout: Duration,
}

impl Context<'_> {
    fn redactor(&self) -> Redactor {
        let mut redactor = Redactor::new(self.held);
        self.hidden.hide_from(&mut redactor);
        redactor
    }
}

/// What was asked: which key of the configuration says where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Place {
    #[default]
    TokenEndpoint,
    /// The endpoint is what the issuer's metadata says.
    Issuer,
    /// The one request of the grant `request`.
    Request,
    /// One of several.
    Step(usize),
}

impl Place {
    fn key(self) -> &'static str {
        match self {
            Self::TokenEndpoint => "token_endpoint",
            Self::Issuer => "issuer (whose metadata name this endpoint)",
            Self::Request => "request.url",
            Self::Step(_) => "the step's url",
        }
    }
}

/// What the table of outcomes looks at.
#[derive(Debug, Clone, Copy)]
struct Facts<'a> {
    status: u16,
    error: Option<&'a str>,
    is_html: bool,
    html_refusals: u32,
    /// The member that should say that it went well, and does not.
    failed_inside: Option<&'a Path>,
    presented: Presented,
}

/// The table. Only for answers without a usable token; the provider's rules come before it.
fn class_of(facts: Facts<'_>) -> OutcomeClass {
    use OutcomeClass::{BadCredential, BadRequest, DeadGrant, RateLimited, Transient};
    match facts.status {
        429 => return RateLimited,
        407 | 408 | 425 | 500.. | ..200 => return Transient,
        300..=399 => return BadRequest,
        _ => {}
    }
    match facts.error {
        Some("temporarily_unavailable" | "server_error" | "slow_down") => return Transient,
        Some(error) if facts.presented.is_refused_by(error) => return DeadGrant,
        Some("invalid_client" | "invalid_grant") => return BadCredential,
        Some("invalid_request" | "invalid_scope" | "unsupported_grant_type" | "invalid_target") => {
            return BadRequest;
        }
        _ => {}
    }
    match facts.status {
        401 | 403 if facts.is_html && facts.html_refusals < HTML_TRIES => Transient,
        401 | 403 => BadCredential,
        200..=299 if facts.error.is_some() || facts.failed_inside.is_some() => BadRequest,
        200..=299 => Transient,
        _ => BadRequest,
    }
}

/// Judges a whole answer: a token, and what is strange about its lifetime, or what else it means.
pub(super) fn judge(
    answer: &Answer,
    context: &Context<'_>,
    success: &Success,
) -> Result<(Box<Issued>, Option<Oddity>), Box<Outcome>> {
    let reading = Reading {
        id: context.id,
        shape: context.shape,
        sent_at: context.sent_at,
        held: context.held,
        secret_in_use: context.secret_in_use,
        prolongs: context.prolongs,
    };
    let success = [&*context.shape.success, success];
    let read = |answer: &Answer| response::normalise(answer, reading);
    let (issued, oddity) = judged(answer, context, &success, read)?;
    Ok((Box::new(issued), oddity))
}

/// What must hold besides a 2xx status.
pub(super) type Success = [(Path, Scalar)];

/// The same for an answer of the grants made of requests: `read` takes what is wanted of it.
pub(super) fn judged<T>(
    answer: &Answer,
    context: &Context<'_>,
    success: &[&Success],
    read: impl FnOnce(&Answer) -> Result<T, Unreadable>,
) -> Result<T, Box<Outcome>> {
    let mut failed_inside = failed_inside(answer, success);
    let mut unreadable = None;
    if answer.is_success() && failed_inside.is_none() {
        match read(answer) {
            Ok(found) => return Ok(found),
            Err(why) => {
                if let Unreadable::NoToken(_) = why {
                    failed_inside = refuses_to_extend(answer, context);
                }
                unreadable = Some(why).filter(|_| failed_inside.is_none());
            }
        }
    }
    let unreadable = unreadable.as_ref();
    Err(Box::new(refused(
        answer,
        context,
        failed_inside,
        unreadable,
    )))
}

/// What an answer means that is of no use.
fn refused(
    answer: &Answer,
    context: &Context<'_>,
    failed_inside: Option<&Path>,
    unreadable: Option<&Unreadable>,
) -> Outcome {
    let shape = context.shape;
    let redactor = redactor(answer, context);
    let error = answer.error(&shape.error);
    let description = answer.description(&shape.error_description);
    // Both: the body may write the description with escapes.
    let text = crate::base::Zeroizing::new(match &description {
        Some(description) => format!("{description}\n{}", answer.text.expose()),
        None => answer.text.expose().to_owned(),
    });
    let rule = context.vendor.errors.iter().find(|rule| {
        rule.when
            .matches(Some(answer.status), error.as_deref(), &text)
    });
    let facts = Facts {
        status: answer.status,
        error: error.as_deref(),
        is_html: answer.is_html,
        html_refusals: context.html_refusals,
        failed_inside,
        presented: context.presented,
    };
    // A token without a lifetime is no answer to read an error out of.
    let over = unreadable == Some(&Unreadable::Over);
    let pending = context
        .presented
        .is_pending(answer.status, error.as_deref());
    if let (None, Some(Pending { slower }), false) = (rule, pending, over) {
        return Outcome::AuthorizationPending { slower };
    }
    // Whatever else the answer is: what was sent for it may be spent.
    let rescued = rescued(answer, context);
    let in_doubt = context.presented.is_left_in_doubt()
        && (unreadable.is_some() && !over && error.is_none() && rule.is_none());
    let class = match rule {
        _ if rescued.is_some() || (over && rule.is_none()) => OutcomeClass::Transient,
        Some(rule) => rule.outcome,
        // It is as long the next time.
        None if unreadable == Some(&Unreadable::TooMuchTaken) => OutcomeClass::BadRequest,
        None => class_of(facts),
    };
    let clean = |text: &Option<String>| text.as_deref().map(|text| redactor.clean(text));
    let vendor = VendorAnswer {
        status: Some(answer.status),
        error: clean(&error).filter(|text| !text.is_empty()),
        error_description: clean(&description).filter(|text| !text.is_empty()),
    };
    let advice = hint(context, Some(answer.status), error.as_deref(), &text).unwrap_or_else(|| {
        words::general_hint(class, facts, rescued.is_some(), unreadable, context)
    });
    let failure = Failure {
        code: code_of(class),
        description: words::in_place(
            context.place,
            words::describe(class, facts, &vendor, unreadable, context),
        ),
        hint: Some(match words::clocks(class, answer, context) {
            Some(clocks) => format!("{clocks}; {advice}"),
            None => advice,
        }),
        vendor: Some(vendor),
        retry_after: answer.retry_after,
        at: context.now.wall,
    };
    match rescued {
        None if !in_doubt => outcome(class, failure),
        rescued => ambiguous(failure, rescued),
    }
}

/// Knows the tokens in the answer besides what we hold.
fn redactor(answer: &Answer, context: &Context<'_>) -> Redactor {
    let mut redactor = context.redactor();
    if let Some(json) = &answer.json {
        members::tokens_in(json, context.shape).hide_from(&mut redactor);
    }
    redactor
}

/// By which `success` member a 2xx says that it is none.
fn failed_inside<'a>(answer: &Answer, success: &[&'a Success]) -> Option<&'a Path> {
    let json = answer.json.as_ref().filter(|_| answer.is_success())?;
    let mut all = success.iter().copied().flatten();
    all.find(|member| !response::holds(std::slice::from_ref(*member), json))
        .map(|(path, _)| path)
}

/// The member by which an answer without a token prolongs the one before, if it says otherwise.
fn refuses_to_extend<'a>(answer: &Answer, context: &Context<'a>) -> Option<&'a Path> {
    let extends = answer.is_success() && context.prolongs.is_some();
    let json = answer.json.as_ref().filter(|_| extends)?;
    let shape: &'a ResponseShape = context.shape;
    let otherwise = shape
        .extended
        .iter()
        .find(|(path, wanted)| path.find(json).is_some_and(|found| !wanted.holds(found)));
    otherwise.map(|(path, _)| path)
}

fn code_of(class: OutcomeClass) -> ErrorCode {
    match class {
        OutcomeClass::RateLimited => ErrorCode::RateLimited,
        OutcomeClass::Transient => ErrorCode::TemporarilyUnavailable,
        OutcomeClass::BadCredential => ErrorCode::CredentialsRejected,
        OutcomeClass::BadRequest => ErrorCode::RequestRejected,
        OutcomeClass::DeadGrant => ErrorCode::LoginRequired,
    }
}

/// A refresh token that a good answer brings and that we do not know yet, where nothing else of the
/// answer can be used.
fn rescued(answer: &Answer, context: &Context<'_>) -> Option<RefreshToken> {
    if !answer.is_success() || !context.presented.earns_a_refresh_token() {
        return None;
    }
    let json = answer.json.as_ref()?;
    granted::refresh_token(json, context.id, context.shape, answer.answered_at)
        .filter(|found| !context.held.contains(&found.token))
}

fn ambiguous(mut failure: Failure, refresh_token: Option<RefreshToken>) -> Outcome {
    failure.description.push_str(match refresh_token {
        Some(_) => "; the refresh token that came with it is kept",
        None => "; the refresh token that was sent may be spent",
    });
    Outcome::Ambiguous {
        retry_after: failure.retry_after,
        failure,
        refresh_token,
    }
}

fn outcome(class: OutcomeClass, failure: Failure) -> Outcome {
    match class {
        OutcomeClass::Transient | OutcomeClass::RateLimited => Outcome::Transient {
            retry_after: failure.retry_after,
            failure,
        },
        OutcomeClass::BadCredential => Outcome::BadCredential(failure),
        OutcomeClass::BadRequest => Outcome::BadRequest(failure),
        OutcomeClass::DeadGrant => Outcome::DeadGrant(failure),
    }
}

fn hint(
    context: &Context<'_>,
    status: Option<u16>,
    error: Option<&str>,
    text: &str,
) -> Option<String> {
    let hints = &context.vendor.hints;
    let found = hints
        .iter()
        .find(|hint| hint.when.matches(status, error, text));
    found.map(|hint| hint.advice.clone())
}

/// No complete answer came.
pub(super) fn no_answer(error: &net::Error, context: &Context<'_>) -> Outcome {
    let host = context.host;
    let reason = context.redactor().clean(&error.reason);
    let description = match error.kind {
        net::ErrorKind::Timeout if error.while_connecting => {
            let limit = HumanDuration(context.connect_timeout);
            format!("could not connect to {host} within {limit}")
        }
        net::ErrorKind::Timeout => {
            let limit = HumanDuration(context.timeout);
            match context.place {
                Place::Step(1..) => format!(
                    "no answer from {host} in what earlier steps left of refresh.timeout ({limit})"
                ),
                _ => format!("no answer from {host} within {limit}"),
            }
        }
        net::ErrorKind::Connect | net::ErrorKind::Dns | net::ErrorKind::Tls => {
            format!("could not connect to {host}: {reason}")
        }
        net::ErrorKind::Reset | net::ErrorKind::TooLarge => {
            format!("no complete answer from {host}: {reason}")
        }
    };
    let failure = Failure {
        code: ErrorCode::TemporarilyUnavailable,
        description: words::in_place(context.place, description),
        hint: hint(context, None, Some(error.kind.as_str()), &reason)
            .or_else(|| Some(words::no_answer_hint(error, context))),
        vendor: None,
        retry_after: None,
        at: context.now.wall,
    };
    if context.presented.is_left_in_doubt() && !error.while_connecting {
        return ambiguous(failure, None);
    }
    outcome(OutcomeClass::Transient, failure)
}

mod words;

#[cfg(test)]
mod tests;

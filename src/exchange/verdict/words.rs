//! What an answer, or the lack of one, is told with: a sentence for someone who was woken up by it, and
//! what to do.

use super::super::answer::Answer;
use super::super::presented::Presented;
use super::super::response::Unreadable;
use super::super::skew;
use super::{Context, Facts, Place};
use crate::base::VendorAnswer;
use crate::net;
use crate::spec::{OutcomeClass, Proof};

/// A refused assertion may be a good one at the wrong time.
pub(super) fn clocks(
    class: OutcomeClass,
    answer: &Answer,
    context: &Context<'_>,
) -> Option<String> {
    let refused = matches!(
        class,
        OutcomeClass::BadCredential | OutcomeClass::BadRequest
    );
    let is_dated = matches!(
        context.proof,
        Proof::Assertion | Proof::ClientAssertion | Proof::SharedKey
    );
    if !refused || !is_dated {
        return None;
    }
    skew::told(answer.stated_at?, context.sent_at.wall, context.now.wall)
}

/// `is_rescue`: the answer brought something to go on with.
pub(super) fn general_hint(
    class: OutcomeClass,
    facts: Facts<'_>,
    is_rescue: bool,
    unreadable: Option<&Unreadable>,
    context: &Context<'_>,
) -> String {
    let key = context.place.key();
    // Nobody sends a code twice, whatever passes.
    let is_spent = facts.presented == Presented::Code && !is_rescue;
    match class {
        OutcomeClass::DeadGrant => facts.presented.way_out(context.id, context.takes_logins),
        OutcomeClass::BadRequest
            if matches!(facts.status, 300..=399 | 404 | 405 | 410)
                && facts.error != Some("invalid_scope") =>
        {
            format!("compare {key} with the vendor's documentation")
        }
        OutcomeClass::BadCredential | OutcomeClass::BadRequest => {
            about_a_refusal(class, facts, context).to_owned()
        }
        OutcomeClass::RateLimited if is_spent => {
            "wait as the vendor asks; if it lasts, find what else uses this client".to_owned()
        }
        OutcomeClass::RateLimited => {
            "nothing to do: the broker waits, and asks again; if it lasts, \
                                      find what else uses this client"
                .to_owned()
        }
        OutcomeClass::Transient if facts.is_html => format!(
            "a page of a gateway or proxy, not the vendor's answer: check the way there and {key}"
        ),
        OutcomeClass::Transient => about_the_answer(unreadable, context).unwrap_or_else(|| {
            let hint = if is_spent {
                "wait until it passes; if it lasts, see the vendor's status page"
            } else {
                "nothing to do while it passes: the broker tries again; if it lasts, see the \
                 vendor's status page"
            };
            hint.to_owned()
        }),
    }
}

/// What to compare when the vendor refuses the client, or what it asks for.
fn about_a_refusal(class: OutcomeClass, facts: Facts<'_>, context: &Context<'_>) -> &'static str {
    let is_request = matches!(context.place, Place::Request | Place::Step(_));
    let proof = context.proof;
    match (class, facts.error) {
        (OutcomeClass::BadRequest, Some("invalid_scope")) => {
            "'scope' names something this client may not have: compare it with the vendor's console"
        }
        (_, Some("use_dpop_nonce" | "invalid_dpop_proof")) => {
            "the vendor binds tokens to a key (DPoP), which is not built yet in this version: turn \
             that off for this client, if the vendor allows it"
        }
        (_, _) if proof == Proof::Assertion => about_the_proof(proof),
        (OutcomeClass::BadCredential, Some("invalid_client")) if proof == Proof::Password => {
            about_the_proof(Proof::Secret)
        }
        (OutcomeClass::BadCredential, Some("invalid_grant"))
            if !is_request && !matches!(proof, Proof::Password | Proof::Subject) =>
        {
            "no refresh token was sent, so this is about the client: check this machine's clock, \
             and whether the vendor still has the consent or the user behind it"
        }
        (OutcomeClass::BadCredential, _) if is_request => {
            "compare what the request is made of (client_id, client_secret, username, password) with \
             the vendor's console (expired? another tenant or region?)"
        }
        (OutcomeClass::BadCredential, _) => about_the_proof(proof),
        (_, _) if proof == Proof::Password => {
            "compare username and password (by logging in with them); if they are right, the vendor \
             wants the request otherwise: compare request_format, params, scope and headers with its \
             documentation"
        }
        (_, None) if is_request && facts.failed_inside.is_some() => {
            "compare what the request is made of (client_id, client_secret, username, password) with \
             the vendor's console, then its form with the documentation; what the vendor says of it \
             is shown where [integrations.NAME.response] error and error_description say where that is"
        }
        (_, _) if is_request => {
            "the vendor wants the request otherwise: compare its url, method, headers, query, form \
             or json with its documentation"
        }
        (_, _) => {
            "the vendor wants the request otherwise: compare request_format, params, scope and \
             headers with its documentation"
        }
    }
}

/// What may never pass, however often it is asked: the answer is not what was looked for.
fn about_the_answer(unreadable: Option<&Unreadable>, context: &Context<'_>) -> Option<String> {
    let key = context.place.key();
    Some(match unreadable? {
        Unreadable::NoToken(_) | Unreadable::BadToken(_) => {
            "if it lasts, compare [integrations.NAME.response] access_token with where the vendor puts \
             the token: 'token-broker doctor' shows the names in its answer"
                .to_owned()
        }
        Unreadable::NoMember(path) => format!(
            "if it lasts, compare '{path}' in what later steps take with what the vendor answers: \
             'token-broker doctor' shows the names in it"
        ),
        Unreadable::NotJson => format!(
            "if it lasts, compare {key} with the vendor's documentation; where the whole body is the \
             token, set [integrations.NAME.response] format = \"raw\""
        ),
        Unreadable::NotRaw => "if it lasts, compare [integrations.NAME.response] format: \"raw\" is for \
                               bodies that are nothing but the token"
            .to_owned(),
        Unreadable::Over => "if it lasts, compare [integrations.NAME.response] expires_in and \
                             expires_in_unit with the vendor's documentation, and this machine's clock; \
                             where 0 stands for no expiry, set zero_means_never = true"
            .to_owned(),
        Unreadable::TooMuchTaken => "let later steps take less of this answer".to_owned(),
        Unreadable::Empty | Unreadable::Html => return None,
    })
}

/// What to compare when the vendor does not take what the client proves itself by.
fn about_the_proof(proof: Proof) -> &'static str {
    match proof {
        Proof::Secret => {
            "compare client_id and client_secret with the vendor's console (expired? another \
             tenant or region?); some vendors want token_endpoint_auth_method = \
             \"client_secret_post\", or basic_encoding = \"raw\""
        }
        Proof::SecretInBody => {
            "compare client_id and client_secret with the vendor's console (expired? another \
             tenant or region?); some vendors want token_endpoint_auth_method = \
             \"client_secret_basic\""
        }
        Proof::SharedKey => {
            "the vendor did not take the client's assertion: compare client_id and client_secret, \
             which signs it, with the vendor's console, the algorithm with what is set there, and \
             this machine's clock; it may want another audience than the token endpoint \
             (client_assertion.audience)"
        }
        Proof::Subject => {
            "see that subject_token (and actor_token, if there is one) has not ended and is meant for \
             this vendor (audience, issuer), and that whoever writes it still does; then compare \
             client_id and what the client proves itself by with the vendor's console"
        }
        Proof::Assertion => {
            "the vendor took no token for this assertion: check this machine's clock (exp, iat), \
             whether audience, issuer and subject are what its documentation says, and whether \
             'assertion.key' (with kid and algorithm) is the key whose public half it has; then \
             client_id, client_secret, and whether the consent or the user behind it is still there"
        }
        Proof::ClientAssertion => {
            "the vendor did not take the client's assertion: compare client_id, check this machine's \
             clock, whether it has the public half of 'client_assertion.key' (with kid and \
             algorithm), and whether it wants another audience than the token endpoint \
             (client_assertion.audience)"
        }
        Proof::AssertionFile => {
            "the vendor did not take the assertion of client_assertion_file: see that it has not \
             ended (whoever renews the file may have stopped), that the vendor trusts the issuer of \
             that token, and compare its subject and audience with what the vendor expects of this \
             client"
        }
        Proof::Certificate => {
            "the vendor did not take the client's certificate: compare client_id, and whether \
             client_certificate (its subject, its authority, its end) is what is registered there"
        }
        Proof::Password => {
            "compare username and password (by logging in with them), then client_id and \
             client_secret with the vendor's console"
        }
    }
}

/// What to check when no answer came.
pub(super) fn no_answer_hint(error: &net::Error, context: &Context<'_>) -> String {
    let (presented, key) = (context.presented, context.place.key());
    match error.kind {
        net::ErrorKind::Tls if error.is_about_ours => {
            "the vendor ended the TLS handshake, since it misses a certificate of the client, or does not take \
             it: compare client_certificate and client_key (their authority, their end) with what is \
             registered there"
                .to_owned()
        }
        net::ErrorKind::Timeout | net::ErrorKind::Connect => {
            let then = match presented {
                Presented::Code => "",
                _ => "; the broker tries again",
            };
            format!("check the host in {key}, firewall and proxy ([net] proxy, HTTPS_PROXY){then}")
        }
        net::ErrorKind::Dns => {
            format!("check the host in {key} for a typo, and this machine's DNS")
        }
        net::ErrorKind::Tls => format!(
            "check the host in {key}; behind a proxy that opens TLS connections, name its authority \
             in [net] ca_file"
        ),
        net::ErrorKind::Reset | net::ErrorKind::TooLarge => {
            format!("this is no answer of a token endpoint: check {key}, and what is in between")
        }
    }
}

/// One sentence for someone who was woken up by it.
pub(super) fn describe(
    class: OutcomeClass,
    facts: Facts<'_>,
    vendor: &VendorAnswer,
    unreadable: Option<&Unreadable>,
    context: &Context<'_>,
) -> String {
    let (status, host) = (facts.status, context.host);
    let mut said = status.to_string();
    if let Some(error) = &vendor.error {
        said.push(' ');
        said.push_str(error);
    }
    if let Some(description) = &vendor.error_description {
        said.push_str(" (");
        said.push_str(description);
        said.push(')');
    }
    match class {
        OutcomeClass::BadCredential => {
            let what = match (context.place, context.proof, facts.error) {
                (_, _, Some("invalid_client")) => "the client credentials",
                (Place::Request | Place::Step(_), ..) => "what the request proves itself by",
                (_, Proof::Subject, Some("invalid_grant" | "invalid_request")) => {
                    "the token that is exchanged"
                }
                (_, Proof::Password, Some("invalid_grant")) => "username and password",
                _ => "the client credentials",
            };
            format!("the vendor refused {what}: {said}")
        }
        OutcomeClass::DeadGrant => {
            format!("{}: {said}", facts.presented.refusal(facts.error))
        }
        OutcomeClass::BadRequest if (300..400).contains(&status) => format!(
            "{host} answered {status}: a token endpoint does not redirect, so the URL is probably \
             wrong"
        ),
        OutcomeClass::BadRequest
            if matches!(status, 404 | 405 | 410 | 415) && facts.error.is_none() =>
        {
            format!("{host} answered {said}: the token endpoint's URL is probably wrong")
        }
        OutcomeClass::BadRequest if let Some(path) = facts.failed_inside => {
            format!("by its '{path}' the vendor's answer says that the request failed: {said}")
        }
        OutcomeClass::BadRequest => format!("the vendor refused the request: {said}"),
        OutcomeClass::RateLimited => {
            format!("{host} asks for fewer requests: {said}")
        }
        OutcomeClass::Transient if facts.is_html && matches!(status, 401 | 403) => format!(
            "{host} answered {status} with an HTML page, as a gateway in front of a vendor does"
        ),
        OutcomeClass::Transient => match (unreadable, &vendor.error) {
            (Some(why), None) => format!("{host} answered {said}, but {why}"),
            _ => format!("{host} answered {said}"),
        },
    }
}

/// Which of several requests it was.
pub(super) fn in_place(place: Place, description: String) -> String {
    match place {
        Place::Step(index) => format!("in step {index}: {description}"),
        Place::TokenEndpoint | Place::Issuer | Place::Request => description,
    }
}

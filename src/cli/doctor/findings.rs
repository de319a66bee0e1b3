//! What an examination means and what to do about it. Pure.
//!
//! Codes and levels are for programs and stay as they are; sentences are for people and may change.

use std::time::Duration;

use serde_json::Value;

use super::examine::{Examination, Varied};
use super::scope::Scope;
use crate::base::{ErrorCode, Failure, HumanDuration, Issued, Redactor, Timestamp};
use crate::exchange::{Attempt, Outcome};
use crate::net::Certificate;
use crate::spec::{Grant, Integration, Reissue};

/// A vendor's clock this far from ours is told.
const SKEW_TOLD: u64 = 30;
/// And this far it breaks assertions and expiry.
const SKEW_WRONG: u64 = 300;
/// What runs out within this time is told.
const SOON: Duration = Duration::from_hours(14 * 24);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// No token can be had as things are, or not for long.
    Problem,
    Warning,
    Note,
}

impl Level {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) code: &'static str,
    pub(super) says: String,
    /// What to do, the likeliest first.
    pub(super) advice: Vec<String>,
}

impl Finding {
    fn new(level: Level, code: &'static str, says: String) -> Self {
        let advice = Vec::new();
        Self {
            level,
            code,
            says,
            advice,
        }
    }

    fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }
}

pub(super) fn all_good(findings: &[Finding]) -> bool {
    findings.iter().all(|one| one.level != Level::Problem)
}

pub(super) fn of(one: &Examination) -> Vec<Finding> {
    if let Some(status) = &one.status {
        return told(one, status);
    }
    let mut found = Vec::new();
    match &one.result {
        Err(why) => found.push(
            Finding::new(Level::Problem, "cannot_ask", why.clone())
                .advise("correct the integration's [net] settings; nothing was sent"),
        ),
        Ok(Outcome::Issued(issued)) => issued_findings(one, issued, &mut found),
        Ok(outcome) => {
            found.extend(one.varied.as_ref().and_then(|varied| taken(one, varied)));
            if let Some(failure) = outcome.failure() {
                found.push(failed(one, failure));
            }
        }
    }
    found.extend(skew(one));
    found.extend(padding(one));
    found.extend(secret_dates(&one.integration, one.now.wall));
    found
}

/// What the running broker says, of a grant that only it may ask with.
fn told(one: &Examination, status: &Result<Value, String>) -> Vec<Finding> {
    let id = &one.integration.id;
    let status = match status {
        Ok(status) => status,
        Err(why) => {
            let says = format!(
                "only the running broker may ask with its refresh token, and there is no word from \
                 it: {why}"
            );
            return vec![
                Finding::new(Level::Problem, "no_broker", says)
                    .advise("start the broker, or say where it is with TOKEN_BROKER_URL"),
            ];
        }
    };
    let clean = |text: Option<&str>| text.map(|text| Redactor::default().clean(text));
    let state = clean(status.get("state").and_then(Value::as_str)).unwrap_or_default();
    let mut says = format!("the running broker has it as {state}; nothing was asked from here");
    let error = status.get("last_error").filter(|error| error.is_object());
    let said = |member: &str| clean(error?.get(member)?.as_str());
    if let Some(description) = said("error_description") {
        says = format!("{says}; its last failure: {description}");
    }
    let level = match state.as_str() {
        "valid" | "refreshing" => Level::Note,
        "degraded" | "pending" => Level::Warning,
        _ => Level::Problem,
    };
    let mut finding = Finding::new(level, "through_the_broker", says);
    finding.advice.extend(said("hint"));
    if state == "login_required" && one.integration.grant.takes_logins() {
        finding = finding.advise(format!("token-broker login {id}"));
    }
    let mut found = vec![finding];
    found.extend(secret_dates(&one.integration, one.now.wall));
    found
}

fn issued_findings(one: &Examination, issued: &Issued, found: &mut Vec<Finding>) {
    let Grant::Static(_) = &one.integration.grant else {
        let last = one.trace.attempts.last();
        let is_unread = last.is_some_and(|attempt| attempt.lifetime_is_unread);
        let kind = Redactor::default().clean(&issued.token_type);
        let says = match issued.lifetime {
            Some(lifetime) => {
                format!(
                    "a {kind} token that lives {}",
                    HumanDuration(whole(lifetime))
                )
            }
            None if is_unread => {
                format!("a {kind} token; how long it lives could not be read")
            }
            None => format!("a {kind} token; the vendor did not say how long it lives"),
        };
        let mut finding = Finding::new(Level::Note, "issued", says);
        if issued.lifetime.is_none() {
            finding = finding
                .advise("if it does expire, set [integrations.NAME.response] default_lifetime");
        }
        found.push(finding);
        found.extend(strange(one));
        found.extend(other_secret(one, issued));
        found.extend(missing_scope(one));
        found.extend(replaced(one));
        return;
    };
    let ends = issued
        .lifetime
        .map(|left| (whole(left), issued.sent_at.wall.plus(left)));
    found.push(match ends {
        None => {
            let says = "the token is readable; nothing says when it expires".to_owned();
            Finding::new(Level::Note, "no_expiry", says)
                .advise("if it does expire, set expires_at: the broker then tells in time")
        }
        Some((left, at)) => {
            let says = format!("the token expires at {at}, in {}", HumanDuration(left));
            if left < SOON {
                Finding::new(Level::Warning, "expires_soon", says)
                    .advise("put a new one in before: the broker cannot renew a static token")
            } else {
                Finding::new(Level::Note, "expires", says)
            }
        }
    });
}

/// What is strange about the token, as the log of a broker tells it.
fn strange(one: &Examination) -> Vec<Finding> {
    let last = one.trace.attempts.last();
    let oddities = last.map_or(&[][..], |attempt| &attempt.oddities);
    let id = &one.integration.id;
    let finding = |oddity: &String| {
        let says = format!("the token of '{id}' is strange: {oddity}");
        Finding::new(Level::Warning, "strange", says)
    };
    oddities.iter().map(finding).collect()
}

fn other_secret(one: &Examination, issued: &Issued) -> Option<Finding> {
    // Requests of a chain are attempts too, and none of them was refused.
    let refused = |attempt: &&Attempt| attempt.outcome == "bad_credential";
    let refused = one.trace.attempts.iter().filter(refused).count();
    let index = issued.secret_in_use.filter(|_| refused > 0)?;
    let says = format!(
        "client secret {} was taken after {refused} refused",
        index + 1,
    );
    let finding = Finding::new(Level::Warning, "secret_refused", says);
    Some(finding.advise("remove secrets that the vendor does not take any more"))
}

/// A broker that runs elsewhere holds the token before.
fn replaced(one: &Examination) -> Option<Finding> {
    let says = "this token ended the one before, which a running broker may hold".to_owned();
    let finding = Finding::new(Level::Warning, "replaced", says);
    let ends = one.integration.refresh.reissue == Reissue::Replaces;
    let id = &one.integration.id;
    ends.then(|| finding.advise(format!("have it get another: POST /refresh/{id}")))
}

fn missing_scope(one: &Examination) -> Option<Finding> {
    let scope = Scope::of(one)?;
    let missing = scope.missing();
    if missing.is_empty() {
        return None;
    }
    let granted = scope.granted.as_deref().unwrap_or_default().join(" ");
    let says = format!(
        "less was granted than asked for: '{}' is missing, granted is '{granted}'",
        missing.join(" ")
    );
    Some(Finding::new(Level::Warning, "scope_missing", says).advise(
        "allow it for this client at the vendor, or take it out of 'scope'; a change there can \
             take some minutes to show",
    ))
}

/// The variation was what was missing.
fn taken(one: &Examination, varied: &Varied) -> Option<Finding> {
    if !varied.is_taken() {
        return None;
    }
    let setting = varied.variation.setting();
    let says = format!("the vendor takes it with {setting}");
    let advice = format!("set that in [integrations.{}]", one.integration.id);
    Some(Finding::new(Level::Problem, "client_authentication", says).advise(advice))
}

fn failed(one: &Examination, failure: &Failure) -> Finding {
    let last = one.trace.attempts.last();
    let code = last.map_or(failure.code.as_str(), |attempt| code(attempt, failure));
    let mut finding = Finding::new(Level::Problem, code, failure.description.clone());
    let taken = one.varied.as_ref().is_some_and(Varied::is_taken);
    if let Some(hint) = failure.hint.as_ref().filter(|_| !taken) {
        finding.advice.push(hint.clone());
    }
    // A provider's own words on a refusal are better than ours, and so is what the answer says.
    let is_html = last
        .and_then(|attempt| attempt.answer.as_ref())
        .is_some_and(|it| it.is_html);
    let hinted = failure.hint.is_some()
        && match code {
            "credentials_rejected" | "request_rejected" | "rate_limited" => true,
            "unreadable" => !is_html,
            _ => false,
        };
    if !taken && !hinted {
        finding.advice.extend(advice(code, one, last));
    }
    if let (Some(varied), false) = (&one.varied, taken) {
        finding.advice.push(format!(
            "{} was tried too, and not taken either: the client id or the secret itself is probably \
             wrong{}",
            varied.variation.as_str(),
            varied.variation.left().map_or_else(String::new, |other| format!(
                ", or the vendor wants {other}, which was not tried"
            ))
        ));
    }
    if let Some(wait) = failure.retry_after {
        let wait = HumanDuration(whole(wait));
        finding
            .advice
            .push(format!("the vendor asks to wait {wait}"));
    }
    if let Some(docs) = &one.integration.vendor.docs {
        finding
            .advice
            .push(format!("the vendor's documentation: {docs}"));
    }
    finding
}

/// What kind of trouble this is.
fn code(attempt: &Attempt, failure: &Failure) -> &'static str {
    if let Some(trouble) = &attempt.trouble {
        return match trouble.certificate {
            Some(Certificate::Expired) => "tls_expired",
            Some(Certificate::NotYetValid) => "tls_not_yet_valid",
            Some(Certificate::UnknownIssuer) => "tls_unknown_issuer",
            Some(Certificate::OtherName) => "tls_other_name",
            Some(Certificate::Unfit) => "tls_unfit",
            None => trouble.kind.as_str(),
        };
    }
    let Some(answer) = &attempt.answer else {
        return failure.code.as_str();
    };
    let has_error = failure
        .vendor
        .as_ref()
        .is_some_and(|vendor| vendor.error.is_some());
    match answer.status {
        300..=399 => "wrong_url",
        404 | 405 | 410 | 415 if !has_error => "wrong_url",
        200..=299 if failure.code == ErrorCode::TemporarilyUnavailable => "unreadable",
        500.. => "vendor_error",
        _ if answer.is_html => "html",
        _ => failure.code.as_str(),
    }
}

/// Of several requests it is the last that failed.
fn asked_host(one: &Examination, attempt: Option<&Attempt>) -> String {
    let sent = attempt.and_then(|attempt| url::Url::parse(&attempt.sent.url).ok());
    let sent = sent.and_then(|url| url.host_str().map(str::to_owned));
    let endpoint = one.integration.grant.endpoint();
    sent.or_else(|| endpoint.map(|endpoint| endpoint.host().to_owned()))
        .unwrap_or_default()
}

fn advice(code: &str, one: &Examination, attempt: Option<&Attempt>) -> Vec<String> {
    let proxy = attempt.and_then(|attempt| attempt.proxy.as_deref());
    let grant = &one.integration.grant;
    let host = asked_host(one, attempt);
    let key = match grant.steps() {
        Some(_) => "the request's url",
        None => "token_endpoint",
    };
    let mut all = vec![match code {
        "dns" => format!(
            "check the spelling of '{host}': tenant, region and domain; where only a proxy can look \
             names up, set [net] proxy"
        ),
        "connect" => format!(
            "check host and port of '{host}' (region, domain), and whether a firewall is between or \
             a proxy is needed ([net] proxy)"
        ),
        "timeout" => format!(
            "check '{host}' (a wrong tenant, region or domain often answers nothing), firewall and \
             proxy; [refresh] timeout and connect_timeout say how long is waited"
        ),
        "tls_unknown_issuer" => {
            "the certificate is signed by an authority that is not known here: name a PEM file with \
             that authority in [net] ca_file; a proxy that opens TLS connections is the usual reason"
                .to_owned()
        }
        "tls_expired" | "tls_not_yet_valid" => format!(
            "the certificate is outside its dates, or this machine's clock is wrong: it says {}; the \
             vendor, or whoever runs the proxy, must renew the certificate",
            one.now.wall
        ),
        "tls_other_name" => format!(
            "what answers is not '{host}' by its certificate: compare tenant, region and domain with \
             the vendor's documentation; a proxy or a captive network may answer in its place"
        ),
        "tls" | "tls_unfit" => {
            "no TLS connection came about: check the port, and whether a proxy opens connections \
             ([net] ca_file names its authority)"
                .to_owned()
        }
        "reset" => "something between, or the wrong port: does a token endpoint answer there?".to_owned(),
        "too_large" | "unreadable" | "html" => {
            format!(
                "this is not how a token endpoint answers: compare {key} with the vendor's \
                 documentation (path, tenant, region)"
            )
        }
        "wrong_url" => {
            format!("compare {key} with the vendor's documentation: path, version, tenant, region")
        }
        "vendor_error" => "the vendor has trouble: try again later".to_owned(),
        "credentials_rejected" => {
            "compare client id and secret with the vendor's console: are they of this environment, \
             enabled, and not expired?"
                .to_owned()
        }
        "request_rejected" => {
            "compare what was sent with the vendor's documentation; waiting does not help".to_owned()
        }
        "rate_limited" => "ask less often: does something else use this client?".to_owned(),
        "secret_unavailable" => {
            "put it there, readable for the user who runs the broker; nothing was sent".to_owned()
        }
        "token_expired" => "put a new token where the configuration points".to_owned(),
        _ => return Vec::new(),
    }];
    let on_the_way = attempt.is_some_and(|attempt| attempt.trouble.is_some());
    if let (Some(proxy), true) = (proxy, on_the_way) {
        all.push(format!(
            "the request went through the proxy {proxy}: check that it runs and lets '{host}' through"
        ));
    }
    all
}

/// The last answer's clock against ours.
fn skew(one: &Examination) -> Option<Finding> {
    let seconds = one.trace.attempts.iter().rev().find_map(|one| one.skew)?;
    let apart = seconds.unsigned_abs();
    if apart <= SKEW_TOLD {
        return None;
    }
    let level = if apart > SKEW_WRONG {
        Level::Problem
    } else {
        Level::Warning
    };
    let side = if seconds > 0 { "ahead of" } else { "behind" };
    let says = format!(
        "the vendor's clock is {} {side} this machine's",
        HumanDuration(Duration::from_secs(apart))
    );
    Some(Finding::new(level, "clock_skew", says).advise(
        "set this machine's clock (NTP): expiry and signed assertions are reckoned with it",
    ))
}

fn padding(one: &Examination) -> Option<Finding> {
    let padded = one.trace.attempts.iter().any(|attempt| attempt.padded);
    let says = "client id or client secret begins or ends with a space".to_owned();
    let finding = Finding::new(Level::Warning, "padded", says);
    padded.then(|| finding.advise("copy it again without"))
}

fn secret_dates(integration: &Integration, now: Timestamp) -> Vec<Finding> {
    let dated = integration.grant.client_secret().iter().enumerate();
    let dated = dated.filter_map(|(index, secret)| Some((index + 1, secret.expires_at?)));
    dated
        .filter(|(_, at)| at.since(now) < SOON)
        .map(|(number, at)| {
            let (code, says) = if at <= now {
                let says = format!("client secret {number} expired at {at} by the configuration");
                ("secret_expired", says)
            } else {
                let left = HumanDuration(whole(at.since(now)));
                let says = format!("client secret {number} expires at {at}, in {left}");
                ("secret_expires_soon", says)
            };
            Finding::new(Level::Warning, code, says)
                .advise("make a new one at the vendor and list both until the old one is gone")
        })
        .collect()
}

/// Whole seconds, as people read them.
fn whole(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

#[cfg(test)]
mod tests;

//! Examinations as JSON. Members are always there, null where nothing is known.

use serde_json::{Map, Value, json};

use super::examine::Examination;
use super::findings::{self, Finding};
use super::scope::Scope;
use crate::base::Issued;
use crate::exchange::{Attempt, Outcome, Trace, Variation};

pub(super) fn all(found: &[Examination]) -> Value {
    let good = found
        .iter()
        .all(|one| findings::all_good(&findings::of(one)));
    let integrations: Vec<Value> = found.iter().map(of).collect();
    json!({ "ok": good, "integrations": integrations })
}

fn of(one: &Examination) -> Value {
    let findings = findings::of(one);
    let mut attempts = attempts(&one.trace, None);
    if let Some(varied) = &one.varied {
        attempts.extend(self::attempts(&varied.trace, Some(varied.variation)));
    }
    let last = one.trace.attempts.last();
    let taken = one.varied.as_ref().filter(|varied| varied.is_taken());
    json!({
        "name": one.integration.id.as_str(),
        "provider": &*one.integration.provider,
        "grant": one.integration.grant.name(),
        "ok": findings::all_good(&findings),
        "outcome": one.result.as_ref().ok().map(Outcome::label),
        "proxy": last.and_then(|attempt| attempt.proxy.as_deref()),
        "clock_skew_seconds": last.and_then(|attempt| attempt.skew),
        "token": one.result.as_ref().ok().and_then(issued).map(token),
        "scope": scope(one),
        "setting": taken.map(|varied| varied.variation.setting()),
        "attempts": attempts,
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn issued(outcome: &Outcome) -> Option<&Issued> {
    match outcome {
        Outcome::Issued(issued) => Some(issued),
        _ => None,
    }
}

/// All about a token but itself.
fn token(issued: &Issued) -> Value {
    let ends = issued.lifetime.map(|left| issued.sent_at.wall.plus(left));
    json!({
        "token_type": issued.token_type,
        "expires_in": issued.lifetime.map(|lifetime| lifetime.as_secs()),
        "expires_at": ends.map(|at| at.to_string()),
        "secret_in_use": issued.secret_in_use,
    })
}

fn scope(one: &Examination) -> Value {
    Scope::of(one).map_or(Value::Null, |scope| {
        json!({ "asked": scope.asked, "granted": scope.granted, "missing": scope.missing() })
    })
}

fn attempts(trace: &Trace, variation: Option<Variation>) -> Vec<Value> {
    let attempts = trace.attempts.iter();
    attempts.map(|one| attempt(one, variation)).collect()
}

fn attempt(one: &Attempt, variation: Option<Variation>) -> Value {
    let response = one.answer.as_ref().map(|answer| {
        json!({
            "status": answer.status,
            "headers": members(&answer.headers),
            "body": answer.body,
        })
    });
    json!({
        "variation": variation.map(Variation::as_str),
        "secret": one.secret_index,
        "request": {
            "method": one.sent.method,
            "url": one.sent.url,
            "headers": members(&one.sent.headers),
            "body": one.sent.body,
        },
        "response": response,
        "error": one.trouble.as_ref().map(|error| error.kind.as_str()),
        "duration_ms": u64::try_from(one.took.as_millis()).unwrap_or(u64::MAX),
        "outcome": one.outcome,
    })
}

fn members(pairs: &[(String, String)]) -> Value {
    let pairs = pairs.iter();
    let members: Map<String, Value> = pairs
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    Value::Object(members)
}

fn finding(one: &Finding) -> Value {
    json!({
        "level": one.level.as_str(),
        "code": one.code,
        "text": one.says,
        "advice": one.advice,
    })
}

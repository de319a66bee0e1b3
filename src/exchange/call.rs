//! A request of a vendor's own kind, and what is taken of its answer. Pure.
//!
//! Invariant: whatever an answer says, a request goes to a host that the configuration names.

use serde_json::{Map, Value};
use url::Url;

use super::answer::Answer;
use super::body::{self, Field};
use super::phrase::{Moment, Unmade};
use super::request::{Filled, Unsendable, verb};
use super::response::{self, Unreadable};
use crate::base::{Redactor, Secret, Timestamp};
use crate::net;
use crate::spec::{Body, Call, CallUrl, Endpoint, MadeHost, Method, Part, Path, Phrase, land};

/// A request that can be sent.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) request: net::Request,
    /// Where it goes, without what is put into the query.
    pub(super) endpoint: Endpoint,
    /// What must not be shown besides the secrets that it was made of.
    pub(super) derived: Vec<Secret>,
}

pub(super) fn build(
    call: &Call,
    filled: &Filled,
    answers: &[Value],
    now: Timestamp,
) -> Result<Ready, Unsendable> {
    let moment = Moment::new(now)
        .with_secrets(filled.credential.as_ref(), &filled.secrets)
        .with_answers(answers);
    let endpoint = match &call.url {
        CallUrl::Known(endpoint) => endpoint.clone(),
        CallUrl::Made { url, host } => made(url, host, &moment, filled)?,
    };
    let mut url = endpoint.url().clone();
    body::put_in_query(&mut url, &fields(&call.query, &moment)?);
    let mut headers = body::usual_headers();
    let body = match &call.body {
        Body::None => body::none(&mut headers, call.method == Method::Post),
        Body::Form(pairs) => body::form(&mut headers, &fields(pairs, &moment)?),
        Body::Json(members) => body::json_members(&mut headers, moment.members(members)?),
    };
    for (name, phrase) in &call.headers {
        body::put_header(&mut headers, name, &moment.text(phrase)?)?;
    }
    Ok(Ready {
        request: net::Request {
            method: verb(call.method),
            url,
            headers,
            body,
        },
        endpoint,
        derived: moment.derived(),
    })
}

/// What is empty is not sent.
fn fields(pairs: &[(String, Phrase)], moment: &Moment<'_>) -> Result<Vec<(String, Field)>, Unmade> {
    let mut fields = Vec::with_capacity(pairs.len());
    for (name, phrase) in pairs {
        let field = Field::Text(moment.text(phrase)?);
        if !field.is_empty() {
            fields.push((name.clone(), field));
        }
    }
    Ok(fields)
}

/// A URL with what earlier steps brought.
fn made(
    url: &Phrase,
    host: &MadeHost,
    moment: &Moment<'_>,
    filled: &Filled,
) -> Result<Endpoint, Unsendable> {
    let mut text = String::new();
    for part in url.parts() {
        if let Part::Text(literal) = part {
            text.push_str(literal);
            continue;
        }
        let value = moment.text(&Phrase::new([part.clone()]))?;
        // Some vendors leave the scheme of their own URLs out.
        let whole = text.is_empty() && !value.contains("://");
        let value = if whole {
            format!("https://{}", value.as_str())
        } else {
            value.as_str().to_owned()
        };
        let landed = land(&text, &value).map_err(|misfit| match part {
            Part::Answer { step, path } => {
                Unsendable::Url(format!("has {{steps.{step}.{path}}} in it, which {misfit}"))
            }
            _ => Unsendable::Url(misfit.to_string()),
        })?;
        text.push_str(&landed);
    }
    let endpoint = Endpoint::parse(&text).map_err(|error| Unsendable::Url(error.to_string()))?;
    let named = match host {
        MadeHost::Fixed(known) => known.authority() == endpoint.authority(),
        MadeHost::AnyOf(patterns) => {
            let standard = Url::port(endpoint.url()).is_none();
            let known = patterns.iter().any(|one| one.matches(endpoint.host()));
            known && (standard || endpoint.is_loopback())
        }
    };
    if !named {
        let held: Vec<Secret> = filled.held().collect();
        // A host has no capital letters.
        let held: Vec<Secret> = held
            .iter()
            .map(|secret| Secret::new(secret.expose().to_lowercase()))
            .chain(held.iter().cloned())
            .collect();
        let host = Redactor::new(&held).clean(endpoint.host());
        return Err(Unsendable::Url(match Url::port(endpoint.url()) {
            None => format!("leads to '{host}', which is not among its hosts"),
            Some(port) => format!(
                "leads to port {port} of '{host}': it must be one of its hosts, at the usual port"
            ),
        }));
    }
    Ok(endpoint)
}

/// What later steps take of an answer may be as long as this, all in all.
const TAKEN_MAX: usize = 128 * 1024;

/// What later steps need of the answer of a step before the last, and nothing else of it: if all of it
/// is there.
pub(super) fn read(answer: &Answer, wanted: &[Path]) -> Result<Value, Unreadable> {
    let json = response::json(answer)?;
    let mut taken = Value::Object(Map::new());
    let mut room = TAKEN_MAX;
    for path in wanted {
        let found = path.find(json).filter(|value| !value.is_null());
        let found = found.ok_or_else(|| Unreadable::NoMember(path.clone()))?;
        let size = found.to_string().len();
        room = room.checked_sub(size).ok_or(Unreadable::TooMuchTaken)?;
        put(&mut taken, path.steps(), found.clone());
    }
    Ok(taken)
}

/// Puts a value where its path finds it again; a list becomes an object whose members are numbers.
fn put(into: &mut Value, steps: &[String], value: Value) {
    let Some((step, rest)) = steps.split_first() else {
        *into = value;
        return;
    };
    if into.is_array() {
        // It was taken as a whole, by a shorter path.
        return;
    }
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    if let Some(members) = into.as_object_mut() {
        put(
            members.entry(step.as_str()).or_insert(Value::Null),
            rest,
            value,
        );
    }
}

#[cfg(test)]
mod tests;

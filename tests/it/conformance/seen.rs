//! A request as a vendor sees it, held against what its page says.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::Value;
use token_broker::base::Timestamp;

use super::differ::same;
use super::fixture::Call;
use super::jwt::same_jwt;
use crate::support::Request;

/// HTTP's own, or looked at by themselves.
const USUAL_HEADERS: [&str; 6] = [
    "accept",
    "accept-encoding",
    "authorization",
    "content-length",
    "content-type",
    "host",
];

/// Stands for any.
const UUID: &str = "{uuid}";

fn form(text: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// Compares member by member: nothing missing, nothing more. `made`: when, as far as that is known.
pub(super) fn same_call(
    expected: &Call,
    seen: &Request,
    made: RangeInclusive<Timestamp>,
) -> Result<(), String> {
    let mut words = seen.line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    same("method", expected.method.as_str(), method)?;
    same("url", &expected.url, &format!("{}{path}", seen.origin))?;
    let mut query = form(query.as_bytes());
    let kind = seen.header("content-type");
    let (kind, boundary) = match kind.and_then(|kind| kind.split_once("; boundary=")) {
        Some((kind, boundary)) => (Some(kind), Some(boundary)),
        None => (kind, None),
    };
    same("content-type", expected.content_type.as_deref(), kind)?;
    same(
        "accept",
        Some(expected.accept.as_str()),
        seen.header("accept"),
    )?;
    let mut headers: BTreeMap<String, String> = seen.headers.iter().cloned().collect();
    headers.retain(|name, value| {
        let our_name = name == "user-agent" && value.starts_with("token-broker/");
        !our_name && !USUAL_HEADERS.contains(&name.as_str())
    });
    for (name, value) in &mut headers {
        let wanted = expected.headers.get(name).map(String::as_str);
        if wanted == Some(UUID) && value.len() == 36 && value.matches('-').count() == 4 {
            UUID.clone_into(value);
        }
    }
    same("headers", &expected.headers, &headers)?;
    let mut authorization = seen.header("authorization").map(str::to_owned);
    let mut json: Option<Value> = None;
    let mut body = match (kind, boundary) {
        (Some("application/json"), _) => {
            let read = serde_json::from_str(seen.text());
            let members: Value = read.map_err(|error| error.to_string())?;
            json = Some(members.clone());
            as_text(&members)?
        }
        (_, Some(boundary)) => parts(seen.text(), boundary),
        _ => form(&seen.body),
    };
    if let Some(assertion) = &expected.assertion {
        let parameter = &assertion.parameter;
        let token = if parameter == "authorization" {
            let found = authorization.take();
            found.and_then(|found| Some(found.strip_prefix("Bearer ")?.to_owned()))
        } else {
            body.remove(parameter).or_else(|| query.remove(parameter))
        };
        same_jwt(&assertion.jwt, &token.ok_or("no assertion")?, made)?;
    }
    same("authorization", &expected.authorization, &authorization)?;
    same("query", &expected.query, &query)?;
    match &expected.json {
        Some(wanted) => same("json", Some(serde_json::from_str(wanted).unwrap()), json),
        None => same("body", &expected.body, &body),
    }
}

fn as_text(members: &Value) -> Result<BTreeMap<String, String>, String> {
    let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    let members = members.as_object().ok_or("no JSON object")?;
    let all = members.iter();
    Ok(all
        .map(|(name, value)| (name.clone(), text(value)))
        .collect())
}

/// The parts of a multipart body by their names.
fn parts(text: &str, boundary: &str) -> BTreeMap<String, String> {
    let between = format!("--{boundary}");
    let part = |part: &str| {
        let rest = part.strip_prefix("\r\nContent-Disposition: form-data; name=\"")?;
        let (name, value) = rest.split_once("\"\r\n\r\n")?;
        Some((name.to_owned(), value.strip_suffix("\r\n")?.to_owned()))
    };
    text.split(&between).filter_map(part).collect()
}

//! What an exchange sent and got back, written down for a person to read.
//!
//! Made only when somebody asks for it. Invariant: a trace holds no secret, token or assertion. What
//! is sent is hidden unless it is known to be public; of a good answer no text is shown but known
//! public members; everything else passes the redactor.

use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::{Map, Value};

use super::members::{self, Tokens};
use super::{Outcome, auth};
use crate::base::{Failure, Now, Redactor, Secret, Zeroizing};
use crate::net;
use crate::spec::{
    Body, Call, Draft, Path, Phrase, RequestFormat, ResponseShape, Steps, TokenRequest,
};

const HIDDEN: &str = "(secret)";
/// Headers of an answer that tell something about its sender.
const TELLING: [&str; 9] = [
    "date",
    "content-type",
    "retry-after",
    "www-authenticate",
    "location",
    "server",
    "via",
    "x-request-id",
    "x-correlation-id",
];
/// Parameters that are public by what they are.
const PUBLIC: [&str; 7] = [
    "grant_type",
    "client_id",
    "scope",
    "client_assertion_type",
    "assertion_type",
    "requested_token_type",
    "subject_token_type",
];
/// Parts of a name whose value may be a secret though the configuration has it as plain text.
const SUSPICIOUS: [&str; 9] = [
    "secret",
    "password",
    "passwd",
    "token",
    "key",
    "assertion",
    "credential",
    "jwt",
    "auth",
];
/// Members of a good answer whose text is public by what it is.
const HARMLESS: [&str; 9] = [
    "token_type",
    "tokentype",
    "scope",
    "scopes",
    "error",
    "error_description",
    "message",
    "title",
    "detail",
];
/// Objects and lists deeper than this are not shown.
const DEEPEST: usize = 6;

/// One exchange: a request with each client secret that was tried.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    pub attempts: Vec<Attempt>,
}

/// One request and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    pub sent: Sent,
    /// The proxy it went through, without user and password.
    pub proxy: Option<String>,
    pub answer: Option<Answered>,
    /// Why there is no answer.
    pub trouble: Option<net::Error>,
    pub took: Duration,
    /// Seconds the vendor's clock is ahead of ours; negative: behind. `None`: it did not say.
    pub skew: Option<i64>,
    /// Index in the configured list of the client secret.
    pub secret_index: Option<usize>,
    /// Client id or secret read otherwise when form-encoded.
    pub encoding_matters: bool,
    /// Client id or secret begins or ends with a space.
    pub padded: bool,
    /// The words of the scope that came with the token.
    pub granted: Option<Vec<String>>,
    pub outcome: &'static str,
    pub failure: Option<Failure>,
    /// What is strange about a token that came.
    pub oddities: Vec<String>,
    /// Something stood where its lifetime should be, and could not be read.
    pub lifetime_is_unread: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    pub status: u16,
    pub is_html: bool,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// What is known of a request besides itself.
pub(super) struct Shown<'a> {
    format: RequestFormat,
    client_id: &'a str,
    credential: &'a str,
    /// Parameters and headers that are written in the configuration as they are sent.
    plain: Vec<(&'a str, &'a str)>,
    /// Members of the answer that later requests are made of: secrets under whatever name.
    taken: Vec<Path>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(request: &'a TokenRequest, credential: Option<&'a Secret>) -> Self {
        let signs = request.client_assertion().is_some();
        let params = request.params.iter().filter_map(plain_param);
        let own = request.own().iter();
        let own = own.filter_map(|(name, phrase)| Some((*name, phrase.known()?)));
        let headers = request.headers.iter().filter_map(plain_text);
        Self {
            format: request.format,
            client_id: request.client_id.as_deref().unwrap_or_default(),
            credential: credential.filter(|_| !signs).map_or("", Secret::expose),
            plain: params.chain(own).chain(headers).collect(),
            taken: Vec::new(),
        }
    }

    pub(super) fn of_call(
        steps: &'a Steps,
        call: &'a Call,
        credential: Option<&'a Secret>,
        taken: Vec<Path>,
    ) -> Self {
        let pairs = call.headers.iter().chain(&call.query);
        let mut plain: Vec<(&str, &str)> = pairs.filter_map(plain_text).collect();
        let format = match &call.body {
            Body::Json(members) => {
                let known =
                    |(name, value): &'a (Phrase, Draft)| Some((name.known()?, value.known_text()?));
                plain.extend(members.iter().filter_map(known));
                RequestFormat::Json
            }
            Body::Form(pairs) => {
                plain.extend(pairs.iter().filter_map(plain_text));
                RequestFormat::Form
            }
            Body::None => RequestFormat::Query,
        };
        Self {
            format,
            client_id: steps.client_id.as_deref().unwrap_or_default(),
            credential: credential.map_or("", Secret::expose),
            plain,
            taken,
        }
    }
}

fn plain_text((name, phrase): &(String, Phrase)) -> Option<(&str, &str)> {
    Some((name, phrase.known()?))
}

fn plain_param((name, draft): &(String, Draft)) -> Option<(&str, &str)> {
    Some((name, draft.known_text()?))
}

/// A request that is about to be sent.
pub(super) struct Look {
    sent: Sent,
    proxy: Option<String>,
    held: Vec<Secret>,
    /// There is more that must not be shown.
    are_more: bool,
    taken: Vec<Path>,
    encoding_matters: bool,
    padded: bool,
}

fn knowing(held: &[Secret], are_more: bool) -> Redactor {
    let mut redactor = Redactor::new(held);
    if are_more {
        redactor.blind();
    }
    redactor
}

impl Look {
    pub(super) fn at(
        shown: Shown<'_>,
        request: &net::Request,
        (mut held, hidden): (Vec<Secret>, Tokens),
        proxy: Option<String>,
    ) -> Self {
        let (id, secret) = (shown.client_id, shown.credential);
        held.extend(hidden.known);
        let show = Show {
            format: shown.format,
            plain: shown.plain,
            redactor: knowing(&held, hidden.are_more),
            held: &held,
        };
        Self {
            encoding_matters: [id, secret].iter().any(|text| auth::form(text) != *text),
            padded: [id, secret].iter().any(|text| text.trim() != *text),
            sent: show.request(request),
            proxy,
            held,
            are_more: hidden.are_more,
            taken: shown.taken,
        }
    }

    pub(super) fn finish(
        self,
        answer: &Result<net::Response, net::Error>,
        outcome: Option<&Outcome>,
        shape: &ResponseShape,
        (sent_at, now): (Now, Now),
        secret_index: Option<usize>,
    ) -> Attempt {
        let mut redactor = knowing(&self.held, self.are_more);
        let granted = match outcome {
            Some(Outcome::Issued(issued)) => {
                redactor.add(&issued.access_token);
                let granted = issued.scope.as_deref().map(words);
                granted.map(|words| words.map(|word| redactor.clean(word)).collect())
            }
            _ => None,
        };
        let (answered, trouble) = match answer {
            Ok(response) => {
                let answered = answered(response, shape, &self.taken, redactor);
                (Some(answered), None)
            }
            Err(error) => {
                let reason = redactor.clean(&error.reason);
                let error = net::Error {
                    reason,
                    ..error.clone()
                };
                (None, Some(error))
            }
        };
        let date = answer.as_ref().ok();
        let date = date.and_then(|response| net::stated_date(&response.headers));
        let skew = date.map(|date| {
            let ahead = date.since(now.wall).as_secs();
            let behind = sent_at.wall.since(date).as_secs();
            let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
            seconds(ahead).saturating_sub(seconds(behind))
        });
        Attempt {
            sent: self.sent,
            proxy: self.proxy,
            answer: answered,
            trouble,
            took: now.mono.since(sent_at.mono),
            skew,
            secret_index,
            encoding_matters: self.encoding_matters,
            padded: self.padded,
            granted,
            outcome: outcome.map_or("step", Outcome::label),
            failure: outcome.and_then(Outcome::failure).cloned(),
            oddities: Vec::new(),
            lifetime_is_unread: false,
        }
    }
}

/// What of a request may be seen.
struct Show<'a> {
    format: RequestFormat,
    plain: Vec<(&'a str, &'a str)>,
    redactor: Redactor,
    held: &'a [Secret],
}

impl Show<'_> {
    fn request(&self, request: &net::Request) -> Sent {
        let mut url = request.url.clone();
        url.set_query(None);
        let mut url = self.redactor.clean(url.as_str());
        if request.url.query().is_some() {
            let pairs = request.url.query_pairs();
            url = format!("{url}?{}", self.pairs(pairs));
        }
        let body = match (request.body.is_empty(), self.format) {
            (true, _) => String::new(),
            (false, RequestFormat::Json) => self.json(&request.body),
            (false, RequestFormat::Multipart) => self.multipart(&request.body),
            (false, RequestFormat::Form | RequestFormat::Query) => {
                self.pairs(url::form_urlencoded::parse(&request.body))
            }
        };
        let headers = request.headers.iter().map(|(name, value)| {
            let text = value.to_str().unwrap_or_default();
            let shown = self.header(name.as_str(), text, value.is_sensitive());
            (name.as_str().to_owned(), shown)
        });
        Sent {
            method: request.method.to_string(),
            url,
            headers: headers.collect(),
            body,
        }
    }

    fn header(&self, name: &str, value: &str, sensitive: bool) -> String {
        if name == AUTHORIZATION.as_str() {
            let basic = value.starts_with("Basic ");
            return if basic { "Basic (secret)" } else { HIDDEN }.to_owned();
        }
        if !sensitive || self.is_plain(name, value) {
            return self.visible(value);
        }
        HIDDEN.to_owned()
    }

    fn pairs<'p, T: AsRef<str>>(&self, pairs: impl Iterator<Item = (T, T)> + 'p) -> String {
        let shown: Vec<String> = pairs
            .map(|(name, value)| {
                let (name, value) = (name.as_ref(), value.as_ref());
                let value = match self.value(name, value) {
                    Some(text) => auth::form(&text),
                    None => HIDDEN.to_owned(),
                };
                format!("{}={value}", auth::form(name))
            })
            .collect();
        shown.join("&")
    }

    fn json(&self, body: &[u8]) -> String {
        match serde_json::from_slice(body) {
            Ok(sent @ Value::Object(_)) => self.json_value("", sent).to_string(),
            _ => HIDDEN.to_owned(),
        }
    }

    /// Texts by the name they stand under; what is no text was written so in the configuration, or is
    /// a number of an earlier answer. Names may be made of secrets too.
    fn json_value(&self, name: &str, value: Value) -> Value {
        match value {
            Value::String(text) => {
                let shown = self.value(name, &text);
                Value::String(shown.unwrap_or_else(|| HIDDEN.to_owned()))
            }
            Value::Array(items) => items
                .into_iter()
                .map(|item| self.json_value(name, item))
                .collect(),
            Value::Object(members) => {
                let shown = members.into_iter().map(|(name, value)| {
                    let shown = self.json_value(&name, value);
                    (self.redactor.clean(&name), shown)
                });
                Value::Object(shown.collect::<Map<_, _>>())
            }
            Value::Number(number) if self.is_secret(&number.to_string()) => Value::from(HIDDEN),
            other => other,
        }
    }

    /// As if it were a form: what stands between two parts is of no interest.
    fn multipart(&self, body: &[u8]) -> String {
        let text = Zeroizing::new(String::from_utf8_lossy(body).into_owned());
        let mut parts = text.split("Content-Disposition: form-data; name=\"");
        parts.next();
        let pairs = parts.filter_map(|part| {
            let (name, rest) = part.split_once("\"\r\n\r\n")?;
            let (value, _) = rest.rsplit_once("\r\n--")?;
            Some((name, value))
        });
        self.pairs(pairs)
    }

    /// `None`: it must be hidden.
    fn value(&self, name: &str, value: &str) -> Option<String> {
        let public = PUBLIC.contains(&name) || self.is_plain(name, value);
        (public && !self.is_secret(value)).then(|| self.visible(value))
    }

    /// Written in the configuration as it is sent, under a name that promises no secret.
    fn is_plain(&self, name: &str, value: &str) -> bool {
        let lower = name.to_lowercase();
        let written = self.plain.contains(&(name, value));
        written && !SUSPICIOUS.iter().any(|part| lower.contains(part)) && !self.is_secret(value)
    }

    fn is_secret(&self, value: &str) -> bool {
        self.held.iter().any(|secret| secret.expose() == value) || self.redactor.finds_in(value)
    }

    fn visible(&self, value: &str) -> String {
        self.redactor.clean(value)
    }
}

fn answered(
    response: &net::Response,
    shape: &ResponseShape,
    taken: &[Path],
    mut redactor: Redactor,
) -> Answered {
    let bytes = response.body.as_slice();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let json: Option<Value> = serde_json::from_slice(bytes).ok();
    let good = (200..300).contains(&response.status);
    let text = Secret::new(String::from_utf8_lossy(bytes));
    let is_html = json.is_none() && text.expose().trim_start().starts_with('<');
    let body = match json {
        Some(Value::String(_)) if good && shape.is_raw => HIDDEN.to_owned(),
        Some(mut json) => {
            let mut tokens = members::tokens_in(&json, shape);
            for path in taken {
                if let Some(value) = path.find(&json) {
                    tokens.push_all(value);
                }
            }
            tokens.hide_from(&mut redactor);
            let tokens = shape.access_token.iter().chain(&shape.refresh_token);
            for path in tokens.chain(taken) {
                hide(&mut json, path);
            }
            let shown = if good {
                strict(json, None, 0)
            } else {
                lenient(json, 0)
            };
            redactor.clean(&shown.to_string())
        }
        None if bytes.is_empty() => String::new(),
        None if good && shape.is_raw => HIDDEN.to_owned(),
        None if good => format!("({} bytes that are not JSON)", bytes.len()),
        None => without_jwts(&redactor.clean(text.expose())),
    };
    Answered {
        status: response.status,
        is_html,
        headers: telling(&response.headers, &redactor),
        body,
    }
}

fn telling(headers: &HeaderMap, redactor: &Redactor) -> Vec<(String, String)> {
    let shown = |name: &&str| {
        let text = String::from_utf8_lossy(headers.get(*name)?.as_bytes());
        let text = match *name {
            // Not only whole URLs: a path may have a query, too.
            "location" => text.split(['?', '#']).next().unwrap_or_default(),
            _ => &text,
        };
        Some(((*name).to_owned(), without_jwts(&redactor.clean(text))))
    };
    TELLING.iter().filter_map(shown).collect()
}

fn hide(json: &mut Value, path: &Path) {
    if let Some(found) = path.find_mut(json) {
        *found = Value::from(HIDDEN);
    }
}

/// Of a good answer: what may be a token that we do not know of is only counted.
fn strict(value: Value, name: Option<&str>, depth: usize) -> Value {
    match value {
        _ if name.is_some_and(is_private) => Value::from(HIDDEN),
        Value::String(text) if text == HIDDEN => Value::String(text),
        Value::String(text) => Value::from(match name {
            Some(name) if HARMLESS.contains(&name.to_lowercase().as_str()) => without_jwts(&text),
            Some(name) if name.to_lowercase().contains("expire") && is_number(&text) => text,
            _ => host_of(&text).unwrap_or_else(|| format!("({} characters)", text.chars().count())),
        }),
        Value::Array(_) | Value::Object(_) if depth >= DEEPEST => Value::from("…"),
        Value::Array(items) => items
            .into_iter()
            .map(|item| strict(item, name, depth + 1))
            .collect(),
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| {
                    let value = strict(value, Some(&name), depth + 1);
                    (name, value)
                })
                .collect(),
        ),
        other => other,
    }
}

/// Of a refusal: all but what is private by its name or looks like a token.
fn lenient(value: Value, depth: usize) -> Value {
    match value {
        Value::String(text) => Value::from(without_jwts(&text)),
        Value::Array(_) | Value::Object(_) if depth >= DEEPEST => Value::from("…"),
        Value::Array(items) => items
            .into_iter()
            .map(|item| lenient(item, depth + 1))
            .collect(),
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| {
                    let value = if is_private(&name) {
                        Value::from(HIDDEN)
                    } else {
                        lenient(value, depth + 1)
                    };
                    (name, value)
                })
                .collect(),
        ),
        other => other,
    }
}

/// Seconds or milliseconds as text, as some vendors write them.
fn is_number(text: &str) -> bool {
    text.len() <= 13 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_private(name: &str) -> bool {
    let plain = members::plain(name);
    members::is_private(name) || matches!(plain.as_str(), "accesstoken" | "jwttoken" | "jwt")
}

/// A URL's scheme and host: its path may say anything.
fn host_of(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    let host = url.host_str().filter(|_| url.scheme() == "https")?;
    Some(match url.path() {
        "/" | "" => format!("https://{host}/"),
        _ => format!("https://{host}/…"),
    })
}

/// The words of a scope: vendors separate by spaces or commas.
pub fn words(scope: &str) -> impl Iterator<Item = &str> {
    let words = scope.split(|c: char| c.is_whitespace() || c == ',');
    words.filter(|word| !word.is_empty())
}

/// Words that begin as every JSON Web Token does are replaced.
fn without_jwts(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("eyJ") {
        let (before, word) = rest.split_at(at);
        let end = word.find(|c| !is_part(c)).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        shown.push_str(before);
        shown.push_str(if word.len() > 20 { HIDDEN } else { word });
        rest = after;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests;

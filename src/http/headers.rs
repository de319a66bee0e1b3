//! `GET /headers`: all that a call to the vendor's API needs.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::answer::{self, Answer};
use super::error::Problem;
use super::query::{Format, Query};
use super::{Context, token};
use crate::base::Secret;
use crate::snapshot::ApiCall;
use crate::telemetry::TokenLabel;

pub(super) async fn get(context: &Context, name: &str, query: Query) -> Result<Answer, Problem> {
    let entry = context.directory.find(name)?;
    let held = token::obtain(context, &entry, query).await?;
    let now = context.clock.now();
    let (content_type, text) = match query.format {
        Some(Format::Curl) => ("text/plain; charset=utf-8", curl(&held.api())),
        Some(Format::Json | Format::Raw | Format::Header) | None => {
            ("application/json", as_json(&held.api()))
        }
    };
    entry.counters.token_request(TokenLabel::Served);
    Ok(answer::secret(content_type, text, &held, now))
}

fn as_json(api: &ApiCall) -> String {
    let members = |pairs: &[(String, Secret)]| {
        let pair = |(name, value): &(String, Secret)| (name.clone(), Value::from(value.expose()));
        Value::Object(pairs.iter().map(pair).collect::<Map<_, _>>())
    };
    let document = json!({
        "base_url": api.base_url,
        "headers": members(&api.headers),
        "query": members(&api.query),
    });
    document.to_string()
}

/// Lines for `curl -K -`.
fn curl(api: &ApiCall) -> String {
    let mut lines = String::new();
    // Writing to a string cannot fail.
    let mut line = |option: &str, text: &str| {
        let _infallible = writeln!(lines, "{option} = \"{}\"", escaped(text));
    };
    for (name, value) in &api.headers {
        line("header", &format!("{name}: {}", value.expose()));
    }
    for (name, value) in &api.query {
        line("url-query", &url_query(name, value.expose()));
    }
    lines
}

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// curl encodes what follows the first `=` itself, but reads a file where an `@` comes first; a
/// `+` in front means that all is encoded already.
fn url_query(name: &str, value: &str) -> String {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    if !name.is_empty() && name.bytes().all(plain) {
        return format!("{name}={value}");
    }
    let encoded = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
    format!("+{}={}", encoded(name), encoded(value))
}

/// Inside double quotes curl's configuration knows these escapes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            c => escaped.push(c),
        }
    }
    escaped
}

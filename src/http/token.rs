//! The token itself: `GET` and `POST /token`, `POST /refresh`.

use std::sync::Arc;

use hyper::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use super::Context;
use super::answer::{self, Answer, JSON};
use super::directory::Entry;
use super::error::Problem;
use super::negotiate;
use super::query::{Format, Query};
use crate::base::{Now, Secret};
use crate::snapshot::{Denied, Held, MinTtl, Rejected, Want};
use crate::spec::Grant;
use crate::telemetry::TokenLabel;

const TEXT: &str = "text/plain; charset=utf-8";

pub(super) fn want(context: &Context, query: Query) -> Want {
    let server = &context.server;
    Want {
        min_ttl: match query.min_ttl {
            Some(asked) => MinTtl::Asked(asked),
            None => MinTtl::Default(server.min_ttl),
        },
        wait: query.wait.map_or(server.wait, |wait| wait.min(server.wait)),
    }
}

pub(super) async fn get(
    context: &Context,
    name: &str,
    query: Query,
    headers: &HeaderMap,
) -> Result<Answer, Problem> {
    let entry = context.directory.find(name)?;
    let held = obtain(context, &entry, query).await?;
    let now = context.clock.now();
    let answer =
        render(&held, query.format, headers, now).ok_or_else(|| Problem::no_authorization(name))?;
    entry.counters.token_request(TokenLabel::Served);
    Ok(answer)
}

/// As a vendor's token endpoint would answer.
pub(super) async fn drop_in(
    context: &Context,
    name: &str,
    query: Query,
) -> Result<Answer, Problem> {
    let entry = context.directory.find(name)?;
    let held = obtain(context, &entry, query).await?;
    let now = context.clock.now();
    entry.counters.token_request(TokenLabel::Served);
    Ok(answer::secret(JSON, held.json(now), &held, now))
}

/// A good token: the one that is held, or one the worker gets within the caller's wait.
pub(super) async fn obtain(
    context: &Context,
    entry: &Entry,
    query: Query,
) -> Result<Arc<Held>, Problem> {
    let want = want(context, query);
    if let Some(held) = entry.reader.good(context.clock.now(), want.min_ttl) {
        return Ok(held);
    }
    if context.health.is_store_held() {
        return Err(Problem::store_held(entry.name()));
    }
    let waited = entry.reader.token(&*context.clock, want).await;
    waited.map_err(|error| denied(context, entry, &error))
}

/// A worker that is gone while the broker stops has not been removed from the configuration.
fn denied(context: &Context, entry: &Entry, denied: &Denied) -> Problem {
    if *denied == Denied::Gone && context.health.is_stopping() {
        return Problem::shutting_down(entry.name());
    }
    if context.health.is_store_held() {
        return Problem::store_held(entry.name());
    }
    Problem::denied(entry.name(), denied)
}

/// `None`: a format that needs an `Authorization` header where there is none.
pub(super) fn render(
    held: &Held,
    format: Option<Format>,
    headers: &HeaderMap,
    now: Now,
) -> Option<Answer> {
    let format = format.unwrap_or_else(|| {
        if negotiate::wants_raw(headers) {
            Format::Raw
        } else {
            Format::Json
        }
    });
    Some(match format {
        Format::Raw => answer::secret(TEXT, held.token().expose().to_owned(), held, now),
        Format::Header => {
            let authorization = held.api().authorization()?;
            answer::secret(TEXT, authorization.expose().to_owned(), held, now)
        }
        // `curl` is no format of tokens; the query parser lets none through.
        Format::Json | Format::Curl => answer::secret(JSON, held.json(now), held, now),
    })
}

/// The body of `POST /refresh`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefreshBody {
    rejected: Option<Secret>,
}

pub(super) async fn refresh(
    context: &Context,
    name: &str,
    query: Query,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Answer, Problem> {
    let rejected = rejected(headers, body)?;
    let entry = context.directory.find(name)?;
    let fixed = matches!(entry.integration.grant, Grant::Static(_));
    let (held, retry_after) = if fixed || context.health.is_stopping() {
        let held = obtain(context, &entry, query).await?;
        if fixed && rejected.is_some_and(|rejected| rejected.names(&held)) {
            return Err(Problem::static_rejected(name));
        }
        (held, None)
    } else {
        let want = want(context, query);
        let asked = entry.reader.refresh(&*context.clock, want, rejected).await;
        let refreshed = asked.map_err(|error| denied(context, &entry, &error))?;
        (refreshed.held, refreshed.retry_after)
    };
    let now = context.clock.now();
    let mut answer =
        render(&held, query.format, headers, now).ok_or_else(|| Problem::no_authorization(name))?;
    if let Some(wait) = retry_after {
        let seconds = answer::retry_seconds(wait);
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    entry.counters.token_request(TokenLabel::Served);
    Ok(answer)
}

fn rejected(headers: &HeaderMap, body: &[u8]) -> Result<Option<Rejected>, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let is_json = headers.get(CONTENT_TYPE).is_none_or(|value| {
        let media = value.to_str().ok().and_then(|text| text.split(';').next());
        media.is_some_and(|media| media.trim().eq_ignore_ascii_case(JSON))
    });
    if !is_json {
        return Err(Problem::media_type());
    }
    // What the parser says would repeat the body, and that holds a token.
    let Ok(RefreshBody { rejected }) = serde_json::from_slice(body) else {
        return Err(Problem::invalid(
            "The body must be empty, or a JSON object whose only member is 'rejected': the refused token, or its \
             sha256 in hexadecimal, as a string.",
        ));
    };
    match rejected {
        Some(token) if token.is_empty() => Err(Problem::invalid(
            "'rejected' is empty: it must be the refused token, or its sha256 in hexadecimal.",
        )),
        Some(token) => Ok(Some(Rejected::parse(token.expose()))),
        None => Ok(None),
    }
}

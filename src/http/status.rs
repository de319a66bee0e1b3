//! How the integrations are: for people as JSON, for Prometheus as metrics.

use std::time::Duration;

use serde_json::{Value, json};

use super::Context;
use super::answer::{self, Answer};
use super::directory::Entry;
use super::error::Problem;
use crate::base::{Now, Timestamp};
use crate::snapshot::{LoginState, State};
use crate::telemetry::IntegrationSample;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn all(context: &Context) -> Answer {
    let now = context.clock.now();
    let entries = context.directory.all();
    let integrations: Vec<_> = entries.iter().map(|entry| document(entry, now)).collect();
    let document = json!({
        "integrations": integrations,
        "config": context.configuration.document(),
        "version": VERSION,
    });
    answer::text("application/json", document.to_string())
}

pub(super) fn one(context: &Context, name: &str) -> Result<Answer, Problem> {
    let entry = context.directory.find(name)?;
    let document = document(&entry, context.clock.now());
    Ok(answer::text("application/json", document.to_string()))
}

/// Every member always, null where unknown.
pub(super) fn document(entry: &Entry, now: Now) -> Value {
    let integration = &entry.integration;
    let snapshot = entry.reader.get();
    let held = snapshot.held.as_ref();
    let time = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339);
    let failure = snapshot.failure.as_ref();
    let last_error = failure.map(|failure| {
        let next = snapshot.until_next_attempt(now);
        Problem::failed(entry.name(), failure, next.unwrap_or_default()).document()
    });
    let left = held.and_then(|held| held.left(now));
    json!({
        "name": entry.name(),
        "provider": &*integration.provider,
        "grant": integration.grant.name(),
        "state": snapshot.state(now).as_str(),
        "expires_at": time(held.and_then(|held| held.expires_at())),
        "expires_in": left.as_ref().map(Duration::as_secs),
        "refresh_at": time(snapshot.refresh_at),
        "last_success_at": time(snapshot.last_success_at),
        "consecutive_failures": snapshot.consecutive_failures,
        "last_error": last_error,
        "secret_in_use": snapshot.secret_in_use,
        "secret_expires_at": time(snapshot.secret_expires_at),
        "refresh_token_expires_at": time(snapshot.refresh_token_expires_at),
        "store_error": snapshot.store_error,
        "login": snapshot.login.as_ref().map(|login| login_document(entry.name(), login)),
        "token_fingerprint": held.map(|held| held.short_fingerprint()),
    })
}

/// How the last login stands.
fn login_document(name: &str, login: &LoginState) -> Value {
    let (state, error) = match login {
        LoginState::Waiting => ("waiting", None),
        LoginState::Done => ("done", None),
        LoginState::Failed(failure) => {
            let problem = Problem::login_failed(name, failure);
            ("failed", Some(problem.document()))
        }
    };
    json!({"state": state, "error": error})
}

/// The page Prometheus reads.
pub(super) fn metrics(context: &Context) -> Answer {
    let now = context.clock.now();
    let entries = context.directory.all();
    let samples: Vec<_> = entries.iter().map(|entry| sample(entry, now)).collect();
    let states = State::ALL.map(State::as_str);
    let page = context.metrics.render(&states, &samples);
    answer::text("text/plain; version=0.0.4", page)
}

fn sample(entry: &Entry, now: Now) -> IntegrationSample<'_> {
    let snapshot = entry.reader.get();
    let held = snapshot.held.as_ref();
    let seconds = |at: Option<Timestamp>| at.map(Timestamp::unix_seconds);
    IntegrationSample {
        name: entry.name(),
        counters: &entry.counters,
        state: snapshot.state(now).as_str(),
        valid: snapshot.valid(now).is_some(),
        expires_at: seconds(held.and_then(|held| held.expires_at())),
        last_success_at: seconds(snapshot.last_success_at),
        consecutive_failures: snapshot.consecutive_failures,
        secret_expires_at: seconds(snapshot.secret_expires_at),
        refresh_token_expires_at: seconds(snapshot.refresh_token_expires_at),
        unsaved: snapshot.store_error.is_some(),
    }
}

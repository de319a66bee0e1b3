//! What a worker says: log lines and metrics of its exchanges.
//!
//! Invariant: nothing here ever sees a token; failures arrive already redacted.

use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::machine;
use super::reminders::{AGAIN, Reminders};
use crate::base::{ErrorCode, Failure, HumanDuration, Mono, Now, Timestamp};
use crate::snapshot::Snapshot;
use crate::spec::{Integration, SECRET_WARNING, SecretKind};
use crate::telemetry::{Loudness, Throttle};

const DAY: u64 = 86_400;

#[derive(Debug, Default)]
pub(super) struct Report {
    /// One for each kind of failure in this row: a refusal must be heard after an hour of trouble.
    throttles: Vec<(ErrorCode, Throttle)>,
    announced: bool,
    /// The last warnings, so that a lasting flaw is told once and not at every renewal.
    warned: Vec<String>,
    reminders: Reminders,
    /// The store does not take what is to be saved.
    unsaved: bool,
    /// The refresh token's end that was told last, and when.
    told_end: Option<Box<(Timestamp, Mono)>>,
}

impl Report {
    /// A token that was stored before this start.
    pub(super) fn restored(&mut self, spec: &Integration, snapshot: &Snapshot) {
        let Some(held) = snapshot.held.as_ref().filter(|_| !self.announced) else {
            return;
        };
        let id = &spec.id;
        let expires_at = held.expires_at().map(tracing::field::display);
        let refresh_at = snapshot.refresh_at.map(tracing::field::display);
        info!(
            integration.id = %id, provider = %spec.provider, expires_at, refresh_at,
            token.fingerprint = held.short_fingerprint(), "token of '{id}' taken from the store"
        );
        self.announced = true;
    }

    /// Once when saving begins to fail, and once when it works again.
    pub(super) fn store(&mut self, spec: &Integration, error: Option<&str>) {
        let id = &spec.id;
        match (error, self.unsaved) {
            (Some(error), false) => warn!(
                integration.id = %id, provider = %spec.provider, error,
                "what must outlive the broker of '{id}' is not in the store: {error}; it is kept \
                 in memory and saved as soon as possible"
            ),
            (None, true) => info!(
                integration.id = %id, provider = %spec.provider,
                "what must outlive the broker of '{id}' is saved: the store recovered"
            ),
            (Some(_), true) | (None, false) => {}
        }
        self.unsaved = error.is_some();
    }

    /// A refresh token that ends soon, once a day: fourteen days ahead, or with a third of its life
    /// left where that is less.
    pub(super) fn ending_refresh_token(
        &mut self,
        spec: &Integration,
        end: Option<(Timestamp, Duration)>,
        now: Now,
    ) {
        let Some((end, span)) = end else {
            return;
        };
        let left = end.since(now.wall);
        if left > SECRET_WARNING.min(span / 3) {
            self.told_end = None;
            return;
        }
        let again = |told: &(Timestamp, Mono)| told.0 != end || now.mono.since(told.1) >= AGAIN;
        if !self.told_end.as_deref().is_none_or(again) {
            return;
        }
        self.told_end = Some(Box::new((end, now.mono)));
        let id = &spec.id;
        let when = if left.is_zero() {
            "has expired".to_owned()
        } else {
            format!("expires in {}", HumanDuration(rounded(left)))
        };
        let remedy = machine::remedy(spec);
        warn!(
            integration.id = %id, provider = %spec.provider, refresh_token.expires_at = %end,
            "the refresh token of '{id}' {when} ({end}): {remedy}"
        );
    }

    pub(super) fn issued(&mut self, spec: &Integration, snapshot: &Snapshot) {
        let Some(held) = &snapshot.held else {
            return;
        };
        let id = &spec.id;
        let expires_at = held.expires_at().map(tracing::field::display);
        let refresh_at = snapshot.refresh_at.map(tracing::field::display);
        let fingerprint = held.short_fingerprint();
        let ended = self.throttles.drain(..);
        let failures: u32 = ended.filter_map(|(_, mut row)| row.succeeded()).sum();
        if failures > 0 {
            info!(
                integration.id = %id, provider = %spec.provider, failures, expires_at, refresh_at,
                token.fingerprint = fingerprint, "token of '{id}' obtained: recovered"
            );
        } else if self.announced {
            debug!(
                integration.id = %id, provider = %spec.provider, expires_at, refresh_at,
                token.fingerprint = fingerprint, "token of '{id}' renewed"
            );
        } else {
            info!(
                integration.id = %id, provider = %spec.provider, expires_at, refresh_at,
                token.fingerprint = fingerprint, "token of '{id}' obtained"
            );
        }
        self.announced = true;
    }

    fn loudness(&mut self, code: ErrorCode) -> Loudness {
        if let Some((_, row)) = self.throttles.iter_mut().find(|(of, _)| *of == code) {
            return row.failed();
        }
        let mut row = Throttle::default();
        let loudness = row.failed();
        self.throttles.push((code, row));
        loudness
    }

    /// What of the API call had to be left out.
    pub(super) fn left_out(&mut self, spec: &Integration, warnings: Vec<String>) {
        let id = &spec.id;
        for warning in &warnings {
            if self.warned.contains(warning) {
                debug!(integration.id = %id, "answer for '{id}': {warning}");
            } else {
                warn!(integration.id = %id, "answer for '{id}': {warning}");
            }
        }
        self.warned = warnings;
    }

    /// Secrets that end soon, each once a day.
    pub(super) fn ending_secrets(&mut self, spec: &Integration, now: Now) {
        for secret in self.reminders.due(&spec.grant, now) {
            let id = &spec.id;
            let at = secret.at;
            let kind = match secret.kind {
                SecretKind::ClientSecret => "client secret",
                SecretKind::ClientKey => "client key",
                SecretKind::Key => "key",
                SecretKind::Token => "token",
            };
            let (index, of) = (secret.index, secret.of);
            let what = match of {
                1 => kind.to_owned(),
                _ => format!("{kind} {} of {of}", index + 1),
            };
            let when = match at.since(now.wall).as_secs() {
                0 => "has expired".to_owned(),
                left => format!("expires in {} days", left / DAY),
            };
            warn!(
                integration.id = %id, provider = %spec.provider, secret.index = index,
                secret.expires_at = %at,
                "the {what} of '{id}' {when} ({at}): get a new one from the vendor and configure it"
            );
        }
    }

    pub(super) fn failed(
        &mut self,
        spec: &Integration,
        failure: &Failure,
        snapshot: &Snapshot,
        now: Now,
    ) {
        let id = &spec.id;
        let vendor = failure.vendor.as_ref();
        let status = vendor.and_then(|answer| answer.status);
        let vendor_error = vendor.and_then(|answer| answer.error.as_deref());
        let vendor_says = vendor.and_then(|answer| answer.error_description.as_deref());
        let hint = failure.hint.as_deref();
        let next_in = snapshot
            .refresh_at
            .map(|at| tracing::field::display(HumanDuration(whole_seconds(at.since(now.wall)))));
        let error = failure.code.as_str();
        let (what, quiet) = (&failure.description, snapshot.valid(now).is_some());
        let held = if quiet {
            "the held token is still served"
        } else {
            "no valid token is held"
        };
        let more = match self.loudness(failure.code) {
            Loudness::Warn => "",
            Loudness::LastWarn => " (further failures in this row are logged at debug level)",
            Loudness::Debug => {
                debug!(
                    integration.id = %id, provider = %spec.provider, error, vendor.status = status,
                    vendor.error = vendor_error, vendor.error_description = vendor_says, hint,
                    next_in, "no new token for '{id}': {what}; {held}"
                );
                return;
            }
        };
        warn!(
            integration.id = %id, provider = %spec.provider, error, vendor.status = status,
            vendor.error = vendor_error, vendor.error_description = vendor_says, hint,
            next_in, "no new token for '{id}': {what}; {held}{more}"
        );
    }
}

/// The panic's own message is not repeated: it could hold anything.
pub(super) fn panicked(spec: &Integration, wait: Duration) {
    let id = &spec.id;
    let wait = HumanDuration(whole_seconds(wait));
    error!(
        integration.id = %id, provider = %spec.provider,
        "worker of '{id}' failed and is restarted in {wait}; this is a bug"
    );
}

/// The failure that readers see after a panic.
pub(super) fn internal_error(spec: &Integration, now: Now) -> Failure {
    Failure {
        code: ErrorCode::TemporarilyUnavailable,
        description: format!("internal error while a token of '{}' was obtained", spec.id),
        hint: Some(
            "this is a bug in the token broker: its log has the details; it tries again by itself"
                .to_owned(),
        ),
        vendor: None,
        retry_after: None,
        at: now.wall,
    }
}

/// A vendor's token that is over before it can be served.
pub(super) fn dead_on_arrival(spec: &Integration, now: Now) -> Failure {
    Failure {
        code: ErrorCode::TemporarilyUnavailable,
        description: format!(
            "the token that the vendor issued to '{}' had expired when its answer arrived",
            spec.id
        ),
        hint: Some("the vendor answers too slowly for the lifetime of its tokens".to_owned()),
        vendor: None,
        retry_after: None,
        at: now.wall,
    }
}

/// A worker that nobody wants any more, and that may not go yet.
pub(super) fn lingers(spec: &Integration, why: Option<&str>) {
    let (id, why) = (&spec.id, why.unwrap_or("the store failed"));
    error!(
        integration.id = %id, error = why,
        "'{id}' is no longer configured, and its newest refresh token is not in the store: {why}; \
         it is kept in memory until it is saved, and lost if the broker ends before"
    );
}

/// A secret's source that does not answer.
pub(super) fn silent_secret(spec: &Integration, now: Now) -> Failure {
    Failure {
        code: ErrorCode::SecretUnavailable,
        description: format!(
            "the configured refresh token of '{}' could not be read: its source does not answer",
            spec.id
        ),
        hint: None,
        vendor: None,
        retry_after: None,
        at: now.wall,
    }
}

/// For people: days, or what is left of the last one.
fn rounded(left: Duration) -> Duration {
    let seconds = left.as_secs();
    let unit = match seconds {
        DAY.. => DAY,
        3600.. => 3600,
        60.. => 60,
        _ => 1,
    };
    Duration::from_secs(seconds / unit * unit)
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(
        duration
            .as_secs()
            .saturating_add(u64::from(duration.subsec_nanos() > 0)),
    )
}

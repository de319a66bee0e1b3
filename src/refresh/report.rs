//! What a worker says: log lines and metrics of its exchanges.
//!
//! Invariant: nothing here ever sees a token; failures arrive already redacted.

use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::reminders::Reminders;
use crate::base::{ErrorCode, Failure, HumanDuration, Now};
use crate::snapshot::Snapshot;
use crate::spec::{Integration, SecretKind};
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
}

impl Report {
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

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(
        duration
            .as_secs()
            .saturating_add(u64::from(duration.subsec_nanos() > 0)),
    )
}

//! What the sandbox remembers of each vendor: tokens, counts, the fault, the last request.
//!
//! Invariant: bounded whatever arrives, and nothing kept of a request but members that are no
//! secrets.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::consent::{self, Grants};
use super::fault::{Armed, Fault};
use super::secrets::Secrets;
use super::vendor::{Permission, VENDORS, Vendor};
use crate::base::Secret;

/// The oldest token is forgotten, and so refused, when one more is issued.
const MAX_TOKENS: usize = 10_000;
/// Longer names and values of a request are cut before they are shown.
const SHOWN_CHARS: usize = 200;
const SHOWN_MEMBERS: usize = 32;
/// Lifetimes past this are "no end" (an `Instant` cannot be pushed on for ever).
const FOREVER: Duration = Duration::from_hours(100 * 365 * 24);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) address: SocketAddr,
    vendors: Vec<(&'static Vendor, Mutex<VendorState>)>,
}

#[derive(Debug)]
struct Standing {
    token: Secret,
    accepted_until: Instant,
    permission: Permission,
}

#[derive(Debug)]
pub(super) struct VendorState {
    pub(super) fault: Option<Armed>,
    /// What `expires_in` says.
    pub(super) lifetime: Duration,
    requests: u64,
    issued: u64,
    refused: u64,
    faulted: u64,
    tokens: VecDeque<Standing>,
    pub(super) secrets: Secrets,
    /// Of vendors that people consent to.
    pub(super) grants: Option<Grants>,
    last_request: Value,
}

impl Shared {
    pub(super) fn new(address: SocketAddr) -> Self {
        let vendors = VENDORS
            .iter()
            .chain(consent::VENDORS)
            .map(|vendor| (vendor, Mutex::new(VendorState::new(vendor))))
            .collect();
        Self { address, vendors }
    }

    pub(super) fn vendor(
        &self,
        name: &str,
    ) -> Option<(&'static Vendor, MutexGuard<'_, VendorState>)> {
        self.vendors
            .iter()
            .find(|(vendor, _)| vendor.name == name)
            // A handler that panicked left counts behind, nothing worse.
            .map(|(vendor, state)| {
                let state = state.lock().unwrap_or_else(PoisonError::into_inner);
                (*vendor, state)
            })
    }
}

impl VendorState {
    fn new(vendor: &Vendor) -> Self {
        let standing = vendor.standing_token.then(|| Standing {
            token: Secret::new(vendor.client_secret),
            accepted_until: Instant::now() + vendor.lifetime,
            permission: Permission::default(),
        });
        Self {
            fault: None,
            lifetime: vendor.lifetime,
            requests: 0,
            issued: 0,
            refused: 0,
            faulted: 0,
            tokens: standing.into_iter().collect(),
            secrets: Secrets::new(vendor),
            grants: vendor
                .renewal
                .map(|renewal| Grants::new(renewal, consent::first_refresh_token(vendor))),
            last_request: Value::Null,
        }
    }

    /// Counts a request to the token endpoint; the fault that applies to it, if any.
    pub(super) fn arrive(&mut self, request: Value) -> Option<Fault> {
        self.requests += 1;
        self.last_request = request;
        let fault = Armed::take(&mut self.fault);
        self.faulted += u64::from(fault.is_some());
        fault
    }

    /// Remembers a token; what `expires_in` is to say of it.
    pub(super) fn issue(
        &mut self,
        vendor: &Vendor,
        token: Secret,
        permission: Permission,
    ) -> Duration {
        self.issued += 1;
        if self.tokens.len() >= MAX_TOKENS {
            self.tokens.pop_front();
        }
        self.tokens.push_back(Standing {
            token,
            accepted_until: Instant::now() + (vendor.true_lifetime)(self.lifetime).min(FOREVER),
            permission,
        });
        self.lifetime
    }

    pub(super) fn refuse(&mut self) {
        self.refused += 1;
    }

    /// How much longer a token is accepted.
    pub(super) fn left(&self, token: &Secret) -> Option<Duration> {
        let now = Instant::now();
        let found = self.tokens.iter().rev().find(|one| one.token == *token)?;
        Some(found.accepted_until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// What the token of an API call may do; `None`: it is not accepted (any more).
    pub(super) fn permission(&self, token: &Secret) -> Option<Permission> {
        let now = Instant::now();
        self.tokens
            .iter()
            .rev()
            .find(|standing| standing.token == *token)
            .filter(|standing| now < standing.accepted_until)
            .filter(|standing| self.is_consented(standing))
            .map(|standing| standing.permission.clone())
    }

    fn is_consented(&self, standing: &Standing) -> bool {
        match (&self.grants, standing.permission.grant) {
            (Some(grants), Some(grant)) => grants.is_alive(grant),
            _ => true,
        }
    }

    /// Every token issued so far is refused from now on; how many that were.
    pub(super) fn revoke(&mut self) -> usize {
        let now = Instant::now();
        let alive = |standing: &Standing| now < standing.accepted_until;
        let count = self.tokens.iter().filter(|token| alive(token)).count();
        self.tokens.clear();
        count
    }

    pub(super) fn report(&self, vendor: &Vendor) -> Value {
        let now = Instant::now();
        let alive = |standing: &&Standing| now < standing.accepted_until;
        json!({
            "vendor": vendor.name,
            "token_endpoint": format!("/{}{}", vendor.name, vendor.token_path),
            "lifetime_seconds": self.lifetime.as_secs(),
            "requests": self.requests,
            "tokens_issued": self.issued,
            "tokens_accepted_now": self.tokens.iter().filter(alive).count(),
            "refused": self.refused,
            "faulted": self.faulted,
            "secrets": self.secrets.report(),
            "fault": self.fault.as_ref().map(Armed::report),
            "last_request": self.last_request,
        })
    }
}

/// A token request as the control path shows it: known members in clear, all others hidden.
pub(super) fn shown_request(
    vendor: &Vendor,
    method: &str,
    headers: &HeaderMap,
    body: &[u8],
    parsed: Option<&Value>,
) -> Value {
    let members = parsed.and_then(Value::as_object).map(|members| {
        let shown = members.iter().take(SHOWN_MEMBERS).map(|(name, value)| {
            let value = if vendor.shown.contains(&name.as_str()) {
                match value {
                    Value::String(text) => Value::from(cut(text)),
                    Value::Number(_) | Value::Null | Value::Bool(_) => value.clone(),
                    Value::Array(_) | Value::Object(_) => Value::from("[not a plain value]"),
                }
            } else {
                Value::from("[redacted]")
            };
            (cut(name), value)
        });
        shown.collect::<Map<_, _>>()
    });
    let header = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(cut(value))
    };
    json!({
        "method": cut(method),
        "content_type": header("content-type"),
        "user_agent": header("user-agent"),
        "authorization": headers.contains_key("authorization").then_some("[redacted]"),
        "body_bytes": body.len(),
        "members": members,
    })
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

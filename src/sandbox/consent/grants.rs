//! What was consented to, and what became of each code and refresh token.
//!
//! Invariant: bounded whatever arrives; the oldest is forgotten, and so refused.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::Renewal;
use crate::sandbox::vendor::random_text;

const MAX: usize = 10_000;
const CODE_LIFETIME: Duration = Duration::from_mins(5);
pub(super) const DEVICE_LIFETIME: Duration = Duration::from_mins(10);
/// RFC 8628 section 3.5: a client that asks too often waits this much longer from then on.
const SLOWER: u64 = 5;

/// What people and times do; switched over the control path.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::sandbox) struct Settings {
    pub(super) consent: Consent,
    grace_seconds: u64,
    pub(super) interval: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Consent {
    /// A person decides on a page.
    Ask,
    Allow,
    Deny,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consent: Consent::Ask,
            grace_seconds: 60,
            interval: 5,
        }
    }
}

impl Settings {
    fn report(self) -> Value {
        let consent = match self.consent {
            Consent::Ask => "ask",
            Consent::Allow => "allow",
            Consent::Deny => "deny",
        };
        json!({ "consent": consent, "grace_seconds": self.grace_seconds, "interval": self.interval })
    }
}

#[derive(Debug)]
struct Consented {
    code: String,
    challenge: String,
    redirect_uri: String,
    scope: String,
    until: Instant,
    /// The grant that it brought.
    used: Option<u64>,
}

#[derive(Debug)]
struct Waiting {
    device_code: String,
    user_code: String,
    scope: String,
    until: Instant,
    interval: u64,
    polled: Option<Instant>,
    allowed: Option<bool>,
}

#[derive(Debug)]
struct Refresh {
    token: String,
    grant: u64,
    scope: String,
    /// How often it was presented, and how often after the vendor had answered to it.
    seen: u64,
    seen_after_answer: u64,
    refused: u64,
    first_seen: Option<Instant>,
    last_seen: Option<Instant>,
    answered: Option<(Instant, Pair)>,
}

/// What an answer brings.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) grant: u64,
    pub(super) scope: String,
    pub(super) access_token: String,
    pub(super) refresh_token: String,
    /// The same answer as before: nothing was issued.
    pub(super) again: bool,
}

/// An error word and its description.
pub(super) type Refusal = (&'static str, &'static str);

#[derive(Debug)]
pub(in crate::sandbox) struct Grants {
    pub(in crate::sandbox) settings: Settings,
    renewal: Renewal,
    began: Instant,
    /// How many there ever were; each is its number.
    count: u64,
    revoked: HashSet<u64>,
    codes: VecDeque<Consented>,
    devices: VecDeque<Waiting>,
    refresh: VecDeque<Refresh>,
}

impl Grants {
    pub(in crate::sandbox) fn new(renewal: Renewal, first: String) -> Self {
        let mut grants = Self {
            settings: Settings::default(),
            renewal,
            began: Instant::now(),
            count: 0,
            revoked: HashSet::new(),
            codes: VecDeque::new(),
            devices: VecDeque::new(),
            refresh: VecDeque::new(),
        };
        let grant = grants.next_grant();
        grants.remember(first, grant, "read".to_owned());
        grants
    }

    pub(in crate::sandbox) fn is_alive(&self, grant: u64) -> bool {
        !self.revoked.contains(&grant)
    }

    /// A consent without a person: its refresh token.
    pub(in crate::sandbox) fn consented(&mut self) -> String {
        let grant = self.next_grant();
        let token = new_refresh_token();
        self.remember(token.clone(), grant, "read".to_owned());
        token
    }

    /// Ends every consent there is, as a person can in a vendor's console.
    pub(in crate::sandbox) fn revoke_all(&mut self) -> u64 {
        let before = self.revoked.len();
        self.revoked.extend(1..=self.count);
        (self.revoked.len() - before) as u64
    }

    fn next_grant(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn remember(&mut self, token: String, grant: u64, scope: String) {
        push(
            &mut self.refresh,
            Refresh {
                token,
                grant,
                scope,
                seen: 0,
                seen_after_answer: 0,
                refused: 0,
                first_seen: None,
                last_seen: None,
                answered: None,
            },
        );
    }

    pub(super) fn new_code(&mut self, challenge: &str, redirect_uri: &str, scope: &str) -> String {
        let code = format!("code-{}", random_text(24));
        let new = Consented {
            code: code.clone(),
            challenge: challenge.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            scope: scope.to_owned(),
            until: Instant::now() + CODE_LIFETIME,
            used: None,
        };
        push(&mut self.codes, new);
        code
    }

    /// RFC 6749 section 4.1.3 and RFC 7636 section 4.6.
    pub(super) fn redeem(
        &mut self,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
        access_token: String,
    ) -> Result<Pair, Refusal> {
        let now = Instant::now();
        let known = self.codes.iter().position(|one| one.code == code);
        let Some(known) = known.and_then(|at| self.codes.get_mut(at)) else {
            return Err(("invalid_grant", "this code is unknown"));
        };
        if let Some(grant) = known.used {
            self.revoked.insert(grant);
            return Err((
                "invalid_grant",
                "this code was used before: the grant is revoked",
            ));
        }
        if now >= known.until {
            return Err(("invalid_grant", "this code has expired"));
        }
        if known.redirect_uri != redirect_uri {
            return Err((
                "invalid_grant",
                "redirect_uri is not the one of the authorization",
            ));
        }
        if challenge_of(verifier) != known.challenge {
            return Err(("invalid_grant", "code_verifier does not fit code_challenge"));
        }
        self.count += 1;
        known.used = Some(self.count);
        let scope = known.scope.clone();
        Ok(self.first_pair(scope, access_token))
    }

    /// The pair of the newest grant.
    fn first_pair(&mut self, scope: String, access_token: String) -> Pair {
        let pair = Pair {
            grant: self.count,
            scope: scope.clone(),
            access_token,
            refresh_token: new_refresh_token(),
            again: false,
        };
        self.remember(pair.refresh_token.clone(), pair.grant, scope);
        pair
    }

    pub(super) fn new_device(&mut self, scope: &str) -> (String, String, u64) {
        let device_code = format!("device-{}", random_text(32));
        let letters = || -> String {
            let consonants: Vec<char> = "BCDFGHJKLMNPQRSTVWXZ".chars().collect();
            std::iter::repeat_with(|| fastrand::choice(&consonants).copied().unwrap_or('B'))
                .take(4)
                .collect()
        };
        let user_code = format!("{}-{}", letters(), letters());
        let interval = self.settings.interval;
        let new = Waiting {
            device_code: device_code.clone(),
            user_code: user_code.clone(),
            scope: scope.to_owned(),
            until: Instant::now() + DEVICE_LIFETIME,
            interval,
            polled: None,
            allowed: match self.settings.consent {
                Consent::Ask => None,
                Consent::Allow => Some(true),
                Consent::Deny => Some(false),
            },
        };
        push(&mut self.devices, new);
        (device_code, user_code, interval)
    }

    /// A person's decision; `false`: nobody waits under this code.
    pub(in crate::sandbox) fn decide(&mut self, user_code: &str, allow: bool) -> bool {
        let wanted = user_code.trim().to_ascii_uppercase();
        let now = Instant::now();
        let device = self
            .devices
            .iter_mut()
            .find(|one| one.user_code == wanted && one.allowed.is_none() && now < one.until);
        let found = device.is_some();
        if let Some(device) = device {
            device.allowed = Some(allow);
        }
        found
    }

    /// RFC 8628 section 3.5.
    pub(super) fn poll(
        &mut self,
        device_code: &str,
        access_token: String,
    ) -> Result<Pair, Refusal> {
        let now = Instant::now();
        let known = self
            .devices
            .iter()
            .position(|one| one.device_code == device_code);
        let Some((at, device)) = known.and_then(|at| Some((at, self.devices.get_mut(at)?))) else {
            return Err((
                "invalid_grant",
                "this device code is unknown or was used before",
            ));
        };
        if now >= device.until {
            return Err(("expired_token", "nobody decided in time"));
        }
        let early = device
            .polled
            .is_some_and(|last| now.duration_since(last) < Duration::from_secs(device.interval));
        device.polled = Some(now);
        if early {
            device.interval = device.interval.saturating_add(SLOWER);
            return Err(("slow_down", "asked too often"));
        }
        match device.allowed {
            None => Err(("authorization_pending", "nobody has decided yet")),
            Some(false) => Err(("access_denied", "consent was refused")),
            Some(true) => {
                let scope = std::mem::take(&mut device.scope);
                self.devices.remove(at);
                self.count += 1;
                Ok(self.first_pair(scope, access_token))
            }
        }
    }

    /// RFC 6749 section 6.
    pub(super) fn refresh(&mut self, token: &str, access_token: String) -> Result<Pair, Refusal> {
        let now = Instant::now();
        let known = self.refresh.iter().position(|one| one.token == token);
        let Some(known) = known.and_then(|at| self.refresh.get_mut(at)) else {
            return Err(("invalid_grant", "the refresh token is invalid or expired"));
        };
        known.seen += 1;
        known.first_seen.get_or_insert(now);
        known.last_seen = Some(now);
        if self.revoked.contains(&known.grant) {
            known.refused += 1;
            return Err(("invalid_grant", "the grant was revoked"));
        }
        let grace = Duration::from_secs(self.settings.grace_seconds);
        if let (Some((at, pair)), true) = (&known.answered, self.renewal != Renewal::LongLived) {
            known.seen_after_answer += 1;
            if self.renewal == Renewal::Grace && now.duration_since(*at) < grace {
                let again = true;
                return Ok(Pair {
                    again,
                    ..pair.clone()
                });
            }
            known.refused += 1;
            if self.renewal == Renewal::Strict {
                self.revoked.insert(known.grant);
                return Err((
                    "invalid_grant",
                    "the refresh token was used before: the grant is revoked",
                ));
            }
            return Err(("invalid_grant", "the refresh token was used before"));
        }
        let rotates = self.renewal != Renewal::LongLived;
        let pair = Pair {
            grant: known.grant,
            scope: known.scope.clone(),
            access_token,
            refresh_token: if rotates {
                new_refresh_token()
            } else {
                token.to_owned()
            },
            again: false,
        };
        known.answered = Some((now, pair.clone()));
        if rotates {
            self.remember(pair.refresh_token.clone(), pair.grant, pair.scope.clone());
        }
        Ok(pair)
    }

    /// What became of every refresh token, oldest first, by hash. Times are milliseconds since the
    /// sandbox began.
    pub(in crate::sandbox) fn report(&self) -> Value {
        let time = |at: Option<Instant>| {
            let since = at?.saturating_duration_since(self.began);
            Some(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
        };
        let row = |one: &Refresh| {
            let answer = one.answered.as_ref();
            json!({
                "sha256": hash(&one.token),
                "grant": one.grant,
                "revoked": self.revoked.contains(&one.grant),
                "seen": one.seen,
                "seen_after_answer": one.seen_after_answer,
                "refused": one.refused,
                "answered": answer.is_some(),
                "successor_sha256": answer.map(|(_, pair)| hash(&pair.refresh_token)),
                "first_seen_ms": time(one.first_seen),
                "last_seen_ms": time(one.last_seen),
                "answered_ms": time(answer.map(|(at, _)| *at)),
            })
        };
        json!({
            "settings": self.settings.report(),
            "grants": self.count,
            "revoked_grants": self.revoked.len(),
            "refresh_tokens": self.refresh.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

fn push<T>(list: &mut VecDeque<T>, new: T) {
    if list.len() >= MAX {
        list.pop_front();
    }
    list.push_back(new);
}

fn new_refresh_token() -> String {
    format!("refresh-{}", random_text(40))
}

fn hash(token: &str) -> String {
    use std::fmt::Write as _;
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(token.as_bytes()) {
        let _infallible = write!(hex, "{byte:02x}");
    }
    hex
}

/// `S256` of RFC 7636.
fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

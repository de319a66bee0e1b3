//! A token that is held, with its answers prepared.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::call::{ApiCall, Kept};
use crate::base::{Issued, Now, Secret, Timestamp, Zeroizing};

/// A published token. Immutable; whether it is still good depends only on the clocks.
#[derive(Debug)]
pub struct Held {
    token: Secret,
    token_type: String,
    fingerprint: [u8; 32],
    sent_at: Now,
    lifetime: Option<Duration>,
    /// The token as JSON writes it, where that is not the token itself: one copy less to keep.
    escaped: Option<Secret>,
    /// The JSON answer from the token's end to `"expires_in"`, and from there on; serialised once.
    middle: Box<str>,
    tail: Secret,
    api: Kept,
}

impl Held {
    pub fn new(issued: Issued, api: ApiCall) -> Self {
        let Issued {
            access_token,
            token_type,
            scope,
            members,
            sent_at,
            lifetime,
            secret_in_use: _,
            refresh_token: _,
        } = issued;
        let expires_at = lifetime.map(|lifetime| sent_at.wall.plus(lifetime));
        let fingerprint = Sha256::digest(access_token.expose().as_bytes()).into();
        let middle = format!("\",\"token_type\":{}", json_string(&token_type));
        let escaped = escaped(access_token.expose());
        let tail = tail(expires_at, scope.as_deref(), &members);
        Self {
            token_type,
            fingerprint,
            sent_at,
            lifetime,
            escaped,
            middle: middle.into(),
            tail: Secret::new(tail),
            api: Kept::new(api, &access_token),
            token: access_token,
        }
    }

    pub fn token(&self) -> &Secret {
        &self.token
    }

    pub fn token_type(&self) -> &str {
        &self.token_type
    }

    /// sha256 of the token.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The first 12 hex digits of the fingerprint: safe to show.
    pub fn short_fingerprint(&self) -> String {
        self.fingerprint
            .iter()
            .take(6)
            .fold(String::new(), |mut text, byte| {
                // Writing to a string cannot fail.
                let _infallible = write!(text, "{byte:02x}");
                text
            })
    }

    /// Put together for the caller: the token is in it.
    pub fn api(&self) -> ApiCall {
        self.api.with(&self.token)
    }

    pub fn sent_at(&self) -> Now {
        self.sent_at
    }

    /// The lifetime as issued; `None`: no expiry.
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    pub fn expires_at(&self) -> Option<Timestamp> {
        self.lifetime
            .map(|lifetime| self.sent_at.wall.plus(lifetime))
    }

    /// Time left, by whichever clock says less; `None`: no expiry.
    pub fn left(&self, now: Now) -> Option<Duration> {
        self.lifetime
            .map(|lifetime| lifetime.saturating_sub(now.elapsed_since(self.sent_at)))
    }

    pub fn is_expired(&self, now: Now) -> bool {
        self.left(now).is_some_and(|left| left.is_zero())
    }

    /// The answer it was made of: for making it anew, which is seldom.
    pub fn to_issued(&self, secret_in_use: Option<usize>) -> Issued {
        let tail = self.tail.expose();
        let text = Zeroizing::new(format!("{{{}", tail.strip_prefix(',').unwrap_or(tail)));
        let mut members: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
        if self.lifetime.is_some() {
            members.shift_remove("expires_at");
        }
        let scope = members.get("scope").and_then(Value::as_str);
        let scope = scope.map(str::to_owned);
        if scope.is_some() {
            members.shift_remove("scope");
        }
        Issued {
            access_token: self.token.clone(),
            token_type: self.token_type.clone(),
            scope,
            members,
            sent_at: self.sent_at,
            lifetime: self.lifetime,
            secret_in_use,
            refresh_token: None,
        }
    }

    /// The answer as it may lie in a file: without `expires_in`, which would be wrong at once.
    pub fn json_at_rest(&self) -> Zeroizing<String> {
        let token = self.escaped.as_ref().unwrap_or(&self.token).expose();
        let parts = [HEAD, token, &self.middle, self.tail.expose()];
        Zeroizing::new(parts.concat())
    }

    /// The token answer (RFC 6749 section 5.1) as JSON at `now`: for the caller alone, nothing else
    /// may be done with it.
    pub fn json(&self, now: Now) -> String {
        let token = self.escaped.as_ref().unwrap_or(&self.token).expose();
        let tail = self.tail.expose();
        let size = HEAD.len() + token.len() + self.middle.len() + EXPIRES_IN_MAX + tail.len();
        let mut body = String::with_capacity(size);
        body.push_str(HEAD);
        body.push_str(token);
        body.push_str(&self.middle);
        if let Some(left) = self.left(now) {
            let _infallible = write!(body, ",\"expires_in\":{}", left.as_secs());
        }
        body.push_str(tail);
        body
    }
}

/// How every JSON answer begins: with the token, whose quote `middle` closes.
const HEAD: &str = "{\"access_token\":\"";
/// The longest `,"expires_in":N`.
const EXPIRES_IN_MAX: usize = ",\"expires_in\":".len() + 20;

/// The inside of the token's JSON string, if it is not the token as it is: almost none is.
fn escaped(token: &str) -> Option<Secret> {
    let plain = |byte: u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
    if token.bytes().all(plain) {
        return None;
    }
    let quoted = Zeroizing::new(json_string(token));
    let inside = quoted.strip_prefix('"')?.strip_suffix('"')?;
    Some(Secret::new(inside))
}

fn tail(
    expires_at: Option<Timestamp>,
    scope: Option<&str>,
    members: &Map<String, Value>,
) -> String {
    let mut tail = String::new();
    let ours = ["access_token", "token_type", "expires_in", "expires_at"];
    let mut member = |name: &str, value: &str| {
        let _infallible = write!(tail, ",{}:{value}", json_string(name));
    };
    if let Some(expires_at) = expires_at {
        member("expires_at", &json_string(&expires_at.to_rfc3339()));
    }
    if let Some(scope) = scope {
        member("scope", &json_string(scope));
    }
    for (name, value) in members {
        let is_ours = ours.contains(&name.as_str()) || (name == "scope" && scope.is_some());
        if !is_ours {
            member(name, &value.to_string());
        }
    }
    tail.push('}');
    tail
}

fn json_string(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Mono;
    use serde_json::json;

    fn issued(lifetime: Option<u64>, members: &Value) -> Issued {
        Issued {
            access_token: Secret::new("tok\"1"),
            token_type: "Bearer".into(),
            scope: Some("a b".into()),
            members: members.as_object().unwrap().clone(),
            sent_at: at(0),
            lifetime: lifetime.map(Duration::from_secs),
            secret_in_use: None,
            refresh_token: None,
        }
    }

    fn at(seconds: u64) -> Now {
        Now {
            wall: Timestamp::parse_rfc3339("2026-11-22T00:00:00Z")
                .unwrap()
                .plus(Duration::from_secs(seconds)),
            mono: Mono::START.plus(Duration::from_secs(seconds)),
        }
    }

    #[test]
    fn the_answer_is_live_and_ours_win() {
        let members = json!({"rest_url": "https://x/", "expires_in": "9", "access_token": "no",
            "scope": "c", "n": 1});
        let held = Held::new(issued(Some(3600), &members), ApiCall::default());
        let answer: Value = serde_json::from_str(&held.json(at(10))).unwrap();
        assert_eq!(
            answer,
            json!({"access_token": "tok\"1", "token_type": "Bearer", "expires_in": 3590,
                "expires_at": "2026-11-22T01:00:00Z", "scope": "a b", "rest_url": "https://x/", "n": 1})
        );
    }

    #[test]
    fn any_token_comes_back_from_json_as_it_is() {
        let every: String = (0x21..=0x7E_u8).map(char::from).collect();
        for token in [every.as_str(), "plain", "\"", "\\\"", "a\tb\u{1f}", "ü"] {
            let issued = Issued {
                access_token: Secret::new(token),
                ..issued(Some(u64::MAX), &json!({}))
            };
            let held = Held::new(issued, ApiCall::default());
            let body = held.json(at(0));
            let answer: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(answer["access_token"], token);
            assert_eq!(answer["token_type"], "Bearer");
            assert_eq!(answer["expires_in"], u64::MAX);
        }
    }

    #[test]
    fn what_it_was_made_of_comes_back() {
        for (lifetime, scope, members) in [
            (
                Some(3600),
                Some("a b"),
                json!({"rest_url": "https://x/", "n": 1}),
            ),
            (None, None, json!({})),
            (None, None, json!({"scope": ["a"]})),
        ] {
            let before = Issued {
                scope: scope.map(str::to_owned),
                ..issued(lifetime, &members)
            };
            let held = Held::new(before.clone(), ApiCall::default());
            assert_eq!(held.to_issued(None), before);
        }
    }

    #[test]
    fn at_rest_there_is_no_time_left() {
        let held = Held::new(issued(Some(3600), &json!({"n": 1})), ApiCall::default());
        let answer: Value = serde_json::from_str(&held.json_at_rest()).unwrap();
        assert_eq!(
            answer,
            json!({"access_token": "tok\"1", "token_type": "Bearer",
                "expires_at": "2026-11-22T01:00:00Z", "scope": "a b", "n": 1})
        );
    }

    #[test]
    fn without_expiry_there_is_no_expiry_member() {
        let members = json!({"expires_at": "soon"});
        let held = Held::new(issued(None, &members), ApiCall::default());
        let answer: Value = serde_json::from_str(&held.json(at(10))).unwrap();
        assert_eq!(
            answer,
            json!({"access_token": "tok\"1", "token_type": "Bearer", "scope": "a b"})
        );
        assert!(!held.is_expired(at(u64::from(u32::MAX))));
    }

    #[test]
    fn debug_shows_neither_token_nor_answer() {
        let held = Held::new(
            issued(Some(5), &json!({"private": "m3mber"})),
            ApiCall::default(),
        );
        let shown = format!("{held:?}");
        assert!(
            !shown.contains("tok") || !shown.contains("m3mber"),
            "{shown}"
        );
        assert!(!shown.contains("\"1"), "{shown}");
        assert_eq!(held.short_fingerprint().len(), 12);
    }
}

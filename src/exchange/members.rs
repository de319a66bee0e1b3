//! What is handed on of a vendor's answer besides the token. Pure.
//!
//! Invariant: no refresh token, client secret or assertion passes, at any depth, under its usual
//! names or as a value we know.

use serde_json::{Map, Value};

use crate::base::{Redactor, Secret};
use crate::spec::ResponseShape;

/// At most this much JSON is kept.
pub(super) const MAX_BYTES: usize = 16 * 1024;
/// A secret this long is found inside a text, too.
const ECHO_MIN: usize = 16;
/// Served under our own names.
const OURS: [&str; 5] = [
    "access_token",
    "token_type",
    "expires_in",
    "expires_at",
    "scope",
];
/// Names that never pass, written without `_` and `-` in lower case.
const PRIVATE: [&str; 5] = [
    "refreshtoken",
    "idtoken",
    "clientsecret",
    "assertion",
    "devicesecret",
];

/// `None`: there is more than may be kept. `ours` are secrets and refresh tokens we know.
pub(super) fn keep(
    mut answer: Value,
    shape: &ResponseShape,
    ours: &Echoes<'_>,
) -> Option<Map<String, Value>> {
    let named = [
        &shape.access_token,
        &shape.expires_in,
        &shape.expires_at,
        &shape.scope,
        &shape.refresh_token,
        &shape.refresh_token_expires_in,
    ];
    let named = named
        .into_iter()
        .flatten()
        .chain(&shape.issued_at)
        .chain(&shape.retry_after)
        .chain(
            shape
                .success
                .iter()
                .chain(&shape.extended)
                .map(|(path, _)| path),
        )
        .chain(&shape.error)
        .chain(&shape.error_description);
    for path in named {
        path.remove(&mut answer);
    }
    for path in &*shape.urls {
        if let Some(Value::String(text)) = path.find_mut(&mut answer) {
            *text = whole_url(text);
        }
    }
    let Value::Object(mut members) = answer else {
        return Some(Map::new());
    };
    members.retain(|name, _| !OURS.contains(&name.as_str()) && !name.starts_with("error"));
    let size = |members: &_| serde_json::to_vec(members).map_or(usize::MAX, |bytes| bytes.len());
    // What is stripped makes it no short one.
    if size(&members) > 4 * MAX_BYTES {
        return None;
    }
    strip(&mut members, ours);
    (size(&members) <= MAX_BYTES).then_some(members)
}

/// With a scheme, and without a slash at the end; what does not become a URL stays as it is.
fn whole_url(text: &str) -> String {
    let trimmed = text.trim().trim_end_matches('/');
    let whole = if trimmed.contains("://") {
        trimmed.to_owned()
    } else {
        format!("https://{trimmed}")
    };
    match url::Url::parse(&whole) {
        Ok(_) => whole,
        Err(_) => text.to_owned(),
    }
}

/// Whether it is nowhere by chance.
pub(super) fn is_long(secret: &Secret) -> bool {
    secret.expose().len() >= ECHO_MIN
}

/// Knows what is ours, sent back.
pub(super) struct Echoes<'a> {
    held: &'a [Secret],
    /// A short secret may be part of many a text; a long one is there because it was sent back, in
    /// whatever form, as in a URL that would end up in a log line.
    long: Redactor,
}

impl<'a> Echoes<'a> {
    pub(super) fn of(held: &'a [Secret]) -> Self {
        let long = held.iter().filter(|one| is_long(one));
        Self {
            held,
            long: Redactor::new(long),
        }
    }

    pub(super) fn are_in(&self, text: &str) -> bool {
        self.held.iter().any(|secret| text == secret.expose()) || self.long.finds_in(text)
    }
}

fn strip(members: &mut Map<String, Value>, ours: &Echoes<'_>) {
    members.retain(|name, value| !is_private(name) && !ours.are_in(name) && passes(value, ours));
}

/// Whether a value may stay; what lies inside it is stripped.
fn passes(value: &mut Value, ours: &Echoes<'_>) -> bool {
    match value {
        Value::String(text) => !ours.are_in(text),
        Value::Array(items) => {
            items.retain_mut(|item| passes(item, ours));
            true
        }
        Value::Object(members) => {
            strip(members, ours);
            true
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

pub(super) fn is_private(name: &str) -> bool {
    PRIVATE.contains(&plain(name).as_str())
}

pub(super) fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Texts that must not be shown, as many as anybody has.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens {
    pub(super) known: Vec<Secret>,
    /// There were more: then no text can be trusted to be free of them.
    pub(super) are_more: bool,
    bytes: usize,
}

impl Tokens {
    const MOST: usize = 64;
    /// A redactor knows each in twenty forms.
    const MOST_BYTES: usize = 128 * 1024;

    pub(super) fn push(&mut self, text: &str) {
        self.push_secret(Secret::new(text));
    }

    pub(super) fn push_secret(&mut self, secret: Secret) {
        let bytes = self.bytes.saturating_add(secret.expose().len());
        if self.known.len() < Self::MOST && bytes <= Self::MOST_BYTES {
            self.bytes = bytes;
            self.known.push(secret);
        } else {
            self.are_more = true;
        }
    }

    /// Both, however many that makes.
    pub(super) fn and(mut self, other: &Self) -> Self {
        self.known.extend(other.known.iter().cloned());
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.are_more |= other.are_more;
        self
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.are_more |= other.are_more;
        for secret in other.known {
            self.push_secret(secret);
        }
    }

    /// Everything within a value: a secret under whatever name.
    pub(super) fn push_all(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.push(text),
            Value::Number(number) => self.push(&number.to_string()),
            Value::Array(items) => items.iter().for_each(|item| self.push_all(item)),
            Value::Object(members) => members.values().for_each(|value| self.push_all(value)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    pub(super) fn hide_from(&self, redactor: &mut Redactor) {
        for token in &self.known {
            redactor.add(token);
        }
        if self.are_more {
            redactor.blind();
        }
    }
}

/// Every string in an answer that is a token or a secret by its place or name.
pub(super) fn tokens_in(answer: &Value, shape: &ResponseShape) -> Tokens {
    let mut found = Tokens::default();
    for path in shape.access_token.iter().chain(&shape.refresh_token) {
        if let Some(Value::String(text)) = path.find(answer) {
            found.push(text);
        }
    }
    collect(answer, false, &mut found);
    found
}

fn collect(value: &Value, private: bool, found: &mut Tokens) {
    match value {
        Value::String(text) if private => found.push(text),
        Value::Array(items) => {
            for item in items {
                collect(item, private, found);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                let private = private || is_private(name) || plain(name) == "accesstoken";
                collect(value, private, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Path, Scalar};
    use serde_json::json;

    fn kept(answer: Value, shape: &ResponseShape, held: &[&str]) -> Value {
        let held: Vec<_> = held.iter().copied().map(Secret::new).collect();
        Value::Object(keep(answer, shape, &Echoes::of(&held)).unwrap())
    }

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn paths(text: &str) -> Vec<Path> {
        vec![path(text)]
    }

    #[test]
    fn what_is_ours_and_what_is_private_goes() {
        let answer = json!({
            "access_token": "a", "token_type": "x", "expires_in": 1, "expires_at": 2,
            "scope": "s", "refresh_token": "r", "refresh_token_expires_in": 9,
            "error": "", "error_uri": "u", "errorcode": 0,
            "rest_instance_url": "https://r.example/", "id": 7,
            "Refresh-Token": "r2", "idToken": "i", "CLIENT_SECRET": "c", "assertion": "x",
            "deep": {"device_secret": "d", "keep": [{"refreshToken": "r3", "n": null}], "e": "s3cret"},
            "list": ["s3cret", "fine"],
        });
        assert_eq!(
            kept(answer, &ResponseShape::default(), &["s3cret"]),
            json!({
                "rest_instance_url": "https://r.example/", "id": 7,
                "deep": {"keep": [{"n": null}]}, "list": ["fine"],
            })
        );
    }

    #[test]
    fn a_long_secret_does_not_pass_inside_a_text_either() {
        let answer = json!({
            "rest_url": "https://s3cret-of-sixteen.example/", "note": "about s3cret", "id": 7,
        });
        assert_eq!(
            kept(
                answer,
                &ResponseShape::default(),
                &["s3cret-of-sixteen", "s3cret"]
            ),
            json!({"note": "about s3cret", "id": 7})
        );
    }

    #[test]
    fn a_nested_token_is_removed_from_where_it_was() {
        let shape = ResponseShape {
            access_token: paths("authed_user.access_token"),
            refresh_token: paths("authed_user.refresh_token"),
            expires_in: paths("authed_user.expires_in"),
            success: [(path("ok"), Scalar::Bool(true))].into(),
            ..ResponseShape::default()
        };
        let answer = json!({
            "ok": true, "app_id": "A1",
            "authed_user": {"id": "U1", "access_token": "xoxe.xoxp-1", "refresh_token": "xoxe-1",
                "expires_in": 43200, "token_type": "user"},
            "team": {"id": "T1"},
        });
        assert_eq!(
            kept(answer, &shape, &[]),
            json!({
                "app_id": "A1", "authed_user": {"id": "U1", "token_type": "user"},
                "team": {"id": "T1"},
            })
        );
    }

    #[test]
    fn a_renamed_refresh_token_does_not_pass() {
        let shape = ResponseShape {
            access_token: paths("accessToken"),
            expires_in: paths("expiresIn"),
            refresh_token: paths("legacyToken"),
            ..ResponseShape::default()
        };
        let answer = json!({
            "accessToken": "a", "expiresIn": 3600, "refreshToken": "r", "legacyToken": "l",
            "copies": ["l"], "stack": "S7",
        });
        assert_eq!(
            kept(answer, &shape, &["l"]),
            json!({"copies": [], "stack": "S7"})
        );
    }

    #[test]
    fn urls_are_whole_however_they_were_written() {
        let shape = ResponseShape {
            urls: ["rest", "deep.soap", "none", "odd", "number"]
                .map(path)
                .into(),
            ..ResponseShape::default()
        };
        let answer = json!({
            "rest": "mc1.rest.example.com/", "deep": {"soap": "https://mc1.soap.example.com//"},
            "odd": "no url", "number": 5, "other": "x.example/",
        });
        assert_eq!(
            kept(answer, &shape, &[]),
            json!({
                "rest": "https://mc1.rest.example.com",
                "deep": {"soap": "https://mc1.soap.example.com"},
                "odd": "no url", "number": 5, "other": "x.example/",
            })
        );
    }

    #[test]
    fn too_much_is_dropped_whole_and_what_is_no_object_has_no_members() {
        let shape = ResponseShape::default();
        assert!(
            keep(
                json!({"x": "y".repeat(MAX_BYTES)}),
                &shape,
                &Echoes::of(&[])
            )
            .is_none()
        );
        assert!(
            keep(
                json!({"x": "y".repeat(MAX_BYTES - 10)}),
                &shape,
                &Echoes::of(&[])
            )
            .is_some()
        );
        assert_eq!(
            keep(json!(["a"]), &shape, &Echoes::of(&[])),
            Some(Map::new())
        );
    }

    #[test]
    fn tokens_are_found_wherever_they_are() {
        let answer = json!({"access_token": "a", "x": {"refreshToken": ["r"], "accessToken": "b"}});
        let found = tokens_in(&answer, &ResponseShape::default());
        for text in ["a", "b", "r"] {
            assert!(found.known.contains(&Secret::new(text)), "{text}");
        }
        assert!(!found.are_more);
    }

    /// A vendor can make as many as an answer has room for.
    #[test]
    fn more_tokens_than_anybody_has_hide_all_text() {
        let many: Vec<String> = (0..100_000).map(|number| format!("{number:05}")).collect();
        let found = tokens_in(&json!({"refresh_token": many}), &ResponseShape::default());
        assert_eq!(found.known.len(), Tokens::MOST);
        let mut redactor = Redactor::default();
        found.hide_from(&mut redactor);
        assert_eq!(redactor.clean("99999 and more"), "[redacted]");
    }

    #[test]
    fn what_is_sent_back_passes_in_no_form() {
        let secret = "loooooongsecret/+CANARY/x";
        let answer = json!({
            "self": "https://a.example/?client_secret=loooooongsecret%2F%2BCANARY%2Fx",
            "b64": "bG9vb29vb25nc2VjcmV0LytDQU5BUlkveA==", "plain": secret, "other": "x",
        });
        let shape = ResponseShape::default();
        assert_eq!(kept(answer, &shape, &[secret]), json!({"other": "x"}));
    }

    #[test]
    fn what_is_sent_back_passes_under_no_name() {
        let answer = json!({"s3cret-of-ours": 1, "n": {"s3cret-of-ours": 2, "k": "v"}});
        let shape = ResponseShape::default();
        assert_eq!(
            kept(answer, &shape, &["s3cret-of-ours"]),
            json!({"n": {"k": "v"}})
        );
    }
}

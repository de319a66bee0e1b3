//! What an API call needs, and how it is kept beside the token.
//!
//! Invariant: the token is kept once; where a value holds it, only what stands around it is kept.

use std::fmt;

use crate::base::{Secret, Zeroizing};

/// What an API call needs. Values are finished text: they hold the token, so they are secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApiCall {
    pub base_url: Option<String>,
    /// Names as the operator wrote them.
    pub headers: Vec<(String, Secret)>,
    pub query: Vec<(String, Secret)>,
}

impl ApiCall {
    /// The value of the `Authorization` header.
    pub fn authorization(self) -> Option<Secret> {
        let is_authorization =
            |(name, _): &(String, Secret)| name.eq_ignore_ascii_case("authorization");
        let found = self.headers.into_iter().find(is_authorization);
        found.map(|(_, value)| value)
    }
}

/// An [`ApiCall`] without its token.
#[derive(Debug)]
pub(super) struct Kept {
    base_url: Option<String>,
    headers: Vec<(String, Text)>,
    query: Vec<(String, Text)>,
}

enum Text {
    Whole(Secret),
    /// `before`, the token, `after`.
    Around(Zeroizing<Box<str>>, Zeroizing<Box<str>>),
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Text {
    fn new(value: Secret, token: &Secret) -> Self {
        match value.expose().split_once(token.expose()) {
            Some((before, after)) if !token.is_empty() => {
                Self::Around(Zeroizing::new(before.into()), Zeroizing::new(after.into()))
            }
            _ => Self::Whole(value),
        }
    }

    fn with(&self, token: &Secret) -> Secret {
        match self {
            Self::Whole(value) => value.clone(),
            Self::Around(before, after) => {
                Secret::new([&***before, token.expose(), &***after].concat())
            }
        }
    }
}

impl Kept {
    pub(super) fn new(call: ApiCall, token: &Secret) -> Self {
        let kept = |pairs: Vec<(String, Secret)>| {
            let pair = |(name, value)| (name, Text::new(value, token));
            pairs.into_iter().map(pair).collect()
        };
        Self {
            base_url: call.base_url,
            headers: kept(call.headers),
            query: kept(call.query),
        }
    }

    pub(super) fn with(&self, token: &Secret) -> ApiCall {
        let whole = |pairs: &[(String, Text)]| {
            let pair = |(name, text): &(String, Text)| (name.clone(), text.with(token));
            pairs.iter().map(pair).collect()
        };
        ApiCall {
            base_url: self.base_url.clone(),
            headers: whole(&self.headers),
            query: whole(&self.query),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_as_it_was() {
        let token = Secret::new("t0k3n");
        let pair = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
        let call = ApiCall {
            base_url: Some("https://x.example".to_owned()),
            headers: vec![
                pair("Authorization", "Bearer t0k3n"),
                pair("X-Twice", "t0k3n and t0k3n again"),
                pair("X-Api-Key", "k3y"),
                pair("X-Empty", ""),
            ],
            query: vec![pair("access_token", "t0k3n")],
        };
        let kept = Kept::new(call.clone(), &token);
        assert!(matches!(kept.headers[0].1, Text::Around(..)));
        assert_eq!(kept.with(&token), call);
        let shown = format!("{kept:?}");
        assert!(
            !shown.contains("t0k3n") && !shown.contains("k3y"),
            "{shown}"
        );
        assert_eq!(call.authorization(), Some(Secret::new("Bearer t0k3n")));
    }
}

//! What a vendor's page says, as written down in `tests/conformance/<provider>.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fixture {
    /// Where it is from, and when it was read.
    page: Vec<String>,
    read: String,
    #[serde(default)]
    pub(super) requests: Vec<Expected>,
    /// The first one is the success.
    #[serde(default)]
    pub(super) answers: Vec<Answer>,
    /// Failures without any answer.
    #[serde(default)]
    pub(super) silence: Vec<Silence>,
    /// Failures before anything is asked: a configuration, and what it comes to.
    #[serde(default)]
    pub(super) states: Vec<State>,
    /// Values that a parameter must not have.
    #[serde(default)]
    pub(super) refused: Vec<Refused>,
    pub(super) api: Api,
    /// The vendor's limit on token requests.
    pub(super) rate_limit: Option<String>,
    /// For providers without a token request.
    #[serde(default)]
    pub(super) config: toml::Table,
}

/// What an operator writes, and the request that must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    pub(super) config: toml::Table,
    pub(super) method: String,
    pub(super) url: String,
    pub(super) content_type: Option<String>,
    pub(super) authorization: Option<String>,
    /// Every member of the query, and no other.
    #[serde(default)]
    pub(super) query: BTreeMap<String, String>,
    /// Every member of the body, and no other.
    #[serde(default)]
    pub(super) body: BTreeMap<String, String>,
    /// What the exchange presents besides the client.
    #[serde(default)]
    pub(super) present: Presented,
    /// Where consent begins, and what becomes of it.
    pub(super) consent: Option<Consent>,
    /// The JWT among the members of the body, if one is signed.
    pub(super) assertion: Option<Assertion>,
    /// Where calls go, if it depends on what was configured.
    pub(super) base_url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Presented {
    #[default]
    Nothing,
    RefreshToken(String),
    Code {
        code: String,
        verifier: String,
        redirect_uri: String,
    },
    DeviceCode(String),
}

/// All of it: what is not there must not be configured.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct Consent {
    pub(super) grant: String,
    pub(super) authorization_endpoint: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) device_authorization_endpoint: Option<String>,
    pub(super) scope: Option<String>,
    /// Whether using a refresh token may spend it.
    pub(super) rotates: bool,
    /// As durations are written.
    pub(super) lifetime: Option<String>,
    pub(super) idle_lifetime: Option<String>,
}

/// A signed JWT: every claim but `exp`, which lies within five minutes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Assertion {
    pub(super) parameter: String,
    pub(super) algorithm: String,
    pub(super) claims: serde_json::Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    /// Where the body is from.
    from: String,
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) outcome: String,
    /// Which of the requests it answers; the first one unless it says so.
    #[serde(default)]
    pub(super) to: usize,
    /// The new one, and its seconds.
    pub(super) refresh_token: Option<String>,
    pub(super) refresh_token_lifetime: Option<u64>,
    /// Seconds.
    pub(super) lifetime: Option<u64>,
    /// The same where the vendor counts milliseconds.
    pub(super) lifetime_ms: Option<u64>,
    pub(super) retry_after: Option<u64>,
    pub(super) error: Option<String>,
    /// Part of the vendor's own words as they are shown.
    pub(super) says: Option<String>,
    /// Part of the advice.
    pub(super) hint: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Silence {
    pub(super) kind: String,
    pub(super) hint: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) config: toml::Table,
    pub(super) outcome: String,
    pub(super) hint: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refused {
    pub(super) key: String,
    pub(super) value: String,
}

/// What a call needs: all of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Api {
    pub(super) base_url: String,
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) query: BTreeMap<String, String>,
    /// Where the vendor's answer may send calls.
    #[serde(default)]
    pub(super) hosts: Vec<String>,
}

impl Fixture {
    pub(super) fn of(provider: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/conformance")
            .join(format!("{provider}.toml"));
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let fixture: Self =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(
            !fixture.page.is_empty()
                && fixture.page.iter().all(|page| page.starts_with("https://")),
            "{provider}: says where it is from"
        );
        assert_eq!(fixture.read.len(), 10, "{provider}: says when it was read");
        assert!(fixture.answers.iter().all(|answer| !answer.from.is_empty()));
        fixture
    }
}

//! What a vendor's page says, as written down in `tests/conformance/<provider>.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Table;

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
    /// Tokens that nobody is asked for: they are signed.
    #[serde(default)]
    pub(super) signed: Vec<Signed>,
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
    /// What becomes of the token before; `independent` unless it says so.
    pub(super) reissue: Option<String>,
    /// The first wait after a failure that passes, and after a refusal, where a vendor wants more
    /// patience than is usual.
    pub(super) wait_after_failure: Option<String>,
    pub(super) wait_after_refusal: Option<String>,
    /// For providers without a token request.
    #[serde(default)]
    pub(super) config: Table,
}

/// What an operator writes, and the requests that must come of it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Table")]
pub(super) struct Expected {
    pub(super) config: Table,
    /// Those before it, with what is answered.
    pub(super) before: Vec<Before>,
    pub(super) call: Call,
    /// What the exchange presents besides the client.
    pub(super) present: Presented,
    /// Where consent begins, and what becomes of it.
    pub(super) consent: Option<Consent>,
    /// Where calls go, if it depends on what was configured.
    pub(super) base_url: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "Table")]
pub(super) struct Before {
    pub(super) call: Call,
    pub(super) answer: String,
}

/// One request, all of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) url: String,
    /// Of `multipart/form-data` without the boundary.
    pub(super) content_type: Option<String>,
    pub(super) authorization: Option<String>,
    #[serde(default = "json")]
    pub(super) accept: String,
    /// Every header that is not HTTP's own or named above, in lower case; `{uuid}` is any.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// Every member of the query, and no other.
    #[serde(default)]
    pub(super) query: BTreeMap<String, String>,
    /// Every member of the body, and no other; as text.
    #[serde(default)]
    pub(super) body: BTreeMap<String, String>,
    /// The same where the kinds of the values matter.
    pub(super) json: Option<String>,
    /// The JWT in it, if one is signed.
    pub(super) assertion: Option<Assertion>,
}

fn json() -> String {
    "application/json".to_owned()
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
    /// What the page calls `client_id` and the redirect `code`, if otherwise.
    pub(super) client_id_name: Option<String>,
    pub(super) code_name: Option<String>,
    /// What is sent as the redirect URI, if that has a name.
    pub(super) redirect_uri_sent: Option<String>,
    /// Whether the page gets no challenge (RFC 7636).
    #[serde(default)]
    pub(super) without_challenge: bool,
    /// Whether using a refresh token may spend it.
    pub(super) rotates: bool,
    /// Whether it surely does.
    #[serde(default)]
    pub(super) rotates_always: bool,
    /// As durations are written.
    pub(super) lifetime: Option<String>,
    pub(super) idle_lifetime: Option<String>,
}

/// A signed JWT in a request.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Table")]
pub(super) struct Assertion {
    /// The member of body or query that it is; `authorization`: the header, after `Bearer`.
    pub(super) parameter: String,
    pub(super) jwt: Jwt,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Jwt {
    pub(super) algorithm: String,
    /// Besides `alg` and `typ`, which is `JWT`.
    #[serde(default)]
    pub(super) header: serde_json::Map<String, serde_json::Value>,
    /// Every claim but `exp`. `{now}` and `{now-60}` are seconds, `{uuid}` is any.
    pub(super) claims: serde_json::Value,
    /// The seconds from `{now}` to `exp`; without it, five minutes at the most.
    pub(super) lifetime: Option<i64>,
    /// In PEM; the public half of `adobe-jwt.key` unless it says so.
    pub(super) public_key: Option<String>,
}

/// A token that is signed, and not asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signed {
    pub(super) config: Table,
    pub(super) jwt: Jwt,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    /// Where the body is from.
    from: String,
    pub(super) status: u16,
    #[serde(default = "json")]
    pub(super) content_type: String,
    pub(super) body: String,
    pub(super) outcome: String,
    /// Which of the requests it answers; the first one unless it says so.
    #[serde(default)]
    pub(super) to: usize,
    /// Which of the calls of that one, from 0; the last unless it says so.
    pub(super) at: Option<usize>,
    /// The token that is held already.
    pub(super) held: Option<String>,
    /// The token; the member `access_token` unless it says so.
    pub(super) token: Option<String>,
    /// The new one, and its seconds.
    pub(super) refresh_token: Option<String>,
    pub(super) refresh_token_lifetime: Option<u64>,
    /// Seconds.
    pub(super) lifetime: Option<u64>,
    /// The same where the vendor counts milliseconds.
    pub(super) lifetime_ms: Option<u64>,
    /// What is handed on of it besides the token, all of it; not looked at unless it says so.
    pub(super) members: Option<serde_json::Map<String, serde_json::Value>>,
    /// What was granted, likewise.
    pub(super) scope: Option<String>,
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
    pub(super) config: Table,
    pub(super) outcome: String,
    pub(super) hint: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refused {
    pub(super) key: String,
    pub(super) value: String,
}

/// What a call needs: all of it. `{access_token}` is the token, `{token_type}` is `Bearer`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Api {
    pub(super) base_url: Option<String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) query: BTreeMap<String, String>,
    /// Where the vendor's answer may send calls.
    #[serde(default)]
    pub(super) hosts: Vec<String>,
}

/// A key of a table whose rest is something else.
fn take<T: DeserializeOwned>(table: &mut Table, key: &str) -> Result<Option<T>, String> {
    let value = table.remove(key).map(T::deserialize).transpose();
    value.map_err(|error| format!("{key}: {error}"))
}

impl TryFrom<Table> for Expected {
    type Error = String;

    fn try_from(mut table: Table) -> Result<Self, String> {
        Ok(Self {
            config: take(&mut table, "config")?.ok_or("config is missing")?,
            before: take(&mut table, "before")?.unwrap_or_default(),
            present: take(&mut table, "present")?.unwrap_or_default(),
            consent: take(&mut table, "consent")?,
            base_url: take(&mut table, "base_url")?,
            call: Call::deserialize(table).map_err(|error| error.to_string())?,
        })
    }
}

impl TryFrom<Table> for Before {
    type Error = String;

    fn try_from(mut table: Table) -> Result<Self, String> {
        Ok(Self {
            answer: take(&mut table, "answer")?.ok_or("answer is missing")?,
            call: Call::deserialize(table).map_err(|error| error.to_string())?,
        })
    }
}

impl TryFrom<Table> for Assertion {
    type Error = String;

    fn try_from(mut table: Table) -> Result<Self, String> {
        Ok(Self {
            parameter: take(&mut table, "parameter")?.ok_or("parameter is missing")?,
            jwt: Jwt::deserialize(table).map_err(|error| error.to_string())?,
        })
    }
}

impl Expected {
    pub(super) fn begins_with_a_login(&self) -> bool {
        let consent = self.consent.as_ref();
        consent.is_some_and(|consent| consent.grant != "refresh_token")
    }

    /// Every call, in order.
    pub(super) fn calls(&self) -> Vec<&Call> {
        let before = self.before.iter().map(|before| &before.call);
        before.chain([&self.call]).collect()
    }
}

impl Answer {
    /// The token that must come of it.
    pub(super) fn token(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        let member = body["access_token"].as_str().map(str::to_owned);
        self.token.clone().or(member)
    }
}

impl Fixture {
    pub(super) fn of(provider: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/conformance")
            .join(format!("{provider}.toml"));
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self::parse(provider, &text)
    }

    pub(super) fn parse(provider: &str, text: &str) -> Self {
        let fixture: Self =
            toml::from_str(text).unwrap_or_else(|error| panic!("{provider}: {error}"));
        assert!(
            !fixture.page.is_empty()
                && fixture.page.iter().all(|page| page.starts_with("https://")),
            "{provider}: says where it is from"
        );
        assert_eq!(fixture.read.len(), 10, "{provider}: says when it was read");
        assert!(fixture.answers.iter().all(|answer| !answer.from.is_empty()));
        fixture
    }

    /// Of the first request, or what there is instead.
    pub(super) fn config(&self) -> &Table {
        let requested = self.requests.first().map(|expected| &expected.config);
        let signed = self.signed.first().map(|signed| &signed.config);
        requested.or(signed).unwrap_or(&self.config)
    }
}

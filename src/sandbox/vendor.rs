//! The table of emulated vendors. A further vendor is one file and one line in [`VENDORS`].

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, Method};
use serde_json::Value;

use super::consent::Renewal;
use super::reply::Reply;
use super::secrets::Secrets;
use super::{
    adobe_campaign, adobe_jwt, constant_contact_v2, learning_360, mautic,
    salesforce_marketing_cloud,
};

/// Sorted by name.
pub const VENDORS: &[Vendor] = &[
    learning_360::VENDOR,
    mautic::ACQUIA,
    adobe_campaign::VENDOR,
    adobe_jwt::VENDOR,
    constant_contact_v2::VENDOR,
    mautic::MAUTIC,
    salesforce_marketing_cloud::VENDOR,
];

/// How one vendor behaves. The functions are pure: counting, clocks, tokens and faults are the
/// sandbox's.
#[derive(Clone, Copy)]
pub struct Vendor {
    /// The first segment of every path of this vendor; the provider's name in the catalogue.
    pub name: &'static str,
    /// Behind `/{name}`: where a token is asked for; with a standing token, asked about.
    pub token_path: &'static str,
    /// A form, else JSON: for the lines to paste.
    pub asks_with_form: bool,
    /// A protected resource to try a token on, behind `/{name}`, and the headers it needs.
    pub api_path: &'static str,
    pub api_headers: &'static [(&'static str, &'static str)],
    /// Made up, public, and all that this vendor accepts.
    pub client_id: &'static str,
    pub client_secret: &'static str,
    /// What `scope` must be sent, if any.
    pub scope: Option<&'static str>,
    /// The "secret" is a token that was made once and is good for years.
    pub standing_token: bool,
    pub rotation: Rotation,
    /// A person consents to it, and refresh tokens keep the consent alive.
    pub renewal: Option<Renewal>,
    /// What `expires_in` says at first: short, so that a demo shows renewals.
    pub lifetime: Duration,
    /// How long a token is really accepted when `expires_in` says `lifetime`.
    pub true_lifetime: fn(Duration) -> Duration,
    /// Members of a token request that may be shown by the control path.
    pub shown: &'static [&'static str],
    pub decide: fn(&TokenCall<'_>) -> Decision,
    /// The 200 for a decision to issue.
    pub issued: fn(&Permission, token: &str, lifetime: Duration) -> Reply,
    pub new_token: fn() -> String,
    /// The answer to wrong credentials.
    pub refused: fn() -> Reply,
    /// The answer of a throttled token endpoint, `Retry-After` apart.
    pub throttled: fn(retry_after: u64) -> Reply,
    /// The API side; `None`: no token that this vendor accepts now.
    pub api: fn(&ApiCall<'_>, Option<&Permission>) -> Reply,
}

impl fmt::Debug for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vendor({})", self.name)
    }
}

/// How many secrets a client may have while they are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    OneSecret,
    /// A staged one is accepted beside the active one, and ends it when it is activated.
    StagedThenActivated,
    /// Two, until one is deleted.
    TwoAtOnce,
}

/// A request to the token endpoint.
pub struct TokenCall<'a> {
    pub(super) headers: &'a HeaderMap,
    /// JSON, or the members of a form; `None` if it is neither.
    pub(super) body: Option<&'a Value>,
    pub(super) query: &'a str,
    pub(super) client_id: &'a str,
    pub(super) secrets: &'a Secrets,
    /// How long a token is accepted from now on.
    pub(super) left: &'a dyn Fn(&str) -> Option<Duration>,
}

impl fmt::Debug for TokenCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenCall")
    }
}

impl TokenCall<'_> {
    fn is_of_kind(&self, wanted: &str) -> bool {
        content_type(self.headers).is_some_and(|kind| kind.eq_ignore_ascii_case(wanted))
    }

    pub(super) fn is_json(&self) -> bool {
        self.is_of_kind("application/json")
    }

    pub(super) fn is_form(&self) -> bool {
        self.is_of_kind(FORM)
    }

    /// A parameter of a form.
    pub(super) fn form(&self, name: &str) -> Option<String> {
        let body = self.body.filter(|_| self.is_form())?;
        body.get(name)?.as_str().map(str::to_owned)
    }

    /// A parameter of a form, else of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        self.form(name).or_else(|| in_query(self.query, name))
    }

    pub(super) fn knows(&self, id: &str, secret: &str) -> bool {
        id == self.client_id && self.secrets.accepts(secret)
    }

    pub(super) fn left(&self, token: &str) -> Option<Duration> {
        (self.left)(token)
    }
}

pub(super) const FORM: &str = "application/x-www-form-urlencoded";

pub(super) fn content_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(str::trim)
}

fn in_query(query: &str, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

#[derive(Debug)]
pub enum Decision {
    Issue(Permission),
    Refuse(Reply),
    /// Neither: a question about a token.
    Answer(Reply),
}

/// What a token may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permission {
    /// Space-separated; empty: nothing. Vendors without scopes leave it empty and ignore it.
    pub(super) scope: String,
    /// The consent it came from, and ends with.
    pub(super) grant: Option<u64>,
}

/// A request to the API side.
#[derive(Debug)]
pub struct ApiCall<'a> {
    pub(super) method: &'a Method,
    /// Behind `/{name}`.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
}

impl ApiCall<'_> {
    pub(super) fn query(&self, name: &str) -> Option<String> {
        in_query(self.query, name)
    }
}

/// Random letters and digits; nothing here protects anything.
pub(super) fn random_text(length: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(length)
        .collect()
}

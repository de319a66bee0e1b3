//! The table of emulated vendors. A further vendor is one file and one line in [`VENDORS`].

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, Method};
use serde_json::Value;

use super::reply::Reply;
use super::{learning_360, salesforce_marketing_cloud};

/// Sorted by name.
pub const VENDORS: &[Vendor] = &[learning_360::VENDOR, salesforce_marketing_cloud::VENDOR];

/// How one vendor behaves. The functions are pure: counting, clocks, tokens and faults are the
/// sandbox's.
#[derive(Clone, Copy)]
pub struct Vendor {
    /// The first segment of every path of this vendor; the provider's name in the catalogue.
    pub name: &'static str,
    /// Behind `/{name}`.
    pub token_path: &'static str,
    /// A protected resource to try a token on, behind `/{name}`, and the headers it needs.
    pub api_path: &'static str,
    pub api_headers: &'static [(&'static str, &'static str)],
    /// Made up, public, and all that this vendor accepts.
    pub client_id: &'static str,
    pub client_secret: &'static str,
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

/// A request to the token endpoint.
#[derive(Debug)]
pub struct TokenCall<'a> {
    pub(super) headers: &'a HeaderMap,
    /// `None` if the body is no JSON.
    pub(super) body: Option<&'a Value>,
}

impl TokenCall<'_> {
    pub(super) fn is_json(&self) -> bool {
        self.headers
            .get(http::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    }
}

#[derive(Debug)]
pub enum Decision {
    Issue(Permission),
    Refuse(Reply),
}

/// What a token may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permission {
    /// Space-separated; empty: nothing. Vendors without scopes leave it empty and ignore it.
    pub(super) scope: String,
}

/// A request to the API side.
#[derive(Debug)]
pub struct ApiCall<'a> {
    pub(super) method: &'a Method,
    /// Behind `/{name}`.
    pub(super) path: &'a str,
    pub(super) headers: &'a HeaderMap,
}

/// Random letters and digits; nothing here protects anything.
pub(super) fn random_text(length: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(length)
        .collect()
}

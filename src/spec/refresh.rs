//! When a token is renewed, and how the vendor is reached.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::{Backoff, HumanDuration, Secret};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// Kept fresh from the start.
    #[default]
    Always,
    /// First asked at the first request, renewed only if used since.
    Demand,
}

/// What asking again does to the token before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reissue {
    #[default]
    Independent,
    /// The vendor returns the same token until it expires: asking earlier is useless.
    Same,
    /// The vendor returns the same token with a new lifetime.
    Extends,
    /// The token before dies at once: asked late.
    Replaces,
}

/// So many token requests at most within any such time, all of one client at one endpoint counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// 1 to [`RateLimit::MOST`].
    pub requests: u32,
    /// Not zero.
    pub per: Duration,
}

impl RateLimit {
    /// All of them are remembered.
    pub const MOST: u32 = 10_000;
}

/// As it is configured: `50/12h`.
impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, HumanDuration(self.per))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct RefreshPolicy {
    pub when: When,
    /// Part of the lifetime after which a token is renewed, within 0.05..=0.95.
    pub at: f64,
    /// Renewal is drawn from `at ± jitter`; 0..=0.25 and less than `at`.
    pub jitter: f64,
    /// Least time between an exchange and a forced one.
    pub min_interval: Duration,
    pub forced_max_interval: Duration,
    /// One exchange, all in all.
    pub timeout: Duration,
    pub connect_timeout: Duration,
    pub backoff: Backoff,
    pub rejected_backoff: Backoff,
    pub reissue: Reissue,
    pub rate_limit: Option<RateLimit>,
}

const DEFAULT_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
const DEFAULT_REJECTED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(3600));

impl Default for RefreshPolicy {
    #[expect(clippy::expect_used, reason = "the constants above are in order")]
    fn default() -> Self {
        Self {
            when: When::Always,
            at: 0.75,
            jitter: 0.05,
            min_interval: Duration::from_secs(5),
            forced_max_interval: Duration::from_secs(300),
            timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            backoff: Backoff::new(DEFAULT_BACKOFF.0, DEFAULT_BACKOFF.1).expect("in order"),
            rejected_backoff: Backoff::new(DEFAULT_REJECTED.0, DEFAULT_REJECTED.1)
                .expect("in order"),
            reissue: Reissue::Independent,
            rate_limit: None,
        }
    }
}

/// How a vendor is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Net {
    /// Never used for loopback endpoints.
    pub proxy: Option<Proxy>,
    /// PEM file with certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// `ca_file` replaces the system's authorities instead of adding to them.
    pub ca_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// May hold a user and password.
    pub url: Secret,
    /// `NO_PROXY`, as the environment has it; only where the proxy came from there too.
    pub no_proxy: Option<String>,
}

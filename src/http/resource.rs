//! The table of everything there is to ask for: the router and the OpenAPI document are both made
//! of it, so they cannot disagree.

use hyper::Method;

use super::query::Param;
use crate::telemetry::Route;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    Token,
    DropIn,
    Refresh,
    Headers,
    Login,
    LoginCallback,
    LoginComplete,
    Integrations,
    Integration,
    Livez,
    Readyz,
    Startupz,
    Metrics,
    OpenApi,
}

impl Resource {
    pub(super) const ALL: [Self; 14] = [
        Self::Token,
        Self::DropIn,
        Self::Refresh,
        Self::Headers,
        Self::Login,
        Self::LoginCallback,
        Self::LoginComplete,
        Self::Integrations,
        Self::Integration,
        Self::Livez,
        Self::Readyz,
        Self::Startupz,
        Self::Metrics,
        Self::OpenApi,
    ];

    /// What the admin listener serves.
    pub(super) const ADMIN: [Self; 4] = [Self::Livez, Self::Readyz, Self::Startupz, Self::Metrics];

    /// The path as OpenAPI writes it.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Token => "/token/{integration}",
            Self::DropIn => "/token/{integration}/{path}",
            Self::Refresh => "/refresh/{integration}",
            Self::Headers => "/headers/{integration}",
            Self::Login => "/login/{integration}",
            Self::LoginCallback => "/login/callback",
            Self::LoginComplete => "/login/{integration}/complete",
            Self::Integrations => "/integrations",
            Self::Integration => "/integrations/{integration}",
            Self::Livez => "/livez",
            Self::Readyz => "/readyz",
            Self::Startupz => "/startupz",
            Self::Metrics => "/metrics",
            Self::OpenApi => "/openapi.json",
        }
    }

    /// The path as the router matches it: `{path}` is the rest, whatever it is.
    pub(super) fn pattern(self) -> String {
        self.path().replace("{path}", "{*path}")
    }

    pub(super) fn gets(self) -> bool {
        match self {
            Self::Token
            | Self::Headers
            | Self::LoginCallback
            | Self::Integrations
            | Self::Integration
            | Self::Livez
            | Self::Readyz
            | Self::Startupz
            | Self::Metrics
            | Self::OpenApi => true,
            Self::DropIn | Self::Refresh | Self::Login | Self::LoginComplete => false,
        }
    }

    pub(super) fn posts(self) -> bool {
        matches!(
            self,
            Self::Token | Self::DropIn | Self::Refresh | Self::Login | Self::LoginComplete
        )
    }

    pub(super) fn takes(self, method: &Method) -> bool {
        match *method {
            Method::GET | Method::HEAD => self.gets(),
            Method::POST => self.posts(),
            _ => false,
        }
    }

    /// The header `Allow`.
    pub(super) fn allow(self) -> &'static str {
        match (self.gets(), self.posts()) {
            (true, true) => "GET, HEAD, POST",
            (true, false) => "GET, HEAD",
            (false, _) => "POST",
        }
    }

    pub(super) fn is_probe(self) -> bool {
        matches!(self, Self::Livez | Self::Readyz | Self::Startupz)
    }

    /// Probes send what they are configured to send, browsers what they always send.
    pub(super) fn needs_no_header(self) -> bool {
        self.is_probe() || self == Self::LoginCallback
    }

    /// Whether an answer is a token, so that its outcome is counted.
    pub(super) fn is_token(self) -> bool {
        matches!(
            self,
            Self::Token | Self::DropIn | Self::Refresh | Self::Headers
        )
    }

    pub(super) fn is_login(self) -> bool {
        matches!(
            self,
            Self::Login | Self::LoginCallback | Self::LoginComplete
        )
    }

    pub(super) fn params(self) -> &'static [Param] {
        match self {
            Self::Token | Self::Refresh => &[Param::TokenFormat, Param::MinTtl, Param::Wait],
            Self::DropIn => &[Param::MinTtl, Param::Wait],
            Self::Headers => &[Param::HeadersFormat, Param::MinTtl, Param::Wait],
            Self::Livez | Self::Readyz | Self::Startupz => &[Param::Verbose],
            Self::Login
            | Self::LoginCallback
            | Self::LoginComplete
            | Self::Integrations
            | Self::Integration
            | Self::Metrics
            | Self::OpenApi => &[],
        }
    }

    /// The label of its metrics.
    pub(super) fn route(self) -> Route {
        match self {
            Self::Token | Self::DropIn => Route::Token,
            Self::Refresh => Route::Refresh,
            Self::Headers => Route::Headers,
            Self::Login | Self::LoginCallback | Self::LoginComplete => Route::Login,
            Self::Integrations | Self::Integration => Route::Integrations,
            Self::Livez | Self::Readyz | Self::Startupz => Route::Probe,
            Self::Metrics => Route::Metrics,
            Self::OpenApi => Route::OpenApi,
        }
    }
}

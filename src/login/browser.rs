//! One login through a browser: begun with a page to visit, ended by what comes back from it.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::authorization::{self, Parameters};
use super::pkce::{NoRandomness, challenge, unguessable};
use super::redirect::Redirect;
use crate::base::{Mono, Secret};
use crate::spec::{Endpoint, TokenRequest};

/// How long a person has for the vendor's page.
pub const LIFETIME: Duration = Duration::from_secs(600);

/// What is remembered of a login until its redirect comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browser {
    state: Secret,
    verifier: Secret,
    /// Where the browser comes back to.
    redirect_uri: String,
    /// The vendor's own name for that.
    sent: Option<String>,
    /// RFC 9207; `None`: not known, so whatever comes is accepted.
    issuer: Option<String>,
    ends: Mono,
}

/// What the token endpoint is asked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    pub code: Secret,
    pub verifier: Secret,
    pub redirect_uri: String,
}

/// Why a redirect brings no code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is not this login's: the login goes on.
    MissingState,
    ForeignState,
    /// RFC 9207: another server answered.
    ForeignIssuer,
    /// The login is over: the person or the vendor said no.
    Denied(Denial),
    /// The login is over: [`LIFETIME`] has passed.
    Expired,
}

impl Refusal {
    /// Whether another redirect can still complete the login.
    pub fn goes_on(&self) -> bool {
        match self {
            Self::MissingState | Self::ForeignState | Self::ForeignIssuer => true,
            Self::Denied(_) | Self::Expired => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingState => f.write_str(
                "it has no state, so nothing shows that it answers this login: copy the whole address \
                 at which the browser ended",
            ),
            Self::ForeignState => f.write_str(
                "its state is not that of this login: it answers an older one, or somebody else's",
            ),
            Self::ForeignIssuer => f.write_str(
                "it names another authorization server (iss) than the one that was asked; if it is the \
                 vendor's own, correct issuer of the integration",
            ),
            Self::Denied(denial) => denial.fmt(f),
            Self::Expired => f.write_str("ten minutes have passed since this login was begun"),
        }
    }
}

/// The vendor's page sent the browser back with an error (RFC 6749 section 4.1.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Fit to be shown, as is the description.
    pub error: String,
    pub description: Option<String>,
}

impl Denial {
    /// What the word means, and what to do.
    pub fn advice(&self) -> &'static str {
        match self.error.as_str() {
            "access_denied" => {
                "whoever logged in said no, or may not consent: log in again with an account that may"
            }
            "unauthorized_client" | "unsupported_response_type" => {
                "the vendor's settings of this client do not allow logins with a code: allow them there"
            }
            "invalid_scope" => "correct scope in the integration: the vendor knows others",
            "invalid_request" | "redirect_uri_mismatch" | "invalid_redirect_uri" => {
                "see that redirect_uri of the integration is registered at the vendor, letter by letter"
            }
            "invalid_client" => "correct client_id of the integration",
            "server_error" | "temporarily_unavailable" => {
                "the vendor has trouble: log in again later"
            }
            "login_required"
            | "interaction_required"
            | "consent_required"
            | "account_selection_required" => {
                "the vendor was asked not to show a page (prompt=none): take that out of \
                 authorization_endpoint"
            }
            _ => "look the word up in the vendor's documentation, then log in again",
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the vendor's page answered {}", self.error)?;
        match &self.description {
            Some(said) if !said.is_empty() => write!(f, ": {said}"),
            Some(_) | None => Ok(()),
        }
    }
}

impl Browser {
    /// A login begun at `now`, and the URL of the page to visit.
    pub fn begin(
        request: &TokenRequest,
        authorization_endpoint: &Endpoint,
        redirect_uri: &Url,
        issuer: Option<&str>,
        now: Mono,
    ) -> Result<(Self, String), NoRandomness> {
        let begun = Self {
            state: unguessable()?,
            verifier: unguessable()?,
            redirect_uri: redirect_uri.to_string(),
            sent: request
                .dialect()
                .and_then(|it| it.redirect_uri_sent.clone()),
            issuer: issuer.map(str::to_owned),
            ends: now.plus(LIFETIME),
        };
        let parameters = Parameters {
            redirect_uri: begun.sent(),
            state: begun.state.expose(),
            challenge: &challenge(&begun.verifier),
        };
        let page = authorization::url(authorization_endpoint, request, parameters);
        Ok((begun, page))
    }

    pub fn state(&self) -> &Secret {
        &self.state
    }

    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// What the vendor is told of it, at both of its endpoints.
    fn sent(&self) -> &str {
        self.sent.as_deref().unwrap_or(&self.redirect_uri)
    }

    /// When it is over.
    pub fn ends(&self) -> Mono {
        self.ends
    }

    /// Whether the redirect brings a code for this login. Whose it is comes first: a stranger's
    /// redirect cannot even end it.
    pub fn accept(&self, redirect: &Redirect, now: Mono) -> Result<Granted, Refusal> {
        match &redirect.state {
            None => return Err(Refusal::MissingState),
            Some(state) if *state != self.state => return Err(Refusal::ForeignState),
            Some(_) => {}
        }
        if now >= self.ends {
            return Err(Refusal::Expired);
        }
        if let (Some(expected), Some(issuer)) = (&self.issuer, &redirect.issuer)
            && expected != issuer
        {
            return Err(Refusal::ForeignIssuer);
        }
        if let Some(error) = redirect.error.as_ref().filter(|error| !error.is_empty()) {
            return Err(Refusal::Denied(Denial {
                error: error.clone(),
                description: redirect.error_description.clone(),
            }));
        }
        // A redirect without an error has a code: that is how it is read.
        let code = redirect.code.clone().ok_or(Refusal::MissingState)?;
        Ok(Granted {
            code,
            verifier: self.verifier.clone(),
            redirect_uri: self.sent().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;

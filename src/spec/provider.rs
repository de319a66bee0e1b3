//! Vendor knowledge as data: which error means what, and what to do about it.

/// Rules and hints from a provider file (empty where everything was spelled out).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vendor {
    /// The vendor's documentation.
    pub docs: Option<String>,
    /// Come before the general table of outcomes; the first that matches decides.
    pub errors: Vec<ErrorRule>,
    /// The first that matches is shown.
    pub hints: Vec<Hint>,
}

/// What the vendor knows a client by, and so what a refusal is probably about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Proof {
    #[default]
    Secret,
    /// The same, in the body already.
    SecretInBody,
    /// A secret that signs for the client, dated by a clock.
    SharedKey,
    /// Of the grant: signed with a key, and dated by a clock.
    Assertion,
    /// Of the client: signed with a key, and dated by a clock.
    ClientAssertion,
    /// Signed by somebody else.
    AssertionFile,
    Certificate,
    /// A person's, or what passes for one.
    Password,
    /// The token that is exchanged, and the client.
    Subject,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorRule {
    pub when: Match,
    pub outcome: OutcomeClass,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    pub when: Match,
    pub advice: String,
}

/// Every condition that is given must hold; at least one is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Match {
    pub status: Option<u16>,
    /// The error code at the paths of `response.error`; for failures without an answer one of
    /// `timeout`, `connect`, `dns`, `tls`.
    pub error: Option<String>,
    /// Occurs in the error description or the body, ignoring case; lower case here.
    pub text: Option<String>,
}

impl Match {
    pub fn matches(&self, status: Option<u16>, error: Option<&str>, text: &str) -> bool {
        self.status.is_none_or(|wanted| status == Some(wanted))
            && self
                .error
                .as_deref()
                .is_none_or(|wanted| error == Some(wanted))
            && self
                .text
                .as_deref()
                .is_none_or(|wanted| text.to_lowercase().contains(wanted))
    }
}

/// What an error rule can say; names as in the design's table of outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeClass {
    Transient,
    /// Transient, and asked too often.
    RateLimited,
    BadCredential,
    BadRequest,
    DeadGrant,
}

//! A JWT that the broker signs: what is in it, and with which key.

use std::time::Duration;

use super::phrase::{Draft, Part, Phrase};
use super::secret::{SecretCandidate, SecretSource};

/// RFC 7515. `exp` is `iat` and the lifetime; `iat` is back-dated, since clocks differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    /// In the order to try; not empty.
    pub key: Vec<SecretCandidate>,
    /// Of encrypted keys.
    pub passphrase: Option<SecretSource>,
    /// Whose fingerprint may stand in it; without one, the certificate that comes with the key.
    pub certificate: Option<SecretSource>,
    pub algorithm: Algorithm,
    /// Without it a JWK's own `kid` is used.
    pub kid: Option<String>,
    pub issuer: Option<Phrase>,
    pub subject: Option<Phrase>,
    /// One is written as a string, more as a list.
    pub audience: Vec<Phrase>,
    /// Whole seconds, longer than `backdate`.
    pub lifetime: Duration,
    /// Whether `iat` is there.
    pub issued_at: bool,
    pub backdate: Duration,
    pub jti: Jti,
    /// Further claims in the order of the configuration; they win over the ones above, and an
    /// empty text removes one.
    pub claims: Vec<(Phrase, Draft)>,
    /// Further members of the header; never `alg` and `kid`; as with claims.
    pub headers: Vec<(Phrase, Draft)>,
}

impl Assertion {
    /// Every part of what stands in it.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Part)) {
        let phrases = self.issuer.iter().chain(&self.subject);
        for phrase in phrases.chain(&self.audience) {
            phrase.walk(visit);
        }
        for (name, value) in self.claims.iter().chain(&self.headers) {
            name.walk(visit);
            value.walk(visit);
        }
    }

    pub const BACKDATE: Duration = Duration::from_secs(30);
    pub const LIFETIME: Duration = Duration::from_secs(300);
}

/// How an assertion is sent (RFC 7523).
#[derive(Debug, Clone, PartialEq)]
pub struct Bearer {
    pub assertion: Assertion,
    /// The request parameter that holds the assertion.
    pub parameter: String,
    /// `None` for vendors that do not want one.
    pub grant_type: Option<String>,
}

impl Bearer {
    pub const PARAMETER: &'static str = "assertion";
    pub const GRANT_TYPE: &'static str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
}

/// Signature algorithms by their names in RFC 7518 and RFC 8037.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// The one that nearly every vendor knows.
    #[default]
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
    Hs256,
    Hs384,
    Hs512,
}

impl Algorithm {
    pub const ALL: [Self; 12] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }

    /// Whether both sides have the same key.
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }
}

/// The claim that tells one assertion from another: new for every try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Jti {
    #[default]
    Uuid,
    /// For vendors that refuse anything but a number.
    Integer,
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_by_their_names() {
        for one in Algorithm::ALL {
            assert_eq!(Algorithm::parse(one.as_str()), Some(one));
        }
        for other in ["ES512", "none", "rs256", "", "ES256K"] {
            assert_eq!(Algorithm::parse(other), None, "{other}");
        }
    }
}

//! How an access token is obtained.

use std::sync::Arc;
use std::time::Duration;

use super::assertion::{Assertion, Bearer};
use super::issuer::Location;
use super::provider::Proof;
use super::request::{ClientAuth, ClientCertificate, TokenRequest};
use super::secret::{SecretCandidate, SecretSource};
use super::steps::{Step, Steps, StepsKind};
use super::url::Endpoint;
use crate::base::Timestamp;
use url::Url;

/// Shared with whoever carries it out: there may be thousands.
#[derive(Debug, Clone, PartialEq)]
pub enum Grant {
    /// RFC 6749 section 4.4.
    ClientCredentials(Arc<TokenRequest>),
    /// RFC 6749 section 4.3.
    Password(Arc<TokenRequest>),
    /// RFC 8693.
    TokenExchange(Arc<TokenRequest>),
    /// RFC 7523 section 2.1, with the variants of vendors.
    JwtBearer(Arc<TokenRequest>, Arc<Bearer>),
    /// RFC 6749 section 6: access tokens come from a refresh token, which consent or the
    /// configuration brought.
    RefreshToken(Arc<TokenRequest>, Arc<Refreshing>),
    /// Requests of a vendor's own kind.
    Steps(Arc<Steps>),
    /// A JWT of our own making is the token.
    SignedJwt(Box<Assertion>),
    /// A token that somebody else obtained.
    Static(StaticToken),
}

impl Grant {
    /// The value of `grant` in the configuration and the status.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ClientCredentials(_) => "client_credentials",
            Self::Password(_) => "password",
            Self::TokenExchange(_) => "token_exchange",
            Self::JwtBearer(..) => "jwt_bearer",
            Self::RefreshToken(_, refreshing) => refreshing.first.name(),
            Self::Steps(steps) => match steps.kind {
                StepsKind::Request => "request",
                StepsKind::Steps => "steps",
            },
            Self::SignedJwt(_) => "signed_jwt",
            Self::Static(_) => "static",
        }
    }

    /// What is sent to a token endpoint, for grants that ask one in the standard's way.
    pub fn request(&self) -> Option<&TokenRequest> {
        match self {
            Self::ClientCredentials(request)
            | Self::Password(request)
            | Self::TokenExchange(request)
            | Self::JwtBearer(request, _)
            | Self::RefreshToken(request, _) => Some(request),
            Self::Steps(_) | Self::SignedJwt(_) | Self::Static(_) => None,
        }
    }

    /// The requests of a vendor's own kind, for grants that are made of them.
    pub fn steps(&self) -> Option<&Steps> {
        match self {
            Self::Steps(steps) => Some(steps),
            Self::ClientCredentials(_)
            | Self::Password(_)
            | Self::TokenExchange(_)
            | Self::JwtBearer(..)
            | Self::RefreshToken(..)
            | Self::SignedJwt(_)
            | Self::Static(_) => None,
        }
    }

    /// Where a vendor is asked: the token endpoint, the issuer that knows it, or the first of the
    /// steps. `None` for grants that ask nobody.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match self.request() {
            Some(request) => Some(request.endpoint.nearest()),
            None => self.steps()?.first(),
        }
    }

    /// Of grants that ask somebody.
    pub fn client_id(&self) -> Option<&str> {
        match self.request() {
            Some(request) => request.client_id.as_deref(),
            None => self.steps()?.client_id.as_deref(),
        }
    }

    pub fn client_secret(&self) -> &[SecretCandidate] {
        match (self.request(), self.steps()) {
            (Some(request), _) => &request.client_secret,
            (None, Some(steps)) => &steps.client_secret,
            (None, None) => &[],
        }
    }

    pub fn client_certificate(&self) -> Option<&ClientCertificate> {
        match self.request() {
            Some(request) => request.certificate(),
            None => self.steps()?.certificate.as_ref(),
        }
    }

    /// The JWT that stands for the grant, for grants that sign one; of steps, the first.
    pub fn assertion(&self) -> Option<&Assertion> {
        match self {
            Self::JwtBearer(_, bearer) => Some(&bearer.assertion),
            Self::SignedJwt(assertion) => Some(assertion),
            Self::Steps(steps) => steps.assertion(),
            Self::ClientCredentials(_)
            | Self::Password(_)
            | Self::TokenExchange(_)
            | Self::RefreshToken(..)
            | Self::Static(_) => None,
        }
    }

    /// Every JWT that is signed, and where its key is configured, below the integration.
    pub fn assertions(&self) -> Vec<(&str, &Assertion)> {
        let of_client = self.request().and_then(TokenRequest::client_assertion);
        let of_client = of_client.map(|one| ("client_assertion", &**one));
        let of_grant = match self.steps() {
            Some(steps) => steps.steps.iter().find_map(keyed),
            None => self.assertion().map(|one| ("assertion", one)),
        };
        of_client.into_iter().chain(of_grant).collect()
    }

    /// What the vendor knows the client by.
    pub fn proof(&self) -> Proof {
        match self {
            Self::JwtBearer(..) | Self::SignedJwt(_) => Proof::Assertion,
            Self::Password(_) => Proof::Password,
            Self::Steps(steps) if steps.assertion().is_some() => Proof::Assertion,
            Self::Steps(_) | Self::Static(_) => Proof::Secret,
            Self::TokenExchange(_) => Proof::Subject,
            Self::ClientCredentials(request) | Self::RefreshToken(request, _) => {
                match &request.auth {
                    ClientAuth::Assertion(one) if one.algorithm.is_shared() => Proof::SharedKey,
                    ClientAuth::Assertion(_) => Proof::ClientAssertion,
                    ClientAuth::AssertionFile(_) => Proof::AssertionFile,
                    ClientAuth::None if request.certificate().is_some() => Proof::Certificate,
                    ClientAuth::Post => Proof::SecretInBody,
                    ClientAuth::Basic(_) | ClientAuth::None => Proof::Secret,
                }
            }
        }
    }

    /// How refresh tokens are used, for grants that use them.
    pub fn refreshing(&self) -> Option<&Refreshing> {
        match self {
            Self::RefreshToken(_, refreshing) => Some(refreshing),
            Self::ClientCredentials(_)
            | Self::Password(_)
            | Self::TokenExchange(_)
            | Self::JwtBearer(..)
            | Self::Steps(_)
            | Self::SignedJwt(_)
            | Self::Static(_) => None,
        }
    }

    /// The list in which an issued token's `secret_in_use` counts: what the client names itself by,
    /// or the keys of an assertion where there is more than one or nothing else.
    pub fn secrets(&self) -> &[SecretCandidate] {
        match self.assertion() {
            Some(assertion) if self.counts_keys() => &assertion.key,
            _ => self.credentials(),
        }
    }

    /// Whether [`Grant::secrets`] are the keys of [`Grant::assertion`].
    pub fn counts_keys(&self) -> bool {
        self.assertion()
            .is_some_and(|assertion| assertion.key.len() > 1 || self.credentials().is_empty())
    }

    /// What the client names itself by: of which one is used at a time.
    pub fn credentials(&self) -> &[SecretCandidate] {
        match self.request() {
            Some(request) => request.credentials(),
            None => self.client_secret(),
        }
    }

    /// Whether a person consents to it, in a login.
    pub fn takes_logins(&self) -> bool {
        self.refreshing()
            .is_some_and(|refreshing| match refreshing.first {
                FirstRefreshToken::AuthorizationCode { .. }
                | FirstRefreshToken::DeviceCode { .. } => true,
                FirstRefreshToken::Configured(_) => false,
            })
    }

    /// Whether nobody but the running broker may ask for a token: an exchange may spend the
    /// refresh token, or only the broker's store has it.
    pub fn is_the_brokers_alone(&self) -> bool {
        self.takes_logins() || self.refreshing().is_some_and(Refreshing::rotates)
    }

    /// When the secret in use expires, as far as the operator said so. A `static` token is its own
    /// secret; without a `secret_in_use` the only one counts.
    pub fn secret_expiry(&self, secret_in_use: Option<usize>) -> Option<Timestamp> {
        if let Self::Static(token) = self {
            return token.expires_at;
        }
        match (self.secrets(), secret_in_use) {
            (secrets, Some(index)) => secrets.get(index)?.expires_at,
            ([only], None) => only.expires_at,
            (_, None) => None,
        }
    }

    /// Secrets that end within [`SECRET_WARNING`] of `now`, or have ended with no other one left.
    pub fn ending_secrets(&self, now: Timestamp) -> Vec<EndingSecret> {
        let static_token = match self {
            Self::Static(token) => token.expires_at,
            _ => None,
        };
        let token = static_token.filter(|at| *at <= now.plus(SECRET_WARNING));
        let token = token.map(|at| EndingSecret {
            kind: SecretKind::Token,
            index: 0,
            of: 1,
            at,
        });
        let secrets = self.client_secret();
        let keys = self.assertion().map_or(&[][..], |assertion| &assertion.key);
        // The client secret may be its key: told once.
        let client_keys = self.request().and_then(TokenRequest::client_assertion);
        let client_keys = client_keys.filter(|_| secrets.is_empty());
        let client_keys = client_keys.map_or(&[][..], |assertion| &assertion.key);
        token
            .into_iter()
            .chain(ending(SecretKind::ClientSecret, secrets, now))
            .chain(ending(SecretKind::ClientKey, client_keys, now))
            .chain(ending(SecretKind::Key, keys, now))
            .collect()
    }
}

/// How long before a secret's end its replacement should be on the way.
pub const SECRET_WARNING: Duration = Duration::from_hours(14 * 24);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    ClientSecret,
    /// Of the assertion that the client names itself by.
    ClientKey,
    /// Of the assertion that stands for the grant.
    Key,
    /// Of the `static` grant.
    Token,
}

/// A secret to replace soon, or at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndingSecret {
    pub kind: SecretKind,
    /// In a list of this many.
    pub index: usize,
    pub of: usize,
    pub at: Timestamp,
}

fn keyed(step: &Step) -> Option<(&str, &Assertion)> {
    match step {
        Step::Request(_) => None,
        Step::Assertion { assertion, key_at } => Some((key_at, assertion)),
    }
}

fn ending(kind: SecretKind, candidates: &[SecretCandidate], now: Timestamp) -> Vec<EndingSecret> {
    let over = |one: &SecretCandidate| one.expires_at.is_some_and(|at| at <= now);
    let all_over = candidates.iter().all(over);
    candidates
        .iter()
        .enumerate()
        .filter(|(_, one)| all_over || !over(one))
        .filter_map(|(index, one)| {
            let at = one
                .expires_at
                .filter(|at| *at <= now.plus(SECRET_WARNING))?;
            Some(EndingSecret {
                kind,
                index,
                of: candidates.len(),
                at,
            })
        })
        .collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticToken {
    pub token: SecretSource,
    pub expires_at: Option<Timestamp>,
}

/// How refresh tokens are had and used.
#[derive(Debug, Clone, PartialEq)]
pub struct Refreshing {
    /// Where the first one comes from.
    pub first: FirstRefreshToken,
    /// Where refresh tokens are presented, if not at the token endpoint.
    pub refresh_endpoint: Option<Endpoint>,
    pub rotation: Rotation,
    /// From when a refresh token was issued, where the answer does not say.
    pub lifetime: Option<Duration>,
    /// From when a refresh token was last used.
    pub idle_lifetime: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FirstRefreshToken {
    /// The configuration.
    Configured(SecretSource),
    /// A person's consent in a browser: RFC 6749 section 4.1 with RFC 7636.
    AuthorizationCode {
        /// May have a query of its own, which is kept.
        authorization_endpoint: Location,
        /// Where the browser is sent back to; loopback, or a page the code is copied from.
        redirect_uri: Url,
        /// RFC 9207: what a redirect may name as its sender; `None`: anything.
        issuer: Option<String>,
    },
    /// A person's consent on another device: RFC 8628.
    DeviceCode {
        device_authorization_endpoint: Location,
    },
}

impl FirstRefreshToken {
    /// The value of `grant`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Configured(_) => "refresh_token",
            Self::AuthorizationCode { .. } => "authorization_code",
            Self::DeviceCode { .. } => "device_code",
        }
    }
}

/// Whether using a refresh token spends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rotation {
    /// Not known: treated as [`Rotation::Always`].
    #[default]
    Maybe,
    /// Every use may bring a new one, and ends the one before.
    Always,
    /// It stays the same for as long as it lives.
    Never,
}

impl Refreshing {
    /// Whether an exchange may spend the refresh token that it sends.
    pub fn rotates(&self) -> bool {
        self.rotation != Rotation::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Secret;

    const DAY: i64 = 86_400;

    fn days(days: i64) -> Timestamp {
        Timestamp::from_unix_seconds(days * DAY)
    }

    fn candidate(expires_at: Option<i64>) -> SecretCandidate {
        SecretCandidate {
            source: SecretSource::Value(Secret::new("s")),
            not_before: None,
            expires_at: expires_at.map(days),
        }
    }

    fn found(expiries: &[Option<i64>], now: i64) -> Vec<usize> {
        let candidates: Vec<_> = expiries.iter().copied().map(candidate).collect();
        let found = ending(SecretKind::ClientSecret, &candidates, days(now));
        found.iter().map(|one| one.index).collect()
    }

    #[test]
    fn fourteen_days_ahead_and_afterwards_unless_another_takes_over() {
        assert_eq!(found(&[Some(100)], 85), [0; 0]);
        assert_eq!(found(&[Some(100)], 86), [0]);
        assert_eq!(found(&[Some(100)], 101), [0]);
        assert_eq!(found(&[Some(100), Some(200)], 90), [0]);
        assert_eq!(found(&[Some(100), Some(200)], 101), [0; 0]);
        assert_eq!(found(&[Some(100), None], 101), [0; 0]);
        assert_eq!(found(&[Some(100), Some(95)], 90), [0, 1]);
        assert_eq!(found(&[None], 90), [0; 0]);
    }

    #[test]
    fn a_static_token_is_its_own_secret() {
        let grant = Grant::Static(StaticToken {
            token: SecretSource::Value(Secret::new("t")),
            expires_at: Some(days(3650)),
        });
        assert_eq!(grant.secret_expiry(None), Some(days(3650)));
        assert!(grant.ending_secrets(days(3635)).is_empty());
        let ending = EndingSecret {
            kind: SecretKind::Token,
            index: 0,
            of: 1,
            at: days(3650),
        };
        assert_eq!(grant.ending_secrets(days(3640)), [ending]);
    }
}

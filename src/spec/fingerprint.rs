//! What of a definition a token was made of, and what a changed definition means for it.
//!
//! Everything is taken apart without `..`, so that a new field cannot be forgotten here. Invariant:
//! no secret goes into a fingerprint, only where in the request one stands.

mod ink;

use super::Integration;
use super::assertion::{Assertion, Bearer};
use super::grant::{FirstRefreshToken, Grant, Refreshing, StaticToken};
use super::phrase::Part;
use super::request::{ClientAuth, ClientCertificate};
use super::secret::SecretSource;
use ink::Ink;

/// What tells a definition from the one before it; the first that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Another request: its token is another token.
    Request,
    /// The same request with other secrets.
    Secrets,
    /// The same request, but its answer arrives or is read otherwise: a failure may be over.
    Answer,
    /// When it is asked, and what is made of the token.
    Policy,
}

impl Integration {
    /// sha256 of everything that shapes the token request, secrets apart. A token that was issued
    /// for one with the same fingerprint is as good as a new one.
    pub fn shaped_by(&self) -> [u8; 32] {
        let Self {
            id: _,
            provider: _,
            required: _,
            grant,
            net: _,
            refresh: _,
            response: _,
            api: _,
            vendor: _,
        } = self;
        let mut ink = Ink::default();
        ink.word(grant.name());
        match grant {
            Grant::ClientCredentials(request)
            | Grant::Password(request)
            | Grant::TokenExchange(request) => ink.request(request),
            Grant::JwtBearer(request, bearer) => {
                ink.request(request);
                let Bearer {
                    assertion,
                    parameter,
                    grant_type,
                } = &**bearer;
                ink.assertion(assertion);
                ink.word(parameter);
                ink.maybe(grant_type.as_deref());
            }
            Grant::RefreshToken(request, refreshing) => {
                ink.request(request);
                // Whoever consented, and however long that lasts: the request is the same.
                let Refreshing {
                    first: _,
                    refresh_endpoint,
                    rotation: _,
                    lifetime: _,
                    idle_lifetime: _,
                } = &**refreshing;
                ink.maybe(refresh_endpoint.as_ref().map(|one| one.url().as_str()));
            }
            Grant::Steps(steps) => ink.steps(steps),
            Grant::SignedJwt(assertion) => ink.assertion(assertion),
            Grant::Static(StaticToken {
                token: _,
                expires_at,
            }) => {
                let at = expires_at.map(|at| at.unix_millis().to_string());
                ink.maybe(at.as_deref());
            }
        }
        ink.dry()
    }

    /// What became of `before` in `self`.
    pub fn change_from(&self, before: &Self) -> Change {
        if self.shaped_by() != before.shaped_by() {
            return Change::Request;
        }
        if self.secret_sources() != before.secret_sources() {
            return Change::Secrets;
        }
        let same_answer = self.net == before.net
            && self.response == before.response
            && self.vendor.errors == before.vendor.errors;
        if !same_answer {
            return Change::Answer;
        }
        Change::Policy
    }

    /// Of everything that is sent or signed with, in the order of the request.
    pub fn secret_sources(&self) -> Vec<&SecretSource> {
        let mut all: Vec<&SecretSource> = Vec::new();
        all.extend(self.grant.client_secret().iter().map(|one| &one.source));
        if let Some(ClientCertificate { certificate, key }) = self.grant.client_certificate() {
            all.extend([certificate, key]);
        }
        all.extend(self.grant.sent_secrets());
        for (_, assertion) in self.grant.assertions() {
            all.extend(of_assertion(assertion));
        }
        if let Some(ClientAuth::AssertionFile(source)) = self.grant.request().map(|it| &it.auth) {
            all.push(source);
        }
        if let Some(FirstRefreshToken::Configured(first)) =
            self.grant.refreshing().map(|refreshing| &refreshing.first)
        {
            all.push(first);
        }
        if let Grant::Static(token) = &self.grant {
            all.push(&token.token);
        }
        all
    }
}

impl Grant {
    /// The secrets that stand in requests as they are or inside something else, each once.
    pub fn sent_secrets(&self) -> Vec<&SecretSource> {
        let mut all = Secrets::default();
        if let Some(request) = self.request() {
            request.walk(&mut |part| all.see(part));
        }
        if let Some(steps) = self.steps() {
            steps.walk(&mut |part| all.see(part));
        }
        all.0
    }
}

#[derive(Default)]
struct Secrets<'a>(Vec<&'a SecretSource>);

impl<'a> Secrets<'a> {
    fn see(&mut self, part: &'a Part) {
        if let Part::Secret(source) = part
            && !self.0.contains(&source)
        {
            self.0.push(source);
        }
    }
}

fn of_assertion(assertion: &Assertion) -> impl Iterator<Item = &SecretSource> {
    let keys = assertion.key.iter().map(|one| &one.source);
    keys.chain(&assertion.passphrase)
        .chain(&assertion.certificate)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::Secret;
    use crate::spec::{
        Api, ClientAuth, ClientCertificate, Draft, Endpoint, Issuer, Location, Method, Part,
        Phrase, RequestFormat, ResponseShape, SecretCandidate, Seldom, TokenRequest, Vendor,
    };

    fn endpoint(url: &str) -> Location {
        Endpoint::parse(url).unwrap().into()
    }

    fn one(change: impl FnOnce(&mut TokenRequest)) -> Integration {
        let mut request = TokenRequest {
            endpoint: endpoint("https://auth.example.com/token?tenant=1"),
            auth: ClientAuth::Post,
            format: RequestFormat::Form,
            method: Method::Post,
            client_id: Some("abc".into()),
            client_secret: Vec::new(),
            scope: None,
            params: Vec::new(),
            headers: Vec::new(),
            seldom: None,
        };
        change(&mut request);
        Integration {
            id: "x".parse().unwrap(),
            provider: "acme".into(),
            required: true,
            grant: Grant::ClientCredentials(Arc::new(request)),
            net: Arc::default(),
            refresh: Arc::default(),
            response: Arc::default(),
            api: Arc::new(Api {
                base_url: None,
                headers: Vec::new(),
                query: Vec::new(),
                hosts: Vec::new(),
            }),
            vendor: Arc::default(),
        }
    }

    fn secret(text: &str) -> SecretSource {
        SecretSource::Value(Secret::new(text))
    }

    #[test]
    fn whatever_is_sent_shapes_the_token() {
        let before = one(|_| {});
        let text = Draft::from;
        let issuer = Issuer::parse("https://auth.example.com/token?tenant=1");
        assert!(issuer.is_err(), "it has a query");
        let issuer = Issuer::parse("https://auth.example.com").unwrap();
        let seldom =
            |change: &dyn Fn(&mut Seldom)| one(|r| change(r.seldom.get_or_insert_default()));
        let named = |name: &str| vec![("client_id".to_owned(), name.to_owned())];
        let phrase = Phrase::literal;
        let changed = [
            one(|r| r.endpoint = endpoint("https://auth.example.com/token?tenant=2")),
            one(|r| r.endpoint = Location::Of(Arc::new(issuer))),
            one(|r| r.auth = ClientAuth::None),
            one(|r| r.format = RequestFormat::Json),
            one(|r| r.method = Method::Get),
            one(|r| r.client_id = Some("abd".into())),
            one(|r| r.scope = Some("a".into())),
            one(|r| r.params = vec![("a".into(), text("bc"))]),
            one(|r| r.params = vec![("ab".into(), text("c"))]),
            one(|r| r.params = vec![("ab".into(), Draft::List(vec![text("c")]))]),
            one(|r| r.params = vec![("ab".into(), Draft::Bool(true))]),
            one(|r| r.headers = vec![("a".into(), phrase("bc"))]),
            one(|r| r.headers = vec![("a".into(), Phrase::new([Part::ClientSecret]))]),
            seldom(&|s| s.own = vec![("grant_type", phrase("password"))]),
            seldom(&|s| s.dialect.names = named("key")),
            seldom(&|s| s.dialect.names = named("")),
            seldom(&|s| s.dialect.in_query = vec!["client_id".to_owned()]),
            seldom(&|s| s.dialect.scope_is_list = true),
            seldom(&|s| {
                s.certificate = Some(ClientCertificate {
                    certificate: secret("c"),
                    key: secret("k"),
                });
            }),
            one(|r| r.auth = ClientAuth::AssertionFile(Box::new(secret("j")))),
        ];
        let mut seen = vec![before.shaped_by()];
        for other in changed {
            assert_eq!(other.change_from(&before), Change::Request);
            assert!(!seen.contains(&other.shaped_by()), "{other:?}");
            seen.push(other.shaped_by());
        }
    }

    #[test]
    fn secrets_answers_and_policy_are_told_apart() {
        let hidden = |text| Draft::Text(Phrase::new([Part::Secret(secret(text))]));
        let before = one(|r| r.params = vec![("k".into(), hidden("a"))]);
        let other = one(|r| r.params = vec![("k".into(), hidden("b"))]);
        assert_eq!(other.change_from(&before), Change::Secrets);
        let listed = |text| {
            one(|r| {
                r.client_secret = vec![SecretCandidate {
                    source: secret(text),
                    not_before: None,
                    expires_at: None,
                }];
            })
        };
        assert_eq!(listed("a").change_from(&listed("b")), Change::Secrets);
        let mut other = before.clone();
        other.response = Arc::new(ResponseShape {
            token_type: "Other".into(),
            ..ResponseShape::default()
        });
        assert_eq!(other.change_from(&before), Change::Answer);
        let mut other = before.clone();
        Arc::make_mut(&mut other.refresh).at = 0.5;
        other.required = false;
        other.vendor = Arc::new(Vendor {
            docs: Some("https://docs.example.com".into()),
            ..Vendor::default()
        });
        assert_eq!(other.change_from(&before), Change::Policy);
    }
}

//! What of a definition a token was made of, and what a changed definition means for it.
//!
//! Everything is taken apart without `..`, so that a new field cannot be forgotten here. Invariant:
//! no secret goes into a fingerprint, only where in the request one stands.

use sha2::{Digest as _, Sha256};

use super::Integration;
use super::assertion::{Assertion, Bearer, Claim, Jti, Part, Phrase};
use super::grant::{
    BasicEncoding, ClientAuth, FirstRefreshToken, Grant, Method, Refreshing, RequestFormat,
    StaticToken, TokenRequest,
};
use super::secret::SecretSource;
use super::template::RequestValue;

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
        let mut ink = Ink(Sha256::new());
        ink.word(grant.name());
        match grant {
            Grant::ClientCredentials(request) => ink.request(request),
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
            Grant::SignedJwt(assertion) => ink.assertion(assertion),
            Grant::Static(StaticToken {
                token: _,
                expires_at,
            }) => {
                let at = expires_at.map(|at| at.unix_millis().to_string());
                ink.maybe(at.as_deref());
            }
        }
        ink.0.finalize().into()
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

    /// In the order of the request.
    fn secret_sources(&self) -> Vec<&SecretSource> {
        let mut all = Vec::new();
        if let Some(request) = self.grant.request() {
            all.extend(request.client_secret.iter().map(|one| &one.source));
            let values = request.params.iter().chain(&request.headers);
            all.extend(values.filter_map(|(_, value)| match value {
                RequestValue::Secret(source) => Some(source),
                RequestValue::Text(_) => None,
            }));
        }
        if let Some(assertion) = self.grant.assertion() {
            all.extend(assertion.key.iter().map(|one| &one.source));
            all.extend(&assertion.passphrase);
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

/// Writes parts so that no two lists of parts read the same.
struct Ink(Sha256);

impl Ink {
    fn word(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    fn maybe(&mut self, text: Option<&str>) {
        self.count(usize::from(text.is_some()));
        if let Some(text) = text {
            self.word(text);
        }
    }

    fn request(&mut self, request: &TokenRequest) {
        let TokenRequest {
            endpoint,
            auth,
            format,
            method,
            client_id,
            client_secret: _,
            scope,
            params,
            headers,
        } = request;
        self.word(endpoint.url().as_str());
        self.word(match auth {
            ClientAuth::Basic(BasicEncoding::Form) => "basic",
            ClientAuth::Basic(BasicEncoding::Raw) => "basic raw",
            ClientAuth::Post => "post",
            ClientAuth::None => "none",
        });
        self.word(match format {
            RequestFormat::Form => "form",
            RequestFormat::Json => "json",
            RequestFormat::Query => "query",
        });
        self.word(match method {
            Method::Post => "POST",
            Method::Get => "GET",
        });
        self.maybe(client_id.as_deref());
        self.maybe(scope.as_deref());
        self.values(params);
        self.values(headers);
    }

    fn values(&mut self, values: &[(String, RequestValue)]) {
        self.count(values.len());
        for (name, value) in values {
            self.word(name);
            match value {
                RequestValue::Text(text) => self.maybe(Some(text)),
                RequestValue::Secret(_) => self.maybe(None),
            }
        }
    }

    fn assertion(&mut self, assertion: &Assertion) {
        let Assertion {
            key: _,
            passphrase: _,
            algorithm,
            kid,
            issuer,
            subject,
            audience,
            lifetime,
            issued_at,
            backdate,
            jti,
            claims,
            headers,
        } = assertion;
        self.word(algorithm.as_str());
        self.maybe(kid.as_deref());
        for one in [issuer, subject] {
            self.count(usize::from(one.is_some()));
            if let Some(phrase) = one {
                self.phrase(phrase);
            }
        }
        self.count(audience.len());
        for phrase in audience {
            self.phrase(phrase);
        }
        self.word(&lifetime.as_millis().to_string());
        self.word(&backdate.as_millis().to_string());
        self.count(usize::from(*issued_at));
        self.word(match jti {
            Jti::Uuid => "uuid",
            Jti::Integer => "integer",
            Jti::None => "none",
        });
        self.members(claims);
        self.members(headers);
    }

    fn members(&mut self, members: &[(Phrase, Claim)]) {
        self.count(members.len());
        for (name, claim) in members {
            self.phrase(name);
            self.claim(claim);
        }
    }

    fn claim(&mut self, claim: &Claim) {
        match claim {
            Claim::Bool(value) => self.word(if *value { "true" } else { "false" }),
            Claim::Integer(value) => {
                self.word("integer");
                self.word(&value.to_string());
            }
            Claim::Float(value) => {
                self.word("float");
                self.0.update(value.to_bits().to_le_bytes());
            }
            Claim::Text(phrase) => {
                self.word("text");
                self.phrase(phrase);
            }
            Claim::List(items) => {
                self.word("list");
                self.count(items.len());
                for item in items {
                    self.claim(item);
                }
            }
            Claim::Table(inner) => {
                self.word("table");
                self.members(inner);
            }
        }
    }

    fn phrase(&mut self, Phrase(parts): &Phrase) {
        self.count(parts.len());
        for part in parts {
            match part {
                Part::Text(text) => {
                    self.word("text");
                    self.word(text);
                }
                Part::Now(offset) => {
                    self.word("now");
                    self.word(&offset.to_string());
                }
                Part::Uuid => self.word("uuid"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::Secret;
    use crate::spec::{Api, Endpoint, ResponseShape, SecretCandidate, Vendor};

    fn one(change: impl FnOnce(&mut TokenRequest)) -> Integration {
        let mut request = TokenRequest {
            endpoint: Endpoint::parse("https://auth.example.com/token?tenant=1").unwrap(),
            auth: ClientAuth::Post,
            format: RequestFormat::Form,
            method: Method::Post,
            client_id: Some("abc".into()),
            client_secret: Vec::new(),
            scope: None,
            params: Vec::new(),
            headers: Vec::new(),
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
        let text = |text: &str| RequestValue::Text(text.into());
        let changed = [
            one(|r| {
                r.endpoint = Endpoint::parse("https://auth.example.com/token?tenant=2").unwrap();
            }),
            one(|r| r.auth = ClientAuth::None),
            one(|r| r.format = RequestFormat::Json),
            one(|r| r.method = Method::Get),
            one(|r| r.client_id = Some("abd".into())),
            one(|r| r.scope = Some("a".into())),
            one(|r| r.params = vec![("a".into(), text("bc"))]),
            one(|r| r.params = vec![("ab".into(), text("c"))]),
            one(|r| r.headers = vec![("a".into(), text("bc"))]),
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
        let before = one(|r| r.params = vec![("k".into(), RequestValue::Secret(secret("a")))]);
        let other = one(|r| r.params = vec![("k".into(), RequestValue::Secret(secret("b")))]);
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

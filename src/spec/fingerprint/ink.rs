//! Writes parts of a definition so that no two lists of parts read the same.
//!
//! What a definition need not have is written only where it is there: the fingerprint of one that
//! does without stays what it was.

use sha2::{Digest as _, Sha256};

use crate::spec::assertion::{Assertion, Jti};
use crate::spec::issuer::Location;
use crate::spec::phrase::{Draft, Part, Phrase};
use crate::spec::request::{
    BasicEncoding, ClientAuth, Dialect, Method, RequestFormat, Seldom, TokenRequest,
};
use crate::spec::response::Scalar;
use crate::spec::steps::{Body, Call, CallUrl, MadeHost, Step, Steps};

#[derive(Default)]
pub(super) struct Ink(Sha256);

impl Ink {
    pub(super) fn dry(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    pub(super) fn word(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    pub(super) fn maybe(&mut self, text: Option<&str>) {
        self.count(usize::from(text.is_some()));
        if let Some(text) = text {
            self.word(text);
        }
    }

    pub(super) fn request(&mut self, request: &TokenRequest) {
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
            seldom,
        } = request;
        match endpoint {
            Location::Known(endpoint) => self.word(endpoint.url().as_str()),
            Location::Of(issuer) => {
                self.word("issuer");
                self.word(issuer.as_str());
            }
        }
        match auth {
            ClientAuth::Basic(BasicEncoding::Form) => self.word("basic"),
            ClientAuth::Basic(BasicEncoding::Raw) => self.word("basic raw"),
            ClientAuth::Post => self.word("post"),
            ClientAuth::None => self.word("none"),
            ClientAuth::AssertionFile(_) => self.word("assertion file"),
            ClientAuth::Assertion(assertion) => {
                self.word("assertion");
                self.assertion(assertion);
            }
        }
        self.word(match format {
            RequestFormat::Form => "form",
            RequestFormat::Json => "json",
            RequestFormat::Query => "query",
            RequestFormat::Multipart => "multipart",
        });
        self.method(*method);
        self.maybe(client_id.as_deref());
        self.maybe(scope.as_deref());
        self.count(params.len());
        for (name, draft) in params {
            self.word(name);
            self.value(draft);
        }
        self.phrases(headers);
        if let Some(seldom) = seldom {
            self.seldom(seldom);
        }
    }

    fn seldom(&mut self, seldom: &Seldom) {
        let Seldom {
            own,
            dialect,
            certificate,
        } = seldom;
        self.count(own.len());
        for (name, phrase) in own {
            self.word(name);
            self.phrase(phrase);
        }
        self.dialect(dialect);
        self.count(usize::from(certificate.is_some()));
    }

    fn method(&mut self, method: Method) {
        self.word(match method {
            Method::Post => "POST",
            Method::Get => "GET",
        });
    }

    fn dialect(&mut self, dialect: &Dialect) {
        let Dialect {
            names,
            in_query,
            scope_is_list,
            // Of a login, whose token is not bound to it.
            redirect_uri_sent: _,
            refresh_sends_scope,
            refresh_sends_redirect_uri,
        } = dialect;
        self.count(names.len());
        for (standard, name) in names {
            self.word(standard);
            self.word(name);
        }
        self.count(in_query.len());
        for name in in_query {
            self.word(name);
        }
        self.count(usize::from(*scope_is_list));
        if *refresh_sends_scope {
            self.word("refresh sends scope");
        }
        if let Some(uri) = refresh_sends_redirect_uri {
            self.word("refresh sends redirect_uri");
            self.word(uri);
        }
    }

    pub(super) fn steps(&mut self, steps: &Steps) {
        let Steps {
            kind: _,
            client_id,
            client_secret: _,
            steps,
            certificate,
        } = steps;
        self.maybe(client_id.as_deref());
        self.count(usize::from(certificate.is_some()));
        self.count(steps.len());
        for step in steps {
            match step {
                Step::Assertion {
                    assertion,
                    key_at: _,
                } => {
                    self.word("assertion");
                    self.assertion(assertion);
                }
                Step::Request(call) => self.call(call),
            }
        }
    }

    fn call(&mut self, call: &Call) {
        let Call {
            method,
            url,
            headers,
            query,
            body,
            success,
        } = call;
        self.method(*method);
        match url {
            CallUrl::Known(endpoint) => self.word(endpoint.url().as_str()),
            CallUrl::Made { url, host } => {
                self.phrase(url);
                // Where an answer may lead does not change what is asked there.
                let (MadeHost::Fixed(_) | MadeHost::AnyOf(_)) = host;
            }
        }
        self.phrases(headers);
        self.phrases(query);
        match body {
            Body::None => self.word("no body"),
            Body::Form(pairs) => {
                self.word("form");
                self.phrases(pairs);
            }
            Body::Json(members) => {
                self.word("json");
                self.members(members);
            }
        }
        self.count(success.len());
        for (path, wanted) in success {
            self.word(&path.to_string());
            match wanted {
                Scalar::Bool(value) => self.count(usize::from(*value)),
                Scalar::Integer(value) => self.word(&value.to_string()),
                Scalar::Text(text) => self.word(text),
            }
        }
    }

    fn phrases(&mut self, values: &[(String, Phrase)]) {
        self.count(values.len());
        for (name, phrase) in values {
            self.word(name);
            self.text_or_more(phrase);
        }
    }

    /// A text as it is, a whole secret as a gap, and anything else in its parts.
    fn text_or_more(&mut self, phrase: &Phrase) {
        match (phrase.known(), phrase.parts()) {
            (Some(text), _) => self.maybe(Some(text)),
            (None, [Part::Secret(_)]) => self.maybe(None),
            (None, _) => {
                self.count(2);
                self.phrase(phrase);
            }
        }
    }

    fn value(&mut self, draft: &Draft) {
        match draft {
            Draft::Text(phrase) => self.text_or_more(phrase),
            other => {
                self.count(3);
                self.draft(other);
            }
        }
    }

    pub(super) fn assertion(&mut self, assertion: &Assertion) {
        let Assertion {
            key: _,
            passphrase: _,
            certificate: _,
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

    fn members(&mut self, members: &[(Phrase, Draft)]) {
        self.count(members.len());
        for (name, value) in members {
            self.phrase(name);
            self.draft(value);
        }
    }

    fn draft(&mut self, draft: &Draft) {
        match draft {
            Draft::Bool(value) => self.word(if *value { "true" } else { "false" }),
            Draft::Integer(value) => {
                self.word("integer");
                self.word(&value.to_string());
            }
            Draft::Float(value) => {
                self.word("float");
                self.0.update(value.to_bits().to_le_bytes());
            }
            Draft::Text(phrase) => {
                self.word("text");
                self.phrase(phrase);
            }
            Draft::List(items) => {
                self.word("list");
                self.count(items.len());
                for item in items {
                    self.draft(item);
                }
            }
            Draft::Table(inner) => {
                self.word("table");
                self.members(inner);
            }
        }
    }

    fn phrase(&mut self, phrase: &Phrase) {
        self.count(phrase.parts().len());
        for part in phrase.parts() {
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
                Part::KeyFingerprint => self.word("key fingerprint"),
                Part::CertificateFingerprint => self.word("certificate fingerprint"),
                Part::ClientSecret => self.word("client secret"),
                Part::Secret(_) => self.word("secret"),
                Part::Answer { step, path } => {
                    self.word("answer");
                    self.count(*step);
                    self.word(&path.to_string());
                }
                Part::Apply(function, inner) => {
                    self.word(function.as_str());
                    self.phrase(inner);
                }
            }
        }
    }
}

//! The request to a token endpoint, from the specification and the secrets of one attempt. Pure.
//!
//! Invariant: nothing is sent that the specification does not name, and nothing that is empty.

use http::Method as Verb;
use http::header::AUTHORIZATION;

use super::body::{self, Field, sensitive};
use super::phrase::{Moment, Unmade};
use super::{Present, auth};
use crate::base::{Secret, Timestamp, Zeroizing};
use crate::net;
use crate::spec::{
    Bearer, ClientAuth, Endpoint, Method, RequestFormat, SecretSource, TokenRequest,
};

/// RFC 8628 section 3.4.
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// RFC 7523 section 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The secrets of one attempt, read just before it.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) present: Present,
    /// What the client names itself by: its secret, or the key of its assertion, which is never sent.
    pub(super) credential: Option<Secret>,
    pub(super) client_assertion: Option<Secret>,
    pub(super) assertion: Option<Secret>,
    /// What the grant's assertion was made with: never sent, and never to be shown.
    pub(super) key: Option<Secret>,
    /// Of keys, and certificates' keys.
    pub(super) aside: Vec<Secret>,
    /// What stands in parameters, headers and requests.
    pub(super) secrets: Vec<(SecretSource, Secret)>,
}

impl Filled {
    /// The secret that both sides know, for methods that send it.
    fn client_secret(&self, request: &TokenRequest) -> Option<&Secret> {
        let signs = request.client_assertion().is_some();
        self.credential.as_ref().filter(|_| !signs)
    }

    /// All that must not be shown, however it was sent.
    pub(super) fn held(&self) -> impl Iterator<Item = Secret> + '_ {
        self.credential
            .iter()
            .chain(&self.client_assertion)
            .chain(&self.assertion)
            .chain(&self.key)
            .chain(&self.aside)
            .chain(self.secrets.iter().map(|(_, secret)| secret))
            .cloned()
            .chain(self.present.secrets())
    }
}

/// Why a request cannot be made; goes on from "a secret cannot be used:".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsendable {
    /// The name is in it.
    #[error("the value for the header {0} has characters that a header cannot hold")]
    Header(String),
    #[error("the request {0}")]
    Unmade(#[from] Unmade),
    /// Of a URL that an answer leads to.
    #[error("its URL {0}")]
    Url(String),
    #[error("more texts are taken of answers than can be kept from being shown")]
    TooManyTexts,
}

/// A request, and what must not be shown of it besides the secrets that it was made of.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) request: net::Request,
    pub(super) derived: Vec<Secret>,
}

/// The request of an exchange, for `endpoint`.
pub(super) fn build(
    request: &TokenRequest,
    endpoint: &Endpoint,
    bearer: Option<&Bearer>,
    filled: &Filled,
    now: Timestamp,
) -> Result<Built, Unsendable> {
    let grant = of_grant(request, bearer, filled);
    // What was consented to is in the consent: RFC 6749 section 6 lets `scope` be left out.
    let repeats = request.dialect().is_some_and(|it| it.refresh_sends_scope);
    let scope = match filled.present {
        Present::RefreshToken(_) if repeats => request.scope.as_deref(),
        Present::Nothing => request.scope.as_deref(),
        Present::RefreshToken(_) | Present::Code { .. } | Present::DeviceCode(_) => None,
    };
    assemble(request, endpoint, grant, scope, filled, now)
}

/// RFC 8628 section 3.1, for `endpoint`: the client, what it asks for, and what the configuration
/// adds to every request.
pub(super) fn build_device_authorization(
    request: &TokenRequest,
    endpoint: &Endpoint,
    filled: &Filled,
    now: Timestamp,
) -> Result<Built, Unsendable> {
    let scope = request.scope.as_deref();
    assemble(request, endpoint, Vec::new(), scope, filled, now)
}

/// What the grant sends.
fn of_grant<'a>(
    request: &'a TokenRequest,
    bearer: Option<&'a Bearer>,
    filled: &'a Filled,
) -> Vec<(&'a str, &'a str)> {
    match (&filled.present, bearer) {
        (Present::Nothing, Some(bearer)) => {
            let assertion = filled.assertion.as_ref().map_or("", Secret::expose);
            let grant_type = bearer.grant_type.as_deref().unwrap_or_default();
            vec![("grant_type", grant_type), (&bearer.parameter, assertion)]
        }
        (Present::Nothing, None) if request.own().is_empty() => {
            vec![("grant_type", "client_credentials")]
        }
        // The grant's own parameters are all there is.
        (Present::Nothing, None) => Vec::new(),
        (Present::RefreshToken(token), _) => {
            let dialect = request.dialect();
            let again = dialect.and_then(|it| it.refresh_sends_redirect_uri.as_deref());
            let again = again.map(|uri| ("redirect_uri", uri));
            let usual = [
                ("grant_type", "refresh_token"),
                ("refresh_token", token.expose()),
            ];
            usual.into_iter().chain(again).collect()
        }
        (
            Present::Code {
                code,
                verifier,
                redirect_uri,
            },
            _,
        ) => vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose()),
        ],
        (Present::DeviceCode(code), _) => {
            vec![("grant_type", DEVICE_CODE), ("device_code", code.expose())]
        }
    }
}

/// What the client names itself by.
fn of_client<'a>(request: &'a TokenRequest, filled: &'a Filled) -> Vec<(&'a str, &'a str)> {
    let id = request.client_id.as_deref().unwrap_or_default();
    let secret = filled.client_secret(request).map_or("", Secret::expose);
    let assertion = filled.client_assertion.as_ref().map_or("", Secret::expose);
    match request.auth {
        ClientAuth::Basic(_) => Vec::new(),
        ClientAuth::Post => vec![("client_id", id), ("client_secret", secret)],
        ClientAuth::None => vec![("client_id", id)],
        ClientAuth::Assertion(_) | ClientAuth::AssertionFile(_) => vec![
            ("client_id", id),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion),
        ],
    }
}

/// What the grant and the client authentication send, by the vendor's names, then the configured
/// parameters, which win over one of the same name; `""` removes it.
fn parameters(
    request: &TokenRequest,
    grant: Vec<(&str, &str)>,
    scope: Option<&str>,
    filled: &Filled,
    moment: &Moment<'_>,
) -> Result<Vec<(String, Field)>, Unmade> {
    let text = |(name, value): (&str, &str)| (name.to_owned(), Field::text(value));
    let mut ours: Vec<(String, Field)> = grant.into_iter().map(text).collect();
    for (name, phrase) in request.own() {
        ours.push(((*name).to_owned(), Field::Text(moment.text(phrase)?)));
    }
    ours.extend(of_client(request, filled).into_iter().map(text));
    if let Some(scope) = scope {
        let is_list = request.dialect().is_some_and(|it| it.scope_is_list);
        let scope = if is_list {
            Field::Json(scope.split_whitespace().collect())
        } else {
            Field::text(scope)
        };
        ours.push(("scope".to_owned(), scope));
    }
    let mut all: Vec<(String, Field)> = Vec::new();
    for (name, field) in ours {
        let name = request.name(&name);
        let configured = request.params.iter().any(|(known, _)| known == name);
        if !name.is_empty() && !configured {
            all.push((name.to_owned(), field));
        }
    }
    for (name, draft) in &request.params {
        all.push((name.clone(), Field::of(moment.json(draft)?)));
    }
    all.retain(|(_, field)| !field.is_empty());
    Ok(all)
}

fn assemble(
    request: &TokenRequest,
    endpoint: &Endpoint,
    grant: Vec<(&str, &str)>,
    scope: Option<&str>,
    filled: &Filled,
    now: Timestamp,
) -> Result<Built, Unsendable> {
    let secret = filled.client_secret(request);
    let moment = Moment::new(now).with_secrets(secret, &filled.secrets);
    let all = parameters(request, grant, scope, filled, &moment)?;
    let in_query = request.dialect().map_or(&[][..], |it| &it.in_query);
    let whole_query = request.format == RequestFormat::Query;
    let (query, body): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|(name, _)| whole_query || in_query.contains(name));
    let mut url = endpoint.url().clone();
    body::put_in_query(&mut url, &query);
    let mut headers = body::usual_headers();
    let body = match request.format {
        RequestFormat::Form => body::form(&mut headers, &body),
        RequestFormat::Json => body::json(&mut headers, body),
        RequestFormat::Multipart => body::multipart(&mut headers, &body)?,
        RequestFormat::Query => body::none(&mut headers, request.method == Method::Post),
    };
    let mut derived = Vec::new();
    if let Some(credentials) = basic_credentials(request, secret) {
        let value = Zeroizing::new(format!("Basic {}", credentials.expose()));
        headers.insert(AUTHORIZATION, sensitive("authorization", &value)?);
        derived.push(credentials);
    }
    for (name, phrase) in &request.headers {
        body::put_header(&mut headers, name, &moment.text(phrase)?)?;
    }
    derived.extend(moment.derived());
    Ok(Built {
        request: net::Request {
            method: verb(request.method),
            url,
            headers,
            body,
        },
        derived,
    })
}

/// The `Basic` credentials of an attempt, if it uses them: a secret form of its own.
fn basic_credentials(request: &TokenRequest, secret: Option<&Secret>) -> Option<Secret> {
    let ClientAuth::Basic(encoding) = request.auth else {
        return None;
    };
    let secret = secret.map_or("", Secret::expose);
    let id = request.client_id.as_deref().unwrap_or_default();
    Some(auth::basic(id, secret, encoding))
}

pub(super) fn verb(method: Method) -> Verb {
    match method {
        Method::Post => Verb::POST,
        Method::Get => Verb::GET,
    }
}

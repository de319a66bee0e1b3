//! The request to a token endpoint, from the specification and the secrets of one attempt. Pure.
//!
//! Invariant: nothing is sent that the specification does not name, and nothing that is empty.

use crate::base::Zeroizing;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method as Verb};
use serde_json::{Map, Value};

use super::{Present, auth};
use crate::base::Secret;
use crate::net;
use crate::spec::{Bearer, ClientAuth, Endpoint, Method, RequestFormat, TokenRequest};

/// RFC 8628 section 3.4.
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The secrets of one attempt, read just before it.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) present: Present,
    pub(super) client_secret: Option<Secret>,
    pub(super) assertion: Option<Secret>,
    /// What the assertion was made with: never sent, and never to be shown.
    pub(super) key: Option<Secret>,
    pub(super) passphrase: Option<Secret>,
    /// Values in the order of `TokenRequest::params` and `headers`.
    pub(super) params: Vec<Secret>,
    pub(super) headers: Vec<Secret>,
}

/// A header's value has characters that no header can hold; the name is in it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value for the header {0} has characters that a header cannot hold")]
pub(super) struct BadHeader(pub(super) String);

/// The `Basic` credentials of an attempt, if it uses them: a secret form of its own.
pub(super) fn basic_credentials(request: &TokenRequest, filled: &Filled) -> Option<Secret> {
    let ClientAuth::Basic(encoding) = request.auth else {
        return None;
    };
    let secret = filled.client_secret.as_ref().map_or("", Secret::expose);
    let id = request.client_id.as_deref().unwrap_or_default();
    Some(auth::basic(id, secret, encoding))
}

/// The request of an exchange, for `endpoint`.
pub(super) fn build(
    request: &TokenRequest,
    endpoint: &Endpoint,
    bearer: Option<&Bearer>,
    filled: &Filled,
) -> Result<net::Request, BadHeader> {
    let params = params(request, bearer, filled);
    assemble(request, endpoint, &params, filled)
}

/// RFC 8628 section 3.1, for `endpoint`: the client, what it asks for, and what the configuration
/// adds to every request.
pub(super) fn build_device_authorization(
    request: &TokenRequest,
    endpoint: &Endpoint,
    filled: &Filled,
) -> Result<net::Request, BadHeader> {
    let scope = request.scope.as_deref().unwrap_or_default();
    let params = with_client(request, filled, Vec::new(), scope);
    assemble(request, endpoint, &params, filled)
}

fn assemble(
    request: &TokenRequest,
    endpoint: &Endpoint,
    params: &[(&str, &str)],
    filled: &Filled,
) -> Result<net::Request, BadHeader> {
    let mut url = endpoint.url().clone();
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let body = match request.format {
        RequestFormat::Form => {
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, kind);
            form_body(params)
        }
        RequestFormat::Json => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            json_body(params)
        }
        RequestFormat::Query => {
            if !params.is_empty() {
                let mut pairs = url.query_pairs_mut();
                for (name, value) in params {
                    pairs.append_pair(name, value);
                }
            }
            if request.method == Method::Post {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            Zeroizing::default()
        }
    };
    if let Some(credentials) = basic_credentials(request, filled) {
        let value = Zeroizing::new(format!("Basic {}", credentials.expose()));
        headers.insert(AUTHORIZATION, sensitive("authorization", &value)?);
    }
    for ((name, _), value) in request.headers.iter().zip(&filled.headers) {
        #[expect(clippy::map_err_ignore, reason = "the name is all there is to say")]
        let key = HeaderName::try_from(name.as_str()).map_err(|_| BadHeader(name.clone()))?;
        if value.is_empty() {
            headers.remove(key);
        } else {
            headers.insert(key, sensitive(name, value.expose())?);
        }
    }
    Ok(net::Request {
        method: match request.method {
            Method::Post => Verb::POST,
            Method::Get => Verb::GET,
        },
        url,
        headers,
        body,
    })
}

fn params<'a>(
    request: &'a TokenRequest,
    bearer: Option<&'a Bearer>,
    filled: &'a Filled,
) -> Vec<(&'a str, &'a str)> {
    let scope = request.scope.as_deref().unwrap_or_default();
    let grant: Vec<(&str, &str)> = match (&filled.present, bearer) {
        (Present::Nothing, Some(bearer)) => {
            let assertion = filled.assertion.as_ref().map_or("", Secret::expose);
            let grant_type = bearer.grant_type.as_deref().unwrap_or_default();
            vec![("grant_type", grant_type), (&bearer.parameter, assertion)]
        }
        (Present::Nothing, None) => vec![("grant_type", "client_credentials")],
        (Present::RefreshToken(token), _) => vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", token.expose()),
        ],
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
    };
    // What was consented to is in the consent: RFC 6749 section 6 lets `scope` be left out.
    let scope = match filled.present {
        Present::Nothing => scope,
        Present::RefreshToken(_) | Present::Code { .. } | Present::DeviceCode(_) => "",
    };
    with_client(request, filled, grant, scope)
}

/// What the grant and the client authentication send, then the configured parameters, which win
/// over one of the same name; `""` removes it.
fn with_client<'a>(
    request: &'a TokenRequest,
    filled: &'a Filled,
    grant: Vec<(&'a str, &'a str)>,
    scope: &'a str,
) -> Vec<(&'a str, &'a str)> {
    let id = request.client_id.as_deref().unwrap_or_default();
    let secret = filled.client_secret.as_ref().map_or("", Secret::expose);
    let (id, secret) = match request.auth {
        ClientAuth::Basic(_) => ("", ""),
        ClientAuth::Post => (id, secret),
        ClientAuth::None => (id, ""),
    };
    let client = [
        ("client_id", id),
        ("client_secret", secret),
        ("scope", scope),
    ];
    let ours = grant.into_iter().chain(client);
    let configured = request
        .params
        .iter()
        .zip(&filled.params)
        .map(|((name, _), value)| (name.as_str(), value.expose()));
    ours.filter(|(name, _)| !request.params.iter().any(|(known, _)| known == name))
        .chain(configured)
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

fn form_body(params: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let mut body = Zeroizing::new(Vec::new());
    for (name, value) in params {
        if !body.is_empty() {
            body.push(b'&');
        }
        body.extend_from_slice(auth::form(name).as_bytes());
        body.push(b'=');
        body.extend_from_slice(Zeroizing::new(auth::form(value)).as_bytes());
    }
    body
}

fn json_body(params: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let members: Map<String, Value> = params
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect();
    Zeroizing::new(Value::Object(members).to_string().into_bytes())
}

fn sensitive(name: &str, value: &str) -> Result<HeaderValue, BadHeader> {
    #[expect(clippy::map_err_ignore, reason = "the name is all there is to say")]
    let mut value =
        HeaderValue::from_bytes(value.as_bytes()).map_err(|_| BadHeader(name.to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

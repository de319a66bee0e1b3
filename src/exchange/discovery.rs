//! What an issuer says of itself: OpenID Connect Discovery 1.0 and RFC 8414.
//!
//! Invariants: what another issuer says is never used; a secret goes to no place that is not https, and
//! to none on this machine or its link unless the issuer is here too; what was found stays in use while
//! the issuer has trouble.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use tokio::sync::Mutex as AsyncMutex;

use super::Outcome;
use super::fixed::failure;
use super::way::Way;
use crate::base::{Clock, ErrorCode, Failure, Mono, Redactor, VendorAnswer, Zeroizing};
use crate::net;
use crate::spec::{Endpoint, Issuer};

/// Metadata changes seldom, and a new token endpoint is announced long before.
const FRESH: Duration = Duration::from_hours(1);
/// Whoever waits for an issuer that does not answer is told so soon enough to try again.
const LIMIT: Duration = Duration::from_secs(10);
/// Whoever can go on with what is known waits no longer than this for something newer.
const PATIENCE: Duration = Duration::from_secs(5);
/// And not more often than this.
const AGAIN: Duration = Duration::from_secs(30);
/// Those who waited for one answer, and come a little later, are told the same.
const SAME: Duration = Duration::from_secs(5);

/// Endpoints of an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Metadata {
    token: Option<Endpoint>,
    authorization: Option<Endpoint>,
    device_authorization: Option<Endpoint>,
    /// RFC 8705 section 5: for clients that present a certificate.
    token_with_certificate: Option<Endpoint>,
    device_authorization_with_certificate: Option<Endpoint>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Token,
    Authorization,
    DeviceAuthorization,
}

impl Which {
    fn member(self) -> &'static str {
        match self {
            Self::Token => "token_endpoint",
            Self::Authorization => "authorization_endpoint",
            Self::DeviceAuthorization => "device_authorization_endpoint",
        }
    }
}

/// Why a document is not what was looked for; goes on from the issuer's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Unfit {
    #[error("has no metadata that is JSON with an 'issuer'")]
    NotMetadata,
    #[error("calls itself '{0}' in its metadata, which is not the same letter by letter")]
    OtherIssuer(String),
}

impl Metadata {
    /// Endpoints that no secret may go to are left out.
    fn read(document: &Value, issuer: &Issuer) -> Result<Self, Unfit> {
        let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
        let named = text(document, "issuer").ok_or(Unfit::NotMetadata)?;
        if named != issuer.as_str() {
            return Err(Unfit::OtherIssuer(Redactor::default().clean(&named)));
        }
        let here = issuer.endpoint().is_loopback();
        let endpoint = |value: Option<&Value>, which: Which| {
            let found = Endpoint::parse(&text(value?, which.member())?).ok()?;
            let fits = here || (found.url().scheme() == "https" && !found.is_inward());
            fits.then_some(found)
        };
        let aliases = document.get("mtls_endpoint_aliases");
        Ok(Self {
            token: endpoint(Some(document), Which::Token),
            authorization: endpoint(Some(document), Which::Authorization),
            device_authorization: endpoint(Some(document), Which::DeviceAuthorization),
            token_with_certificate: endpoint(aliases, Which::Token),
            device_authorization_with_certificate: endpoint(aliases, Which::DeviceAuthorization),
        })
    }

    /// `certificate`: the client presents one.
    pub(super) fn endpoint(&self, which: Which, certificate: bool) -> Option<&Endpoint> {
        let (usual, alias) = match which {
            Which::Token => (&self.token, &self.token_with_certificate),
            Which::Authorization => (&self.authorization, &None),
            Which::DeviceAuthorization => (
                &self.device_authorization,
                &self.device_authorization_with_certificate,
            ),
        };
        alias.as_ref().filter(|_| certificate).or(usual.as_ref())
    }
}

/// One issuer: what is known of it, and how to learn more.
pub(super) struct Discovery {
    issuer: Arc<Issuer>,
    way: Way,
    clock: Arc<dyn Clock>,
    memory: Mutex<Memory>,
    /// Held while it is asked: who knows nothing yet waits for that answer.
    asking: AsyncMutex<()>,
}

#[derive(Default)]
struct Memory {
    known: Option<(Arc<Metadata>, Mono)>,
    /// How it failed, if it did, when it was last asked.
    last: Option<(Option<Box<Outcome>>, Mono)>,
    /// Something was wrong at a place that it named.
    is_suspect: bool,
}

/// What there is before anybody is asked.
enum Recalled {
    Metadata(Arc<Metadata>),
    /// It has just failed, and so would another try.
    Failed(Box<Outcome>),
    /// It is time to ask; what is known is good enough if that fails.
    Ask(Option<Arc<Metadata>>),
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Discovery({})", self.issuer)
    }
}

impl Discovery {
    pub(super) fn new(issuer: Arc<Issuer>, way: Way, clock: Arc<dyn Clock>) -> Self {
        Self {
            issuer,
            way,
            clock,
            memory: Mutex::default(),
            asking: AsyncMutex::default(),
        }
    }

    pub(super) fn is_of(&self, issuer: &Issuer, client: &net::Client) -> bool {
        *self.issuer == *issuer && self.way.client.is_same(client)
    }

    /// What is known may be wrong: the next one who wants to know asks.
    pub(super) fn suspect(&self) {
        self.memory().is_suspect = true;
    }

    /// An endpoint by its name; the failure is that of whoever wanted it.
    pub(super) async fn find(
        &self,
        which: Which,
        certificate: bool,
    ) -> Result<Endpoint, Box<Outcome>> {
        let metadata = self.metadata().await?;
        let found = metadata.endpoint(which, certificate).cloned();
        found.ok_or_else(|| {
            let member = which.member();
            let description = format!("the metadata of {} names no usable {member}", self.issuer);
            let hint = format!(
                "set {member} as the vendor's documentation has it, and see whether the issuer is \
                 the right one"
            );
            let failure = self.failed(ErrorCode::RequestRejected, description, hint);
            Box::new(Outcome::BadRequest(failure))
        })
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, Box<Outcome>> {
        let (known, _asking) = match self.recall() {
            Recalled::Metadata(metadata) => return Ok(metadata),
            Recalled::Failed(outcome) => return Err(outcome),
            Recalled::Ask(Some(known)) => match self.asking.try_lock() {
                Ok(asking) => (Some(known), asking),
                Err(_busy) => return Ok(known),
            },
            Recalled::Ask(None) => {
                let asking = self.asking.lock().await;
                // Whoever was waited for has told.
                match self.recall() {
                    Recalled::Metadata(metadata) => return Ok(metadata),
                    Recalled::Failed(outcome) => return Err(outcome),
                    Recalled::Ask(known) => (known, asking),
                }
            }
        };
        // What is suspect is good for nothing until something newer comes.
        let asked = if known.is_some() && !self.memory().is_suspect {
            let asked = tokio::time::timeout(PATIENCE, self.ask()).await;
            asked.unwrap_or_else(|_elapsed| Err(self.silent(PATIENCE)))
        } else {
            self.ask().await
        };
        let now = self.clock.now().mono;
        let mut memory = self.memory();
        memory.last = Some((asked.as_ref().err().cloned(), now));
        match (asked, known) {
            (Ok(metadata), _) => {
                let metadata = Arc::new(metadata);
                memory.known = Some((Arc::clone(&metadata), now));
                memory.is_suspect = false;
                Ok(metadata)
            }
            (Err(outcome), Some(known)) => {
                let why = outcome.failure().map(|failure| failure.description.clone());
                tracing::debug!(
                    issuer = %self.issuer, "what is known of {} stays in use: {}",
                    self.issuer, why.unwrap_or_default()
                );
                Ok(known)
            }
            (Err(outcome), None) => Err(outcome),
        }
    }

    fn recall(&self) -> Recalled {
        let memory = self.memory();
        let now = self.clock.now().mono;
        let asked = memory.last.as_ref().map(|(_, at)| now.since(*at));
        match (&memory.known, &memory.last) {
            (Some((metadata, at)), _) => {
                let is_fresh = now.since(*at) < FRESH && !memory.is_suspect;
                if is_fresh || asked.is_some_and(|ago| ago < AGAIN) {
                    Recalled::Metadata(Arc::clone(metadata))
                } else {
                    Recalled::Ask(Some(Arc::clone(metadata)))
                }
            }
            (None, Some((Some(outcome), at))) if now.since(*at) < SAME => {
                Recalled::Failed(outcome.clone())
            }
            (None, _) => Recalled::Ask(None),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waiting for a turn does not count.
    async fn ask(&self) -> Result<Metadata, Box<Outcome>> {
        let _permit = self.way.gate.acquire().await.ok();
        let asked = tokio::time::timeout(LIMIT, self.ask_each_place()).await;
        asked.unwrap_or_else(|_elapsed| Err(self.silent(LIMIT)))
    }

    fn silent(&self, limit: Duration) -> Box<Outcome> {
        self.unreachable(&format!("no answer within {} s", limit.as_secs()))
    }

    /// One place after the other; what is not found at the first may be at the second.
    async fn ask_each_place(&self) -> Result<Metadata, Box<Outcome>> {
        let mut refusal = None;
        for url in self.issuer.metadata() {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
            let request = net::Request {
                method: Method::GET,
                url,
                headers,
                body: Zeroizing::default(),
            };
            tracing::debug!(issuer = %self.issuer, "asking for the metadata of {}", self.issuer);
            let sent = Box::pin(self.way.client.send(request)).await;
            let response = match sent {
                Ok(response) => response,
                Err(error) => return Err(self.unreachable(&error.reason)),
            };
            match response.status {
                200..300 => {
                    let document = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
                    match Metadata::read(&document, &self.issuer) {
                        Ok(metadata) => return Ok(metadata),
                        // The answer to any path may be a page: only the second place decides.
                        Err(unfit) => refusal = Some(self.unfit(&unfit, response.status)),
                    }
                }
                408 | 425 | 429 | 500.. => {
                    let mut failure = self.answered(response.status);
                    let wait = net::retry_after(&response.headers, self.clock.now().wall);
                    failure.retry_after = wait;
                    return Err(Box::new(Outcome::Transient {
                        retry_after: wait,
                        failure,
                    }));
                }
                status => {
                    refusal.get_or_insert_with(|| self.not_there(status));
                }
            }
        }
        Err(refusal.unwrap_or_else(|| self.not_there(404)))
    }

    fn failed(&self, code: ErrorCode, description: String, hint: String) -> Failure {
        Failure {
            hint: Some(hint),
            ..failure(code, description, self.clock.now())
        }
    }

    fn unreachable(&self, reason: &str) -> Box<Outcome> {
        let description = format!("the metadata of {} could not be had: {reason}", self.issuer);
        let hint = "check the host in issuer, firewall and proxy ([net] proxy, HTTPS_PROXY); or set \
                    the endpoints, which then need not be looked up";
        let code = ErrorCode::TemporarilyUnavailable;
        Box::new(Outcome::Transient {
            retry_after: None,
            failure: self.failed(code, description, hint.to_owned()),
        })
    }

    fn answered(&self, status: u16) -> Failure {
        let description = format!(
            "{} answered {status} when asked for its metadata",
            self.issuer
        );
        let hint = "nothing to do while it passes: the broker tries again".to_owned();
        let code = match status {
            429 => ErrorCode::RateLimited,
            _ => ErrorCode::TemporarilyUnavailable,
        };
        Failure {
            vendor: Some(said(status)),
            ..self.failed(code, description, hint)
        }
    }

    fn not_there(&self, status: u16) -> Box<Outcome> {
        let description = format!("{} has no metadata: it answered {status}", self.issuer);
        let hint =
            "compare issuer with the vendor's documentation (tenant, realm, region); or set \
                    token_endpoint, and what else is needed, as it has them"
                .to_owned();
        self.refused(status, description, hint)
    }

    fn refused(&self, status: u16, description: String, hint: String) -> Box<Outcome> {
        Box::new(Outcome::BadRequest(Failure {
            vendor: Some(said(status)),
            ..self.failed(ErrorCode::RequestRejected, description, hint)
        }))
    }

    fn unfit(&self, unfit: &Unfit, status: u16) -> Box<Outcome> {
        let hint = match unfit {
            Unfit::NotMetadata => {
                "compare issuer with the vendor's documentation; or set token_endpoint".to_owned()
            }
            Unfit::OtherIssuer(named) => format!(
                "write issuer = \"{named}\" if that is whom you mean, a slash at the end included"
            ),
        };
        self.refused(status, format!("{} {unfit}", self.issuer), hint)
    }
}

fn said(status: u16) -> VendorAnswer {
    VendorAnswer {
        status: Some(status),
        error: None,
        error_description: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn issuer(text: &str) -> Issuer {
        Issuer::parse(text).unwrap()
    }

    #[test]
    fn only_what_the_issuer_itself_says() {
        let as_ = issuer("https://as.example");
        for other in [
            json!({"issuer": "https://as.example/", "token_endpoint": "https://as.example/t"}),
            json!({"issuer": "https://AS.example", "token_endpoint": "https://as.example/t"}),
            json!({"issuer": "https://evil.example", "token_endpoint": "https://as.example/t"}),
        ] {
            let found = Metadata::read(&other, &as_);
            assert!(matches!(found, Err(Unfit::OtherIssuer(_))), "{other}");
        }
        for none in [json!({}), json!([]), json!("x"), json!({"issuer": 5})] {
            assert_eq!(Metadata::read(&none, &as_), Err(Unfit::NotMetadata));
        }
    }

    #[test]
    fn only_places_fit_for_secrets() {
        let read = |name: &str, token: &str| {
            let document = json!({"issuer": name, "token_endpoint": token});
            Metadata::read(&document, &issuer(name)).unwrap().token
        };
        assert!(read("https://as.example", "https://other.example/t").is_some());
        assert!(read("http://127.0.0.1:9", "http://127.0.0.1:9/t").is_some());
        for bad in [
            "http://as.example/t",
            "http://127.0.0.1:9/t",
            "https://127.0.0.1:9/t",
            "https://localhost/t",
            "https://[::1]/t",
            "https://169.254.169.254/latest",
            "https://[::ffff:169.254.169.254]/latest",
            "https://[fe80::1]/t",
            "https://0.0.0.0/t",
            "https://[::]/t",
            "https://u:p@as.example/t",
            "/t",
            "",
        ] {
            assert_eq!(read("https://as.example", bad), None, "{bad}");
        }
    }

    #[test]
    fn a_client_with_a_certificate_has_places_of_its_own() {
        let document = json!({
            "issuer": "https://as.example", "token_endpoint": "https://as.example/t",
            "device_authorization_endpoint": "https://as.example/d",
            "mtls_endpoint_aliases": {"token_endpoint": "https://mtls.as.example/t"},
        });
        let metadata = Metadata::read(&document, &issuer("https://as.example")).unwrap();
        let found = |which, certificate| {
            let found = metadata.endpoint(which, certificate);
            found.map(|endpoint| endpoint.url().to_string())
        };
        assert_eq!(
            found(Which::Token, true).unwrap(),
            "https://mtls.as.example/t"
        );
        assert_eq!(found(Which::Token, false).unwrap(), "https://as.example/t");
        let device = found(Which::DeviceAuthorization, true);
        assert_eq!(device.unwrap(), "https://as.example/d");
        assert_eq!(found(Which::Authorization, false), None);
    }
}

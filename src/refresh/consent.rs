//! A login on its way through a worker: from a person's wish to what the machine is told, and back
//! to the person.
//!
//! Must not decide what a login changes: the machine does. Invariants: each wish is answered once,
//! that of a code not before its tokens are saved and published; a code is presented once, and only
//! if it came with the state of the login that was begun last.

use std::time::Duration;

use tokio::sync::oneshot;
use tracing::info;

use super::machine::{Device, LONGEST_RETRY_AFTER, LoginStep};
use super::quota::Quota;
use crate::base::{ErrorCode, Failure, Mono, Now, Secret, VendorAnswer};
use crate::exchange::{Outcome, Present, TokenSource};
use crate::login::{Browser, Granted, LIFETIME, Redirect, Refusal};
use crate::snapshot::{Begun, Login, LoginError, LoginState, Snapshot};
use crate::spec::{Endpoint, FirstRefreshToken, Integration, Location, TokenRequest};

/// Each device login asks the vendor for a code: callers must not make that a flood.
const BETWEEN_DEVICES: Duration = Duration::from_secs(5);

/// What a worker remembers of logins. Boxed: most never see one.
#[derive(Debug, Default)]
pub(super) struct Consents(Option<Box<Flow>>);

#[derive(Debug, Default)]
struct Flow {
    /// A browser is out, and may come back.
    browser: Option<Browser>,
    /// When a device code was last asked for.
    device_asked: Option<Mono>,
    /// Waits for the machine to know of the login.
    beginning: Option<(Reply<Begun>, Begun)>,
    /// Waits for the end of the exchange under way.
    completing: Option<Reply<()>>,
}

type Reply<T> = oneshot::Sender<Result<T, LoginError>>;

impl Consents {
    /// Takes a wish. What the machine is to know of it, if anything.
    pub(super) async fn take(
        &mut self,
        wish: Login,
        spec: &Integration,
        source: &dyn TokenSource,
        hold: Option<&Quota>,
        now: Now,
    ) -> Option<LoginStep> {
        let flow = self.0.get_or_insert_default();
        // Whoever asked may be gone by the time of the answer.
        match wish {
            Login::Begin { reply } => match flow.begin(spec, source, hold, now).await {
                Ok((begun, step)) => {
                    let id = spec.id.as_str();
                    info!(integration.id = id, "a login of '{id}' was begun");
                    flow.beginning = Some((reply, begun));
                    Some(step)
                }
                Err(error) => {
                    let _gone = reply.send(Err(error));
                    None
                }
            },
            Login::Complete { redirect, reply } => match flow.complete(&redirect, spec, now) {
                Ok(step) => {
                    flow.completing = Some(reply);
                    Some(step)
                }
                Err(error) => {
                    let _gone = reply.send(Err(error));
                    None
                }
            },
        }
    }

    /// Whether somebody waits for what the machine makes of a wish.
    pub(super) fn is_awaited(&self) -> bool {
        let flow = self.0.as_ref();
        flow.is_some_and(|flow| flow.beginning.is_some() || flow.completing.is_some())
    }

    /// Answers whoever waits, once a published snapshot says how the login stands.
    pub(super) fn answer(&mut self, snapshot: &Snapshot) {
        let (Some(flow), Some(login)) = (&mut self.0, &snapshot.login) else {
            return;
        };
        let ended = match login {
            LoginState::Waiting => {
                if let Some((reply, begun)) = flow.beginning.take() {
                    let _gone = reply.send(Ok(begun));
                }
                return;
            }
            LoginState::Done => Ok(()),
            LoginState::Failed(failure) => Err(LoginError::Failed(failure.clone())),
        };
        if let Some(reply) = flow.completing.take() {
            let _gone = reply.send(ended);
        }
    }
}

impl Flow {
    /// In the place of a login that was begun before.
    async fn begin(
        &mut self,
        spec: &Integration,
        source: &dyn TokenSource,
        hold: Option<&Quota>,
        now: Now,
    ) -> Result<(Begun, LoginStep), LoginError> {
        let request = spec.grant.request();
        let first = spec.grant.refreshing().map(|refreshing| &refreshing.first);
        let (Some(request), Some(first)) = (request, first) else {
            return Err(LoginError::NotConsented);
        };
        match first {
            FirstRefreshToken::Configured(_) => Err(LoginError::NotConsented),
            FirstRefreshToken::AuthorizationCode {
                authorization_endpoint,
                redirect_uri,
                issuer,
            } => {
                let page = page(authorization_endpoint, spec, source).await?;
                self.begin_browser(request, (&page, redirect_uri, issuer.as_deref()), now)
            }
            FirstRefreshToken::DeviceCode {
                device_authorization_endpoint: endpoint,
            } => {
                // What a vendor asks for is asked for at one endpoint's authority.
                let same = |key: &(String, String)| key.0 == endpoint.nearest().authority();
                let hold = hold.filter(|_| spec.quota_key().as_ref().is_some_and(same));
                self.begin_device(spec, source, hold, now).await
            }
        }
    }

    fn begin_browser(
        &mut self,
        request: &TokenRequest,
        (authorization_endpoint, redirect_uri, issuer): (&Endpoint, &url::Url, Option<&str>),
        now: Now,
    ) -> Result<(Begun, LoginStep), LoginError> {
        let begun = Browser::begin(
            request,
            authorization_endpoint,
            redirect_uri,
            issuer,
            now.mono,
        );
        let (browser, authorization_url) = begun.map_err(|error| {
            let failure = failure(ErrorCode::TemporarilyUnavailable, error.to_string(), now);
            LoginError::Failed(Box::new(failure))
        })?;
        let begun = Begun::Browser {
            authorization_url,
            redirect_uri: browser.redirect_uri().to_owned(),
            state: browser.state().clone(),
            expires_in: LIFETIME,
        };
        self.browser = Some(browser);
        let step = LoginStep::Begun {
            lasts: LIFETIME,
            device: None,
        };
        Ok((begun, step))
    }

    async fn begin_device(
        &mut self,
        spec: &Integration,
        source: &dyn TokenSource,
        hold: Option<&Quota>,
        now: Now,
    ) -> Result<(Begun, LoginStep), LoginError> {
        let left = hold.map_or(Duration::ZERO, |hold| hold.hold().since(now.mono));
        if !left.is_zero() {
            return Err(LoginError::Failed(Box::new(held_back(spec, left, now))));
        }
        let since = self.device_asked.map(|asked| now.mono.since(asked));
        if let Some(since) = since.filter(|since| *since < BETWEEN_DEVICES) {
            return Err(LoginError::TooSoon(BETWEEN_DEVICES.saturating_sub(since)));
        }
        self.device_asked = Some(now.mono);
        let asked = tokio::time::timeout(spec.refresh.timeout, source.device_authorization());
        let device = match asked.await {
            Ok(Ok(device)) => device,
            Ok(Err(outcome)) => {
                if let (
                    Outcome::Transient {
                        retry_after: Some(asked),
                        failure,
                    },
                    Some(hold),
                ) = (&outcome, hold)
                {
                    let took = failure.at.since(now.wall);
                    let asked = (*asked).min(LONGEST_RETRY_AFTER);
                    hold.prolong(now.mono.plus(took).plus(asked));
                }
                return Err(not_begun(&outcome));
            }
            Err(_elapsed) => return Err(LoginError::Busy),
        };
        self.browser = None;
        let begun = Begun::Device {
            user_code: device.user_code,
            verification_uri: device.verification_uri,
            verification_uri_complete: device.verification_uri_complete,
            expires_in: device.expires_in,
        };
        let step = LoginStep::Begun {
            lasts: device.expires_in,
            device: Some(Device {
                code: device.device_code,
                interval: device.interval,
            }),
        };
        Ok((begun, step))
    }

    /// What came back, judged: a code to exchange, or the end of the login.
    fn complete(
        &mut self,
        redirect: &Secret,
        spec: &Integration,
        now: Now,
    ) -> Result<LoginStep, LoginError> {
        let browser = self.browser.as_ref().ok_or(LoginError::NotBegun)?;
        let unfit = |why: String| LoginError::BadRedirect(why);
        let code_name = spec.grant.request().map(|request| request.name("code"));
        let code_name = code_name.filter(|name| !name.is_empty()).unwrap_or("code");
        let redirect = Redirect::read(redirect.expose(), code_name);
        let redirect = redirect.map_err(|error| unfit(error.to_string()))?;
        let step = match browser.accept(&redirect, now.mono) {
            Ok(granted) => {
                let Granted {
                    code,
                    verifier,
                    redirect_uri,
                } = granted;
                LoginStep::Came(Present::Code {
                    code,
                    verifier,
                    redirect_uri,
                })
            }
            Err(refusal) if refusal.goes_on() => return Err(unfit(refusal.to_string())),
            Err(refusal) => LoginStep::Failed(refused(&refusal, spec, now)),
        };
        self.browser = None;
        Ok(step)
    }
}

/// The vendor asked this client to wait: a person does not make the broker ask sooner.
fn held_back(spec: &Integration, left: Duration, now: Now) -> Failure {
    let id = &spec.id;
    let seconds = left.as_secs_f64().ceil();
    let description =
        format!("the vendor asked this client to wait before it is asked for a login of '{id}'");
    let mut failure = failure(ErrorCode::RateLimited, description, now);
    failure.hint = Some(format!(
        "begin again in {seconds} s: 'token-broker login {id}'"
    ));
    failure.retry_after = Some(left);
    failure
}

/// Where the browser is sent.
async fn page(
    location: &Location,
    spec: &Integration,
    source: &dyn TokenSource,
) -> Result<Endpoint, LoginError> {
    if let Some(known) = location.known() {
        return Ok(known.clone());
    }
    let found = source.authorization_endpoint();
    match tokio::time::timeout(spec.refresh.timeout, found).await {
        Ok(Ok(page)) => Ok(page),
        Ok(Err(outcome)) => Err(not_begun(&outcome)),
        Err(_elapsed) => Err(LoginError::Busy),
    }
}

fn not_begun(outcome: &Outcome) -> LoginError {
    let failure = outcome.failure().cloned();
    failure.map_or(LoginError::Busy, |failure| {
        LoginError::Failed(Box::new(failure))
    })
}

fn refused(refusal: &Refusal, spec: &Integration, now: Now) -> Failure {
    let id = &spec.id;
    let description = format!("the login of '{id}' was not completed: {refusal}");
    let mut failure = failure(ErrorCode::LoginRequired, description, now);
    if let Refusal::Denied(denial) = refusal {
        failure.hint = Some(denial.advice().to_owned());
        failure.vendor = Some(VendorAnswer {
            status: None,
            error: Some(denial.error.clone()),
            error_description: denial.description.clone(),
        });
    } else {
        failure.hint = Some(format!("begin again: 'token-broker login {id}'"));
    }
    failure
}

fn failure(code: ErrorCode, description: String, now: Now) -> Failure {
    Failure {
        code,
        description,
        hint: None,
        vendor: None,
        retry_after: None,
        at: now.wall,
    }
}

//! Consent: `POST /login/{integration}`, the browser's way back, and a redirect somebody pasted.
//!
//! Wishes for the worker, which alone exchanges and saves. Must not know what a redirect is worth:
//! only whose it is. Invariant: no code and no state is in any answer but the page to visit.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::answer::{self, Answer};
use super::directory::Entry;
use super::error::Problem;
use super::logins::{Logins, Stage};
use super::{Context, page, status};
use crate::base::Secret;
use crate::login::Redirect;
use crate::snapshot::{Begun, LoginError};

/// For saving what an exchange brought, beyond the exchange itself and the one before it.
const SAVING: Duration = Duration::from_secs(20);

/// `POST /login/{integration}`.
pub(super) async fn begin(context: &Context, name: &str) -> Result<Answer, Problem> {
    let entry = context.directory.find(name)?;
    let begun = in_time(&entry, entry.reader.login()).await?;
    let begun = begun.map_err(|error| problem(context, &entry, &error))?;
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| {
        members.insert(name.to_owned(), value);
    };
    match begun {
        Begun::Browser {
            authorization_url,
            redirect_uri,
            state,
            expires_in,
        } => {
            context.logins.begun(name, state);
            put("authorization_url", authorization_url.into());
            put("redirect_uri", redirect_uri.into());
            put("expires_in", expires_in.as_secs().into());
        }
        Begun::Device {
            user_code,
            verification_uri,
            verification_uri_complete,
            expires_in,
        } => {
            put("user_code", user_code.into());
            put("verification_uri", verification_uri.into());
            if let Some(complete) = verification_uri_complete {
                put("verification_uri_complete", complete.into());
            }
            put("expires_in", expires_in.as_secs().into());
        }
    }
    let document = Value::Object(members).to_string();
    Ok(answer::text("application/json", document))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CompleteBody {
    redirect_url: Secret,
}

/// `POST /login/{integration}/complete`: answered when the tokens are saved and published.
pub(super) async fn complete(
    context: &Context,
    name: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Answer, Problem> {
    let entry = context.directory.find(name)?;
    let pasted = pasted(headers, body)?;
    let refused = |why: String| problem(context, &entry, &LoginError::BadRedirect(why));
    let state = Redirect::state(pasted.expose());
    let state = state.map_err(|error| refused(error.to_string()))?;
    if let Some(state) = &state
        && let Some((owner, how)) = context.logins.find(state)
    {
        if owner != name {
            return Err(refused(format!(
                "it answers a login of '{owner}', so complete that one with it"
            )));
        }
        if let Some(why) = why_not(how) {
            return Err(refused(why.to_owned()));
        }
    }
    carried_out(context, &entry, state.as_ref(), pasted).await?;
    let document = status::document(&entry, context.clock.now());
    Ok(answer::text("application/json", document.to_string()))
}

/// `GET /login/callback`: always a page, as only browsers come here.
pub(super) async fn callback(context: &Context, head: &Parts) -> Answer {
    if head.method == Method::HEAD {
        // Whoever only looks must not use up the code.
        return page::page(StatusCode::OK, "Login", &[]);
    }
    match came_back(context, head.uri.query().unwrap_or_default()).await {
        Ok(entry) => {
            let name = entry.name();
            let done = format!(
                "The broker now has a token of '{name}' and renews it by itself. You can close this page."
            );
            page::page(StatusCode::OK, "Login completed", &[&done])
        }
        Err((heading, problem)) => {
            let (status, detail) = problem.spoken();
            page::page(status, heading, &[detail])
        }
    }
}

const NOT_COMPLETED: &str = "Login not completed";

async fn came_back(context: &Context, query: &str) -> Result<Arc<Entry>, (&'static str, Problem)> {
    let not_completed = |problem| (NOT_COMPLETED, problem);
    let state = Redirect::state(query).map_err(|error| {
        not_completed(Problem::invalid(format!(
            "This is the page to which a vendor sends the browser back, but what it sent back cannot be used: {error}."
        )))
    })?;
    let Some(state) = &state else {
        return Err(not_completed(Problem::invalid(
            "The vendor sent no state back, so nothing shows to which login this belongs.",
        )));
    };
    let Some((name, how)) = context.logins.find(state) else {
        return Err(not_completed(Problem::invalid(
            "The broker knows no login with this state: it was restarted meanwhile, or the login was not begun here. \
             Begin again with: token-broker login NAME",
        )));
    };
    let entry = context.directory.find(&name).map_err(not_completed)?;
    if let Some(why) = why_not(how) {
        let why = LoginError::BadRedirect(why.to_owned());
        return Err((heading(Some(how)), problem(context, &entry, &why)));
    }
    match carried_out(context, &entry, Some(state), Secret::new(query)).await {
        Ok(()) => Ok(entry),
        Err(problem) => {
            let how = context.logins.find(state).map(|(_, how)| how);
            Err((heading(how), problem))
        }
    }
}

/// For a page about a redirect that completed nothing.
fn heading(how: Option<Stage>) -> &'static str {
    match how {
        Some(Stage::Done) => "Login already completed",
        Some(Stage::Waiting | Stage::Over | Stage::Replaced) | None => NOT_COMPLETED,
    }
}

/// Why a login at that stage takes no redirect any more.
fn why_not(how: Stage) -> Option<&'static str> {
    match how {
        Stage::Waiting => None,
        Stage::Done => Some("that login is already completed, and each code counts once"),
        Stage::Over => Some("that login is over; begin another one"),
        Stage::Replaced => Some("it answers an older login; a newer one was begun since"),
    }
}

/// Has the worker complete a login, and remembers how that ended.
async fn carried_out(
    context: &Context,
    entry: &Entry,
    state: Option<&Secret>,
    redirect: Secret,
) -> Result<(), Problem> {
    let mut done = in_time(entry, entry.reader.complete_login(redirect)).await?;
    // The same redirect may have come twice, and the other one was before this in the worker.
    if done == Err(LoginError::NotBegun)
        && let Some((_, how @ Stage::Done)) = state.and_then(|state| context.logins.find(state))
        && let Some(why) = why_not(how)
    {
        done = Err(LoginError::BadRedirect(why.to_owned()));
    }
    let how = match &done {
        Ok(()) => Some(Stage::Done),
        Err(LoginError::Failed(_) | LoginError::NotBegun) => Some(Stage::Over),
        Err(
            LoginError::NotConsented
            | LoginError::BadRedirect(_)
            | LoginError::TooSoon(_)
            | LoginError::Busy,
        ) => None,
    };
    if let (Some(how), Some(state)) = (how, state) {
        context.logins.ended(state, how);
    }
    done.map_err(|error| problem(context, entry, &error))
}

/// A worker may have an exchange in flight before it comes to this one.
async fn in_time<T>(entry: &Entry, asked: impl Future<Output = T>) -> Result<T, Problem> {
    let patience = entry.integration.refresh.timeout.saturating_mul(2);
    let asked = timeout(patience.saturating_add(SAVING), asked).await;
    asked.map_err(|_elapsed| Problem::login_slow(entry.name()))
}

fn problem(context: &Context, entry: &Entry, error: &LoginError) -> Problem {
    if *error == LoginError::Busy && context.health.is_stopping() {
        return Problem::shutting_down(entry.name());
    }
    if *error == LoginError::Busy && context.health.is_store_held() {
        return Problem::store_held(entry.name());
    }
    Problem::login(entry.name(), entry.integration.grant.name(), error)
}

/// Whether a request carries the state of a login that was begun here.
pub(super) fn is_known(logins: &Logins, uri: &Uri) -> bool {
    let state = Redirect::state(uri.query().unwrap_or_default());
    let state = state.ok().flatten();
    state.is_some_and(|state| logins.find(&state).is_some())
}

/// The redirect URL in a body: as JSON where it says so, else the text itself, as `curl -d` sends it.
fn pasted(headers: &HeaderMap, body: &[u8]) -> Result<Secret, Problem> {
    let media = headers.get(CONTENT_TYPE).map(|value| {
        let media = value.to_str().unwrap_or_default().split(';').next();
        media.unwrap_or_default().trim().to_ascii_lowercase()
    });
    match media.as_deref() {
        Some("application/json") => {
            // What the parser says would repeat the body, and that holds a code.
            let read = serde_json::from_slice(body);
            let Ok(CompleteBody { redirect_url }) = read else {
                return Err(Problem::invalid(
                    "The body must be a JSON object whose only member is 'redirect_url', a string.",
                ));
            };
            Ok(redirect_url)
        }
        None | Some("text/plain" | "application/x-www-form-urlencoded") => {
            let text = std::str::from_utf8(body);
            let text = text.map_err(|_binary| Problem::invalid("The body is not UTF-8."))?;
            Ok(Secret::new(text))
        }
        Some(_) => Err(Problem::redirect_media_type()),
    }
}

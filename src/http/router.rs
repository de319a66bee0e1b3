//! From a request to its answer: guards, then the route, then what all answers share.
//!
//! Invariant: nothing is routed before the guards have passed it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::routing::any;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body as _, Incoming};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use tower::ServiceExt as _;

use super::answer::{self, Answer};
use super::error::{Problem, Style};
use super::guards::{self, Exemption, Guards, Peer};
use super::query::{self, Unknown};
use super::resource::Resource;
use super::{Context, body, headers, login, openapi, probes, status, token};
use crate::base::Now;
use crate::telemetry::{Route, TokenLabel};

/// All routes of one listener.
#[derive(Debug)]
pub struct Router {
    context: Arc<Context>,
    /// `None` on the admin listener.
    guards: Option<Guards>,
    routes: axum::Router,
}

/// Everything callers can ask for.
pub fn main_router(context: Arc<Context>) -> Router {
    let guards = Guards::new(&context.server);
    Router {
        guards: Some(guards),
        routes: routes(&context, &Resource::ALL),
        context,
    }
}

/// Probes and metrics only, and no guards: it may be on any address.
pub fn admin_router(context: Arc<Context>) -> Router {
    Router {
        guards: None,
        routes: routes(&context, &Resource::ADMIN),
        context,
    }
}

pub(super) type Reply = Response<Either<Full<Bytes>, Body>>;

fn routes(context: &Arc<Context>, resources: &[Resource]) -> axum::Router {
    let mut router = axum::Router::new();
    for resource in resources.iter().copied() {
        let context = Arc::clone(context);
        let handler = move |request: Request| {
            let context = Arc::clone(&context);
            async move { routed(resource, &context, request).await }
        };
        router = router.route(&resource.pattern(), any(handler));
    }
    router.fallback(|request: Request| async move {
        let style = style(request.method(), request.uri().path());
        let (head, body) = request.into_parts();
        let problem = match body::read(&head.headers, body).await {
            Ok(_ignored) => Problem::no_route(),
            Err(problem) => problem,
        };
        problem.render(style).map(Body::new)
    })
}

async fn routed(resource: Resource, context: &Context, request: Request) -> Response<Body> {
    let is_named_so = || context.directory.get("callback").is_some();
    let resource = match resource {
        // An integration may have the name of the page to which browsers come back.
        Resource::LoginCallback if request.method() == Method::POST && is_named_so() => {
            Resource::Login
        }
        other => other,
    };
    let style = style(request.method(), request.uri().path());
    let (head, body) = request.into_parts();
    // Read on every route, so that the limit holds everywhere and the connection stays usable.
    let answered = match body::read(&head.headers, body).await {
        Ok(body) => answer(resource, context, &head, &body).await,
        Err(problem) => Err(problem),
    };
    let answer =
        answered.unwrap_or_else(|problem| refused(resource, context, &head, &problem, style));
    let mut answer = answer.map(Body::new);
    answer.extensions_mut().insert(resource.route());
    answer
}

async fn answer(
    resource: Resource,
    context: &Context,
    head: &Parts,
    body: &[u8],
) -> Result<Answer, Problem> {
    let name = integration_name(head.uri.path());
    if resource.path().contains("{integration}") && name.is_empty() {
        return Err(Problem::no_route());
    }
    if !resource.takes(&head.method) {
        return Err(Problem::method(resource.allow()));
    }
    if resource == Resource::LoginCallback && resource.takes(&head.method) {
        return Ok(login::callback(context, head).await);
    }
    let drop_in = resource == Resource::DropIn
        || (resource == Resource::Token && head.method == Method::POST);
    let (params, unknown) = if drop_in {
        (Resource::DropIn.params(), Unknown::Ignored)
    } else {
        (resource.params(), Unknown::Refused)
    };
    let query = query::parse(head.uri.query(), params, unknown)?;
    match resource {
        Resource::Token if head.method != Method::POST => {
            token::get(context, name, query, &head.headers).await
        }
        Resource::Token | Resource::DropIn => token::drop_in(context, name, query).await,
        Resource::Refresh => token::refresh(context, name, query, &head.headers, body).await,
        Resource::Headers => headers::get(context, name, query).await,
        Resource::Login => login::begin(context, name).await,
        // Answered above: a vendor may send back any parameters.
        Resource::LoginCallback => Err(Problem::no_route()),
        Resource::LoginComplete => login::complete(context, name, &head.headers, body).await,
        Resource::Integrations => Ok(status::all(context)),
        Resource::Integration => status::one(context, name),
        Resource::Livez => Ok(probes::livez(query.verbose)),
        Resource::Readyz => Ok(probes::readyz(context, query.verbose)),
        Resource::Startupz => Ok(probes::startupz(context, query.verbose)),
        Resource::Metrics => Ok(status::metrics(context)),
        Resource::OpenApi => Ok(openapi::answer()),
    }
}

/// The second segment, undecoded: names need no encoding, and so none is undone.
fn integration_name(path: &str) -> &str {
    path.split('/').nth(2).unwrap_or_default()
}

/// Errors on the drop-in are for OAuth clients, whatever the rest of the path.
fn style(method: &Method, path: &str) -> Style {
    if method == Method::POST && path.starts_with("/token/") {
        Style::OAuth
    } else {
        Style::Problem
    }
}

async fn refused_by_guards(head: &Parts, body: Incoming, problem: &Problem) -> Reply {
    // What is left unread would take the answer with it when the connection is closed.
    let _unread = body::read(&head.headers, body).await;
    let answer = problem.render(style(&head.method, head.uri.path()));
    answer.map(Either::Left)
}

/// Counts a failed request for a token, and renders the problem.
fn refused(
    resource: Resource,
    context: &Context,
    head: &Parts,
    problem: &Problem,
    style: Style,
) -> Answer {
    if resource.is_token()
        && let Some(entry) = context.directory.get(integration_name(head.uri.path()))
    {
        entry.counters.token_request(problem.label());
    }
    problem.render(style)
}

impl Router {
    pub(super) async fn answer(&self, peer: Peer, request: hyper::Request<Incoming>) -> Reply {
        let begun = self.context.clock.now();
        let (reply, route) = self.reply(peer, request, begun).await;
        let took = self.context.clock.mono().since(begun.mono);
        self.context.metrics.answered(route, took);
        reply
    }

    async fn reply(
        &self,
        peer: Peer,
        request: hyper::Request<Incoming>,
        now: Now,
    ) -> (Reply, Route) {
        let (head, body) = request.into_parts();
        let guarded = self.guard(peer, &head);
        if guarded.is_ok()
            && body.is_end_stream()
            && let Some(answer) = self.at_once(&head, now)
        {
            return (answer.map(Either::Left), Route::Token);
        }
        let (mut reply, route) = match guarded {
            Ok(()) => self.routed(head, body).await,
            Err(problem) => (refused_by_guards(&head, body, &problem).await, Route::Other),
        };
        answer::seal(reply.headers_mut());
        (reply, route)
    }

    async fn routed(&self, head: Parts, body: Incoming) -> (Reply, Route) {
        let request = hyper::Request::from_parts(head, Body::new(body));
        let mut answer = match self.routes.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let route = answer.extensions_mut().remove::<Route>();
        (answer.map(Either::Right), route.unwrap_or(Route::Other))
    }

    fn guard(&self, peer: Peer, head: &Parts) -> Result<(), Problem> {
        let Some(guards) = &self.guards else {
            return guards::limits(&head.uri, guards::headers_size(&head.headers));
        };
        let path = head.uri.path();
        let exempt = |exemption| match exemption {
            Exemption::Header => {
                // By method too: a POST to the callback's path is a request to an integration
                // of that name.
                let free = |it: &&Resource| it.needs_no_header() && it.takes(&head.method);
                let mut free = Resource::ALL.iter().filter(free);
                free.any(|resource| resource.path() == path)
            }
            Exemption::WebPage => {
                let logins = &self.context.logins;
                let callback = Resource::LoginCallback;
                path == callback.path()
                    && callback.takes(&head.method)
                    && login::is_known(logins, &head.uri)
            }
        };
        guards.check(peer, head, &self.context.access.load(), exempt)
    }

    /// The request that is almost every request, `GET /token/{integration}` for a good token,
    /// without going through the router; what is not exactly that is left to it. The answer is
    /// sealed already.
    fn at_once(&self, request: &Parts, now: Now) -> Option<Answer> {
        self.guards.as_ref()?;
        let name = request.uri.path().strip_prefix("/token/")?;
        if request.method != Method::GET || request.uri.query().is_some() || name.contains('/') {
            return None;
        }
        let context = &*self.context;
        let directory = context.directory.look();
        let entry = directory.get(name)?;
        let want = token::want(context, query::Query::default());
        let held = entry.reader.good(now, want.min_ttl)?;
        let answer = token::render(&held, None, &request.headers, now)?;
        entry.counters.token_request(TokenLabel::Served);
        Some(answer)
    }
}

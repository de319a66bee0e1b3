//! `[...request]` and `[[...steps]]`: requests of a vendor's own kind, of which each may use what those
//! before it brought.

use std::sync::Arc;

use super::assertion::{Signing, assertion};
use super::client::{Client, client};
use super::request::sent_headers;
use super::response::members_equal;
use super::secret::Secrets;
use super::url_shape::{Opening, opening};
use super::{Report, View, api};
use crate::config::fill::{Gap, Parameters, Realm, UrlOf, step_hole};
use crate::config::schema::merges;
use crate::config::tree::{Raw, Table};
use crate::spec::{
    Algorithm, Body, Call, CallUrl, Endpoint, Grant, MadeHost, Method, Part, Phrase, Piece, Step,
    Steps, StepsKind, Template,
};

const MAX_STEPS: usize = 8;

pub(super) fn steps(
    view: &View<'_>,
    kind: StepsKind,
    parameters: &mut Parameters<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<Grant> {
    let client = client(view, parameters, secrets, report);
    let steps = match kind {
        StepsKind::Request => {
            if !view.has("request") {
                view.problem("request", "is missing", report);
                return None;
            }
            let call = call(&view.below("request"), 0, parameters, report);
            vec![Step::Request(call?)]
        }
        StepsKind::Steps => all(view, parameters, secrets, report)?,
    };
    let Client {
        id,
        secret,
        certificate,
    } = client;
    let steps = Steps {
        kind,
        client_id: id,
        client_secret: secret,
        steps,
        certificate,
    };
    Some(Grant::Steps(Arc::new(steps)))
}

/// What is configured and reaches nobody.
pub(super) fn unused(
    view: &View<'_>,
    steps: &Steps,
    parameters: &Parameters<'_>,
    report: &mut Report,
) {
    let (username, password) = parameters.login();
    let mut is_sent = false;
    let mut password_is_sent = false;
    steps.walk(&mut |part| {
        is_sent |= matches!(part, Part::ClientSecret);
        password_is_sent |= matches!(part, Part::Secret(one) if password.as_ref() == Some(one));
    });
    for (key, is_idle) in [
        (
            "username",
            username.is_some() && !parameters.username_is_used(),
        ),
        ("password", password.is_some() && !password_is_sent),
    ] {
        if is_idle {
            let message = format!("is not sent: no request has a {{{key}}} in it");
            view.problem(key, message, report);
        }
    }
    if !steps.client_secret.is_empty() && !is_sent {
        let message = "is not sent: no request has a {client_secret} in it";
        view.problem("client_secret", message, report);
    }
    if steps.first().is_none() {
        let message = "must begin with a request whose host is written out";
        view.problem("steps", message, report);
    }
    let own = view
        .node("assertion")
        .is_some_and(|node| !node.is_providers());
    if own && steps.assertion().is_none() {
        let message = "is not used: none of the steps is an assertion";
        view.problem("assertion", message, report);
    }
}

fn all(
    view: &View<'_>,
    parameters: &mut Parameters<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<Vec<Step>> {
    let node = view.node("steps");
    let Some(Raw::List(items)) = node.map(|node| &node.raw) else {
        if !view.has("steps") || view.removed("steps") {
            view.problem("steps", "is missing", report);
        }
        return None;
    };
    let mut found = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let Raw::Table(table) = &item.raw else {
            return None;
        };
        let inner = View::new(table, view.path(&format!("steps.{index}")), item.file());
        found.push(step(view, &inner, index, parameters, secrets, report));
    }
    if items.is_empty() || items.len() > MAX_STEPS {
        view.problem("steps", format!("must be 1 to {MAX_STEPS}"), report);
    }
    let found: Option<Vec<Step>> = found.into_iter().collect();
    let found = found?;
    let signed = |step: &&Step| matches!(step, Step::Assertion { .. });
    if found.iter().filter(signed).count() > 1 {
        view.problem("steps", "must have one assertion at the most", report);
        return None;
    }
    if !matches!(found.last(), Some(Step::Request(_))) {
        let message = "must end with a request, whose answer holds the token; a token that is a JWT \
                       of your own is grant = \"signed_jwt\"";
        view.problem("steps", message, report);
        return None;
    }
    Some(found)
}

fn step(
    view: &View<'_>,
    inner: &View<'_>,
    index: usize,
    parameters: &mut Parameters<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<Step> {
    match (inner.has("request"), inner.has("assertion")) {
        (true, false) => {
            call(&inner.below("request"), index, parameters, report).map(Step::Request)
        }
        (false, true) => signed(view, inner, index, parameters, secrets, report),
        _ => {
            let message = format!("must be either a request or an assertion: step {index}");
            view.problem("steps", message, report);
            None
        }
    }
}

/// What a step's assertion does not say is said by the integration's: there an operator puts the key.
fn signed(
    view: &View<'_>,
    inner: &View<'_>,
    index: usize,
    parameters: &mut Parameters<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<Step> {
    let own = inner.table.and_then(|table| table.table("assertion"))?;
    let common = view.table.and_then(|table| table.table("assertion"));
    let mut table: Table = common.cloned().unwrap_or_default();
    for key in ["parameter", "grant_type"] {
        let taken = table.take(key);
        if taken.is_some_and(|node| !node.is_providers()) {
            let message = "is not used by grant = \"steps\", where requests say it: remove it";
            view.below("assertion").problem(key, message, report);
        }
    }
    table.overlay(own, &|key| merges(key));
    let key_at = if own.get("key").is_some() {
        format!("steps.{index}.assertion")
    } else {
        "assertion".to_owned()
    };
    let merged = View::new(&table, view.path(&key_at), inner.file);
    let signing = Signing {
        algorithm: Algorithm::default(),
        shared: &[],
        realm: Realm::Assertion { steps: index },
    };
    let assertion = assertion(&merged, &signing, parameters, secrets, report)?;
    Some(Step::Assertion { assertion, key_at })
}

/// `steps`: how many come before it.
fn call(
    view: &View<'_>,
    steps: usize,
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Option<Call> {
    let realm = Realm::Step { steps };
    let url = url(view, steps, parameters, report);
    let at = view
        .path
        .splitn(3, '.')
        .nth(2)
        .unwrap_or_default()
        .to_owned();
    let headers = sent_headers(view, false, report, |node, path, report| {
        let text = node.text().ok_or(Gap::Absent)?;
        parameters.phrase(node, text, &format!("{at}.{path}"), realm, report)
    });
    let mut pairs = |key: &str, report: &mut Report| -> Vec<(String, Phrase)> {
        let inner = view.below(key);
        let one = |(name, _): &(String, _)| {
            let node = inner.node(name)?;
            let path = format!("{at}.{key}.{name}");
            let phrase = parameters.phrase(node, node.text()?, &path, realm, report);
            Some((name.clone(), phrase.ok()?))
        };
        view.entries(key).iter().filter_map(one).collect()
    };
    let query = pairs("query", report);
    let there = |key: &str| view.node(key).is_some();
    if there("form") && there("json") {
        view.problem("json", "stands beside form: a request has one body", report);
    }
    let body = if there("form") {
        Body::Form(pairs("form", report))
    } else if let Some(table) = view.table.and_then(|table| table.table("json")) {
        Body::Json(parameters.members(table, &format!("{at}.json"), realm, report))
    } else {
        Body::None
    };
    let method = match view.text("method") {
        Some("GET") => Method::Get,
        _ => Method::Post,
    };
    if method == Method::Get && body != Body::None {
        view.problem("method", "is GET, which has no body: use query", report);
    }
    Some(Call {
        method,
        url: url?,
        headers,
        query,
        body,
        success: members_equal(view, "success", report),
    })
}

fn url(
    view: &View<'_>,
    steps: usize,
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Option<CallUrl> {
    let Some(node) = view.node("url") else {
        if !view.has("url") || view.removed("url") {
            view.problem("url", "is missing", report);
        }
        return None;
    };
    let at = view.path.splitn(3, '.').nth(2).unwrap_or_default();
    let template = parameters
        .url(node, &format!("{at}.url"), UrlOf::Request, report)
        .ok()?;
    let phrase = match phrase_of(&template, Realm::Step { steps }) {
        Ok(phrase) => phrase,
        Err(message) => {
            view.problem("url", message, report);
            return None;
        }
    };
    let answered = |hole: &str| step_hole(hole).is_some();
    let open = match opening(&template, |_| false, answered) {
        Ok(open) => open,
        Err(message) => {
            view.problem("url", message, report);
            return None;
        }
    };
    let sample = match Endpoint::parse(&sample(&template)) {
        Ok(sample) => sample,
        Err(error) => {
            view.problem("url", error.to_string(), report);
            return None;
        }
    };
    if template.literal().is_some() {
        if sample.url().scheme() == "http" {
            view.warning("url", "is http: fit for tests on this machine only", report);
        }
        no_hosts(view, report);
        return Some(CallUrl::Known(sample));
    }
    let host = match open {
        Opening::Closed => {
            no_hosts(view, report);
            MadeHost::Fixed(sample)
        }
        Opening::Answer => {
            let hosts = api::hosts(view, report);
            let told = view.texts("hosts").is_some_and(|hosts| !hosts.is_empty());
            if hosts.is_empty() && !told {
                let message = "takes its host from an answer: name the hosts it may have in 'hosts' \
                               beside it";
                view.problem("url", message, report);
            }
            MadeHost::AnyOf(hosts)
        }
    };
    Some(CallUrl::Made { url: phrase, host })
}

fn no_hosts(view: &View<'_>, report: &mut Report) {
    if view.node("hosts").is_some() {
        let message = "is not used: the host of url is no answer's";
        view.problem("hosts", message, report);
    }
}

/// What is left in a URL once parameters are in: members of earlier answers, and nothing else.
fn phrase_of(template: &Template, realm: Realm) -> Result<Phrase, String> {
    let mut parts = Vec::with_capacity(template.pieces().len());
    for piece in template.pieces() {
        parts.push(match piece {
            Piece::Text(text) => Part::Text(text.clone()),
            Piece::Member(hole) => match realm.part(hole)? {
                Some(answer @ Part::Answer { .. }) => answer,
                _ => return Err(NO_ANSWER.to_owned()),
            },
            Piece::Apply(..) => return Err(NO_ANSWER.to_owned()),
        });
    }
    Ok(Phrase::new(parts))
}

const NO_ANSWER: &str = "has a hole that is not {client_id}, {username}, a member of an earlier \
                         step's answer such as {steps.0.instance_url}, or a parameter of the \
                         provider file it is in";

/// The URL with something in its holes.
pub(super) fn sample(template: &Template) -> String {
    let mut first = template.pieces().first().and_then(|piece| match piece {
        Piece::Text(_) => None,
        _ => Some("https://h"),
    });
    let filled = template.render(|_| Some(first.take().unwrap_or("x").to_owned()));
    filled.unwrap_or_default()
}

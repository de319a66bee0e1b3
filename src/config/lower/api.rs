//! `[...api]`: what a call to the vendor's API needs.

use super::request::header_value;
use super::server::header_name;
use super::steps::sample;
use super::url_shape::{Opening, opening};
use super::{Report, View};
use crate::config::fill::{Gap, Parameters, UrlOf};
use crate::config::tree::Node;
use crate::spec::{Api, Endpoint, HostPattern, Piece, Template};

pub(super) fn api(view: &View<'_>, parameters: &mut Parameters<'_>, report: &mut Report) -> Api {
    let hosts = hosts(view, report);
    let base_url = view
        .node("base_url")
        .and_then(|node| base_url(view, node, &hosts, parameters, report));
    let mut headers = Vec::new();
    let inner = view.below("headers");
    let mut authorization = false;
    for (name, node) in view.entries("headers") {
        if name.eq_ignore_ascii_case("authorization") {
            authorization = true;
        }
        if header_name(name).is_none() {
            inner.problem(name, "is not the name of a header", report);
            continue;
        }
        let Ok(template) = parameters.template(node, &format!("api.headers.{name}"), report) else {
            continue;
        };
        let literal = |piece: &Piece| match piece {
            Piece::Text(text) => header_value(text),
            Piece::Member(_) | Piece::Apply(..) => true,
        };
        if !template.pieces().iter().all(literal) {
            inner.problem(name, "must be free of control characters", report);
            continue;
        }
        let twice = headers
            .iter()
            .any(|(known, _): &(String, Template)| known.eq_ignore_ascii_case(name));
        if twice {
            inner.problem(name, "is there twice, in upper and lower case", report);
            continue;
        }
        headers.push((name.clone(), template));
    }
    if !authorization && let Ok(template) = Template::parse(Api::AUTHORIZATION) {
        headers.insert(0, ("Authorization".to_owned(), template));
    }
    let mut query = Vec::new();
    for (name, node) in view.entries("query") {
        if let Ok(template) = parameters.template(node, &format!("api.query.{name}"), report) {
            query.push((name.clone(), template));
        }
    }
    Api {
        base_url,
        headers,
        query,
        hosts,
    }
}

fn base_url(
    view: &View<'_>,
    node: &Node,
    hosts: &[HostPattern],
    parameters: &mut Parameters<'_>,
    report: &mut Report,
) -> Option<Template> {
    let template = match parameters.url(node, "api.base_url", UrlOf::Api, report) {
        Ok(template) => template,
        Err(Gap::Absent | Gap::Reported) => return None,
    };
    let known = |hole: &str| hole != "client_id";
    let open = match opening(&template, |_| false, known) {
        Ok(open) => open,
        Err(message) => {
            view.problem("base_url", message, report);
            return None;
        }
    };
    let told = view.texts("hosts").is_some_and(|hosts| !hosts.is_empty());
    if open == Opening::Answer && hosts.is_empty() && !told {
        let message =
            "takes its host from the vendor's answer: name the hosts it may have in api.hosts";
        view.problem("base_url", message, report);
    }
    if let Err(error) = Endpoint::parse(&sample(&template)) {
        view.problem("base_url", error.to_string(), report);
        return None;
    }
    Some(template)
}

/// Hosts that an answer may lead to.
pub(super) fn hosts(view: &View<'_>, report: &mut Report) -> Vec<HostPattern> {
    let mut hosts = Vec::new();
    for text in view.texts("hosts").unwrap_or_default() {
        match HostPattern::parse(text) {
            Some(pattern) => hosts.push(pattern),
            None => view.problem(
                "hosts",
                "must be host names, or \"*.\" and a name of two labels",
                report,
            ),
        }
    }
    hosts
}

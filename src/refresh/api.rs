//! What an API call needs, made from the configured templates and a token answer.
//!
//! The answer comes from outside: a URL or header made of it is checked, and left out with a
//! warning where it does not hold; the token is served all the same. Pure.

use serde_json::Value;

use crate::base::{Issued, Redactor, Secret};
use crate::snapshot::ApiCall;
use crate::spec::{Api, Endpoint, Grant, Path, Piece, Template, land};

/// The call, and what was left out and why; warnings hold no secrets.
pub fn render(api: &Api, grant: &Grant, issued: &Issued) -> (ApiCall, Vec<String>) {
    let mut warnings = Vec::new();
    let base_url = api.base_url.as_ref().and_then(|template| {
        base_url(template, api, grant, issued)
            .map_err(|problem| warnings.push(format!("base_url is left out: {problem}")))
            .ok()
    });
    let headers = values(&api.headers, "header", issued, &mut warnings);
    let query = values(&api.query, "query parameter", issued, &mut warnings);
    let call = ApiCall {
        base_url,
        headers,
        query,
    };
    (call, warnings)
}

fn values(
    templates: &[(String, Template)],
    what: &str,
    issued: &Issued,
    warnings: &mut Vec<String>,
) -> Vec<(String, Secret)> {
    let mut finished = Vec::with_capacity(templates.len());
    for (name, template) in templates {
        let problem = match template.render(|member| lookup(issued, member)) {
            Err(member) => missing(&member),
            Ok(value) if value.chars().any(char::is_control) => {
                "a control character is in its value".to_owned()
            }
            Ok(value) => {
                finished.push((name.clone(), Secret::new(value)));
                continue;
            }
        };
        warnings.push(format!("{what} '{name}' is left out: {problem}"));
    }
    finished
}

fn missing(member: &str) -> String {
    format!("the vendor's answer has no '{member}'")
}

/// A member of the answer as text.
fn lookup(issued: &Issued, name: &str) -> Option<String> {
    match name {
        "access_token" => return Some(issued.access_token.expose().to_owned()),
        "token_type" => return Some(issued.token_type.clone()),
        "scope" if issued.scope.is_some() => return issued.scope.clone(),
        _ => {}
    }
    let found = match name.split_once('.') {
        None => issued.members.get(name)?,
        Some((first, rest)) => Path::parse(rest)?.find(issued.members.get(first)?)?,
    };
    match found {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn base_url(
    template: &Template,
    api: &Api,
    grant: &Grant,
    issued: &Issued,
) -> Result<String, String> {
    if let Some(literal) = template.literal() {
        return Ok(literal.trim_end_matches('/').to_owned());
    }
    let mut text = fill(template, issued)?;
    if !text.contains("://") {
        text.insert_str(0, "https://");
    }
    let url = Endpoint::parse(&text).map_err(|problem| format!("it {problem}"))?;
    if url.url().query().is_some() {
        return Err("it has a query".to_owned());
    }
    let beside_the_endpoint = grant
        .endpoint()
        .is_some_and(|endpoint| endpoint.is_loopback() && url.is_loopback());
    let host = url.host();
    if !beside_the_endpoint {
        if url.url().scheme() != "https" {
            return Err("it must be https://".to_owned());
        }
        let written = written(template).is_some_and(|it| it.authority() == url.authority());
        if !written && !api.hosts.iter().any(|pattern| pattern.matches(host)) {
            let shown = Redactor::new([&issued.access_token]).clean(host);
            return Err(format!("host '{shown}' is not among api.hosts"));
        }
    }
    Ok(url.url().as_str().trim_end_matches('/').to_owned())
}

/// Where the configuration leads, if the answer is asked for no more than what follows the host.
fn written(template: &Template) -> Option<Endpoint> {
    let Some(Piece::Text(text)) = template.pieces().first() else {
        return None;
    };
    let (scheme, rest) = text.split_once("://")?;
    let (authority, _) = rest.split_once('/')?;
    Endpoint::parse(&format!("{scheme}://{authority}/")).ok()
}

/// Where a member lands decides what it may be.
fn fill(template: &Template, issued: &Issued) -> Result<String, String> {
    let mut text = String::new();
    for piece in template.pieces() {
        if let Piece::Text(literal) = piece {
            text.push_str(literal);
            continue;
        }
        let one = Template::of(vec![piece.clone()]);
        let value = one.render(|member| lookup(issued, member));
        let value = value.map_err(|member| missing(&member))?;
        if text.is_empty() {
            text.push_str(&value);
            continue;
        }
        let landed = land(&text, &value).map_err(|misfit| {
            let members = one.holes().join("', '");
            format!("'{members}' {misfit}")
        })?;
        text.push_str(&landed);
    }
    Ok(text)
}

#[cfg(test)]
mod tests;

//! `[response]`: where things are in a vendor's answer.

use std::time::Duration;

use super::View;
use crate::config::problem::Report;
use crate::config::tree::Raw;
use crate::spec::{Path, ResponseShape, Scalar, Unit};

const TICK: Duration = Duration::from_millis(1);
const CENTURY: Duration = Duration::from_hours(100 * 365 * 24);
const MAX_PATH: usize = 512;

pub(super) fn response(
    view: &View<'_>,
    token_type: Option<&str>,
    report: &mut Report,
) -> ResponseShape {
    let default = ResponseShape::default();
    let path = |key: &str, default: Path, report: &mut Report| {
        let Some(text) = view.text(key) else {
            return default;
        };
        parse(view, key, text, report).unwrap_or(default)
    };
    let paths = |key: &str, default: Vec<Path>, report: &mut Report| {
        let Some(texts) = view.texts(key) else {
            return default;
        };
        texts
            .into_iter()
            .filter_map(|text| parse(view, key, text, report))
            .collect()
    };
    let lifetime = |key: &str, report: &mut Report| {
        view.node(key)
            .map(|_| view.bounded(key, CENTURY, (TICK, CENTURY), report))
    };
    ResponseShape {
        access_token: path("access_token", default.access_token, report),
        expires_in: path("expires_in", default.expires_in, report),
        expires_in_unit: match view.text("expires_in_unit") {
            Some("milliseconds") => Unit::Milliseconds,
            Some("minutes") => Unit::Minutes,
            _ => Unit::Seconds,
        },
        expires_at: path("expires_at", default.expires_at, report),
        default_lifetime: lifetime("default_lifetime", report),
        max_lifetime: lifetime("max_lifetime", report),
        token_type: kind_of_token(view, token_type, report).unwrap_or(default.token_type),
        success: success(view, report),
        error: paths("error", default.error, report),
        error_description: paths("error_description", default.error_description, report),
        scope: path("scope", default.scope, report),
        refresh_token: path("refresh_token", default.refresh_token, report),
        refresh_token_expires_in: path(
            "refresh_token_expires_in",
            default.refresh_token_expires_in,
            report,
        ),
        retry_after: view
            .text("retry_after")
            .and_then(|text| parse(view, "retry_after", text, report)),
    }
}

fn parse(view: &View<'_>, key: &str, text: &str, report: &mut Report) -> Option<Path> {
    let path = Path::parse(text).filter(|_| text.len() <= MAX_PATH);
    if path.is_none() {
        let message = "must be the path of a member, its steps divided by dots: data.access_token";
        view.problem(key, message, report);
    }
    path
}

/// `token_type` of the grant wins over the one of the table.
fn kind_of_token(view: &View<'_>, own: Option<&str>, report: &mut Report) -> Option<String> {
    let text = own.or_else(|| view.text("token_type"))?;
    let word = text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if !word {
        view.problem("token_type", "must be one word, such as \"Bearer\"", report);
        return None;
    }
    Some(text.to_owned())
}

fn success(view: &View<'_>, report: &mut Report) -> Vec<(Path, Scalar)> {
    let mut all = Vec::new();
    for (name, node) in view.entries("success") {
        let wanted = match &node.raw {
            Raw::Bool(value) => Scalar::Bool(*value),
            Raw::Int(value) => Scalar::Integer(*value),
            Raw::Text(text) => Scalar::Text(text.as_str().to_owned()),
            _ => continue,
        };
        match Path::parse(name) {
            Some(path) => all.push((path, wanted)),
            None => view.problem("success", "has a name that is no path of a member", report),
        }
    }
    all
}

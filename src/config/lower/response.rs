//! `[response]`: where things are in a vendor's answer.

use std::time::Duration;

use super::View;
use crate::config::problem::Report;
use crate::config::tree::Raw;
use crate::spec::{Path, ResponseShape, Scalar, Unit};

const TICK: Duration = Duration::from_millis(1);
const CENTURY: Duration = Duration::from_hours(100 * 365 * 24);
const MAX_PATH: usize = 512;
/// What has no place in a body that is nothing but the token.
const IN_MEMBERS: [&str; 11] = [
    "access_token",
    "expires_in",
    "expires_in_unit",
    "zero_means_never",
    "expires_at",
    "issued_at",
    "success",
    "extended",
    "scope",
    "refresh_token",
    "urls",
];

pub(super) fn response(
    view: &View<'_>,
    token_type: Option<&str>,
    report: &mut Report,
) -> ResponseShape {
    let default = ResponseShape::default();
    let path = |key: &str, report: &mut Report| {
        let text = view.text(key)?;
        parse(view, key, text, report)
    };
    let paths = |key: &str, default: Vec<Path>, report: &mut Report| {
        let Some(texts) = view.texts(key) else {
            return default;
        };
        let found: Vec<Path> = texts
            .into_iter()
            .filter_map(|text| parse(view, key, text, report))
            .collect();
        if found.is_empty() { default } else { found }
    };
    let lifetime = |key: &str, report: &mut Report| {
        view.node(key)
            .map(|_| view.bounded(key, CENTURY, (TICK, CENTURY), report))
    };
    let is_raw = view.text("format") == Some("raw");
    for key in IN_MEMBERS.into_iter().filter(|_| is_raw) {
        if view.node(key).is_some_and(|node| !node.is_providers()) {
            let message = "is not used with format = \"raw\", where the whole body is the token";
            view.problem(key, message, report);
        }
    }
    ResponseShape {
        is_raw,
        access_token: paths("access_token", default.access_token, report),
        expires_in: paths("expires_in", default.expires_in, report),
        expires_in_unit: match view.text("expires_in_unit") {
            Some("milliseconds") => Unit::Milliseconds,
            Some("minutes") => Unit::Minutes,
            Some("d:hh:mm") => Unit::DaysHoursMinutes,
            Some("unix_time") => Unit::UnixTime,
            _ => Unit::Seconds,
        },
        zero_means_never: view.boolean("zero_means_never").unwrap_or(false),
        expires_at: paths("expires_at", default.expires_at, report),
        issued_at: path("issued_at", report),
        default_lifetime: lifetime("default_lifetime", report),
        max_lifetime: lifetime("max_lifetime", report),
        token_type: kind_of_token(view, token_type, report).unwrap_or(default.token_type),
        success: members_equal(view, "success", report).into(),
        extended: members_equal(view, "extended", report).into(),
        error: paths("error", default.error, report),
        error_description: paths("error_description", default.error_description, report),
        scope: paths("scope", default.scope, report),
        refresh_token: paths("refresh_token", default.refresh_token, report),
        refresh_token_expires_in: paths(
            "refresh_token_expires_in",
            default.refresh_token_expires_in,
            report,
        ),
        retry_after: path("retry_after", report),
        urls: paths("urls", Vec::new(), report).into(),
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

/// Members of an answer, and what each must equal.
pub(super) fn members_equal(
    view: &View<'_>,
    key: &str,
    report: &mut Report,
) -> Vec<(Path, Scalar)> {
    let mut all = Vec::new();
    for (name, node) in view.entries(key) {
        let wanted = match &node.raw {
            Raw::Bool(value) => Scalar::Bool(*value),
            Raw::Int(value) => Scalar::Integer(*value),
            Raw::Text(text) => Scalar::Text(text.as_str().to_owned()),
            _ => continue,
        };
        match Path::parse(name) {
            Some(path) => all.push((path, wanted)),
            None => view.problem(key, "has a name that is no path of a member", report),
        }
    }
    all
}

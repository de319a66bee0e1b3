//! Secrets: one source each, within what `[secrets]` allows.

use std::path::{Component, Path, PathBuf};

use super::{SECRET_FORMS, View};
use crate::base::Secret;
use crate::config::Options;
use crate::config::problem::{Report, did_you_mean};
use crate::config::source::Env;
use crate::config::tree::{Node, Origin, Raw, Table};
use crate::spec::{SecretCandidate, SecretPolicy, SecretSource};

const SOURCES: [&str; 3] = ["env", "file", "command"];
const TIMES: [&str; 2] = ["not_before", "expires_at"];

/// What is needed to read any secret.
#[derive(Debug)]
pub(in crate::config) struct Secrets<'a> {
    pub(in crate::config) env: &'a Env,
    pub(in crate::config) options: Options,
    pub(in crate::config) policy: &'a SecretPolicy,
}

/// One secret without times.
pub(in crate::config) fn one_secret(
    node: &Node,
    path: &str,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<SecretSource> {
    match &node.raw {
        Raw::Text(text) => Some(inline(node, text, path, report)),
        Raw::Table(table) => from_table(node, table, &[], path, secrets, report),
        Raw::Bad => None,
        Raw::Bool(_) | Raw::Int(_) | Raw::Float(_) => {
            let message = "must be a string: write it in quotes";
            report.problem(node.file(), node.key(path), message);
            None
        }
        Raw::Null | Raw::List(_) => {
            report.problem(node.file(), node.key(path), SECRET_FORMS);
            None
        }
    }
}

/// `client_secret`: one, or a list in the order to try.
pub(super) fn candidates(
    view: &View<'_>,
    key: &str,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Vec<SecretCandidate> {
    let Some(node) = view.node(key) else {
        return Vec::new();
    };
    let path = view.path(key);
    let Raw::List(items) = &node.raw else {
        let mut found: Vec<_> = candidate(node, &path, secrets, report)
            .into_iter()
            .collect();
        let expires = format!("{key}_expires_at");
        if let (Some(at), Some(one)) = (view.time(&expires), found.first_mut()) {
            one.expires_at = Some(at);
        }
        return found;
    };
    if items.is_empty() {
        view.problem(key, "must have at least one secret", report);
    }
    if view.node(&format!("{key}_expires_at")).is_some() {
        let message = "is for a single secret: write expires_at beside each secret of the list";
        view.problem(&format!("{key}_expires_at"), message, report);
    }
    let candidate = |(index, item): (usize, &Node)| {
        candidate(item, &format!("{path}.{index}"), secrets, report)
    };
    items.iter().enumerate().filter_map(candidate).collect()
}

fn candidate(
    node: &Node,
    path: &str,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<SecretCandidate> {
    let Raw::Table(table) = &node.raw else {
        return Some(SecretCandidate {
            source: one_secret(node, path, secrets, report)?,
            not_before: None,
            expires_at: None,
        });
    };
    let source = from_table(node, table, &TIMES, path, secrets, report);
    let view = View::new(table, path.to_owned(), node.file());
    let mut time = |key: &str| {
        let at = view.time(key);
        if at.is_none() && view.node(key).is_some() {
            let message = "must be a time such as \"2027-05-01T00:00:00Z\" (RFC 3339)";
            view.problem(key, message, report);
        }
        at
    };
    let (not_before, expires_at) = (time("not_before"), time("expires_at"));
    if let (Some(from), Some(to)) = (not_before, expires_at)
        && from >= to
    {
        view.problem("not_before", "must be before expires_at", report);
    }
    Some(SecretCandidate {
        source: source?,
        not_before,
        expires_at,
    })
}

fn inline(node: &Node, text: &str, path: &str, report: &mut Report) -> SecretSource {
    if text.is_empty() {
        report.problem(node.file(), node.key(path), "is empty");
    } else if !matches!(node.origin, Origin::Variable(_)) {
        let message =
            "is a secret in the file itself: better { env = \"...\" } or { file = \"...\" }";
        report.warning(node.file(), node.key(path), message);
    }
    SecretSource::Value(Secret::new(text))
}

fn from_table(
    node: &Node,
    table: &Table,
    further: &[&str],
    path: &str,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<SecretSource> {
    let view = View::new(table, path.to_owned(), node.file());
    let known = || SOURCES.iter().chain(further).copied();
    let mut clean = true;
    for (name, _) in &table.0 {
        if !known().any(|known| known == name) {
            let near = did_you_mean(name, known());
            view.problem(
                name,
                format!("is not a known key of a secret{near}"),
                report,
            );
            clean = false;
        }
    }
    let given: Vec<_> = SOURCES
        .into_iter()
        .filter(|source| view.has(source))
        .collect();
    let [source] = given.as_slice() else {
        if clean || given.len() > 1 {
            let message = "must have exactly one source: env, file or command";
            report.problem(node.file(), node.key(path), message);
        }
        return None;
    };
    let message = match (
        *source,
        view.table
            .and_then(|table| table.get(source))
            .map(|one| &one.raw),
    ) {
        ("command", Some(Raw::List(items))) => return command(&view, items, secrets, report),
        ("command", _) => "must be a list of strings: an absolute path and its arguments",
        ("env", Some(Raw::Text(name))) if !name.is_empty() => {
            return variable(&view, name, secrets, report);
        }
        ("env", _) => "must be the name of a variable, in quotes",
        (_, Some(Raw::Text(file))) if !file.is_empty() => {
            return secret_file(&view, "file", file, secrets.policy, report);
        }
        (_, _) => "must be the path of a file, in quotes",
    };
    view.problem(source, message, report);
    None
}

fn variable(
    view: &View<'_>,
    name: &str,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<SecretSource> {
    if name.contains(['=', '\0']) {
        view.problem("env", "must be the name of a variable", report);
        return None;
    }
    match secrets.env.get(name) {
        Some(value) if !value.is_empty() => Some(SecretSource::Value(Secret::new(value))),
        _ if secrets.options.without_secrets => Some(SecretSource::Value(Secret::new(""))),
        // The name is not repeated: someone may have put the secret itself there.
        Some(_) => {
            view.problem("env", "names a variable that is set but empty", report);
            None
        }
        None => {
            view.problem("env", "names a variable that is not set", report);
            None
        }
    }
}

/// `key` names the file.
pub(super) fn secret_file(
    view: &View<'_>,
    key: &str,
    file: &str,
    policy: &SecretPolicy,
    report: &mut Report,
) -> Option<SecretSource> {
    let path = Path::new(file);
    let climbs = path
        .components()
        .any(|part| matches!(part, Component::ParentDir));
    let allowed = policy.files.is_empty()
        || (!climbs && policy.files.iter().any(|pattern| glob(pattern, file)));
    if !allowed {
        view.problem(
            key,
            "is not among the files that [secrets] files allows",
            report,
        );
        return None;
    }
    if file.contains('\0') {
        view.problem(key, "must be the path of a file", report);
        return None;
    }
    report.secret_files.push(path.to_owned());
    Some(SecretSource::File(PathBuf::from(file)))
}

fn command(
    view: &View<'_>,
    items: &[Node],
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<SecretSource> {
    if !secrets.policy.commands {
        let message = "is refused: set commands = true in [secrets] to allow it";
        view.problem("command", message, report);
        return None;
    }
    let words: Option<Vec<String>> = items
        .iter()
        .map(|item| item.text().map(str::to_owned))
        .collect();
    let words = words.filter(|words| {
        words
            .first()
            .is_some_and(|program| Path::new(program).is_absolute())
            && words.iter().all(|word| !word.contains('\0'))
    });
    if words.is_none() {
        let message = "must be a list of strings: an absolute path and its arguments";
        view.problem("command", message, report);
    }
    words.map(SecretSource::Command)
}

/// `*` within a segment, `**` across segments; everything else is itself.
fn glob(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    segments(&pattern, &path)
}

fn segments(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**"], rest) => !rest.is_empty(),
        (["**", rest @ ..], _) => {
            segments(rest, path)
                || path
                    .split_first()
                    .is_some_and(|(_, after)| segments(pattern, after))
        }
        ([wanted, rest @ ..], [found, after @ ..]) => {
            segment(wanted, found) && segments(rest, after)
        }
        _ => false,
    }
}

fn segment(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(before) else {
        return false;
    };
    let mut rest = rest;
    let mut parts: Vec<&str> = after.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn patterns_of_files() {
        for (pattern, path) in [
            ("/run/secrets/**", "/run/secrets/a"),
            ("/run/secrets/**", "/run/secrets/a/b"),
            ("/run/*/x-*-y", "/run/q/x-1-2-y"),
            ("/a/**/z", "/a/z"),
            ("/a/**/z", "/a/b/c/z"),
        ] {
            assert!(glob(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("/run/secrets/**", "/run/secrets"),
            ("/run/secrets/*", "/run/secrets/a/b"),
            ("/run/secrets/*", "/run/secretsx/a"),
            ("/a/x*y", "/a/xz"),
            ("/a", "/b"),
        ] {
            assert!(!glob(pattern, path), "{pattern} {path}");
        }
    }
}

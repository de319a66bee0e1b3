//! An examination as text: sent, came back, means, do.

use std::time::Duration;

use super::examine::Examination;
use super::findings::{self, Level};
use crate::base::HumanDuration;
use crate::exchange::{Attempt, Trace};

const WIDTH: usize = 12;

pub(super) fn of(one: &Examination) -> String {
    let findings = findings::of(one);
    let verdict = if findings::all_good(&findings) {
        "ok"
    } else {
        "FAILED"
    };
    let integration = &one.integration;
    let mut lines = vec![format!(
        "{}: {verdict}  ({}, {})",
        integration.id,
        integration.provider,
        integration.grant.name()
    )];
    exchange(&one.trace, &mut lines);
    if let Some(varied) = &one.varied {
        let label = varied.variation.as_str();
        lines.push(row("tried too", &format!("the same with {label}")));
        exchange(&varied.trace, &mut lines);
    }
    for finding in &findings {
        let label = match finding.level {
            Level::Problem => "problem",
            Level::Warning => "warning",
            Level::Note => "means",
        };
        lines.push(row(label, &finding.says));
        for advice in &finding.advice {
            lines.push(row("  do", advice));
        }
    }
    lines.join("\n")
}

fn exchange(trace: &Trace, lines: &mut Vec<String>) {
    let several = trace.attempts.len() > 1;
    for attempt in &trace.attempts {
        sent(attempt, several, lines);
        came_back(attempt, lines);
    }
}

fn sent(attempt: &Attempt, several: bool, lines: &mut Vec<String>) {
    let mut first = format!("{} {}", attempt.sent.method, attempt.sent.url);
    if let (Some(index), true) = (attempt.secret_index, several) {
        first = format!("{first}  (client secret {})", index + 1);
    }
    lines.push(row("sent", &first));
    if let Some(proxy) = &attempt.proxy {
        lines.push(row("", &format!("through the proxy {proxy}")));
    }
    headers(&attempt.sent.headers, lines);
    if !attempt.sent.body.is_empty() {
        lines.push(row("", &attempt.sent.body));
    }
}

fn came_back(attempt: &Attempt, lines: &mut Vec<String>) {
    let millis = u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX);
    let took = HumanDuration(Duration::from_millis(millis));
    let Some(answer) = &attempt.answer else {
        let why = attempt.trouble.as_ref();
        let why = why.map_or_else(String::new, |error| format!(": {error}"));
        lines.push(row("came back", &format!("nothing after {took}{why}")));
        return;
    };
    lines.push(row("came back", &format!("{} after {took}", answer.status)));
    headers(&answer.headers, lines);
    if !answer.body.is_empty() {
        lines.push(row("", &answer.body));
    }
}

fn headers(headers: &[(String, String)], lines: &mut Vec<String>) {
    for (name, value) in headers {
        lines.push(row("", &format!("{name}: {value}")));
    }
}

fn row(label: &str, text: &str) -> String {
    format!("  {label:<WIDTH$}{text}")
}

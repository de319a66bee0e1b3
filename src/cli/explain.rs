//! A problem document in words: what happened, what the vendor said, what it means, what to do.
//!
//! The document comes over a socket, so its text is made fit for a terminal here once more.

use serde_json::{Value, json};

use crate::base::{Failure, Redactor};
use crate::net::local::Answer;

/// The explanation of an answer that is not 2xx.
pub(super) fn answer(answer: &Answer) -> String {
    match serde_json::from_str::<Value>(answer.body.expose()) {
        Ok(document) if document.get("error").is_some() => problem(&document),
        _ => format!(
            "error: the broker answered {} without an explanation",
            answer.status
        ),
    }
}

/// The explanation of a problem document.
pub(super) fn problem(document: &Value) -> String {
    let redactor = Redactor::default();
    let text = |value: &Value| match value {
        Value::String(text) => Some(redactor.clean(text)).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let member = |name: &str| document.get(name).and_then(text);
    let about = member("integration").map_or_else(String::new, |name| format!("{name}: "));
    // Where nothing but the sentence for people is known, the title only repeats it.
    let (said, detail) = (member("error_description"), member("detail"));
    let title = member("title").filter(|_| said != detail);
    let what = match (title, said.or(detail)) {
        (Some(title), Some(said)) => format!("{title}: {said}"),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => "something went wrong".to_owned(),
    };
    let mut lines = vec![format!("error: {about}{what}")];
    if let Some(vendor) = document.get("vendor") {
        let parts = ["status", "error", "error_description"];
        let parts = parts.iter().filter_map(|name| vendor.get(*name));
        let said: Vec<String> = parts.filter_map(text).collect();
        if !said.is_empty() {
            lines.push(format!("  vendor said:  {}", said.join(", ")));
        }
    }
    if let Some(hint) = member("hint") {
        lines.push(format!("  hint:         {hint}"));
    }
    let code = document.get("error").and_then(Value::as_str);
    let seconds = document.get("retry_after").and_then(Value::as_u64);
    let name = member("integration");
    if let Some(next) = what_to_do(code.unwrap_or_default(), seconds, name.as_deref()) {
        lines.push(format!("  what to do:   {next}"));
    }
    let asks_the_vendor = [
        "credentials_rejected",
        "request_rejected",
        "temporarily_unavailable",
    ];
    if let (Some(name), true) = (
        member("integration"),
        code.is_some_and(|code| asks_the_vendor.contains(&code)),
    ) {
        lines.push(format!(
            "  to see more:  token-broker doctor {name} --config PATH"
        ));
    }
    lines.join("\n")
}

/// The explanation of a failed exchange in this process.
pub(super) fn failure(name: &str, failure: &Failure) -> String {
    problem(&failure_document(name, failure))
}

/// A failed exchange as a problem document without what only HTTP needs.
pub(super) fn failure_document(name: &str, failure: &Failure) -> Value {
    let vendor = failure.vendor.as_ref().map(|vendor| {
        json!({ "status": vendor.status, "error": vendor.error,
            "error_description": vendor.error_description })
    });
    json!({
        "integration": name,
        "error": failure.code.as_str(),
        "error_description": failure.description,
        "retryable": failure.code.retryable(),
        "hint": failure.hint,
        "retry_after": failure.retry_after.map(|wait| wait.as_secs()),
        "vendor": vendor,
    })
}

fn what_to_do(code: &str, retry_after: Option<u64>, name: Option<&str>) -> Option<String> {
    let fixed = match code {
        "credentials_rejected" => "correct the client id or secret; a new secret is tried at once",
        "request_rejected" => "correct the integration's configuration; waiting does not help",
        "login_required" => {
            let name = name.unwrap_or("NAME");
            return Some(format!(
                "token-broker login {name} (or put a new refresh token where the configuration names one)"
            ));
        }
        "token_expired" => "put a new token where the configuration points",
        "secret_unavailable" => "make the secret readable; the broker looks for it by itself",
        "unknown_integration" => "token-broker status lists the integrations",
        "access_denied" => {
            "if the broker wants a header ([access] require_header), name its configuration: --config PATH"
        }
        _ => {
            return retry_after.map(|seconds| {
                format!("try again in {seconds} s; the broker tries by itself meanwhile")
            });
        }
    };
    Some(fixed.to_owned())
}

//! A provider file with one key gone or changed.

use serde_json::{Value, json};

pub(super) struct Mutation {
    pub(super) path: String,
    pub(super) what: &'static str,
    pub(super) tree: Value,
}

/// Every key, and every item of a list, once removed; every value once changed.
pub(super) fn all(tree: &Value) -> Vec<Mutation> {
    let mut found = Vec::new();
    walk(tree, tree, &mut Vec::new(), &mut found);
    found
}

fn walk(tree: &Value, here: &Value, path: &mut Vec<String>, found: &mut Vec<Mutation>) {
    if !path.is_empty() {
        let mut push = |what, tree| {
            let path = path.join(".");
            found.push(Mutation { path, what, tree });
        };
        let mut without = tree.clone();
        remove(&mut without, path);
        push("removed", without);
        if let Some(other) = changed(path.last().unwrap(), here) {
            let mut with = tree.clone();
            *at(&mut with, path) = other;
            push("changed", with);
        }
    }
    let inner: Vec<(String, &Value)> = match here {
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, value)| (index.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    for (key, value) in inner {
        path.push(key);
        walk(tree, value, path, found);
        path.pop();
    }
}

fn at<'a>(tree: &'a mut Value, path: &[String]) -> &'a mut Value {
    path.iter().fold(tree, |value, step| match value {
        Value::Array(items) => &mut items[step.parse::<usize>().unwrap()],
        other => &mut other[step.as_str()],
    })
}

fn remove(tree: &mut Value, path: &[String]) {
    let (last, parents) = path.split_last().unwrap();
    match at(tree, parents) {
        Value::Array(items) => {
            items.remove(last.parse().unwrap());
        }
        Value::Object(members) => {
            members.shift_remove(last).unwrap();
        }
        other => panic!("{other}"),
    }
}

/// Another value of the same kind: valid where that is possible, so that it is not merely refused.
fn changed(key: &str, value: &Value) -> Option<Value> {
    Some(match (key, value) {
        ("advice", Value::String(_)) => json!("something else"),
        ("outcome", Value::String(outcome)) if outcome == "transient" => json!("bad_request"),
        ("outcome", Value::String(_)) => json!("transient"),
        ("request_format", Value::String(format)) if format == "json" => json!("form"),
        ("request_format" | "format", Value::String(_)) => json!("json"),
        ("method", Value::String(method)) if method == "GET" => json!("POST"),
        ("method", Value::String(_)) => json!("GET"),
        ("algorithm", Value::String(algorithm)) if algorithm == "RS256" => json!("PS256"),
        ("reissue", Value::String(_)) => json!("independent"),
        ("token_endpoint_auth_method", Value::String(_)) => json!("client_secret_basic"),
        ("scope_separator", Value::String(_)) => json!(";"),
        ("expires_in_unit", Value::String(_)) => json!("minutes"),
        ("default_lifetime" | "lifetime" | "backdate", Value::String(_)) => json!("7s"),
        ("refresh_token_rotation", Value::String(was)) if was == "never" => json!("always"),
        ("refresh_token_rotation", Value::String(_)) => json!("never"),
        ("refresh_token_lifetime" | "refresh_token_idle_lifetime", Value::String(_)) => {
            json!("1d")
        }
        ("rate_limit", Value::String(_)) => json!("7/7h"),
        ("pattern", Value::String(pattern)) => json!(format!("({pattern})x")),
        (_, Value::String(text)) => json!(format!("{text}x")),
        (_, Value::Bool(flag)) => json!(!flag),
        (_, Value::Number(number)) => json!(number.as_i64()? + 1),
        (_, Value::Null | Value::Array(_) | Value::Object(_)) => return None,
    })
}

//! `GET /openapi.json`: the API as OpenAPI 3.1, made of the tables the router, the query parser and
//! the errors work with.

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::answer::{self, Answer};
use super::error::{oauth_word, status};
use super::query::Param;
use super::resource::Resource;
use crate::base::ErrorCode;
use crate::snapshot::State;

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());

pub(super) fn answer() -> Answer {
    answer::text("application/json", DOCUMENT.clone())
}

pub(super) fn document() -> Value {
    let mut paths = Map::new();
    for resource in Resource::ALL {
        let mut item = Map::new();
        if resource.gets() {
            item.insert("get".to_owned(), operation(resource, "get"));
            item.insert("head".to_owned(), operation(resource, "head"));
        }
        if resource.posts() {
            item.insert("post".to_owned(), operation(resource, "post"));
        }
        paths.insert(resource.path().to_owned(), Value::Object(item));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Token broker",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Serves fresh access tokens of the configured integrations to local programs.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8656"}],
        "paths": paths,
        "components": {"schemas": schemas()},
    })
}

fn summary(resource: Resource) -> &'static str {
    match resource {
        Resource::Token => "A valid access token",
        Resource::DropIn => {
            "A valid access token, for SDKs whose token URL can be set; the body is ignored"
        }
        Resource::Refresh => "A new access token, for instance after the vendor's API answered 401",
        Resource::Headers => "All that a call to the vendor's API needs",
        Resource::Login => "Begin a login: a person consents at the vendor",
        Resource::LoginCallback => {
            "The page to which the vendor's page sends the browser back; it takes whatever parameters the vendor adds"
        }
        Resource::LoginComplete => "Complete a login with the redirect URL, copied from a browser",
        Resource::Integrations => "The state of all integrations",
        Resource::Integration => "The state of one integration",
        Resource::Livez => "Whether the process runs",
        Resource::Readyz => "Whether requests are served",
        Resource::Startupz => "Whether every required integration had its first answer",
        Resource::Metrics => "Metrics in the Prometheus text format",
        Resource::OpenApi => "This document",
    }
}

/// The word before the method in `operationId`.
fn id(resource: Resource) -> &'static str {
    match resource {
        Resource::Token => "token",
        Resource::DropIn => "drop_in",
        Resource::Refresh => "refresh",
        Resource::Headers => "headers",
        Resource::Login => "login",
        Resource::LoginCallback => "login_callback",
        Resource::LoginComplete => "login_complete",
        Resource::Integrations => "integrations",
        Resource::Integration => "integration",
        Resource::Livez => "livez",
        Resource::Readyz => "readyz",
        Resource::Startupz => "startupz",
        Resource::Metrics => "metrics",
        Resource::OpenApi => "openapi",
    }
}

fn operation(resource: Resource, method: &str) -> Value {
    let drop_in = resource == Resource::DropIn || (resource == Resource::Token && method == "post");
    let params = if drop_in {
        Resource::DropIn.params()
    } else {
        resource.params()
    };
    let mut parameters: Vec<_> = ["integration", "path"]
        .into_iter()
        .filter(|name| resource.path().contains(&format!("{{{name}}}")))
        .map(path_parameter)
        .collect();
    parameters.extend(params.iter().copied().map(query_parameter));
    let mut operation = json!({
        "operationId": format!("{}_{method}", id(resource)),
        "summary": summary(resource),
        "parameters": parameters,
        "responses": responses(resource, method, drop_in),
    });
    if let Some(body) = request_body(resource, drop_in)
        && let Some(members) = operation.as_object_mut()
    {
        members.insert("requestBody".to_owned(), body);
    }
    operation
}

fn path_parameter(name: &str) -> Value {
    let schema = if name == "integration" {
        json!({"type": "string", "pattern": "^[a-z0-9]+([_-][a-z0-9]+)*$", "maxLength": 64})
    } else {
        json!({"type": "string", "minLength": 1})
    };
    json!({"name": name, "in": "path", "required": true, "schema": schema})
}

/// What [`parse_duration`](crate::base::parse_duration) reads, as far as the numbers cannot
/// overflow: three hundred thousand years.
const DURATION: &str =
    "^([0-9]{1,13}|([0-9]{1,8}d)?([0-9]{1,9}h)?([0-9]{1,11}m)?([0-9]{1,13}s)?([0-9]{1,16}ms)?)$";

fn query_parameter(param: Param) -> Value {
    let schema = if param.values().is_empty() {
        json!({"type": "string", "pattern": DURATION, "minLength": 1})
    } else {
        json!({"type": "string", "enum": param.values()})
    };
    json!({"name": param.name(), "in": "query", "description": param.about(), "schema": schema,
        "allowEmptyValue": param == Param::Verbose})
}

fn request_body(resource: Resource, drop_in: bool) -> Option<Value> {
    if drop_in {
        let any = json!({"schema": {}});
        return Some(
            json!({"required": false, "description": "Anything up to 64 KiB; ignored.",
            "content": {"application/x-www-form-urlencoded": any, "*/*": any}}),
        );
    }
    if resource == Resource::LoginComplete {
        let text = json!({"schema": {"type": "string"}});
        return Some(json!({"required": true, "content": {"text/plain": text,
            "application/json": {"schema": reference("Redirected")}}}));
    }
    (resource == Resource::Refresh).then(|| {
        json!({"required": false, "content": {"application/json": {"schema": reference("Rejected")}}})
    })
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn content(media: &str, schema: &Value) -> Value {
    json!({media: {"schema": schema}})
}

fn responses(resource: Resource, method: &str, drop_in: bool) -> Value {
    let text = json!({"type": "string"});
    let plain = || content("text/plain", &text);
    let ok = match resource {
        Resource::Token | Resource::DropIn | Resource::Refresh if !drop_in => {
            json!({"application/json": {"schema": reference("Token")}, "text/plain": {"schema": text}})
        }
        Resource::Token | Resource::DropIn | Resource::Refresh => {
            content("application/json", &reference("Token"))
        }
        Resource::Headers => {
            json!({"application/json": {"schema": reference("ApiCall")}, "text/plain": {"schema": text}})
        }
        Resource::Integrations => content("application/json", &reference("Status")),
        Resource::Login => content("application/json", &reference("Login")),
        Resource::LoginCallback => content("text/html", &text),
        Resource::LoginComplete | Resource::Integration => {
            content("application/json", &reference("Integration"))
        }
        Resource::Livez | Resource::Readyz | Resource::Startupz | Resource::Metrics => plain(),
        Resource::OpenApi => content("application/json", &json!({"type": "object"})),
    };
    let problem = match resource {
        _ if drop_in => content("application/json", &reference("OAuthError")),
        // The guards come first, and know no pages.
        Resource::LoginCallback => {
            json!({"text/html": {"schema": text}, "application/problem+json": {"schema": reference("Problem")}})
        }
        _ => content("application/problem+json", &reference("Problem")),
    };
    let mut responses = Map::new();
    let mut answer = |status: &str, description: &str, content: &Value| {
        let mut response =
            json!({"description": description, "headers": headers(resource, status)});
        if resource == Resource::Integrations
            && status == "200"
            && method == "get"
            && let Some(members) = response.as_object_mut()
        {
            members.insert("links".to_owned(), links());
        }
        // An answer to HEAD has no body to describe.
        if method != "head"
            && let Some(members) = response.as_object_mut()
        {
            members.insert("content".to_owned(), content.clone());
        }
        responses.insert(status.to_owned(), response);
    };
    answer("200", summary(resource), &ok);
    if resource.is_token() || resource.is_login() {
        for code in ErrorCode::ALL {
            answer(status(code).as_str(), "See `error`", &problem);
        }
    } else if resource == Resource::Integration {
        answer(
            status(ErrorCode::UnknownIntegration).as_str(),
            "No integration has that name",
            &problem,
        );
    } else if resource.is_probe() {
        answer("503", "Not yet, or not any more", &plain());
    }
    answer(
        "4XX",
        "A request that is malformed or not allowed",
        &problem,
    );
    Value::Object(responses)
}

/// The headers an answer promises.
fn headers(resource: Resource, status: &str) -> Value {
    let required = |schema: &Value| json!({"required": true, "schema": schema});
    let mut headers = Map::new();
    let mut promise = |name: &str, header: Value| {
        headers.insert(name.to_owned(), header);
    };
    promise("Cache-Control", required(&json!({"const": "no-store"})));
    promise(
        "X-Content-Type-Options",
        required(&json!({"const": "nosniff"})),
    );
    if status == "503" && resource.is_login() && resource != Resource::LoginCallback {
        promise(
            "Retry-After",
            required(&json!({"type": "integer", "minimum": 1})),
        );
    }
    if resource.is_token() {
        let seconds = json!({"type": "integer", "minimum": 0});
        match status {
            "200" => promise(
                "Token-Expires-In",
                json!({"description": "Whole seconds left; absent where the token does not expire.",
                    "schema": seconds}),
            ),
            "503" => promise(
                "Retry-After",
                required(&json!({"type": "integer", "minimum": 1})),
            ),
            _ => {}
        }
    }
    Value::Object(headers)
}

/// What can be asked about an integration that the list names.
fn links() -> Value {
    let first = "$response.body#/integrations/0/name";
    let about = [
        (Resource::Token, "get"),
        (Resource::Token, "post"),
        (Resource::Refresh, "post"),
        (Resource::Headers, "get"),
        (Resource::Integration, "get"),
    ];
    let link = |(resource, method): (Resource, &str)| {
        let id = format!("{}_{method}", id(resource));
        let link = json!({"operationId": id, "parameters": {"integration": first}});
        (id, link)
    };
    Value::Object(about.into_iter().map(link).collect())
}

fn nullable(kind: &str) -> Value {
    json!({"type": [kind, "null"]})
}

fn schemas() -> Value {
    let errors = ErrorCode::ALL.map(ErrorCode::as_str);
    let mut words = ErrorCode::ALL.map(oauth_word).to_vec();
    words.sort_unstable();
    words.dedup();
    let states = State::ALL.map(State::as_str);
    let string = || json!({"type": "string"});
    let time = || json!({"type": ["string", "null"], "format": "date-time"});
    let vendor = json!({"type": "object", "properties": {"status": nullable("integer"),
        "error": nullable("string"), "error_description": nullable("string")},
        "required": ["status", "error", "error_description"], "additionalProperties": false});
    json!({
        "Token": {
            "type": "object",
            "description": "RFC 6749 section 5.1, live, with the vendor's further members.",
            "required": ["access_token", "token_type"],
            "properties": {"access_token": {"type": "string", "pattern": "^[!-~]+$", "maxLength": 65536},
                "token_type": {"type": "string", "minLength": 1},
                "expires_in": {"type": "integer", "minimum": 0},
                "expires_at": {"type": "string", "format": "date-time"}, "scope": string()},
            "additionalProperties": true,
        },
        "ApiCall": {
            "type": "object",
            "required": ["base_url", "headers", "query"],
            "properties": {"base_url": nullable("string"),
                "headers": {"type": "object", "additionalProperties": string()},
                "query": {"type": "object", "additionalProperties": string()}},
            "additionalProperties": false,
        },
        "Login": login_begun(),
        "Redirected": redirected(),
        "Rejected": {
            "type": "object",
            "properties": {"rejected": {"type": ["string", "null"], "minLength": 1,
                "description": "The token the vendor's API refused, or its sha256 in hexadecimal."}},
            "additionalProperties": false,
        },
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail", "integration", "error", "error_description",
                "retryable"],
            "properties": {"type": string(), "title": string(), "status": {"type": "integer"},
                "detail": string(), "integration": nullable("string"),
                "error": {"type": "string", "enum": errors}, "error_description": string(),
                "retryable": {"type": "boolean"}, "hint": string(),
                "retry_after": {"type": "integer", "minimum": 1}, "vendor": vendor},
            "additionalProperties": false,
        },
        "OAuthError": {
            "type": "object",
            "required": ["error", "error_description"],
            "properties": {"error": {"type": "string", "enum": words},
                // RFC 6749 section 5.2 has this set of characters.
                "error_description": {"type": "string", "pattern": "^[ !#-\\[\\]-~]*$"}},
            "additionalProperties": false,
        },
        "Integration": integration(&states, &time()),
        "Status": {
            "type": "object",
            "required": ["integrations", "config", "version"],
            "properties": {
                "integrations": {"type": "array", "items": reference("Integration")},
                "config": {"type": "object", "required": ["loaded_at", "last_reload"],
                    "properties": {"loaded_at": {"type": "string", "format": "date-time"},
                        "last_reload": reload()}},
                "version": string(),
            },
            "additionalProperties": false,
        },
    })
}

fn login_begun() -> Value {
    let string = || json!({"type": "string"});
    json!({
        "description": "What a person has to do: visit a page, or enter a code on one.",
        "oneOf": [
            {"type": "object", "required": ["authorization_url", "redirect_uri", "expires_in"],
                "properties": {"authorization_url": {"type": "string", "format": "uri"},
                    "redirect_uri": {"type": "string", "format": "uri",
                        "description": "Where the browser ends."},
                    "expires_in": {"type": "integer", "minimum": 0}},
                "additionalProperties": false},
            {"type": "object", "required": ["user_code", "verification_uri", "expires_in"],
                "properties": {"user_code": string(), "verification_uri": string(),
                    "verification_uri_complete": string(),
                    "expires_in": {"type": "integer", "minimum": 0}},
                "additionalProperties": false},
        ],
    })
}

fn redirected() -> Value {
    json!({
        "type": "object",
        "required": ["redirect_url"],
        "properties": {"redirect_url": {"type": "string",
            "description": "The whole address at which the browser ended, or its query."}},
        "additionalProperties": false,
    })
}

/// Null until the configuration was loaded again.
fn reload() -> Value {
    let list = json!({"type": "array", "items": {"type": "object",
        "required": ["file", "key", "message"],
        "properties": {"file": {"type": "string"}, "key": {"type": "string"},
            "message": {"type": "string"}}}});
    json!({
        "type": ["object", "null"],
        "required": ["at", "outcome", "problems", "warnings"],
        "properties": {
            "at": {"type": "string", "format": "date-time"},
            "outcome": {"type": "string", "enum": ["success", "failure"]},
            "problems": list,
            "warnings": list,
        },
    })
}

fn integration(states: &[&str], time: &Value) -> Value {
    let string = json!({"type": "string"});
    let count = json!({"type": ["integer", "null"], "minimum": 0});
    let properties = json!({
        "name": string, "provider": string, "grant": string,
        "state": {"type": "string", "enum": states},
        "expires_at": time, "expires_in": count, "refresh_at": time,
        "last_success_at": time, "consecutive_failures": {"type": "integer", "minimum": 0},
        "last_error": {"oneOf": [reference("Problem"), {"type": "null"}]},
        "secret_in_use": count, "secret_expires_at": time,
        "refresh_token_expires_at": time, "store_error": nullable("string"),
        "login": {"oneOf": [{"type": "null"}, {"type": "object", "required": ["state", "error"],
            "properties": {"state": {"type": "string", "enum": ["waiting", "done", "failed"]},
                "error": {"oneOf": [reference("Problem"), {"type": "null"}]}},
            "additionalProperties": false}]},
        "token_fingerprint": {"type": ["string", "null"], "pattern": "^[0-9a-f]{12}$"},
    });
    let required: Vec<_> = properties
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .collect();
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
}

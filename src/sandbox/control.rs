//! `/control`: faults and lifetimes switched from outside, and a look at what happened.
//!
//! Must not show a secret: requests are shown through [`super::state::shown_request`] only.

use std::time::Duration;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::consent::{self, Grants, Settings};
use super::fault::Order;
use super::reply::Reply;
use super::state::Shared;
use super::vendor::VENDORS;

/// Longer than any vendor's; beyond what a broker may call a lifetime, so that it can be tried.
const MAX_LIFETIME: u64 = 1_000_000_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    action: Action,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Stage,
    Activate,
    Expire,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lifetime {
    seconds: u64,
}

/// `path` is what follows `/control/`.
pub(super) fn reply(shared: &Shared, method: &Method, path: &str, body: &[u8]) -> Reply {
    let (name, action) = path.split_once('/').unwrap_or((path, ""));
    if name.is_empty() {
        return overview(shared, method);
    }
    let Some((vendor, mut state)) = shared.vendor(name) else {
        let message = "no such vendor here; GET /control lists them";
        return Reply::problem(StatusCode::NOT_FOUND, message);
    };
    match (action, method) {
        ("", &Method::GET) => {}
        ("fault", &Method::POST) => match parse(body).and_then(Order::parse) {
            Ok(Order::Arm(armed)) => state.fault = Some(armed),
            Ok(Order::Revoke) => {
                return Reply::json(StatusCode::OK, &json!({ "revoked": state.revoke() }));
            }
            Err(message) => return Reply::problem(StatusCode::BAD_REQUEST, &message),
        },
        ("fault", &Method::DELETE) => state.fault = None,
        ("lifetime", &Method::PUT) => match parse(body).and_then(lifetime) {
            Ok(lifetime) => state.lifetime = lifetime,
            Err(message) => return Reply::problem(StatusCode::BAD_REQUEST, &message),
        },
        ("secret", &Method::POST) => {
            let change: Change = match parse(body).and_then(|body| {
                serde_json::from_value(body)
                    .map_err(|error| format!("{error}; right would be {{\"action\": \"stage\"}}"))
            }) {
                Ok(change) => change,
                Err(message) => return Reply::problem(StatusCode::BAD_REQUEST, &message),
            };
            let changed = match change.action {
                Action::Stage => state.secrets.stage(),
                Action::Activate => state.secrets.activate(),
                Action::Expire => state.secrets.expire(),
            };
            return match changed {
                Ok(answer) => Reply::json(StatusCode::OK, &answer),
                Err(message) => Reply::problem(StatusCode::CONFLICT, message),
            };
        }
        ("refresh-tokens" | "consent" | "device" | "grant", _) => {
            return consents(state.grants.as_mut(), action, method, body);
        }
        ("" | "fault" | "lifetime" | "secret", _) => {
            let message = "GET /control/VENDOR, POST or DELETE /control/VENDOR/fault, PUT /control/VENDOR/lifetime, POST /control/VENDOR/secret";
            return Reply::problem(StatusCode::METHOD_NOT_ALLOWED, message);
        }
        _ => {
            return Reply::problem(
                StatusCode::NOT_FOUND,
                "no such control; GET / explains them",
            );
        }
    }
    Reply::json(StatusCode::OK, &state.report(vendor))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decided {
    user_code: String,
    allow: bool,
}

/// What a person would do, and what became of it.
fn consents(grants: Option<&mut Grants>, action: &str, method: &Method, body: &[u8]) -> Reply {
    let Some(grants) = grants else {
        let message = "nobody consents to anything at this vendor";
        return Reply::problem(StatusCode::NOT_FOUND, message);
    };
    match (action, method) {
        ("refresh-tokens", &Method::GET) => Reply::json(StatusCode::OK, &grants.report()),
        ("refresh-tokens", &Method::DELETE) => {
            Reply::json(StatusCode::OK, &json!({ "revoked": grants.revoke_all() }))
        }
        ("grant", &Method::POST) => {
            let refresh_token = grants.consented();
            Reply::json(StatusCode::OK, &json!({ "refresh_token": refresh_token }))
        }
        ("consent", &Method::PUT) => match parse(body).and_then(read::<Settings>) {
            Ok(settings) => {
                grants.settings = settings;
                Reply::json(StatusCode::OK, &grants.report())
            }
            Err(message) => Reply::problem(StatusCode::BAD_REQUEST, &message),
        },
        ("device", &Method::POST) => match parse(body).and_then(read::<Decided>) {
            Ok(decided) if grants.decide(&decided.user_code, decided.allow) => {
                Reply::json(StatusCode::OK, &json!({ "allowed": decided.allow }))
            }
            Ok(_) => Reply::problem(StatusCode::NOT_FOUND, "nobody waits under this user_code"),
            Err(message) => Reply::problem(StatusCode::BAD_REQUEST, &message),
        },
        _ => {
            let message = "GET or DELETE /control/VENDOR/refresh-tokens, PUT /control/VENDOR/consent, POST /control/VENDOR/grant, POST /control/VENDOR/device";
            Reply::problem(StatusCode::METHOD_NOT_ALLOWED, message)
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, String> {
    serde_json::from_value(body).map_err(|error| error.to_string())
}

fn overview(shared: &Shared, method: &Method) -> Reply {
    if method != Method::GET {
        return Reply::problem(StatusCode::METHOD_NOT_ALLOWED, "only GET here");
    }
    let reports: Vec<Value> = VENDORS
        .iter()
        .chain(consent::VENDORS)
        .filter_map(|vendor| shared.vendor(vendor.name))
        .map(|(vendor, state)| state.report(vendor))
        .collect();
    Reply::json(StatusCode::OK, &json!({ "vendors": reports }))
}

fn parse(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))
}

fn lifetime(body: Value) -> Result<Duration, String> {
    let wanted: Lifetime = serde_json::from_value(body)
        .map_err(|error| format!("{error}; right would be {{\"seconds\": 4}}"))?;
    if wanted.seconds > MAX_LIFETIME {
        return Err("seconds must be at most 1000000000000".to_owned());
    }
    Ok(Duration::from_secs(wanted.seconds))
}

//! What is found of a grant that only the running broker may ask with.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::base::{Clock as _, Secret, SystemClock};
use crate::config::{Env, Format, Options, load_text};
use crate::exchange::Trace;
use crate::spec::{FirstRefreshToken, Refreshing, Rotation, SecretSource};

fn found(status: Result<Value, String>) -> Vec<Finding> {
    let text = "[integrations.x]\ngrant = \"client_credentials\"\nclient_id = \"me\"\n\
                token_endpoint = \"https://auth.example.com/token\"\n\
                token_endpoint_auth_method = \"none\"\n";
    let env = Env::from_pairs::<&str, &str>([]);
    let loaded = load_text("x.toml", text, Format::Toml, &env, Options::default()).unwrap();
    let plain = Integration::clone(&loaded.spec.integrations[0]);
    let Grant::ClientCredentials(request) = plain.grant.clone() else {
        panic!("not what the text says");
    };
    let refreshing = Refreshing {
        first: FirstRefreshToken::Configured(SecretSource::Value(Secret::new("r"))),
        refresh_endpoint: None,
        rotation: Rotation::Maybe,
        lifetime: None,
        idle_lifetime: None,
    };
    let integration = Integration {
        grant: Grant::RefreshToken(request, Arc::new(refreshing)),
        ..plain
    };
    assert!(integration.grant.is_the_brokers_alone());
    of(&Examination {
        integration: Arc::new(integration),
        trace: Trace::default(),
        result: Err("not from here".to_owned()),
        varied: None,
        status: Some(status),
        now: SystemClock.now(),
    })
}

#[test]
fn the_running_brokers_word_is_what_counts() {
    for (state, level) in [
        ("valid", Level::Note),
        ("refreshing", Level::Note),
        ("degraded", Level::Warning),
        ("pending", Level::Warning),
        ("expired", Level::Problem),
        ("login_required", Level::Problem),
        ("rejected", Level::Problem),
    ] {
        let found = found(Ok(json!({ "state": state, "last_error": null })));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].level, level, "{state}");
        assert!(found[0].says.contains(state));
    }
    let error = json!({"error_description": "the vendor\u{1b}[2J refused it", "hint": "log in"});
    let found = found(Ok(json!({"state": "login_required", "last_error": error})));
    assert!(
        found[0]
            .says
            .ends_with("its last failure: the vendor[2J refused it")
    );
    assert_eq!(found[0].advice, ["log in"]);
}

#[test]
fn without_a_running_broker_nothing_is_tried() {
    let found = found(Err("no token broker answers".to_owned()));
    assert_eq!(
        (found[0].level, found[0].code),
        (Level::Problem, "no_broker")
    );
    assert!(found[0].says.ends_with("no token broker answers"));
}

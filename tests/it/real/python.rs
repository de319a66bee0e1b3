//! Grants and clients at the servers of Python's OAuth libraries.

use std::process::Command;

use serde_json::json;

use super::consent::django_oauth_toolkit;
use super::{SECRET, Server, served};
use crate::support::Broker;

const DATA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/exchange/assertion/testdata"
);
const PASSWORD: &str = "pass w&rd";

fn authlib(public_key: &str) -> Server {
    let options = json!({
        "client_id": "me", "client_secret": SECRET, "username": "ada", "password": PASSWORD,
        "public_key": format!("{DATA}/{public_key}"),
    });
    served(
        Command::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/.tools/python/bin/python"
        ))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real"))
        .args(["authlib-server.py", &options.to_string()]),
    )
}

/// An integration of the client `me`, unless it says otherwise.
fn integration(name: &str, grant: &str, endpoint: &str, more: &str) -> String {
    format!("[integrations.{name}]\ngrant = \"{grant}\"\ntoken_endpoint = \"{endpoint}\"\n{more}\n")
}

async fn gets_tokens(broker: &Broker, names: &[&str]) {
    for name in names {
        let answer = broker.get(&format!("/token/{name}")).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert!(answer.json()["expires_in"].as_u64().unwrap() > 0, "{name}");
        let again = broker.post(&format!("/refresh/{name}"), "").await;
        assert_eq!(again.status, 200, "{name}: {}", again.text());
    }
}

#[tokio::test]
#[ignore = "needs .tools/python with tests/real/requirements.txt"]
async fn authlib_takes_every_grant_and_client_it_knows() {
    let server = authlib("rsa.public.pem");
    let endpoint = format!("http://127.0.0.1:{}/token", server.port);
    let client = format!("client_id = \"me\"\nclient_secret = \"{SECRET}\"\n");
    let key = format!("key = {{ file = \"{DATA}/rsa.pem\" }}");
    let post = "token_endpoint_auth_method = \"client_secret_post\"";
    let login = format!("username = \"ada\"\npassword = \"{PASSWORD}\"");
    // It takes Basic credentials as they are.
    let raw = format!("{client}basic_encoding = \"raw\"\n");
    let config = integration("basic", "client_credentials", &endpoint, &raw)
        + &integration(
            "post",
            "client_credentials",
            &endpoint,
            &format!("{client}{post}"),
        )
        + &integration(
            "signed",
            "client_credentials",
            &endpoint,
            &format!("client_id = \"me\"\nclient_assertion = {{ {key} }}"),
        )
        + &integration("person", "password", &endpoint, &format!("{raw}{login}"))
        + &integration(
            "bearer",
            "jwt_bearer",
            &endpoint,
            &format!(
                "assertion = {{ {key}, issuer = \"me\", subject = \"ada\", audience = \"{endpoint}\" }}"
            ),
        );
    let broker = Broker::start_now(&config);
    gets_tokens(&broker, &["basic", "post", "signed", "person", "bearer"]).await;
}

#[tokio::test]
#[ignore = "needs .tools/python with tests/real/requirements.txt"]
async fn authlib_refuses_what_is_wrong_and_it_is_explained() {
    let server = authlib("p256.public.pem");
    let endpoint = format!("http://127.0.0.1:{}/token", server.port);
    let client = format!("client_id = \"me\"\nclient_secret = \"{SECRET}\"\n");
    let key = format!("key = {{ file = \"{DATA}/rsa.pem\" }}");
    let config = integration(
        "person",
        "password",
        &endpoint,
        &format!("{client}basic_encoding = \"raw\"\nusername = \"ada\"\npassword = \"wrong\""),
    ) + &integration(
        "signed",
        "client_credentials",
        &endpoint,
        &format!("client_id = \"me\"\nclient_assertion = {{ {key} }}"),
    );
    let broker = Broker::start_now(&config);
    for (name, error, words) in [
        // It says invalid_request.
        (
            "person",
            "request_rejected",
            "compare username and password",
        ),
        ("signed", "credentials_rejected", "client_assertion.key"),
    ] {
        let answer = broker.get(&format!("/token/{name}")).await;
        assert_eq!(answer.status, 502, "{name}: {}", answer.text());
        let problem = answer.json();
        assert_eq!(problem["error"], error, "{problem}");
        let hint = problem["hint"].as_str().unwrap();
        assert!(hint.contains(words), "{problem}");
    }
}

#[tokio::test]
#[ignore = "needs .tools/python with tests/real/requirements.txt"]
async fn django_oauth_toolkit_takes_a_machine_and_a_password() {
    let server = django_oauth_toolkit("0");
    let endpoint = format!("http://127.0.0.1:{}/o/token/", server.port);
    let client = |id: &str, more: &str| {
        format!("client_id = \"{id}\"\nclient_secret = \"{SECRET}\"\nscope = \"read\"\n{more}")
    };
    let login = format!("username = \"ada\"\npassword = \"{PASSWORD}\"");
    let config = integration(
        "machine",
        "client_credentials",
        &endpoint,
        &client("machine", ""),
    ) + &integration("person", "password", &endpoint, &client("person", &login));
    let broker = Broker::start_now(&config);
    gets_tokens(&broker, &["machine", "person"]).await;
}

//! The ways in which clients name themselves, at a server that checks them.

use std::process::Command;

use serde_json::json;

use super::{Server, served};
use crate::support::{Authority, Broker};

const DATA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/exchange/assertion/testdata"
);
/// Of more than 64 bytes: as long as the longest hash wants.
const SECRET: &str =
    "a secret of many words, & with +/% signs, as long as the longest hash wants it";

fn clients(options: &serde_json::Value) -> Server {
    served(
        Command::new("node")
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real"))
            .args(["clients.mjs", &options.to_string()]),
    )
}

async fn gets_tokens(broker: &Broker, names: &[&str]) {
    for name in names {
        let answer = broker.get(&format!("/token/{name}")).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["scope"], "api:read", "{name}");
        let left = answer["expires_in"].as_u64().unwrap();
        assert!((595..=600).contains(&left), "{name}: {left}");
    }
}

#[tokio::test]
#[ignore = "needs node and tests/real/node_modules (npm ci)"]
async fn oidc_provider_takes_secrets_and_assertions_of_every_kind() {
    let public = |name: &str| format!("{DATA}/{name}.public.pem");
    let server = clients(&json!({
        "secret": SECRET,
        "keys": {
            "RS256": public("rsa"), "RS512": public("rsa"),
            "PS256": public("rsa"), "PS384": public("rsa"),
            "ES256": public("p256"), "ES384": public("p384"), "EdDSA": public("ed25519"),
        },
    }));
    // Its metadata name the endpoint, and what assertions are for.
    let integration = |name: &str, more: &str| {
        format!(
            "[integrations.{name}]\ngrant = \"client_credentials\"\n\
             issuer = \"http://127.0.0.1:{}\"\n\
             scope = \"api:read\"\n{more}\n",
            server.port
        )
    };
    let secret = |id: &str, method: &str| {
        let keys = format!(
            "client_id = \"{id}\"\nclient_secret = \"{SECRET}\"\n\
             token_endpoint_auth_method = \"{method}\""
        );
        integration(id, &keys)
    };
    let mut config = secret("basic", "client_secret_basic")
        + &secret("post", "client_secret_post")
        + &secret("secret", "client_secret_jwt");
    let signing = [
        ("RS256", "rsa.pem"),
        ("RS512", "rsa.pem"),
        ("PS256", "rsa.pem"),
        ("PS384", "rsa.pem"),
        ("ES256", "p256.pem"),
        ("ES384", "p384.pem"),
        ("EdDSA", "ed25519.pem"),
    ];
    for (algorithm, key) in signing {
        config += &integration(
            &algorithm.to_lowercase(),
            &format!(
                "client_id = \"{algorithm}\"\nclient_assertion = {{ algorithm = \"{algorithm}\", kid = \"key-{algorithm}\", \
                 key = {{ file = \"{DATA}/{key}\" }} }}"
            ),
        );
    }
    let broker = Broker::start_now(&config);
    gets_tokens(&broker, &["basic", "post", "secret"]).await;
    let signing = signing.map(|(algorithm, _)| algorithm.to_lowercase());
    gets_tokens(&broker, &signing.each_ref().map(String::as_str)).await;
    // Once more: the server remembers the assertions that it has seen, and takes none twice.
    let again = Broker::start_now(&config);
    gets_tokens(&again, &["secret", "rs256", "ps384", "es256"]).await;
}

#[tokio::test]
#[ignore = "needs node and tests/real/node_modules (npm ci)"]
async fn oidc_provider_refuses_another_key() {
    let server = clients(&json!({
        "secret": SECRET, "keys": { "ES256": format!("{DATA}/p256.public.pem") },
    }));
    let folder = tempfile::tempdir().unwrap();
    let (_, key) = Authority::new().issue("another");
    std::fs::write(folder.path().join("key.pem"), key).unwrap();
    let broker = Broker::start_now(&format!(
        "[integrations.x]\ngrant = \"client_credentials\"\nclient_id = \"ES256\"\n\
         token_endpoint = \"http://127.0.0.1:{}/token\"\n\
         client_assertion = {{ algorithm = \"ES256\", kid = \"key-ES256\", \
         key = {{ file = \"{}/key.pem\" }} }}\n",
        server.port,
        folder.path().display()
    ));
    let answer = broker.get("/token/x").await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    let problem = answer.json();
    assert_eq!(problem["error"], "credentials_rejected", "{problem}");
    assert_eq!(problem["vendor"]["error"], "invalid_client", "{problem}");
}

#[tokio::test]
#[ignore = "needs node and tests/real/node_modules (npm ci)"]
async fn oidc_provider_takes_a_client_certificate_and_refuses_another() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = authority.issue("127.0.0.1");
    let own = file("ca.pem", &authority.pem);
    let server = clients(&json!({
        "secret": SECRET,
        "tls": {
            "certificate": file("server.pem", &certificate), "key": file("server.key", &key),
            "authority": own,
        },
    }));
    let mut config = format!("[net]\nca_file = \"{own}\"\nca_only = true\n");
    for (name, host) in [("right", "client.example"), ("wrong", "other.example")] {
        let (certificate, key) = authority.issue(host);
        let table = format!(
            "[integrations.{name}]\ngrant = \"client_credentials\"\n\
             issuer = \"https://127.0.0.1:{}\"\nclient_id = \"certificate\"\n\
             scope = \"api:read\"\ntoken_endpoint_auth_method = \"tls_client_auth\"\n\
             client_certificate = {{ file = \"{}\" }}\nclient_key = {{ file = \"{}\" }}\n",
            server.port,
            file(&format!("{name}.pem"), &certificate),
            file(&format!("{name}.key"), &key),
        );
        config.push_str(&table);
    }
    let broker = Broker::start_now(&config);
    gets_tokens(&broker, &["right"]).await;
    let answer = broker.get("/token/wrong").await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(answer.json()["vendor"]["error"], "invalid_client");
}

//! Against real OAuth servers; run by `tests/run`, which installs them.

mod browser;
mod clients;
mod consent;
mod python;
mod whole;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::support::Broker;

struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

const ID: &str = "id+/%&='x";
const SECRET: &str = "s3cret +/%&='x";

fn oidc_provider() -> Server {
    served(
        Command::new("node")
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real"))
            .args(["oidc-provider.mjs", ID, SECRET]),
    )
}

/// A server that says its port on its first line.
fn served(command: &mut Command) -> Server {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    Server {
        child,
        port: line.trim().parse().expect("the port on the first line"),
    }
}

#[tokio::test]
#[ignore = "needs node and tests/real/node_modules (npm ci)"]
async fn oidc_provider_takes_basic_and_post() {
    let server = oidc_provider();
    let integration = |name: &str, more: &str| {
        format!(
            "[integrations.{name}]\ngrant = \"client_credentials\"\n\
             token_endpoint = \"http://127.0.0.1:{}/token\"\nclient_id = \"{ID}-{name}\"\n\
             scope = \"api:read\"\n{more}\n",
            server.port
        )
    };
    let secret = format!("client_secret = \"{SECRET}\"");
    let config = integration("basic", &secret)
        + &integration(
            "post",
            &format!("{secret}\ntoken_endpoint_auth_method = \"client_secret_post\""),
        );
    let broker = Broker::start(&config);
    for name in ["basic", "post"] {
        let answer = broker.get(&format!("/token/{name}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["scope"], "api:read");
        assert!(
            (595..=600).contains(&answer["expires_in"].as_u64().unwrap()),
            "{answer}"
        );
    }
}

#[tokio::test]
#[ignore = "needs node and tests/real/node_modules (npm ci)"]
async fn oidc_provider_refuses_a_wrong_secret_and_it_is_explained() {
    let server = oidc_provider();
    let broker = Broker::start(&format!(
        "[integrations.x]\ngrant = \"client_credentials\"\n\
         token_endpoint = \"http://127.0.0.1:{}/token\"\nclient_id = \"{ID}-basic\"\n\
         client_secret = \"wrong\"\n",
        server.port
    ));
    let answer = broker.get("/token/x").await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    let problem = answer.json();
    assert_eq!(problem["error"], "credentials_rejected");
    assert_eq!(problem["vendor"]["error"], "invalid_client");
    assert_eq!(problem["vendor"]["status"], 401);
}

//! A client secret is changed at the vendor, and no caller notices.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use token_broker::sandbox::{Sandbox, VENDORS};
use tokio_util::sync::CancellationToken;

use crate::support::{Broker, request};

struct Bench {
    broker: Broker,
    vendors: std::net::SocketAddr,
    name: &'static str,
}

impl Bench {
    async fn change(&self, action: &str) -> Value {
        let line = format!("POST /control/{}/secret", self.name);
        let body = json!({ "action": action }).to_string();
        let answer = request(self.vendors, &line, &[], &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    async fn issued(&self) -> u64 {
        let line = format!("GET /control/{}", self.name);
        let report = request(self.vendors, &line, &[], "").await.json();
        report["tokens_issued"].as_u64().unwrap()
    }

    /// Asks all the time until two more tokens were issued; there must always be one at hand.
    async fn goes_on_without_a_gap(&self, phase: &str) {
        let before = self.issued().await;
        while self.issued().await < before + 2 {
            let answer = self.broker.get("/token/x?wait=0").await;
            assert_eq!(
                answer.status,
                200,
                "{} {phase}: {}",
                self.name,
                answer.text()
            );
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_staged_activated_and_expired_without_a_gap() {
    for (name, more) in [
        ("salesforce-marketing-cloud", ""),
        (
            "adobe-campaign",
            "organization = \"example\"\nscope = \"openid,campaign_sdk\"\n",
        ),
    ] {
        let sandbox = Sandbox::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let vendors = sandbox.address();
        let stop = CancellationToken::new();
        let _stop_with_the_test = stop.clone().drop_guard();
        let _running = tokio::task::spawn(sandbox.run(stop));
        let vendor = VENDORS.iter().find(|vendor| vendor.name == name).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (now, next) = (folder.path().join("now"), folder.path().join("next"));
        fs::write(&now, vendor.client_secret).unwrap();
        let broker = Broker::start(&format!(
            "[integrations.x]\nprovider = \"{name}\"\nclient_id = \"{}\"\n{more}\
             client_secret = [{{ file = \"{}\" }}, {{ file = \"{}\" }}]\n\
             token_endpoint = \"http://{vendors}/{name}{}\"\n\
             api.base_url = \"http://{vendors}/{name}\"\n",
            vendor.client_id,
            now.display(),
            next.display(),
            vendor.token_path
        ));
        let bench = Bench {
            broker,
            vendors,
            name,
        };
        bench
            .broker
            .until("x", |status| status["state"] == "valid")
            .await;
        bench.goes_on_without_a_gap("before").await;
        assert_eq!(bench.broker.status("x").await["secret_in_use"], 0);
        let staged = bench.change("stage").await;
        fs::write(&next, staged["client_secret"].as_str().unwrap()).unwrap();
        bench.goes_on_without_a_gap("staged").await;
        bench.change("activate").await;
        bench.goes_on_without_a_gap("activated").await;
        bench.change("expire").await;
        bench.goes_on_without_a_gap("expired").await;
        let status = bench.broker.status("x").await;
        assert_eq!(status["secret_in_use"], 1, "{status}");
        assert_eq!(status["state"], "valid", "{status}");
        // Nothing is left that the vendor would take: now it shows, and says what to do.
        bench.change("expire").await;
        let status = bench
            .broker
            .until("x", |status| status["state"] == "rejected")
            .await;
        assert_eq!(status["last_error"]["error"], "credentials_rejected");
        assert!(status["last_error"]["hint"].is_string(), "{status}");
    }
}

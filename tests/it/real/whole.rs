//! The whole broker as people run it, at real servers: one login, and then nobody is needed, whatever
//! ends the process.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use token_broker::base::SystemClock;
use token_broker::spec::Store;
use token_broker::store::{self, Key, Record};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use super::browser::Browser;
use super::consent::{BACK, django_oauth_toolkit, oidc_provider};
use super::{ID, SECRET, Server};
use crate::support::{Process, request};

/// What a real server and a real clock may take.
const PATIENCE: Duration = Duration::from_secs(30);
const PERSON: [(&str, &str); 2] = [("login", "ada"), ("password", "any")];

struct Site {
    folder: tempfile::TempDir,
    _server: Server,
}

/// A process, and what its only integration does.
struct Running(Process);

impl Site {
    fn new(server: Server, table: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "server.listen = \"127.0.0.1:0\"\nstore = {{ kind = \"embedded\", path = \"{}\" }}\n\
             [integrations.crm]\nrefresh.min_interval = \"1s\"\n\
             refresh.forced_max_interval = \"1s\"\n{table}",
            folder.path().join("state.redb").display()
        );
        fs::write(folder.path().join("broker.toml"), text).unwrap();
        Self {
            folder,
            _server: server,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, env: &[(&str, &str)]) -> Running {
        Running(block_in_place(|| {
            Process::serve(&self.path("broker.toml"), env)
        }))
    }

    /// The refresh token in the store that a broker has left, and whether its use is in doubt.
    async fn stored(&self) -> (String, bool) {
        let embedded = Store::Embedded {
            path: self.path("state.redb"),
            encryption_key: None,
        };
        let clock = std::sync::Arc::new(SystemClock);
        let store = block_in_place(|| store::open(&embedded, None, clock)).unwrap();
        let key = Key::Integration("crm".parse().unwrap());
        let entry = store.load(&key).await.unwrap().unwrap();
        let chain = Record::decode(&entry.value).unwrap().chain.unwrap();
        let token = chain.refresh_token.expose().to_owned();
        (token, chain.intent.is_some())
    }
}

impl Running {
    async fn post(&self, path: &str) -> Value {
        let line = format!("POST {path}");
        request(self.0.address, &line, &[], "").await.json()
    }

    async fn get(&self, path: &str) -> Value {
        let line = format!("GET {path}");
        request(self.0.address, &line, &[], "").await.json()
    }

    async fn token(&self) -> String {
        let answer = self.get("/token/crm").await;
        let token = answer["access_token"].as_str();
        token.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    async fn until(&self, holds: impl Fn(&Value) -> bool) -> Value {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let status = self.get("/integrations/crm").await;
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < give_up, "never: {status}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Through the server's own pages, and back to the broker.
    async fn log_in(&self) {
        let begun = self.post("/login/crm").await;
        let page = begun["authorization_url"].as_str();
        let page = page.unwrap_or_else(|| panic!("{begun}"));
        let (back, page) = Browser::new().walk(page, BACK, &PERSON).await;
        let query = back.query().unwrap_or_else(|| panic!("{back}: {page}"));
        let line = format!("GET /login/callback?{query}");
        let cross = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"];
        let page = request(self.0.address, &line, &cross, "").await;
        assert_eq!(page.status, 200, "{}", page.text());
    }

    /// Another token of the server's, once the spacing allows to ask for it.
    async fn renew(&self) -> String {
        let before = self.token().await;
        let give_up = Instant::now() + PATIENCE;
        loop {
            let answer = self.post("/refresh/crm").await;
            let token = answer["access_token"].as_str();
            let token = token.unwrap_or_else(|| panic!("{answer}"));
            if token != before {
                return token.to_owned();
            }
            assert!(Instant::now() < give_up, "never renewed");
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn stop(mut self) -> String {
        block_in_place(|| self.0.stop())
    }

    /// Asks for another token, of which the process dies: it was armed to.
    #[cfg(feature = "faults")]
    async fn dies_in_a_renewal(mut self) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let give_up = Instant::now() + PATIENCE;
        while !self.0.has_ended() {
            assert!(Instant::now() < give_up, "it lives");
            let line =
                b"POST /refresh/crm HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            if let Ok(mut stream) = tokio::net::TcpStream::connect(self.0.address).await {
                // It dies before it answers, or has no reason to die yet.
                let _died = stream.write_all(line).await;
                let _died = stream.read_to_end(&mut Vec::new()).await;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// One login; refresh tokens that rotate; two ends of the process; and never a login again.
async fn lasts(site: &Site, begun: Running) {
    let (_, doubt) = {
        begun.renew().await;
        begun.renew().await;
        begun.renew().await;
        let log = begun.stop();
        assert!(!log.contains("code="), "{log}");
        site.stored().await
    };
    assert!(!doubt);
    let before = site.stored().await.0;
    let mut again = site.start(&[]);
    let kept = again.token().await;
    again.renew().await;
    let last = again.renew().await;
    assert_ne!(kept, last);
    block_in_place(|| again.0.kill());
    let (after, doubt) = site.stored().await;
    assert_ne!(before, after, "it rotates");
    assert!(!doubt);
    let third = site.start(&[]);
    assert_eq!(third.token().await, last, "what was stored is served");
    third.renew().await;
    let status = third.get("/integrations/crm").await;
    assert_eq!(status["state"], "valid", "{status}");
    third.stop();
}

fn at_oidc_provider(more: impl Fn(&str) -> String) -> Site {
    let server = oidc_provider();
    let base = format!("http://127.0.0.1:{}", server.port);
    let table = format!(
        "token_endpoint = \"{base}/token\"\nscope = \"openid offline_access\"\n\
         refresh_token_rotation = \"always\"\n{}",
        more(&base)
    );
    Site::new(server, &table)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node and tests/real/node_modules (npm ci)"]
async fn oidc_provider_one_login_lasts_over_rotations_restarts_and_kills() {
    let site = at_oidc_provider(|base| {
        format!(
            "grant = \"authorization_code\"\nclient_id = \"{ID}-code\"\n\
             client_secret = \"{SECRET}\"\nredirect_uri = \"{BACK}\"\n\
             authorization_endpoint = \"{base}/auth?prompt=consent\"\n"
        )
    });
    let broker = site.start(&[]);
    let none = broker.get("/token/crm").await;
    assert_eq!(none["error"], "login_required", "{none}");
    broker.log_in().await;
    lasts(&site, broker).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node and tests/real/node_modules (npm ci)"]
async fn oidc_provider_one_device_login_lasts_over_rotations_restarts_and_kills() {
    let site = at_oidc_provider(|base| {
        format!(
            "grant = \"device_code\"\nclient_id = \"{ID}-device\"\n\
             token_endpoint_auth_method = \"none\"\n\
             device_authorization_endpoint = \"{base}/device/auth\"\n"
        )
    });
    let broker = site.start(&[]);
    let begun = broker.post("/login/crm").await;
    let page = begun["verification_uri_complete"].as_str();
    let page = page.unwrap_or_else(|| panic!("{begun}"));
    let (_, page) = Browser::new().walk(page, BACK, &PERSON).await;
    assert!(page.contains("Sign-in Success"), "{page}");
    broker
        .until(|status| status["login"]["state"] == "done")
        .await;
    lasts(&site, broker).await;
}

fn at_django(grace: &str) -> Site {
    let server = django_oauth_toolkit(grace);
    let base = format!("http://127.0.0.1:{}/o", server.port);
    let table = format!(
        "grant = \"authorization_code\"\nauthorization_endpoint = \"{base}/authorize/\"\n\
         token_endpoint = \"{base}/token/\"\nclient_id = \"me\"\nclient_secret = \"{SECRET}\"\n\
         redirect_uri = \"{BACK}\"\nscope = \"read\"\nrefresh_token_rotation = \"always\"\n"
    );
    Site::new(server, &table)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs tests/real/requirements.txt in .tools/python"]
async fn django_oauth_toolkit_one_login_lasts_with_and_without_grace() {
    for grace in ["0", "120"] {
        let site = at_django(grace);
        let broker = site.start(&[]);
        broker.log_in().await;
        lasts(&site, broker).await;
    }
}

/// The one moment that no broker survives by itself: the server has answered, and we die before the
/// answer is saved. A server with a grace period gives the same pair again.
#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs tests/real/requirements.txt in .tools/python"]
async fn django_oauth_toolkit_a_lost_answer_is_given_again_within_the_grace_period() {
    let site = at_django("120");
    let broker = site.start(&[]);
    broker.log_in().await;
    broker.stop();
    let sent = site.stored().await.0;
    let armed = site.start(&[("TOKEN_BROKER_CRASH_AT", "after_answer:1")]);
    armed.dies_in_a_renewal().await;
    assert_eq!(site.stored().await, (sent.clone(), true), "it is in doubt");
    let broker = site.start(&[]);
    broker.renew().await;
    broker.until(|status| status["state"] == "valid").await;
    broker.stop();
    let (after, doubt) = site.stored().await;
    assert_ne!(after, sent);
    assert!(!doubt);
}

/// Without one it refuses, and what a person then reads says what happened.
#[cfg(feature = "faults")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs tests/real/requirements.txt in .tools/python"]
async fn django_oauth_toolkit_a_lost_answer_without_grace_is_told_and_a_login_mends_it() {
    let site = at_django("0");
    let broker = site.start(&[]);
    broker.log_in().await;
    let token = broker.token().await;
    broker.stop();
    let armed = site.start(&[("TOKEN_BROKER_CRASH_AT", "after_answer:1")]);
    armed.dies_in_a_renewal().await;
    let broker = site.start(&[]);
    broker.post("/refresh/crm").await;
    let status = broker
        .until(|status| status["state"] == "login_required")
        .await;
    let told = status["last_error"].to_string();
    for words in ["interrupted", "token-broker login crm"] {
        assert!(told.contains(words), "{words}: {status}");
    }
    assert_eq!(broker.token().await, token, "the stored one is still good");
    broker.log_in().await;
    broker.until(|status| status["state"] == "valid").await;
    broker.renew().await;
    broker.stop();
}

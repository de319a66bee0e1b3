//! Logins, and a configuration that changes under them.

use super::*;

struct Site {
    folder: tempfile::TempDir,
    vendors: SocketAddr,
}

impl Site {
    async fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            vendors: vendors().await,
        }
    }

    fn write(&self, integration: &str) {
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nkind = \"embedded\"\npath = \"{}\"\n\
             [integrations.crm]\ntoken_endpoint = \"http://{}/rotating/token\"\n\
             client_id = \"demo-client-rotating\"\n{integration}",
            self.folder.path().join("state.redb").display(),
            self.vendors
        );
        std::fs::write(self.folder.path().join("broker.toml"), text).unwrap();
    }

    /// A grant that begins with a login; `more` is TOML for the same table.
    fn with_login(&self, more: &str) {
        self.write(&format!(
            "grant = \"authorization_code\"\n\
             authorization_endpoint = \"http://{}/rotating/authorize\"\n\
             redirect_uri = \"http://127.0.0.1:8656/login/callback\"\n{more}",
            self.vendors
        ));
    }

    fn without_login(&self) {
        self.write("grant = \"refresh_token\"\nrefresh_token = \"none-of-this-vendor\"\n");
    }

    fn start(&self) -> Broker {
        Broker::follow(&self.folder.path().join("broker.toml"))
    }
}

async fn reload(broker: &Broker) {
    let last = broker.reload().await;
    assert_eq!(last["outcome"], "success", "{last}");
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_becomes_one_of_logins_takes_them_at_once() {
    let site = Site::new().await;
    site.without_login();
    let broker = site.start();
    let refused = broker.post("/login/crm", "").await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    site.with_login("");
    reload(&broker).await;
    log_in(&broker, site.vendors, "crm").await;
    assert_eq!(broker.get("/token/crm").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_is_none_of_logins_any_more_takes_none() {
    let site = Site::new().await;
    site.with_login("");
    let broker = site.start();
    let back = visit(site.vendors, &begin(&broker, "crm").await).await;
    site.without_login();
    reload(&broker).await;
    let refused = broker.post("/login/crm", "").await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(
        refused.text().contains("its grant is refresh_token"),
        "{}",
        refused.text()
    );
    assert_eq!(come_back(&broker, &back).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_reload_while_somebody_is_on_the_vendors_page_does_not_end_the_login() {
    let site = Site::new().await;
    site.with_login("");
    let broker = site.start();
    let back = visit(site.vendors, &begin(&broker, "crm").await).await;
    site.with_login("refresh.at = 0.5\n");
    reload(&broker).await;
    let page = come_back(&broker, &back).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(broker.get("/token/crm").await.status, 200);
}

/// A login is answered once: neither another code nor the same one counts afterwards.
#[tokio::test(start_paused = true)]
async fn a_second_code_is_refused_and_changes_nothing() {
    let site = Site::new().await;
    site.with_login("");
    let broker = site.start();
    let back = visit(site.vendors, &begin(&broker, "crm").await).await;
    assert_eq!(come_back(&broker, &back).await.status, 200);
    let token = broker.get("/token/crm").await.token();
    for second in [&back, &back.replace(&code_of(&back), "another-code")] {
        let page = come_back(&broker, second).await;
        assert_eq!(page.status, 400);
        assert!(page.text().contains("already completed"), "{}", page.text());
        let pasted = json!({ "redirect_url": second }).to_string();
        let refused = broker.post("/login/crm/complete", &pasted).await;
        assert_eq!(refused.json()["error"], "invalid_request");
    }
    assert_eq!(broker.get("/token/crm").await.token(), token);
    assert_eq!(broker.status("crm").await["state"], "valid");
}

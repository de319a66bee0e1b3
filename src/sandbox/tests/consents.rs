//! Vendors that people consent to: codes with PKCE, device codes, and the three kinds of refresh
//! tokens.

use serde_json::json;
use url::Url;

use super::*;

const FORM: &str = "content-type: application/x-www-form-urlencoded";
/// The pair of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const BACK: &str = "http://127.0.0.1:8656/login/callback";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

impl Running {
    async fn post(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        self.send("POST", path, &[FORM], &body).await
    }

    async fn grant(&self, name: &str, pairs: &[(&str, &str)]) -> Answer {
        let id = format!("demo-client-{name}");
        let mut all = vec![("client_id", id.as_str())];
        all.extend(pairs);
        self.post(&format!("/{name}/token"), &all).await
    }

    async fn renew(&self, name: &str, token: &str) -> Answer {
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.grant(name, &pairs).await
    }

    async fn settings(&self, name: &str, settings: &Value) {
        let path = format!("/control/{name}/consent");
        let answer = self.send("PUT", &path, &[], &settings.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    async fn rows(&self, name: &str) -> Vec<Value> {
        let path = format!("/control/{name}/refresh-tokens");
        let report = self.send("GET", &path, &[], "").await.json();
        report["refresh_tokens"].as_array().unwrap().clone()
    }

    /// Where the authorization page sends the browser.
    async fn authorize(&self, more: &str) -> Url {
        let back: String = url::form_urlencoded::byte_serialize(BACK.as_bytes()).collect();
        let path = format!(
            "/rotating/authorize?response_type=code&client_id=demo-client-rotating\
             &redirect_uri={back}&state=s%261&scope=read&code_challenge_method=S256{more}"
        );
        let (bytes, end) = self.raw("GET", &path, &[], "").await;
        end.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let location = text
            .lines()
            .find_map(|line| line.strip_prefix("location: "));
        Url::parse(location.unwrap_or_else(|| panic!("{text}"))).unwrap()
    }
}

fn refresh_token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["refresh_token"].as_str().unwrap().to_owned()
}

fn access_token(answer: &Answer) -> String {
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

fn refused(answer: &Answer, error: &str) {
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (400, &json!(error))
    );
}

fn in_query(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

fn first(name: &str) -> String {
    format!("demo-refresh-token-of-the-sandbox-{name}")
}

async fn call(sandbox: &Running, name: &str, token: &str) -> u16 {
    let authorization = format!("authorization: Bearer {token}");
    let path = format!("/{name}/me");
    sandbox
        .send("GET", &path, &[&authorization], "")
        .await
        .status
}

#[tokio::test]
async fn strict_a_refresh_token_works_once_and_reuse_ends_the_grant() {
    let sandbox = start().await;
    let one = sandbox.renew("rotating", &first("rotating")).await;
    let two = sandbox.renew("rotating", &refresh_token(&one)).await;
    assert_ne!(refresh_token(&one), refresh_token(&two));
    assert_eq!(call(&sandbox, "rotating", &access_token(&two)).await, 200);
    refused(
        &sandbox.renew("rotating", &refresh_token(&one)).await,
        "invalid_grant",
    );
    refused(
        &sandbox.renew("rotating", &refresh_token(&two)).await,
        "invalid_grant",
    );
    assert_eq!(call(&sandbox, "rotating", &access_token(&two)).await, 401);
    let rows = sandbox.rows("rotating").await;
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["seen_after_answer"], 0);
    assert_eq!(
        (&rows[1]["seen"], &rows[1]["seen_after_answer"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(rows[1]["successor_sha256"], rows[2]["sha256"]);
    assert_eq!(
        (&rows[2]["answered"], &rows[2]["refused"]),
        (&json!(false), &json!(1))
    );
    let report = sandbox
        .send("GET", "/control/rotating/refresh-tokens", &[], "")
        .await;
    assert!(!report.text().contains(&refresh_token(&two)));
}

#[tokio::test(start_paused = true)]
async fn grace_brings_the_same_pair_for_a_while() {
    let sandbox = start().await;
    sandbox
        .settings("grace", &json!({"grace_seconds": 20}))
        .await;
    let one = sandbox.renew("grace", &first("grace")).await;
    let again = sandbox.renew("grace", &first("grace")).await;
    assert_eq!(one.json(), again.json());
    tokio::time::sleep(Duration::from_secs(21)).await;
    refused(
        &sandbox.renew("grace", &first("grace")).await,
        "invalid_grant",
    );
    let two = sandbox.renew("grace", &refresh_token(&one)).await;
    assert_eq!(two.status, 200, "the chain goes on");
}

#[tokio::test]
async fn longlived_stays_the_same() {
    let sandbox = start().await;
    for _ in 0..3 {
        let answer = sandbox.renew("longlived", &first("longlived")).await;
        assert_eq!(refresh_token(&answer), first("longlived"));
    }
    assert_eq!(sandbox.rows("longlived").await[0]["seen_after_answer"], 0);
    let path = "/control/longlived/refresh-tokens";
    let ended = sandbox.send("DELETE", path, &[], "").await.json();
    assert_eq!(ended, json!({"revoked": 1}));
    refused(
        &sandbox.renew("longlived", &first("longlived")).await,
        "invalid_grant",
    );
    let path = "/control/longlived/grant";
    let further = refresh_token(&sandbox.send("POST", path, &[], "").await);
    assert_eq!(sandbox.renew("longlived", &further).await.status, 200);
}

#[tokio::test]
async fn a_code_needs_its_verifier_and_works_once() {
    let sandbox = start().await;
    sandbox
        .settings("rotating", &json!({"consent": "allow"}))
        .await;
    let challenge = format!("&code_challenge={CHALLENGE}");
    let trade = async |code: &str, verifier: &str, back: &str| {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", back),
            ("code_verifier", verifier),
        ];
        sandbox.grant("rotating", &pairs).await
    };
    let back = sandbox.authorize(&challenge).await;
    assert_eq!(in_query(&back, "state").as_deref(), Some("s&1"));
    let issuer = format!("http://{}/rotating", sandbox.address);
    assert_eq!(in_query(&back, "iss"), Some(issuer));
    let code = in_query(&back, "code").unwrap();
    refused(&trade(&code, "wrong", BACK).await, "invalid_grant");
    refused(
        &trade(&code, VERIFIER, "http://127.0.0.1/").await,
        "invalid_grant",
    );
    let pair = trade(&code, VERIFIER, BACK).await;
    assert_eq!(pair.json()["scope"], "read");
    let renewed = sandbox.renew("rotating", &refresh_token(&pair)).await;
    assert_eq!(renewed.status, 200);
    refused(&trade(&code, VERIFIER, BACK).await, "invalid_grant");
    let after = sandbox.renew("rotating", &refresh_token(&renewed)).await;
    refused(&after, "invalid_grant");
    let back = sandbox.authorize("").await;
    assert_eq!(in_query(&back, "error").as_deref(), Some("invalid_request"));
    sandbox
        .settings("rotating", &json!({"consent": "deny"}))
        .await;
    let back = sandbox.authorize(&challenge).await;
    assert_eq!(in_query(&back, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn the_page_asks_a_person_and_shows_nothing_unescaped() {
    let sandbox = start().await;
    let query = format!(
        "response_type=code&client_id=demo-client-rotating&redirect_uri=http%3A%2F%2Flocalhost%2Fx\
         &scope=%3Cscript%3E&code_challenge_method=S256&code_challenge={CHALLENGE}"
    );
    let path = format!("/rotating/authorize?{query}");
    let page = sandbox.send("GET", &path, &[], "").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Allow") && page.text().contains("&lt;script&gt;"));
    assert!(!page.text().contains("<script>"));
    for (decision, member) in [("allow", "code=code-"), ("deny", "error=access_denied")] {
        let body = format!("{query}&decision={decision}");
        let answer = sandbox
            .send("POST", "/rotating/authorize", &[FORM], &body)
            .await;
        assert_eq!(answer.status, 303);
        assert!(answer.head.contains(member), "{}", answer.head);
    }
    for bad in [
        "redirect_uri=http%3A%2F%2Fevil.example%2F",
        "redirect_uri=javascript%3Ax",
    ] {
        let query = query.replace("redirect_uri=http%3A%2F%2Flocalhost%2Fx", bad);
        let path = format!("/rotating/authorize?{query}&decision=allow");
        assert_eq!(
            sandbox.send("GET", &path, &[], "").await.status,
            400,
            "{bad}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_waits_for_a_person_at_the_vendors_pace() {
    let sandbox = start().await;
    let flow = async || {
        let client = [("client_id", "demo-client-rotating"), ("scope", "read")];
        sandbox.post("/rotating/device/code", &client).await.json()
    };
    let poll = async |begun: &Value| {
        let code = begun["device_code"].as_str().unwrap();
        let pairs = [("grant_type", DEVICE), ("device_code", code)];
        sandbox.grant("rotating", &pairs).await
    };
    let decide = async |begun: &Value, allow: bool| {
        let body = json!({"user_code": begun["user_code"], "allow": allow}).to_string();
        sandbox
            .send("POST", "/control/rotating/device", &[], &body)
            .await
            .status
    };
    let pause = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
    let begun = flow().await;
    assert_eq!(begun["interval"], 5);
    refused(&poll(&begun).await, "authorization_pending");
    refused(&poll(&begun).await, "slow_down");
    pause(6).await;
    refused(&poll(&begun).await, "slow_down");
    pause(16).await;
    refused(&poll(&begun).await, "authorization_pending");
    assert_eq!(decide(&begun, true).await, 200);
    assert_eq!(decide(&begun, true).await, 404, "once");
    pause(16).await;
    let issued = poll(&begun).await;
    assert_eq!(
        call(&sandbox, "rotating", &access_token(&issued)).await,
        200
    );
    assert_eq!(
        sandbox
            .renew("rotating", &refresh_token(&issued))
            .await
            .status,
        200
    );
    pause(16).await;
    refused(&poll(&begun).await, "invalid_grant");
    let begun = flow().await;
    let page = [
        ("user_code", begun["user_code"].as_str().unwrap()),
        ("decision", "deny"),
    ];
    assert_eq!(sandbox.post("/rotating/device", &page).await.status, 200);
    refused(&poll(&begun).await, "access_denied");
    let begun = flow().await;
    pause(601).await;
    refused(&poll(&begun).await, "expired_token");
}

#[tokio::test]
async fn faults_strike_after_the_refresh_token_was_spent() {
    let sandbox = start().await;
    let body = format!(
        "grant_type=refresh_token&client_id=demo-client-rotating&refresh_token={}",
        first("rotating")
    );
    sandbox
        .fault("rotating", &json!({"kind": "lose", "times": 1}))
        .await;
    let (bytes, end) = sandbox.raw("POST", "/rotating/token", &[FORM], &body).await;
    assert!(bytes.is_empty() && end.is_err());
    let rows = sandbox.rows("rotating").await;
    assert_eq!(
        (&rows[0]["answered"], &rows[0]["seen"]),
        (&json!(true), &json!(1))
    );
    let path = "/control/rotating/grant";
    let token = refresh_token(&sandbox.send("POST", path, &[], "").await);
    sandbox
        .fault("rotating", &json!({"kind": "no_token", "times": 1}))
        .await;
    let answer = sandbox.renew("rotating", &token).await;
    assert!(answer.json().get("access_token").is_none());
    assert_eq!(
        sandbox
            .renew("rotating", &refresh_token(&answer))
            .await
            .status,
        200
    );
    // One that does not reach the vendor's own answer spends nothing.
    let token = refresh_token(&sandbox.send("POST", path, &[], "").await);
    sandbox
        .fault(
            "rotating",
            &json!({"kind": "status", "status": 500, "times": 1}),
        )
        .await;
    assert_eq!(sandbox.renew("rotating", &token).await.status, 500);
    assert_eq!(sandbox.renew("rotating", &token).await.status, 200);
}

#[tokio::test]
async fn clients_and_requests_that_are_none() {
    let sandbox = start().await;
    let wrong = [
        ("client_id", "demo-client-rotating"),
        ("client_secret", "wrong"),
    ];
    assert_eq!(sandbox.post("/rotating/token", &wrong).await.status, 401);
    assert_eq!(
        sandbox.post("/rotating/device/code", &wrong).await.status,
        401
    );
    let basic = "authorization: Basic ZGVtby1jbGllbnQtcm90YXRpbmc6d3Jvbmc=";
    let answer = sandbox
        .send("POST", "/rotating/token", &[FORM, basic], "")
        .await;
    assert_eq!(answer.status, 401);
    refused(&sandbox.grant("rotating", &[]).await, "invalid_request");
    let password = [("grant_type", "password")];
    refused(
        &sandbox.grant("rotating", &password).await,
        "unsupported_grant_type",
    );
    for action in ["consent", "device", "grant", "refresh-tokens"] {
        let path = format!("/control/360learning/{action}");
        assert_eq!(sandbox.send("GET", &path, &[], "").await.status, 404);
        let path = format!("/control/rotating/{action}");
        assert_eq!(sandbox.send("PATCH", &path, &[], "").await.status, 405);
    }
    for (path, bad) in [("consent", r#"{"consent":"maybe"}"#), ("device", "{}")] {
        let method = if path == "consent" { "PUT" } else { "POST" };
        let path = format!("/control/rotating/{path}");
        assert_eq!(sandbox.send(method, &path, &[], bad).await.status, 400);
    }
}

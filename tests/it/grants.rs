//! Grants that send parameters of their own, and vendors that word their requests otherwise.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Broker, Reply, Request, Vendor};

fn form(request: &Request) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(&request.body)
        .into_owned()
        .collect()
}

fn named(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// What a vendor that gives tokens is asked with.
async fn asked_with(table: &str) -> Request {
    let vendor = Vendor::start(|_, _| Reply::token("t0ken", 3600)).await;
    let broker = Broker::start(&format!(
        "[integrations.x]\ntoken_endpoint = \"{}\"\nclient_id = \"abc\"\n{table}\n",
        vendor.url()
    ));
    let answer = broker.get("/token/x").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(vendor.count(), 1);
    vendor.requests().remove(0)
}

#[tokio::test(start_paused = true)]
async fn password() {
    let request = asked_with(
        "grant = \"password\"\nusername = \"ada\"\npassword = \"pass w&rd\"\nscope = \"read\"\n\
         client_secret = \"s3cret\"",
    )
    .await;
    assert!(request.header("authorization").is_some());
    assert_eq!(
        form(&request),
        named(&[
            ("grant_type", "password"),
            ("username", "ada"),
            ("password", "pass w&rd"),
            ("scope", "read"),
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn token_exchange_follows_a_subject_token_that_changes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "subject-1\n").unwrap();
    let vendor = Vendor::start(|_, number| Reply::token(&format!("t0ken-{number}"), 3600)).await;
    let broker = Broker::start(&format!(
        "[integrations.x]\ngrant = \"token_exchange\"\ntoken_endpoint = \"{}\"\n\
         subject_token = {{ file = \"{}\" }}\n\
         subject_token_type = \"urn:ietf:params:oauth:token-type:jwt\"\n\
         actor_token = \"actor\"\nactor_token_type = \"urn:ietf:params:oauth:token-type:jwt\"\n\
         requested_token_type = \"urn:ietf:params:oauth:token-type:access_token\"\n\
         params = {{ audience = [\"https://a.example\", \"https://b.example\"] }}\n",
        vendor.url(),
        file.display()
    ));
    assert_eq!(broker.get("/token/x").await.token(), "t0ken-1");
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(&vendor.requests()[0].body)
        .into_owned()
        .collect();
    let jwt = "urn:ietf:params:oauth:token-type:jwt";
    let wanted = [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("subject_token", "subject-1"),
        ("subject_token_type", jwt),
        ("actor_token", "actor"),
        ("actor_token_type", jwt),
        (
            "requested_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("audience", "https://a.example"),
        ("audience", "https://b.example"),
    ];
    let wanted: Vec<(String, String)> = wanted
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(pairs, wanted, "a list is repeated (RFC 8693 section 2.1)");
    std::fs::write(&file, "subject-2\n").unwrap();
    broker.until("x", |_| vendor.count() == 2).await;
    let sent = form(&vendor.requests()[1]);
    assert_eq!(sent["subject_token"], "subject-2");
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_about_the_credentials_and_shows_none() {
    let vendor = Vendor::start(|request, _| {
        let said = json!({"error": "invalid_grant", "error_description": request.text()});
        Reply::json(400, &said.to_string())
    })
    .await;
    let broker = Broker::start(&format!(
        "[integrations.x]\ngrant = \"password\"\ntoken_endpoint = \"{}\"\n\
         username = \"ada\"\npassword = \"c4nary-pass&word\"\n",
        vendor.url()
    ));
    let answer = broker.get("/token/x").await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["error"], "credentials_rejected");
    assert!(!answer.text().contains("c4nary"), "{}", answer.text());
    assert!(answer.text().contains("redacted"), "{}", answer.text());
}

#[tokio::test(start_paused = true)]
async fn parameters_by_other_names_and_in_other_places() {
    let request = asked_with(
        "grant = \"client_credentials\"\nclient_secret = \"s3cret\"\nscope = [\"a\", \"b\"]\n\
         token_endpoint_auth_method = \"client_secret_post\"\n\
         parameter_names = { client_id = \"client_key\", client_secret = \"secret\", scope = \"\" }\n\
         query_parameters = [\"client_key\"]\n\
         params = { grant_type = \"account_credentials\", account_id = 7, fresh = true }",
    )
    .await;
    assert_eq!(request.line, "POST /token?client_key=abc HTTP/1.1");
    assert_eq!(
        form(&request),
        named(&[
            ("secret", "s3cret"),
            ("grant_type", "account_credentials"),
            ("account_id", "7"),
            ("fresh", "true"),
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn json_with_values_of_every_kind() {
    let request = asked_with(
        "grant = \"client_credentials\"\nclient_secret = \"s3cret\"\nscope = [\"a\", \"b\"]\n\
         token_endpoint_auth_method = \"client_secret_post\"\nrequest_format = \"json\"\n\
         scope_separator = \"[]\"\n\
         params = { n = 7, half = 0.5, deep = { list = [1, \"x\", { y = false }] } }",
    )
    .await;
    let body: Value = serde_json::from_str(request.text()).unwrap();
    assert_eq!(
        body,
        json!({
            "grant_type": "client_credentials", "client_id": "abc", "client_secret": "s3cret",
            "scope": ["a", "b"], "n": 7, "half": 0.5,
            "deep": {"list": [1, "x", {"y": false}]},
        })
    );
}

#[tokio::test(start_paused = true)]
async fn multipart() {
    let request = asked_with(
        "grant = \"client_credentials\"\nclient_secret = \"s3cret&\"\n\
         token_endpoint_auth_method = \"client_secret_post\"\nrequest_format = \"multipart\"",
    )
    .await;
    let kind = request.header("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let parts: Vec<&str> = request.text().split(&format!("--{boundary}")).collect();
    let part = |name: &str, value: &str| {
        format!("\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    assert_eq!(
        parts,
        [
            "",
            &part("grant_type", "client_credentials"),
            &part("client_id", "abc"),
            &part("client_secret", "s3cret&"),
            "--\r\n"
        ]
    );
}

/// A vendor that prolongs the token it gave: its answer to a refresh has none.
#[tokio::test(start_paused = true)]
async fn an_answer_without_a_token_prolongs_the_one_before_where_the_vendor_does_so() {
    let vendor = Vendor::start(|_, number| match number {
        1 => Reply::json(
            200,
            r#"{"result":"0000","access_token":"t0ken","expires_in":100}"#,
        ),
        2 => Reply::json(200, r#"{"result":"0000","message":"OK"}"#),
        // A token that comes is one, whatever stands beside it.
        3 => Reply::json(
            200,
            r#"{"result":"5000","access_token":"t0ken-2","expires_in":100}"#,
        ),
        _ => Reply::json(200, r#"{"result":"5000","message":"no"}"#),
    })
    .await;
    let broker = Broker::start(&format!(
        "[store]\nallow_losing_refresh_tokens = true\n\
         [integrations.x]\ngrant = \"refresh_token\"\ntoken_endpoint = \"{}\"\nclient_id = \"abc\"\n\
         refresh_token = \"r\"\nrefresh_token_rotation = \"never\"\n\
         [integrations.x.refresh]\nreissue = \"extends\"\n\
         [integrations.x.response]\nextended = {{ result = \"0000\" }}\ndefault_lifetime = \"100s\"\n\
         error_description = \"message\"\n",
        vendor.url()
    ));
    assert_eq!(broker.get("/token/x").await.token(), "t0ken");
    let status = broker.until("x", |_| vendor.count() == 2).await;
    assert_eq!(status["state"], "valid", "{status}");
    let answer = broker.get("/token/x").await.json();
    assert_eq!(answer["access_token"], "t0ken");
    let left = answer["expires_in"].as_u64().unwrap();
    assert!((90..=100).contains(&left), "{left}");
    let status = broker.until("x", |_| vendor.count() == 3).await;
    assert_eq!(status["state"], "valid", "{status}");
    assert_eq!(broker.get("/token/x").await.token(), "t0ken-2");
    // What says that it failed prolongs nothing.
    let status = broker
        .until("x", |status| status["state"] == "rejected")
        .await;
    assert_eq!(status["last_error"]["error"], "request_rejected");
}

/// From the page to the refresh, with every name another one.
#[tokio::test(start_paused = true)]
async fn a_login_at_a_vendor_with_names_of_its_own() {
    let vendor = Vendor::start(|_, number| {
        let answer = json!({"data": {
            "access_token": format!("t0ken-{number}"), "refresh_token": "r", "expires_in": 600,
        }});
        Reply::json(200, &answer.to_string())
    })
    .await;
    let broker = Broker::start(&format!(
        "[store]\nallow_losing_refresh_tokens = true\n\
         [integrations.x]\ngrant = \"authorization_code\"\ntoken_endpoint = \"{}\"\n\
         authorization_endpoint = \"https://v.example/auth\"\nclient_id = \"abc\"\n\
         client_secret = \"s3cret\"\ntoken_endpoint_auth_method = \"client_secret_post\"\n\
         redirect_uri = \"http://127.0.0.1:8656/login/callback\"\nrequest_format = \"json\"\n\
         [integrations.x.parameter_names]\n\
         client_id = \"app_id\"\nclient_secret = \"secret\"\ncode = \"auth_code\"\ngrant_type = \"\"\n\
         redirect_uri = \"\"\ncode_verifier = \"\"\n\
         [integrations.x.response]\naccess_token = \"data.access_token\"\n\
         refresh_token = \"data.refresh_token\"\nexpires_in = \"data.expires_in\"\n",
        vendor.url()
    ));
    let begun = broker.post("/login/x", "").await.json();
    let page = url::Url::parse(begun["authorization_url"].as_str().unwrap()).unwrap();
    let asked: BTreeMap<String, String> = page.query_pairs().into_owned().collect();
    let back = json!({"redirect_url": format!(
        "http://127.0.0.1:8656/login/callback?auth_code=c-1&state={}",
        asked["state"]
    )});
    let names: Vec<&str> = asked.keys().map(String::as_str).collect();
    assert_eq!(names, ["app_id", "redirect_uri", "response_type", "state"]);
    let done = broker.post("/login/x/complete", &back.to_string()).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(broker.get("/token/x").await.token(), "t0ken-1");
    let body = |at: usize| -> Value { serde_json::from_str(vendor.requests()[at].text()).unwrap() };
    assert_eq!(
        body(0),
        json!({"app_id": "abc", "secret": "s3cret", "auth_code": "c-1"})
    );
    broker.until("x", |_| vendor.count() == 2).await;
    assert_eq!(
        body(1),
        json!({"app_id": "abc", "secret": "s3cret", "refresh_token": "r"})
    );
}

//! Requests of a vendor's own kind: one, or several that use what came before.

use serde_json::{Value, json};

use crate::support::{Broker, Reply, Request, Vendor};

const DATA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/exchange/assertion/testdata"
);

fn body(request: &Request) -> Value {
    serde_json::from_str(request.text()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_login_in_json_whose_answer_holds_the_token_somewhere_inside() {
    let vendor = Vendor::start(|_, _| {
        let answer = json!({
            "credentials": {"token": "t0ken", "estimatedTimeToExpiration": "0:02:00"},
            "site": {"id": "s-1"},
        });
        Reply::json(200, &answer.to_string())
    })
    .await;
    let broker = Broker::start(&format!(
        r#"
[integrations.x]
grant = "request"
username = "a name"
password = "s3cret"
[integrations.x.request]
url = "http://{}/auth/signin?own=1"
headers = {{ "Accept" = "application/vnd.x+json", "X-Time" = "{{now}}" }}
query = {{ a = "{{upper({{username}})}}" }}
[integrations.x.request.json.credentials]
personalAccessTokenName = "{{username}}"
personalAccessTokenSecret = "{{password}}"
site = {{ contentUrl = "" }}
[integrations.x.response]
access_token = "credentials.token"
expires_in = "credentials.estimatedTimeToExpiration"
expires_in_unit = "d:hh:mm"
[integrations.x.api]
headers = {{ "X-Auth" = "{{access_token}}", Authorization = "Basic {{base64({{access_token}}:x)}}" }}
"#,
        vendor.address
    ));
    let answer = broker.get("/token/x").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["access_token"], "t0ken");
    assert_eq!(answer["expires_in"], 7200);
    assert_eq!(answer["site"]["id"], "s-1");
    assert_eq!(answer["credentials"], json!({}));
    let request = vendor.last().unwrap();
    assert_eq!(request.line, "POST /auth/signin?own=1&a=A+NAME HTTP/1.1");
    assert_eq!(request.header("accept"), Some("application/vnd.x+json"));
    assert_eq!(request.header("x-time"), Some("1800000000"));
    assert_eq!(
        body(&request),
        json!({"credentials": {
            "personalAccessTokenName": "a name", "personalAccessTokenSecret": "s3cret",
            "site": {"contentUrl": ""},
        }})
    );
    let headers = broker.get("/headers/x").await.json();
    assert_eq!(headers["headers"]["X-Auth"], "t0ken");
    assert_eq!(headers["headers"]["Authorization"], "Basic dDBrZW46eA==");
    let status = broker.status("x").await;
    assert_eq!(status["grant"], "request");
    assert_eq!(status["provider"], "127.0.0.1");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_nothing_but_the_token() {
    for (said, token) in [
        ("\"t0ken\"", Some("t0ken")),
        (" t0ken\n", Some("t0ken")),
        ("{\"message\":\"no\"}", None),
        ("<html>", None),
        ("", None),
        ("\"two words\"", None),
    ] {
        let vendor = Vendor::start(move |_, _| Reply::json(200, said)).await;
        let broker = Broker::start(&format!(
            "[integrations.x]\ngrant = \"request\"\n\
             request = {{ url = \"http://{}/t\", method = \"GET\" }}\n\
             response = {{ format = \"raw\", default_lifetime = \"1h\" }}\n",
            vendor.address
        ));
        let answer = broker.get("/token/x?wait=0").await;
        broker
            .until("x", |status| {
                status["state"] != "pending" || !status["last_error"].is_null()
            })
            .await;
        match token {
            Some(token) => {
                let answer = broker.get("/token/x").await;
                assert_eq!(answer.token(), token);
                let left = answer.json()["expires_in"].as_u64().unwrap();
                assert!((3590..=3600).contains(&left), "{left}");
            }
            None => assert_eq!(answer.status, 503, "{said}: {}", answer.text()),
        }
        assert_eq!(vendor.requests()[0].line, "GET /t HTTP/1.1");
    }
}

/// A JWT of ours buys a first token, and that one a second, at a place that the first answer names.
fn chain(first: &str, second: &str) -> String {
    let hosts = if second.starts_with("{steps") {
        "hosts = [\"127.0.0.1\"]\n"
    } else {
        ""
    };
    format!(
        r#"
[integrations.x]
grant = "steps"
client_id = "abc"
client_secret = "s3cret"
[integrations.x.assertion]
key = {{ file = "{DATA}/rsa.pem" }}
issuer = "{{client_id}}"
[[integrations.x.steps]]
assertion = {{ lifetime = "9m" }}
[[integrations.x.steps]]
[integrations.x.steps.request]
url = "{first}"
headers = {{ Authorization = "Bearer {{steps.0.assertion}}" }}
form = {{ id = "{{client_id}}", secret = "{{client_secret}}" }}
success = {{ ok = true }}
[[integrations.x.steps]]
[integrations.x.steps.request]
url = "{second}"
{hosts}json = {{ subject = "{{steps.1.data.token}}", number = "{{steps.1.data.n}}" }}
"#
    )
}

#[tokio::test(start_paused = true)]
async fn each_step_uses_what_came_before() {
    let last = Vendor::start(|_, number| {
        let answer = json!({"access_token": format!("t0ken-{number}"), "expires_in": 600});
        Reply::json(201, &answer.to_string())
    })
    .await;
    let there = format!("http://{}/", last.address);
    let first = Vendor::start(move |_, _| {
        let answer = json!({"ok": true, "data": {"token": "subj3ct-t0ken", "n": 7},
                            "instance_url": there});
        Reply::json(200, &answer.to_string())
    })
    .await;
    let broker = Broker::start(&chain(&first.url(), "{steps.1.instance_url}/a360/token"));
    let answer = broker.get("/token/x").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.token(), "t0ken-1");
    let asked = first.last().unwrap();
    let bearer = asked.header("authorization").unwrap();
    assert!(bearer.starts_with("Bearer eyJ"), "{bearer}");
    assert_eq!(asked.text(), "id=abc&secret=s3cret");
    let asked = last.last().unwrap();
    assert_eq!(asked.line, "POST /a360/token HTTP/1.1");
    assert_eq!(
        body(&asked),
        json!({"subject": "subj3ct-t0ken", "number": 7})
    );
    // The whole chain again.
    broker.until("x", |_| last.count() == 2).await;
    assert_eq!(first.count(), 2);
    assert_eq!(broker.get("/token/x").await.token(), "t0ken-2");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_is_named_and_shows_no_token_of_another() {
    for (first, second, error, words) in [
        (
            Reply::json(401, r#"{"error":"invalid_client"}"#),
            Reply::Hang,
            "credentials_rejected",
            "in step 1: the vendor refused the client credentials",
        ),
        (
            Reply::json(200, r#"{"ok":false,"error":"nope"}"#),
            Reply::Hang,
            "request_rejected",
            "in step 1: by its 'ok' the vendor's answer says that the request failed",
        ),
        (
            Reply::json(200, r#"{"ok":true,"data":{"token":"c4nary-t0ken"}}"#),
            Reply::Hang,
            "temporarily_unavailable",
            "in step 1: 127.0.0.1",
        ),
        (
            Reply::json(200, r#"{"ok":true,"data":{"token":"c4nary-t0ken","n":1}}"#),
            Reply::json(
                400,
                r#"{"error":"invalid_request","error_description":"c4nary-t0ken is bad"}"#,
            ),
            "request_rejected",
            "in step 2: the vendor refused the request",
        ),
    ] {
        let last = Vendor::start(move |_, _| second.clone()).await;
        let one = Vendor::start(move |_, _| first.clone()).await;
        let broker = Broker::start(&chain(&one.url(), &last.url()));
        let answer = broker.get("/token/x").await;
        let problem = answer.json();
        assert_eq!(problem["error"], error, "{problem}");
        assert!(answer.text().contains(words), "{words}: {}", answer.text());
        assert!(!answer.text().contains("c4nary"), "{}", answer.text());
    }
}

/// A list of pages, each with a token of its own, is no reason to refuse a chain, nor to show what was
/// made of the secret.
#[tokio::test(start_paused = true)]
async fn many_tokens_in_an_answer_take_nothing_from_the_chain() {
    let tokens: Vec<String> = (0..200)
        .map(|number| format!(r#"{{"id":{number},"access_token":"page-t0ken-{number:04}"}}"#))
        .collect();
    let first = format!(r#"{{"pages":[{}]}}"#, tokens.join(","));
    let vendor = Vendor::start(move |request, number| match number {
        1 | 3 => Reply::json(200, &first),
        2 => Reply::json(200, r#"{"access_token":"t0ken","expires_in":100}"#),
        _ => {
            let said = json!({"error": "no", "error_description": request.text()});
            Reply::json(400, &said.to_string())
        }
    })
    .await;
    let broker = Broker::start(&format!(
        r#"
[integrations.x]
grant = "steps"
client_secret = "s3cret-of-some-length"
[[integrations.x.steps]]
request.url = "{0}"
[[integrations.x.steps]]
request.url = "{0}"
request.form = {{ page = "{{steps.0.pages.7.access_token}}", proof = "{{sha256({{client_secret}})}}" }}
"#,
        vendor.url()
    ));
    assert_eq!(broker.get("/token/x").await.token(), "t0ken");
    let asked = vendor.requests();
    assert!(asked[1].text().contains("page=page-t0ken-0007"));
    let status = broker
        .until("x", |status| !status["last_error"].is_null())
        .await;
    let said = status["last_error"].to_string();
    assert!(said.contains("in step 1"), "{said}");
    let proof = asked[1].text().split("proof=").nth(1).unwrap();
    for secret in ["page-t0ken", proof] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_leads_to_no_host_that_nobody_named() {
    let evil = Vendor::start(|_, _| Reply::token("t0ken", 600)).await;
    for there in [
        format!("http://localhost:{}", evil.address.port()),
        "https://evil.example".to_owned(),
        "https://127.0.0.1@evil.example".to_owned(),
        format!("http://{}/?x=", evil.address),
    ] {
        let first = Vendor::start(move |_, _| {
            let answer = json!({"ok": true, "data": {"token": "t", "n": 7}, "url": there});
            Reply::json(200, &answer.to_string())
        })
        .await;
        let broker = Broker::start(&chain(&first.url(), "{steps.1.url}/token"));
        let answer = broker.get("/token/x?wait=0").await;
        assert_ne!(answer.status, 200);
        let status = broker
            .until("x", |status| !status["last_error"].is_null())
            .await;
        assert!(
            status["last_error"]
                .to_string()
                .contains("in step 2: the request cannot be made"),
            "{status}"
        );
    }
    assert_eq!(evil.count(), 0);
}

//! Assertions as vendors see them, and what becomes of keys that cannot be used.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::support::{Broker, Reply, Request, Vendor};

const DATA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/exchange/assertion/testdata"
);
/// Where the clock of every test begins.
const START: i64 = 1_800_000_000;

fn integration(url: &str, key: &str, assertion: &str) -> String {
    format!(
        "[integrations.x]\ngrant = \"jwt_bearer\"\ntoken_endpoint = \"{url}\"\nclient_id = \"abc\"\n\
         [integrations.x.assertion]\nkey = {key}\nissuer = \"abc\"\naudience = \"{url}\"\n{assertion}\n"
    )
}

fn file(name: &str) -> String {
    format!("{{ file = \"{DATA}/{name}\" }}")
}

fn form(request: &Request) -> Vec<(String, String)> {
    url::form_urlencoded::parse(&request.body)
        .into_owned()
        .collect()
}

fn member(request: &Request, name: &str) -> String {
    let form = form(request);
    let found = form.into_iter().find(|(known, _)| known == name);
    found.expect("the member is there").1
}

/// Header and claims, once a library that signs nothing here has found the signature right.
fn opened(jwt: &str, (key, algorithm): (DecodingKey, Algorithm)) -> (Value, Value) {
    let mut validation = Validation::new(algorithm);
    // These tests have a clock of their own, and look at every claim themselves.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode(jwt, &key, &validation).unwrap().claims;
    let header = jwt.split('.').next().unwrap();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap();
    (serde_json::from_slice(&header).unwrap(), claims)
}

fn public(name: &str) -> Vec<u8> {
    std::fs::read(format!("{DATA}/{name}")).unwrap()
}

fn by_rsa() -> (DecodingKey, Algorithm) {
    let key = DecodingKey::from_rsa_pem(&public("rsa.public.pem")).unwrap();
    (key, Algorithm::RS256)
}

fn by_p256() -> (DecodingKey, Algorithm) {
    let key = DecodingKey::from_ec_pem(&public("p256.public.pem")).unwrap();
    (key, Algorithm::ES256)
}

#[tokio::test(start_paused = true)]
async fn an_assertion_is_sent_as_rfc_7523_says() {
    let vendor = Vendor::start(|_, _| Reply::token("t0ken", 3600)).await;
    let more = "subject = \"user@example.com\"\nkid = \"k1\"";
    let broker = Broker::start(
        &(integration(&vendor.url(), &file("rsa.pem"), more)
            + "[integrations.x.assertion.claims]\nscope = \"a b\"\nnbf = \"{now-60}\"\n"),
    );
    let answer = broker.get("/token/x").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.token(), "t0ken");
    let request = vendor.requests().remove(0);
    let names: Vec<String> = form(&request).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["grant_type", "assertion", "client_id"]);
    assert_eq!(
        member(&request, "grant_type"),
        "urn:ietf:params:oauth:grant-type:jwt-bearer"
    );
    let (header, mut claims) = opened(&member(&request, "assertion"), by_rsa());
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    assert_eq!(claims["jti"].take().as_str().unwrap().len(), 36);
    assert_eq!(
        claims,
        json!({"iss": "abc", "sub": "user@example.com", "aud": vendor.url(), "iat": START - 30,
               "exp": START + 270, "jti": null, "scope": "a b", "nbf": START - 60})
    );
}

#[tokio::test(start_paused = true)]
async fn a_vendor_with_a_way_of_its_own() {
    let vendor = Vendor::start(|_, _| Reply::token("t0ken", 3600)).await;
    let config = format!(
        "[integrations.x]\ngrant = \"jwt_bearer\"\ntoken_endpoint = \"{}\"\nclient_id = \"abc\"\n\
         client_secret = \"s3cret\"\ntoken_endpoint_auth_method = \"client_secret_post\"\n\
         [integrations.x.assertion]\nkey = {}\npassphrase = \"swordfish\"\nissuer = \"1@Org\"\n\
         audience = \"https://ims.example/c/{{client_id}}\"\nissued_at = false\njti = \"none\"\n\
         parameter = \"jwt_token\"\ngrant_type = \"\"\n\
         claims = {{ \"https://ims.example/s/ent_campaign_sdk\" = true }}\n",
        vendor.url(),
        file("rsa.locked.pem")
    );
    let broker = Broker::start(&config);
    assert_eq!(broker.get("/token/x").await.token(), "t0ken");
    let request = vendor.requests().remove(0);
    let names: Vec<String> = form(&request).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["jwt_token", "client_id", "client_secret"]);
    let (_, claims) = opened(&member(&request, "jwt_token"), by_rsa());
    assert_eq!(
        claims,
        json!({"iss": "1@Org", "aud": "https://ims.example/c/abc", "exp": START + 270,
               "https://ims.example/s/ent_campaign_sdk": true})
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_assertion_is_explained_with_clock_audience_and_key() {
    let vendor = Vendor::start(|_, _| {
        // Seven minutes ahead of the test's clock.
        let head = "date: Fri, 15 Jan 2027 08:07:00 GMT\r\ncontent-type: application/json\r\n";
        Reply::Full(401, head.into(), r#"{"error":"invalid_client"}"#.into())
    })
    .await;
    let broker = Broker::start(&integration(&vendor.url(), &file("rsa.pem"), ""));
    let problem = broker.get("/token/x").await;
    assert_eq!(problem.status, 502, "{}", problem.text());
    let hint = problem.json()["hint"].as_str().unwrap().to_owned();
    for part in ["7m ahead of this machine's", "audience", "'assertion.key'"] {
        assert!(hint.contains(part), "{hint}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_key_is_tried_when_the_vendor_refuses_one() {
    let vendor = Vendor::start(|_, number| match number {
        1 => Reply::json(400, r#"{"error":"invalid_grant"}"#),
        _ => Reply::token("t0ken", 3600),
    })
    .await;
    let keys = format!("[{}, {}]", file("p256.pem"), file("p256.jwk"));
    let config = integration(&vendor.url(), &keys, "algorithm = \"ES256\"");
    let broker = Broker::start(&config);
    assert_eq!(broker.get("/token/x").await.token(), "t0ken");
    assert_eq!(broker.status("x").await["secret_in_use"], 1);
    let requests = vendor.requests();
    assert_eq!(requests.len(), 2);
    let opened = |index: usize| opened(&member(&requests[index], "assertion"), by_p256());
    let ((first, one), (second, two)) = (opened(0), opened(1));
    assert_eq!(
        (&first["kid"], &second["kid"]),
        (&Value::Null, &json!("p256-1"))
    );
    assert_ne!(one["jti"], two["jti"], "signed afresh");
}

#[tokio::test(start_paused = true)]
async fn a_refused_assertion_hints_at_the_clock_and_the_next_follows_the_vendors() {
    // 2027-01-15T08:00:00Z here, five minutes later there.
    let vendor = Vendor::start(|_, number| {
        let date = "date: Fri, 15 Jan 2027 08:05:00 GMT\r\n".to_owned();
        match number {
            1 => Reply::Full(400, date, r#"{"error":"invalid_grant"}"#.into()),
            _ => Reply::token("t0ken", 3600),
        }
    })
    .await;
    let broker = Broker::start(&integration(&vendor.url(), &file("rsa.pem"), ""));
    let answer = broker.get("/token/x").await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    let problem = answer.json();
    assert_eq!(problem["error"], "credentials_rejected");
    assert!(
        problem["hint"].as_str().unwrap().contains("clock"),
        "{problem}"
    );
    broker.until("x", |status| status["state"] == "valid").await;
    let requests = vendor.requests();
    let issued = |index: usize| {
        let (_, claims) = opened(&member(&requests[index], "assertion"), by_rsa());
        claims["iat"].as_i64().unwrap()
    };
    let waited = (requests[1].at - requests[0].at).as_secs();
    let moved = issued(1) - issued(0) - i64::try_from(waited).unwrap();
    assert!((298..=301).contains(&moved), "{moved}");
}

#[tokio::test(start_paused = true)]
async fn a_signed_jwt_is_the_token_and_is_renewed_here() {
    let config = format!(
        "[integrations.x]\ngrant = \"signed_jwt\"\n[integrations.x.assertion]\nkey = {}\n\
         algorithm = \"ES256\"\nissuer = \"abc\"\nlifetime = \"10m\"\n",
        file("p256.half.pem")
    );
    let broker = Broker::start(&config);
    let answer = broker.get("/token/x").await;
    let left = answer.json()["expires_in"].as_i64().unwrap();
    assert!((569..=570).contains(&left), "{left}");
    let (_, claims) = opened(&answer.token(), by_p256());
    assert_eq!(claims["exp"], START + 570);
    let status = broker.status("x").await;
    assert_eq!(
        (&status["provider"], &status["grant"]),
        (&json!("signed_jwt"), &json!("signed_jwt"))
    );
    tokio::time::sleep(std::time::Duration::from_secs(560)).await;
    assert_ne!(broker.get("/token/x").await.token(), answer.token());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_used_is_a_refusal_and_shows_nothing_of_itself() {
    let vendor = Vendor::start(|_, _| Reply::token("t0ken", 3600)).await;
    for (key, more, words) in [
        (
            "\"c4nary-no-key\"".to_owned(),
            "",
            "no key that can be read",
        ),
        (file("rsa1024.pem"), "", "less than 2048 bits"),
        (
            file("rsa.locked.pem"),
            "passphrase = \"c4nary-wrong\"",
            "passphrase is wrong",
        ),
        (file("rsa.pem"), "algorithm = \"ES256\"", "does not fit"),
    ] {
        let broker = Broker::start(&integration(&vendor.url(), &key, more));
        let answer = broker.get("/token/x").await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert_eq!(answer.json()["error"], "request_rejected");
        assert!(answer.text().contains(words), "{words}: {}", answer.text());
        let status = broker.status("x").await.to_string();
        assert!(!answer.text().contains("c4nary") && !status.contains("c4nary"));
    }
    assert_eq!(vendor.count(), 0, "nothing was sent");
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_echoes_the_assertion_is_redacted() {
    let vendor = Vendor::start(|request, _| {
        let said = format!("bad assertion {}", member(request, "assertion"));
        Reply::json(
            400,
            &json!({"error": "invalid_request", "error_description": said}).to_string(),
        )
    })
    .await;
    let broker = Broker::start(&integration(&vendor.url(), &file("rsa.pem"), ""));
    let answer = broker.get("/token/x").await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("[redacted]"), "{}", answer.text());
    assert!(!answer.text().contains("eyJ"), "{}", answer.text());
}

#[tokio::test(start_paused = true)]
#[ignore = "needs node and tests/real/node_modules (npm ci)"]
async fn jose_verifies_every_algorithm() {
    for (algorithm, key, public) in [
        ("RS256", "rsa.pem", "rsa"),
        ("RS384", "rsa.pkcs1.pem", "rsa"),
        ("RS512", "rsa.jwk", "rsa"),
        ("PS256", "rsa.pem", "rsa"),
        ("PS384", "rsa.pem", "rsa"),
        ("PS512", "rsa.jwk", "rsa"),
        ("ES256", "p256.half.pem", "p256"),
        ("ES384", "p384.sec1.pem", "p384"),
        ("EdDSA", "ed25519.pem", "ed25519"),
        ("HS256", "", ""),
        ("HS384", "", ""),
        ("HS512", "", ""),
    ] {
        let shared = "a shared secret that is long enough for each of the three algorithms, at 64";
        let (key, known) = match key {
            "" => (format!("\"{shared}\""), shared.to_owned()),
            name => (file(name), format!("{DATA}/{public}.public.pem")),
        };
        let config = format!(
            "[integrations.x]\ngrant = \"signed_jwt\"\n[integrations.x.assertion]\nkey = {key}\n\
             algorithm = \"{algorithm}\"\nissuer = \"abc\"\n"
        );
        let broker = Broker::start(&config);
        let token = broker.get("/token/x").await.token();
        let output = std::process::Command::new("node")
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real"))
            .args(["verify-jwt.mjs", algorithm, &known, &token])
            .arg(START.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{algorithm}: {said}");
        let read: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(read[0]["alg"], algorithm);
        assert_eq!(read[1]["iss"], "abc");
    }
}

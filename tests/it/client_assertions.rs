//! Clients that name themselves by an assertion, as vendors see them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Broker, Reply, Request, Vendor};

const DATA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/exchange/assertion/testdata"
);
const START: i64 = 1_800_000_000;
const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn file(name: &str) -> String {
    format!("{{ file = \"{DATA}/{name}\" }}")
}

fn member(request: &Request, name: &str) -> Option<String> {
    let mut form = url::form_urlencoded::parse(&request.body).into_owned();
    form.find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

fn integration(url: &str, more: &str) -> String {
    format!(
        "[integrations.x]\ngrant = \"client_credentials\"\ntoken_endpoint = \"{url}\"\n\
         client_id = \"abc\"\n{more}\n"
    )
}

/// Header and claims, verified by a library that signs nothing here.
fn opened(jwt: &str, key: &DecodingKey, algorithm: Algorithm) -> (Value, Value) {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode(jwt, key, &validation).unwrap().claims;
    let header = URL_SAFE_NO_PAD.decode(jwt.split('.').next().unwrap());
    (serde_json::from_slice(&header.unwrap()).unwrap(), claims)
}

fn public(name: &str) -> Vec<u8> {
    std::fs::read(format!("{DATA}/{name}")).unwrap()
}

fn by_rsa() -> DecodingKey {
    DecodingKey::from_rsa_pem(&public("rsa.public.pem")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn private_key_jwt_is_signed_anew_for_every_request() {
    let vendor = Vendor::start(|_, number| Reply::token(&format!("t0ken-{number}"), 3600)).await;
    let key = file("rsa.pem");
    let broker = Broker::start(&integration(
        &vendor.url(),
        &format!("client_assertion = {{ key = {key}, kid = \"k1\", algorithm = \"PS256\" }}"),
    ));
    assert_eq!(broker.get("/token/x").await.token(), "t0ken-1");
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(broker.post("/refresh/x", "").await.token(), "t0ken-2");
    let requests = vendor.requests();
    let mut seen = Vec::new();
    for request in &requests {
        assert_eq!(request.header("authorization"), None);
        assert_eq!(member(request, "client_id").as_deref(), Some("abc"));
        assert_eq!(member(request, "client_secret"), None);
        assert_eq!(
            member(request, "client_assertion_type").as_deref(),
            Some(KIND)
        );
        let jwt = member(request, "client_assertion").unwrap();
        let (header, mut claims) = opened(&jwt, &by_rsa(), Algorithm::PS256);
        assert_eq!(header, json!({"alg": "PS256", "typ": "JWT", "kid": "k1"}));
        seen.push(claims["jti"].take().to_string());
        let issued = claims["iat"].take().as_i64().unwrap();
        assert_eq!(claims["exp"].take().as_i64().unwrap(), issued + 300);
        assert!((START - 30..START + 40).contains(&issued), "{issued}");
        let url = vendor.url();
        assert_eq!(
            claims,
            json!({"iss": "abc", "sub": "abc", "aud": url, "iat": null, "exp": null, "jti": null})
        );
    }
    assert_ne!(seen[0], seen[1], "a replayed one would be refused");
}

#[tokio::test(start_paused = true)]
async fn of_two_client_keys_the_one_that_works_is_found_and_kept() {
    let vendor = Vendor::start(|request, _| {
        let jwt = member(request, "client_assertion").unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        match jsonwebtoken::decode::<Value>(&jwt, &by_rsa(), &validation) {
            Ok(_) => Reply::token("t0ken", 3600),
            Err(_) => Reply::json(401, r#"{"error":"invalid_client"}"#),
        }
    })
    .await;
    let other = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/conformance/adobe-jwt.key"
    );
    let key = file("rsa.pem");
    let broker = Broker::start(&integration(
        &vendor.url(),
        &format!("client_assertion = {{ key = [{{ file = \"{other}\" }}, {key}] }}"),
    ));
    assert_eq!(broker.get("/token/x").await.token(), "t0ken");
    assert_eq!(vendor.count(), 2);
    let status = broker.status("x").await;
    assert_eq!(status["secret_in_use"], 1, "{status}");
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    broker.post("/refresh/x", "").await;
    assert_eq!(vendor.count(), 3, "the one that worked comes first");
}

#[tokio::test(start_paused = true)]
async fn client_secret_jwt_signs_with_the_secret_and_does_not_send_it() {
    let vendor = Vendor::start(|_, _| Reply::token("t0ken", 3600)).await;
    let secret = "c4nary-of-more-than-thirty-two-bytes-for-the-sake-of-it";
    let broker = Broker::start(&integration(
        &vendor.url(),
        &format!(
            "token_endpoint_auth_method = \"client_secret_jwt\"\nclient_secret = \"{secret}\"\n\
             client_assertion = {{ audience = \"https://as.example\" }}"
        ),
    ));
    assert_eq!(broker.get("/token/x").await.token(), "t0ken");
    let request = vendor.last().unwrap();
    assert!(!request.text().contains("c4nary"));
    let jwt = member(&request, "client_assertion").unwrap();
    let key = DecodingKey::from_secret(secret.as_bytes());
    let (_, claims) = opened(&jwt, &key, Algorithm::HS256);
    assert_eq!(claims["aud"], "https://as.example");
    assert_eq!(
        (&claims["iss"], &claims["sub"]),
        (&json!("abc"), &json!("abc"))
    );
}

/// As Kubernetes projects it: no secret is configured at all, and the file changes by itself.
#[tokio::test(start_paused = true)]
async fn an_assertion_out_of_a_file_is_read_for_every_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "ey.first.one\n").unwrap();
    let vendor = Vendor::start(|_, number| Reply::token(&format!("t0ken-{number}"), 3600)).await;
    let broker = Broker::start(&integration(
        &vendor.url(),
        &format!("client_assertion_file = \"{}\"", path.display()),
    ));
    assert_eq!(broker.get("/token/x").await.token(), "t0ken-1");
    std::fs::write(&path, "ey.second.one\n").unwrap();
    broker.until("x", |_| vendor.count() == 2).await;
    let sent: Vec<_> = vendor
        .requests()
        .iter()
        .map(|request| member(request, "client_assertion").unwrap())
        .collect();
    assert_eq!(sent, ["ey.first.one", "ey.second.one"]);
    let kind = member(&vendor.last().unwrap(), "client_assertion_type");
    assert_eq!(kind.as_deref(), Some(KIND));
}

/// As Entra wants it, and as Snowflake does.
#[tokio::test(start_paused = true)]
async fn fingerprints_of_key_and_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("cert.pem");
    let der = b"a certificate, as far as its fingerprint goes";
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        STANDARD.encode(der)
    );
    std::fs::write(&certificate, &pem).unwrap();
    let both = folder.path().join("both.pem");
    let key = String::from_utf8(public("rsa.pem")).unwrap();
    std::fs::write(&both, format!("{pem}{key}")).unwrap();
    let vendor = Vendor::start(|_, _| Reply::token("t0ken", 3600)).await;
    let headers = "headers = { \"x5t#S256\" = \"{certificate_fingerprint}\" }\n\
                   claims = { fp = \"SHA256:{key_fingerprint}\", up = \"{upper({client_id})}\" }\n";
    for keys in [
        format!(
            "key = {}\ncertificate = {{ file = \"{}\" }}\n",
            file("rsa.pem"),
            certificate.display()
        ),
        format!("key = {{ file = \"{}\" }}\n", both.display()),
    ] {
        let broker = Broker::start(&integration(
            &vendor.url(),
            &format!("[integrations.x.client_assertion]\n{keys}{headers}"),
        ));
        assert_eq!(broker.get("/token/x").await.token(), "t0ken");
        let jwt = member(&vendor.last().unwrap(), "client_assertion").unwrap();
        let (header, claims) = opened(&jwt, &by_rsa(), Algorithm::RS256);
        let wanted = URL_SAFE_NO_PAD.encode(Sha256::digest(der));
        assert_eq!(header["x5t#S256"], wanted);
        // What `openssl rsa -pubout` writes is the SubjectPublicKeyInfo.
        let spki = String::from_utf8(public("rsa.public.pem")).unwrap();
        let spki: String = spki
            .lines()
            .filter(|line| !line.starts_with("--"))
            .collect();
        let spki = STANDARD.decode(spki).unwrap();
        let wanted = format!("SHA256:{}", STANDARD.encode(Sha256::digest(spki)));
        assert_eq!(claims["fp"], wanted);
        assert_eq!(claims["up"], "ABC");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_key_that_does_not_fit_is_a_refusal_and_shows_nothing_of_itself() {
    let vendor = Vendor::start(|_, _| Reply::token("t0ken", 3600)).await;
    for (table, words) in [
        (
            format!("{{ key = {}, algorithm = \"ES256\" }}", file("rsa.pem")),
            "does not fit the algorithm ES256",
        ),
        (
            format!(
                "{{ key = {}, headers = {{ x5t = \"{{certificate_fingerprint}}\" }} }}",
                file("rsa.pem")
            ),
            "there is no certificate",
        ),
        (
            "{ key = \"c4nary-no-key\" }".to_owned(),
            "no key that can be read",
        ),
    ] {
        let broker = Broker::start(&integration(
            &vendor.url(),
            &format!("client_assertion = {table}"),
        ));
        let answer = broker.get("/token/x").await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert!(answer.text().contains(words), "{words}: {}", answer.text());
        assert!(!answer.text().contains("c4nary"));
    }
    assert_eq!(vendor.count(), 0, "nothing was sent");
}

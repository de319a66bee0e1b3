//! A made-up vendor in ten lines, with each client authentication.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::{Broker, Reply, Request, Vendor};

const ID: &str = "id+/%&=\\\"é x";
const SECRET: &str = "s3+/%&=\\\"é t";
/// Both in `application/x-www-form-urlencoded`.
const ID_FORM: &str = "id%2B%2F%25%26%3D%22%C3%A9+x";
const SECRET_FORM: &str = "s3%2B%2F%25%26%3D%22%C3%A9+t";

async fn asked_with(more: &str) -> Request {
    let vendor = Vendor::start(|_, _| Reply::token("t0ken", 3600)).await;
    let broker = Broker::start(&format!(
        "[integrations.made-up]\ngrant = \"client_credentials\"\ntoken_endpoint = \"{}\"\n\
         client_id = \"{ID}\"\nclient_secret = \"{SECRET}\"\nscope = [\"read\", \"write\"]\n{more}\n",
        vendor.url()
    ));
    let answer = broker.get("/token/made-up").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["token_type"], "Bearer");
    assert_eq!(answer.token(), "t0ken");
    assert_eq!(vendor.count(), 1);
    vendor.requests().remove(0)
}

#[tokio::test(start_paused = true)]
async fn basic_form_encoded_is_the_default() {
    let request = asked_with("").await;
    assert_eq!(request.line, "POST /token HTTP/1.1");
    let basic = STANDARD.encode(format!("{ID_FORM}:{SECRET_FORM}"));
    assert_eq!(
        request.header("authorization"),
        Some(format!("Basic {basic}").as_str())
    );
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(
        request.text(),
        "grant_type=client_credentials&scope=read+write"
    );
}

#[tokio::test(start_paused = true)]
async fn basic_raw() {
    let request = asked_with("basic_encoding = \"raw\"").await;
    let basic = STANDARD.encode("id+/%&=\"é x:s3+/%&=\"é t");
    assert_eq!(
        request.header("authorization"),
        Some(format!("Basic {basic}").as_str())
    );
}

#[tokio::test(start_paused = true)]
async fn post_in_a_form() {
    let request = asked_with("token_endpoint_auth_method = \"client_secret_post\"").await;
    assert_eq!(request.header("authorization"), None);
    let mut members: Vec<&str> = request.text().split('&').collect();
    members.sort_unstable();
    assert_eq!(
        members,
        [
            &format!("client_id={ID_FORM}"),
            &format!("client_secret={SECRET_FORM}"),
            "grant_type=client_credentials",
            "scope=read+write"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn post_in_json() {
    let request = asked_with(
        "token_endpoint_auth_method = \"client_secret_post\"\nrequest_format = \"json\"\n\
         params = { audience = \"https://api.example.com\", empty = \"\" }",
    )
    .await;
    assert_eq!(request.header("content-type"), Some("application/json"));
    let body: serde_json::Value = serde_json::from_str(request.text()).unwrap();
    assert_eq!(
        body,
        serde_json::json!({"grant_type": "client_credentials", "client_id": "id+/%&=\"é x",
            "client_secret": "s3+/%&=\"é t", "scope": "read write",
            "audience": "https://api.example.com"})
    );
}

#[tokio::test(start_paused = true)]
async fn post_in_the_query() {
    let more = "token_endpoint_auth_method = \"client_secret_post\"\nrequest_format = \"query\"";
    let request = asked_with(more).await;
    assert!(request.line.starts_with("POST /token?"), "{}", request.line);
    assert!(
        request
            .line
            .contains(&format!("client_secret={SECRET_FORM}")),
        "{}",
        request.line
    );
    assert!(request.body.is_empty());
    let request = asked_with(&format!("{more}\nmethod = \"GET\"")).await;
    assert!(request.line.starts_with("GET /token?"), "{}", request.line);
}

#[tokio::test(start_paused = true)]
async fn none_sends_the_id_alone() {
    let vendor = Vendor::start(|_, _| Reply::token("t0ken", 3600)).await;
    let broker = Broker::start(&format!(
        "[integrations.open]\ngrant = \"client_credentials\"\ntoken_endpoint = \"{}\"\n\
         client_id = \"abc\"\n",
        vendor.url()
    ));
    assert_eq!(broker.get("/token/open").await.status, 200);
    assert_eq!(
        vendor.requests()[0].text(),
        "grant_type=client_credentials&client_id=abc"
    );
}

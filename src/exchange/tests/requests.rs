//! What is sent, byte by byte.

use super::*;

/// Request line, header lines in lower-case names and sorted, body.
fn parts(request: &str) -> (String, Vec<(String, String)>, String) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let first = lines.next().unwrap().to_owned();
    let mut headers: Vec<_> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    headers.sort();
    (first, headers, body.to_owned())
}

async fn sent(change: impl FnOnce(&mut TokenRequest)) -> (String, Vec<(String, String)>, String) {
    let peer = Peer::start(vec![Act::json(200, TOKEN)]).await;
    let mut request = request(&peer.url());
    change(&mut request);
    let outcome = Bench::new().source(request).exchange().await;
    assert_eq!(issued(outcome).access_token.expose(), "tok-1");
    let requests = peer.requests();
    assert_eq!(requests.len(), 1);
    let (first, mut headers, body) = parts(&requests[0]);
    headers.retain(|(name, _)| name != "host");
    (first, headers, body)
}

fn usual(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let agent = concat!("token-broker/", env!("CARGO_PKG_VERSION"));
    let mut all: Vec<_> = [
        ("accept", "application/json"),
        ("accept-encoding", "gzip"),
        ("user-agent", agent),
    ]
    .iter()
    .chain(more)
    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    .collect();
    all.sort();
    all
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

const POST: &str = "POST /token HTTP/1.1";

#[tokio::test(start_paused = true)]
async fn basic_sends_id_and_secret_form_encoded() {
    let (first, headers, body) = sent(|request| {
        request.auth = ClientAuth::Basic(BasicEncoding::Form);
    })
    .await;
    let pair = STANDARD.encode(format!("{HARD_FORM}:{HARD_FORM}"));
    assert_eq!(first, POST);
    assert_eq!(body, "grant_type=client_credentials");
    let length = body.len().to_string();
    assert_eq!(
        headers,
        usual(&[
            FORM,
            ("content-length", &length),
            ("authorization", &format!("Basic {pair}"))
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn basic_can_be_raw() {
    let (_, headers, _) = sent(|request| {
        request.auth = ClientAuth::Basic(BasicEncoding::Raw);
    })
    .await;
    let pair = STANDARD.encode(format!("{HARD}:{HARD}"));
    let expected = ("authorization".to_owned(), format!("Basic {pair}"));
    assert!(headers.contains(&expected), "{headers:?}");
}

#[tokio::test(start_paused = true)]
async fn post_in_a_form() {
    let (first, headers, body) = sent(|_| {}).await;
    assert_eq!(first, POST);
    assert_eq!(
        body,
        format!("grant_type=client_credentials&client_id={HARD_FORM}&client_secret={HARD_FORM}")
    );
    let length = body.len().to_string();
    assert_eq!(headers, usual(&[FORM, ("content-length", &length)]));
}

#[tokio::test(start_paused = true)]
async fn post_in_json() {
    let (first, headers, body) = sent(|request| {
        request.format = RequestFormat::Json;
        request.scope = Some("a b".to_owned());
    })
    .await;
    assert_eq!(first, POST);
    assert_eq!(
        body,
        format!(
            r#"{{"grant_type":"client_credentials","client_id":{0},"client_secret":{0},"scope":"a b"}}"#,
            serde_json::Value::from(HARD)
        )
    );
    let length = body.len().to_string();
    assert_eq!(
        headers,
        usual(&[
            ("content-type", "application/json"),
            ("content-length", &length)
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn post_and_get_in_the_query() {
    let query =
        format!("grant_type=client_credentials&client_id={HARD_FORM}&client_secret={HARD_FORM}");
    let (first, headers, body) = sent(|request| request.format = RequestFormat::Query).await;
    assert_eq!(first, format!("POST /token?{query} HTTP/1.1"));
    assert_eq!(headers, usual(&[("content-length", "0")]));
    assert_eq!(body, "");
    let (first, headers, _) = sent(|request| {
        request.format = RequestFormat::Query;
        request.method = Method::Get;
    })
    .await;
    assert_eq!(first, format!("GET /token?{query} HTTP/1.1"));
    assert_eq!(headers, usual(&[]));
}

#[tokio::test(start_paused = true)]
async fn none_sends_the_client_id_if_there_is_one() {
    let (_, _, body) = sent(|request| {
        request.auth = ClientAuth::None;
        request.client_secret.clear();
    })
    .await;
    assert_eq!(
        body,
        format!("grant_type=client_credentials&client_id={HARD_FORM}")
    );
    let (_, _, body) = sent(|request| {
        request.auth = ClientAuth::None;
        request.client_secret.clear();
        request.client_id = None;
    })
    .await;
    assert_eq!(body, "grant_type=client_credentials");
}

#[tokio::test(start_paused = true)]
async fn parameters_and_headers_as_named_and_nothing_empty() {
    let text = Draft::from;
    let secret = |text: &str| hidden(SecretSource::Value(Secret::new(text)));
    let (_, headers, body) = sent(|request| {
        request.auth = ClientAuth::None;
        request.client_secret.clear();
        request.scope = Some("read write".to_owned());
        request.params = vec![
            ("audience".to_owned(), text("https://api.example.com/")),
            ("empty".to_owned(), text("")),
            ("client_id".to_owned(), text("")),
            ("pass word".to_owned(), Draft::Text(secret("p&ss"))),
            ("grant_type".to_owned(), text("account_credentials")),
        ];
        request.headers = vec![
            ("x-tenant".to_owned(), Phrase::literal("t1")),
            ("x-key".to_owned(), secret("k-é")),
            ("x-empty".to_owned(), Phrase::literal("")),
        ];
    })
    .await;
    assert_eq!(
        body,
        "scope=read+write&audience=https%3A%2F%2Fapi.example.com%2F&pass+word=p%26ss\
         &grant_type=account_credentials"
    );
    let length = body.len().to_string();
    assert_eq!(
        headers,
        usual(&[
            FORM,
            ("content-length", &length),
            ("x-key", "k-é"),
            ("x-tenant", "t1")
        ])
    );
}

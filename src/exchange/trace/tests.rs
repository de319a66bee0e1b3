use super::super::Present;
use super::*;
use crate::base::Timestamp;
use crate::exchange::request::{self, Filled};
use crate::spec::{BasicEncoding, ClientAuth, Part, SecretSource};
use serde_json::json;

fn source() -> SecretSource {
    SecretSource::File("/run/secrets/assertion".into())
}

fn spec(format: RequestFormat, auth: ClientAuth) -> TokenRequest {
    let text = Draft::from;
    let phrase = Phrase::literal;
    TokenRequest {
        auth,
        format,
        client_id: Some("abc".to_owned()),
        client_secret: vec![],
        scope: Some("a b".to_owned()),
        params: vec![
            ("audience".to_owned(), text("https://api.example/")),
            ("api_key".to_owned(), text("canary-inline")),
            (
                "assertion".to_owned(),
                Draft::Text(Phrase::new([Part::Secret(source())])),
            ),
        ],
        headers: vec![
            ("x-tenant".to_owned(), phrase("t1")),
            ("x-api-key".to_owned(), phrase("canary-header")),
        ],
        ..TokenRequest::to("https://x.example/t?tenant=7&sig=canary-query")
    }
}

fn sent(spec: &TokenRequest) -> Sent {
    let filled = Filled {
        present: Present::Nothing,
        // Too short for a redactor: hidden all the same.
        credential: Some(Secret::new("pw")),
        secrets: vec![(source(), Secret::new("canary-assertion"))],
        ..Filled::default()
    };
    let now = Timestamp::from_unix_seconds(1_800_000_000);
    let endpoint = spec.endpoint.known().unwrap();
    let built = request::build(spec, endpoint, None, &filled, now).unwrap();
    let held = vec![Secret::new("pw")];
    let shown = Shown::of(spec, filled.credential.as_ref());
    Look::at(shown, &built.request, (held, Tokens::default()), None).sent
}

#[test]
fn only_what_is_known_to_be_public_is_shown_of_a_request() {
    for (format, auth) in [
        (RequestFormat::Form, ClientAuth::Post),
        (RequestFormat::Json, ClientAuth::Post),
        (RequestFormat::Query, ClientAuth::Post),
        (RequestFormat::Form, ClientAuth::Basic(BasicEncoding::Form)),
    ] {
        let spec = spec(format, auth);
        let sent = sent(&spec);
        let all = format!("{sent:?}");
        assert!(!all.contains("canary") && !all.contains("pw"), "{all}");
        assert!(
            sent.url.starts_with("https://x.example/t?tenant=(secret)"),
            "{all}"
        );
        for shown in [
            "client_credentials",
            "api.example",
            "(\"x-tenant\", \"t1\")",
        ] {
            assert!(all.contains(shown), "{shown}: {all}");
        }
    }
    let post = sent(&spec(RequestFormat::Form, ClientAuth::Post));
    assert_eq!(
        post.body,
        "grant_type=client_credentials&client_id=abc&client_secret=(secret)&scope=a+b\
         &audience=https%3A%2F%2Fapi.example%2F&api_key=(secret)&assertion=(secret)"
    );
}

fn shown(status: u16, body: &str) -> String {
    let response = net::Response {
        status,
        headers: HeaderMap::new(),
        body: Zeroizing::new(body.as_bytes().to_vec()),
    };
    let redactor = Redactor::new([&Secret::new("canary-secret")]);
    answered(&response, &ResponseShape::default(), &[], redactor).body
}

#[test]
fn no_token_is_shown_of_an_answer() {
    let good = json!({
        "access_token": "t", "expires_in": 7, "token_type": "Bearer", "idToken": 5,
        "renamed": "canary-unknown", "list": ["canary-unknown"], "ok": true,
        "url": "https://x.example/canary-unknown", "message": "eyJhbGciOiJub25lIn0.canary.x",
        "deep": {"refresh_token": {"value": "canary-unknown"}},
    });
    let text = shown(200, &good.to_string());
    assert!(!text.contains("canary"), "{text}");
    assert!(text.starts_with(r#"{"access_token":"(secret)","expires_in":7,"token_type":"Bearer""#));
    assert_eq!(
        shown(200, "access_token=canary"),
        "(19 bytes that are not JSON)"
    );
    let bad = json!({"error": "e", "detail": "with canary-secret", "access_token": "canary-2",
        "assertion": "canary-3", "sent": "eyJhbGciOiJub25lIn0.canary.x"});
    let text = shown(400, &bad.to_string());
    assert!(!text.contains("canary"), "{text}");
    assert!(text.contains("with [redacted]"), "{text}");
    let text = shown(403, "<p>canary-secret</p> eyJhbGciOiJub25lIn0.canary.x");
    assert_eq!(text, "<p>[redacted]</p> (secret)");
}

proptest::proptest! {
    #[test]
    fn hostile_answers_never_panic(status in 100_u16..600, body in ".{0,200}") {
        let text = shown(status, &body);
        proptest::prop_assert!(text.chars().count() <= 320);
    }
}

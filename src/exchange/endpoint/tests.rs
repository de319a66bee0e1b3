//! What refresh tokens, codes and device codes look like on the wire, and what comes of them.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::{RefreshToken, Timestamp, TokioClock};
use crate::exchange::Present;
use crate::exchange::Sources;
use crate::net::Clients;
use crate::net::peer::{Act, Peer};
use crate::secrets::Vault;
use crate::spec::{
    Api, BasicEncoding, ClientAuth, Endpoint as Url, FirstRefreshToken, Grant, Net, Refreshing,
    ResponseShape, Rotation, SecretCandidate, TokenRequest, Vendor,
};

const PAIR: &str =
    r#"{"access_token":"a-2","expires_in":"1800","refresh_token":"r-2-of-sixteen","note":"n"}"#;
const SENT: &str = "r-1 of sixteen+";

fn value(secret: &str) -> SecretSource {
    SecretSource::Value(Secret::new(secret))
}

fn request(url: &str) -> TokenRequest {
    TokenRequest {
        client_id: Some("me".to_owned()),
        scope: Some("read offline_access".to_owned()),
        params: vec![("tenant".to_owned(), "t".into())],
        ..TokenRequest::to(url)
    }
}

fn refreshing(first: FirstRefreshToken) -> Refreshing {
    Refreshing {
        first,
        refresh_endpoint: None,
        rotation: Rotation::Maybe,
        lifetime: None,
        idle_lifetime: None,
    }
}

fn configured() -> Refreshing {
    refreshing(FirstRefreshToken::Configured(value("r-0")))
}

fn device(url: &str) -> Refreshing {
    refreshing(FirstRefreshToken::DeviceCode {
        device_authorization_endpoint: Url::parse(url).unwrap().into(),
    })
}

fn integration(request: TokenRequest, refreshing: Refreshing) -> Integration {
    Integration {
        id: "billing".parse().unwrap(),
        provider: "auth.example.com".into(),
        required: true,
        grant: Grant::RefreshToken(Arc::new(request), Arc::new(refreshing)),
        net: Arc::new(Net::default()),
        refresh: Arc::default(),
        response: Arc::new(ResponseShape::default()),
        api: Arc::new(Api {
            base_url: None,
            headers: vec![],
            query: vec![],
            hosts: vec![],
        }),
        vendor: Arc::new(Vendor::default()),
    }
}

fn source(request: TokenRequest, refreshing: Refreshing) -> Arc<dyn TokenSource> {
    let start = Timestamp::from_unix_seconds(1_800_000_000);
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(start));
    let sources = Sources::new(Clients::new(), Vault::new(Arc::clone(&clock)), clock);
    let integration = Arc::new(integration(request, refreshing));
    sources.source(&integration).unwrap()
}

async fn ask(source: &dyn TokenSource, present: Present) -> Outcome {
    let ask = Ask {
        present,
        ..Ask::plain()
    };
    source.ask(ask).await.expect("it may send")
}

fn refresh() -> Present {
    Present::RefreshToken(Secret::new(SENT))
}

fn code() -> Present {
    Present::Code {
        code: Secret::new("c/1"),
        verifier: Secret::new("v~1"),
        redirect_uri: "http://127.0.0.1:8656/login/callback".to_owned(),
    }
}

fn body(peer: &Peer) -> String {
    let requests = peer.requests();
    assert_eq!(requests.len(), 1);
    requests[0].split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn each_grant_sends_what_its_standard_names_and_no_more() {
    let redirect = "redirect_uri=http%3A%2F%2F127.0.0.1%3A8656%2Flogin%2Fcallback";
    for (present, sent) in [
        (
            refresh(),
            "grant_type=refresh_token&refresh_token=r-1+of+sixteen%2B&client_id=me&tenant=t"
                .to_owned(),
        ),
        (
            code(),
            format!(
                "grant_type=authorization_code&code=c%2F1&{redirect}&code_verifier=v%7E1\
                 &client_id=me&tenant=t"
            ),
        ),
        (
            Present::DeviceCode(Secret::new("d 1")),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=d+1\
             &client_id=me&tenant=t"
                .to_owned(),
        ),
    ] {
        let peer = Peer::start(vec![Act::json(200, PAIR)]).await;
        let source = source(request(&peer.url()), configured());
        let Outcome::Issued(issued) = ask(&*source, present).await else {
            panic!("a token");
        };
        assert_eq!(body(&peer), sent);
        let wanted = RefreshToken {
            token: Secret::new("r-2-of-sixteen"),
            lifetime: None,
        };
        assert_eq!(issued.refresh_token, Some(wanted));
        assert_eq!(issued.lifetime, Some(Duration::from_mins(30)));
        let members = serde_json::Value::Object(issued.members);
        assert_eq!(members, serde_json::json!({"note": "n"}));
    }
}

#[tokio::test]
async fn a_client_with_a_secret_names_itself_in_the_header_only() {
    let peer = Peer::start(vec![Act::json(200, PAIR)]).await;
    let mut request = request(&peer.url());
    request.auth = ClientAuth::Basic(BasicEncoding::Form);
    request.client_secret = vec![SecretCandidate {
        source: value("s"),
        not_before: None,
        expires_at: None,
    }];
    ask(&*source(request, configured()), refresh()).await;
    assert_eq!(
        body(&peer),
        "grant_type=refresh_token&refresh_token=r-1+of+sixteen%2B&tenant=t"
    );
    assert!(peer.requests()[0].contains("authorization: Basic bWU6cw=="));
}

#[tokio::test]
async fn refresh_tokens_go_to_the_refresh_endpoint_and_codes_do_not() {
    let tokens = Peer::start(vec![Act::json(200, PAIR)]).await;
    let refreshes = Peer::start(vec![Act::json(200, PAIR)]).await;
    let refreshing = Refreshing {
        refresh_endpoint: Some(Url::parse(&refreshes.url()).unwrap()),
        ..configured()
    };
    let source = source(request(&tokens.url()), refreshing.clone());
    ask(&*source, refresh()).await;
    assert!(body(&refreshes).starts_with("grant_type=refresh_token&"));
    assert_eq!(tokens.requests().len(), 0);
    ask(&*source, code()).await;
    assert!(body(&tokens).starts_with("grant_type=authorization_code&"));
    assert_eq!(refreshes.requests().len(), 1);
    // Limits and waits are those of the place that is asked again and again.
    let key = integration(request(&tokens.url()), refreshing).quota_key();
    assert_eq!(key.unwrap().0, refreshes.address.to_string());
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_and_not_answered_is_in_doubt() {
    let whole = Act::json(200, PAIR);
    let Act::Say(bytes) = &whole else { panic!() };
    let half = bytes[..bytes.len() - 20].to_vec();
    for act in [
        Act::Reset(vec![]),
        Act::Reset(half.clone()),
        Act::Say(half),
        Act::Hang,
    ] {
        let peer = Peer::start(vec![act]).await;
        let outcome = ask(&*source(request(&peer.url()), configured()), refresh()).await;
        assert_eq!(outcome.label(), "ambiguous", "{outcome:?}");
        assert_eq!(peer.requests().len(), 1);
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}/token", listener.local_addr().unwrap());
    drop(listener);
    let outcome = ask(&*source(request(&closed), configured()), refresh()).await;
    assert_eq!(outcome.label(), "transient", "{outcome:?}");
    let never = Refreshing {
        rotation: Rotation::Never,
        ..configured()
    };
    let peer = Peer::start(vec![Act::Reset(vec![])]).await;
    let outcome = ask(&*source(request(&peer.url()), never), refresh()).await;
    assert_eq!(outcome.label(), "transient", "{outcome:?}");
}

#[tokio::test]
async fn nothing_presented_or_received_is_shown() {
    let echo = serde_json::json!({
        "error": "odd", "error_description": format!("{SENT} and c/1-of-sixteen-and-more"),
        "refresh_token": "r-3-of-sixteen", "deeper": [{"refreshToken": "r-4-of-sixteen"}],
    });
    let long = Present::Code {
        code: Secret::new("c/1-of-sixteen-and-more"),
        verifier: Secret::new("v/1-of-sixteen-and-more"),
        redirect_uri: "http://127.0.0.1/".to_owned(),
    };
    let device = Present::DeviceCode(Secret::new("d/1-of-sixteen-and-more"));
    for (status, present) in [
        (400, refresh()),
        (200, refresh()),
        (400, long),
        (400, device),
    ] {
        let peer = Peer::start(vec![Act::json(status, &echo.to_string())]).await;
        let source = source(request(&peer.url()), configured());
        let secrets = present.secrets();
        let mut trace = Trace::default();
        let shown = format!("{present:?}");
        let outcome = source
            .ask(Ask {
                held: None,
                present,
                may_send: &|| Box::pin(std::future::ready(true)),
                trace: Some(&mut trace),
            })
            .await
            .unwrap();
        let shown = format!("{shown} {outcome:?} {trace:?} {source:?}");
        for secret in secrets.iter().map(Secret::expose) {
            assert!(!shown.contains(secret), "{secret}: {shown}");
            assert!(!shown.contains(&crate::exchange::auth::form(secret)));
        }
        assert!(!shown.contains("r-3") && !shown.contains("r-4"), "{shown}");
    }
}

#[tokio::test]
async fn the_configured_refresh_token_is_read_and_its_changes_are_told() {
    let clock: Arc<dyn Clock> = Arc::new(crate::base::SystemClock);
    let vault = Vault::new(Arc::clone(&clock));
    let sources = Sources::new(Clients::new(), Arc::clone(&vault), clock);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "r-file\n").unwrap();
    let first = FirstRefreshToken::Configured(SecretSource::File(file.path().to_owned()));
    let request = request("http://127.0.0.1:1/token");
    let made = integration(request.clone(), refreshing(first));
    let source = sources.source(&Arc::new(made)).unwrap();
    let found = source.configured_refresh_token().await;
    assert_eq!(found, Ok(Some(Secret::new("r-file"))));
    std::fs::remove_file(&file).unwrap();
    let missing = FirstRefreshToken::Configured(SecretSource::File(file.path().to_owned()));
    let made = integration(request.clone(), refreshing(missing));
    let other = Sources::new(
        Clients::new(),
        Vault::new(Arc::new(crate::base::SystemClock)),
        Arc::new(crate::base::SystemClock),
    );
    let source = other.source(&Arc::new(made)).unwrap();
    let found = source.configured_refresh_token().await.unwrap_err();
    assert_eq!(found.label(), "secret_unavailable");
    let by_consent = device("http://127.0.0.1:1/device");
    let source = self::source(request, by_consent);
    assert_eq!(source.configured_refresh_token().await, Ok(None));
}

#[tokio::test]
async fn a_device_flow_begins() {
    let answer = r#"{"device_code":"d","user_code":"AB-CD","expires_in":600,
        "verification_uri":"https://vendor.example/device"}"#;
    let peer = Peer::start(vec![Act::json(200, answer)]).await;
    let flow = device(&peer.url());
    let source = source(request("http://127.0.0.1:1/token"), flow);
    let begun = source.device_authorization().await.unwrap();
    assert_eq!(begun.user_code, "AB-CD");
    assert_eq!(begun.interval, Duration::from_secs(5));
    assert_eq!(
        body(&peer),
        "client_id=me&scope=read+offline_access&tenant=t"
    );
    assert!(!format!("{begun:?}").contains("\"d\""));
}

#[tokio::test]
async fn a_device_flow_that_does_not_begin_says_why() {
    for (status, answer, label) in [
        (200, r#"{"user_code":"AB-CD"}"#, "transient"),
        (200, "<html>", "transient"),
        (200, r#"{"access_token":"a","error":"x"}"#, "transient"),
        (200, r#"{"error":"device_flow_disabled"}"#, "bad_request"),
        (400, r#"{"error":"invalid_scope"}"#, "bad_request"),
        (401, r#"{"error":"invalid_client"}"#, "bad_credential"),
        (503, "", "transient"),
    ] {
        let peer = Peer::start(vec![Act::json(status, answer)]).await;
        let source = source(request("http://127.0.0.1:1/token"), device(&peer.url()));
        let refused = source.device_authorization().await.unwrap_err();
        assert_eq!(refused.label(), label, "{status} {answer}");
    }
    let source = source(request("http://127.0.0.1:1/token"), configured());
    let refused = source.device_authorization().await.unwrap_err();
    assert_eq!(refused.label(), "bad_request");
}

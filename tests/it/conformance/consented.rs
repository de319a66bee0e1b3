//! Providers that begin with a person's consent, the whole way through the broker: the page that the
//! person visits, the code, the token, and the refresh token that follows it.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::{Duration, sleep};
use url::Url;

use super::call;
use super::case::{config_text, start};
use super::fixture::{Answer, Expected, Fixture, Presented};
use super::seen::same_call;
use super::tried::Tried;
use crate::support::{Broker, Internet, Reply, Request, request};

/// Documented answers that bring a refresh token.
fn renewable(fixture: &Fixture) -> impl Iterator<Item = &Answer> {
    let brings = |answer: &&Answer| answer.outcome == "issued" && answer.refresh_token.is_some();
    fixture.answers.iter().filter(brings)
}

/// What the code is answered with: the documented answer that brings a refresh token, with the one
/// that `renewal` presents in it.
fn answer(fixture: &Fixture, code: usize, renewal: Option<&str>) -> String {
    let Some(renewal) = renewal else {
        return fixture.answers[0].body.clone();
    };
    let of_code = renewable(fixture).find(|answer| answer.to == code);
    let answer = of_code.or(renewable(fixture).next());
    let answer = answer.expect("a documented answer with a refresh token");
    let token = answer.refresh_token.as_deref().unwrap();
    answer.body.replace(token, renewal)
}

/// What the person's browser is sent to, held against the vendor's page: its parameters.
fn page_to_visit(name: &str, begun: &Value, expected: &Expected) -> BTreeMap<String, String> {
    let page = begun["authorization_url"].as_str();
    let page = Url::parse(page.unwrap_or_else(|| panic!("{name}: {begun}"))).unwrap();
    let mut found: BTreeMap<_, _> = page.query_pairs().into_owned().collect();
    let given = found.clone();
    let consent = expected.consent.as_ref().unwrap();
    let documented = Url::parse(consent.authorization_endpoint.as_deref().unwrap()).unwrap();
    let end = |url: &Url| (url.host_str().map(str::to_owned), url.path().to_owned());
    assert_eq!(end(&page), end(&documented), "{name}");
    let mut take = |key: &str| found.remove(key).unwrap_or_default();
    for (key, value) in documented.query_pairs() {
        assert_eq!(take(&key), value, "{name}: {key}");
    }
    assert_eq!(take("response_type"), "code", "{name}");
    assert_eq!(
        Some(take(consent.client_id_name.as_deref().unwrap_or("client_id")).into()),
        expected.config.get("client_id").cloned(),
        "{name}"
    );
    assert_eq!(take("redirect_uri"), redirect_uri(expected), "{name}");
    if !consent.without_challenge {
        assert_eq!(take("code_challenge_method"), "S256", "{name}");
        assert_eq!(take("code_challenge").len(), 43, "{name}");
    }
    assert!(take("state").len() >= 22, "{name}");
    assert_eq!(take("scope"), consent.scope.clone().unwrap_or_default());
    assert!(found.is_empty(), "{name}: nobody asked for {found:?}");
    given
}

fn redirect_uri(expected: &Expected) -> &str {
    match &expected.present {
        Presented::Code { redirect_uri, .. } => redirect_uri,
        other => panic!("{other:?}"),
    }
}

/// The verifier is another one each time: replaced by the fixture's, if it is the challenge's.
fn with_the_verifier_of(fixed: &str, challenge: Option<&str>, mut seen: Request) -> Request {
    let Some(challenge) = challenge else {
        return seen;
    };
    let text = seen.text().to_owned();
    let line = seen.line.clone();
    let (_, query) = line.split_once('?').unwrap_or_default();
    let query = query.split(' ').next().unwrap();
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let mut pairs = [&text, query]
        .into_iter()
        .flat_map(|pairs: &str| url::form_urlencoded::parse(pairs.as_bytes()));
    let found = pairs.find(|(name, _)| name == "code_verifier");
    let found = found.map(|(_, value)| value.into_owned());
    let verifier = found.or_else(|| json["code_verifier"].as_str().map(str::to_owned));
    let verifier = verifier.unwrap_or_else(|| panic!("no verifier: {line} {text}"));
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
    assert_eq!(digest, challenge);
    seen.body = text.replace(&verifier, fixed).into_bytes();
    seen.line = line.replace(&verifier, fixed);
    seen
}

/// The first documented code, and the renewal of the same integration: what is written of it, the
/// default apart, is the same. Where no refresh token ever comes, there is no renewal.
fn documented(fixture: &Fixture) -> Option<(usize, Option<&Expected>)> {
    let all = || fixture.requests.iter().enumerate();
    let mut codes = all().filter(|(_, one)| matches!(one.present, Presented::Code { .. }));
    codes.find_map(|(at, code)| {
        let like = |one: &&Expected| {
            matches!(one.present, Presented::RefreshToken(_))
                && (&one.consent, &one.base_url, &one.call.authorization)
                    == (&code.consent, &code.base_url, &code.call.authorization)
        };
        let renewal = fixture.requests.iter().find(like);
        let renewable = renewable(fixture).next().is_some();
        (renewal.is_some() == renewable).then_some((at, renewal))
    })
}

async fn one(
    name: &str,
    fixture: &Fixture,
    at: usize,
    renewal: Option<&Expected>,
    providers: Option<&Path>,
) {
    let expected = &fixture.requests[at];
    let Presented::Code { code, verifier, .. } = &expected.present else {
        panic!("{name}: another request")
    };
    let refresh_token = renewal.map(|renewal| match &renewal.present {
        Presented::RefreshToken(token) => token.as_str(),
        other => panic!("{name}: {other:?}"),
    });
    let answer = answer(fixture, at, refresh_token);
    let mut says: Vec<Reply> = expected
        .before
        .iter()
        .map(|before| Reply::json(200, &before.answer))
        .collect();
    let before = says.len();
    says.push(Reply::json(200, &answer));
    let internet = Internet::start(move |_, number| {
        let at = number.min(says.len()) - 1;
        says[at].clone()
    })
    .await;
    // One integration does both; what only calls of the API need may be known later.
    let mut config = renewal.unwrap_or(expected).config.clone();
    // Unless it is sent under a name: then the case says where the browser ends.
    config
        .entry("redirect_uri")
        .or_insert_with(|| redirect_uri(expected).into());
    let broker = Broker::start(&config_text(name, &config, &internet.net(), providers));
    let none = broker.get("/token/x").await;
    assert_eq!(none.json()["error"], "login_required", "{name}");
    assert!(internet.seen().is_empty(), "{name}: nothing to ask with");

    let begun = broker.post("/login/x", "").await.json();
    let page = page_to_visit(name, &begun, expected);
    let consent = expected.consent.as_ref().unwrap();
    let code_name = consent.code_name.as_deref().unwrap_or("code");
    let back = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([(code_name, code.as_str()), ("state", &page["state"])])
        .finish();
    let line = format!("GET /login/callback?{back}");
    let done = request(broker.address, &line, &[], "").await;
    assert_eq!(done.status, 200, "{name}: {}", done.text());
    let served = broker.get("/token/x").await;
    assert_eq!(served.status, 200, "{name}: {}", served.text());
    let shown = refresh_token.is_some_and(|token| served.text().contains(token));
    assert!(!shown, "{name}");
    let now = start()..=start();
    let mut seen = internet.seen();
    assert_eq!(seen.len(), before + 1, "{name}");
    let last = seen.pop().unwrap();
    for (before, seen) in expected.before.iter().zip(&seen) {
        same_call(&before.call, seen, now.clone()).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    let challenge = page.get("code_challenge").map(String::as_str);
    let last = with_the_verifier_of(verifier, challenge, last);
    same_call(&expected.call, &last, now.clone()).unwrap_or_else(|why| panic!("{name}: {why}"));

    if let Some(renewal) = renewal {
        // Past the spacing, the refresh token that came with it.
        sleep(Duration::from_secs(60)).await;
        let renewed = broker.post("/refresh/x", "").await;
        assert_eq!(renewed.status, 200, "{name}: {}", renewed.text());
        let mut seen = internet.seen();
        assert_eq!(seen.len(), before + 2, "{name}");
        let seen = seen.pop().unwrap();
        same_call(&renewal.call, &seen, now).unwrap_or_else(|why| panic!("{name}, renewed: {why}"));
    }
    let headers = broker.get("/headers/x").await.json();
    let token = broker.get("/token/x").await.token();
    call(name, &fixture.api, &headers, &token).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_takes_a_login_at_each_provider_and_renews_what_it_brought() {
    let mut taken = Vec::new();
    let tried = Tried::new();
    for name in &tried.names {
        let fixture = Fixture::of(name);
        let Some((at, renewal)) = documented(&fixture) else {
            let mut all = fixture.requests.iter();
            let consented = all.any(Expected::begins_with_a_login);
            assert!(!consented, "{name}: no code and renewal are documented");
            continue;
        };
        one(name, &fixture, at, renewal, tried.folder()).await;
        taken.push(name);
    }
    assert!(tried.is_part() || taken.len() >= 8, "{taken:?}");
}

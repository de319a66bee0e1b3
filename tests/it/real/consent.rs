//! Codes, device codes and rotating refresh tokens at real servers, by the exchange alone.

use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use token_broker::base::{Clock, Issued, Secret, SystemClock};
use token_broker::config::{Env, Format, Options, load_text};
use token_broker::exchange::{Ask, Outcome, Present, Sources, TokenSource};
use token_broker::net::Clients;
use token_broker::secrets::Vault;
use token_broker::spec::{Endpoint, FirstRefreshToken, Grant, Integration, Refreshing, Rotation};
use url::Url;

use super::browser::Browser;
use super::{ID, SECRET, Server, served};

pub(super) const BACK: &str = "http://127.0.0.1:8656/login/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

pub(super) fn oidc_provider() -> Server {
    served(
        Command::new("node")
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real"))
            .args(["oidc-provider.mjs", ID, SECRET, BACK]),
    )
}

pub(super) fn django_oauth_toolkit(grace: &str) -> Server {
    served(
        Command::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/.tools/python/bin/python"
        ))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real"))
        .args(["django-oauth-toolkit.py", grace, "me", SECRET, BACK]),
    )
}

/// A source for `[integrations.x]`, with refresh tokens in the place of its own grant.
fn source(table: &str, first: FirstRefreshToken) -> Arc<dyn TokenSource> {
    let text = format!("[integrations.x]\ngrant = \"client_credentials\"\n{table}");
    let env = Env::from_pairs::<&str, &str>([]);
    let loaded = load_text("x.toml", &text, Format::Toml, &env, Options::default());
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    let plain = Integration::clone(&loaded.spec.integrations[0]);
    let Grant::ClientCredentials(request) = plain.grant.clone() else {
        panic!("not what the text says");
    };
    let refreshing = Refreshing {
        first,
        refresh_endpoint: None,
        rotation: Rotation::Always,
        lifetime: None,
        idle_lifetime: None,
    };
    let integration = Integration {
        grant: Grant::RefreshToken(request, Arc::new(refreshing)),
        ..plain
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let sources = Sources::new(Clients::new(), Vault::new(Arc::clone(&clock)), clock);
    sources.source(&Arc::new(integration)).unwrap()
}

async fn ask(source: &dyn TokenSource, present: Present) -> Outcome {
    let ask = Ask {
        present,
        ..Ask::plain()
    };
    source.ask(ask).await.unwrap()
}

async fn renew(source: &dyn TokenSource, issued: &Issued) -> Outcome {
    ask(source, Present::RefreshToken(refresh_token(issued))).await
}

fn issued(outcome: Outcome) -> Issued {
    match outcome {
        Outcome::Issued(issued) => *issued,
        other => panic!("{other:?}"),
    }
}

fn refresh_token(issued: &Issued) -> Secret {
    issued.refresh_token.clone().expect("a refresh token").token
}

/// Through the login and consent pages to a code.
async fn consented(base: &str, client_id: &str, scope: &str) -> Present {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let url = Url::parse_with_params(
        base,
        [
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", BACK),
            ("scope", scope),
            ("state", "s1"),
            ("prompt", "consent"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ],
    );
    let person = [("login", "ada"), ("password", "any")];
    let mut browser = Browser::new();
    let (back, page) = browser.walk(url.unwrap().as_str(), BACK, &person).await;
    let found = |name: &str| {
        let mut pairs = back.query_pairs();
        let found = pairs.find(|(key, _)| key == name);
        found
            .unwrap_or_else(|| panic!("no {name}: {back} {page}"))
            .1
            .into_owned()
    };
    assert_eq!(found("state"), "s1");
    Present::Code {
        code: Secret::new(found("code")),
        verifier: Secret::new(VERIFIER),
        redirect_uri: BACK.to_owned(),
    }
}

fn by_code(authorization_endpoint: &str) -> FirstRefreshToken {
    FirstRefreshToken::AuthorizationCode {
        authorization_endpoint: Endpoint::parse(authorization_endpoint).unwrap().into(),
        redirect_uri: BACK.parse().unwrap(),
        issuer: None,
    }
}

#[tokio::test]
#[ignore = "needs node and tests/real/node_modules (npm ci)"]
async fn oidc_provider_code_rotation_and_the_end_of_a_reused_grant() {
    let server = oidc_provider();
    let (port, id) = (server.port, format!("{ID}-code"));
    let page = format!("http://127.0.0.1:{port}/auth");
    let table = format!(
        "token_endpoint = \"http://127.0.0.1:{port}/token\"\nclient_id = \"{id}\"\n\
         client_secret = \"{SECRET}\"\nscope = \"openid offline_access\"\n"
    );
    let source = source(&table, by_code(&page));
    let code = consented(&page, &id, "openid offline_access").await;
    let wrong = match code.clone() {
        Present::Code {
            code, redirect_uri, ..
        } => Present::Code {
            code,
            redirect_uri,
            verifier: Secret::new("x".repeat(43)),
        },
        other => other,
    };
    let refused = ask(&*source, wrong).await;
    assert_eq!(refused.label(), "dead_grant", "{refused:?}");
    let code = consented(&page, &id, "openid offline_access").await;
    let one = issued(ask(&*source, code).await);
    assert!(!one.members.contains_key("id_token"), "{:?}", one.members);
    let two = issued(renew(&*source, &one).await);
    let three = issued(renew(&*source, &two).await);
    assert_ne!(refresh_token(&two), refresh_token(&three));
    let replayed = renew(&*source, &two).await;
    assert_eq!(replayed.label(), "dead_grant", "{replayed:?}");
    let after = renew(&*source, &three).await;
    assert_eq!(
        after.label(),
        "dead_grant",
        "the whole grant is gone: {after:?}"
    );
}

#[tokio::test]
#[ignore = "needs node and tests/real/node_modules (npm ci)"]
async fn oidc_provider_device_flow() {
    let server = oidc_provider();
    let (port, id) = (server.port, format!("{ID}-device"));
    let table = format!(
        "token_endpoint = \"http://127.0.0.1:{port}/token\"\nclient_id = \"{id}\"\n\
         token_endpoint_auth_method = \"none\"\nscope = \"openid offline_access\"\n"
    );
    let first = FirstRefreshToken::DeviceCode {
        device_authorization_endpoint: Endpoint::parse(&format!(
            "http://127.0.0.1:{port}/device/auth"
        ))
        .unwrap()
        .into(),
    };
    let source = source(&table, first);
    let begun = source.device_authorization().await.unwrap();
    assert_eq!(begun.interval.as_secs(), 5, "it does not say");
    let poll = || Present::DeviceCode(begun.device_code.clone());
    let pending = ask(&*source, poll()).await;
    assert_eq!(pending, Outcome::AuthorizationPending { slower: false });
    let person = [("login", "ada"), ("password", "any")];
    let complete = begun.verification_uri_complete.clone().unwrap();
    let (_, page) = Browser::new().walk(&complete, BACK, &person).await;
    assert!(page.contains("Sign-in Success"), "{page}");
    let one = issued(ask(&*source, poll()).await);
    let two = issued(renew(&*source, &one).await);
    assert_ne!(refresh_token(&one), refresh_token(&two));
    let again = ask(&*source, poll()).await;
    assert_eq!(again.label(), "dead_grant", "{again:?}");
}

async fn at_django(server: &Server) -> (Arc<dyn TokenSource>, Issued) {
    let base = format!("http://127.0.0.1:{}/o", server.port);
    let page = format!("{base}/authorize/");
    let table = format!(
        "token_endpoint = \"{base}/token/\"\nclient_id = \"me\"\nclient_secret = \"{SECRET}\"\n\
         scope = \"read\"\n"
    );
    let source = source(&table, by_code(&page));
    let code = consented(&page, "me", "read").await;
    let one = issued(ask(&*source, code).await);
    (source, one)
}

#[tokio::test]
#[ignore = "needs tests/real/requirements.txt in .tools/python"]
async fn django_oauth_toolkit_without_grace_refuses_the_one_before() {
    let server = django_oauth_toolkit("0");
    let (source, one) = at_django(&server).await;
    let two = issued(renew(&*source, &one).await);
    assert_ne!(refresh_token(&one), refresh_token(&two));
    let replayed = renew(&*source, &one).await;
    assert_eq!(replayed.label(), "dead_grant", "{replayed:?}");
    let three = issued(renew(&*source, &two).await);
    assert_eq!(three.scope.as_deref(), Some("read"));
}

#[tokio::test]
#[ignore = "needs tests/real/requirements.txt in .tools/python"]
async fn django_oauth_toolkit_with_grace_answers_again_with_the_same_pair() {
    let server = django_oauth_toolkit("120");
    let (source, one) = at_django(&server).await;
    let two = issued(renew(&*source, &one).await);
    let again = issued(renew(&*source, &one).await);
    assert_eq!(refresh_token(&two), refresh_token(&again));
    assert_eq!(two.access_token, again.access_token);
}

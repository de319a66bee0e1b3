//! Consents that come, and what must not lose them.

use super::*;
use crate::base::Mono;
use crate::snapshot::{Begun, LoginError, LoginState};
use crate::spec::RateLimit;

/// A person consents in a browser.
fn consented() -> Integration {
    let mut spec = rotating();
    refreshing(&mut spec).first = FirstRefreshToken::AuthorizationCode {
        authorization_endpoint: Endpoint::parse("https://auth.example.com/authorize")
            .unwrap()
            .into(),
        redirect_uri: "http://127.0.0.1:8656/login/callback".parse().unwrap(),
        issuer: None,
    };
    spec
}

/// A person visits the vendor's page; where it leads back to.
async fn visited(reader: &Reader) -> Secret {
    let begun = reader.login().await.unwrap();
    let Begun::Browser {
        redirect_uri,
        state,
        ..
    } = begun
    else {
        panic!("no browser")
    };
    Secret::new(format!("{redirect_uri}?code=c&state={}", state.expose()))
}

async fn log_in(reader: &Reader) {
    let back = visited(reader).await;
    reader.complete_login(back).await.unwrap();
}

fn client() -> Integration {
    integration("acme", policy())
}

#[tokio::test(start_paused = true)]
async fn a_login_whose_answer_has_no_token_still_keeps_its_refresh_token() {
    let mut host = Host::new(Reply::Rotate(1000));
    let reader = host.start(consented());
    host.vendor.next(Reply::Garbage);
    log_in(&reader).await;
    assert_eq!(host.stored().await, "refresh-1");
    assert_eq!(host.state(&reader), State::Pending);
    seconds(2).await;
    assert!(host.is_served(&reader));
    assert_eq!(host.vendor.presented(), ["", "refresh-1"]);
    assert_eq!(host.stored().await, "refresh-2");
}

#[tokio::test(start_paused = true)]
async fn refused_login_requests_do_not_put_off_what_is_due() {
    let mut host = Host::new(Reply::Rotate(20));
    let reader = host.start(consented());
    log_in(&reader).await;
    for second in 0..120 {
        let refused = reader.complete_login(Secret::new("code=a&state=b")).await;
        assert_eq!(refused, Err(LoginError::NotBegun));
        seconds(1).await;
        assert!(host.is_served(&reader), "not served after {second} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_under_way_outlives_a_change_of_policy() {
    let mut host = Host::new(Reply::Rotate(1000));
    let reader = host.start(consented());
    let back = visited(&reader).await;
    let mut spec = consented();
    Arc::make_mut(&mut spec.refresh).at = 0.5;
    host.changed(spec).await;
    assert_eq!(reader.get().login, Some(LoginState::Waiting));
    assert_eq!(reader.complete_login(back).await, Ok(()));
    assert!(host.is_served(&reader));
}

#[tokio::test(start_paused = true)]
async fn a_login_under_way_for_another_request_is_over_and_says_so() {
    let mut host = Host::new(Reply::Rotate(1000));
    let reader = host.start(consented());
    let back = visited(&reader).await;
    let mut spec = consented();
    request(&mut spec).scope = Some("more".into());
    host.changed(spec).await;
    let Some(LoginState::Failed(failure)) = reader.get().login.clone() else {
        panic!("{:?}", reader.get().login)
    };
    assert!(failure.hint.unwrap().contains("token-broker login acme"));
    let late = reader.complete_login(back).await;
    assert_eq!(late, Err(LoginError::NotBegun));
}

#[tokio::test(start_paused = true)]
async fn a_grant_without_refresh_tokens_leaves_the_stored_consent_alone() {
    let mut host = Host::new(Reply::Rotate(1000));
    let reader = host.start(consented());
    log_in(&reader).await;
    host.kill().await;
    // A start with the wrong grant, which the vendor even refuses: its wait is saved.
    let refused = Outcome::BadCredential(failure(ErrorCode::CredentialsRejected));
    host.vendor.next(Reply::Is(refused));
    host.start(client());
    seconds(5).await;
    assert!(host.record().await.wait.is_some());
    assert_eq!(host.stored().await, "refresh-1");
    host.kill().await;
    // The same with a store that cannot be read at first.
    host.disk.fail_loads(true);
    let reader = host.start(client());
    seconds(5).await;
    assert!(host.is_served(&reader));
    host.disk.fail_loads(false);
    seconds(120).await;
    assert_eq!(reader.get().store_error, None);
    assert!(host.record().await.wait.is_none());
    assert_eq!(host.stored().await, "refresh-1");
    host.kill().await;
    let reader = host.start(consented());
    seconds(5).await;
    assert!(host.is_served(&reader));
    assert_eq!(host.vendor.presented().last().unwrap(), "refresh-1");
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_changes_and_changes_back_keeps_the_consent() {
    for fails in [false, true] {
        let mut host = Host::new(Reply::Rotate(1000));
        let reader = host.start(consented());
        log_in(&reader).await;
        host.disk.fail_saves(fails);
        // Renewed; with a failing store memory alone knows the refresh token.
        seconds(990).await;
        let latest = format!("refresh-{}", host.vendor.asked());
        host.changed(client()).await;
        seconds(5).await;
        host.changed(consented()).await;
        seconds(1100).await;
        assert!(host.is_served(&reader));
        assert!(host.vendor.presented().contains(&latest), "{latest}");
        host.disk.fail_saves(false);
        seconds(120).await;
        let saved = host.stored().await;
        assert_eq!(saved, *host.vendor.current.lock().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_login_is_not_begun_while_the_vendor_wants_to_be_left_alone() {
    let mut host = Host::new(Reply::Rotate(1000));
    let mut spec = rotating();
    refreshing(&mut spec).first = FirstRefreshToken::DeviceCode {
        device_authorization_endpoint: Endpoint::parse("https://auth.example.com/device")
            .unwrap()
            .into(),
    };
    let limit = RateLimit {
        requests: 1000,
        per: Duration::from_secs(1),
    };
    let hold = host.quota(&spec, limit);
    let mut parts = host.parts(spec);
    parts.quota = Some(Arc::clone(&hold));
    let (worker, reader) = worker::build(parts);
    host.running
        .spawn(keep_running(Box::new(worker), host.stop.clone()));
    assert_eq!(hold.hold(), Mono::START);
    let Err(LoginError::Failed(asked)) = reader.login().await else {
        panic!("begun")
    };
    assert_eq!(asked.hint, None, "the vendor's own answer");
    let until = hold.hold();
    assert!(until.since(host.clock.now().mono) > Duration::from_secs(59));
    seconds(10).await;
    let Err(LoginError::Failed(refused)) = reader.login().await else {
        panic!("begun")
    };
    assert_eq!(refused.code, ErrorCode::RateLimited);
    assert_eq!(refused.retry_after, Some(Duration::from_secs(50)));
    assert!(refused.hint.unwrap().contains("in 50 s"));
    assert_eq!(hold.hold(), until, "nobody was asked");
}

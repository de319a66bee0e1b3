//! Logins step by step.

use super::*;
use crate::base::{ErrorCode, Issued, RefreshToken, Secret};
use crate::refresh::machine::tests::{at, now};
use crate::refresh::machine::{Event, Loaded, Next, Room};
use crate::refresh::tests::{failure, rotating};
use crate::snapshot::{ApiCall, Doing, Held, Snapshot};
use crate::spec::{Endpoint, FirstRefreshToken, Grant};
use std::sync::Arc;

/// A consent that nobody has given yet, loaded from an empty store.
fn machine() -> Machine {
    let mut spec = rotating();
    if let Grant::RefreshToken(_, refreshing) = &mut spec.grant {
        let endpoint = Endpoint::parse("https://auth.example.com/device").unwrap();
        Arc::make_mut(refreshing).first = FirstRefreshToken::DeviceCode {
            device_authorization_endpoint: endpoint.into(),
        };
    }
    let mut machine = Machine::new(Arc::new(spec), true);
    assert_eq!(machine.step(Event::Started, at(0)).next, Next::Load);
    let loaded = machine.step(Event::Loaded(Loaded::Nothing), at(0));
    assert_eq!(loaded.next, Next::Listen);
    assert_eq!(loaded.publish.unwrap().doing, Doing::Refused);
    machine
}

fn code() -> Present {
    Present::Code {
        code: Secret::new("code"),
        verifier: Secret::new("verifier"),
        redirect_uri: "http://127.0.0.1:8656/login/callback".to_owned(),
    }
}

fn issued(millis: u64, refresh_token: Option<&str>) -> Event {
    let issued = Issued {
        access_token: Secret::new("token"),
        token_type: "Bearer".into(),
        scope: None,
        members: serde_json::Map::new(),
        sent_at: now(millis),
        lifetime: Some(Duration::from_secs(1000)),
        secret_in_use: None,
        refresh_token: None,
    };
    finished(Ended::Issued {
        held: Arc::new(Held::new(issued, ApiCall::default())),
        secret_in_use: None,
        refresh_token: refresh_token.map(|token| RefreshToken {
            token: Secret::new(token),
            lifetime: None,
        }),
    })
}

fn finished(ended: Ended) -> Event {
    Event::Finished {
        ended,
        secret_moved: false,
    }
}

fn refused() -> Event {
    finished(Ended::Refused(failure(ErrorCode::LoginRequired)))
}

fn login_of(snapshot: Option<Snapshot>) -> LoginState {
    snapshot.unwrap().login.unwrap()
}

#[test]
fn a_code_is_saved_before_its_token_is_shown_and_ends_the_refusal() {
    let mut machine = machine();
    let came = machine.step(Event::Login(LoginStep::Came(code())), at(1000));
    assert_eq!(came.next, Next::Fetch);
    assert_eq!(machine.present(), code());
    let back = machine.step(issued(1000, Some("first")), at(1100));
    assert_eq!(back.next, Next::Save);
    assert!(back.publish.unwrap().held.is_none());
    let chain = machine.record(now(1100)).chain.unwrap();
    assert_eq!(chain.refresh_token, Secret::new("first"));
    assert_eq!((chain.configured, chain.intent), (None, None));
    let saved = machine.step(Event::Saved(Ok(())), at(1200));
    let snapshot = saved.publish.unwrap();
    assert_eq!(snapshot.login, Some(LoginState::Done));
    assert!(snapshot.held.is_some() && snapshot.failure.is_none());
    assert_eq!(
        machine.present(),
        Present::RefreshToken(Secret::new("first"))
    );
    // The next one is a refresh, with an intent of its own.
    let due = machine.step(Event::Timer { used: false }, at(800_000));
    assert_eq!(due.next, Next::Save);
    assert_eq!(
        machine.step(Event::Saved(Ok(())), at(800_000)).next,
        Next::Fetch
    );
}

#[test]
fn a_failed_login_changes_nothing() {
    let mut machine = machine();
    machine.step(Event::Login(LoginStep::Came(code())), at(0));
    machine.step(issued(0, Some("first")), at(0));
    machine.step(Event::Saved(Ok(())), at(0));
    // A refresh that failed, and waits.
    machine.step(Event::Timer { used: false }, at(800_000));
    machine.step(Event::Saved(Ok(())), at(800_000));
    let waits = machine.step(refused(), at(800_000)).publish.unwrap();
    machine.step(Event::Saved(Ok(())), at(800_000));
    machine.step(Event::Login(LoginStep::Came(code())), at(801_000));
    let failed = machine.step(refused(), at(801_100));
    let snapshot = failed.publish.unwrap();
    assert!(matches!(snapshot.login, Some(LoginState::Failed(_))));
    assert_eq!(snapshot.refresh_at, waits.refresh_at);
    assert_eq!(snapshot.consecutive_failures, waits.consecutive_failures);
    assert_eq!(snapshot.finished, waits.finished);
    assert!(snapshot.held.is_some());
    assert_eq!(
        machine.present(),
        Present::RefreshToken(Secret::new("first"))
    );
}

#[test]
fn a_device_code_is_polled_at_the_vendors_pace() {
    let mut machine = machine();
    let device = Device {
        code: Secret::new("device"),
        interval: Duration::from_secs(5),
    };
    let lasts = Duration::from_secs(60);
    let begun = LoginStep::Begun {
        lasts,
        device: Some(device),
    };
    let begun = machine.step(Event::Login(begun), at(0));
    assert_eq!(begun.next, Next::Sleep(Duration::from_secs(5)));
    assert_eq!(login_of(begun.publish), LoginState::Waiting);
    let timer = || Event::Timer { used: false };
    assert!(matches!(
        machine.step(timer(), at(4000)).next,
        Next::Sleep(_)
    ));
    assert_eq!(machine.step(timer(), at(5000)).next, Next::Fetch);
    assert_eq!(
        machine.present(),
        Present::DeviceCode(Secret::new("device"))
    );
    let pending = |slower| finished(Ended::Pending { slower });
    let after = machine.step(pending(true), at(5100));
    assert_eq!(
        after.next,
        Next::Sleep(Duration::from_secs(10)),
        "slow_down"
    );
    assert_eq!(machine.step(timer(), at(15_100)).next, Next::Fetch);
    let trouble = finished(Ended::Transient {
        retry_after: Some(Duration::from_secs(20)),
        failure: failure(ErrorCode::RateLimited),
        refresh_token: None,
    });
    let after = machine.step(trouble, at(15_200));
    assert_eq!(after.next, Next::Sleep(Duration::from_secs(20)));
    assert!(after.hold.is_some());
    // A second one in its place; the person takes too long.
    let over = machine.step(timer(), at(60_000));
    let LoginState::Failed(failure) = login_of(over.publish) else {
        panic!("not over");
    };
    assert!(failure.hint.unwrap().contains("token-broker login acme"));
    assert_eq!(over.next, Next::Listen);
}

#[test]
fn a_code_waits_for_room_within_the_limit() {
    let mut machine = machine();
    let spent = |millis, until| {
        let from = now(until).mono;
        let room = Room {
            from,
            forced_from: from,
        };
        At { room, ..at(millis) }
    };
    let came = machine.step(Event::Login(LoginStep::Came(code())), at(0));
    assert_eq!(came.next, Next::Fetch);
    let held = machine.step(Event::HeldBack, spent(10, 1000));
    assert_eq!(held.next, Next::Sleep(Duration::from_millis(990)));
    let timer = || Event::Timer { used: false };
    assert_eq!(machine.step(timer(), at(1000)).next, Next::Fetch);
    assert_eq!(machine.present(), code());
    // No code lives for hours.
    let held = machine.step(Event::HeldBack, spent(1010, 3_600_000));
    let LoginState::Failed(failure) = login_of(held.publish) else {
        panic!("not failed");
    };
    assert_eq!(failure.code, ErrorCode::RateLimited);
    assert_eq!(held.next, Next::Listen);
}

#[test]
fn a_login_does_not_interrupt_an_exchange() {
    let mut machine = machine();
    machine.step(Event::Login(LoginStep::Came(code())), at(0));
    let second = machine.step(Event::Login(LoginStep::Came(code())), at(10));
    assert_eq!(second.next, Next::Await);
    let done = machine.step(issued(0, Some("first")), at(100));
    assert_eq!(done.next, Next::Save);
}

#[test]
fn a_refresh_token_that_came_without_a_token_ends_the_login_once_it_is_saved() {
    let device = || Device {
        code: Secret::new("device"),
        interval: Duration::from_secs(5),
    };
    let begun = || LoginStep::Begun {
        lasts: Duration::from_secs(60),
        device: Some(device()),
    };
    for step in [LoginStep::Came(code()), begun()] {
        let mut machine = machine();
        machine.step(Event::Login(step), at(0));
        let asked = machine.step(Event::Timer { used: false }, at(5000));
        assert!(matches!(asked.next, Next::Fetch | Next::Await));
        let back = finished(Ended::Ambiguous {
            retry_after: None,
            failure: failure(ErrorCode::TemporarilyUnavailable),
            refresh_token: Some(RefreshToken {
                token: Secret::new("first"),
                lifetime: None,
            }),
        });
        let back = machine.step(back, at(5100));
        assert_eq!(back.next, Next::Save);
        assert_eq!(login_of(back.publish), LoginState::Waiting);
        let chain = machine.record(now(5100)).chain.unwrap();
        assert_eq!(chain.refresh_token, Secret::new("first"));
        assert!(machine.holds_only_copy());
        let saved = machine.step(Event::Saved(Ok(())), at(5200));
        assert!(!machine.holds_only_copy());
        let snapshot = saved.publish.unwrap();
        assert_eq!(snapshot.login, Some(LoginState::Done));
        assert!(!snapshot.is_refused());
        let failure = snapshot.failure.unwrap();
        assert_eq!(failure.code, ErrorCode::TemporarilyUnavailable);
        machine.step(Event::Saved(Ok(())), at(5200));
        let due = machine.step(Event::Timer { used: false }, at(6300));
        assert_eq!(due.next, Next::Save, "the intent");
        machine.step(Event::Saved(Ok(())), at(6300));
        let first = Present::RefreshToken(Secret::new("first"));
        assert_eq!(machine.present(), first);
    }
}

#[test]
fn a_code_that_failed_in_passing_asks_for_another_login() {
    let over = finished(Ended::Transient {
        retry_after: Some(Duration::from_secs(60)),
        failure: failure(ErrorCode::RateLimited),
        refresh_token: None,
    });
    // A code that was not sent waits for a minute, and no longer.
    for (end, wait) in [(over, 60), (Event::HeldBack, 90)] {
        let mut machine = machine();
        machine.step(Event::Login(LoginStep::Came(code())), at(0));
        let told = At {
            hold: now(wait * 1000 + 100).mono,
            ..at(100)
        };
        let ended = machine.step(end, told);
        let LoginState::Failed(failure) = login_of(ended.publish) else {
            panic!("not over");
        };
        assert_eq!(failure.retry_after, Some(Duration::from_secs(wait)));
        let hint = failure.hint.unwrap();
        let begin = format!("begin again in {wait} s: 'token-broker login acme'");
        assert!(hint.contains(&begin), "{hint}");
    }
}

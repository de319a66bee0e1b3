//! What an answer means to an exchange that may have spent what it presented.

use std::time::Duration;

use http::HeaderMap;
use serde_json::{Value, json};

use super::*;
use crate::base::{ErrorCode, Mono, Now, RefreshToken, Secret, Timestamp, Zeroizing};
use crate::exchange::Outcome;
use crate::exchange::answer::Answer;
use crate::exchange::verdict::{self, Context};
use crate::net;
use crate::spec::{Path, ResponseShape, Scalar, Vendor};

const ROTATING: Presented = Presented::RefreshToken { rotates: true };
const FIXED: Presented = Presented::RefreshToken { rotates: false };
const SENT: &str = "what-was-sent-for-it";

fn now() -> Now {
    Now {
        wall: Timestamp::from_unix_seconds(1_800_000_000),
        mono: Mono::START,
    }
}

/// What a vendor's answer, or none, means.
fn with<T>(
    presented: Presented,
    shape: &ResponseShape,
    judge: impl FnOnce(&Context<'_>) -> T,
) -> T {
    judge(&Context {
        id: &"billing".parse().unwrap(),
        shape,
        vendor: &Vendor::default(),
        proof: crate::spec::Proof::default(),
        host: "auth.example.com",
        place: verdict::Place::default(),
        sent_at: now(),
        now: now(),
        held: &[Secret::new(SENT)],
        hidden: &super::super::members::Tokens::default(),
        secret_in_use: None,
        presented,
        prolongs: None,
        takes_logins: true,
        html_refusals: 0,
        timeout: Duration::from_secs(15),
        connect_timeout: Duration::from_secs(5),
    })
}

fn judged_as(presented: Presented, shape: &ResponseShape, status: u16, body: &str) -> Outcome {
    let response = net::Response {
        status,
        headers: HeaderMap::new(),
        body: Zeroizing::new(body.as_bytes().to_vec()),
    };
    with(presented, shape, |context| {
        let judged = verdict::judge(&Answer::read(&response, shape, now()), context, &[]);
        judged.map_or_else(|outcome| *outcome, |(issued, _)| Outcome::Issued(issued))
    })
}

fn judged(presented: Presented, status: u16, body: &str) -> Outcome {
    judged_as(presented, &ResponseShape::default(), status, body)
}

fn kept(outcome: &Outcome) -> Option<&str> {
    let found: Option<&RefreshToken> = match outcome {
        Outcome::Issued(issued) => issued.refresh_token.as_ref(),
        Outcome::Ambiguous { refresh_token, .. } => refresh_token.as_ref(),
        _ => None,
    };
    found.map(|found| found.token.expose())
}

#[test]
fn a_string_expires_in_is_no_error_after_the_refresh_token_was_spent() {
    for (name, value, lifetime) in [
        ("expires_in", json!("1800"), Some(1800)),
        ("expires_in", json!("1800.0"), Some(1800)),
        ("expires_in", json!("soon"), None),
        ("expires_in", json!(""), None),
        ("expires_in", json!([1800]), None),
        ("expires_in", json!({"seconds": 1800}), None),
        ("expires_in", json!(1e300), None),
        ("expires_at", json!("the day after tomorrow"), None),
        ("scope", json!({"a": ["b"]}), None),
        ("scope", json!("x".repeat(100_000)), None),
        ("token_type", json!(7), None),
        ("refresh_token_expires_in", json!("never"), None),
        ("refresh_token_expires_in", json!(-1), None),
        ("members", json!("y".repeat(100_000)), None),
        ("error", json!(""), None),
        ("error", json!("invalid_grant"), None),
    ] {
        let body = json!({"access_token": "a", "refresh_token": "r2", name: value});
        let outcome = judged(ROTATING, 200, &body.to_string());
        assert_eq!(kept(&outcome), Some("r2"), "{name}");
        let Outcome::Issued(issued) = outcome else {
            panic!("{name}: {outcome:?}");
        };
        assert_eq!(issued.lifetime, lifetime.map(Duration::from_secs), "{name}");
        assert!(!Value::Object(issued.members).to_string().contains("r2"));
    }
}

#[test]
fn a_refresh_token_in_an_answer_of_no_other_use_is_kept() {
    let dead_on_arrival = [
        json!({"access_token": "a", "expires_in": 0, "refresh_token": "r2"}),
        json!({"access_token": "a", "expires_in": -1, "refresh_token": "r2"}),
        json!({"access_token": "a", "expires_in": "-5", "refresh_token": "r2"}),
        json!({"access_token": "a", "expires_at": 5, "refresh_token": "r2"}),
    ];
    let unreadable = [
        json!({"refresh_token": "r2"}),
        json!({"access_token": null, "refresh_token": "r2"}),
        json!({"access_token": "a b", "refresh_token": "r2"}),
        json!({"access_token": 5, "refresh_token": "r2", "error": "internal"}),
    ];
    for body in dead_on_arrival.iter().chain(&unreadable) {
        for presented in [ROTATING, Presented::Code, Presented::DeviceCode] {
            let outcome = judged(presented, 200, &body.to_string());
            assert_eq!(outcome.label(), "ambiguous", "{body}");
            assert_eq!(kept(&outcome), Some("r2"), "{body}");
            let failure = outcome.failure().unwrap();
            assert_eq!(failure.code, ErrorCode::TemporarilyUnavailable);
            assert!(failure.description.ends_with("is kept"), "{failure:?}");
            assert!(!format!("{failure:?}").contains("r2"));
        }
    }
    let shape = ResponseShape {
        success: [(Path::parse("ok").unwrap(), Scalar::Bool(true))].into(),
        ..ResponseShape::default()
    };
    let body = r#"{"ok":"true","access_token":"a","refresh_token":"r2"}"#;
    let outcome = judged_as(ROTATING, &shape, 200, body);
    assert_eq!(kept(&outcome), Some("r2"), "a success rule may be wrong");
    // The same one again brings nothing.
    let body = json!({"error": "invalid_grant", "refresh_token": SENT}).to_string();
    assert_eq!(judged(ROTATING, 200, &body).label(), "dead_grant");
    let body = json!({"refresh_token": "r2"}).to_string();
    assert_eq!(judged(Presented::Nothing, 200, &body).label(), "transient");
    assert_eq!(judged(ROTATING, 500, &body).label(), "transient");
}

#[test]
fn only_an_unreadable_yes_leaves_a_rotating_refresh_token_in_doubt() {
    let error = |word: &str| json!({ "error": word }).to_string();
    for (status, body, rotating, fixed) in [
        (200, "{}".to_owned(), "ambiguous", "transient"),
        (200, String::new(), "ambiguous", "transient"),
        (204, String::new(), "ambiguous", "transient"),
        (200, "<html>".to_owned(), "ambiguous", "transient"),
        (
            200,
            r#"{"access_token":"a"#.to_owned(),
            "ambiguous",
            "transient",
        ),
        (200, error("server_error"), "transient", "transient"),
        (
            200,
            error("invalid_client"),
            "bad_credential",
            "bad_credential",
        ),
        (200, error("invalid_grant"), "dead_grant", "dead_grant"),
        (400, error("invalid_grant"), "dead_grant", "dead_grant"),
        (401, error("invalid_grant"), "dead_grant", "dead_grant"),
        (400, error("invalid_request"), "bad_request", "bad_request"),
        (401, String::new(), "bad_credential", "bad_credential"),
        (404, "<html>".to_owned(), "bad_request", "bad_request"),
        (429, error("invalid_grant"), "transient", "transient"),
        (500, error("invalid_grant"), "transient", "transient"),
        (503, String::new(), "transient", "transient"),
        // A readable token without a new refresh token: the one before goes on.
        (
            200,
            r#"{"access_token":"a"}"#.to_owned(),
            "issued",
            "issued",
        ),
        (
            200,
            r#"{"access_token":"a","expires_in":0}"#.to_owned(),
            "transient",
            "transient",
        ),
    ] {
        for (presented, label) in [(ROTATING, rotating), (FIXED, fixed)] {
            let outcome = judged(presented, status, &body);
            assert_eq!(outcome.label(), label, "{status} {body} {presented:?}");
            assert_eq!(kept(&outcome), None);
        }
    }
}

#[test]
fn a_429_with_an_error_member_does_not_kill_the_grant() {
    for status in [429, 500, 502, 503] {
        let outcome = judged(ROTATING, status, r#"{"error":"invalid_grant"}"#);
        assert_eq!(outcome.label(), "transient", "{status}");
    }
}

#[test]
fn what_was_not_sent_is_not_spent() {
    let lost = |kind, while_connecting| net::Error {
        is_about_ours: false,
        while_connecting,
        ..net::Error::new(kind, "connection reset")
    };
    for (error, rotating) in [
        (lost(net::ErrorKind::Connect, true), "transient"),
        (lost(net::ErrorKind::Timeout, true), "transient"),
        (lost(net::ErrorKind::Reset, true), "transient"),
        (lost(net::ErrorKind::Reset, false), "ambiguous"),
        (lost(net::ErrorKind::Tls, false), "ambiguous"),
        (lost(net::ErrorKind::TooLarge, false), "ambiguous"),
        (net::Error::timeout(), "ambiguous"),
    ] {
        for (presented, label) in [
            (ROTATING, rotating),
            (FIXED, "transient"),
            (Presented::Code, "transient"),
            (Presented::Nothing, "transient"),
        ] {
            let outcome = with(presented, &ResponseShape::default(), |context| {
                verdict::no_answer(&error, context)
            });
            assert_eq!(outcome.label(), label, "{error:?} {presented:?}");
        }
    }
}

#[test]
fn a_person_who_has_not_decided_yet_is_no_error() {
    let error = |word: &str| json!({ "error": word }).to_string();
    for (status, word, slower) in [
        (400, "authorization_pending", Some(false)),
        (428, "authorization_pending", Some(false)),
        (200, "authorization_pending", Some(false)),
        (400, "slow_down", Some(true)),
        (403, "slow_down", Some(true)),
        (429, "slow_down", None),
        (503, "authorization_pending", None),
    ] {
        let outcome = judged(Presented::DeviceCode, status, &error(word));
        let pending = slower.map(|slower| Outcome::AuthorizationPending { slower });
        match pending {
            Some(pending) => assert_eq!(outcome, pending, "{status} {word}"),
            None => assert_eq!(outcome.label(), "transient", "{status} {word}"),
        }
    }
    for presented in [Presented::Nothing, Presented::Code, ROTATING] {
        let outcome = judged(presented, 400, &error("authorization_pending"));
        assert_eq!(outcome.label(), "bad_request", "{presented:?}");
    }
}

#[test]
fn a_refused_code_says_so_and_how_to_begin_again() {
    let begin = "begin again: token-broker login billing";
    for (presented, status, word, said) in [
        (
            Presented::Code,
            400,
            "invalid_grant",
            "the vendor refused the code of its consent page: 400 invalid_grant",
        ),
        (
            Presented::DeviceCode,
            400,
            "invalid_grant",
            "the vendor refused the device code: 400 invalid_grant",
        ),
        (
            Presented::DeviceCode,
            400,
            "expired_token",
            "nobody gave consent in time: 400 expired_token",
        ),
        (
            Presented::DeviceCode,
            403,
            "access_denied",
            "the consent was refused: 403 access_denied",
        ),
    ] {
        let outcome = judged(presented, status, &json!({ "error": word }).to_string());
        assert_eq!(outcome.label(), "dead_grant");
        let failure = outcome.failure().unwrap();
        assert_eq!(failure.code, ErrorCode::LoginRequired);
        assert_eq!(failure.description, said);
        assert_eq!(failure.hint.as_deref(), Some(begin));
    }
    let outcome = judged(ROTATING, 400, r#"{"error":"invalid_grant"}"#);
    let failure = outcome.failure().unwrap();
    assert_eq!(
        failure.description,
        "the vendor refused the refresh token: 400 invalid_grant"
    );
    let hint = failure.hint.as_deref().unwrap();
    assert!(hint.contains("token-broker login billing"), "{hint}");
}

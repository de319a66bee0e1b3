use super::*;
use crate::base::Zeroizing;
use crate::base::{Mono, Timestamp};
use crate::net;
use crate::spec::Scalar;
use http::HeaderMap;
use serde_json::json;
use std::time::Duration;

fn sent_at() -> Now {
    Now {
        wall: Timestamp::from_unix_seconds(1_800_000_000),
        mono: Mono::START,
    }
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn read(
    body: impl AsRef<[u8]>,
    headers: &[(&'static str, &str)],
    shape: &ResponseShape,
) -> Result<Issued, Unreadable> {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
        .collect();
    let response = net::Response {
        status: 200,
        headers,
        body: Zeroizing::new(body.as_ref().to_vec()),
    };
    let answer = Answer::read(&response, shape, sent_at());
    let id = "billing".parse().unwrap();
    let reading = Reading {
        id: &id,
        shape,
        sent_at: sent_at(),
        held: &[],
        secret_in_use: None,
        prolongs: None,
    };
    normalise(&answer, reading).map(|(issued, _)| issued)
}

fn plain(body: &Value) -> Result<Issued, Unreadable> {
    read(body.to_string(), &[], &ResponseShape::default())
}

#[test]
fn sfmc_v2_as_recorded() {
    let issued = plain(&json!({
        "access_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEiLCJ2ZXIiOiIxIiwidHlwIjoiSldUIn0.e30.sig",
        "token_type": "Bearer", "expires_in": 1079, "scope": "email_read email_write",
        "soap_instance_url": "https://mc.soap.marketingcloudapis.com/",
        "rest_instance_url": "https://mc.rest.marketingcloudapis.com/",
    }))
    .unwrap();
    assert_eq!(issued.lifetime, Some(Duration::from_secs(1079)));
    assert_eq!(issued.scope.as_deref(), Some("email_read email_write"));
    assert_eq!(issued.token_type, "Bearer");
    assert_eq!(
        Value::Object(issued.members),
        json!({
            "soap_instance_url": "https://mc.soap.marketingcloudapis.com/",
            "rest_instance_url": "https://mc.rest.marketingcloudapis.com/",
        })
    );
    assert_eq!(issued.sent_at, sent_at());
}

#[test]
fn sfmc_v1_with_its_renamed_refresh_token() {
    let shape = ResponseShape {
        access_token: vec![path("accessToken")],
        expires_in: vec![path("expiresIn")],
        refresh_token: vec![path("refreshToken")],
        ..ResponseShape::default()
    };
    let body = json!({"accessToken": "v1", "expiresIn": 3600, "refreshToken": "r", "x": "r"});
    let issued = read(body.to_string(), &[], &shape).unwrap();
    assert_eq!(issued.access_token.expose(), "v1");
    assert_eq!(issued.lifetime, Some(Duration::from_hours(1)));
    assert!(issued.members.is_empty(), "{:?}", issued.members);
}

#[test]
fn slack_with_its_token_inside() {
    let shape = ResponseShape {
        access_token: vec![path("authed_user.access_token")],
        expires_in: vec![path("authed_user.expires_in")],
        refresh_token: vec![path("authed_user.refresh_token")],
        scope: vec![path("authed_user.scope")],
        success: [(path("ok"), Scalar::Bool(true))].into(),
        ..ResponseShape::default()
    };
    let body = json!({
        "ok": true, "app_id": "A01", "team": {"id": "T01"},
        "authed_user": {"id": "U01", "scope": "chat:write", "access_token": "xoxe.xoxp-1",
            "token_type": "user", "refresh_token": "xoxe-1", "expires_in": 43200},
    });
    let issued = read(body.to_string(), &[], &shape).unwrap();
    assert_eq!(issued.access_token.expose(), "xoxe.xoxp-1");
    assert_eq!(issued.lifetime, Some(Duration::from_hours(12)));
    assert_eq!(issued.token_type, "Bearer", "'user' is not registered");
    assert_eq!(issued.scope.as_deref(), Some("chat:write"));
    let members = Value::Object(issued.members).to_string();
    assert!(!members.contains("xoxe"), "{members}");
    assert!(members.contains("U01") && members.contains("T01"));
}

#[test]
fn a_lifetime_as_a_string_and_milliseconds() {
    let issued = plain(&json!({"token_type": "Bearer", "access_token": "e", "expires_in": "3600"}));
    assert_eq!(issued.unwrap().lifetime, Some(Duration::from_hours(1)));
    let shape = ResponseShape {
        expires_in_unit: crate::spec::Unit::Milliseconds,
        ..ResponseShape::default()
    };
    let body = r#"{"token_type":"bearer","access_token":"x","expires_in":86399999}"#;
    let issued = read(body, &[], &shape).unwrap();
    assert_eq!(issued.lifetime, Some(Duration::from_millis(86_399_999)));
}

#[test]
fn a_mark_before_the_json_and_odd_content_types_do_not_matter() {
    let shape = ResponseShape::default();
    let body = b"\xef\xbb\xbf{\"access_token\":\"t\"}";
    assert!(read(body, &[], &shape).is_ok());
    for kind in [
        "text/plain",
        "text/html",
        "application/x-www-form-urlencoded",
        "x",
    ] {
        let issued = read(
            br#"{"access_token":"t"}"#,
            &[("content-type", kind)],
            &shape,
        );
        assert!(issued.is_ok(), "{kind}");
    }
}

#[test]
fn an_absolute_time_is_seen_from_the_answers_own_date() {
    let shape = ResponseShape::default();
    let body = r#"{"access_token":"t","expires_at":"2027-01-15T10:00:00Z"}"#;
    let lifetime = |date| read(body, &[("date", date)], &shape).unwrap().lifetime;
    // Their clock is an hour ahead of ours.
    assert_eq!(
        lifetime("Fri, 15 Jan 2027 09:00:00 GMT"),
        Some(Duration::from_hours(1))
    );
    // Theirs is years off: ours counts.
    assert_eq!(
        lifetime("Fri, 15 Jan 2021 09:00:00 GMT"),
        Some(Duration::from_hours(2))
    );
}

#[test]
fn what_can_be_a_token() {
    let too_long = "x".repeat(TOKEN_MAX + 1);
    let longest = "x".repeat(TOKEN_MAX);
    for good in ["a", "!~", longest.as_str()] {
        assert!(plain(&json!({ "access_token": good })).is_ok());
    }
    for bad in [
        json!(""),
        json!("a b"),
        json!("a\n"),
        json!("é"),
        json!("a\u{7f}"),
        json!(5),
        json!({}),
        json!(too_long),
    ] {
        let error = plain(&json!({ "access_token": bad })).unwrap_err();
        assert!(matches!(error, Unreadable::BadToken(_)));
    }
    for (body, error) in [
        ("", Unreadable::Empty),
        (" \n", Unreadable::Empty),
        ("<html>", Unreadable::Html),
        ("access_token=1", Unreadable::NotJson),
        ("{\"access_token\":", Unreadable::NotJson),
        ("[]", Unreadable::NoToken(vec![path("access_token")])),
        ("\"text\"", Unreadable::NoToken(vec![path("access_token")])),
        (
            r#"{"access_token":null}"#,
            Unreadable::NoToken(vec![path("access_token")]),
        ),
        (r#"{"access_token":"t","expires_in":0}"#, Unreadable::Over),
    ] {
        assert_eq!(
            read(body, &[], &ResponseShape::default()),
            Err(error),
            "{body}"
        );
    }
    let deep = "[".repeat(100_000);
    assert_eq!(
        read(deep, &[], &ResponseShape::default()),
        Err(Unreadable::NotJson)
    );
}

#[test]
fn token_types() {
    for (said, meant) in [
        (json!("bearer"), "Bearer"),
        (json!("BEARER"), "Bearer"),
        (json!("dpop"), "DPoP"),
        (json!("N_A"), "N_A"),
        (json!("Application Access Token"), "Bearer"),
        (json!("approved"), "Bearer"),
        (json!(""), "Bearer"),
        (json!(null), "Bearer"),
        (json!(7), "Bearer"),
    ] {
        let issued = plain(&json!({"access_token": "t", "token_type": said})).unwrap();
        assert_eq!(issued.token_type, meant, "{said}");
    }
    let shape = ResponseShape {
        token_type: "Zoho-oauthtoken".to_owned(),
        ..ResponseShape::default()
    };
    let issued = read(r#"{"access_token":"t"}"#, &[], &shape).unwrap();
    assert_eq!(issued.token_type, "Zoho-oauthtoken");
}

#[test]
fn scopes() {
    for (said, meant) in [
        (json!("a b"), Some("a b")),
        (json!(["a", "b"]), Some("a b")),
        (json!(""), None),
        (json!(null), None),
        (json!([]), None),
        (json!(["a", 1]), None),
        (json!({"a": 1}), None),
    ] {
        let issued = plain(&json!({"access_token": "t", "scope": said})).unwrap();
        assert_eq!(issued.scope.as_deref(), meant, "{said}");
    }
}

#[test]
fn too_much_scope_costs_the_scope_only() {
    let issued = plain(&json!({"access_token": "t", "scope": "a".repeat(20_000)})).unwrap();
    assert_eq!(issued.scope, None);
    assert!(issued.members.is_empty());
    let issued = plain(&json!({"access_token": "t", "scope": "a".repeat(10_000)})).unwrap();
    assert_eq!(issued.scope.map(|text| text.len()), Some(10_000));
}

#[test]
fn too_many_members_cost_the_members_only() {
    let issued = plain(&json!({"access_token": "t", "x": "y".repeat(20_000)})).unwrap();
    assert!(issued.members.is_empty());
}

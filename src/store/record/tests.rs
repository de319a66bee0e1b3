//! Records survive being written, and nothing that is read can hurt.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn stamp(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

pub(in crate::store) fn full() -> Record {
    let members = json!({"rest_instance_url": "https://x.example/", "n": {"deep": [1, null]}});
    Record {
        chain: Some(Chain {
            refresh_token: Secret::new("canary-refresh"),
            bound_to: BoundTo {
                client_id: "abc".to_owned(),
                at: "auth.example.com".to_owned(),
            },
            received_at: stamp(1_800_000_000),
            used_at: Some(stamp(1_800_000_001)),
            expires_at: Some(stamp(1_900_000_000)),
            idle_lifetime: Some(Duration::from_hours(24 * 180)),
            configured: Some(sha256_of_configured(&Secret::new("first"))),
            intent: Some(stamp(1_800_000_002)),
        }),
        access: Some(Access {
            access_token: Secret::new("canary-access"),
            token_type: "Bearer".to_owned(),
            scope: Some("read".to_owned()),
            members: members.as_object().unwrap().clone(),
            sent_at: stamp(1_800_000_000),
            lifetime: Some(Duration::from_mins(20)),
            shaped_by: [7; 32],
            secret_in_use: Some(1),
        }),
        wait: Some(Wait {
            until: stamp(1_800_000_100),
            kind: WaitKind::DeadGrant,
            failures: 3,
            refusals: u32::MAX,
            asked: [9; 32],
        }),
    }
}

#[test]
fn what_is_written_is_read() {
    let quota = Quota {
        requests: vec![stamp(1), stamp(2)],
        quiet_until: Some(stamp(3)),
    };
    assert_eq!(Quota::decode(&quota.encode()), Ok(quota));
    assert_eq!(
        Quota::decode(&Quota::default().encode()),
        Ok(Quota::default())
    );
    for record in [full(), Record::default()] {
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }
    for kind in [WaitKind::Trouble, WaitKind::Refused] {
        let mut record = full();
        record.wait.as_mut().unwrap().kind = kind;
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }
}

/// The written form is a promise to the next version: it must not change by itself.
#[test]
fn format_1_stays_as_it_is() {
    let first = sha256_of_configured(&Secret::new("first"));
    let first = crate::store::hex::encode(&first);
    let written: Value = serde_json::from_str(full().encode().expose()).unwrap();
    assert_eq!(
        written,
        json!({
            "format": 1,
            "chain": {
                "refresh_token": "canary-refresh", "client_id": "abc", "at": "auth.example.com",
                "received_at": 1_800_000_000_000_i64, "used_at": 1_800_000_001_000_i64,
                "expires_at": 1_900_000_000_000_i64, "idle_lifetime": 15_552_000_000_i64,
                "configured": first, "intent": 1_800_000_002_000_i64,
            },
            "access": {
                "access_token": "canary-access", "token_type": "Bearer", "scope": "read",
                "members": r#"{"rest_instance_url":"https://x.example/","n":{"deep":[1,null]}}"#,
                "sent_at": 1_800_000_000_000_i64, "lifetime": 1_200_000, "shaped_by": "07".repeat(32),
                "secret_in_use": 1,
            },
            "wait": {
                "until": 1_800_000_100_000_i64, "kind": "dead_grant", "failures": 3,
                "refusals": u32::MAX, "asked": "09".repeat(32),
            },
        })
    );
}

#[test]
fn newer_formats_are_refused_and_unknown_members_are_not() {
    let read = |text: &str| Record::decode(&Secret::new(text));
    assert_eq!(
        read(r#"{"format":2,"chain":"quite different"}"#),
        Err(RecordError::Newer { found: 2 })
    );
    assert_eq!(
        read(r#"{"format":1,"later":{"x":1}}"#),
        Ok(Record::default())
    );
    for unreadable in [
        "",
        "null",
        "[]",
        "{}",
        "{\"format\":0}",
        "{\"format\":\"1\"}",
        "{\"format\":1,\"wait\":{\"until\":\"canary\"}}",
        "{\"format\":1,\"wait\":{\"until\":1,\"kind\":\"canary\",\"failures\":1,\"refusals\":1}}",
    ] {
        let error = read(unreadable).unwrap_err();
        assert!(
            matches!(error, RecordError::Unreadable { .. }),
            "{unreadable}"
        );
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[test]
fn nothing_prints_a_secret() {
    let printed = format!("{:?} {:#?}", full(), full().encode());
    assert!(!printed.contains("canary"), "{printed}");
}

/// Members may be nested as deep as the parser that read the vendor's answer allows.
#[test]
fn the_deepest_members_come_back() {
    let mut text = "1".to_owned();
    for _ in 0..126 {
        text = format!("[{text}]");
    }
    let members: Map<String, Value> = serde_json::from_str(&format!("{{\"x\":{text}}}")).unwrap();
    let mut record = full();
    record.access.as_mut().unwrap().members = members;
    assert_eq!(Record::decode(&record.encode()), Ok(record));
}

proptest! {
    #[test]
    fn nothing_that_is_read_panics(text in ".{0,200}", cut in 0_usize..900, byte: u8) {
        drop(Record::decode(&Secret::new(text.as_str())));
        drop(Quota::decode(&Secret::new(text)));
        let whole = full().encode();
        let mut bytes = whole.expose().as_bytes().to_vec();
        bytes.truncate(cut);
        let torn = String::from_utf8_lossy(&bytes).into_owned();
        prop_assert_eq!(Record::decode(&Secret::new(torn)).is_ok(), cut >= whole.expose().len());
        let mut bytes = whole.expose().as_bytes().to_vec();
        let at = cut % bytes.len();
        bytes[at] = byte;
        let changed = String::from_utf8_lossy(&bytes).into_owned();
        drop(Record::decode(&Secret::new(changed)));
    }

    #[test]
    fn any_text_and_time_comes_back(
        token in "[!-~]{1,100}",
        client_id in ".{0,40}",
        at: i64,
        idle in proptest::option::of(0_u64..u64::MAX / 2),
    ) {
        let mut record = full();
        let chain = record.chain.as_mut().unwrap();
        chain.refresh_token = Secret::new(token);
        chain.bound_to.client_id = client_id;
        chain.received_at = Timestamp::from_unix_millis(at);
        chain.idle_lifetime = idle.map(Duration::from_millis);
        prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
    }
}

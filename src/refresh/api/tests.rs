use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::base::{Mono, Now, Timestamp};
use crate::refresh::tests::integration;
use crate::spec::{HostPattern, RefreshPolicy};

fn issued() -> Issued {
    let members = json!({
        "rest": "https://abc.rest.example.com/", "dc": "us1", "evil": "https://evil.example",
        "bare": "abc.rest.example.com", "plain": "http://abc.rest.example.com",
        "near": "http://127.0.0.1:9/api/", "user": "https://a:b@abc.rest.example.com",
        "query": "https://abc.rest.example.com/?a=b", "inside": {"deep": [7, true]},
        "break": "a\r\nX: y", "slashes": "a/../b?c#d", "dots": "..", "null": null,
        "trick": "https://abc.rest.example.com@evil.example/", "word": "evil.example/",
    });
    let members = members.as_object().unwrap().clone();
    Issued {
        access_token: Secret::new("t0k3n"),
        token_type: "Bearer".into(),
        scope: Some("read".into()),
        members,
        sent_at: Now {
            wall: Timestamp::from_unix_seconds(0),
            mono: Mono::START,
        },
        lifetime: None,
        secret_in_use: None,
        refresh_token: None,
    }
}

fn grant(endpoint: &str) -> Grant {
    let mut grant = integration("acme", RefreshPolicy::default()).grant;
    if let Grant::ClientCredentials(request) = &mut grant {
        Arc::make_mut(request).endpoint = Endpoint::parse(endpoint).unwrap().into();
    }
    grant
}

fn base(template: &str, endpoint: &str) -> (Option<String>, Vec<String>) {
    let api = Api {
        base_url: Some(Template::parse(template).unwrap()),
        headers: Vec::new(),
        query: Vec::new(),
        hosts: vec![HostPattern::parse("*.rest.example.com").unwrap()],
    };
    let (call, warnings) = render(&api, &grant(endpoint), &issued());
    assert_eq!(call.base_url.is_none(), !warnings.is_empty());
    (call.base_url, warnings)
}

const VENDOR: &str = "https://auth.example.com/token";
const NEARBY: &str = "http://127.0.0.1:1/token";

#[test]
fn base_urls_that_hold() {
    let abc = "https://abc.rest.example.com";
    for (template, endpoint, wanted) in [
        (
            "https://api.vendor.example/v1/",
            VENDOR,
            "https://api.vendor.example/v1",
        ),
        ("{rest}", VENDOR, abc),
        ("{bare}", VENDOR, abc),
        (
            "https://{dc}.rest.example.com/",
            VENDOR,
            "https://us1.rest.example.com",
        ),
        (
            "{bare}/{slashes}/x",
            VENDOR,
            "https://abc.rest.example.com/a%2F..%2Fb%3Fc%23d/x",
        ),
        ("{near}", NEARBY, "http://127.0.0.1:9/api"),
        ("{rest}", NEARBY, abc),
    ] {
        assert_eq!(
            base(template, endpoint).0.as_deref(),
            Some(wanted),
            "{template}"
        );
    }
}

#[test]
fn base_urls_that_do_not_are_null_with_a_warning() {
    for (template, endpoint, why) in [
        ("{evil}", VENDOR, "'evil.example' is not among"),
        ("{evil}", NEARBY, "not among"),
        ("{near}", VENDOR, "must be https"),
        ("{plain}", VENDOR, "must be https"),
        ("{user}", VENDOR, "user or password"),
        ("{trick}", VENDOR, "user or password"),
        ("{query}", VENDOR, "query"),
        ("{absent}", VENDOR, "no 'absent'"),
        ("{null}", VENDOR, "no 'null'"),
        (
            "https://{word}.rest.example.com",
            VENDOR,
            "'word' must be a part of a host",
        ),
        ("{word}.rest.example.com", VENDOR, "not among"),
        ("https://{access_token}.example.com", VENDOR, "not among"),
        ("{bare}/{dots}/x", VENDOR, "'dots' must be a name"),
    ] {
        let (found, warnings) = base(template, endpoint);
        assert_eq!(found, None, "{template}");
        assert!(warnings[0].contains(why), "{template}: {warnings:?}");
        assert!(!warnings[0].contains("t0k3n"), "{warnings:?}");
    }
}

#[test]
fn headers_and_query_are_filled_or_left_out() {
    let pair = |name: &str, text: &str| (name.to_owned(), Template::parse(text).unwrap());
    let api = Api {
        base_url: None,
        headers: vec![
            pair("Authorization", Api::AUTHORIZATION),
            pair("X-Deep", "{inside.deep.0}/{inside.deep.1}"),
            pair("X-Absent", "{absent.here}"),
            pair("X-Break", "{break}"),
            pair("X-Whole", "{inside}"),
        ],
        query: vec![pair("s", "{scope}"), pair("gone", "{gone}")],
        hosts: Vec::new(),
    };
    let (call, warnings) = render(&api, &grant(VENDOR), &issued());
    let shown = |pairs: &[(String, Secret)]| -> Vec<String> {
        let show = |(name, value): &(String, Secret)| format!("{name}={}", value.expose());
        pairs.iter().map(show).collect()
    };
    assert_eq!(
        shown(&call.headers),
        ["Authorization=Bearer t0k3n", "X-Deep=7/true"]
    );
    assert_eq!(shown(&call.query), ["s=read"]);
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert!(warnings.iter().all(|text| !text.contains("t0k3n")));
}

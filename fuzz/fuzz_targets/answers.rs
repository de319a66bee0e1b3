//! A vendor's answer, from its bytes to what callers get: judged, normalised, served.
//!
//! The input is an answer in clear: a line with the status and the number of an integration, header
//! lines, an empty line, the body. In the body the bytes FE and FF stand for long runs of text, so
//! that the limits are within reach of short inputs.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use token_broker::base::{Failure, Mono, Now, Secret, Timestamp, VENDOR_TEXT_MAX, Zeroizing};
use token_broker::config::{Env, Format, Options, load_text};
use token_broker::exchange::{Outcome, fuzz::judge};
use token_broker::net::{BODY_MAX, Response};
use token_broker::refresh::render_api_call;
use token_broker::snapshot::Held;
use token_broker::spec::Integration;

const SHAPES: &str = include_str!("shapes.toml");
const SECRET: &str = "s3cret-of-the-attempt";
const TOKEN_MAX: usize = 64 * 1024;
const KEPT_MAX: usize = 16 * 1024;
/// A sentence or two of ours around at most two texts of the vendor's.
const DESCRIPTION_MAX: usize = 2 * VENDOR_TEXT_MAX + 400;

static INTEGRATIONS: LazyLock<Vec<Arc<Integration>>> = LazyLock::new(|| {
    let env = Env::from_pairs(std::iter::empty::<(String, String)>());
    let loaded = load_text(
        "shapes.toml",
        SHAPES,
        Format::Toml,
        &env,
        Options::default(),
    );
    loaded.unwrap().spec.integrations
});

fn stretched(body: &[u8]) -> Vec<u8> {
    let mut long = Vec::with_capacity(body.len());
    for byte in body {
        match byte {
            0xfe => long.extend(std::iter::repeat_n(b'a', 20_000)),
            0xff => long.extend(std::iter::repeat_n(b'b', 70_000)),
            byte => long.push(*byte),
        }
    }
    long.truncate(BODY_MAX);
    long
}

fn parsed(data: &[u8]) -> Option<(Response, usize)> {
    let end = data.windows(2).position(|pair| pair == b"\n\n")?;
    let head = std::str::from_utf8(&data[..end]).ok()?;
    let mut lines = head.lines();
    let (status, number) = lines.next()?.split_once(' ')?;
    let mut headers = http::HeaderMap::new();
    for line in lines.take(20) {
        let (name, value) = line.split_once(": ")?;
        let name: http::HeaderName = name.parse().ok()?;
        headers.append(name, value.parse().ok()?);
    }
    let response = Response {
        status: status
            .parse()
            .ok()
            .filter(|status| (100..1000).contains(status))?,
        headers,
        body: Zeroizing::new(stretched(&data[end + 2..])),
    };
    Some((response, number.parse().ok()?))
}

fn is_tame(text: &str, max: usize) {
    assert!(
        text.chars().count() <= max,
        "{} characters are shown",
        text.chars().count()
    );
    assert!(
        !text.chars().any(char::is_control),
        "a control character is shown: {text:?}"
    );
    assert!(!text.contains(SECRET), "a secret is shown: {text:?}");
}

fn check_failure(failure: &Failure) {
    is_tame(&failure.description, DESCRIPTION_MAX);
    if let Some(vendor) = &failure.vendor {
        for text in vendor.error.iter().chain(&vendor.error_description) {
            is_tame(text, VENDOR_TEXT_MAX + 1);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((response, number)) = parsed(data) else {
        return;
    };
    let integration = &INTEGRATIONS[number % INTEGRATIONS.len()];
    let now = Now {
        wall: Timestamp::from_unix_seconds(1_800_000_000),
        mono: Mono::START,
    };
    let held = [Secret::new(SECRET)];
    let issued = match judge(integration, &response, &held, now, number % 2 == 1, 0) {
        Outcome::Issued(issued) => *issued,
        Outcome::Transient { failure, .. }
        | Outcome::Ambiguous { failure, .. }
        | Outcome::BadCredential(failure)
        | Outcome::BadRequest(failure)
        | Outcome::DeadGrant(failure) => return check_failure(&failure),
        Outcome::AuthorizationPending { .. }
        | Outcome::Expired(_)
        | Outcome::SecretUnavailable(_) => unreachable!(),
    };
    assert!((200..300).contains(&response.status));
    let token = issued.access_token.expose().to_owned();
    assert!((1..=TOKEN_MAX).contains(&token.len()));
    assert!(token.bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
    assert!(issued.lifetime.is_none_or(|lifetime| !lifetime.is_zero()));
    let kept = serde_json::to_vec(&issued.members).unwrap();
    assert!(kept.len() <= KEPT_MAX, "{} bytes are kept", kept.len());
    assert!(
        issued
            .scope
            .as_ref()
            .is_none_or(|scope| scope.len() <= KEPT_MAX)
    );
    for name in issued.members.keys() {
        let plain = name.to_lowercase().replace(['_', '-'], "");
        assert!(
            plain != "refreshtoken" && plain != "clientsecret",
            "{name} is kept"
        );
        assert!(!name.starts_with("error"), "{name} is kept");
    }
    let (call, warnings) = render_api_call(&integration.api, &integration.grant, &issued);
    for warning in warnings {
        is_tame(&warning, VENDOR_TEXT_MAX + 200);
    }
    for (_, value) in call.headers.iter().chain(&call.query) {
        assert!(!value.expose().chars().any(char::is_control));
    }
    if let Some(url) = &call.base_url {
        let rest = url.strip_prefix("https://").unwrap();
        let host = rest.split(['/', ':']).next().unwrap().trim_end_matches('.');
        assert!(
            host == "api.vendor.example" || host.ends_with(".api.vendor.example"),
            "{url}"
        );
    }
    let scope = issued.scope.clone();
    let answer = Held::new(issued, call).json(now);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["access_token"], token);
    assert_eq!(
        answer["scope"].as_str(),
        scope.as_deref().or(answer["scope"].as_str())
    );
});

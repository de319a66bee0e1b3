//! The answer of a device authorization endpoint (RFC 8628 section 3.2). Pure.
//!
//! Invariant: what a person is shown is short and printable, and what a person is told to open is a
//! web page.

use std::time::Duration;

use serde_json::Value;
use url::{Host, Url};

use super::DeviceAuthorization;
use super::lifetime;
use crate::base::Secret;

const DEVICE_CODE_MAX: usize = 65_536;
const USER_CODE_MAX: usize = 64;
const URI_MAX: usize = 2_048;
/// RFC 8628 section 3.2, where the answer does not say.
const INTERVAL: Duration = Duration::from_secs(5);
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
const MOST_INTERVAL: Duration = Duration::from_mins(5);
/// Where the answer does not say, though it must.
const LIFETIME: Duration = Duration::from_mins(10);
const LONGEST: Duration = Duration::from_hours(24);

/// `Err` completes "the vendor answered 200, but ...".
pub(super) fn read(answer: &Value) -> Result<DeviceAuthorization, &'static str> {
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let device_code = text("device_code")
        .filter(|code| (1..=DEVICE_CODE_MAX).contains(&code.len()))
        .ok_or("there is no usable device_code")?;
    let user_code = text("user_code")
        .map(str::trim)
        .filter(|code| (1..=USER_CODE_MAX).contains(&code.len()))
        .filter(|code| code.bytes().all(|byte| (0x20..=0x7e).contains(&byte)))
        .ok_or("there is no usable user_code")?;
    // One vendor has it under the name of an early draft.
    let verification_uri = text("verification_uri")
        .or_else(|| text("verification_url"))
        .and_then(page)
        .ok_or("there is no usable verification_uri")?;
    let complete = text("verification_uri_complete").or_else(|| text("verification_url_complete"));
    let seconds = |name: &str| {
        let seconds = lifetime::number(answer.get(name)?)?;
        Duration::try_from_secs_f64(seconds).ok()
    };
    let expires_in = seconds("expires_in").filter(|time| !time.is_zero());
    Ok(DeviceAuthorization {
        device_code: Secret::new(device_code),
        user_code: user_code.to_owned(),
        verification_uri,
        verification_uri_complete: complete.and_then(page),
        expires_in: expires_in.unwrap_or(LIFETIME).min(LONGEST),
        interval: seconds("interval")
            .unwrap_or(INTERVAL)
            .clamp(LEAST_INTERVAL, MOST_INTERVAL),
    })
}

/// A page to send a person to: `https://`, or `http://` on this machine; as it was written, where
/// that cannot play tricks on a terminal.
fn page(text: &str) -> Option<String> {
    if text.len() > URI_MAX {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let here = match url.host()? {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let secure = url.scheme() == "https" || (url.scheme() == "http" && here);
    if !secure || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let plain = text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    Some(if plain { text.to_owned() } else { url.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(changes: &Value) -> Value {
        let mut answer = json!({
            "device_code": "d", "user_code": "WDJB-MJHT",
            "verification_uri": "https://vendor.example/device", "expires_in": 1800, "interval": 7,
        });
        for (name, value) in changes.as_object().unwrap() {
            answer[name] = value.clone();
        }
        answer
    }

    fn changed(changes: &Value) -> Result<DeviceAuthorization, &'static str> {
        read(&answer(changes))
    }

    #[test]
    fn all_that_the_standard_names() {
        let complete = "https://vendor.example/device?user_code=WDJB-MJHT";
        let found = changed(&json!({ "verification_uri_complete": complete })).unwrap();
        let wanted = DeviceAuthorization {
            device_code: Secret::new("d"),
            user_code: "WDJB-MJHT".to_owned(),
            verification_uri: "https://vendor.example/device".to_owned(),
            verification_uri_complete: Some(complete.to_owned()),
            expires_in: Duration::from_mins(30),
            interval: Duration::from_secs(7),
        };
        assert_eq!(found, wanted);
    }

    #[test]
    fn an_interval_that_is_not_there_is_five_seconds_and_none_is_a_hot_loop() {
        for (said, seconds) in [
            (json!(null), 5),
            (json!("9"), 9),
            (json!(0), 1),
            (json!(-3), 5),
            (json!(1e300), 5),
            (json!(86_400), 300),
        ] {
            let found = changed(&json!({ "interval": said })).unwrap();
            assert_eq!(found.interval, Duration::from_secs(seconds), "{said}");
        }
        for (said, seconds) in [(json!(null), 600), (json!(0), 600), (json!(1e9), 86_400)] {
            let found = changed(&json!({ "expires_in": said })).unwrap();
            assert_eq!(found.expires_in, Duration::from_secs(seconds), "{said}");
        }
    }

    #[test]
    fn the_name_of_an_early_draft_will_do() {
        let found = changed(&json!({
            "verification_uri": null, "verification_url": "https://www.google.com/device",
        }));
        assert_eq!(
            found.unwrap().verification_uri,
            "https://www.google.com/device"
        );
    }

    #[test]
    fn nobody_is_sent_anywhere_but_to_a_web_page() {
        for uri in [
            "",
            "vendor.example/device",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http://vendor.example/device",
            "https://vendor.example@evil.example/",
            "https://:x@vendor.example/",
        ] {
            assert!(
                changed(&json!({ "verification_uri": uri })).is_err(),
                "{uri}"
            );
            let beside = changed(&json!({ "verification_uri_complete": uri })).unwrap();
            assert_eq!(beside.verification_uri_complete, None, "{uri}");
        }
        let long = format!("https://vendor.example/{}", "x".repeat(URI_MAX));
        assert!(changed(&json!({ "verification_uri": long })).is_err());
        let tricky = "https://vendor.example/\u{202e}x \u{1b}[2J";
        let found = changed(&json!({ "verification_uri": tricky })).unwrap();
        assert!(found.verification_uri.is_ascii() && !found.verification_uri.contains('\u{1b}'));
        for uri in [
            "http://127.0.0.1:8/d",
            "http://localhost/d",
            "https://x.example/#d",
        ] {
            let found = changed(&json!({ "verification_uri": uri })).unwrap();
            assert_eq!(found.verification_uri, uri);
        }
    }

    #[test]
    fn codes_that_cannot_be_used_are_none() {
        for (name, value) in [
            ("device_code", json!(null)),
            ("device_code", json!("")),
            ("device_code", json!("d".repeat(DEVICE_CODE_MAX + 1))),
            ("user_code", json!(null)),
            ("user_code", json!("A\u{1b}[2J")),
            ("user_code", json!("A".repeat(USER_CODE_MAX + 1))),
        ] {
            assert!(changed(&json!({ name: value })).is_err(), "{name}");
        }
        assert!(read(&json!([])).is_err());
    }
}

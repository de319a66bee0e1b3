//! Times in headers: `Date` and `Retry-After` (RFC 9110), both from outside and so not trusted.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{DATE, HeaderName, RETRY_AFTER};

use crate::base::Timestamp;

/// A peer whose clock is further from ours than this is not believed.
const PLAUSIBLE: Duration = Duration::from_hours(24);

/// The answer's own time, however far from ours: for telling a person, not for reckoning with.
pub fn stated_date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(text(headers, &DATE)?)
}

/// The answer's own time, if it is within a day of ours.
pub fn answer_date(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let date = stated_date(headers)?;
    (date.since(now) <= PLAUSIBLE && now.since(date) <= PLAUSIBLE).then_some(date)
}

/// What the peer asks us to wait, uncapped: seconds, or a date seen from the peer's own clock.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let wanted = text(headers, &RETRY_AFTER)?.trim();
    if !wanted.is_empty() && wanted.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(wanted.parse().unwrap_or(u64::MAX)));
    }
    let reference = answer_date(headers, now).unwrap_or(now);
    Some(http_date(wanted)?.since(reference))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A date as HTTP writes it (RFC 9110 section 5.6.7).
pub fn http_date(text: &str) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    let seconds = date.duration_since(UNIX_EPOCH).ok()?.as_secs();
    i64::try_from(seconds)
        .ok()
        .map(Timestamp::from_unix_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&HeaderName, &str)]) -> HeaderMap {
        let owned = |(name, value): &(&HeaderName, &str)| {
            ((*name).clone(), value.parse().expect("a header value"))
        };
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn retry_after_in_all_its_forms() {
        let now = Timestamp::parse_rfc3339("2026-11-22T10:00:00Z").unwrap();
        for (value, seconds) in [
            ("3", Some(3)),
            (" 120 ", Some(120)),
            ("0", Some(0)),
            ("99999999999999999999", Some(u64::MAX)),
            ("Sun, 22 Nov 2026 10:01:30 GMT", Some(90)),
            ("Sun, 22 Nov 2026 09:00:00 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(
                retry_after(&headers(&[(&RETRY_AFTER, value)]), now),
                seconds.map(Duration::from_secs),
                "{value}"
            );
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_retry_date_is_seen_from_the_peers_clock_unless_that_is_absurd() {
        let now = Timestamp::parse_rfc3339("2026-11-22T10:00:00Z").unwrap();
        let wait = |date| {
            let retry = "Sun, 22 Nov 2026 11:00:30 GMT";
            retry_after(&headers(&[(&DATE, date), (&RETRY_AFTER, retry)]), now)
        };
        assert_eq!(
            wait("Sun, 22 Nov 2026 11:00:00 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            wait("Sun, 22 Nov 2020 11:00:00 GMT"),
            Some(Duration::from_secs(3630))
        );
    }

    proptest::proptest! {
        #[test]
        fn never_panics(value in proptest::collection::vec(32_u8..=255, 0..40)) {
            if let Ok(value) = http::HeaderValue::from_bytes(&value) {
                let mut map = HeaderMap::new();
                map.insert(RETRY_AFTER, value.clone());
                map.insert(DATE, value);
                let now = Timestamp::from_unix_seconds(0);
                let _seen = (retry_after(&map, now), answer_date(&map, now));
            }
        }
    }
}

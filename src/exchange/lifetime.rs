//! How long a token lives, out of whatever a vendor says about it. Pure; no input may panic.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::base::Timestamp;
use crate::spec::{ResponseShape, Unit};

/// More than a hundred years is a vendor's word for "never".
const NEVER: Duration = Duration::from_hours(100 * 365 * 24);
/// Absolute times above this are in milliseconds: as seconds it would be the year 5138.
const MILLIS_ABOVE: f64 = 1e11;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    For(Duration),
    Never,
    /// Zero or less: the answer is of no use.
    Over,
}

/// Order: `expires_in`, `expires_at`, a JWT's `exp`, the configured default, else no expiry; then
/// cut to the configured maximum. `answered_at` is the vendor's clock where it can be believed,
/// else ours.
pub(super) fn find(
    answer: &Value,
    token: &str,
    shape: &ResponseShape,
    answered_at: Timestamp,
) -> Lifetime {
    let said = shape
        .expires_in
        .find(answer)
        .and_then(|value| relative(value, shape.expires_in_unit))
        .or_else(|| absolute(shape.expires_at.find(answer)?, answered_at))
        .or_else(|| of_jwt(token, answered_at))
        .or_else(|| shape.default_lifetime.map(of_duration))
        .unwrap_or(Lifetime::Never);
    match (said, shape.max_lifetime) {
        (Lifetime::For(lifetime), Some(max)) => Lifetime::For(lifetime.min(max)),
        (Lifetime::Never, Some(max)) => Lifetime::For(max),
        (said, _) => said,
    }
}

fn of_duration(duration: Duration) -> Lifetime {
    match duration {
        Duration::ZERO => Lifetime::Over,
        duration if duration > NEVER => Lifetime::Never,
        duration => Lifetime::For(duration),
    }
}

/// From `now` until `at`.
pub(super) fn until(at: Timestamp, now: Timestamp) -> Lifetime {
    of_duration(at.since(now))
}

fn of_seconds(seconds: f64) -> Lifetime {
    if seconds <= 0.0 {
        return Lifetime::Over;
    }
    // Too large for a duration is also too large for a lifetime.
    Duration::try_from_secs_f64(seconds).map_or(Lifetime::Never, of_duration)
}

/// A number, or one written as a string; anything else says nothing.
pub(super) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => {
            let text = text.trim();
            // `parse` also knows "inf" and "nan".
            text.ends_with(|c: char| c.is_ascii_digit())
                .then(|| text.parse().ok())??
        }
        _ => return None,
    };
    Some(number)
}

pub(super) fn relative(value: &Value, unit: Unit) -> Option<Lifetime> {
    let number = number(value)?;
    Some(of_seconds(match unit {
        Unit::Seconds => number,
        Unit::Milliseconds => number / 1000.0,
        Unit::Minutes => number * 60.0,
    }))
}

fn absolute(value: &Value, answered_at: Timestamp) -> Option<Lifetime> {
    if let Value::String(text) = value
        && let Some(at) = Timestamp::parse_rfc3339(text)
    {
        return Some(until(at, answered_at));
    }
    let number = number(value)?;
    let seconds = if number > MILLIS_ABOVE {
        number / 1000.0
    } else {
        number
    };
    Some(of_seconds(seconds - seconds_of(answered_at)))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 fit in 52 bits"
)]
fn seconds_of(stamp: Timestamp) -> f64 {
    stamp.unix_millis() as f64 / 1000.0
}

/// The smaller of `exp` seen from the answer's time and `exp - iat`. The signature is the API's
/// business: only the times are read.
pub(super) fn of_jwt(token: &str, answered_at: Timestamp) -> Option<Lifetime> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload = payload.trim_end_matches('=');
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let claim = |name: &str| claims.get(name).filter(|value| value.is_number());
    let expires = number(claim("exp")?)?;
    let left = expires - seconds_of(answered_at);
    let whole = claim("iat").and_then(number).map(|issued| expires - issued);
    Some(of_seconds(whole.map_or(left, |whole| whole.min(left))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Path;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn shape() -> ResponseShape {
        ResponseShape::default()
    }

    fn found(answer: &Value, shape: &ResponseShape) -> Lifetime {
        find(answer, "opaque", shape, Timestamp::from_unix_seconds(NOW))
    }

    fn secs(seconds: u64) -> Lifetime {
        Lifetime::For(Duration::from_secs(seconds))
    }

    fn jwt(claims: &Value) -> String {
        format!("eyJh.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn expires_in_however_it_is_written() {
        for (value, lifetime) in [
            (json!(3600), secs(3600)),
            (json!("3600"), secs(3600)),
            (json!(" 3600 "), secs(3600)),
            (json!(3599.0), secs(3599)),
            (json!("3599.0"), secs(3599)),
            (json!(315_359_999), secs(315_359_999)),
            (json!(1), secs(1)),
            (json!(0), Lifetime::Over),
            (json!(-5), Lifetime::Over),
            (json!("-5"), Lifetime::Over),
            (json!(null), Lifetime::Never),
            (json!("soon"), Lifetime::Never),
            (json!("inf"), Lifetime::Never),
            (json!("NaN"), Lifetime::Never),
            (json!({}), Lifetime::Never),
            (json!([3600]), Lifetime::Never),
            (json!(true), Lifetime::Never),
            (json!(3_153_600_001_u64), Lifetime::Never),
            (json!(u64::MAX), Lifetime::Never),
            (json!(1e300), Lifetime::Never),
            (json!("1e999999"), Lifetime::Never),
        ] {
            let answer = json!({ "expires_in": value });
            assert_eq!(found(&answer, &shape()), lifetime, "{answer}");
        }
        assert_eq!(found(&json!({}), &shape()), Lifetime::Never);
    }

    #[test]
    fn units() {
        let unit = |unit| ResponseShape {
            expires_in_unit: unit,
            ..shape()
        };
        let found = |unit, value: Value| found(&json!({ "expires_in": value }), &unit);
        assert_eq!(
            found(unit(Unit::Milliseconds), json!(86_399_999)),
            Lifetime::For(Duration::from_millis(86_399_999))
        );
        assert_eq!(found(unit(Unit::Minutes), json!("30")), secs(1800));
    }

    #[test]
    fn absolute_times_in_their_forms() {
        for (value, lifetime) in [
            (json!("2027-01-15T09:00:00Z"), secs(3600)),
            (json!("2027-01-15T10:00:00+01:00"), secs(3600)),
            (json!(NOW + 60), secs(60)),
            (json!((NOW + 60).to_string()), secs(60)),
            (json!((NOW + 60) * 1000), secs(60)),
            (json!(((NOW + 60) * 1000).to_string()), secs(60)),
            (json!(NOW), Lifetime::Over),
            (json!("2020-01-01T00:00:00Z"), Lifetime::Over),
            (json!("9999-12-31T23:59:59Z"), Lifetime::Never),
            (json!("tomorrow"), Lifetime::Never),
            (json!(null), Lifetime::Never),
        ] {
            let answer = json!({ "expires_at": value });
            assert_eq!(found(&answer, &shape()), lifetime, "{answer}");
        }
        let both = json!({"expires_in": 10, "expires_at": NOW + 60});
        assert_eq!(found(&both, &shape()), secs(10));
        let null = json!({"expires_in": null, "expires_at": NOW + 60});
        assert_eq!(found(&null, &shape()), secs(60));
    }

    #[test]
    fn a_jwts_own_times_are_the_smaller_of_two() {
        let at = Timestamp::from_unix_seconds(NOW);
        let lifetime = |claims: Value| of_jwt(&jwt(&claims), at);
        assert_eq!(lifetime(json!({"exp": NOW + 600})), Some(secs(600)));
        assert_eq!(
            lifetime(json!({"exp": NOW + 600, "iat": NOW - 30})),
            Some(secs(600))
        );
        assert_eq!(
            lifetime(json!({"exp": NOW + 600, "iat": NOW + 300})),
            Some(secs(300))
        );
        assert_eq!(lifetime(json!({"exp": NOW - 1})), Some(Lifetime::Over));
        assert_eq!(lifetime(json!({"iat": NOW})), None);
        assert_eq!(lifetime(json!({"exp": "soon"})), None);
        for bad in ["", "..", "a.b", "a.%.c", "a.bm8.c", "a.e30.c.d"] {
            assert_eq!(of_jwt(bad, at), None, "{bad}");
        }
    }

    #[test]
    fn order_default_and_maximum() {
        let token = jwt(&json!({"exp": NOW + 600}));
        let at = Timestamp::from_unix_seconds(NOW);
        let mut shape = shape();
        shape.default_lifetime = Some(Duration::from_secs(100));
        assert_eq!(find(&json!({}), &token, &shape, at), secs(600));
        assert_eq!(found(&json!({}), &shape), secs(100));
        shape.max_lifetime = Some(Duration::from_secs(50));
        assert_eq!(found(&json!({}), &shape), secs(50));
        shape.default_lifetime = None;
        assert_eq!(found(&json!({}), &shape), secs(50), "no expiry is too long");
        shape.expires_in = Path::parse("data.0.ttl").unwrap();
        assert_eq!(found(&json!({"data": [{"ttl": "20"}]}), &shape), secs(20));
    }

    proptest::proptest! {
        #[test]
        fn no_number_panics(number: f64, text in ".{0,30}", now: i64) {
            let at = Timestamp::from_unix_seconds(now);
            for value in [json!(number), json!(number.to_string()), json!(text)] {
                let _found = (relative(&value, Unit::Minutes), absolute(&value, at));
                let _jwt = of_jwt(&jwt(&json!({"exp": value, "iat": number})), at);
            }
            let _jwt = of_jwt(&text, at);
        }
    }
}

//! How long a token lives, out of whatever a vendor says about it. Pure; no input may panic.

use std::time::Duration;

use serde_json::Value;

use super::claims;
use crate::base::{HumanDuration, Timestamp};
use crate::net;
use crate::spec::{ResponseShape, Unit, find_any};

/// More than a hundred years is a vendor's word for "never".
const NEVER: Duration = Duration::from_hours(100 * 365 * 24);
/// Absolute times above this are in milliseconds: as seconds it would be the year 5138.
const MILLIS_ABOVE: f64 = 1e11;
const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;
const YEAR: f64 = 365.0 * DAY;
/// A number this close to the Unix time of now is one: as seconds to live it is half a century.
const UNIX_TIME: std::ops::Range<f64> = -YEAR..30.0 * YEAR;
/// A lifetime of so many seconds that the configuration states is one of hours.
const HOURS: Duration = Duration::from_hours(31 * 24);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    For(Duration),
    Never,
    /// Zero or less: the answer is of no use.
    Over,
}

/// A lifetime that is plainly in another unit than the configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Oddity {
    /// Taken as what it is.
    UnixTime,
    /// Taken as such, since the configuration states a lifetime of hours.
    Milliseconds,
    /// Taken as seconds all the same: this is how long it would live.
    MaybeMilliseconds(Duration),
    /// Taken as milliseconds all the same.
    MaybeSeconds(Duration),
    /// Taken as if it were not there.
    Unreadable,
}

impl std::fmt::Display for Oddity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnixTime => f.write_str(
                "its lifetime is a Unix time, and is taken as that: set [integrations.NAME.response] \
                 expires_in_unit = \"unix_time\"",
            ),
            Self::Milliseconds => f.write_str(
                "its lifetime is far beyond the configured one, and is taken as milliseconds: set \
                 [integrations.NAME.response] expires_in_unit = \"milliseconds\"",
            ),
            Self::MaybeMilliseconds(lifetime) => write!(
                f,
                "by its own word it lives {}, which looks like milliseconds: if it is, set \
                 [integrations.NAME.response] expires_in_unit = \"milliseconds\"",
                HumanDuration(*lifetime)
            ),
            Self::MaybeSeconds(lifetime) => write!(
                f,
                "it lives {}, which looks like seconds read as milliseconds: if so, set \
                 [integrations.NAME.response] expires_in_unit = \"seconds\"",
                HumanDuration(*lifetime)
            ),
            Self::Unreadable => f.write_str(
                "what stands where its lifetime should be cannot be read as one, and is passed over: \
                 compare [integrations.NAME.response] expires_in, expires_in_unit and expires_at with \
                 the vendor's documentation, or set default_lifetime",
            ),
        }
    }
}

/// What was found, and what is strange about it.
pub(super) type Found = (Lifetime, Option<Oddity>);

/// Order: `expires_in`, `expires_at`, a JWT's `exp`, the configured default, else no expiry; then
/// cut to the configured maximum. `answered_at` is the vendor's clock where it can be believed,
/// else ours.
pub(super) fn find(
    answer: &Value,
    token: &str,
    shape: &ResponseShape,
    answered_at: Timestamp,
) -> Found {
    let since = age(answer, shape, answered_at);
    let to_live = find_any(&shape.expires_in, answer);
    let end = find_any(&shape.expires_at, answer);
    let unread = (to_live.is_some() || end.is_some()).then_some(Oddity::Unreadable);
    let said = to_live
        .and_then(|value| relative(value, shape, answered_at))
        .map(|(said, oddity)| (aged(said, since, oddity), oddity))
        .or_else(|| Some((absolute(end?, answered_at)?, None)))
        .or_else(|| Some((of_jwt(token, answered_at)?, unread)))
        .or_else(|| {
            let default = of_duration(shape.default_lifetime?);
            Some((aged(default, since, None), unread))
        })
        .unwrap_or((Lifetime::Never, unread));
    let cut = match (said.0, shape.max_lifetime) {
        (Lifetime::For(lifetime), Some(max)) => Lifetime::For(lifetime.min(max)),
        (Lifetime::Never, Some(max)) => Lifetime::For(max),
        (said, _) => said,
    };
    (cut, said.1)
}

/// How old the token is already, where the vendor hands out one that it made before.
fn age(answer: &Value, shape: &ResponseShape, answered_at: Timestamp) -> Duration {
    let made = shape.issued_at.as_ref().and_then(|path| path.find(answer));
    let made = made.and_then(moment);
    let age = made.map_or(0.0, |made| seconds_of(answered_at) - made);
    Duration::try_from_secs_f64(age).unwrap_or_default()
}

/// What is left of a lifetime that began so long ago; an end that is written out stays where it is.
fn aged(said: Lifetime, since: Duration, oddity: Option<Oddity>) -> Lifetime {
    match said {
        Lifetime::For(lifetime) if oddity != Some(Oddity::UnixTime) => {
            of_duration(lifetime.saturating_sub(since))
        }
        said => said,
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

/// A time to live, in the unit of the shape.
pub(super) fn relative(
    value: &Value,
    shape: &ResponseShape,
    answered_at: Timestamp,
) -> Option<Found> {
    if shape.expires_in_unit == Unit::DaysHoursMinutes {
        return Some((of_seconds(days_hours_minutes(value.as_str()?)?), None));
    }
    let number = number(value)?;
    if number == 0.0 && shape.zero_means_never {
        return Some((Lifetime::Never, None));
    }
    let now = seconds_of(answered_at);
    Some(match shape.expires_in_unit {
        Unit::Seconds => seconds(number, shape, now),
        Unit::Milliseconds => {
            let lifetime = of_seconds(number / 1000.0);
            // As seconds: five minutes to a day.
            let odd = match lifetime {
                Lifetime::For(lifetime) if (300.0..=DAY).contains(&number) => {
                    Some(Oddity::MaybeSeconds(lifetime))
                }
                _ => None,
            };
            (lifetime, odd)
        }
        Unit::Minutes => (of_seconds(number * 60.0), None),
        Unit::UnixTime | Unit::DaysHoursMinutes => (of_seconds(unix_seconds(number) - now), None),
    })
}

/// Some vendors send something else under this name, and say so nowhere.
fn seconds(number: f64, shape: &ResponseShape, now: f64) -> Found {
    let ends = unix_seconds(number);
    if number > YEAR && UNIX_TIME.contains(&(ends - now)) {
        return (of_seconds(ends - now), Some(Oddity::UnixTime));
    }
    let lifetime = of_seconds(number);
    let stated = shape.default_lifetime.max(shape.max_lifetime);
    if let Some(stated) = stated.filter(|stated| *stated <= HOURS)
        && number > YEAR
        && number / 1000.0 <= 2.0 * stated.as_secs_f64()
    {
        return (of_seconds(number / 1000.0), Some(Oddity::Milliseconds));
    }
    let half_hours = (number / 1000.0).round() / (HOUR / 2.0);
    let odd = match lifetime {
        Lifetime::For(lifetime) if number > 30.0 * DAY && half_hours.fract() == 0.0 => {
            Some(Oddity::MaybeMilliseconds(lifetime))
        }
        _ => None,
    };
    (lifetime, odd)
}

/// `177:05:38`: days, hours, minutes.
fn days_hours_minutes(text: &str) -> Option<f64> {
    let mut parts = text.trim().split(':');
    let mut part = || {
        let text = parts.next()?;
        let plain = (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse::<f64>().ok()).flatten()
    };
    let (days, hours, minutes) = (part()?, part()?, part()?);
    parts
        .next()
        .is_none()
        .then_some(days * DAY + hours * HOUR + minutes * 60.0)
}

/// Until a moment that is written out.
pub(super) fn absolute(value: &Value, answered_at: Timestamp) -> Option<Lifetime> {
    Some(of_seconds(moment(value)? - seconds_of(answered_at)))
}

/// Seconds since 1970: RFC 3339, an HTTP date, or a number of seconds or milliseconds.
fn moment(value: &Value) -> Option<f64> {
    if let Value::String(text) = value
        && let Some(at) = Timestamp::parse_rfc3339(text).or_else(|| net::http_date(text))
    {
        return Some(seconds_of(at));
    }
    number(value).map(unix_seconds)
}

fn unix_seconds(number: f64) -> f64 {
    if number > MILLIS_ABOVE {
        number / 1000.0
    } else {
        number
    }
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
    let claims = claims::of(token)?;
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
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn shape() -> ResponseShape {
        ResponseShape::default()
    }

    fn found(answer: &Value, shape: &ResponseShape) -> Lifetime {
        find(answer, "opaque", shape, Timestamp::from_unix_seconds(NOW)).0
    }

    fn odd(answer: &Value, shape: &ResponseShape) -> Found {
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
        assert_eq!(found(unit(Unit::UnixTime), json!(NOW + 60)), secs(60));
        let millis = json!(((NOW + 60) * 1000).to_string());
        assert_eq!(found(unit(Unit::UnixTime), millis), secs(60));
        let days = |text: &str| found(unit(Unit::DaysHoursMinutes), json!(text));
        assert_eq!(days("177:05:38"), secs((177 * 24 + 5) * 3600 + 38 * 60));
        assert_eq!(days("0:00:01"), secs(60));
        assert_eq!(days("0:00:00"), Lifetime::Over);
        for bad in [
            "1:2",
            "1:2:3:4",
            "a:b:c",
            "-1:0:0",
            "",
            "1::2",
            "9999999:0:0",
        ] {
            assert_eq!(days(bad), Lifetime::Never, "{bad}");
        }
    }

    #[test]
    fn nought_can_mean_never() {
        let never = ResponseShape {
            zero_means_never: true,
            ..shape()
        };
        for value in [json!(0), json!("0"), json!(0.0)] {
            let answer = json!({ "expires_in": value });
            assert_eq!(found(&answer, &never), Lifetime::Never, "{answer}");
            assert_eq!(found(&answer, &shape()), Lifetime::Over, "{answer}");
        }
        assert_eq!(found(&json!({"expires_in": -1}), &never), Lifetime::Over);
        assert_eq!(found(&json!({"expires_in": 9}), &never), secs(9));
    }

    #[test]
    fn what_is_plainly_in_another_unit_is_told() {
        let stated = ResponseShape {
            default_lifetime: Some(Duration::from_hours(24)),
            ..shape()
        };
        let millis = ResponseShape {
            expires_in_unit: Unit::Milliseconds,
            ..shape()
        };
        let maybe = |seconds: u64| Some(Oddity::MaybeMilliseconds(Duration::from_secs(seconds)));
        let at = |value: i64, shape: &ResponseShape| odd(&json!({ "expires_in": value }), shape);
        let unix = Some(Oddity::UnixTime);
        assert_eq!(at(NOW + 7200, &shape()), (secs(7200), unix));
        assert_eq!(at((NOW + 7200) * 1000, &shape()), (secs(7200), unix));
        assert_eq!(at(NOW - 5, &shape()), (Lifetime::Over, unix));
        for value in [86_399_999, 86_399_985, 7_200_000] {
            let seconds = u64::try_from(value).unwrap();
            assert_eq!(at(value, &shape()), (secs(seconds), maybe(seconds)));
        }
        let day = Lifetime::For(Duration::from_millis(86_399_985));
        assert_eq!(at(86_399_985, &stated), (day, Some(Oddity::Milliseconds)));
        let short = Oddity::MaybeSeconds(Duration::from_millis(3600));
        assert_eq!(at(3600, &millis).1, Some(short));
        // A month, sixty days, a year, ten years: lifetimes that vendors mean.
        for value in [
            3600,
            2_592_000,
            5_184_000,
            5_183_944,
            31_536_000,
            315_359_999,
        ] {
            assert_eq!(at(value, &shape()).1, None, "{value}");
        }
        assert_eq!(at(315_359_999, &stated).1, None);
        assert_eq!(at(3_600_000, &millis).1, None);
        let all = [unix, Some(Oddity::Milliseconds), Some(short), maybe(90)];
        for oddity in all.into_iter().flatten() {
            assert!(oddity.to_string().contains("expires_in_unit"), "{oddity}");
        }
    }

    /// It may be the end of the token, so nobody passes over it in silence.
    #[test]
    fn what_cannot_be_read_is_told() {
        let days = ResponseShape {
            expires_in_unit: Unit::DaysHoursMinutes,
            ..shape()
        };
        let stated = ResponseShape {
            default_lifetime: Some(Duration::from_secs(60)),
            ..shape()
        };
        for (answer, shape, lifetime) in [
            (json!({"expires_in": "1 hour"}), &shape(), Lifetime::Never),
            (json!({"expires_in": "0:01:30"}), &shape(), Lifetime::Never),
            (json!({"expires_in": 3600}), &days, Lifetime::Never),
            (
                json!({"expires_at": "29.11.2027"}),
                &shape(),
                Lifetime::Never,
            ),
            (json!({"expires_in": "1 hour"}), &stated, secs(60)),
        ] {
            let unreadable = (lifetime, Some(Oddity::Unreadable));
            assert_eq!(odd(&answer, shape), unreadable, "{answer}");
        }
        for answer in [
            json!({}),
            json!({"expires_in": null, "expires_at": null}),
            json!({"expires_in": "soon", "expires_at": NOW + 60}),
        ] {
            assert_eq!(odd(&answer, &shape()).1, None, "{answer}");
        }
    }

    #[test]
    fn a_token_that_was_made_before_lives_from_then() {
        let shape = ResponseShape {
            issued_at: Path::parse("issued_at"),
            default_lifetime: Some(Duration::from_secs(7200)),
            ..shape()
        };
        for (made, seconds) in [
            (json!((NOW - 600) * 1000), Some(6600)),
            (json!((NOW - 600).to_string()), Some(6600)),
            (json!("2027-01-15T07:50:00Z"), Some(6600)),
            (json!("Fri, 15 Jan 2027 07:50:00 GMT"), Some(6600)),
            (json!(NOW + 600), Some(7200)),
            (json!(NOW - 7200), None),
            (json!("soon"), Some(7200)),
            (json!(null), Some(7200)),
        ] {
            let wanted = seconds.map_or(Lifetime::Over, secs);
            let answer = json!({ "issued_at": made });
            assert_eq!(found(&answer, &shape), wanted, "{answer}");
            let answer = json!({ "issued_at": made, "expires_in": 7200 });
            assert_eq!(found(&answer, &shape), wanted, "{answer}");
        }
        let end = json!({"issued_at": NOW - 600, "expires_at": NOW + 60});
        assert_eq!(found(&end, &shape), secs(60), "an end stays where it is");
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
            (json!("Fri, 15 Jan 2027 09:00:00 GMT"), secs(3600)),
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
        assert_eq!(find(&json!({}), &token, &shape, at).0, secs(600));
        assert_eq!(found(&json!({}), &shape), secs(100));
        shape.max_lifetime = Some(Duration::from_secs(50));
        assert_eq!(found(&json!({}), &shape), secs(50));
        shape.default_lifetime = None;
        assert_eq!(found(&json!({}), &shape), secs(50), "no expiry is too long");
        shape.expires_in = ["ttl", "data.0.ttl"]
            .map(|path| Path::parse(path).unwrap())
            .into();
        assert_eq!(found(&json!({"data": [{"ttl": "20"}]}), &shape), secs(20));
        let both = json!({"ttl": null, "data": [{"ttl": 30}]});
        assert_eq!(found(&both, &shape), secs(30));
    }

    proptest::proptest! {
        #[test]
        fn no_number_panics(number: f64, text in ".{0,30}", now: i64) {
            let at = Timestamp::from_unix_seconds(now);
            for value in [json!(number), json!(number.to_string()), json!(text)] {
                for unit in [
                    Unit::Seconds, Unit::Milliseconds, Unit::Minutes, Unit::DaysHoursMinutes,
                    Unit::UnixTime,
                ] {
                    let shape = ResponseShape {
                        expires_in_unit: unit,
                        issued_at: Path::parse("made"),
                        default_lifetime: Some(Duration::from_secs(60)),
                        ..ResponseShape::default()
                    };
                    let answer = json!({"expires_in": value, "made": value});
                    let (_found, oddity) = find(&answer, "", &shape, at);
                    let _told = oddity.map(|oddity| oddity.to_string());
                }
                let _found = absolute(&value, at);
                let _jwt = of_jwt(&jwt(&json!({"exp": value, "iat": number})), at);
            }
            let _jwt = of_jwt(&text, at);
        }
    }
}

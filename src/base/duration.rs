//! Durations as people write them: `1h30m`, `500ms`, or whole seconds.

use std::fmt;
use std::time::Duration;

/// Parses `1d`, `1h30m`, `1m30s`, `500ms`, or a whole number of seconds. Units go from large to
/// small, each once. `None` for anything else, or past what 64 bits of milliseconds hold.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return millis(text.parse().ok()?, 1000);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut last_rank = 0;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit())?)?;
        let unit_end = tail
            .find(|c: char| !c.is_ascii_lowercase())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        let (rank, factor) = match unit {
            "d" => (1, 86_400_000),
            "h" => (2, 3_600_000),
            "m" => (3, 60_000),
            "s" => (4, 1000),
            "ms" => (5, 1),
            _ => return None,
        };
        if rank <= last_rank {
            return None;
        }
        last_rank = rank;
        total = total.checked_add(millis(number.parse().ok()?, factor)?)?;
        rest = tail;
    }
    (last_rank > 0).then_some(total)
}

fn millis(number: u64, factor: u64) -> Option<Duration> {
    number.checked_mul(factor).map(Duration::from_millis)
}

/// Prints a duration in the form [`parse_duration`] reads.
#[derive(Debug, Clone, Copy)]
pub struct HumanDuration(pub Duration);

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seconds = self.0.as_secs();
        let millis = self.0.subsec_millis();
        if seconds == 0 {
            return if millis == 0 {
                f.write_str("0s")
            } else {
                write!(f, "{millis}ms")
            };
        }
        for (unit, size) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
            if seconds >= size {
                write!(f, "{}{unit}", seconds / size)?;
                seconds %= size;
            }
        }
        if millis > 0 {
            write!(f, "{millis}ms")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, millis) in [
            ("0", 0),
            ("5", 5000),
            ("5s", 5000),
            ("500ms", 500),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("1m30s250ms", 90_250),
        ] {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for bad in [
            "",
            "s",
            "-5",
            "1.5s",
            "5 s",
            "5S",
            "1m1h",
            "1s1s",
            "5x",
            "99999999999999999999",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn printing_and_reading_agree(millis in 0_u64..10_000_000_000) {
            let duration = Duration::from_millis(millis);
            let text = HumanDuration(duration).to_string();
            proptest::prop_assert_eq!(parse_duration(&text), Some(duration));
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            let _parsed = parse_duration(&text);
        }
    }
}

//! How far the vendor's clock is from ours: assertions are dated by the vendor's. Pure.

use std::time::Duration;

use crate::base::{HumanDuration, IntegrationId, Timestamp};

/// More than this is a broken clock, theirs or ours: no assertion is dated by it.
const MOST: Duration = Duration::from_secs(600);

/// What the usual back-dating makes up for.
const COVERED: Duration = Duration::from_secs(30);

/// What the last `Date` of a vendor said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Skew {
    ahead: Duration,
    behind: Duration,
    /// Told once, until it is over.
    warned: bool,
}

impl Skew {
    pub(super) fn learn(
        &mut self,
        date: Option<Timestamp>,
        sent_at: Timestamp,
        now: Timestamp,
        id: &IntegrationId,
    ) {
        let Some(date) = date else { return };
        let (ahead, behind) = apart(date, sent_at, now);
        let off = ahead.max(behind);
        if off > MOST {
            if !self.warned {
                tracing::warn!(
                    integration.id = %id, skew_s = off.as_secs(),
                    "the clock of the vendor of {id} and this machine's differ by {}: one of them \
                     is wrong, and assertions are dated by this machine's",
                    HumanDuration(Duration::from_secs(off.as_secs()))
                );
            }
            *self = Self {
                warned: true,
                ..Self::default()
            };
            return;
        }
        *self = Self {
            ahead,
            behind,
            warned: false,
        };
    }

    /// The vendor's time, as far as it is known.
    pub(super) fn correct(&self, now: Timestamp) -> Timestamp {
        let ahead = now.plus(self.ahead);
        let behind = i64::try_from(self.behind.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_unix_millis(ahead.unix_millis().saturating_sub(behind))
    }
}

/// How far a vendor's clock is ahead of ours and behind it, as far as rounding and transport do not
/// explain it: `date` has whole seconds and was written some time between sending and receiving.
fn apart(date: Timestamp, sent_at: Timestamp, now: Timestamp) -> (Duration, Duration) {
    let ahead = date.since(now);
    let behind = sent_at.since(date.plus(Duration::from_secs(1)));
    (ahead, behind)
}

/// For whom an assertion was refused: the clocks, if they are further apart than back-dating covers.
pub(super) fn told(date: Timestamp, sent_at: Timestamp, now: Timestamp) -> Option<String> {
    let (ahead, behind) = apart(date, sent_at, now);
    let (off, side) = if ahead > behind {
        (ahead, "ahead of")
    } else {
        (behind, "behind")
    };
    if off <= COVERED {
        return None;
    }
    let then = if off > MOST {
        "set the clock that is wrong; so much is not corrected"
    } else {
        "set this machine's clock; the next assertion is dated by the vendor's"
    };
    let off = HumanDuration(Duration::from_secs(off.as_secs()));
    Some(format!(
        "by its answer, the vendor's clock is {off} {side} this machine's: {then}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(date_millis: i64) -> (Skew, i64) {
        let at = Timestamp::from_unix_millis;
        let mut skew = Skew::default();
        let id = "x".parse().unwrap();
        skew.learn(Some(at(date_millis)), at(1_000_400), at(1_001_600), &id);
        (skew, skew.correct(at(5_000_000)).unix_millis() - 5_000_000)
    }

    #[test]
    fn only_what_rounding_and_transport_do_not_explain() {
        for date in [1_000_000, 1_001_000] {
            assert_eq!(learned(date), (Skew::default(), 0), "{date}");
        }
        assert_eq!(learned(1_301_600).1, 300_000);
        assert_eq!(learned(699_400).1, -300_000);
        assert_eq!(learned(1_001_600 + 600_000).1, 600_000);
    }

    #[test]
    fn too_much_is_ignored_and_forgets_what_was_known() {
        for date in [1_001_600 + 601_000, 1_000_400 - 602_000] {
            let (skew, correction) = learned(date);
            assert!(skew.warned, "{date}");
            assert_eq!(correction, 0, "{date}");
        }
    }
}

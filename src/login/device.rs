//! How often a device flow may ask, and until when (RFC 8628 section 3.5).

use std::time::Duration;

use crate::base::Mono;

/// What `slow_down` adds.
const SLOWER: Duration = Duration::from_secs(5);
/// No vendor's answer makes us ask more often than this ...
const LEAST: Duration = Duration::from_secs(1);
/// ... or keeps a person waiting longer than this after the consent.
const MOST: Duration = Duration::from_secs(60);
/// Nobody types a code a day later.
const LONGEST: Duration = Duration::from_hours(24);

/// The pace of one device login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    interval: Duration,
    next: Mono,
    ends: Mono,
}

impl Pace {
    /// `sent`: when the device code was asked for; the vendor counts from there or later.
    pub fn new(sent: Mono, interval: Duration, expires_in: Duration) -> Self {
        let interval = interval.clamp(LEAST, MOST);
        Self {
            interval,
            next: sent.plus(interval),
            ends: sent.plus(expires_in.min(LONGEST)),
        }
    }

    /// When to ask next; `None`: the code is over before that.
    pub fn next(&self) -> Option<Mono> {
        (self.next < self.ends).then_some(self.next)
    }

    /// When the device code is over.
    pub fn ends(&self) -> Mono {
        self.ends
    }

    /// The vendor said that the person has not decided yet.
    pub fn pending(&mut self, now: Mono, slower: bool) {
        if slower {
            self.interval = self.interval.saturating_add(SLOWER).min(MOST);
        }
        self.next = now.plus(self.interval);
    }

    /// The vendor could not be asked, or not now: RFC 8628 wants the interval to grow. `after` is
    /// the wait it named, if any.
    pub fn troubled(&mut self, now: Mono, after: Option<Duration>) {
        self.interval = self.interval.saturating_mul(2).min(MOST);
        self.next = now.plus(self.interval.max(after.unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Mono {
        Mono::START.plus(Duration::from_secs(seconds))
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn at_the_vendors_interval_and_slower_when_told() {
        let mut pace = Pace::new(at(100), seconds(5), seconds(60));
        assert_eq!(pace.next(), Some(at(105)));
        pace.pending(at(106), false);
        assert_eq!(pace.next(), Some(at(111)));
        pace.pending(at(111), true);
        assert_eq!(pace.next(), Some(at(121)));
        pace.pending(at(121), true);
        assert_eq!(pace.next(), Some(at(136)));
        pace.pending(at(136), false);
        assert_eq!(pace.next(), Some(at(151)));
        pace.pending(at(151), false);
        assert_eq!(pace.next(), None);
        assert_eq!(pace.ends(), at(160));
    }

    #[test]
    fn trouble_doubles_and_a_named_wait_is_obeyed() {
        let mut pace = Pace::new(at(0), seconds(5), seconds(600));
        pace.troubled(at(5), None);
        assert_eq!(pace.next(), Some(at(15)));
        pace.troubled(at(15), Some(seconds(90)));
        assert_eq!(pace.next(), Some(at(105)));
    }

    proptest! {
        #[test]
        fn never_hot_and_never_past_the_end(
            interval in any::<Duration>(), expires_in in any::<Duration>(),
            steps in prop::collection::vec((0..100_u64, any::<Option<bool>>()), 0..50),
        ) {
            let mut now = at(1000);
            let mut pace = Pace::new(now, interval, expires_in);
            let first_end = pace.ends();
            for (late, answer) in steps {
                let Some(next) = pace.next() else { break };
                prop_assert!(next.since(now) >= LEAST);
                prop_assert!(next < pace.ends());
                now = next.plus(seconds(late));
                match answer {
                    Some(slower) => pace.pending(now, slower),
                    None => pace.troubled(now, None),
                }
            }
            prop_assert_eq!(pace.ends(), first_end);
        }
    }
}

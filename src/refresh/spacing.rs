//! How often callers can make the broker ask a vendor.
//!
//! Invariant: between an exchange and a forced one lies at least `min_interval`; the distance
//! doubles with every forced exchange and falls back once callers have been quiet for two of them.

use std::time::Duration;

use super::schedule::FLOOR;
use crate::base::Mono;
use crate::spec::RefreshPolicy;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spacing {
    /// The distance after the last forced exchange, and when that was.
    widened: Option<(Duration, Mono)>,
}

impl Spacing {
    /// No forced exchange before this; `last` is the last exchange of any kind.
    pub(super) fn forced_from(self, last: Option<Mono>, policy: &RefreshPolicy) -> Mono {
        let Some(last) = last else {
            return Mono::START;
        };
        let soonest = last.plus(policy.min_interval.max(FLOOR));
        match self.widened {
            None => soonest,
            Some((distance, forced)) => {
                let quiet = forced.plus(distance.saturating_mul(2));
                last.plus(distance.max(FLOOR)).min(quiet.max(soonest))
            }
        }
    }

    /// A forced exchange begins.
    pub(super) fn force(&mut self, now: Mono, policy: &RefreshPolicy) {
        let distance = match self.widened {
            Some((distance, forced)) if now.since(forced) < distance.saturating_mul(2) => distance,
            _ => policy.min_interval,
        };
        let most = policy.forced_max_interval.max(policy.min_interval);
        self.widened = Some((distance.saturating_mul(2).min(most), now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::START.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn doubles_up_to_the_maximum_and_relaxes_after_quiet() {
        let policy = RefreshPolicy::default();
        let mut spacing = Spacing::default();
        assert_eq!(spacing.forced_from(None, &policy), Mono::START);
        assert_eq!(spacing.forced_from(Some(at(100)), &policy), at(105));
        let mut now = at(105);
        let mut distances = Vec::new();
        for _ in 0..8 {
            spacing.force(now, &policy);
            let next = spacing.forced_from(Some(now), &policy);
            distances.push(next.since(now).as_secs());
            now = next;
        }
        assert_eq!(distances, [10, 20, 40, 80, 160, 300, 300, 300]);
        // Two distances without a forced one: back to the least, counted from the last exchange.
        let forced = spacing.widened.unwrap().1;
        let quiet = forced.plus(Duration::from_mins(10));
        let regular = quiet.plus(Duration::from_secs(1));
        assert_eq!(
            spacing.forced_from(Some(regular), &policy),
            regular.plus(Duration::from_secs(5))
        );
        let before = forced.plus(Duration::from_secs(590));
        assert_eq!(spacing.forced_from(Some(before), &policy), quiet);
        spacing.force(regular, &policy);
        assert_eq!(spacing.widened.unwrap().0, Duration::from_secs(10));
    }

    #[test]
    fn a_tiny_configured_interval_still_keeps_the_floor() {
        let policy = RefreshPolicy {
            min_interval: Duration::from_millis(1),
            ..RefreshPolicy::default()
        };
        let from = Spacing::default().forced_from(Some(at(10)), &policy);
        assert_eq!(from, at(11));
    }
}

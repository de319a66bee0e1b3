//! When a token is renewed: a pure function of its lifetime and the policy.
//!
//! Must not know clocks. Invariant: renewal is planned within the lifetime, but never sooner than
//! [`FLOOR`] after the request, so that a short lifetime is no hot loop.

use std::time::Duration;

use crate::spec::{RefreshPolicy, Reissue};

/// The least time between two exchanges that nothing went wrong with.
pub(super) const FLOOR: Duration = Duration::from_secs(1);
/// Time enough for a slow exchange and a few tries before a token of ordinary life runs out.
const MARGIN: Duration = Duration::from_secs(30);
/// Time enough for an exchange and a few tries without a store.
const INTENT_MARGIN: Duration = Duration::from_mins(1);

/// How long after the request was sent the token is renewed; `None`: never. `draw` is uniform in
/// `0.0..1.0`; `only_at_expiry` is for tokens that asking earlier would not change.
pub(super) fn due(
    lifetime: Option<Duration>,
    policy: &RefreshPolicy,
    only_at_expiry: bool,
    draw: f64,
) -> Option<Duration> {
    let lifetime = lifetime?;
    if only_at_expiry {
        return Some(lifetime.max(FLOOR));
    }
    let latest = lifetime.saturating_sub(MARGIN.min(lifetime / 2));
    let due = if policy.reissue == Reissue::Replaces {
        latest
    } else {
        let spread = policy.jitter * (2.0 * draw.clamp(0.0, 1.0) - 1.0);
        let part = (policy.at + spread).clamp(0.0, 1.0);
        // Floats cannot hold the longest durations: rounded up they would not convert back.
        let early = Duration::try_from_secs_f64(lifetime.as_secs_f64() * part);
        early.unwrap_or(lifetime).min(latest)
    };
    Some(due.max(FLOOR))
}

/// An exchange waits for the store to take its intent until so much of the held token's life is
/// left; then it goes without.
pub(super) fn intent_margin(lifetime: Duration) -> Duration {
    INTENT_MARGIN.max(lifetime / 10).min(lifetime / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(reissue: Reissue) -> RefreshPolicy {
        RefreshPolicy {
            reissue,
            jitter: 0.0,
            ..RefreshPolicy::default()
        }
    }

    #[test]
    fn table() {
        let ten_years = 315_359_999.0;
        for (lifetime, independent, replaces) in [
            (0.2, 1.0, 1.0),
            (1.0, 1.0, 1.0),
            (4.0, 2.0, 2.0),
            (40.0, 20.0, 20.0),
            (1200.0, 900.0, 1170.0),
            (86_400.0, 64_800.0, 86_370.0),
            (ten_years, ten_years * 0.75, ten_years - 30.0),
        ] {
            let life = Duration::from_secs_f64(lifetime);
            for (reissue, wanted) in [
                (Reissue::Independent, independent),
                (Reissue::Extends, independent),
                (Reissue::Replaces, replaces),
            ] {
                let due = due(Some(life), &with(reissue), false, 0.5).unwrap();
                assert!(
                    (due.as_secs_f64() - wanted).abs() < 1e-3,
                    "{lifetime} {reissue:?}: {due:?}"
                );
            }
            let same = due(Some(life), &with(Reissue::Same), true, 0.5);
            assert_eq!(same, Some(life.max(FLOOR)));
        }
        assert_eq!(due(None, &with(Reissue::Independent), false, 0.5), None);
        assert_eq!(due(None, &with(Reissue::Same), true, 0.5), None);
    }

    #[test]
    fn the_store_is_waited_for_as_long_as_the_token_can_spare() {
        let seconds = |life| intent_margin(Duration::from_secs(life)).as_secs();
        let margins = [10, 60, 120, 600, 1200, 86_400].map(seconds);
        assert_eq!(margins, [5, 30, 60, 60, 120, 8640]);
    }

    #[test]
    fn jitter_spreads_around_the_part() {
        let policy = RefreshPolicy::default();
        let hour = Duration::from_hours(1);
        let at = |draw| due(Some(hour), &policy, false, draw).unwrap().as_secs_f64();
        assert!((at(0.0) - 2520.0).abs() < 0.01);
        assert!((at(1.0) - 2880.0).abs() < 0.01);
    }

    #[test]
    fn absurd_lifetimes_do_not_overflow() {
        for lifetime in [Duration::MAX, Duration::MAX / 2, Duration::from_nanos(1)] {
            for reissue in [Reissue::Independent, Reissue::Replaces] {
                for draw in [0.0, 1.0, 7.0, -1.0] {
                    let due = due(Some(lifetime), &with(reissue), false, draw).unwrap();
                    assert!(due >= FLOOR && due <= lifetime.max(FLOOR));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn within_the_lifetime_with_room_to_try(
            nanos in any::<u64>(), at in 0.05..0.95_f64, jitter in 0.0..0.25_f64, draw in 0.0..1.0_f64,
            replaces in any::<bool>(),
        ) {
            let reissue = if replaces { Reissue::Replaces } else { Reissue::Independent };
            let policy = RefreshPolicy { at, jitter, ..with(reissue) };
            let lifetime = Duration::from_nanos(nanos);
            let due = due(Some(lifetime), &policy, false, draw).unwrap();
            prop_assert!(due >= FLOOR);
            if lifetime >= FLOOR * 2 {
                prop_assert!(due + MARGIN.min(lifetime / 2) <= lifetime);
            }
        }
    }
}

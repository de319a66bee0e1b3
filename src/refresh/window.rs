//! Counting requests against a vendor's limit: a sliding window over the last ones. Pure.
//!
//! A vendor counts a request when it arrives, which is after it was sent and before it is answered.
//! So one under way counts as if it arrived now, and one that ended as if it arrived then: whatever
//! the network does, no window of the vendor's holds more than it allows. Invariant: never more
//! entries than the largest limit that was announced.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Mono, Now, Timestamp};
use crate::spec::RateLimit;

/// Requests of an earlier process may be older than the monotonic clock: its start lies this much
/// after the beginning of ours. More than the longest time that a limit can be for.
const BEFORE: Duration = Duration::from_hours(2 * 366 * 24);

#[derive(Debug, Default)]
pub(super) struct Window {
    longest: Duration,
    most: usize,
    /// The earliest first, counted from [`BEFORE`] the start of the monotonic clock.
    ended: VecDeque<Duration>,
    under_way: usize,
}

fn since_before(at: Mono) -> Duration {
    at.since(Mono::START).saturating_add(BEFORE)
}

impl Window {
    /// There is somebody whose limit this is: requests are kept for as long as that needs.
    pub(super) fn announce(&mut self, limit: RateLimit) {
        self.longest = self.longest.max(limit.per);
        self.most = self.most.max(size(limit.requests));
    }

    /// Whether anybody has a limit.
    pub(super) fn counts(&self) -> bool {
        self.most > 0
    }

    /// From when on a request is within `limit`, as far as can be known now.
    pub(super) fn free_from(&self, limit: RateLimit, now: Mono) -> Mono {
        // The last ones but `older - 1` must all have left the window.
        let older = size(limit.requests).saturating_sub(self.under_way);
        if older == 0 {
            return now.plus(limit.per);
        }
        let leaves = self.ended.len().checked_sub(older);
        let Some(arrived) = leaves.and_then(|index| self.ended.get(index)) else {
            return Mono::START;
        };
        let free = arrived.saturating_add(limit.per).saturating_sub(BEFORE);
        Mono::START.plus(free)
    }

    pub(super) fn begin(&mut self) {
        self.under_way += 1;
    }

    pub(super) fn end(&mut self, now: Mono) {
        self.under_way = self.under_way.saturating_sub(1);
        self.ended.push_back(since_before(now));
        self.trim(now);
    }

    fn trim(&mut self, now: Mono) {
        let (longest, now) = (self.longest, since_before(now));
        let is_over = |at: &Duration| at.saturating_add(longest) <= now;
        while self.ended.len() > self.most || self.ended.front().is_some_and(is_over) {
            self.ended.pop_front();
        }
    }

    /// For the store.
    pub(super) fn written(&self, now: Now) -> Vec<Timestamp> {
        let mono = since_before(now.mono);
        let at = |ended: &Duration| {
            let age = i64::try_from(mono.saturating_sub(*ended).as_millis()).unwrap_or(i64::MAX);
            Timestamp::from_unix_millis(now.wall.unix_millis().saturating_sub(age))
        };
        let under_way = std::iter::repeat_n(now.wall, self.under_way);
        self.ended.iter().map(at).chain(under_way).collect()
    }

    /// Adds what another process has counted. A wall clock that was set back makes those requests
    /// later than they were, never earlier.
    pub(super) fn add(&mut self, written: &[Timestamp], now: Now) {
        let mono = since_before(now.mono);
        let found = written
            .iter()
            .map(|at| mono.saturating_sub(now.wall.since(*at)));
        self.ended.extend(found);
        self.ended.make_contiguous().sort_unstable();
        self.trim(now.mono);
    }
}

fn size(requests: u32) -> usize {
    usize::try_from(requests).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limit(requests: u32, seconds: u64) -> RateLimit {
        RateLimit {
            requests,
            per: Duration::from_secs(seconds),
        }
    }

    fn at(seconds: u64) -> Mono {
        Mono::START.plus(Duration::from_secs(seconds))
    }

    fn now(seconds: u64) -> Now {
        Now {
            wall: Timestamp::from_unix_seconds(1_800_000_000).plus(Duration::from_secs(seconds)),
            mono: at(seconds),
        }
    }

    #[test]
    fn slides() {
        let three = limit(3, 10);
        let mut window = Window::default();
        window.announce(three);
        for second in [1, 2, 5] {
            assert!(window.free_from(three, at(second)) <= at(second));
            window.begin();
            window.end(at(second));
        }
        assert_eq!(window.free_from(three, at(5)), at(11));
        window.begin();
        window.end(at(11));
        assert_eq!(window.free_from(three, at(11)), at(12));
        window.begin();
        assert_eq!(window.free_from(three, at(12)), at(15), "one is under way");
        window.end(at(14));
        assert_eq!(window.free_from(three, at(14)), at(15));
    }

    #[test]
    fn each_limit_counts_all_requests() {
        let (small, large) = (limit(1, 100), limit(3, 10));
        let mut window = Window::default();
        window.announce(large);
        window.announce(small);
        window.begin();
        window.end(at(1));
        assert_eq!(window.free_from(small, at(1)), at(101));
        assert_eq!(window.free_from(large, at(1)), Mono::START);
        for second in [2, 3] {
            window.begin();
            window.end(at(second));
        }
        assert_eq!(window.free_from(small, at(3)), at(103));
        assert_eq!(window.free_from(large, at(3)), at(11));
    }

    #[test]
    fn an_answer_that_is_long_in_coming_may_be_to_a_late_request() {
        let one = limit(1, 1);
        let mut window = Window::default();
        window.announce(one);
        window.begin();
        assert_eq!(window.free_from(one, at(5)), at(6));
        assert_eq!(window.free_from(one, at(9)), at(10));
        window.end(at(9));
        assert_eq!(window.free_from(one, at(9)), at(10));
    }

    #[test]
    fn a_restart_forgets_nothing_even_right_after_the_machine_was_started() {
        let day = limit(2, 86_400);
        let mut window = Window::default();
        window.announce(day);
        window.begin();
        window.end(at(1000));
        window.begin();
        let written = window.written(now(5000));
        assert_eq!(written, [now(1000).wall, now(5000).wall]);
        let mut next = Window::default();
        next.announce(day);
        let booted = Now {
            mono: at(7),
            ..now(6000)
        };
        next.add(&written, booted);
        assert_eq!(next.free_from(day, at(7)), at(7 + 86_400 - 5000));
        // A wall clock that was set back.
        let mut back = Window::default();
        back.announce(day);
        let shifted = Now {
            mono: at(7),
            ..now(0)
        };
        back.add(&written, shifted);
        assert_eq!(back.free_from(day, at(7)), at(7 + 86_400));
    }

    #[test]
    fn without_a_limit_nothing_is_kept() {
        let mut window = Window::default();
        for second in 0..100 {
            window.begin();
            window.end(at(second));
        }
        assert!(window.ended.is_empty() && !window.counts());
    }

    proptest! {
        #[test]
        fn the_vendor_never_sees_more(
            requests in 1..6_u32,
            per in 1..50_u64,
            // How long until somebody wants to send, and how long an answer takes.
            tries in proptest::collection::vec((0..20_u64, 0..30_u64), 1..80),
            late in any::<bool>(),
            other in (1..9_u32, 1..90_u64),
        ) {
            let limit = limit(requests, per);
            let mut window = Window::default();
            window.announce(limit);
            window.announce(RateLimit { requests: other.0, per: Duration::from_secs(other.1) });
            let mut time = 0;
            let mut arrived = Vec::new();
            let mut open: Vec<u64> = Vec::new();
            for (pause, takes) in tries {
                time += pause;
                open.sort_unstable();
                while let Some(ends) = open.first().copied().filter(|ends| *ends <= time) {
                    open.remove(0);
                    window.end(at(ends));
                }
                if window.free_from(limit, at(time)) <= at(time) {
                    window.begin();
                    open.push(time + takes);
                    arrived.push(if late { time + takes } else { time });
                }
                prop_assert!(window.ended.len() <= window.most);
            }
            arrived.sort_unstable();
            let size = usize::try_from(requests).unwrap();
            for group in arrived.windows(size + 1) {
                prop_assert!(group[size] - group[0] >= per, "{arrived:?}");
            }
        }
    }
}

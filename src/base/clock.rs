//! Time: the wall clock, which people and vendors set, and a monotonic one that counts suspension.
//!
//! Invariant: nothing else in the crate reads a clock, so tests control all of time.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A point on the wall clock, in milliseconds since 1970 (UTC).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The last second RFC 3339 can write (9999-12-31T23:59:59Z) as `jiff` bounds it.
const MAX_MILLIS: i64 = 253_402_207_199_000;

impl Timestamp {
    /// Out-of-range values are clamped to what RFC 3339 can write.
    pub fn from_unix_millis(millis: i64) -> Self {
        Self(millis.clamp(0, MAX_MILLIS))
    }

    pub fn from_unix_seconds(seconds: i64) -> Self {
        Self::from_unix_millis(seconds.saturating_mul(1000))
    }

    pub fn unix_millis(self) -> i64 {
        self.0
    }

    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Parses RFC 3339; `None` if it is anything else or out of range.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let parsed: jiff::Timestamp = text.trim().parse().ok()?;
        let millis = parsed.as_millisecond();
        (0..=MAX_MILLIS).contains(&millis).then_some(Self(millis))
    }

    /// RFC 3339 in UTC, whole seconds (rounded down).
    pub fn to_rfc3339(self) -> String {
        jiff::Timestamp::from_second(self.unix_seconds())
            .map_or_else(|_| String::new(), |stamp| stamp.to_string())
    }

    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_unix_millis(self.0.saturating_add(millis))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        u64::try_from(self.0.saturating_sub(earlier.0))
            .map_or(Duration::ZERO, Duration::from_millis)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A point on the monotonic clock; it never goes back and goes on while the machine sleeps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Mono(Duration);

impl Mono {
    pub const START: Self = Self(Duration::ZERO);

    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// One reading of both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    pub wall: Timestamp,
    pub mono: Mono,
}

impl Now {
    /// Time passed since `earlier` by whichever clock says more: a wall clock set forward ends
    /// tokens early, one set back prolongs nothing.
    pub fn elapsed_since(self, earlier: Self) -> Duration {
        self.mono
            .since(earlier.mono)
            .max(self.wall.since(earlier.wall))
    }
}

pub trait Clock: Send + Sync + fmt::Debug {
    fn now(&self) -> Now;

    /// The monotonic clock alone: for measuring how long something took.
    fn mono(&self) -> Mono {
        self.now().mono
    }
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[cfg(target_os = "linux")]
const SUSPEND_AWARE: rustix::time::ClockId = rustix::time::ClockId::Boottime;
/// On macOS `CLOCK_MONOTONIC` already goes on while the machine sleeps.
#[cfg(not(target_os = "linux"))]
const SUSPEND_AWARE: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let wall = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Now {
            wall: Timestamp::from_unix_millis(
                wall.tv_sec
                    .saturating_mul(1000)
                    .saturating_add(wall.tv_nsec / 1_000_000),
            ),
            mono: self.mono(),
        }
    }

    fn mono(&self) -> Mono {
        let mono = rustix::time::clock_gettime(SUSPEND_AWARE);
        let nanos = u32::try_from(mono.tv_nsec).unwrap_or(0);
        Mono(Duration::new(
            u64::try_from(mono.tv_sec).unwrap_or(0),
            nanos,
        ))
    }
}

/// A clock that follows tokio's, so that one `tokio::time::advance` moves timers and expiry alike;
/// the wall clock can be set apart from it. For tests.
#[derive(Debug)]
pub struct TokioClock {
    origin: tokio::time::Instant,
    wall_at_origin: AtomicI64,
}

impl TokioClock {
    /// Starts at `wall`; must be called inside a tokio runtime.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self {
            origin: tokio::time::Instant::now(),
            wall_at_origin: AtomicI64::new(wall.unix_millis()),
        }
    }

    /// Sets the wall clock forward (or back) by `millis`, as an operator or NTP would.
    pub fn shift_wall(&self, millis: i64) {
        self.wall_at_origin.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Now {
        let passed = self.origin.elapsed();
        let wall = self.wall_at_origin.load(Ordering::SeqCst);
        Now {
            wall: Timestamp::from_unix_millis(
                wall.saturating_add(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)),
            ),
            // Not zero at the start: code must not take "never" for the first instant.
            mono: Mono(Duration::from_secs(1000) + passed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_round_trip() {
        let stamp = Timestamp::parse_rfc3339("2027-05-01T00:00:00Z").unwrap();
        assert_eq!(stamp.to_rfc3339(), "2027-05-01T00:00:00Z");
        assert_eq!(
            Timestamp::parse_rfc3339("2027-05-01T02:00:00+02:00"),
            Some(stamp)
        );
        assert_eq!(Timestamp::parse_rfc3339("tomorrow"), None);
    }

    #[test]
    fn absurd_values_are_clamped_and_still_print() {
        assert!(
            Timestamp::from_unix_seconds(i64::MAX)
                .to_rfc3339()
                .starts_with("9999-")
        );
        assert_eq!(
            Timestamp::from_unix_millis(i64::MIN).to_rfc3339(),
            "1970-01-01T00:00:00Z"
        );
        assert!(
            Timestamp::from_unix_seconds(0)
                .plus(Duration::MAX)
                .to_rfc3339()
                .starts_with("9999-")
        );
    }

    #[test]
    fn elapsed_is_what_the_less_trusting_clock_says() {
        let start = Now {
            wall: Timestamp::from_unix_seconds(1000),
            mono: Mono::START,
        };
        let later = |wall, mono| Now {
            wall: Timestamp::from_unix_seconds(wall),
            mono: Mono::START.plus(Duration::from_secs(mono)),
        };
        assert_eq!(
            later(1010, 10).elapsed_since(start),
            Duration::from_secs(10)
        );
        assert_eq!(later(500, 10).elapsed_since(start), Duration::from_secs(10));
        assert_eq!(
            later(5000, 10).elapsed_since(start),
            Duration::from_secs(4000)
        );
    }

    #[test]
    fn the_system_clock_moves_on() {
        let first = SystemClock.now();
        let second = SystemClock.now();
        assert!(second.mono >= first.mono);
        assert!(first.wall.unix_seconds() > 1_700_000_000);
    }
}

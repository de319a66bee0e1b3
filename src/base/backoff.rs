//! Growing waits with jitter.

use std::time::Duration;

/// Waits that double from `initial` to `max`. A wait is drawn from the upper half of its size, so
/// that a fleet at the maximum does not move in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
}

impl Backoff {
    /// `None` unless `0 < initial <= max`.
    pub fn new(initial: Duration, max: Duration) -> Option<Self> {
        (!initial.is_zero() && initial <= max).then_some(Self { initial, max })
    }

    pub fn initial(self) -> Duration {
        self.initial
    }

    pub fn max(self) -> Duration {
        self.max
    }

    /// The wait before try number `failures + 1`, `failures` counting from 1; `draw` is uniform in
    /// `0.0..1.0`.
    pub fn wait(self, failures: u32, draw: f64) -> Duration {
        let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(31));
        let size = self.initial.saturating_mul(factor).min(self.max);
        size.mul_f64(0.5 + draw.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_maximum() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60)).unwrap();
        let sizes: Vec<u64> = (1..10).map(|n| backoff.wait(n, 1.0).as_secs()).collect();
        assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.wait(1, 0.0), Duration::from_millis(500));
        assert_eq!(backoff.wait(u32::MAX, 0.0), Duration::from_secs(30));
    }

    #[test]
    fn refuses_nonsense() {
        assert_eq!(Backoff::new(Duration::ZERO, Duration::from_secs(1)), None);
        assert_eq!(
            Backoff::new(Duration::from_secs(2), Duration::from_secs(1)),
            None
        );
    }
}

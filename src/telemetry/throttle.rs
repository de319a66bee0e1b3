//! Repeated failure must not flood the log.

/// How loud to report one more failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loudness {
    Warn,
    /// The last warning of a row: say that further ones are at debug level.
    LastWarn,
    Debug,
}

/// A few warnings in a row, then debug, then one "recovered".
#[derive(Debug, Clone, Copy, Default)]
pub struct Throttle {
    failures: u32,
}

impl Throttle {
    const WARNINGS: u32 = 3;

    pub fn failed(&mut self) -> Loudness {
        self.failures = self.failures.saturating_add(1);
        match self.failures.cmp(&Self::WARNINGS) {
            std::cmp::Ordering::Less => Loudness::Warn,
            std::cmp::Ordering::Equal => Loudness::LastWarn,
            std::cmp::Ordering::Greater => Loudness::Debug,
        }
    }

    /// The number of failures this success ends, if there were any.
    pub fn succeeded(&mut self) -> Option<u32> {
        let failures = std::mem::take(&mut self.failures);
        (failures > 0).then_some(failures)
    }
}

#[cfg(test)]
mod tests {
    use super::Loudness::{Debug, LastWarn, Warn};
    use super::*;

    #[test]
    fn three_warnings_then_quiet_then_one_recovery() {
        let mut throttle = Throttle::default();
        let said: Vec<_> = (0..5).map(|_| throttle.failed()).collect();
        assert_eq!(said, [Warn, Warn, LastWarn, Debug, Debug]);
        assert_eq!(throttle.succeeded(), Some(5));
        assert_eq!(throttle.succeeded(), None);
    }
}

//! A vendor's `Retry-After`, shared by all integrations that are the same client at the same
//! endpoint.
//!
//! Invariant: a hold is only ever prolonged.

use std::sync::{Mutex, PoisonError};

use crate::base::Mono;

#[derive(Debug)]
pub(super) struct Hold(Mutex<Mono>);

impl Default for Hold {
    fn default() -> Self {
        Self(Mutex::new(Mono::START))
    }
}

impl Hold {
    pub(super) fn until(&self) -> Mono {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn prolong(&self, until: Mono) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *held = until.max(*held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_longest_wait_counts() {
        let hold = Hold::default();
        let (near, far) = (
            Mono::START.plus(Duration::from_secs(3)),
            Mono::START.plus(Duration::from_secs(9)),
        );
        hold.prolong(far);
        hold.prolong(near);
        assert_eq!(hold.until(), far);
    }
}

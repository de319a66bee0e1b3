//! Which secrets to warn about, and how often. Pure.

use std::time::Duration;

use crate::base::{Mono, Now};
use crate::spec::{EndingSecret, Grant};

/// Often enough to be seen by whoever is on duty, seldom enough not to be filtered away.
pub(super) const AGAIN: Duration = Duration::from_hours(24);

/// When each secret of one integration was last told.
#[derive(Debug, Default)]
pub(super) struct Reminders {
    told: Vec<(EndingSecret, Mono)>,
}

impl Reminders {
    /// The secrets to tell now; they count as told.
    pub(super) fn due(&mut self, grant: &Grant, now: Now) -> Vec<EndingSecret> {
        let mut ending = grant.ending_secrets(now.wall);
        self.told
            .retain(|(one, at)| ending.contains(one) && now.mono.since(*at) < AGAIN);
        ending.retain(|one| !self.told.iter().any(|(told, _)| told == one));
        self.told.extend(ending.iter().map(|one| (*one, now.mono)));
        ending
    }
}

//! The logins whose browser may come back, told by their state.
//!
//! A table for recognising only: what a redirect is worth is decided by the worker that began the
//! login. Invariant: bounded, and no state ever leaves it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::base::Secret;

/// People log in to a few integrations at a time; beyond this the oldest are forgotten.
const MOST: usize = 64;

/// How a login stands, as far as requests have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    Done,
    /// It failed, or ran out.
    Over,
    /// Another one was begun for the same integration.
    Replaced,
}

#[derive(Debug)]
struct Known {
    state: Secret,
    integration: String,
    stage: Stage,
}

/// The states that were given out, oldest first.
#[derive(Debug, Default)]
pub struct Logins(Mutex<VecDeque<Known>>);

impl Logins {
    /// A login was begun.
    pub(super) fn begun(&self, integration: &str, state: Secret) {
        let mut known = self.lock();
        for login in known.iter_mut() {
            if login.integration == integration && login.stage == Stage::Waiting {
                login.stage = Stage::Replaced;
            }
        }
        if known.len() >= MOST {
            // What nobody waits for goes first.
            let over = known.iter().position(|login| login.stage != Stage::Waiting);
            known.remove(over.unwrap_or(0));
        }
        known.push_back(Known {
            state,
            integration: integration.to_owned(),
            stage: Stage::Waiting,
        });
    }

    /// Whose login that is, and how it stands. All states are compared, each in constant time.
    pub(super) fn find(&self, state: &Secret) -> Option<(String, Stage)> {
        let known = self.lock();
        let mut found = known.iter().filter(|login| login.state == *state);
        found
            .next_back()
            .map(|login| (login.integration.clone(), login.stage))
    }

    /// A login ended; only a waiting one can. That it was completed is known for certain, so it
    /// holds against whoever found it over.
    pub(super) fn ended(&self, state: &Secret, how: Stage) {
        let mut known = self.lock();
        let waiting = known
            .iter_mut()
            .filter(|login| login.state == *state)
            .filter(|login| match login.stage {
                Stage::Waiting => true,
                Stage::Over => how == Stage::Done,
                Stage::Done | Stage::Replaced => false,
            });
        for login in waiting {
            login.stage = how;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(logins: &Logins, state: &str) -> Option<(String, Stage)> {
        logins.find(&Secret::new(state))
    }

    #[test]
    fn the_latest_login_of_an_integration_replaces_the_one_before() {
        let logins = Logins::default();
        logins.begun("a", Secret::new("1"));
        logins.begun("b", Secret::new("2"));
        logins.begun("a", Secret::new("3"));
        assert_eq!(found(&logins, "1"), Some(("a".into(), Stage::Replaced)));
        assert_eq!(found(&logins, "2"), Some(("b".into(), Stage::Waiting)));
        assert_eq!(found(&logins, "3"), Some(("a".into(), Stage::Waiting)));
        assert_eq!(found(&logins, ""), None);
        // Whoever came second may be the first to say how it ended.
        logins.ended(&Secret::new("3"), Stage::Over);
        logins.ended(&Secret::new("3"), Stage::Done);
        logins.ended(&Secret::new("3"), Stage::Over);
        assert_eq!(found(&logins, "3"), Some(("a".into(), Stage::Done)));
    }

    #[test]
    fn bounded_and_those_that_wait_go_last() {
        let logins = Logins::default();
        logins.begun("first", Secret::new("first"));
        for number in 0..MOST - 1 {
            logins.begun("flood", Secret::new(format!("{number}")));
        }
        assert_eq!(logins.lock().len(), MOST);
        for number in 0..1000 {
            logins.begun("flood", Secret::new(format!("more-{number}")));
        }
        assert_eq!(logins.lock().len(), MOST);
        assert!(found(&logins, "first").is_some());
        assert!(found(&logins, "0").is_none());
        for number in 0..1000 {
            logins.begun(&format!("i{number}"), Secret::new(format!("i{number}")));
        }
        assert_eq!(logins.lock().len(), MOST);
        assert!(found(&logins, "first").is_none());
        assert!(found(&logins, "i999").is_some());
    }
}

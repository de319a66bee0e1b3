//! Granted scope against asked scope. Pure.

use super::examine::Examination;
use crate::exchange::{Outcome, words};

pub(super) struct Scope {
    pub(super) asked: Vec<String>,
    /// `None`: the vendor did not say, which means all that was asked for.
    pub(super) granted: Option<Vec<String>>,
}

impl Scope {
    /// `None` if there is no token to have a scope.
    pub(super) fn of(one: &Examination) -> Option<Self> {
        let (Ok(Outcome::Issued(_)), Some(request)) =
            (&one.result, one.integration.grant.request())
        else {
            return None;
        };
        let asked = request.scope.as_deref().unwrap_or_default();
        Some(Self {
            asked: words(asked).map(str::to_owned).collect(),
            granted: one.trace.attempts.last()?.granted.clone(),
        })
    }

    /// Asked for and not granted.
    pub(super) fn missing(&self) -> Vec<&str> {
        let Some(granted) = &self.granted else {
            return Vec::new();
        };
        let asked = self.asked.iter().map(String::as_str);
        asked
            .filter(|word| !granted.iter().any(|known| known == word))
            .collect()
    }
}

//! What the status says about the configuration in use. Read seldom, written at a reload.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::base::Timestamp;

/// When the configuration was loaded, and how the last try to load another one ended.
#[derive(Debug)]
pub struct Configuration(Mutex<(Timestamp, Option<Reload>)>);

/// One reload, told so that a person can act on it. Neither list holds a value.
#[derive(Debug, Clone)]
pub struct Reload {
    pub at: Timestamp,
    /// Whether the configuration in use is the one that was loaded.
    pub worked: bool,
    pub problems: Vec<Value>,
    pub warnings: Vec<Value>,
}

impl Configuration {
    pub fn new(loaded_at: Timestamp) -> Self {
        Self(Mutex::new((loaded_at, None)))
    }

    pub fn reloaded(&self, reload: Reload) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reload.worked {
            state.0 = reload.at;
        }
        state.1 = Some(reload);
    }

    pub(super) fn document(&self) -> Value {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (loaded_at, last) = &*state;
        let last = last.as_ref().map(|reload| {
            json!({
                "at": reload.at.to_rfc3339(),
                "outcome": if reload.worked { "success" } else { "failure" },
                "problems": reload.problems,
                "warnings": reload.warnings,
            })
        });
        json!({"loaded_at": loaded_at.to_rfc3339(), "last_reload": last})
    }
}

//! Points at which a test lets the process die, as by `kill -9`: compiled for tests only.
//!
//! Invariant: without the feature `faults`, which no release has, there is nothing here.

/// Where around a rotating refresh token a death hurts most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// The intent is saved, nothing was sent.
    BeforeRequest,
    /// The vendor has answered, nothing is saved.
    AfterAnswer,
    /// Within the store's transaction.
    InSave,
}

#[cfg(not(feature = "faults"))]
pub fn crash_point(_point: CrashPoint) {}

#[cfg(feature = "faults")]
pub use armed::{arm, crash_point};

#[cfg(feature = "faults")]
mod armed {
    use std::sync::{Mutex, PoisonError};

    use super::CrashPoint;

    static ARMED: Mutex<Option<(CrashPoint, u32)>> = Mutex::new(None);

    /// `before_request:3`: die when that point is reached for the third time. Whether that was
    /// understood.
    pub fn arm(text: &str) -> bool {
        let armed = text.split_once(':').and_then(|(point, times)| {
            let point = match point {
                "before_request" => CrashPoint::BeforeRequest,
                "after_answer" => CrashPoint::AfterAnswer,
                "in_save" => CrashPoint::InSave,
                _ => return None,
            };
            Some((point, times.parse().ok()?))
        });
        *ARMED.lock().unwrap_or_else(PoisonError::into_inner) = armed;
        armed.is_some()
    }

    pub fn crash_point(point: CrashPoint) {
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, times)) = &mut *armed
            && *at == point
        {
            *times = times.saturating_sub(1);
            if *times == 0 {
                std::process::abort();
            }
        }
    }
}

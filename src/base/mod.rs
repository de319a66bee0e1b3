//! Vocabulary shared by every layer: secrets, clocks, names, durations, failures.
//!
//! Owns no I/O and nothing async; must not know any other module of this crate.

mod backoff;
mod clock;
mod crash;
mod duration;
mod failure;
mod id;
mod redact;
mod secret;
mod token;

pub use backoff::Backoff;
pub use clock::{Clock, Mono, Now, SystemClock, Timestamp, TokioClock};
#[cfg(feature = "faults")]
pub use crash::arm as arm_crash;
pub use crash::{CrashPoint, crash_point};
pub use duration::{HumanDuration, parse_duration};
pub use failure::{ErrorCode, Failure, VendorAnswer};
pub use id::{IdError, IntegrationId};
pub use redact::{Redactor, VENDOR_TEXT_MAX};
pub use secret::Secret;
pub use token::{Issued, RefreshToken};
pub use zeroize::Zeroizing;

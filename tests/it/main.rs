//! The broker over real sockets, against vendors that behave and misbehave.
//!
//! Most tests run broker, vendor and caller in one runtime whose clock is paused: timers move only
//! when nobody has work, so minutes of vendor trouble take milliseconds and nothing is timed
//! against a clock.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test: a failed assumption is a failed test, and its tasks end with its runtime"
)]

mod assertions;
mod canaries;
mod client_assertions;
mod client_auth;
mod client_certificates;
mod conformance;
mod consents;
#[cfg(feature = "faults")]
mod crash;
mod discovery;
mod disk;
mod doctor;
mod grants;
mod guards;
mod isolation;
mod lifetimes;
#[cfg(feature = "sandbox")]
mod logins;
mod manners;
mod real;
mod reload;
#[cfg(feature = "sandbox")]
mod rotation;
mod secrets;
mod shutdown;
mod sinks;
mod steps;
mod storage;
mod support;
mod trouble;

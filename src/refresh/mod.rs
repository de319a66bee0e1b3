//! Keeping tokens fresh: one worker per integration, the only one that talks to its vendor.
//!
//! [`Supervisor`] owns the workers; a worker is a thin async shell around a pure state machine.
//! Must not know HTTP, ours or the vendor's: it asks a `TokenSource` and publishes snapshots.
//! Invariant: single flight is ownership, and no failure takes a valid token away.

mod api;
mod consent;
mod machine;
mod quota;
mod reminders;
mod report;
mod schedule;
mod spacing;
mod supervisor;
mod window;
mod worker;

pub use api::render as render_api_call;
pub use supervisor::{Deps, Supervisor};
pub use worker::Keeping;

#[cfg(test)]
mod tests;

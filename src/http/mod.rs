//! What local callers see: routes, guards, answers, and the listeners they come through.
//!
//! A request can ask, never do: this module reads snapshots and nudges workers, and must not know
//! how tokens are obtained or stored. Invariant: every request passes the guards before any route,
//! and every answer is either a documented one or a problem document.

mod answer;
mod body;
mod configuration;
mod connection;
mod directory;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
mod guards;
mod headers;
mod health;
mod listen;
mod login;
mod logins;
mod negotiate;
mod openapi;
mod page;
mod probes;
mod query;
mod resource;
mod router;
mod seats;
mod serve;
mod status;
mod token;

pub use configuration::{Configuration, Reload};
pub use directory::{Directory, Entry};
pub use health::Health;
pub use listen::{BindError, Bound, bind};
pub use logins::Logins;
pub use router::{Router, admin_router, main_router};
pub use serve::{Limits, serve};

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::base::Clock;
use crate::spec::{Access, Server};
use crate::telemetry::Metrics;

/// Everything an answer can need.
#[derive(Debug)]
pub struct Context {
    pub directory: Directory,
    pub health: Health,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub server: Server,
    /// Swapped at a reload.
    pub access: ArcSwap<Access>,
    pub configuration: Configuration,
    /// Logins whose browser may come back.
    pub logins: Logins,
}

#[cfg(test)]
mod tests;

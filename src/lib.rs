//! The token broker: obtains vendors' access tokens, keeps them fresh and serves them on localhost.

pub mod app;
pub mod base;
pub mod cli;
pub mod config;
pub mod exchange;
pub mod http;
pub mod net;
pub mod refresh;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod secrets;
pub mod snapshot;
pub mod spec;
pub mod store;
pub mod telemetry;

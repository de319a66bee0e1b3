//! The token broker: obtains vendors' access tokens, keeps them fresh and serves them on localhost.
//!
//! # Map
//!
//! Data flows one way: **config → spec → exchange → refresh → snapshot → http**.
//!
//! | module | owns | must not know |
//! | --- | --- | --- |
//! | [`base`] | vocabulary: secrets, clocks, names, failures | any other module; I/O |
//! | [`spec`] | what the operator asked for, already valid | how it was written |
//! | [`config`] | files, environment, providers → [`spec::Spec`], all problems at once | anything that runs |
//! | [`secrets`] | reading and polling files and commands | who uses them |
//! | [`net`] | the only HTTP client | OAuth |
//! | [`exchange`] | one vendor round trip and its outcome | when it is made |
//! | [`store`] | what outlives the process | vendors |
//! | [`login`] | consent flows: what is sent to a vendor's page, what comes back | sockets, tokens |
//! | [`snapshot`] | what is known about an integration, and waiting for more | how tokens are obtained |
//! | [`sinks`] | files that tokens are written to | how tokens are obtained |
//! | [`refresh`] | when tokens are renewed: a pure machine in an async shell | HTTP |
//! | [`http`] | the local API | vendors, workers: a request can ask, never do |
//! | [`telemetry`] | logs and metrics | what they are about |
//! | [`app`] | build, run, stop | the command line |
//! | [`cli`] | commands; the only module that prints | – |
//! | `sandbox` | emulated vendors (feature `sandbox`) | the broker |
//!
//! `tests/architecture.rs` enforces who may import whom.
//!
//! # Invariants
//!
//! - One worker per integration is the only one that talks to its vendor: single flight is
//!   ownership, not a lock.
//! - A token is served only while both clocks say it lives; no failure takes a held token away.
//! - The path of a request with a good token at hand takes no lock across an await, asks nobody and
//!   serialises nothing but the seconds left.
//! - A secret lives in [`base::Secret`], which cannot print itself; text from outside passes
//!   [`base::Redactor`] before anybody sees it.
//! - Nothing else than [`base::Clock`] tells the time, so tests control all of it.
//! - A vendor's name is data in `config/providers`, never code.

pub mod app;
pub mod base;
pub mod cli;
pub mod config;
pub mod exchange;
pub mod http;
pub mod login;
pub mod net;
pub mod refresh;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod secrets;
pub mod sinks;
pub mod snapshot;
pub mod spec;
pub mod store;
pub mod telemetry;

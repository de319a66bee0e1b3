//! The module over real sockets, with a board that plays the worker.
//!
//! Both ends live in one runtime whose clock is paused: times pass when nobody has anything to do.

mod errors;
mod guards;
mod junk;
mod limits;
mod listeners;
mod logins;
mod probes;
mod support;
mod tokens;

//! A broker, vendors and callers for tests.

mod authority;
mod broker;
mod caller;
mod internet;
mod process;
#[cfg(feature = "sandbox")]
mod typing;
mod vendor;

pub(crate) use authority::Authority;
pub(crate) use broker::{Broker, integration};
pub(crate) use caller::{Answer, request};
pub(crate) use internet::Internet;
pub(crate) use process::Process;
#[cfg(feature = "sandbox")]
pub(crate) use typing::Typing;
pub(crate) use vendor::{Reply, Request, Vendor};

//! A broker, vendors and callers for tests.

mod broker;
mod caller;
mod process;
mod vendor;

pub(crate) use broker::{Broker, integration};
pub(crate) use caller::{Answer, request};
pub(crate) use process::Process;
pub(crate) use vendor::{Reply, Request, Vendor};

//! A broker, vendors and callers for tests.

mod broker;
mod caller;
mod vendor;

pub(crate) use broker::{Broker, integration};
pub(crate) use caller::{Answer, request};
pub(crate) use vendor::{Reply, Request, Vendor};

//! How vendors are reached: the only place where HTTP clients are made.
//!
//! Must not know what is asked or what an answer means. Invariants: no redirect is followed, no
//! cookie kept, no connection reused, no answer read beyond [`BODY_MAX`], and no error shows a
//! URL's query or a header.

mod client;
mod error;
mod identity;
pub mod local;
#[cfg(test)]
pub(crate) mod peer;
mod resolver;
mod roots;
mod times;

pub use client::{BODY_MAX, Client, ClientError, Clients, Request, Response};
pub use error::{Certificate, Error, ErrorKind};
pub use identity::{Identity, IdentityError};
pub use times::{answer_date, http_date, retry_after, stated_date};

//! Consent: the flows in which a person lets the broker in, as far as nobody has to be asked.
//!
//! What is sent to the vendor's page, and what may come back from it. Pure: must not know sockets, tasks or tokens; time is an argument. Invariant: what comes
//! back is used only if it carries the state of this very login, and no code, state or verifier is
//! in anything that can be shown.

mod authorization;
mod browser;
mod pkce;
mod redirect;

pub use browser::{Browser, Denial, Granted, LIFETIME, Refusal};
pub use pkce::NoRandomness;
pub use redirect::{REDIRECT_MAX, Redirect, Unreadable};

//! The client secrets of an emulated vendor, and how they are changed: staged, activated, expired.
//!
//! Invariant: a secret is shown once, when it is made, as the vendors do.

use serde_json::{Value, json};

use super::vendor::{Rotation, Vendor, random_text};

#[derive(Debug, Clone)]
pub(super) struct Secrets {
    rotation: Rotation,
    active: Option<String>,
    staged: Option<String>,
    /// The one before the active one.
    old: Option<String>,
}

impl Secrets {
    pub(super) fn new(vendor: &Vendor) -> Self {
        Self {
            rotation: vendor.rotation,
            active: Some(vendor.client_secret.to_owned()),
            staged: None,
            old: None,
        }
    }

    pub(super) fn accepts(&self, secret: &str) -> bool {
        // One vendor ends the secret before at activation, the other when it is deleted.
        let old = self
            .old
            .as_ref()
            .filter(|_| self.rotation == Rotation::TwoAtOnce);
        [self.active.as_ref(), self.staged.as_ref(), old]
            .into_iter()
            .flatten()
            .any(|known| known == secret)
    }

    /// Makes a second secret, accepted beside the first.
    pub(super) fn stage(&mut self) -> Result<Value, &'static str> {
        if self.rotation == Rotation::OneSecret {
            return Err("this vendor has one secret per client");
        }
        if self.staged.is_some() || self.old.is_some() {
            return Err(
                "there are two secrets already: activate the staged one, expire the old one",
            );
        }
        let secret = format!("sandbox-staged-{}", random_text(24));
        self.staged = Some(secret.clone());
        Ok(json!({ "client_secret": secret }))
    }

    /// The staged one takes over.
    pub(super) fn activate(&mut self) -> Result<Value, &'static str> {
        let staged = self.staged.take().ok_or("there is no staged secret")?;
        self.old = self.active.replace(staged);
        Ok(self.report())
    }

    /// The old one ends; without one the active one does.
    pub(super) fn expire(&mut self) -> Result<Value, &'static str> {
        if self.old.take().is_none() && self.active.take().is_none() {
            return Err("there is no active secret any more");
        }
        Ok(self.report())
    }

    pub(super) fn report(&self) -> Value {
        json!({
            "active": self.active.is_some(),
            "staged": self.staged.is_some(),
            "old": self.old.is_some(),
        })
    }
}

//! The `signed_jwt` grant: a JWT of our own making is the token. Asks nobody.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::assertion::{self, Material};
use super::candidates::Candidates;
use super::fixed::{failure, no_login, unavailable};
use super::lifetime::{self, Lifetime};
use super::{Ask, DeviceAuthorization, Outcome, TokenSource, endpoint};
use crate::base::{Clock, ErrorCode, Issued};
use crate::secrets;
use crate::spec::{Assertion, Endpoint, Integration, SecretSource};

pub(super) struct Minted {
    integration: Arc<Integration>,
    assertion: Arc<Assertion>,
    keys: Candidates,
    passphrase: Option<secrets::Handle>,
    certificate: Option<secrets::Handle>,
    clock: Arc<dyn Clock>,
    changes: Arc<secrets::Changes>,
}

impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Minted({})", self.integration.id)
    }
}

impl Minted {
    pub(super) fn new(
        integration: Arc<Integration>,
        assertion: &Assertion,
        vault: &secrets::Vault,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let changes = Arc::new(secrets::Changes::default());
        let open = |source: &SecretSource| {
            let handle = vault.open(source);
            handle.notify(&changes);
            handle
        };
        Self {
            integration,
            keys: Candidates::new(&assertion.key, open),
            passphrase: assertion.passphrase.as_ref().map(open),
            certificate: assertion.certificate.as_ref().map(open),
            assertion: Arc::new(assertion.clone()),
            clock,
            changes,
        }
    }

    /// Signs with the first key that can be used.
    async fn mint(&self) -> Outcome {
        let mut beside = [None, None];
        for (handle, read) in [&self.passphrase, &self.certificate]
            .into_iter()
            .zip(&mut beside)
        {
            if let Some(handle) = handle {
                match handle.read_for(&self.changes).await {
                    Ok(secret) => *read = Some(secret),
                    Err(error) => return self.unavailable(&error.to_string()),
                }
            }
        }
        let [passphrase, certificate] = beside;
        let mut unusable = None;
        let mut unreadable = None;
        for index in self.keys.order(0, self.clock.now().wall) {
            let Some(handle) = self.keys.get(index) else {
                continue;
            };
            let key = match handle.read_for(&self.changes).await {
                Ok(key) => key,
                Err(error) => {
                    unreadable.get_or_insert(error.to_string());
                    continue;
                }
            };
            let material = Material {
                key,
                passphrase: passphrase.clone(),
                certificate: certificate.clone(),
            };
            match self.sign(material, index).await {
                Ok(outcome) => return outcome,
                Err(why) => {
                    unusable.get_or_insert(why);
                }
            }
        }
        match (unusable, unreadable) {
            (Some(why), _) => endpoint::unusable_key(&why, self.clock.now()),
            (None, Some(why)) => self.unavailable(&why),
            (None, None) => self.unavailable("there is no key to try"),
        }
    }

    async fn sign(&self, material: Material, index: usize) -> Result<Outcome, String> {
        let now = self.clock.now();
        let assertion = Arc::clone(&self.assertion);
        let signing = tokio::task::spawn_blocking(move || {
            assertion::sign(&assertion, &material, None, &[], now.wall)
        });
        let token = match signing.await {
            Ok(Ok(token)) => token,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(error) => return Err(format!("the key could not be used: {error}")),
        };
        // A claim may have changed what `exp` says.
        let lifetime = match lifetime::of_jwt(token.expose(), now.wall) {
            Some(Lifetime::For(lifetime)) => Some(lifetime),
            Some(Lifetime::Over) => {
                return Ok(Outcome::BadRequest(failure(
                    ErrorCode::RequestRejected,
                    "the claims make a token that is already over".to_owned(),
                    now,
                )));
            }
            Some(Lifetime::Never) | None => None,
        };
        Ok(Outcome::Issued(Box::new(Issued {
            access_token: token,
            token_type: self.integration.response.token_type.clone(),
            scope: None,
            members: serde_json::Map::new(),
            sent_at: now,
            lifetime,
            secret_in_use: Some(index),
            refresh_token: None,
        })))
    }

    fn unavailable(&self, why: &str) -> Outcome {
        unavailable(&self.integration.vendor, why, self.clock.now())
    }
}

impl TokenSource for Minted {
    fn ask<'a>(&'a self, _ask: Ask<'a>) -> BoxFuture<'a, Option<Outcome>> {
        Box::pin(async {
            let limit = self.integration.refresh.timeout;
            let minted = tokio::time::timeout(limit, self.mint()).await;
            Some(
                minted
                    .unwrap_or_else(|_| self.unavailable("a source or the signing takes too long")),
            )
        })
    }

    fn device_authorization(&self) -> BoxFuture<'_, Result<DeviceAuthorization, Outcome>> {
        Box::pin(async { Err(no_login(self.clock.now())) })
    }

    fn authorization_endpoint(&self) -> BoxFuture<'_, Result<Endpoint, Outcome>> {
        Box::pin(async { Err(no_login(self.clock.now())) })
    }

    fn secret_changes(&self) -> &secrets::Changes {
        &self.changes
    }
}

//! What an exchange is made of, read just before it.

use super::{Budget, Endpoint, SILENT};
use crate::base::Secret;
use crate::exchange::Outcome;
use crate::exchange::assertion::Material;
use crate::exchange::candidates::Pair;
use crate::exchange::request::Filled;
use crate::secrets::Handle;

impl Endpoint {
    pub(super) fn handles(&self, (credential, key): Pair) -> [Option<&Handle>; 2] {
        let [of_grant, _] = &self.signers;
        [
            credential.and_then(|index| self.credentials.get(index)),
            key.and_then(|index| of_grant.as_ref()?.keys.get(index)),
        ]
    }

    pub(super) async fn read_pair(
        &self,
        pair: Pair,
        budget: &mut Budget<'_>,
    ) -> Result<(Option<Secret>, Option<Secret>), String> {
        let mut found = [None, None];
        for (handle, found) in self.handles(pair).into_iter().zip(&mut found) {
            if let Some(handle) = handle {
                *found = match budget.spend(handle.read_for(&self.changes)).await {
                    Some(Ok(secret)) => Some(secret),
                    Some(Err(error)) => return Err(error.to_string()),
                    None => return Err(SILENT.to_owned()),
                };
            }
        }
        let [credential, key] = found;
        Ok((credential, key))
    }

    /// The same without waiting, if both are written in the configuration.
    pub(super) fn pair_at_hand(&self, pair: Pair) -> Option<(Option<Secret>, Option<Secret>)> {
        let mut found = [None, None];
        for (handle, found) in self.handles(pair).into_iter().zip(&mut found) {
            if let Some(handle) = handle {
                *found = Some(handle.value()?.clone());
            }
        }
        let [credential, key] = found;
        Some((credential, key))
    }

    /// All that is the same whichever secret is tried.
    pub(super) async fn read_inputs(&self, filled: &mut Filled) -> Result<(), Box<Outcome>> {
        for (source, handle) in &self.inputs {
            let secret = self.read_one(handle).await?;
            filled.secrets.push((source.clone(), secret));
        }
        for signer in self.signers.iter().flatten() {
            if let Some(handle) = &signer.passphrase {
                filled.aside.push(self.read_one(handle).await?);
            }
        }
        Ok(())
    }

    async fn read_one(&self, handle: &Handle) -> Result<Secret, Box<Outcome>> {
        let read = handle.read_for(&self.changes).await;
        read.map_err(|error| self.refused_for(&error.to_string()))
    }

    /// What signs with `key`: for the grant, or for the client.
    pub(super) async fn material(&self, key: &Secret, of_client: bool) -> Result<Material, String> {
        let [of_grant, client] = &self.signers;
        let signer = if of_client { client } else { of_grant };
        let mut read = [None, None];
        if let Some(signer) = signer {
            let handles = [&signer.passphrase, &signer.certificate];
            for (handle, read) in handles.into_iter().zip(&mut read) {
                if let Some(handle) = handle {
                    let found = handle.read_for(&self.changes).await;
                    *read = Some(found.map_err(|error| error.to_string())?);
                }
            }
        }
        let [passphrase, certificate] = read;
        Ok(Material {
            key: key.clone(),
            passphrase,
            certificate,
        })
    }

    pub(super) async fn first_refresh_token(&self) -> Result<Option<Secret>, Box<Outcome>> {
        let Some(handle) = &self.first else {
            return Ok(None);
        };
        let limit = self.integration.refresh.timeout;
        match tokio::time::timeout(limit, handle.read_for(&self.changes)).await {
            Ok(Ok(token)) => Ok(Some(token)),
            Ok(Err(error)) => Err(self.refused_for(&error.to_string())),
            Err(_) => Err(self.refused_for(SILENT)),
        }
    }
}

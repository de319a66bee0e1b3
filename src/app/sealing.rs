//! The key of the store, wherever the configuration says it is.

use crate::secrets::{Unavailable, Vault};
use crate::spec::{SecretSource, Store};
use crate::store::{KeyError, SealingKey};

/// Without its key a store stays shut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealingError {
    #[error("store encryption_key: {0}")]
    Unavailable(#[from] Unavailable),
    #[error("store encryption_key {0}")]
    NoKey(#[from] KeyError),
}

/// `None` where none is configured.
pub async fn sealing_key(store: &Store, vault: &Vault) -> Result<Option<SealingKey>, SealingError> {
    match store {
        Store::Embedded {
            encryption_key: Some(source),
            ..
        } => read_sealing_key(source, vault).await.map(Some),
        Store::Memory { .. } | Store::Embedded { .. } => Ok(None),
    }
}

pub async fn read_sealing_key(
    source: &SecretSource,
    vault: &Vault,
) -> Result<SealingKey, SealingError> {
    let bytes = vault.read_bytes(source).await?;
    Ok(SealingKey::parse(&bytes)?)
}

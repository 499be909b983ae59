//! What is measured: a provider of ours, or the service through somebody else's library.

use bytes::Bytes;
use storage_core::{
    Error as StorageError, Get, Key, Prefix, PutIf, StorageProvider, StorageProviderExt,
};

use futures_util::TryStreamExt;

use super::Ours;
use crate::raw::RawService;

/// How many keys are removed at a time when cleaning up.
const BATCH_KEYS_MAX: usize = 1000;

/// Something to measure, with the same operations either way. What goes wrong comes as words.
pub(super) enum Target {
    Ours(Ours),
    Raw(Box<dyn RawService>),
}

impl Target {
    pub(super) fn ours(provider: Ours) -> Self {
        Self::Ours(provider)
    }

    pub(super) fn raw(service: Box<dyn RawService>) -> Self {
        Self::Raw(service)
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Ours(_) => "cloudbank",
            Self::Raw(service) => service.name(),
        }
    }

    /// Whether a put can be made to depend on the key being absent.
    pub(super) fn has_absent(&self) -> bool {
        match self {
            Self::Ours(provider) => {
                provider.info().capabilities.absent != storage_core::Atomicity::Unsupported
            }
            Self::Raw(_) => true,
        }
    }

    pub(super) async fn put(&self, name: &str, body: Bytes, absent: bool) -> Result<(), String> {
        match self {
            Self::Ours(provider) => {
                let when = if absent { PutIf::Absent } else { PutIf::Always };
                provider.put(&key(name), body, when).await.map(drop).map_err(words)
            }
            Self::Raw(service) if absent => service.put_absent(name, body).await.map_err(words),
            Self::Raw(service) => service.put(name, body).await.map_err(words),
        }
    }

    pub(super) async fn get(&self, name: &str) -> Result<usize, String> {
        match self {
            Self::Ours(provider) => {
                let object = provider.get(&key(name), Get::whole()).await.map_err(words)?;
                Ok(object.body.len())
            }
            Self::Raw(service) => Ok(service.get(name).await.map_err(words)?.len()),
        }
    }

    /// Lists a folder of keys, given without a `/`, and counts.
    pub(super) async fn list(&self, folder: &str) -> Result<usize, String> {
        match self {
            Self::Ours(provider) => {
                let prefix = Prefix::new(format!("{folder}/")).expect("our own names are keys");
                let listing = provider.list_all(&prefix);
                let number = listing.try_fold(0, |number, _| async move { Ok(number + 1) }).await;
                number.map_err(words)
            }
            Self::Raw(service) => service.list(folder).await.map_err(words),
        }
    }

    pub(super) async fn delete(&self, name: &str) -> Result<(), String> {
        match self {
            Self::Ours(provider) => provider.delete(&key(name)).await.map_err(words),
            Self::Raw(service) => service.delete(name).await.map_err(words),
        }
    }
}

fn key(name: &str) -> Key {
    Key::new(name).expect("our own names are keys")
}

fn words(error: impl ToString) -> String {
    error.to_string()
}

/// Removes everything under the prefix.
pub(super) async fn sweep(
    provider: &dyn StorageProvider,
    prefix: &Prefix,
) -> Result<(), StorageError> {
    let mut batches = provider.list_all(prefix).try_chunks(BATCH_KEYS_MAX);
    while let Some(batch) = batches.try_next().await.map_err(|cut| cut.1)? {
        let keys = batch.into_iter().map(|object| object.key);
        provider.delete_many(keys).await.map_err(|error| {
            let first = error.failures.into_iter().next();
            first.expect("there is one, or it were no error").1
        })?;
    }
    Ok(())
}

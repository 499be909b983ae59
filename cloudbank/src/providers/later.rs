//! A member of an array that is opened when it is first needed.

use std::sync::Arc;

use bytes::Bytes;
use storage_core::{
    Atomicity, Capabilities, Durability, Get, KEY_BYTES_MAX, Key, List, ListConsistency, Object,
    Page, ProviderInfo, PutIf, Result, Sharing, StorageProvider, Version, Versions, async_trait,
};
use tokio::sync::OnceCell;

use crate::config::Limits;
use crate::registry::Backend;

/// A member of an array: opened, and verified, by the first request to it, and again by the next one as long as
/// that fails. So an array opens while a member is away.
pub(crate) struct Later {
    name: String,
    backend: Backend,
    limits: Limits,
    trusting: bool,
    info: ProviderInfo,
    opened: OnceCell<Arc<dyn StorageProvider>>,
}

impl Later {
    /// The member of this name. Asks nobody over a network.
    pub(crate) async fn new(name: &str, backend: Backend, limits: Limits, trusting: bool) -> Self {
        // What a provider promises does not depend on its being there.
        let info = match backend.open_trusting().await {
            Ok(provider) => provider.info(),
            Err(error) => {
                tracing::warn!("member `{name}` cannot be opened now: {error}");
                unknown(name)
            }
        };
        let opened = OnceCell::new();
        Self { name: name.into(), backend, limits, trusting, info, opened }
    }

    async fn open(&self) -> Result<&Arc<dyn StorageProvider>> {
        self.opened
            .get_or_try_init(|| async {
                let opening = if self.trusting || self.backend.parts().is_some() {
                    self.backend.open_trusting()
                } else {
                    self.backend.open()
                };
                let opened = opening.await?;
                Ok(if self.backend.parts().is_some() {
                    // An array's members wear all of it already.
                    opened
                } else {
                    super::wrap(&self.name, opened, self.limits)
                })
            })
            .await
    }
}

/// What is assumed of a member that is away: nothing that would make the array promise less.
fn unknown(name: &str) -> ProviderInfo {
    ProviderInfo {
        name: name.to_owned().into(),
        capabilities: Capabilities {
            absent: Atomicity::AllClients,
            matches: Atomicity::AllClients,
            list: ListConsistency::Strong,
            durability: Durability::PowerLoss,
            versions: Versions::PerWrite,
            sharing: Sharing::AllClients,
            key_bytes_max: KEY_BYTES_MAX,
            object_bytes_max: u64::MAX,
        },
    }
}

impl std::fmt::Debug for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Later")
            .field("name", &self.name)
            .field("opened", &self.opened.initialized())
            .finish_non_exhaustive()
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl StorageProvider for Later {
    fn info(&self) -> ProviderInfo {
        self.info.clone()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.open().await?.put(key, body, when).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.open().await?.get(key, request).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.open().await?.list(request).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.open().await?.delete(key).await
    }
}

//! The same provider under another declaration.

use bytes::Bytes;
use storage_core::{
    Capabilities, Get, Key, List, Object, Page, ProviderInfo, PutIf, Result, StorageProvider,
    Version, async_trait,
};

/// Declares other [`Capabilities`] for the provider inside, and changes nothing else.
///
/// For an operator who knows better (a bucket whose server ignores conditions), and for tests that want
/// a weak provider. Put it inside [`Guarded`](crate::Guarded), which holds the declaration.
///
/// # Examples
///
/// ```
/// use backend_memory::MemoryProvider;
/// use storage_core::{Atomicity, Capabilities, StorageProvider};
/// use storage_wrappers::Override;
///
/// let strong = MemoryProvider::new();
/// let declared =
///     Capabilities { matches: Atomicity::Unsupported, ..strong.info().capabilities };
/// let weak = Override::new(strong, declared);
/// assert_eq!(weak.info().capabilities.matches, Atomicity::Unsupported);
/// ```
#[derive(Debug)]
pub struct Override<P> {
    inner: P,
    capabilities: Capabilities,
}

impl<P: StorageProvider> Override<P> {
    /// Declares `capabilities` for `inner`.
    #[must_use]
    pub fn new(inner: P, capabilities: Capabilities) -> Self {
        Self { inner, capabilities }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<P: StorageProvider> StorageProvider for Override<P> {
    fn info(&self) -> ProviderInfo {
        ProviderInfo { capabilities: self.capabilities, ..self.inner.info() }
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.inner.put(key, body, when).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.inner.get(key, request).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.inner.list(request).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }
}

//! A provider that a test can shut, slow down and count the requests of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use storage_core::{
    Env, Error, ErrorKind, Get, Key, List, Object, Page, ProviderInfo, PutIf, Result,
    StorageProvider, Version,
};

/// What befalls one provider, and what was asked of it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    pub(crate) shut: AtomicBool,
    /// How much longer a request takes.
    pub(crate) slow_millis: AtomicU64,
    pub(crate) puts: AtomicU64,
    pub(crate) gets: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct Gated<P> {
    pub(crate) inner: P,
    pub(crate) gate: Arc<Gate>,
    pub(crate) env: Arc<dyn Env>,
}

impl<P> Gated<P> {
    async fn pass(&self) -> Result<()> {
        let millis = self.gate.slow_millis.load(Ordering::Relaxed);
        if millis > 0 {
            self.env.sleep(Duration::from_millis(millis)).await;
        }
        if self.gate.shut.load(Ordering::Relaxed) {
            // As a connection that is refused in the middle: who knows what arrived.
            return Err(Error::unknown(ErrorKind::Unavailable, "the provider is down"));
        }
        Ok(())
    }
}

#[async_trait]
impl<P: StorageProvider> StorageProvider for Gated<P> {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }
    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.gate.puts.fetch_add(1, Ordering::Relaxed);
        self.pass().await?;
        self.inner.put(key, body, when).await
    }
    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.gate.gets.fetch_add(1, Ordering::Relaxed);
        self.pass().await?;
        self.inner.get(key, request).await
    }
    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.pass().await?;
        self.inner.list(request).await
    }
    async fn delete(&self, key: &Key) -> Result<()> {
        self.pass().await?;
        self.inner.delete(key).await
    }
}

//! A provider that is read at a bounded rate.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage_core::{
    Get, Key, List, Object, Page, ProviderInfo, PutIf, Result, StorageProvider, Version,
    async_trait,
};
use tokio::time::Instant;

/// Answers to reads come so late that their bytes keep to a rate, when one is asked for at a time.
#[derive(Debug)]
pub(super) struct Slowly {
    inner: Arc<dyn StorageProvider>,
    bytes_per_second: f64,
}

impl Slowly {
    pub(super) fn new(inner: Arc<dyn StorageProvider>, bytes_per_second: u64) -> Self {
        Self { inner, bytes_per_second: bytes_per_second.max(1) as f64 }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageProvider for Slowly {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.inner.put(key, body, when).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let began = Instant::now();
        let object = self.inner.get(key, request).await?;
        let least = Duration::from_secs_f64(object.body.len() as f64 / self.bytes_per_second);
        tokio::time::sleep_until(began + least).await;
        Ok(object)
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.inner.list(request).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_read_keeps_to_the_rate() {
        let slowly = Slowly::new(Arc::new(backend_memory::MemoryProvider::new()), 1000);
        let key = Key::new("a").unwrap();
        slowly.put(&key, vec![0; 3000].into(), PutIf::Always).await.unwrap();
        let began = Instant::now();
        slowly.get(&key, Get::whole()).await.unwrap();
        slowly.get(&key, Get::range(0..500)).await.unwrap();
        // The clock is one of the test.
        assert_eq!(began.elapsed().as_millis(), 3500);
    }
}

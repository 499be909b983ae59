//! No more requests at once than the service likes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage_core::{
    Env, Error, ErrorKind, Get, Key, List, Object, Operation, Page, ProviderInfo, PutIf, Result,
    StorageProvider, Version, async_trait,
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::env::within;

/// Lets a number of operations through at a time; the others wait in the order in which they came.
///
/// A waiting call that is dropped leaves no trace. Names no runtime: the semaphore is tokio's, which works
/// on any executor.
///
/// # Examples
///
/// ```
/// use backend_memory::MemoryProvider;
/// use storage_core::{Key, PutIf, StorageProvider};
/// use storage_wrappers::ConcurrencyLimit;
///
/// # futures_executor::block_on(async {
/// let provider = ConcurrencyLimit::new(MemoryProvider::new(), 64);
/// provider.put(&Key::new("a")?, "body".into(), PutIf::Always).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct ConcurrencyLimit<P> {
    inner: P,
    places: Semaphore,
    places_count: usize,
    wait: Option<(Duration, Arc<dyn Env>)>,
}

impl<P: StorageProvider> ConcurrencyLimit<P> {
    /// At most `requests_at_once_max` at a time (zero is taken as one); the others wait without end.
    #[must_use]
    pub fn new(inner: P, requests_at_once_max: usize) -> Self {
        let places_count = requests_at_once_max.clamp(1, Semaphore::MAX_PERMITS);
        Self { inner, places: Semaphore::new(places_count), places_count, wait: None }
    }

    /// Refuses a call that has waited for `wait_max`, with
    /// [`Throttled`](storage_core::ErrorKind::Throttled), not applied, since it was never sent.
    ///
    /// Inside a [`TimeLimit`](crate::TimeLimit) keep it well below the limit: a mutation cut off while it
    /// waits here would be called unknown without need.
    #[must_use]
    pub fn wait_max(mut self, wait_max: Duration, env: Arc<dyn Env>) -> Self {
        self.wait = Some((wait_max, env));
        self
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>> {
        let acquired = match &self.wait {
            None => self.places.acquire().await,
            Some((wait_max, env)) => match within(&**env, *wait_max, self.places.acquire()).await {
                Some(acquired) => acquired,
                None => {
                    let count = self.places_count;
                    return Err(Error::not_applied(
                        ErrorKind::Throttled,
                        format!("waited {wait_max:?} for others: at most {count} requests at once"),
                    ));
                }
            },
        };
        Ok(acquired.expect("the semaphore is never closed"))
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<P: StorageProvider> StorageProvider for ConcurrencyLimit<P> {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let _place = self.place().await.map_err(|error| error.during(Operation::Put, key))?;
        self.inner.put(key, body, when).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let _place = self.place().await.map_err(|error| error.during(Operation::Get, key))?;
        self.inner.get(key, request).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        let _place = self.place().await.map_err(Error::during_list)?;
        self.inner.list(request).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let _place = self.place().await.map_err(|error| error.during(Operation::Delete, key))?;
        self.inner.delete(key).await
    }
}

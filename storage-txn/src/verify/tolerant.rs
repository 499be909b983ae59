//! A provider that finds damage itself must not keep the rest of a store from being verified.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use storage_core::{
    ErrorKind, Get, Key, List, Object, Page, ProviderInfo, PutIf, Result, StorageProvider, Version,
    async_trait,
};

/// Reads what the provider calls corrupt as an object without bytes, which is no object of a store, and keeps what the
/// provider said of it.
#[derive(Debug)]
pub(super) struct Tolerant {
    inner: Arc<dyn StorageProvider>,
    said: Mutex<BTreeMap<Key, String>>,
}

impl Tolerant {
    pub(super) fn new(inner: Arc<dyn StorageProvider>) -> Self {
        Self { inner, said: Mutex::default() }
    }

    /// What the provider said of the object of this name, once.
    pub(super) fn said_of(&self, object: &str) -> Option<String> {
        self.said().remove(&Key::new(object).ok()?)
    }

    // Nothing that holds the lock can panic.
    fn said(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, String>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StorageProvider for Tolerant {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.inner.put(key, body, when).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        match self.inner.get(key, request).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.said().insert(key.clone(), error.message().to_owned());
                Ok(Object { body: Bytes::new(), size: 0, version: Version::new("damaged") })
            }
            found => {
                // Bytes that were spoilt on their way are whole when they are asked for again.
                self.said().remove(key);
                found
            }
        }
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.inner.list(request).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }
}

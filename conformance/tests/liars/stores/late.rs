//! A provider on which large values come late.

use std::sync::{Arc, Mutex};

use super::super::prelude::{
    Bytes, Get, Key, List, Object, Page, ProviderInfo, PutIf, StorageProvider, async_trait,
};

/// Stores large values when the entry after the one that names them is put.
#[derive(Debug)]
pub(super) struct Late {
    inner: Arc<dyn StorageProvider>,
    waiting: Mutex<Vec<(Key, Bytes)>>,
    /// Those whose entry is there.
    due: Mutex<Vec<(Key, Bytes)>>,
}

impl Late {
    pub(super) fn new(inner: Arc<dyn StorageProvider>) -> Self {
        Self { inner, waiting: Mutex::default(), due: Mutex::default() }
    }
}

#[async_trait]
impl StorageProvider for Late {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(
        &self,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> storage_core::Result<storage_core::Version> {
        if key.as_str().starts_with("value/") {
            self.waiting.lock().unwrap().push((key.clone(), body));
            return Ok(storage_core::Version::new("late"));
        }
        let due = std::mem::take(&mut *self.due.lock().unwrap());
        for (key, body) in due {
            self.inner.put(&key, body, PutIf::Always).await?;
        }
        let put = self.inner.put(key, body, when).await?;
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        self.due.lock().unwrap().extend(waiting);
        Ok(put)
    }

    async fn get(&self, key: &Key, request: Get) -> storage_core::Result<Object> {
        self.inner.get(key, request).await
    }

    async fn list(&self, request: List<'_>) -> storage_core::Result<Page> {
        self.inner.list(request).await
    }

    async fn delete(&self, key: &Key) -> storage_core::Result<()> {
        self.inner.delete(key).await
    }
}

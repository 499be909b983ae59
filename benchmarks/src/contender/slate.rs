//! slatedb.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use slatedb::config::{FlushOptions, FlushType, Settings};
use slatedb::{Db, WriteBatch};

use super::Contender;
use crate::{Counting, Site};

pub(super) struct Slate {
    db: Db,
    counter: Arc<Counting>,
}

impl std::fmt::Debug for Slate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slate").finish_non_exhaustive()
    }
}

impl Slate {
    /// With its defaults, its block cache among them, but for how long it waits before it writes its log.
    pub(super) async fn open(site: &Site, interval: Duration) -> Result<Self> {
        let counter = Arc::new(Counting::new(site.objects.clone()));
        let settings = Settings { flush_interval: Some(interval), ..Settings::default() };
        let path = format!("slatedb-{}", interval.as_millis());
        let db = Db::builder(path, counter.clone()).with_settings(settings).build().await?;
        Ok(Self { db, counter })
    }
}

#[async_trait]
impl Contender for Slate {
    async fn commit(&self, key: Vec<u8>, value: Bytes) -> Result<()> {
        Ok(self.db.put_bytes(key.into(), value).await?.await_durable().await?)
    }

    async fn load(&self, items: Vec<(Vec<u8>, Bytes)>) -> Result<()> {
        let mut batch = WriteBatch::new();
        for (key, value) in items {
            batch.put(key, value);
        }
        Ok(self.db.write(batch).await?.await_durable().await?)
    }

    async fn close(&self) -> Result<()> {
        self.db.flush_with_options(FlushOptions { flush_type: FlushType::MemTable }).await?;
        Ok(self.db.close().await?)
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.db.get(key).await?)
    }

    async fn scan(&self) -> Result<usize> {
        let mut items = self.db.scan::<std::ops::RangeFull>(..).await?;
        let mut many = 0;
        while items.next().await?.is_some() {
            many += 1;
        }
        Ok(many)
    }

    fn requests(&self) -> Option<(u64, u64)> {
        Some((self.counter.puts(), self.counter.gets()))
    }
}

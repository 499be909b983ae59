//! Our store.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use storage_core::StorageProvider;
use storage_txn::{At, ErrorKind, Options, Scan, Store};
use storage_wrappers::Counted;

use super::Contender;
use crate::{Site, env};

#[derive(Debug)]
pub(super) struct Ours {
    store: Store,
    counter: Arc<Counted<Arc<dyn StorageProvider>>>,
}

impl Ours {
    pub(super) async fn open(site: &Site) -> Result<Self> {
        let counter = Arc::new(Counted::new(site.provider.clone()));
        let mut options = Options::default();
        options.flush_bytes = site.flush_bytes.unwrap_or(options.flush_bytes);
        let store = match Store::open(counter.clone(), env(), options.clone()).await {
            Err(error) if error.kind() == ErrorKind::NoStore => {
                Store::init(counter.clone(), env(), options).await?
            }
            opened => opened?,
        };
        Ok(Self { store, counter })
    }
}

#[async_trait]
impl Contender for Ours {
    async fn commit(&self, key: Vec<u8>, value: Bytes) -> Result<()> {
        self.store.transact(async |tx| tx.put(&key, value.clone())).await?;
        Ok(())
    }

    async fn load(&self, items: Vec<(Vec<u8>, Bytes)>) -> Result<()> {
        let put = async |tx: storage_txn::Transaction| {
            items.iter().try_for_each(|(key, value)| tx.put(key, value.clone()))
        };
        self.store.transact(put).await?;
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(self.store.flush().await?)
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.store.snapshot(At::Known).await?.get(key).await?)
    }

    async fn scan(&self) -> Result<usize> {
        let mut items = self.store.snapshot(At::Known).await?.scan(&Scan::new(..)).await?;
        let mut many = 0;
        while items.next().await?.is_some() {
            many += 1;
        }
        Ok(many)
    }

    fn requests(&self) -> Option<(u64, u64)> {
        let counts = self.counter.counts();
        Some((counts.put.requests, counts.get.requests))
    }
}

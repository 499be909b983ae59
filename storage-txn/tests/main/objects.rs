//! All objects of a store, to be kept, changed and put back.

use std::collections::BTreeMap;
use std::sync::Arc;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use storage_core::{Get, Key, Prefix, PutIf, StorageProvider, StorageProviderExt};
use storage_log::{CommitLog, LogId, ProviderLog, Slot};
use storage_txn::TransactionId;

/// Bodies by their names.
pub(crate) type Objects = BTreeMap<String, Bytes>;

pub(crate) fn provider_of(objects: &Objects) -> Arc<dyn StorageProvider> {
    let provider = MemoryProvider::new();
    futures_executor::block_on(async {
        for (key, body) in objects {
            let key = Key::new(key).unwrap();
            provider.put(&key, body.clone(), PutIf::Always).await.unwrap();
        }
    });
    Arc::new(provider)
}

pub(crate) async fn objects_of(provider: &Arc<dyn StorageProvider>) -> Objects {
    let everything = Prefix::all();
    let listed = provider.list_all(&everything).map_err(|error| error.to_string());
    let bodies = listed.then(|listed| async {
        let key = listed?.key;
        let object = provider.get(&key, Get::whole()).await.map_err(|error| error.to_string())?;
        Ok::<_, String>((key.to_string(), object.body))
    });
    bodies.try_collect().await.unwrap()
}

/// Takes the bytes of these slots away, as collection does.
pub(crate) async fn collect(
    provider: &Arc<dyn StorageProvider>,
    slots: std::ops::RangeInclusive<u64>,
) {
    let format = provider.get(&Key::new("format").unwrap(), Get::whole()).await.unwrap().body;
    let text = String::from_utf8(format.to_vec()).unwrap();
    let id: TransactionId = text.lines().nth(2).unwrap()[3..].parse().unwrap();
    let prefix = Prefix::new("log/").unwrap();
    let log = ProviderLog::new(provider.clone(), prefix, LogId(id.0)).unwrap();
    for slot in slots {
        let record = log.read(Slot(slot)).await.unwrap().unwrap();
        log.collect(&record).await.unwrap();
    }
}

//! Stores that collect too much, too little or too early, on honest providers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use conformance::Hooks;
use conformance::store::{
    PastHandle, RealStores, SnapshotHandle, StoreHandle, StoreHook, TransactionHandle,
};
use futures_util::TryStreamExt as _;
use storage_core::StorageProviderExt as _;
use storage_txn::{
    At, CollectOptions, Collected, ErrorKind as Kind, Item, KeyRange, Merge, Options, Outcome,
    Receipt, Result, Scan, TransactionId, Version,
};

use super::lie::Truth;
use super::prelude::{
    Bytes, Get, Key, List, Object, Page, Prefix, ProviderInfo, PutIf, StorageProvider, World,
    async_trait, shared,
};

liars! {
    collected_slots_are_deleted: "store.slots.used", collector(DeletesTombstones),
        "deletes the entries that it collects, so that a writer who slept can have their slots: slatedb's log ids, Lance#3718";
    tombstones_are_deleted_in_time: "store.garbage.collected", collector(DeletesTombstones),
        "cleans up small objects of the log once they are of no use to readers: a lifecycle rule by size";
    nothing_is_collected: "store.garbage.collected", collector(CollectsNothing),
        "says that it has collected and leaves everything where it is: a job that is not scheduled";
    live_segments_are_collected: "store.garbage.collected", collector(DeletesASegment),
        "deletes the oldest segment as if it had been replaced: garbage by age (ZeroFS#453, Iceberg's orphan files)";
    all_checkpoints_are_collected: "store.garbage.collected", collector(DeletesCheckpoints),
        "deletes the checkpoints with the log that they are to replace: one list of what is old";
    whoever_is_quiet_is_reaped: "store.garbage.uploads", collector(ReapsTheLiving),
        "takes for dead who has done nothing for a moment: a lease shorter than an upload";
    nobody_is_reaped: "store.garbage.uploads", collector(ReapsNobody),
        "never takes a session for dead, and keeps what it has left for ever: multipart uploads that nobody aborts";
    the_reaped_go_on: "store.garbage.uploads", collector(ReapedGoesOn),
        "commits without its large values what was refused to a session that was reaped: a client that takes its lost lease again";
    uploads_are_deleted_unreaped: "store.garbage.uploads", collector(DeletesUnreaped),
        "deletes what a quiet session has uploaded and shuts nobody out: cleaning up first, and writing it down later";
    packed_away_is_the_present: "store.history.packed", collector(ExpiredIsThePresent),
        "answers a version that was packed away with what there is now: a fallback to the nearest snapshot";
}

fn collector(mistake: Mistake) -> World {
    shared(Truth).hooks(move |lying, _| Hooks {
        stores: lying.then(|| Arc::new(Collectors(mistake)) as Arc<dyn StoreHook>),
        ..Hooks::default()
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    DeletesTombstones,
    CollectsNothing,
    DeletesASegment,
    DeletesCheckpoints,
    ReapsTheLiving,
    ReapsNobody,
    ReapedGoesOn,
    DeletesUnreaped,
    ExpiredIsThePresent,
}

use Mistake::*;

/// Opens stores with one mistake.
struct Collectors(Mistake);

struct Collector {
    honest: Arc<dyn StoreHandle>,
    place: Arc<dyn StorageProvider>,
    mistake: Mistake,
}

#[async_trait]
impl StoreHook for Collectors {
    async fn init(
        &self,
        place: Arc<dyn StorageProvider>,
        options: Options,
    ) -> Result<Arc<dyn StoreHandle>> {
        let honest = RealStores.init(place.clone(), options).await?;
        Ok(Arc::new(Collector { honest, place, mistake: self.0 }))
    }

    async fn open(
        &self,
        place: Arc<dyn StorageProvider>,
        options: Options,
    ) -> Result<Arc<dyn StoreHandle>> {
        let honest = RealStores.open(place.clone(), options).await?;
        Ok(Arc::new(Collector { honest, place, mistake: self.0 }))
    }
}

impl Collector {
    async fn names(&self, kind: &str) -> Result<Vec<Key>> {
        let prefix = Prefix::new(kind).expect("a word and a slash are a prefix");
        let listed = self.place.list_all(&prefix).map_ok(|listed| listed.key);
        Ok(listed.try_collect().await?)
    }
}

#[async_trait]
impl StoreHandle for Collector {
    fn begin(&self) -> Arc<dyn TransactionHandle> {
        let inner = self.honest.begin();
        if self.mistake != ReapedGoesOn {
            return inner;
        }
        Arc::new(GoesOn { inner, place: self.place.clone(), puts: Mutex::default() })
    }

    async fn snapshot(&self, at: At) -> Result<Arc<dyn SnapshotHandle>> {
        match self.honest.snapshot(at).await {
            Err(error)
                if self.mistake == ExpiredIsThePresent && error.kind() == Kind::SnapshotExpired =>
            {
                self.honest.snapshot(At::Latest).await
            }
            snapshot => snapshot,
        }
    }

    async fn outcome(&self, id: TransactionId) -> Result<Outcome> {
        self.honest.outcome(id).await
    }

    async fn flush(&self) -> Result<()> {
        self.honest.flush().await
    }

    async fn collect(&self, options: &CollectOptions) -> Result<Collected> {
        let mut options = options.clone();
        match self.mistake {
            ReapsTheLiving => options.session_grace = Duration::ZERO,
            ReapsNobody => options.session_grace = Duration::MAX,
            CollectsNothing => options.dry_run = true,
            _ => {}
        }
        if self.mistake == DeletesUnreaped {
            // What it commits never comes to the log.
            let place = Arc::new(Swallows(self.place.clone()));
            return RealStores.open(place, Options::default()).await?.collect(&options).await;
        }
        let collected = self.honest.collect(&options).await?;
        match self.mistake {
            DeletesTombstones => {
                for name in self.names("log/").await? {
                    if self.place.get(&name, Get::whole()).await?.body[4] == 1 {
                        self.place.delete(&name).await?;
                    }
                }
            }
            DeletesASegment => {
                for name in self.names("segment/").await?.into_iter().take(1) {
                    self.place.delete(&name).await?;
                }
            }
            DeletesCheckpoints => {
                for name in self.names("checkpoint/").await? {
                    self.place.delete(&name).await?;
                }
            }
            _ => {}
        }
        Ok(collected)
    }

    fn past(&self) -> Arc<dyn PastHandle> {
        self.honest.past()
    }
}

/// A provider that says of new entries of a log that they are there, and forgets them.
#[derive(Debug)]
struct Swallows(Arc<dyn StorageProvider>);

#[async_trait]
impl StorageProvider for Swallows {
    fn info(&self) -> ProviderInfo {
        self.0.info()
    }

    async fn put(
        &self,
        key: &Key,
        body: Bytes,
        when: PutIf,
    ) -> storage_core::Result<storage_core::Version> {
        if key.as_str().starts_with("log/") && when == PutIf::Absent {
            return Ok(storage_core::Version::new("swallowed"));
        }
        self.0.put(key, body, when).await
    }

    async fn get(&self, key: &Key, request: Get) -> storage_core::Result<Object> {
        self.0.get(key, request).await
    }

    async fn list(&self, request: List<'_>) -> storage_core::Result<Page> {
        self.0.list(request).await
    }

    async fn delete(&self, key: &Key) -> storage_core::Result<()> {
        self.0.delete(key).await
    }
}

/// A transaction that is made again by another session when its own was reaped.
struct GoesOn {
    inner: Arc<dyn TransactionHandle>,
    place: Arc<dyn StorageProvider>,
    puts: Mutex<Vec<(String, Bytes)>>,
}

#[async_trait]
impl TransactionHandle for GoesOn {
    fn read_version(&self) -> Version {
        self.inner.read_version()
    }

    fn id(&self) -> TransactionId {
        self.inner.id()
    }

    fn set_id(&self, id: TransactionId) {
        self.inner.set_id(id);
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.inner.get(key).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Item>> {
        self.inner.scan(scan).await
    }

    fn put(&self, key: &str, value: Bytes) -> Result<()> {
        self.puts.lock().unwrap().push((key.to_owned(), value.clone()));
        self.inner.put(key, value)
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.inner.delete(key)
    }

    fn merge(&self, key: &str, merge: Merge) -> Result<()> {
        self.inner.merge(key, merge)
    }

    fn delete_range(&self, range: KeyRange) -> Result<()> {
        self.inner.delete_range(range)
    }

    fn require(&self, key: &str, version: Option<Version>) -> Result<()> {
        self.inner.require(key, version)
    }

    async fn put_stream(&self, key: &str, pieces: Vec<Bytes>) -> Result<u64> {
        self.inner.put_stream(key, pieces).await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<bool> {
        self.inner.copy(from, to).await
    }

    async fn commit(&self) -> Result<Receipt> {
        match self.inner.commit().await {
            Err(error) if error.kind() == Kind::SessionReaped => {}
            result => return result,
        }
        let anew = RealStores.open(self.place.clone(), Options::default()).await?.begin();
        let puts = std::mem::take(&mut *self.puts.lock().unwrap());
        for (key, value) in puts {
            anew.put(&key, value)?;
        }
        anew.commit().await
    }
}

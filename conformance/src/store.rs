//! What the cases about transactions ask of a store: that of `storage_txn`, or another that a hook opens.
//!
//! The traits are the methods of [`storage_txn`]'s types of the same names, made so that a wrapper can stand in front:
//! the suite's own test puts wrong stores there.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use storage_core::{Env, StorageProvider, async_trait};
use storage_txn::{
    At, CollectOptions, Collected, Content, Item, KeyRange, Merge, Options, Outcome, Receipt,
    Result, Revision, Scan, Snapshot, Store, Transaction, TransactionId, Version, Watch,
};
use storage_wrappers::TokioEnv;

/// Makes and opens stores.
#[async_trait]
pub trait StoreHook: Send + Sync + 'static {
    /// Makes a store where there is none, and opens it: [`Store::init`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn init(
        &self,
        place: Arc<dyn StorageProvider>,
        options: Options,
    ) -> Result<Arc<dyn StoreHandle>>;

    /// Opens the store that is there: [`Store::open`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn open(
        &self,
        place: Arc<dyn StorageProvider>,
        options: Options,
    ) -> Result<Arc<dyn StoreHandle>>;
}

/// A handle on a store: [`Store`].
#[async_trait]
pub trait StoreHandle: Send + Sync + 'static {
    /// As [`Store::begin`].
    fn begin(&self) -> Arc<dyn TransactionHandle>;

    /// As [`Store::snapshot`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn snapshot(&self, at: At) -> Result<Arc<dyn SnapshotHandle>>;

    /// As [`Store::outcome`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn outcome(&self, id: TransactionId) -> Result<Outcome>;

    /// As [`Store::flush`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn flush(&self) -> Result<()>;

    /// As [`Store::collect`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn collect(&self, options: &CollectOptions) -> Result<Collected>;

    /// The same handle, for what was before.
    fn past(&self) -> Arc<dyn PastHandle>;
}

/// What a handle on a store knows of the past, and how the past is kept and dropped: [`Store`].
#[async_trait]
pub trait PastHandle: Send + Sync + 'static {
    /// As [`Store::history`], collected.
    ///
    /// # Errors
    ///
    /// As there, and those of the history.
    async fn history(&self, key: &str) -> Result<Vec<Revision>>;

    /// As [`Store::undo`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn undo(&self, version: Version) -> Result<Receipt>;

    /// As [`Store::watch`].
    fn watch(&self, since: Version) -> Box<dyn WatchHandle>;

    /// As [`Store::tag`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn tag(&self, name: &str, version: Version) -> Result<()>;

    /// As [`Store::pin`]; tells what the pin shows. It ends at its time.
    ///
    /// # Errors
    ///
    /// As there.
    async fn pin(&self, at: At, time: Duration) -> Result<Arc<dyn SnapshotHandle>>;

    /// As [`Store::pack`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn pack(&self, before: At) -> Result<Version>;
}

/// Commits as they come: [`Watch`].
#[async_trait]
pub trait WatchHandle: Send + 'static {
    /// As [`Watch::next`], with the keys it changed.
    ///
    /// # Errors
    ///
    /// As there, and those of the keys.
    async fn next(&mut self) -> Result<Seen>;
}

/// A commit as a watch shows it: its version, and the keys it changed, each with its values before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The version.
    pub version: Version,
    /// In the order of the keys.
    pub keys: Vec<(Bytes, Option<Bytes>, Option<Bytes>)>,
}

/// A transaction under way: [`Transaction`]. Errors are those of its methods.
#[async_trait]
pub trait TransactionHandle: Send + Sync + 'static {
    /// As [`Transaction::read_version`].
    fn read_version(&self) -> Version;

    /// As [`Transaction::id`].
    fn id(&self) -> TransactionId;

    /// As [`Transaction::set_id`].
    fn set_id(&self, id: TransactionId);

    /// As [`Transaction::get`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn get(&self, key: &str) -> Result<Option<Bytes>>;

    /// As [`Transaction::scan`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn scan(&self, scan: &Scan) -> Result<Vec<Item>>;

    /// As [`Transaction::put`].
    ///
    /// # Errors
    ///
    /// As there.
    fn put(&self, key: &str, value: Bytes) -> Result<()>;

    /// As [`Transaction::delete`].
    ///
    /// # Errors
    ///
    /// As there.
    fn delete(&self, key: &str) -> Result<()>;

    /// As [`Transaction::merge`].
    ///
    /// # Errors
    ///
    /// As there.
    fn merge(&self, key: &str, merge: Merge) -> Result<()>;

    /// As [`Transaction::delete_range`].
    ///
    /// # Errors
    ///
    /// As there.
    fn delete_range(&self, range: KeyRange) -> Result<()>;

    /// As [`Transaction::require`].
    ///
    /// # Errors
    ///
    /// As there.
    fn require(&self, key: &str, version: Option<Version>) -> Result<()>;

    /// As [`Transaction::put_stream`], of these pieces.
    ///
    /// # Errors
    ///
    /// As there.
    async fn put_stream(&self, key: &str, pieces: Vec<Bytes>) -> Result<u64>;

    /// As [`Transaction::copy`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn copy(&self, from: &str, to: &str) -> Result<bool>;

    /// As [`Transaction::commit`]. Called once.
    ///
    /// # Errors
    ///
    /// As there.
    async fn commit(&self) -> Result<Receipt>;
}

/// The store at one version: [`Snapshot`].
#[async_trait]
pub trait SnapshotHandle: Send + Sync + 'static {
    /// As [`Snapshot::version`].
    fn version(&self) -> Version;

    /// As [`Snapshot::get_versioned`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn get_versioned(&self, key: &str) -> Result<Option<(Version, Bytes)>>;

    /// As [`Snapshot::get_range`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>>;

    /// As [`Snapshot::get_stream`], collected.
    ///
    /// # Errors
    ///
    /// As there, and those of the stream.
    async fn get_stream(&self, key: &str) -> Result<Option<Vec<Bytes>>>;

    /// As [`Snapshot::scan`], collected.
    ///
    /// # Errors
    ///
    /// As there.
    async fn scan(&self, scan: &Scan) -> Result<Vec<Item>>;
}

/// The stores of [`storage_txn`], on the clock and the tasks of Tokio.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealStores;

fn env() -> Arc<dyn Env> {
    Arc::new(TokioEnv::new())
}

#[async_trait]
impl StoreHook for RealStores {
    async fn init(
        &self,
        place: Arc<dyn StorageProvider>,
        options: Options,
    ) -> Result<Arc<dyn StoreHandle>> {
        Ok(Arc::new(Store::init(place, env(), options).await?))
    }

    async fn open(
        &self,
        place: Arc<dyn StorageProvider>,
        options: Options,
    ) -> Result<Arc<dyn StoreHandle>> {
        Ok(Arc::new(Store::open(place, env(), options).await?))
    }
}

#[async_trait]
impl StoreHandle for Store {
    fn begin(&self) -> Arc<dyn TransactionHandle> {
        Arc::new(Store::begin(self))
    }

    async fn snapshot(&self, at: At) -> Result<Arc<dyn SnapshotHandle>> {
        Ok(Arc::new(Store::snapshot(self, at).await?))
    }

    async fn outcome(&self, id: TransactionId) -> Result<Outcome> {
        Store::outcome(self, id).await
    }

    async fn flush(&self) -> Result<()> {
        Store::flush(self).await
    }

    async fn collect(&self, options: &CollectOptions) -> Result<Collected> {
        Store::collect(self, options).await
    }

    fn past(&self) -> Arc<dyn PastHandle> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl PastHandle for Store {
    async fn history(&self, key: &str) -> Result<Vec<Revision>> {
        Store::history(self, key).await?.collect().await
    }

    async fn undo(&self, version: Version) -> Result<Receipt> {
        Store::undo(self, version).await
    }

    fn watch(&self, since: Version) -> Box<dyn WatchHandle> {
        Box::new(Store::watch(self, since))
    }

    async fn tag(&self, name: &str, version: Version) -> Result<()> {
        Store::tag(self, name, version).await
    }

    async fn pin(&self, at: At, time: Duration) -> Result<Arc<dyn SnapshotHandle>> {
        Ok(Arc::new(Store::pin(self, at, time).await?.snapshot().clone()))
    }

    async fn pack(&self, before: At) -> Result<Version> {
        Store::pack(self, before).await
    }
}

#[async_trait]
impl WatchHandle for Watch {
    async fn next(&mut self) -> Result<Seen> {
        let changes = Watch::next(self).await?;
        let inline = |side: Option<(Version, Content)>| side?.1.inline().cloned();
        let keys = changes.keys()?.collect().await?;
        let keys = keys.into_iter().map(|key| (key.key, inline(key.before), inline(key.after)));
        Ok(Seen { version: changes.commit().version, keys: keys.collect() })
    }
}

#[async_trait]
impl TransactionHandle for Transaction {
    fn read_version(&self) -> Version {
        Transaction::read_version(self)
    }

    fn id(&self) -> TransactionId {
        Transaction::id(self)
    }

    fn set_id(&self, id: TransactionId) {
        Transaction::set_id(self, id);
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Transaction::get(self, key).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Item>> {
        Transaction::scan(self, scan).await
    }

    fn put(&self, key: &str, value: Bytes) -> Result<()> {
        Transaction::put(self, key, value)
    }

    fn delete(&self, key: &str) -> Result<()> {
        Transaction::delete(self, key)
    }

    fn merge(&self, key: &str, merge: Merge) -> Result<()> {
        Transaction::merge(self, key, merge)
    }

    fn delete_range(&self, range: KeyRange) -> Result<()> {
        Transaction::delete_range(self, range)
    }

    fn require(&self, key: &str, version: Option<Version>) -> Result<()> {
        Transaction::require(self, key, version)
    }

    async fn put_stream(&self, key: &str, pieces: Vec<Bytes>) -> Result<u64> {
        let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
        Transaction::put_stream(self, key, stream::iter(pieces)).await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<bool> {
        Transaction::copy(self, from, to).await
    }

    async fn commit(&self) -> Result<Receipt> {
        Transaction::commit(self.clone()).await
    }
}

#[async_trait]
impl SnapshotHandle for Snapshot {
    fn version(&self) -> Version {
        Snapshot::version(self)
    }

    async fn get_versioned(&self, key: &str) -> Result<Option<(Version, Bytes)>> {
        Snapshot::get_versioned(self, key).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>> {
        Snapshot::get_range(self, key, range).await
    }

    async fn get_stream(&self, key: &str) -> Result<Option<Vec<Bytes>>> {
        match Snapshot::get_stream(self, key).await? {
            Some(stream) => stream.try_collect().await.map(Some),
            None => Ok(None),
        }
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Item>> {
        Snapshot::scan(self, scan).await?.collect().await
    }
}

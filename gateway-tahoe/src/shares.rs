//! The shares of a server in its store: every operation on them, without HTTP.

mod adopt;
mod advisories;
mod allocate;
mod collect;
mod edit;
mod immutable;
mod leases;
mod mutable;
mod read;
mod scan;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use prost::Message;
use storage_core::Env;
use storage_txn::{At, Item, Merge, Scan, Snapshot, Store, Transaction};
use tokio::sync::{Semaphore, SemaphorePermit};

pub use adopt::AdoptedShare;
pub use advisories::Advisory;
pub use collect::{Collected, Expired};
pub(crate) use edit::MUTABLE_BYTES_MAX;
pub use immutable::Data;
pub(crate) use immutable::{Part, Parts};
pub use mutable::{Answer, ReadTestWrite, ReadVector, ShareChange, Test, Write};
pub use read::Reader;
pub use scan::{ShareInfo, SlotInfo};

use crate::StorageIndex;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::error::{Error, Refusal, Result};
use crate::layout::{DataId, Layout};
use crate::metrics::STORED;
use crate::options::Options;
use crate::record::{Slot, decode};

/// The most shares of one file, as the protocol has it.
pub const SHARES_MAX: usize = 256;
/// Changes of one slot by this process are done one after the other; these are in as many lines as this.
const TURNS: usize = 1024;

/// Memory is counted in units of so many bytes.
const WORK_UNIT_BYTES: usize = 64 << 10;

/// Which kind of file a share is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Written once.
    Immutable,
    /// Changed by read-test-write.
    Mutable,
}

/// The shares of one server in a store. A handle is cheap to clone, and all of them are the same.
///
/// Any number of processes may open the shares of the same server: every change is one transaction.
#[derive(Debug, Clone)]
pub struct Shares {
    core: Arc<Core>,
}

#[derive(Debug)]
struct Core {
    store: Store,
    env: Arc<dyn Env>,
    clock: Arc<dyn Clock>,
    options: Options,
    layout: Layout,
    cache: Cache,
    /// Places for large parts that are on their way.
    parts: Semaphore,
    turns: Vec<Semaphore>,
    /// Memory for what slots are changed by, and for what is read of them.
    work: Semaphore,
    /// What is known of the bytes of all shares.
    used: AtomicI64,
}

/// What can be read from: a transaction, or what is.
#[derive(Debug, Clone, Copy)]
enum View<'a> {
    Inside(&'a Transaction),
    At(&'a Snapshot),
}

impl Shares {
    /// The shares of the server `options.name` in a store.
    ///
    /// # Errors
    ///
    /// [`Refusal::Invalid`] for an option that is out of its bounds, and what the store says.
    pub async fn open(
        store: Store,
        env: Arc<dyn Env>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Self> {
        options.check()?;
        let core = Core {
            layout: Layout::new(&options.name),
            cache: Cache::new(options.cache_bytes_max),
            parts: Semaphore::new(options.parts_at_once),
            turns: (0..TURNS).map(|_| Semaphore::new(1)).collect(),
            work: Semaphore::new(options.work_bytes().div_ceil(WORK_UNIT_BYTES)),
            used: AtomicI64::new(0),
            store,
            env,
            clock,
            options,
        };
        let shares = Self { core: Arc::new(core) };
        shares.refresh_used().await?;
        Ok(shares)
    }

    /// The store that they are in.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.core.store
    }

    /// The bounds they are kept within.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.core.options
    }

    /// The time that leases go by, in seconds since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.core.clock.now()
    }

    /// Whether nothing new is taken: as the server is told so, or as its store takes no writes as far as this handle knows.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.core.options.read_only || self.core.store.read_only().is_some()
    }

    /// How many bytes all shares have, as far as this handle knows without asking anybody.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        u64::try_from(self.core.used.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// How many bytes more there is room for; without a quota, as many as the protocol can say for sure.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        let quota = self.core.options.quota_bytes.unwrap_or(1 << 60);
        quota.saturating_sub(self.used_bytes())
    }

    /// Looks how many bytes all shares have, those that other processes have stored included.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn refresh_used(&self) -> Result<()> {
        let snapshot = self.core.store.snapshot(At::Latest).await?;
        let used = number(snapshot.get(self.core.layout.used()).await?);
        self.core.used.store(used, Ordering::Relaxed);
        metrics::gauge!(STORED).set(used as f64);
        Ok(())
    }

    /// How many shares there are.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn count(&self) -> Result<u64> {
        let snapshot = self.core.store.snapshot(At::Latest).await?;
        let count = number(snapshot.get(self.core.layout.count()).await?);
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Where the identity of the server is.
    pub(crate) fn identity_key(&self) -> Vec<u8> {
        self.layout().identity()
    }

    fn layout(&self) -> &Layout {
        &self.core.layout
    }

    /// A name for data that nothing else has.
    fn new_data(&self) -> DataId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.core.env.random().to_be_bytes());
        id[8..].copy_from_slice(&self.core.env.random().to_be_bytes());
        id
    }

    /// Waits until no other change of this file is under way in this process: they would only be in each other's way.
    async fn turn(&self, index: StorageIndex) -> SemaphorePermit<'_> {
        let line = u16::from_be_bytes([index.0[0], index.0[1]]) as usize % TURNS;
        self.core.turns[line].acquire().await.expect("nobody closes it")
    }

    /// Waits until there is memory for a request that holds so many bytes, or all there is.
    async fn memory(&self, bytes: u64) -> SemaphorePermit<'_> {
        let most = self.core.options.work_bytes();
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(most);
        let units = u32::try_from(bytes.div_ceil(WORK_UNIT_BYTES)).unwrap_or(u32::MAX);
        self.core.work.acquire_many(units).await.expect("nobody closes it")
    }

    /// What was added to the shares, for the counts of all.
    fn tally(&self, transaction: &Transaction, bytes: i64, shares: i64) -> Result<()> {
        if bytes != 0 {
            transaction.merge(self.layout().used(), Merge::Add(bytes))?;
        }
        if shares != 0 {
            transaction.merge(self.layout().count(), Merge::Add(shares))?;
        }
        Ok(())
    }

    /// That it is done.
    fn tallied(&self, bytes: i64) {
        let before = self.core.used.fetch_add(bytes, Ordering::Relaxed);
        metrics::gauge!(STORED).set((before + bytes) as f64);
    }

    /// Runs `closure` in a transaction and commits it. When nobody knows whether it was committed, it is found out.
    async fn transact<T, F>(&self, mut closure: impl FnMut(Transaction) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let run = |transaction: Transaction| {
            let done = closure(transaction);
            async move {
                done.await.map_err(|error| match error {
                    Error::Store(error) => error,
                    Error::Refused(refusal) => storage_txn::Error::abort(refusal),
                    other => storage_txn::Error::abort(other),
                })
            }
        };
        // On the heap, as the futures around it are large: a thread's stack has room for two of them, without optimisation.
        Ok(Box::pin(self.core.store.transact_settled(run)).await?.0)
    }
}

impl View<'_> {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(match self {
            Self::Inside(transaction) => transaction.get(key).await?,
            Self::At(snapshot) => snapshot.get(key).await?,
        })
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Item>> {
        Ok(match self {
            Self::Inside(transaction) => transaction.scan(scan).await?,
            Self::At(snapshot) => snapshot.scan(scan).await?.collect().await?,
        })
    }

    async fn slot(&self, layout: &Layout, index: StorageIndex) -> Result<Option<Slot>> {
        self.get(&layout.slot(index)).await?.map(decode).transpose()
    }
}

fn put(transaction: &Transaction, key: &[u8], record: &impl Message) -> Result<()> {
    Ok(transaction.put(key, record.encode_to_vec())?)
}

/// A number as the store keeps it.
fn number(value: Option<Bytes>) -> i64 {
    let bytes = value.and_then(|value| value.as_ref().try_into().ok());
    bytes.map_or(0, i64::from_le_bytes)
}

/// That a request is refused.
fn refused<T>(refusal: Refusal) -> Result<T> {
    Err(Error::Refused(refusal))
}

fn data_id(bytes: &[u8]) -> Result<DataId> {
    bytes.try_into().map_err(|_| Error::Damaged("data has a name that is not 16 bytes".into()))
}

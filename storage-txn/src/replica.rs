//! Replicas: a store's copy on another provider, which follows its log and can take its place.

mod copy;
mod fill;
mod follow;
mod hold;
mod promote;
mod status;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage_core::{Created, Env, PutIf, StorageProvider, StorageProviderExt};
use storage_log::{Head, ProviderLog, Slot};

use self::hold::Hold;
use crate::format::root::{LogAt, Root};
use crate::store::{format_key, key, prefix};
use crate::store_log::StoreLog;
use crate::{Error, ErrorKind, Place, Result, Version};

pub use promote::{Diverged, Promoted};
pub use status::{ReplicaStage, ReplicaStatus};

/// There once the copy is whole, and as long as it is.
const FILLED: &str = "replica/filled";
/// There once it has taken the place of the store it followed. Says where.
const PROMOTED: &str = "replica/promoted";

/// How a replica follows.
///
/// # Examples
///
/// ```
/// let mut options = storage_txn::ReplicaOptions::default();
/// options.objects_at_once = 16;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaOptions {
    /// How many objects are copied at once; each is held in memory.
    pub objects_at_once: usize,
    /// How many entries of the log are read at once.
    pub entries_at_once: usize,
    /// For how long the store keeps what is still to be copied, should this process end without a word. It is told again
    /// while it lives.
    pub hold: Duration,
}

impl Default for ReplicaOptions {
    fn default() -> Self {
        Self { objects_at_once: 4, entries_at_once: 16, hold: Duration::from_secs(3600) }
    }
}

/// How much was copied in one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaProgress {
    /// Whether everything that there is is being copied, and not only what is new.
    pub filling: bool,
    /// Entries of the log, tombstones among them.
    pub entries: u64,
    /// How many entries there are to copy in all, as far as that is known.
    pub entries_total: u64,
    /// Objects: segments, large values, checkpoints.
    pub objects: u64,
    /// The bytes of both.
    pub bytes: u64,
}

/// How far a replica has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Followed {
    /// The last version that it has.
    pub version: Version,
    /// When that was committed, since the Unix epoch.
    pub time: Duration,
    /// The slot of the log that ends with it.
    pub slot: u64,
    /// What was copied by this call.
    pub copied: ReplicaProgress,
}

/// A copy of a store on another provider. Everything that an entry of the log names is copied before the entry, and the
/// entries in their order, so at any time the copy is the store as it was at one of its versions: it can be opened and
/// read, and nothing is committed to it but what the store has.
///
/// One that was away for so long that the store has collected what it lacks is filled again; until that is done it cannot
/// be read. Several may follow for the same copy, to no use.
///
/// What was committed after the last entry that was copied is lost to who [promotes](Self::promote) the copy when the store
/// cannot be reached.
///
/// # Examples
///
/// ```
/// # use std::sync::Arc;
/// # use backend_memory::MemoryProvider;
/// # use storage_txn::{At, Options, Replica, ReplicaOptions, Store};
/// # #[tokio::main]
/// # async fn main() -> Result<(), storage_txn::Error> {
/// # let env = Arc::new(storage_wrappers::TokioEnv::new());
/// # let (home, away) = (Arc::new(MemoryProvider::new()), Arc::new(MemoryProvider::new()));
/// let store = Store::init(home.clone(), env.clone(), Options::default()).await?;
/// store.transact(async |tx| tx.put("a", "1")).await?;
///
/// let mut replica = Replica::begin(home, away.clone(), env.clone(), ReplicaOptions::default()).await?;
/// replica.follow(&mut |_| {}).await?;
/// let copy = Store::open(away.clone(), env.clone(), Options::default()).await?;
/// assert_eq!(copy.snapshot(At::Latest).await?.get("a").await?.as_deref(), Some(&b"1"[..]));
///
/// // It takes the place of the store, which commits nothing any more.
/// replica.promote(false, &mut |_| {}).await?;
/// let store = Store::open(away, env, Options::default()).await?;
/// store.transact(async |tx| tx.put("a", "2")).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Replica {
    source: Place,
    target: Arc<dyn StorageProvider>,
    env: Arc<dyn Env>,
    options: ReplicaOptions,
    root: Root,
    target_log: ProviderLog,
    /// The log that is followed, once it was asked for.
    source_log: Option<Arc<StoreLog>>,
    hold: Hold,
    /// Where the copy ends, once that is known.
    reached: Option<Reached>,
    /// Whether a flush was copied whose checkpoint was not.
    owes_checkpoint: bool,
}

/// The end of a copy.
#[derive(Debug, Clone, Copy)]
struct Reached {
    head: Head,
    version: Version,
    /// In microseconds since the Unix epoch.
    time: u64,
}

/// What is told while a replica copies.
type Tell<'a> = &'a mut (dyn FnMut(ReplicaProgress) + Send);

impl Replica {
    /// The copy of `source` on `target`; begins one where there is none, which copies nothing yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::StoreExists`] when `target` keeps another store, or one that is no replica any more;
    /// [`ErrorKind::NoStore`] when there is none on `source`; [`ErrorKind::Storage`] also of a target that cannot put on
    /// condition that the key is absent.
    pub async fn begin(
        source: impl Into<Place>,
        target: Arc<dyn StorageProvider>,
        env: Arc<dyn Env>,
        options: ReplicaOptions,
    ) -> Result<Self> {
        let source = source.into();
        let id = source.root().await?.id;
        let root = Root { id, log: LogAt::Provider, is_replica: true };
        let found = match target.create_exact(&format_key()?, root.encode()).await? {
            Created::Ours(_) => root,
            Created::Taken(object) => Root::decode(&object.body)?,
        };
        if found.id != id {
            return Err(Error::new(
                ErrorKind::StoreExists,
                format!("{} keeps another store, {}", target.info().name, found.id),
            ));
        }
        Self::new(source, target, env, options, found).await
    }

    /// The copy on `target`, as [`begin`](Self::begin), where there is one already; `source` need not be reachable.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoStore`], and those of [`begin`](Self::begin).
    pub async fn open(
        source: impl Into<Place>,
        target: Arc<dyn StorageProvider>,
        env: Arc<dyn Env>,
        options: ReplicaOptions,
    ) -> Result<Self> {
        let root = Place::from(target.clone()).root().await?;
        Self::new(source.into(), target, env, options, root).await
    }

    async fn new(
        source: Place,
        target: Arc<dyn StorageProvider>,
        env: Arc<dyn Env>,
        options: ReplicaOptions,
        root: Root,
    ) -> Result<Self> {
        let is_promoted = async || target.try_get(&key(PROMOTED)?).await.map_err(Error::from);
        if root.log != LogAt::Provider || (!root.is_replica && is_promoted().await?.is_none()) {
            let message = format!("the store on {} is no replica", target.info().name);
            return Err(Error::new(ErrorKind::StoreExists, message));
        }
        let target_log = ProviderLog::new(target.clone(), prefix("log/")?, root.id)?;
        let hold = Hold::new(source.objects.clone(), env.clone(), options.hold);
        Ok(Self {
            source,
            target,
            env,
            options,
            root,
            target_log,
            source_log: None,
            hold,
            reached: None,
            owes_checkpoint: true,
        })
    }

    /// The log that is followed.
    async fn source_log(&mut self) -> Result<Arc<StoreLog>> {
        if let Some(log) = &self.source_log {
            return Ok(log.clone());
        }
        let root = self.source.root().await?;
        if root.id != self.root.id {
            return Err(Error::new(
                ErrorKind::StoreExists,
                format!(
                    "{} is the copy of the store {}, and {} keeps {}",
                    self.target.info().name,
                    self.root.id,
                    self.source.name(),
                    root.id
                ),
            ));
        }
        let log = self.source.log(root, &self.env).await?;
        self.source_log = Some(log.clone());
        Ok(log)
    }

    async fn is_there(&self, name: &str) -> Result<bool> {
        Ok(self.target.try_get(&key(name)?).await?.is_some())
    }

    async fn mark(&self, name: &str, body: impl Into<Bytes> + Send) -> Result<()> {
        self.target.put(&key(name)?, body.into(), PutIf::Always).await?;
        Ok(())
    }
}

/// Whether the replica on a place has taken the place of its store.
///
/// # Errors
///
/// [`ErrorKind::ReadOnly`] when it has not, and cannot be read either.
pub(crate) async fn is_promoted(place: &Place) -> Result<bool> {
    let there = async |name| Ok::<_, Error>(place.objects.try_get(&key(name)?).await?.is_some());
    if there(PROMOTED).await? {
        return Ok(true);
    }
    if there(FILLED).await? {
        return Ok(false);
    }
    Err(Error::new(
        ErrorKind::ReadOnly,
        format!(
            "the replica on {} is not whole yet, so there is nothing to read: let it follow its store first",
            place.name()
        ),
    ))
}

/// Whether the entry in a slot is one that was copied from the store that this one follows, or has followed until it was
/// promoted.
///
/// # Errors
///
/// What the provider of the objects fails with.
pub(crate) async fn is_copied(place: &Place, root: Root, slot: Slot) -> Result<bool> {
    match place.objects.try_get(&key(PROMOTED)?).await? {
        Some(object) => Ok(slot <= promote::Fork::decode(&object.body)?.head.slot),
        None => Ok(root.is_replica),
    }
}

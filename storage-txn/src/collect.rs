//! Collection: what nothing needs any more is deleted.

mod checkpoints;
mod entries;
mod obsolete;
mod sessions;

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use storage_core::{Key, StorageProviderExt};

use crate::change::Change;
use crate::pin::PinName;
use crate::shared::Shared;
use crate::system::{COLLECTED, OBSOLETE, Tombstones};
use crate::writes::Writes;
use crate::{Error, ErrorKind, Result, Store, Version, space};

/// How often a collection begins its last commit again because another one was faster.
const ATTEMPTS_MAX: usize = 8;

/// What [`Store::collect`] deletes and what it leaves.
///
/// None of these times is needed for safety: they only spare others the trouble of beginning anew.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectOptions {
    /// For how long what the store no longer needs is left to those who have not heard of it: objects that were taken
    /// out of the index, checkpoints, entries of the log. By the wall clock.
    pub grace: Duration,
    /// For how long a handle must have given no sign of life until what it stored and never named is taken from it.
    /// Should be several times [`SESSION_BEAT`](crate::SESSION_BEAT), and longer than the longest upload.
    pub session_grace: Duration,
    /// How many checkpoints are kept at least, each of which can be read, and the log after the oldest. At least 2.
    pub checkpoints_kept: usize,
    /// How many of the last entries of the log are kept at least.
    pub entries_kept: u64,
    /// Also looks for what no list names, by listing everything: what a handle stored after it was taken for dead.
    pub sweep: bool,
    /// Tells what would be deleted, as far as that can be told without writing, and deletes nothing.
    pub dry_run: bool,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(3600),
            session_grace: Duration::from_secs(86_400),
            checkpoints_kept: 2,
            entries_kept: 0,
            sweep: false,
            dry_run: false,
        }
    }
}

/// What a collection has deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// Entries of the log that were replaced by tombstones.
    pub entries: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Segments.
    pub segments: u64,
    /// Large values.
    pub values: u64,
    /// Pins that had ended.
    pub pins: u64,
    /// Sessions that were taken for dead in the middle of something, and commit no more.
    pub sessions_reaped: u64,
    /// Objects of sessions that were ended: those that were reaped, and those that had left nothing behind.
    pub sessions: u64,
    /// How many bytes all of it had, as far as that is known.
    pub bytes: u64,
}

impl Store {
    /// Deletes what nothing needs any more: objects that compaction took out of the index, old checkpoints, what is in
    /// segments of the log, what handles that are gone have left behind. Snapshots, history and tags lose nothing by it.
    ///
    /// Any process may call it at any time, several at once too, and one that was stopped in the middle is made up for
    /// by the next. With nothing to delete it takes four requests, one for each
    /// other handle that stores things, and as many as a search takes among checkpoints that are not old enough.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] before anything goes that something damaged would be needed for,
    /// [`ErrorKind::LimitExceeded`] for fewer than two checkpoints kept, [`ErrorKind::SessionReaped`],
    /// [`ErrorKind::Storage`], [`ErrorKind::CommitUnknown`], [`ErrorKind::Conflict`] when other processes were always
    /// faster. Call it again.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// # use storage_txn::{CollectOptions, Options, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// for day in 0..3 {
    ///     store.transact(async |tx| tx.put("day", format!("{day}"))).await?;
    ///     store.flush().await?;
    /// }
    /// let mut options = CollectOptions::default();
    /// options.grace = Duration::ZERO;
    /// let collected = store.collect(&options).await?;
    /// assert_eq!((collected.entries, collected.checkpoints), (3, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn collect(&self, options: &CollectOptions) -> Result<Collected> {
        if options.checkpoints_kept < 2 {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("at least 2 checkpoints are kept, not {}", options.checkpoints_kept),
            ));
        }
        let shared = &self.shared;
        shared.refresh().await?;
        if !options.dry_run {
            shared.check_writable()?;
        }
        let mut collection =
            Collection { shared, options, done: Collected::default(), live: Vec::new() };
        collection.run().await?;
        Ok(collection.done)
    }
}

/// A collection under way.
struct Collection<'a> {
    shared: &'a Arc<Shared>,
    options: &'a CollectOptions,
    done: Collected,
    /// The versions that are pinned.
    live: Vec<Version>,
}

impl Collection<'_> {
    async fn run(&mut self) -> Result<()> {
        // What is to go is told by the state of now; the pins are listed after it.
        let system = self.shared.state().view.system.clone();
        let obsolete = system.obsolete()?;
        self.pins().await?;
        let gone = self.obsolete(&system, obsolete).await?;
        self.sessions().await?;
        let tombstones = self.log().await?;
        self.write_down(&gone, tombstones).await
    }

    /// Deletes the pins that have ended and takes note of the others.
    async fn pins(&mut self) -> Result<()> {
        let wall = self.shared.env.wall();
        let (expired, live): (Vec<PinName>, Vec<_>) =
            self.shared.pins().await?.into_iter().partition(|pin| pin.has_expired(wall));
        self.live = live.into_iter().map(|pin| pin.version).collect();
        self.done.pins = expired.len() as u64;
        let names: Result<Vec<_>> = expired.into_iter().map(PinName::key).collect();
        self.delete(names?).await
    }

    /// Commits what is to be known of what was deleted: which objects are gone, and up to where the log is.
    async fn write_down(&self, gone: &[Key], tombstones: Option<Tombstones>) -> Result<()> {
        for _ in 0..ATTEMPTS_MAX {
            let system = self.shared.state().view.system.clone();
            let mut writes = Writes::default();
            let mut required = Vec::new();
            for key in gone {
                let name = format!("{OBSOLETE}{key}");
                // Another collection may have been here too.
                if system.get(name.as_bytes()).is_some() {
                    writes.change(space::system(name.as_bytes()), Change::Delete)?;
                }
            }
            let before = system.tombstones()?;
            if let Some(now) = tombstones.as_ref().filter(|now| now.slot > before.slot) {
                let value = now.encode_to_vec().into();
                writes.change(space::system(COLLECTED), Change::Put(value))?;
                required.push((space::system(COLLECTED), system.get(COLLECTED).map(|(at, _)| at)));
            }
            if writes.is_empty() || self.options.dry_run {
                return Ok(());
            }
            match self.shared.commit_system(writes, required, "collect").await {
                Err(error) if error.kind() == ErrorKind::PreconditionFailed => {}
                result => return result,
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            format!("another process was faster at each of {ATTEMPTS_MAX} attempts to collect"),
        ))
    }

    async fn delete(&self, keys: Vec<Key>) -> Result<()> {
        if self.options.dry_run {
            return Ok(());
        }
        self.shared.shelf.provider.delete_many(keys).await.map_err(|error| {
            let kind = error.failures.first().map(|(_, error)| error.kind());
            let kind = kind.unwrap_or(storage_core::ErrorKind::Unavailable);
            Error::new(ErrorKind::Storage(kind), error.to_string()).with_source(error)
        })
    }

    /// Whether what has this time, in microseconds since the Unix epoch, has been left long enough.
    fn is_past_grace(&self, time: u64) -> bool {
        // Who wants none does not ask whose clock is right either.
        self.options.grace.is_zero()
            || Duration::from_micros(time).saturating_add(self.options.grace)
                <= self.shared.env.wall()
    }
}

//! What there is of a store, in numbers.

use std::time::Duration;

use storage_log::CommitLog;

use crate::checkpoint::newest_name;
use crate::compact::count_runs;
use crate::format::checkpoint::Checkpoint;
use crate::shared::Shared;
use crate::{CopyProgress, Result, Store, Version, VoterChange, VoterId, VoterState, VoterStatus};

/// How large a store is, and how far its maintenance has come.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreInfo {
    /// The id of the store: 32 hexadecimal digits, drawn when it was made.
    pub id: String,
    /// The last version.
    pub version: Version,
    /// When that was committed, since the Unix epoch; 0 of a store without a commit.
    pub time: Duration,
    /// Nothing is told of versions before this one, but of those with tags; [`Version::ZERO`] as long as nothing was
    /// [packed away](Store::pack).
    pub horizon: Version,
    /// Everything up to this version is in segments.
    pub flushed: Version,
    /// How many segments there are.
    pub segments: u64,
    /// How many bytes they have as they are stored, compressed.
    pub segment_bytes: u64,
    /// How many runs they form: segments that were made together. A read may have to ask one of each.
    pub runs: u64,
    /// How many objects were replaced and wait to be collected.
    pub garbage_objects: u64,
    /// How many bytes these have.
    pub garbage_bytes: u64,
    /// How many changes of keys are in them, the store's own records among them.
    pub segment_changes: u64,
    /// The slot of the log that the newest checkpoint covers, with all before it; `None` if there is no checkpoint.
    pub checkpoint_slot: Option<u64>,
    /// The last slot of the log.
    pub log_slot: u64,
    /// How many bytes of keys and values this handle has in memory that are not in segments yet.
    pub memory_bytes: u64,
    /// How many bytes of segments this handle keeps in memory to read them again.
    pub cache_bytes: u64,
    /// Who votes on the log, and how each of them is; nobody where one provider decides alone.
    pub voters: Vec<VoterStatus>,
}

impl StoreInfo {
    /// How many entries of the log whoever opens the store now has to read.
    #[must_use]
    pub fn tail_entries(&self) -> u64 {
        self.log_slot.saturating_sub(self.checkpoint_slot.unwrap_or_default())
    }
}

impl Store {
    /// How large the store is at its latest version. Two requests, and what this handle has not read of the log; where
    /// that is on a quorum, two for each voter besides.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), [`ErrorKind::Storage`](crate::ErrorKind::Storage).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{Options, Store, Version};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// store.transact(async |tx| tx.put("a", "1")).await?;
    /// let info = store.info().await?;
    /// assert_eq!((info.version, info.segments, info.tail_entries()), (Version(1), 0, 1));
    /// store.flush().await?;
    /// assert_eq!(store.info().await?.flushed, Version(1));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn info(&self) -> Result<StoreInfo> {
        self.shared.refresh().await?;
        let newest = newest_name(&*self.shared.shelf.provider).await?;
        let voters = self.shared.log.status().await?;
        let state = self.shared.state();
        let system = &state.view.system;
        let segments = system.segments()?;
        let obsolete = system.obsolete()?;
        let flushed = system.flushed()?.map_or(Version::ZERO, |flushed| Version(flushed.version));
        Ok(StoreInfo {
            id: self.shared.log.id().to_string(),
            version: state.version,
            time: Duration::from_micros(state.time),
            horizon: system.horizon()?,
            flushed,
            segments: segments.len() as u64,
            runs: count_runs(segments.iter().map(|(id, _, about)| (*id, about.run))),
            garbage_objects: obsolete.len() as u64,
            garbage_bytes: obsolete.iter().map(|(_, _, about)| about.bytes).sum(),
            segment_bytes: segments.iter().map(|(_, _, about)| about.bytes).sum(),
            segment_changes: segments.iter().map(|(_, _, about)| about.changes).sum(),
            checkpoint_slot: newest.and_then(|listed| Checkpoint::slot(&listed.key)),
            log_slot: state.head.slot.0,
            memory_bytes: state.memory_bytes() as u64,
            cache_bytes: self.shared.shelf.cache.bytes(),
            voters,
        })
    }

    /// Puts another voter in the place of each that was lost, where the log is on a quorum: in a place that was wiped or
    /// replaced, which keeps its name. All that was decided is copied to it first, and the store may be used meanwhile.
    /// Tells who they are.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`](crate::ErrorKind::Storage): what the voters fail with, of which all have to answer; and
    /// [`Conflict`](storage_core::ErrorKind::Conflict) when somebody else has changed the voters meanwhile.
    pub async fn mend_voters(&self) -> Result<Vec<VoterId>> {
        // Not those of a place that the log has left.
        self.shared.refresh().await?;
        let mended = self.shared.log.mend().await?;
        self.name_store_on_voters().await;
        Ok(mended)
    }

    /// Adds, removes or replaces one voter, where the log is on a quorum and while the store is used, by whatever
    /// processes; says whether there was anything to do. Numbers are of the voters as the [`Place`](crate::Place) names them, and
    /// after them of its [spares](crate::Place::with_spares). `tell` is told how far a new voter has been brought.
    ///
    /// A new voter has everything before it votes, and when this returns those who vote have everything without one that was
    /// let go, which may be wiped then. Done again, it goes on where it was stopped. Processes that were not told of a
    /// provider that votes now go on with the others, and where these are too few are refused with
    /// [`Misconfigured`](storage_core::ErrorKind::Misconfigured), so name it as a spare to all of them first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`](crate::ErrorKind::Storage): [`Misconfigured`](storage_core::ErrorKind::Misconfigured) where nobody
    /// votes, where one who would have to be a voter is none, and where fewer than three would be left;
    /// [`Unavailable`](storage_core::ErrorKind::Unavailable) where too few voters answer, of now or then;
    /// [`Conflict`](storage_core::ErrorKind::Conflict) when somebody else has changed the voters meanwhile; what providers fail
    /// with.
    ///
    /// # Panics
    ///
    /// If the place names no provider of a number.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use backend_memory::MemoryProvider;
    /// use storage_core::StorageProvider;
    /// use storage_txn::{Options, Place, Store, VoterChange};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    ///
    /// let cloud = || Arc::new(MemoryProvider::new()) as Arc<dyn StorageProvider>;
    /// let place = Place::quorum([cloud(), cloud(), cloud()], cloud()).with_spares([cloud()]);
    /// let store = Store::init(place, env, Options::default()).await?;
    /// store.transact(async |tx| tx.put("a", "1")).await?;
    /// assert!(store.change_voters(VoterChange::Replace { old: 0, new: 3 }, &|_| ()).await?);
    /// assert!(!store.change_voters(VoterChange::Add(3), &|_| ()).await?, "it votes already");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn change_voters(
        &self,
        change: VoterChange,
        tell: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<bool> {
        self.shared.refresh().await?;
        let Shared { log, place, .. } = &*self.shared;
        if let VoterChange::Add(new) | VoterChange::Replace { new, .. } = change
            && log.leg().quorum.is_some()
        {
            place.check_free(new, log.root()).await?;
        }
        let is_changed = log.change_voters(change, tell).await?;
        self.name_store_on_voters().await;
        Ok(is_changed)
    }

    /// Has each voter that answers say which store it votes for. That is needed only where `format` is lost, and done again
    /// with each change, so it fails nothing.
    async fn name_store_on_voters(&self) {
        let Ok(voters) = self.shared.log.status().await else { return };
        let answering = voters
            .into_iter()
            .filter(|voter| matches!(voter.state, VoterState::Current | VoterState::Behind(_)));
        let names: Vec<_> = answering.filter_map(|voter| voter.provider).collect();
        let _ = self.shared.place.name_store_on(&names, self.shared.log.root()).await;
    }
}

//! Compaction: segments are merged, so that there are few, and what is current is apart from what was.
//!
//! Any process may do it at any time. What it reads never changes, and what it writes is named by a commit that takes
//! the names of what it read out of the index, on condition that they are still there: of two that compact the same
//! segments, one wins.

mod job;
mod kept;
mod merge;
mod output;
mod pace;
mod pack;
mod pick;
mod sort;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_channel::oneshot;
use prost::Message;
use storage_core::StorageProviderExt;
use storage_log::planted::planted;

use crate::change::Change;
use crate::compact::job::Job;
use crate::compact::kept::Kept;
pub(crate) use crate::compact::pick::count_runs;
use crate::compact::pick::{Named, surplus, untidy};
use crate::flush::ATTEMPTS_MAX;
use crate::format::segment::SegmentRef;
use crate::format::value::ValueId;
use crate::reads::Reads;
use crate::shared::Shared;
use crate::store::key;
use crate::system::{HORIZON, Obsolete, System, TAGS, make_obsolete};
use crate::view::Walk;
use crate::writes::{Range, Writes};
use crate::{Error, ErrorKind, Result, Store, Version, space};

impl Store {
    /// Merges all segments: what is current into one run in which each key is once, and what was into others, which
    /// reading the present never opens. Whatever could be read before can be read after. Flushes first.
    ///
    /// The newest runs are merged in the background too, when there are more than
    /// [`compaction_fanout`](crate::Options::compaction_fanout) of them after a flush in the background. What is merged
    /// stays stored until it is collected. Costs nothing when there is nothing to merge.
    ///
    /// May be dropped: it goes on in the background then.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`], [`ErrorKind::Corrupt`], [`ErrorKind::Conflict`] when other processes were always
    /// faster, [`ErrorKind::CommitUnknown`], [`ErrorKind::SessionReaped`]. Nothing is lost by any of them.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{At, Options, Store, Version};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// for day in ["monday", "tuesday"] {
    ///     store.transact(async |tx| tx.put("today", day)).await?;
    /// }
    /// store.compact().await?;
    /// let then = store.snapshot(At::Version(Version(1))).await?;
    /// assert_eq!(then.get("today").await?.as_deref(), Some(&b"monday"[..]));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn compact(&self) -> Result<()> {
        self.shared.flush().await?;
        self.shared.ask_to_compact(Task::All).await.map(drop)
    }

    /// Merges runs of segments where there are more than [`compaction_fanout`](crate::Options::compaction_fanout), and
    /// does nothing where there are not: what a handle does by itself once it has flushed in the background. For one that
    /// flushes only when it is asked to. Others may do it at the same time: whoever is faster goes on with it.
    ///
    /// # Errors
    ///
    /// Those of [`compact`](Self::compact).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{Options, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// for day in 0..9 {
    ///     store.transact(async |tx| tx.put("day", format!("{day}"))).await?;
    ///     store.flush().await?;
    /// }
    /// assert_eq!(store.info().await?.runs, 9);
    /// store.compact_if_due().await?;
    /// assert!(store.info().await?.runs <= 4 + 3);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn compact_if_due(&self) -> Result<()> {
        self.shared.ask_to_compact(Task::Surplus).await.map(drop)
    }
}

/// The compactions of a handle: one at a time.
#[derive(Debug, Default)]
pub(crate) struct Compactions {
    running: bool,
    /// Whether to look for too many runs, for nobody who waits.
    wanted: bool,
    waiting: Vec<(Task, oneshot::Sender<Result<Version>>)>,
    failed: Option<Error>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy)]
enum Task {
    /// So many runs that not too many are left.
    Surplus,
    All,
    /// All, and without what was before.
    Pack(Version),
}

/// Held by the task that compacts. When that is stopped with its runtime, whoever waits is let go.
struct Running {
    shared: Arc<Shared>,
    finished: bool,
}

impl Running {
    async fn run(mut self) {
        self.shared.work_off_compactions().await;
        self.finished = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.finished {
            *self.shared.compactions() = Compactions::default();
        }
    }
}

impl Shared {
    /// Starts compactions in the background, if there are too many runs.
    pub(crate) fn compact_if_due(self: &Arc<Self>) {
        self.compactions().wanted = true;
        self.start_compactions();
    }

    /// Why the last compaction failed, if it did.
    pub(crate) fn compaction_error(&self) -> Option<Error> {
        self.compactions().failed.as_ref().map(Error::shared)
    }

    /// The horizon after it was done.
    async fn ask_to_compact(self: &Arc<Self>, task: Task) -> Result<Version> {
        self.check_writable()?;
        let (sender, receiver) = oneshot::channel();
        self.compactions().waiting.push((task, sender));
        self.start_compactions();
        receiver.await.unwrap_or_else(|oneshot::Canceled| {
            Err(Error::new(
                ErrorKind::Storage(storage_core::ErrorKind::Unavailable),
                "the task that compacts was stopped",
            ))
        })
    }

    fn start_compactions(self: &Arc<Self>) {
        if !std::mem::replace(&mut self.compactions().running, true) {
            let running = Running { shared: self.clone(), finished: false };
            self.env.spawn(Box::pin(running.run()));
        }
    }

    async fn work_off_compactions(self: &Arc<Self>) {
        loop {
            let (wanted, waiting) = {
                let mut compactions = self.compactions();
                if compactions.waiting.is_empty() && !compactions.wanted {
                    compactions.running = false;
                    return;
                }
                let wanted = std::mem::replace(&mut compactions.wanted, false);
                (wanted, std::mem::take(&mut compactions.waiting))
            };
            if wanted {
                let result = self.do_task(Task::Surplus).await;
                self.compactions().failed = result.err();
            }
            for (task, sender) in waiting {
                let result = self.do_task(task).await;
                self.compactions().failed = result.as_ref().err().map(Error::shared);
                // One who no longer waits does not mind.
                let _ = sender.send(result);
            }
        }
    }

    /// Does it again until there is nothing left to do, or others were always faster.
    async fn do_task(self: &Arc<Self>, task: Task) -> Result<Version> {
        let mut lost = 0;
        loop {
            if let Task::Pack(_) = task {
                // Else cursors that others have set before this began would be passed over.
                self.refresh().await?;
            }
            let (system, version) = {
                let state = self.state();
                // Segments that may be lost are not to be read. The next flush makes up for them.
                if state.is_whole() {
                    return Ok(Version::ZERO);
                }
                (state.view.system.clone(), state.version)
            };
            let horizon = match task {
                Task::Surplus | Task::All => system.horizon()?,
                Task::Pack(before) => self.horizon_for(&system, version, before).await?,
            };
            let mut job = Job::default();
            let result = match self.run(task, &system, horizon, &mut job).await {
                Ok(()) if job.replaced.is_empty() && horizon == system.horizon()? => {
                    return Ok(horizon);
                }
                Ok(()) => self.commit_job(&job, &system, version, horizon).await,
                Err(error) => Err(error),
            };
            let Err(mut error) = result else {
                self.counts.compactions.one();
                self.write_checkpoint().await?;
                match task {
                    // There may be too many runs of history now.
                    Task::Surplus => continue,
                    Task::All | Task::Pack(_) => return Ok(horizon),
                }
            };
            if matches!(error.kind(), ErrorKind::CommitUnknown(_)) {
                // The entry that names the segments may yet appear.
                return Err(error);
            }
            let names: Result<Vec<_>> =
                job.made.iter().map(|(id, _)| key(id.to_string())).collect();
            let deleted = self.shelf.provider.delete_many(names?).await;
            if let Some(missing) = error.missing_object().cloned() {
                // It may have been compacted and collected since this handle read the log.
                self.refresh().await?;
                if !self.state().view.system.names_object(&missing) {
                    let message = format!("{missing} was compacted by another process");
                    error = Error::new(ErrorKind::PreconditionFailed, message).with_source(error);
                }
            }
            // Another may have packed further, and what this one was reading may be collected.
            let overtaken = matches!(
                error.kind(),
                ErrorKind::PreconditionFailed | ErrorKind::Conflict | ErrorKind::SnapshotExpired
            );
            match task {
                _ if !overtaken => return Err(error),
                // Whoever was faster goes on with it.
                Task::Surplus => return Ok(horizon),
                Task::All | Task::Pack(_) => {}
            }
            deleted.map_err(|failed| {
                let message = format!("segments that nobody names could not be deleted: {failed}");
                let kind = ErrorKind::Storage(storage_core::ErrorKind::Unavailable);
                Error::new(kind, message).with_source(failed)
            })?;
            lost += 1;
            if lost == ATTEMPTS_MAX {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("another process was faster at each of {ATTEMPTS_MAX} compactions"),
                ));
            }
        }
    }

    async fn run(
        self: &Arc<Self>,
        task: Task,
        system: &System,
        horizon: Version,
        job: &mut Job,
    ) -> Result<()> {
        let runs_max = self.options.compaction_fanout;
        let kept = Kept::of(system, horizon)?;
        let is_history = |named: &Named| named.2.superseded != 0;
        let (history, current): (Vec<_>, Vec<_>) =
            system.segments()?.into_iter().partition(is_history);
        match task {
            Task::Surplus => match surplus(current.clone(), runs_max) {
                Some(inputs) => self.compact_current(inputs, &current, &kept, job).await,
                None => self.compact_history(history, &kept, job).await,
            },
            Task::All => {
                let inputs = untidy(&current, &kept);
                self.compact_current(inputs, &current, &kept, job).await?;
                self.compact_history(history, &kept, job).await
            }
            Task::Pack(_) => {
                let inputs = untidy(&current, &kept);
                self.compact_current(inputs, &current, &kept, job).await?;
                let thinning = pick::thinning(history, &kept);
                job.history(self, thinning.thinned, &kept).await?;
                job.replaced.extend(thinning.dropped);
                Ok(())
            }
        }
    }

    /// Merges runs of history, if there are too many. One less than of what is current, as who reads the past reads both.
    async fn compact_history(
        self: &Arc<Self>,
        history: Vec<Named>,
        kept: &Kept,
        job: &mut Job,
    ) -> Result<()> {
        let runs_max = self.options.compaction_fanout.saturating_sub(1);
        match surplus(history, runs_max) {
            Some(inputs) => job.history(self, inputs, kept).await,
            None => Ok(()),
        }
    }

    async fn compact_current(
        self: &Arc<Self>,
        inputs: Vec<Named>,
        all: &[Named],
        kept: &Kept,
        job: &mut Job,
    ) -> Result<()> {
        let is_input = |id| inputs.iter().any(|input| input.0 == id);
        let others: Vec<SegmentRef> =
            all.iter().filter(|named| !is_input(named.0)).map(|named| named.2.clone()).collect();
        job.current(self, inputs, &others, kept).await
    }

    /// Whether segments are still named as they were, as far as this handle knows.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PreconditionFailed`], so that no more work is done for nothing.
    pub(crate) fn still_name(&self, segments: &[Named]) -> Result<()> {
        let system = self.state().view.system.clone();
        for (id, named_at, _) in segments {
            if system.get(id.to_string().as_bytes()).map(|(at, _)| at) != Some(*named_at) {
                return Err(Error::new(
                    ErrorKind::PreconditionFailed,
                    format!("{id} was compacted by another process"),
                ));
            }
        }
        Ok(())
    }

    /// Commits that some segments stand for others, and the horizon, if that is another than it was.
    async fn commit_job(
        self: &Arc<Self>,
        job: &Job,
        system: &System,
        version: Version,
        horizon: Version,
    ) -> Result<()> {
        let mut writes = Writes::default();
        let mut required = Vec::new();
        let mut reads = Reads::default();
        let time = self.wall_micros();
        for (id, named_at, about) in &job.replaced {
            let name = space::system(id.to_string().as_bytes());
            writes.change(name.clone(), Change::Delete)?;
            let obsolete = Obsolete { time, bytes: about.bytes };
            make_obsolete(&mut writes, &key(id.to_string())?, &obsolete)?;
            if !planted("compaction-takes-what-is-no-longer-there") {
                required.push((name, Some(*named_at)));
            }
        }
        for (id, about) in &job.made {
            let name = space::system(id.to_string().as_bytes());
            writes.change(name, Change::Put(about.encode_to_vec().into()))?;
        }
        self.release(&job.released, version, &mut writes, &mut reads).await?;
        let message = if horizon == system.horizon()? {
            "compact"
        } else {
            let name = space::system(HORIZON);
            let higher = u64::from(planted("pack-goes-one-too-far"));
            let value = Bytes::copy_from_slice(&(horizon.0 + higher).to_be_bytes());
            writes.change(name.clone(), Change::Put(value))?;
            required.push((name, system.get(HORIZON).map(|(at, _)| at)));
            // A tag that was set meanwhile may be one of what is taken away.
            let tags = space::system(TAGS.as_bytes());
            let end = [&tags[..tags.len() - 1], &[tags[tags.len() - 1] + 1]].concat();
            if !planted("pack-does-not-look-for-new-tags") {
                reads.range(Range { start: tags, end: end.into() });
            }
            "pack"
        };
        self.commit_system_read(writes, required, reads, version, message).await
    }

    /// Says that large values are no longer put by what put them; and of those that nothing puts any more, that they are
    /// obsolete, on condition that nothing has put them meanwhile.
    async fn release(
        &self,
        released: &[(ValueId, Version, Bytes)],
        version: Version,
        writes: &mut Writes,
        reads: &mut Reads,
    ) -> Result<()> {
        let mut needless: BTreeMap<ValueId, BTreeSet<Bytes>> = BTreeMap::new();
        for (id, put_at, by) in released {
            let record = space::value(*id, *put_at, by);
            if !planted("pack-leaves-records-of-values") {
                writes.change(record.clone(), Change::Delete)?;
            }
            needless.entry(*id).or_default().insert(record);
        }
        let view = self.state().view.clone();
        for (id, records) in needless {
            let range = space::values(id);
            let mut walk = Walk::new(&view, version, &range, false, None).await?;
            let mut is_needed = false;
            while let Some((record, _, _)) = walk.next().await?
                && !is_needed
            {
                is_needed = !records.contains(&record);
            }
            if !is_needed || planted("pack-deletes-values-that-have-copies") {
                let obsolete = Obsolete { time: self.wall_micros(), bytes: 0 };
                make_obsolete(writes, &key(id.to_string())?, &obsolete)?;
                if !planted("pack-does-not-look-for-new-copies") {
                    reads.range(range);
                }
            }
        }
        Ok(())
    }

    fn compactions(&self) -> MutexGuard<'_, Compactions> {
        // Nothing that holds the lock can panic.
        self.compactions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

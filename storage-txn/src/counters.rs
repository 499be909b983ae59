//! What a handle has done, counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Store;

/// What this handle has done since it was opened. All but the time only ever grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Transactions that it has committed, the store's own among them.
    pub commits: u64,
    /// Transactions that were not, since what they had read was changed by others: also those that were then run again.
    pub conflicts: u64,
    /// Transactions of which nobody knew at first whether they were committed.
    pub unknown: u64,
    /// Entries of the log in which its transactions stand: with [`commits`](Self::commits), how large batches are.
    pub entries: u64,
    /// Bytes of these entries.
    pub entry_bytes: u64,
    /// Slots of the log that it went for and another won.
    pub slots_lost: u64,
    /// Transactions that a [combiner](crate::Store::combine_through) has dealt with. They are not among
    /// [`commits`](Self::commits): the combiner counts them.
    pub handed_over: u64,
    /// Times that a combiner gave no answer that helped, and this handle went on by itself.
    pub handovers_failed: u64,
    /// Transactions that were [taken](crate::Store::combine) from other handles.
    pub taken_over: u64,
    /// Parts of segments that were found in memory.
    pub cache_hits: u64,
    /// Parts of segments that had to be read.
    pub cache_misses: u64,
    /// Flushes: how often what was in memory went into segments.
    pub flushes: u64,
    /// Compactions: how often segments were put in the place of others.
    pub compactions: u64,
    /// Bytes of segments that compactions have read. They write about as many, or less.
    pub compaction_read_bytes: u64,
    /// Checkpoints that were written.
    pub checkpoints: u64,
    /// When the last of them was, since the Unix epoch; 0 before the first.
    pub last_checkpoint: Duration,
}

/// The same, being counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) commits: Count,
    pub(crate) conflicts: Count,
    pub(crate) unknown: Count,
    pub(crate) entries: Count,
    pub(crate) entry_bytes: Count,
    pub(crate) slots_lost: Count,
    pub(crate) handed_over: Count,
    pub(crate) handovers_failed: Count,
    pub(crate) taken_over: Count,
    pub(crate) flushes: Count,
    pub(crate) compactions: Count,
    pub(crate) compaction_read_bytes: Count,
    pub(crate) checkpoints: Count,
    /// In microseconds since the Unix epoch.
    pub(crate) last_checkpoint: AtomicU64,
}

/// A number that grows. Nothing depends on it, so it need not be in step with anything else.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Store {
    /// What this handle has done so far. Makes no request.
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
    /// let before = store.counters();
    /// store.transact(async |tx| tx.put("a", "1")).await?;
    /// let after = store.counters();
    /// assert_eq!((after.commits - before.commits, after.entries - before.entries), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn counters(&self) -> Counters {
        let counts = &self.shared.counts;
        let (cache_hits, cache_misses) = self.shared.shelf.cache.counted();
        Counters {
            commits: counts.commits.get(),
            conflicts: counts.conflicts.get(),
            unknown: counts.unknown.get(),
            entries: counts.entries.get(),
            entry_bytes: counts.entry_bytes.get(),
            slots_lost: counts.slots_lost.get(),
            handed_over: counts.handed_over.get(),
            handovers_failed: counts.handovers_failed.get(),
            taken_over: counts.taken_over.get(),
            cache_hits,
            cache_misses,
            flushes: counts.flushes.get(),
            compactions: counts.compactions.get(),
            compaction_read_bytes: counts.compaction_read_bytes.get(),
            checkpoints: counts.checkpoints.get(),
            last_checkpoint: Duration::from_micros(counts.last_checkpoint.load(Ordering::Relaxed)),
        }
    }
}

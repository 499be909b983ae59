//! Measuring one kind of operation with so many under way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use storage_core::StorageProvider;
use storage_txn::{At, Store};
use storage_wrappers::{Counted, Counts};

use crate::commands::store::commit::Label;

/// What is measured, in the order in which it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// A transaction that puts one key of its own.
    Commit,
    /// A transaction that reads a key of its own and puts it.
    Update,
    /// A read of what this process knows.
    ReadKnown,
    /// A read of the latest, whoever wrote it.
    ReadLatest,
}

impl Operation {
    pub(super) const ALL: [Self; 4] =
        [Self::Commit, Self::Update, Self::ReadKnown, Self::ReadLatest];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Update => "update",
            Self::ReadKnown => "read-known",
            Self::ReadLatest => "read-latest",
        }
    }
}

/// What came of it.
pub(super) struct Measured {
    pub(super) operation: Operation,
    pub(super) concurrency: usize,
    /// Sorted.
    pub(super) times: Vec<Duration>,
    /// All of them together, side by side as they were.
    elapsed: Duration,
    pub(super) counts: Counts,
}

impl Measured {
    pub(super) fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// So many of a hundred took at most so long.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times.get((last * percent).div_ceil(100)).copied().unwrap_or_default()
    }

    pub(super) fn requests(&self) -> u64 {
        self.counts.requests()
    }

    pub(super) fn per_operation(&self, number: u64) -> f64 {
        number as f64 / self.times.len().max(1) as f64
    }
}

/// What counts the requests of a provider.
pub(super) type Counter = Arc<Counted<Arc<dyn StorageProvider>>>;

/// How many of what, on which keys.
pub(super) struct Plan<'a> {
    pub(super) store: &'a Store,
    pub(super) label: &'a Label,
    pub(super) counted: &'a [Counter],
    pub(super) folder: String,
    pub(super) body: &'a Bytes,
    pub(super) count: u32,
    pub(super) concurrency: usize,
    pub(super) bar: &'a ProgressBar,
}

impl Plan<'_> {
    pub(super) async fn run(&self, operation: Operation) -> storage_txn::Result<Measured> {
        let before: Vec<_> = self.counted.iter().map(|counter| counter.counts()).collect();
        let start = Instant::now();
        let mut times: Vec<Duration> = stream::iter(0..self.count)
            .map(|number| async move {
                let start = Instant::now();
                self.once(operation, &format!("{}{number:08}", self.folder)).await?;
                self.bar.inc(1);
                Ok::<_, storage_txn::Error>(start.elapsed())
            })
            .buffer_unordered(self.concurrency)
            .try_collect()
            .await?;
        let elapsed = start.elapsed();
        times.sort_unstable();
        let mut counts = Counts::default();
        for (counter, before) in self.counted.iter().zip(&before) {
            counts = counts.plus(&counter.counts().since(before));
        }
        Ok(Measured { operation, concurrency: self.concurrency, times, elapsed, counts })
    }

    async fn once(&self, operation: Operation, key: &str) -> storage_txn::Result<()> {
        match operation {
            Operation::Commit | Operation::Update => {
                let reads = operation == Operation::Update;
                let committed = self.store.transact(async |transaction| {
                    self.label.put_on(&transaction);
                    if reads {
                        transaction.get(key).await?;
                    }
                    transaction.put(key, self.body.clone())
                });
                committed.await.map(drop)
            }
            Operation::ReadKnown => self.read(At::Known, key).await,
            Operation::ReadLatest => self.read(At::Latest, key).await,
        }
    }

    async fn read(&self, at: At, key: &str) -> storage_txn::Result<()> {
        self.store.snapshot(at).await?.get(key).await.map(drop)
    }
}

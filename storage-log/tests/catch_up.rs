//! Catching up: how many reads are under way at once, and how many are made in all.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_executor::block_on;
use storage_log::quorum::{CopyProgress, VoterChange, VoterId, VoterStatus};
use storage_log::{
    Appended, CommitLog, Entry, Head, LogId, Record, Result, Slot, catch_up, catch_up_while,
};

const LOG: LogId = LogId([7; 16]);

/// A log of so many entries whose reads take a while, so that those that are begun together are under way together.
#[derive(Debug)]
struct Slow {
    records: Vec<Record>,
    under_way: AtomicUsize,
    under_way_most: AtomicUsize,
    reads: AtomicUsize,
}

impl Slow {
    fn new(entries: u64) -> Self {
        let mut head = Head::genesis(LOG);
        let mut records = Vec::new();
        for _ in 0..entries {
            let record = Record::from(&Entry::new(LOG, head, [1; 16], b"body"));
            head = head.follow(&record).unwrap();
            records.push(record);
        }
        let none = || AtomicUsize::new(0);
        Self { records, under_way: none(), under_way_most: none(), reads: none() }
    }
}

#[async_trait]
impl CommitLog for Slow {
    fn id(&self) -> LogId {
        LOG
    }
    async fn append(&self, _: &Entry) -> Result<Appended> {
        unreachable!("it is only read")
    }
    async fn read(&self, slot: Slot) -> Result<Option<Record>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.under_way_most.fetch_max(now, Ordering::Relaxed);
        // Once round, for the others to be begun.
        let mut waited = false;
        futures_util::future::poll_fn(|context| {
            if std::mem::replace(&mut waited, true) {
                return std::task::Poll::Ready(());
            }
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        Ok(self.records.get(slot.0 as usize - 1).cloned())
    }
    async fn goes_on(&self, _: Head) -> Result<bool> {
        Ok(false)
    }
    async fn collect(&self, _: &Record) -> Result<()> {
        unreachable!("it is only read")
    }
    async fn status(&self) -> Result<Vec<VoterStatus>> {
        unreachable!("it is only read")
    }
    async fn mend(&self) -> Result<Vec<VoterId>> {
        unreachable!("it is only read")
    }
    async fn change_voters(
        &self,
        _: VoterChange,
        _: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<bool> {
        unreachable!("it is only read")
    }
}

#[test]
fn it_reads_the_first_then_as_many_as_it_has_found_and_never_more_than_the_bound() {
    for (entries, first, ahead, most, reads) in [
        // With nothing to catch up it is one request.
        (0, 1, 8, 1, 1),
        (0, 4, 8, 4, 4),
        (1, 1, 8, 1, 2),
        (2, 1, 8, 2, 4),
        (40, 1, 8, 8, 48),
        (40, 1, 1, 1, 41),
        (40, 9, 4, 4, 44),
        // No bound is no reason to stand still.
        (3, 0, 0, 1, 4),
    ] {
        let log = Slow::new(entries);
        let mut taken = 0;
        let end = block_on(catch_up(&log, Head::genesis(LOG), first, ahead, |_| {
            taken += 1;
            Ok(())
        }));
        let case = format!("{entries} entries, {first} at first, {ahead} ahead");
        assert_eq!((end.unwrap().slot.0, taken), (entries, entries), "{case}");
        assert_eq!(log.under_way_most.into_inner(), most, "at once: {case}");
        assert_eq!(log.reads.into_inner(), reads, "in all: {case}");
    }
}

#[test]
fn it_stops_where_it_is_told_to_and_says_whether_that_was_the_end() {
    for (stop_at, slot, at_end) in [(1, 1, false), (3, 3, false), (5, 5, false), (6, 5, true)] {
        let log = Slow::new(5);
        let take = |record: Record| Ok(record.slot().0 < stop_at);
        let found = block_on(catch_up_while(&log, Head::genesis(LOG), 1, 8, take)).unwrap();
        assert_eq!((found.0.slot.0, found.1), (slot, at_end), "stopped at {stop_at}");
    }
}

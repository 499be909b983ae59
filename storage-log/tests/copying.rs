//! A log that goes on in another place: what is copied there, how far it came, and who follows.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use backend_memory::MemoryProvider;
use futures_executor::block_on;
use storage_core::Prefix;
use storage_log::quorum::{CopyProgress, VoterChange, VoterId, VoterStatus};
use storage_log::{
    Appended, CommitLog, Entry, Error, Head, LogId, ProviderLog, Record, Result, Slot, catch_up,
    copy_log, last_record,
};
use storage_wrappers::Counted;

const LOG: LogId = LogId([7; 16]);

#[test]
fn of_a_log_that_cannot_have_any_record_nothing_is_asked() {
    let provider = Arc::new(Counted::new(MemoryProvider::new()));
    let log = ProviderLog::new(provider.clone(), Prefix::new("log/").unwrap(), LOG).unwrap();
    assert!(block_on(last_record(&log, Slot(0), Slot(0))).unwrap().is_none());
    assert_eq!(provider.counts().requests(), 0);
}

fn empty() -> ProviderLog {
    ProviderLog::new(Arc::new(MemoryProvider::new()), Prefix::new("log/").unwrap(), LOG).unwrap()
}

/// Appends so many entries after `head`.
async fn fill(log: &dyn CommitLog, mut head: Head, entries: u64, nonce: u8) -> Vec<Head> {
    let mut heads = vec![head];
    for _ in 0..entries {
        let entry = Entry::new(LOG, head, [nonce; 16], b"body");
        assert!(matches!(log.append(&entry).await.unwrap(), Appended::Ours));
        head = head.follow(&Record::from(&entry)).unwrap();
        heads.push(head);
    }
    heads
}

#[test]
fn the_last_record_is_found_wherever_a_log_ends() {
    block_on(async {
        for entries in 0..9 {
            let log = empty();
            let heads = fill(&log, Head::genesis(LOG), entries, 1).await;
            for there in 0..=entries {
                for most in there..12 {
                    let found = last_record(&log, Slot(there), Slot(most)).await.unwrap();
                    let found = found.map(|record| (record.slot(), record.id()));
                    let last = heads[entries.min(most) as usize];
                    let expected = (last.slot.0 > 0).then_some((last.slot, last.id));
                    assert_eq!(found, expected, "{entries} entries, {there} to {most}");
                }
            }
        }
    });
}

#[test]
fn what_is_missing_is_copied_in_order_and_told_also_where_somebody_else_was_faster() {
    block_on(async {
        let (from, to) = (empty(), empty());
        let heads = fill(&from, Head::genesis(LOG), 40, 1).await;
        let told = std::sync::Mutex::new(Vec::new());
        let tell = |slot: Slot| told.lock().unwrap().push(slot.0);
        // Each time from an earlier place than the last came to: somebody else was faster.
        for (after, last) in [(0, 3), (2, 20), (20, 20), (0, 40)] {
            let head = copy_log(&from, &to, heads[after], Slot(last), &tell).await.unwrap();
            assert_eq!(head, heads[last as usize]);
            let told = std::mem::take(&mut *told.lock().unwrap());
            assert_eq!(told, (after as u64 + 1..=last).collect::<Vec<_>>());
        }
        let again = Moved { before: empty(), after: to, went: AtomicBool::new(false) };
        let head = copy_log(&from, &again, heads[30], Slot(40), &tell).await.unwrap();
        assert_eq!((head, told.lock().unwrap().len()), (heads[40], 10));
        let to = again.after;
        for head in &heads[1..] {
            assert_eq!(to.read(head.slot).await.unwrap().unwrap().id(), head.id);
        }
        assert!(to.read(Slot(41)).await.unwrap().is_none());
    });
}

#[test]
fn where_another_entry_stands_or_one_is_missing_nothing_is_copied_after_it() {
    block_on(async {
        let (from, to) = (empty(), empty());
        let heads = fill(&from, Head::genesis(LOG), 5, 1).await;
        copy_log(&from, &to, heads[0], Slot(2), &|_| ()).await.unwrap();
        fill(&to, heads[2], 1, 2).await;
        let error = copy_log(&from, &to, heads[2], Slot(5), &|_| ()).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { slot: Slot(3), .. }), "{error}");
        assert!(error.to_string().contains("another entry"), "{error}");
        assert!(to.read(Slot(4)).await.unwrap().is_none());
        let error = copy_log(&from, &empty(), heads[0], Slot(6), &|_| ()).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { slot: Slot(6), .. }), "{error}");
    });
}

#[test]
fn the_entry_that_moves_a_log_says_so_wherever_it_is_copied_and_is_never_collected() {
    block_on(async {
        let (from, to) = (empty(), empty());
        let heads = fill(&from, Head::genesis(LOG), 1, 1).await;
        let last = Entry::moving(LOG, heads[1], [1; 16], b"to another place");
        assert!(matches!(from.append(&last).await.unwrap(), Appended::Ours));
        copy_log(&from, &to, Head::genesis(LOG), Slot(2), &|_| ()).await.unwrap();
        for log in [&from, &to] {
            for (slot, is_move) in [(1, false), (2, true)] {
                let record = log.read(Slot(slot)).await.unwrap().unwrap();
                assert_eq!(record.is_move(), is_move, "slot {slot}");
                log.collect(&record).await.unwrap();
                let left = log.read(Slot(slot)).await.unwrap().unwrap();
                assert_eq!(left.body().is_some(), is_move, "slot {slot}");
                assert_eq!(left.id(), record.id());
                // And what was collected is not written again.
                log.collect(&left).await.unwrap();
                assert_eq!(log.read(Slot(slot)).await.unwrap().unwrap().id(), record.id());
            }
        }
    });
}

/// A log that ends in one place, and goes on in another once that is found out.
#[derive(Debug)]
struct Moved {
    before: ProviderLog,
    after: ProviderLog,
    went: AtomicBool,
}

#[async_trait]
impl CommitLog for Moved {
    fn id(&self) -> LogId {
        LOG
    }
    /// Who finds the same entry there is told so, as by voters that have it from somebody else.
    async fn append(&self, entry: &Entry) -> Result<Appended> {
        match self.after.read(entry.slot()).await? {
            Some(found) => Ok(Appended::Taken(found)),
            None => self.after.append(entry).await,
        }
    }
    async fn read(&self, slot: Slot) -> Result<Option<Record>> {
        let log = if self.went.load(Ordering::Relaxed) { &self.after } else { &self.before };
        log.read(slot).await
    }
    async fn goes_on(&self, _: Head) -> Result<bool> {
        Ok(!self.went.swap(true, Ordering::Relaxed))
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
fn who_comes_to_the_end_of_a_place_that_was_left_reads_on_where_the_log_goes_on() {
    block_on(async {
        for ahead in [1, 2, 16] {
            let log = Moved { before: empty(), after: empty(), went: AtomicBool::new(false) };
            let heads = fill(&log.after, Head::genesis(LOG), 9, 1).await;
            copy_log(&log.after, &log.before, heads[0], Slot(4), &|_| ()).await.unwrap();
            let mut slots = Vec::new();
            let take = |record: Record| {
                slots.push(record.slot().0);
                Ok(())
            };
            let head = catch_up(&log, heads[0], 2, ahead, take).await.unwrap();
            assert_eq!((head, slots), (heads[9], (1..=9).collect()), "{ahead} ahead");
        }
    });
}

//! The log on one provider, also when its answers are lost.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_executor::block_on;
use storage_core::{
    Atomicity, Capabilities, Effect, ErrorKind, Get, Key, List, Object, Page, Prefix, ProviderInfo,
    PutIf, StorageProvider, Version,
};
use storage_log::quorum::VoterChange;
use storage_log::{
    Appended, CommitLog, Entry, Error, Head, LogId, ProviderLog, Record, Slot, catch_up,
};

const LOG: LogId = LogId([7; 16]);

/// What becomes of the next puts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Put {
    /// Applied and answered.
    Done,
    /// Applied, and the answer is lost.
    LoseAnswer,
    /// Lost on the way there.
    LoseRequest,
    /// Refused for the moment.
    Throttle,
    /// Lost, and somebody else's entry lands first.
    Overtaken,
}

/// A provider in memory whose puts meet what is on the list; counts its gets.
#[derive(Debug, Default)]
struct Flaky {
    memory: MemoryProvider,
    puts: Mutex<Vec<Put>>,
    gets: Mutex<usize>,
}

#[async_trait]
impl StorageProvider for Flaky {
    fn info(&self) -> ProviderInfo {
        self.memory.info()
    }
    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> storage_core::Result<Version> {
        let next = self.puts.lock().unwrap().pop().unwrap_or(Put::Done);
        let lost = || storage_core::Error::unknown(ErrorKind::Unavailable, "the answer was lost");
        match next {
            Put::Done => self.memory.put(key, body, when).await,
            Put::LoseAnswer => {
                let _ = self.memory.put(key, body, when).await;
                Err(lost())
            }
            Put::LoseRequest => Err(lost()),
            Put::Throttle => {
                Err(storage_core::Error::not_applied(ErrorKind::Throttled, "too many requests"))
            }
            Put::Overtaken => {
                self.memory.put(key, theirs().bytes().clone(), PutIf::Absent).await?;
                Err(lost())
            }
        }
    }
    async fn get(&self, key: &Key, request: Get) -> storage_core::Result<Object> {
        *self.gets.lock().unwrap() += 1;
        self.memory.get(key, request).await
    }
    async fn list(&self, request: List<'_>) -> storage_core::Result<Page> {
        self.memory.list(request).await
    }
    async fn delete(&self, key: &Key) -> storage_core::Result<()> {
        self.memory.delete(key).await
    }
}

fn ours() -> Entry {
    Entry::new(LOG, Head::genesis(LOG), [1; 16], b"body")
}

fn theirs() -> Entry {
    Entry::new(LOG, Head::genesis(LOG), [2; 16], b"body")
}

fn log(puts: &[Put]) -> (Arc<Flaky>, ProviderLog) {
    let flaky = Arc::new(Flaky::default());
    *flaky.puts.lock().unwrap() = puts.iter().rev().copied().collect();
    (flaky.clone(), ProviderLog::new(flaky, Prefix::new("log/").unwrap(), LOG).unwrap())
}

fn say(answer: &Result<Appended, Error>) -> String {
    match answer {
        Ok(Appended::Ours) => "ours".into(),
        Ok(Appended::Taken(record)) => {
            format!("taken by {}", if record.id() == theirs().id() { "them" } else { "us" })
        }
        Ok(Appended::Unknown(error)) => format!("unknown, {:?}", error.effect()),
        Err(error) => format!("failed: {error}"),
    }
}

#[test]
fn an_append_is_ours_taken_or_unknown_whatever_is_lost_on_the_way() {
    use Put::{Done, LoseAnswer, LoseRequest, Overtaken, Throttle};
    for (puts, expected) in [
        (&[Done][..], "ours"),
        (&[LoseAnswer], "ours"),
        (&[LoseRequest, Done], "ours"),
        (&[LoseRequest, LoseAnswer], "ours"),
        (&[Overtaken], "taken by them"),
        (&[LoseRequest, Overtaken], "taken by them"),
        (&[LoseRequest, Throttle], "unknown, Unknown"),
        (&[LoseRequest; 5], "unknown, Unknown"),
        (&[Throttle], "failed: throttled: too many requests"),
    ] {
        let (flaky, log) = log(puts);
        assert_eq!(say(&block_on(log.append(&ours()))), expected, "{puts:?}");
        let stored = block_on(log.read(Slot(1))).unwrap().map(|record| record.id());
        let wanted = match expected {
            "ours" => Some(ours().id()),
            "taken by them" => Some(theirs().id()),
            _ => None,
        };
        assert_eq!(stored, wanted, "{puts:?}");
        assert!(flaky.puts.lock().unwrap().is_empty(), "{puts:?}");
    }
}

#[test]
fn an_append_without_trouble_is_one_request_and_the_same_again_gives_the_same_answer() {
    let (flaky, log) = log(&[]);
    assert_eq!(say(&block_on(log.append(&ours()))), "ours");
    assert_eq!(*flaky.gets.lock().unwrap(), 0);
    assert_eq!(say(&block_on(log.append(&ours()))), "ours");
    assert_eq!(say(&block_on(log.append(&theirs()))), "taken by us");
}

/// A writer that slept while its slot was collected must not get it: create-if-absent forgets what was
/// deleted, and logs that deleted entries have lost acknowledged writes to this.
#[test]
fn a_collected_slot_stays_taken_and_still_tells_whose_it_was() {
    let (_, log) = log(&[]);
    let _ = block_on(log.append(&ours())).unwrap();
    let record = block_on(log.read(Slot(1))).unwrap().unwrap();
    for _ in 0..2 {
        block_on(log.collect(&record)).unwrap();
        let left = block_on(log.read(Slot(1))).unwrap().unwrap();
        assert_eq!((left.body(), left.id()), (None, ours().id()));
        assert_eq!(say(&block_on(log.append(&ours()))), "ours");
        assert_eq!(say(&block_on(log.append(&theirs()))), "taken by us");
    }
}

#[test]
fn catching_up_reads_every_entry_in_order_and_one_slot_more() {
    let (flaky, log) = log(&[]);
    let (mut head, mut written) = (Head::genesis(LOG), Vec::new());
    for body in 0..40_u8 {
        let entry = Entry::new(LOG, head, [body; 16], &[body]);
        let _ = block_on(log.append(&entry)).unwrap();
        head = head.follow(&Record::from(&entry)).unwrap();
        written.push(entry.id());
    }
    for (after, requests_max) in [(0, 40 + 8), (39, 2), (40, 1)] {
        let start = match after {
            0 => Head::genesis(LOG),
            slot => Head { slot: Slot(slot), id: written[slot as usize - 1] },
        };
        *flaky.gets.lock().unwrap() = 0;
        let mut read = Vec::new();
        let end = catch_up(&log, start, 1, 8, |record| {
            read.push(record.id());
            Ok(())
        });
        assert_eq!(block_on(end).unwrap(), head);
        assert_eq!(read, written[after as usize..]);
        assert!(*flaky.gets.lock().unwrap() <= requests_max, "{after}: {:?}", flaky.gets);
    }
}

#[test]
fn a_provider_that_cannot_decide_who_created_an_object_is_refused() {
    let memory = MemoryProvider::new();
    let capabilities =
        Capabilities { absent: Atomicity::Unsupported, ..memory.info().capabilities };
    let provider = storage_wrappers::Override::new(memory, capabilities);
    let error = ProviderLog::new(Arc::new(provider), Prefix::all(), LOG).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unsupported: memory cannot put on condition that the key is absent, which a log stands on; keep the \
         log on another provider"
    );
    assert!(matches!(error, Error::Storage(error) if error.effect() == Effect::NotApplied));
}

#[test]
fn one_provider_has_no_voters_and_says_so_to_who_would_change_them() {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let log = ProviderLog::new(provider, Prefix::new("log/").unwrap(), LOG).unwrap();
    let change = VoterChange::Replace { old: 0, new: 1 };
    match block_on(log.change_voters(change, &|_| ())) {
        Err(Error::Storage(error)) => {
            assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
            assert!(error.to_string().contains("nobody votes"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

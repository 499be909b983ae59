//! What is put into segments and checkpoints: found again, at the cost promised, and not missed when lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_util::TryStreamExt;
use storage_core::{
    Error, ErrorKind as StorageErrorKind, Get, Key, List, Object, Page, Prefix, ProviderInfo,
    PutIf, Result, StorageProvider, StorageProviderExt, Version as ObjectVersion, async_trait,
};
use storage_log::{CommitLog, LogId, ProviderLog, Slot};
use storage_txn::{At, ErrorKind, Item, KeyRange, Merge, Options, Scan, Store, Version};
use storage_wrappers::{Counted, TokioEnv};

use crate::collect::at_once;
use crate::gated::{Gated, Stop};
use crate::{open, tiny};

pub(crate) type Provider = Arc<Counted<MemoryProvider>>;

pub(crate) async fn counted() -> (Provider, Store) {
    let counted = Arc::new(Counted::new(MemoryProvider::new()));
    let env = Arc::new(TokioEnv::new());
    let store = Store::init(counted.clone(), env, Options::default()).await.unwrap();
    (counted, store)
}

pub(crate) fn dynamic(provider: &Provider) -> Arc<dyn StorageProvider> {
    provider.clone()
}

pub(crate) async fn names(provider: &Provider, prefix: &str) -> Vec<Key> {
    let prefix = Prefix::new(prefix).unwrap();
    provider.list_all(&prefix).map_ok(|listed| listed.key).try_collect().await.unwrap()
}

pub(crate) async fn delete_all(provider: &Provider, prefix: &str) {
    provider.delete_many(names(provider, prefix).await).await.unwrap();
}

pub(crate) async fn put(store: &Store, key: &str, value: &str) -> Version {
    store.transact(async |tx| tx.put(key, value.to_owned())).await.unwrap().version
}

pub(crate) async fn all(store: &Store, at: At) -> Vec<Item> {
    let snapshot = store.snapshot(at).await.unwrap();
    snapshot.scan(&Scan::new(..)).await.unwrap().collect().await.unwrap()
}

/// Some of everything, with a flush in the middle if wanted. The state after each transaction.
pub(crate) async fn fill(store: &Store, flush_every: usize) -> Vec<(Version, Vec<Item>)> {
    let mut states = Vec::new();
    for round in 0..24_usize {
        let receipt = store.transact(async |tx| {
            match round % 6 {
                5 => tx.delete_range(format!("k{}", round % 5)..format!("k{}", round % 5 + 2))?,
                4 => tx.delete(format!("k{}", round % 4))?,
                3 => tx.merge("n", Merge::Add(round as i64))?,
                _ => tx.put(format!("k{}", round % 5), vec![round as u8; 50 * round])?,
            }
            tx.put("round", round.to_string())
        });
        let version = receipt.await.unwrap().version;
        states.push((version, all(store, At::Known).await));
        if round % flush_every == flush_every - 1 {
            store.flush().await.unwrap();
        }
    }
    states
}

pub(crate) async fn check(store: &Store, states: &[(Version, Vec<Item>)]) {
    for (version, expected) in states {
        assert_eq!(all(store, At::Version(*version)).await, *expected, "version {version}");
    }
}

#[tokio::test]
async fn what_was_flushed_reads_at_every_version_as_it_did_before() {
    for flush_every in [1, 5, 24] {
        let (provider, store) = counted().await;
        let states = fill(&store, flush_every).await;
        assert_eq!(names(&provider, "checkpoint/").await.len(), 24 / flush_every);
        check(&store, &states).await;
        check(&open(&dynamic(&provider), Options::default()).await, &states).await;
        check(&open(&dynamic(&provider), tiny()).await, &states).await;
    }
}

/// All ranges that were emptied are in the first segment of a flush: a key that the same transaction has put again, in
/// the second, was taken for deleted.
#[tokio::test]
async fn a_key_that_is_put_again_in_a_range_that_was_emptied_is_found_in_whatever_segment_it_is() {
    let (provider, _) = counted().await;
    let store = open(&dynamic(&provider), tiny()).await;
    let write = store.transact(async |tx| {
        tx.delete_range("k".."l")?;
        (0..40).try_for_each(|at| tx.put(format!("k{at:02}"), format!("{at:0100}")))
    });
    write.await.unwrap();
    store.flush().await.unwrap();
    assert!(names(&provider, "segment/").await.len() > 2);
    let snapshot = store.snapshot(At::Latest).await.unwrap();
    for at in 0..40 {
        let found = snapshot.get(format!("k{at:02}")).await.unwrap();
        assert_eq!(found.unwrap(), format!("{at:0100}"), "k{at:02}");
    }
}

/// The next flush named what that one had made, and listed it as replaced at the same time.
#[tokio::test]
async fn a_flush_that_made_up_for_a_lost_checkpoint_and_whose_answer_was_lost_is_not_done_again() {
    let (provider, store) = counted().await;
    let mut states = fill(&store, usize::MAX).await;
    let gated = Gated::new(&provider, "log/", Stop::AnswerIsLost);
    let mut options = tiny();
    options.commit_time_max = Duration::ZERO;
    let slow = open(&(gated.clone() as _), options).await;
    gated.shut(0);
    let error = slow.flush().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::CommitUnknown(_)), "{error}");
    gated.open();
    // It gives up at once when others are faster.
    slow.snapshot(At::Latest).await.unwrap();
    let version = put(&slow, "k1", "later").await;
    states.push((version, all(&slow, At::Known).await));
    slow.flush().await.unwrap();
    for store in [&store, &slow, &open(&dynamic(&provider), Options::default()).await] {
        let mut sweep = at_once();
        sweep.sweep = true;
        store.snapshot(At::Latest).await.unwrap();
        store.collect(&sweep).await.unwrap();
        check(store, &states).await;
    }
}

#[tokio::test]
async fn a_flush_of_nothing_new_writes_nothing() {
    let (provider, store) = counted().await;
    for expected in [0, 1] {
        store.flush().await.unwrap();
        let before = provider.counts();
        store.flush().await.unwrap();
        assert_eq!(provider.counts().since(&before).requests(), 0);
        assert_eq!(names(&provider, "segment/").await.len(), expected);
        put(&store, "a", "1").await;
        store.flush().await.unwrap();
    }
}

#[tokio::test]
async fn opening_takes_three_requests_and_the_entries_after_the_checkpoint() {
    let (provider, store) = counted().await;
    fill(&store, 100).await;
    store.flush().await.unwrap();
    for more in 0..4_u64 {
        // The entry that the checkpoint ends with, that of the flush itself, those after it, and the first slot that
        // is missing. Reading ahead may ask for some that are missing too.
        let tail = 3 + more;
        let before = provider.counts();
        let opened = open(&dynamic(&provider), Options::default()).await;
        let cost = provider.counts().since(&before);
        assert_eq!((cost.list.requests, cost.put.requests), (1, 0));
        let missing = 2 * (1 + more);
        let got = cost.get.requests;
        assert!((2 + tail..=2 + tail + missing).contains(&got), "{got} gets with a tail of {tail}");
        assert_eq!(all(&opened, At::Known).await, all(&store, At::Known).await);
        put(&store, "more", "x").await;
    }
}

#[tokio::test]
async fn reading_a_key_costs_what_is_promised() {
    let (provider, store) = counted().await;
    for batch in 0..4_u32 {
        let write = store.transact(async |tx| {
            (0..500).try_for_each(|at| tx.put(format!("{batch}/{at:03}"), vec![at as u8; 500]))
        });
        write.await.unwrap();
        store.flush().await.unwrap();
    }
    let opened = open(&dynamic(&provider), Options::default()).await;
    let snapshot = opened.snapshot(At::Known).await.unwrap();
    let cost = async |key: &str| {
        let before = provider.counts();
        let found = snapshot.get(key).await.unwrap().is_some();
        (found, provider.counts().since(&before).requests())
    };
    assert_eq!(cost("3/100").await, (true, 2), "nothing cached: index, block");
    assert_eq!(cost("3/400").await, (true, 1), "the index cached");
    assert_eq!(cost("3/400").await, (true, 0), "all warm");
    assert_eq!(cost("9").await, (false, 0), "outside of all segments");
    let mut absent = 0;
    for at in 0..500 {
        absent += cost(&format!("3/{at:03}x")).await.1;
    }
    assert!(absent <= 15, "{absent} requests for 500 absent keys");
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_used_is_passed_over() {
    let (provider, store) = counted().await;
    let states = fill(&store, 6).await;
    let newest = names(&provider, "checkpoint/").await;
    assert_eq!(newest.len(), 4);
    let body = provider.get(&newest[0], Get::whole()).await.unwrap().body;
    let mut newer_format = body.to_vec();
    newer_format[4] += 1;
    let mut flipped = body.to_vec();
    flipped[60] ^= 1;
    for bad in [newer_format, flipped, body[..body.len() - 1].to_vec(), Vec::new()] {
        provider.put(&newest[0], bad.into(), PutIf::Always).await.unwrap();
        check(&open(&dynamic(&provider), Options::default()).await, &states).await;
    }
    // Whole, but in the place of another.
    provider.put(&newest[1], body, PutIf::Always).await.unwrap();
    check(&open(&dynamic(&provider), Options::default()).await, &states).await;
}

#[tokio::test]
async fn every_flipped_bit_of_a_checkpoint_is_found() {
    let (provider, store) = counted().await;
    fill(&store, 24).await;
    delete_all(&provider, "log/").await;
    let name = names(&provider, "checkpoint/").await.remove(0);
    let body = provider.get(&name, Get::whole()).await.unwrap().body;
    for bit in 0..8 * body.len() {
        let mut bad = body.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        provider.put(&name, bad.into(), PutIf::Always).await.unwrap();
        let env = Arc::new(TokioEnv::new());
        let error = Store::open(provider.clone(), env, Options::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}");
        let expected = "the log ends with slot 0, but there was a checkpoint at slot 24: the log was \
                        rolled back or lost";
        assert_eq!(error.to_string(), expected, "bit {bit}");
    }
    provider.put(&name, body, PutIf::Always).await.unwrap();
    let env = Arc::new(TokioEnv::new());
    let error = Store::open(provider.clone(), env, Options::default()).await.unwrap_err();
    let expected = "there is a checkpoint at slot 24, but the log ends before: it was rolled back, forked or lost";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_damaged_entry_under_a_checkpoint_is_passed_over_only_where_the_log_goes_on_after_it() {
    let (provider, store) = counted().await;
    let before = names(&provider, "log/").await.len();
    fill(&store, 24).await;
    let log = names(&provider, "log/").await.split_off(before);
    let under = &log[23];
    let mut body = provider.get(under, Get::whole()).await.unwrap().body.to_vec();
    *body.last_mut().unwrap() ^= 1;
    provider.put(under, body.into(), PutIf::Always).await.unwrap();
    let open = || Store::open(provider.clone(), Arc::new(TokioEnv::new()), Options::default());
    drop(open().await.unwrap());
    provider.delete_many(log[24..].to_vec()).await.unwrap();
    let error = open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(
        error.to_string(),
        "log slot 24: corrupt: its bytes do not have the hash they should"
    );
}

#[tokio::test]
async fn a_log_that_was_rolled_back_under_a_checkpoint_is_refused() {
    for (kept, lost) in [(0..=22, "ends before"), (0..=23, "has another entry there")] {
        let (provider, store) = counted().await;
        let log = names(&provider, "log/").await;
        fill(&store, 24).await;
        let log: Vec<_> = names(&provider, "log/").await.split_off(log.len());
        // As from a backup that is older than the checkpoint, with which somebody has gone on.
        provider.delete_many(log[*kept.end()..].to_vec()).await.unwrap();
        if lost != "ends before" {
            let checkpoint = names(&provider, "checkpoint/").await.remove(0);
            let body = provider.get(&checkpoint, Get::whole()).await.unwrap().body;
            provider.delete(&checkpoint).await.unwrap();
            let opened = open(&dynamic(&provider), Options::default()).await;
            put(&opened, "another", "entry").await;
            provider.put(&checkpoint, body, PutIf::Always).await.unwrap();
        }
        let env = Arc::new(TokioEnv::new());
        let error = Store::open(provider.clone(), env, Options::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let expected = format!(
            "there is a checkpoint at slot 24, but the log {lost}: it was rolled back, forked or lost"
        );
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn a_reader_whose_segments_were_replaced_meanwhile_goes_on() {
    let (provider, store) = counted().await;
    let states = fill(&store, 7).await;
    let snapshot = store.snapshot(At::Known).await.unwrap();
    let mut scan = snapshot.scan(&Scan::new(..)).await.unwrap();
    let first = scan.next().await.unwrap();
    // All of the index is lost, and another process makes it again.
    delete_all(&provider, "checkpoint/").await;
    delete_all(&provider, "segment/").await;
    let other = open(&dynamic(&provider), Options::default()).await;
    other.flush().await.unwrap();
    // Nothing of them is in memory, and this handle has heard of nothing.
    let small = open(&dynamic(&provider), tiny()).await;
    delete_all(&provider, "checkpoint/").await;
    delete_all(&provider, "segment/").await;
    open(&dynamic(&provider), Options::default()).await.flush().await.unwrap();
    for store in [&store, &small] {
        let version = store.snapshot(At::Known).await.unwrap().version();
        let (_, expected) = states.iter().rfind(|(at, _)| *at <= version).unwrap();
        assert_eq!(all(store, At::Known).await, *expected);
        check(store, &states).await;
        let tx = store.begin();
        assert_eq!(tx.scan(&Scan::new(..)).await.unwrap(), *expected);
    }
    let rest = scan.collect().await.unwrap();
    let items: Vec<Item> = first.into_iter().chain(rest).collect();
    assert_eq!(items, states.last().unwrap().1);
}

#[tokio::test]
async fn a_store_without_its_checkpoints_and_segments_is_read_from_the_log_and_made_whole() {
    let all_lost = [&["checkpoint/"][..], &["checkpoint/", "segment/"]];
    // A handle that can keep hardly anything in memory puts the log into segments while it reads it.
    for (lost, options) in
        all_lost.iter().flat_map(|lost| [(lost, Options::default()), (lost, tiny())])
    {
        let (provider, store) = counted().await;
        let states = fill(&store, 7).await;
        for prefix in *lost {
            delete_all(&provider, prefix).await;
        }
        let opened = open(&dynamic(&provider), options.clone()).await;
        check(&opened, &states).await;
        let version = put(&opened, "after", "1").await;
        if options == Options::default() {
            assert_eq!(names(&provider, "checkpoint/").await, []);
        }
        opened.flush().await.unwrap();
        assert!(!names(&provider, "checkpoint/").await.is_empty());
        for store in [&opened, &store, &open(&dynamic(&provider), Options::default()).await] {
            assert!(store.snapshot(At::Latest).await.unwrap().version() > version);
            check(store, &states).await;
        }
    }
}

#[tokio::test]
async fn a_segment_that_is_lost_under_a_checkpoint_is_named() {
    let (provider, store) = counted().await;
    fill(&store, 24).await;
    let segment = names(&provider, "segment/").await.remove(0);
    provider.delete(&segment).await.unwrap();
    let opened = open(&dynamic(&provider), Options::default()).await;
    let error = opened.snapshot(At::Known).await.unwrap().get("k1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().starts_with(&segment.to_string()), "{error}");
}

#[tokio::test]
async fn of_two_handles_that_flush_at_once_one_wins_and_the_other_leaves_nothing_behind() {
    let (provider, one) = counted().await;
    let two = open(&dynamic(&provider), Options::default()).await;
    for round in 0..20 {
        put(&one, &format!("{round}"), "value").await;
        two.snapshot(At::Latest).await.unwrap();
        let (a, b) = tokio::join!(one.flush(), two.flush());
        a.unwrap();
        b.unwrap();
        assert!(one.maintenance_error().is_none() && two.maintenance_error().is_none());
    }
    let named = names(&provider, "segment/").await.len();
    assert_eq!(named, 20, "as many segments as flushes that won");
    for store in [one, two, open(&dynamic(&provider), Options::default()).await] {
        assert_eq!(all(&store, At::Latest).await.len(), 20);
    }
}

#[tokio::test]
async fn a_transaction_is_in_conflict_with_what_was_flushed_since() {
    let (provider, one) = counted().await;
    let two = open(&dynamic(&provider), Options::default()).await;
    put(&one, "x", "0").await;
    for range in [false, true] {
        two.snapshot(At::Latest).await.unwrap();
        let tx = two.begin();
        if range {
            tx.scan(&Scan::new(KeyRange::prefix("x"))).await.unwrap();
        } else {
            tx.get("x").await.unwrap();
        }
        tx.put("y", "1").unwrap();
        let blind = two.begin();
        blind.put("z", "1").unwrap();
        put(&one, "x", "1").await;
        one.flush().await.unwrap();
        put(&one, "w", "1").await;
        one.flush().await.unwrap();
        assert_eq!(tx.commit().await.unwrap_err().kind(), ErrorKind::Conflict);
        blind.commit().await.unwrap();
    }
}

/// Takes the bytes of these slots away, as collection does.
async fn collect(provider: &Provider, slots: std::ops::RangeInclusive<u64>) {
    let format = provider.get(&Key::new("format").unwrap(), Get::whole()).await.unwrap().body;
    let text = String::from_utf8(format.to_vec()).unwrap();
    let id = text.lines().nth(2).unwrap().strip_prefix("id ").unwrap();
    let id: storage_txn::TransactionId = id.parse().unwrap();
    let prefix = Prefix::new("log/").unwrap();
    let log = ProviderLog::new(dynamic(provider), prefix, LogId(id.0)).unwrap();
    for slot in slots {
        let record = log.read(Slot(slot)).await.unwrap().unwrap();
        log.collect(&record).await.unwrap();
    }
}

#[tokio::test]
async fn a_handle_that_slept_while_the_log_was_collected_goes_on_from_a_checkpoint() {
    for commits in [false, true] {
        let (provider, store) = counted().await;
        put(&store, "k1", "before").await;
        let sleeper = open(&dynamic(&provider), Options::default()).await;
        let then = sleeper.snapshot(At::Known).await.unwrap();
        let outdated = sleeper.begin();
        outdated.get("k1").await.unwrap();
        outdated.put("outdated", "1").unwrap();
        let mut states = fill(&store, 6).await;
        let flushed = names(&provider, "log/").await.len() as u64 - 1;
        collect(&provider, 1..=flushed).await;
        if commits {
            // Without having read a thing of what came in between.
            assert_eq!(outdated.commit().await.unwrap_err().kind(), ErrorKind::Conflict);
            let version = put(&sleeper, "k1", "after").await;
            states.push((version, all(&store, At::Latest).await));
        }
        assert_eq!(all(&sleeper, At::Latest).await, states.last().unwrap().1);
        check(&sleeper, &states).await;
        assert_eq!(then.get("k1").await.unwrap().unwrap(), "before");
        check(&open(&dynamic(&provider), Options::default()).await, &states).await;
    }
}

#[tokio::test]
async fn a_collected_log_without_a_checkpoint_is_not_taken_for_an_empty_one() {
    let (provider, store) = counted().await;
    fill(&store, 24).await;
    collect(&provider, 1..=24).await;
    let env = Arc::new(TokioEnv::new());
    let checkpoint = names(&provider, "checkpoint/").await.remove(0);
    provider.put(&checkpoint, "bad".into(), PutIf::Always).await.unwrap();
    let error = Store::open(provider.clone(), env, Options::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let expected = format!(
        "log slot 1 was collected, and no checkpoint after it can be read: {checkpoint}: it is not a \
         checkpoint"
    );
    assert_eq!(error.to_string(), expected);
}

/// A provider whose puts under a prefix fail while the switch is on; or are made, but nobody hears of it and what is
/// there cannot be read.
#[derive(Debug)]
struct Broken {
    inner: Provider,
    prefix: &'static str,
    silent: bool,
    on: AtomicBool,
}

impl Broken {
    fn new(inner: Provider, prefix: &'static str, silent: bool) -> Arc<Self> {
        Arc::new(Self { inner, prefix, silent, on: AtomicBool::new(false) })
    }

    fn concerns(&self, key: &Key) -> bool {
        self.on.load(Ordering::Relaxed) && key.as_str().starts_with(self.prefix)
    }
}

#[async_trait]
impl StorageProvider for Broken {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<ObjectVersion> {
        if self.concerns(key) && self.silent {
            // What comes after the first is a repetition.
            let _ = self.inner.put(key, body, when).await;
            return Err(Error::unknown(StorageErrorKind::Unavailable, "nobody hears"));
        }
        if self.concerns(key) {
            return Err(Error::not_applied(StorageErrorKind::Unavailable, "broken"));
        }
        self.inner.put(key, body, when).await
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        if self.concerns(key) && self.silent {
            return Err(Error::not_applied(StorageErrorKind::Unavailable, "nobody sees"));
        }
        self.inner.get(key, request).await
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.inner.list(request).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }
}

#[tokio::test]
async fn a_flush_that_fails_says_so_loses_nothing_and_is_made_up_for() {
    for prefix in ["segment/", "log/", "checkpoint/"] {
        let (provider, store) = counted().await;
        let mut states = fill(&store, 24).await;
        let broken = Broken::new(provider.clone(), prefix, false);
        let mut options = Options::default();
        options.commit_time_max = Duration::ZERO;
        let store = open(&(broken.clone() as _), options).await;
        let version = put(&store, "k1", "more").await;
        states.push((version, all(&store, At::Known).await));
        let before = (names(&provider, "segment/").await, names(&provider, "checkpoint/").await);
        broken.on.store(true, Ordering::Relaxed);
        let error = store.flush().await.unwrap_err();
        let unavailable = ErrorKind::Storage(StorageErrorKind::Unavailable);
        assert_eq!(error.kind(), unavailable, "{prefix} {error}");
        assert_eq!(store.maintenance_error().unwrap().kind(), unavailable);
        check(&store, &states).await;
        if prefix != "checkpoint/" {
            assert_eq!(names(&provider, "segment/").await, before.0, "{prefix}");
        }
        check(&open(&dynamic(&provider), Options::default()).await, &states).await;
        broken.on.store(false, Ordering::Relaxed);
        store.flush().await.unwrap();
        assert!(store.maintenance_error().is_none());
        assert_eq!(names(&provider, "checkpoint/").await.len(), before.1.len() + 1);
        check(&store, &states).await;
        check(&open(&dynamic(&provider), Options::default()).await, &states).await;
    }
}

#[tokio::test]
async fn segments_stay_when_nobody_knows_whether_they_were_named() {
    let (provider, store) = counted().await;
    let states = fill(&store, 100).await;
    let broken = Broken::new(provider.clone(), "log/", true);
    let mut options = Options::default();
    options.commit_time_max = Duration::ZERO;
    let store = open(&(broken.clone() as _), options).await;
    broken.on.store(true, Ordering::Relaxed);
    let error = store.flush().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::CommitUnknown(_)), "{error}");
    assert_eq!(names(&provider, "segment/").await.len(), 1);
    broken.on.store(false, Ordering::Relaxed);
    // They were named after all.
    check(&open(&dynamic(&provider), Options::default()).await, &states).await;
    store.snapshot(At::Latest).await.unwrap();
    store.flush().await.unwrap();
    check(&store, &states).await;
    check(&open(&dynamic(&provider), Options::default()).await, &states).await;
}

#[tokio::test]
async fn what_is_flushed_in_the_background_leaves_memory_and_keeps_opening_short() {
    let (provider, _) = counted().await;
    let mut options = Options::default();
    options.flush_bytes = 20_000;
    let store = open(&dynamic(&provider), options).await;
    for at in 0..200_u32 {
        put(&store, &format!("{at:03}"), &"x".repeat(1000)).await;
    }
    store.flush().await.unwrap();
    let segments = names(&provider, "segment/").await.len();
    assert!((5..=20).contains(&segments), "{segments} segments of 200 kB by 20");
    let before = provider.counts();
    let opened = open(&dynamic(&provider), Options::default()).await;
    assert!(provider.counts().since(&before).requests() < 10);
    assert_eq!(all(&opened, At::Known).await.len(), 200);
}

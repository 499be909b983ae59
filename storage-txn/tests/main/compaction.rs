//! Compaction: whatever could be read can be read, at less cost, whoever compacts and whatever fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_util::TryStreamExt;
use storage_core::{
    Error, ErrorKind as StorageErrorKind, Get, Key, List, Object, Page, Prefix, ProviderInfo,
    PutIf, Result, StorageProvider, StorageProviderExt, Version as ObjectVersion, async_trait,
};
use storage_txn::{At, CollectOptions, ErrorKind, Merge, Options, Scan, Store, Version};
use storage_wrappers::{Counted, ManualEnv, TokioEnv};

use crate::open;
use crate::past::{Dice, Past};

type Provider = Arc<Counted<MemoryProvider>>;

fn provider() -> (Provider, Arc<dyn StorageProvider>) {
    let counted = Arc::new(Counted::new(MemoryProvider::new()));
    (counted.clone(), counted)
}

async fn init(provider: &Arc<dyn StorageProvider>, options: Options) -> Store {
    Store::init(provider.clone(), Arc::new(TokioEnv::new()), options).await.unwrap()
}

pub(crate) async fn sizes(provider: &Arc<dyn StorageProvider>, prefix: &str) -> BTreeMap<Key, u64> {
    let prefix = Prefix::new(prefix).unwrap();
    let all = provider.list_all(&prefix);
    all.map_ok(|listed| (listed.key, listed.size)).try_collect().await.unwrap()
}

/// Small segments, hardly any cache, reads of a block or of several at once; flushes as they come, or in the
/// background with compactions after them.
fn options(dice: &mut Dice) -> Options {
    let mut options = Options::default();
    options.segment_bytes = [300, 2000, 64 << 20][dice.below(3) as usize];
    options.cache_bytes_max = 4000;
    options.compaction_read_bytes = [1, 500, 1 << 20][dice.below(3) as usize];
    options.compaction_fanout = 2 + dice.below(3) as usize;
    if dice.below(2) == 0 {
        options.flush_bytes = 1 + dice.below(1500) as usize;
    }
    options
}

#[test]
fn what_is_compacted_reads_at_every_version_as_it_did() {
    for seed in 0..20 {
        let env = ManualEnv::new(seed);
        env.block_on(compact_at_random(seed, &env));
    }
}

async fn compact_at_random(seed: u64, env: &ManualEnv) {
    let mut dice = Dice::new(seed);
    let (_, provider) = provider();
    let open = async |options| {
        Store::open(provider.clone(), Arc::new(env.clone()), options).await.unwrap()
    };
    let first = options(&mut dice);
    let first = Store::init(provider.clone(), Arc::new(env.clone()), first).await.unwrap();
    let stores = [first, open(options(&mut dice)).await];
    let mut past = Past::default();
    for step in 0..50 {
        let store = &stores[dice.below(2) as usize];
        store.snapshot(At::Latest).await.unwrap();
        let what = format!("seed {seed}, step {step}");
        match dice.below(12) {
            0 => store.compact().await.unwrap(),
            1 | 2 => store.flush().await.unwrap(),
            3 => past.check(store, |_| true, &what).await,
            _ => past.act(store, &mut dice).await,
        }
        assert!(store.maintenance_error().is_none(), "{what}: {:?}", store.maintenance_error());
    }
    let what = format!("seed {seed}, end");
    let new = open(options(&mut dice)).await;
    for compacted in [false, true] {
        if compacted {
            new.compact().await.unwrap();
        }
        for store in stores.iter().chain([&new]) {
            past.check(store, |_| true, &what).await;
            past.check_histories(store, Version::ZERO, &what).await;
        }
    }
}

/// Each key is put, changed and changed again, with a flush after each round.
async fn rounds(store: &Store, keys: u32, rounds: u8, bytes: usize) -> Vec<Version> {
    let mut versions = Vec::new();
    for round in 0..rounds {
        let receipt = store.transact(async |tx| {
            for key in 0..keys {
                tx.put(format!("{key:06}"), value(key, round, bytes))?;
            }
            Ok(())
        });
        versions.push(receipt.await.unwrap().version);
        store.flush().await.unwrap();
    }
    versions
}

/// What cannot be packed into less.
fn value(key: u32, round: u8, bytes: usize) -> Vec<u8> {
    let mut dice = Dice::new(u64::from(key) << 8 | u64::from(round));
    (0..bytes).map(|_| dice.below(256) as u8).collect()
}

#[tokio::test]
async fn after_compaction_reading_costs_what_is_promised_and_opens_no_history() {
    let (counted, provider) = provider();
    let mut small = Options::default();
    small.segment_bytes = 200_000;
    let store = init(&provider, small).await;
    let versions = rounds(&store, 4000, 4, 100).await;
    store.compact().await.unwrap();
    let before = counted.counts();
    store.compact().await.unwrap();
    assert_eq!(counted.counts().since(&before).requests(), 0, "there is nothing left to do");
    let fresh = || open(&provider, Options::default());

    let before = counted.counts();
    let opened = fresh().await;
    let requests = counted.counts().since(&before).requests();
    assert!(
        requests <= 7,
        "{requests} to open: three, the two commits of the store itself, and to see the end"
    );

    let cost = async |store: &Store, at: At, key: String| {
        let snapshot = store.snapshot(at).await.unwrap();
        let before = counted.counts();
        let found = snapshot.get(&key).await.unwrap();
        (found, counted.counts().since(&before).requests())
    };
    for key in [0, 1, 2000, 3999] {
        let (found, requests) = cost(&fresh().await, At::Known, format!("{key:06}")).await;
        assert_eq!(found.unwrap(), value(key, 3, 100));
        assert!(requests <= 2, "{requests} with nothing cached: where it is, and the block");
        for (round, version) in versions.iter().enumerate() {
            let at = At::Version(*version);
            let (found, requests) = cost(&fresh().await, at, format!("{key:06}")).await;
            assert_eq!(found.unwrap(), value(key, round as u8, 100));
            // Of history, and if that does not tell, of what is current; each may be asked because of its filter alone.
            assert!(requests <= 3, "{requests} for version {version} with nothing cached");
        }
    }
    let mut absent = 0;
    for key in 0..1000 {
        absent += cost(&opened, At::Known, format!("{:06}x", 4 * key)).await.1;
    }
    assert!(absent <= 10 + 5 * 4, "{absent} for 1,000 absent keys, tails included");

    // Without the objects that no read of the present opens, the past is gone, and nothing else.
    let all = async |store: &Store, at: At| {
        let snapshot = store.snapshot(at).await.unwrap();
        snapshot.scan(&Scan::new(..)).await.unwrap().collect().await.map(|items| items.len())
    };
    let mut past = 0;
    for name in sizes(&provider, "segment/").await.into_keys() {
        let body = provider.get(&name, Get::whole()).await.unwrap().body;
        provider.delete(&name).await.unwrap();
        let now = all(&fresh().await, At::Known).await;
        let then = all(&fresh().await, At::Version(versions[0])).await;
        match (&now, &then) {
            (Ok(now), Err(then)) => {
                assert_eq!((*now, then.kind()), (4000, ErrorKind::Corrupt));
                past += 1;
            }
            (Ok(now), Ok(_)) => assert_eq!(*now, 4000),
            (Err(now), _) => assert_eq!(now.kind(), ErrorKind::Corrupt),
        }
        provider.put(&name, body, PutIf::Always).await.unwrap();
    }
    assert!(past >= 6, "{past} segments of history");
}

#[tokio::test]
async fn what_merges_come_to_is_read_at_once_and_what_they_were_is_remembered() {
    let (counted, provider) = provider();
    let store = init(&provider, Options::default()).await;
    let mut versions = Vec::new();
    for _ in 0..300 {
        let receipt = store.transact(async |tx| tx.merge("n", Merge::Add(1))).await.unwrap();
        versions.push(receipt.version);
    }
    store.transact(async |tx| tx.put("text", "text")).await.unwrap();
    let wrong = store.transact(async |tx| tx.merge("text", Merge::Add(1))).await.unwrap().version;
    store.compact().await.unwrap();
    let opened = open(&provider, Options::default()).await;
    let before = counted.counts();
    let now = opened.snapshot(At::Known).await.unwrap();
    assert_eq!(now.get("n").await.unwrap().unwrap()[..], 300_i64.to_le_bytes());
    assert_eq!(now.get("text").await.unwrap_err().kind(), ErrorKind::NotANumber);
    assert!(counted.counts().since(&before).requests() <= 3);
    for (at, version) in versions.iter().enumerate() {
        let then = opened.snapshot(At::Version(*version)).await.unwrap();
        assert_eq!(then.get("n").await.unwrap().unwrap()[..], (at as i64 + 1).to_le_bytes());
    }
    let then = opened.snapshot(At::Version(Version(wrong.0 - 1))).await.unwrap();
    assert_eq!(then.get("text").await.unwrap().unwrap(), "text");
    let revisions = opened.history("n").await.unwrap().collect().await.unwrap();
    for (at, revision) in revisions.iter().rev().enumerate() {
        assert_eq!(revision.version, versions[at]);
        let value = revision.written.value().unwrap().inline().unwrap();
        assert_eq!(value[..], (at as i64 + 1).to_le_bytes());
    }
    assert_eq!(revisions.len(), 300);
}

#[tokio::test]
async fn a_transaction_is_in_conflict_with_what_compaction_made_history_of() {
    for (first, second) in [(true, false), (false, true), (true, true)] {
        let (_, provider) = provider();
        let store = init(&provider, Options::default()).await;
        store.transact(async |tx| tx.put("a1", "1")).await.unwrap();
        store.compact().await.unwrap();
        let key = store.begin();
        key.get("a1").await.unwrap();
        key.put("key", "1").unwrap();
        let range = store.begin();
        range.scan(&Scan::new("a".."b")).await.unwrap();
        range.put("range", "1").unwrap();
        if first {
            store.transact(async |tx| tx.delete("a1")).await.unwrap();
        }
        if second {
            store.transact(async |tx| tx.delete_range("a0".."a9")).await.unwrap();
        }
        store.compact().await.unwrap();
        assert_eq!(key.commit().await.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(range.commit().await.unwrap_err().kind(), ErrorKind::Conflict);
    }
}

#[tokio::test]
async fn two_handles_compact_at_once_while_others_write_and_all_is_there() {
    for seed in 0..10 {
        let mut dice = Dice::new(seed);
        let (_, provider) = provider();
        let stores =
            [init(&provider, options(&mut dice)).await, open(&provider, options(&mut dice)).await];
        let mut past = Past::default();
        for _ in 0..6 {
            for _ in 0..5 {
                past.act(&stores[0], &mut dice).await;
                stores[0].flush().await.unwrap();
            }
            stores[1].snapshot(At::Latest).await.unwrap();
            let write = async {
                past.act(&stores[0], &mut dice).await;
                stores[0].flush().await.unwrap();
            };
            let (a, b, ()) = tokio::join!(stores[0].compact(), stores[1].compact(), write);
            a.unwrap();
            b.unwrap();
        }
        for store in [&stores[0], &stores[1], &open(&provider, Options::default()).await] {
            past.check(store, |_| true, &format!("seed {seed}")).await;
            assert!(store.maintenance_error().is_none());
        }
    }
}

/// A provider of which the n-th request does not go well, and none after it.
#[derive(Debug)]
struct Failing {
    inner: Arc<dyn StorageProvider>,
    how: How,
    left: AtomicU64,
    reached: tokio::sync::Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// It is not done.
    Refuse,
    /// It is done, and nobody hears of it.
    Silent,
    /// It is not done, and there is never an answer: the process has crashed.
    Hang,
}

impl Failing {
    fn new(inner: &Arc<dyn StorageProvider>, how: How) -> Arc<Self> {
        let (inner, left) = (inner.clone(), AtomicU64::new(u64::MAX));
        Arc::new(Self { inner, how, left, reached: tokio::sync::Notify::new() })
    }

    /// Whether this request goes well.
    async fn goes_well(&self) -> bool {
        let well = |left: u64| left.checked_sub(1);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, well).is_ok() {
            return true;
        }
        self.reached.notify_one();
        if self.how == How::Hang {
            std::future::pending::<()>().await;
        }
        false
    }
}

fn refused() -> Error {
    Error::not_applied(StorageErrorKind::Unavailable, "refused")
}

#[async_trait]
impl StorageProvider for Failing {
    fn info(&self) -> ProviderInfo {
        self.inner.info()
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<ObjectVersion> {
        if self.goes_well().await {
            return self.inner.put(key, body, when).await;
        }
        if self.how == How::Refuse {
            return Err(refused());
        }
        // What comes after the first is a repetition.
        let _ = self.inner.put(key, body, when).await;
        Err(Error::unknown(StorageErrorKind::Unavailable, "nobody hears"))
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        if self.goes_well().await { self.inner.get(key, request).await } else { Err(refused()) }
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        if self.goes_well().await { self.inner.list(request).await } else { Err(refused()) }
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        if self.goes_well().await { self.inner.delete(key).await } else { Err(refused()) }
    }
}

#[tokio::test]
async fn a_compaction_that_fails_at_any_request_loses_nothing_and_is_made_up_for() {
    for how in [How::Refuse, How::Silent, How::Hang] {
        for failing in 0.. {
            let what = format!("{how:?} at request {failing}");
            let (_, provider) = provider();
            let mut dice = Dice::new(7);
            let mut options = Options::default();
            options.segment_bytes = 400;
            options.commit_time_max = Duration::ZERO;
            let broken = Failing::new(&provider, how);
            let store = init(&(broken.clone() as _), options).await;
            let mut past = Past::default();
            for at in 0..24 {
                past.act(&store, &mut dice).await;
                if at % 6 == 5 {
                    store.flush().await.unwrap();
                }
            }
            let before = sizes(&provider, "segment/").await.len();
            broken.left.store(failing, Ordering::Relaxed);
            let result = tokio::select! {
                result = store.pack(At::Version(past.states[4].0)) => Some(result),
                () = broken.reached.notified(), if how == How::Hang => None,
            };
            let reached = broken.left.load(Ordering::Relaxed) == 0;
            broken.left.store(u64::MAX, Ordering::Relaxed);
            let opened = open(&provider, Options::default()).await;
            let horizon = {
                let first = past.states[0].0;
                let packed = opened.snapshot(At::Version(first)).await.is_err();
                if packed { past.states[4].0 } else { first }
            };
            past.check(&opened, |version| version >= horizon, &what).await;
            let done = matches!(result, Some(Ok(_)));
            if let Some(Err(error)) = &result
                && how == How::Refuse
            {
                assert_eq!(
                    error.kind(),
                    ErrorKind::Storage(StorageErrorKind::Unavailable),
                    "{what}: {error}"
                );
            }
            if how != How::Hang {
                // It has no time at all, so another's commit in between is one too many.
                let packed = loop {
                    match store.pack(At::Version(past.states[6].0)).await {
                        Err(error) if error.to_string().starts_with("others were faster") => {}
                        packed => break packed.unwrap(),
                    }
                };
                assert_eq!(packed, past.states[6].0, "{what}");
                assert!(store.maintenance_error().is_none(), "{what}");
            }
            opened.snapshot(At::Latest).await.unwrap();
            opened.pack(At::Version(past.states[6].0)).await.unwrap();
            past.check(&opened, |version| version >= past.states[6].0, &what).await;
            assert!(sizes(&provider, "segment/").await.len() > before || done);
            if done && !reached {
                assert!(failing > 8, "{failing} requests in all");
                break;
            }
        }
    }
}

#[tokio::test]
async fn small_values_are_written_about_five_times_and_stored_once() {
    let (counted, provider) = provider();
    let mut options = Options::default();
    options.flush_bytes = 64 << 10;
    let store = init(&provider, options).await;
    let before = counted.counts();
    let mut committed = 0;
    for batch in 0..250_u32 {
        let receipt = store.transact(async |tx| {
            for at in 0..100 {
                let key =
                    format!("{:08}", (batch * 100 + at).wrapping_mul(2_654_435_761) % 100_000_000);
                let value = value(batch * 100 + at, 0, 100);
                tx.put(key, value)?;
            }
            Ok(())
        });
        receipt.await.unwrap();
        committed += 100 * (8 + 100);
    }
    store.flush().await.unwrap();
    let written = counted.counts().since(&before).put.bytes_in;
    let factor = written as f64 / committed as f64;
    println!("{written} bytes written for {committed} committed: {factor:.2}");
    assert!(factor < 6.0, "{factor:.2} bytes written for each committed");
    store.compact().await.unwrap();
    let mut options = CollectOptions::default();
    options.grace = Duration::ZERO;
    store.collect(&options).await.unwrap();
    let stored: u64 = sizes(&provider, "segment/").await.values().sum();
    let factor = stored as f64 / committed as f64;
    println!("{stored} bytes stored for {committed} live: {factor:.2}");
    assert!(factor < 1.2, "{factor:.2} bytes stored for each that is live");
}

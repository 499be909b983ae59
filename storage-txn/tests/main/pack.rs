//! Packing: what is before the horizon is gone, what is not is exact, and who asks for the one is told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backend_memory::MemoryProvider;
use storage_core::{Key, PutIf, StorageProvider};
use storage_txn::{At, ErrorKind, LogScan, Options, Outcome, Scan, Store, Version};
use storage_wrappers::{Counted, ManualEnv, TokioEnv};

use crate::collect::at_once;
use crate::compaction::sizes;
use crate::open;
use crate::past::{Dice, Past};

type Provider = Arc<Counted<MemoryProvider>>;

fn provider() -> (Provider, Arc<dyn StorageProvider>) {
    let counted = Arc::new(Counted::new(MemoryProvider::new()));
    (counted.clone(), counted)
}

async fn init(provider: &Arc<dyn StorageProvider>) -> Store {
    init_with(provider, Options::default()).await
}

async fn init_with(provider: &Arc<dyn StorageProvider>, options: Options) -> Store {
    Store::init(provider.clone(), Arc::new(TokioEnv::new()), options).await.unwrap()
}

async fn put(store: &Store, key: &str, value: &str) -> Version {
    store.transact(async |tx| tx.put(key, value.to_owned())).await.unwrap().version
}

#[test]
fn what_is_kept_reads_as_it_did_and_the_rest_is_refused() {
    for seed in 0..20 {
        let env = ManualEnv::new(seed);
        env.block_on(pack_at_random(seed, &env));
    }
}

async fn pack_at_random(seed: u64, env: &ManualEnv) {
    let mut dice = Dice::new(seed);
    let (_, provider) = provider();
    let mut options = Options::default();
    options.segment_bytes = [300, 2000, 64 << 20][dice.below(3) as usize];
    options.compaction_fanout = 2 + dice.below(3) as usize;
    if dice.below(2) == 0 {
        options.flush_bytes = 1 + dice.below(1500) as usize;
    }
    let open = async |options| {
        Store::open(provider.clone(), Arc::new(env.clone()), options).await.unwrap()
    };
    let first = Store::init(provider.clone(), Arc::new(env.clone()), options.clone()).await;
    let stores = [first.unwrap(), open(options).await];
    let mut past = Past::default();
    let mut tags: BTreeSet<Version> = BTreeSet::new();
    let mut horizon = Version::ZERO;
    let mut lowest = Version::ZERO;
    for step in 0..50 {
        let store = &stores[dice.below(2) as usize];
        let now = store.snapshot(At::Latest).await.unwrap().version();
        let what = format!("seed {seed}, step {step}");
        let kept = |tags: &BTreeSet<Version>, horizon: Version| {
            let tags = tags.clone();
            move |version: Version| version >= horizon || tags.contains(&version)
        };
        match dice.below(16) {
            0 => store.compact().await.unwrap(),
            1 | 2 => store.flush().await.unwrap(),
            3 => {
                let before = Version(dice.below(now.0 + 1));
                let packed = store.pack(At::Version(before)).await.unwrap();
                assert_eq!(packed, horizon.max(before), "{what}");
                horizon = packed;
                lowest = lowest.max(horizon);
            }
            4 => {
                let version = Version(dice.below(now.0 + 1));
                let result = store.tag(&format!("{version}"), version).await;
                let readable = kept(&tags, horizon)(version);
                assert_eq!(result.is_ok(), readable, "{what}: tag {version}: {result:?}");
                if readable {
                    tags.insert(version);
                }
            }
            5 => {
                if let Some(version) = tags.pop_first() {
                    store.untag(&format!("{version}")).await.unwrap();
                }
            }
            6 => past.check(store, kept(&tags, horizon), &what).await,
            _ => past.act(store, &mut dice).await,
        }
        assert!(store.maintenance_error().is_none(), "{what}: {:?}", store.maintenance_error());
    }
    let what = format!("seed {seed}, end");
    let kept = |version: Version| version >= horizon || tags.contains(&version);
    for store in stores.iter().chain([&open(Options::default()).await]) {
        past.check(store, kept, &what).await;
        past.check_histories(store, lowest, &what).await;
    }
}

#[tokio::test]
async fn who_asks_for_what_was_before_the_horizon_is_told_where_that_is() {
    let (_, provider) = provider();
    let store = init(&provider).await;
    let sleeper = open(&provider, Options::default()).await;
    for value in ["1", "2", "3", "4"] {
        put(&store, "a", value).await;
    }
    let mut watch = store.watch(Version(1));
    assert_eq!(store.pack(At::Version(Version(3))).await.unwrap(), Version(3));
    assert_eq!(
        store.pack(At::Version(Version(2))).await.unwrap(),
        Version(3),
        "it never goes back"
    );

    let mut changes = store.changes(Version(1), Version(4)).await.unwrap();
    let errors = [
        ("version 2 is no longer kept", store.snapshot(At::Version(Version(2))).await.map(drop)),
        ("version 2 is no longer kept", changes.next().await.map(drop)),
        ("version 2 is no longer kept", watch.next().await.map(drop)),
        ("version 2 is no longer kept", store.commit_info(Version(2)).await.map(drop)),
        ("version 2 is no longer kept", store.undo(Version(3)).await.map(drop)),
        ("version 2 is no longer kept", store.tag("two", Version(2)).await),
        ("version 2 is no longer kept", store.cursor_set("two", Version(2)).await),
    ];
    for (at, (expected, result)) in errors.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SnapshotExpired, "{at}: {error}");
        assert_eq!(error.to_string(), format!("{expected}: the horizon is version 3"), "{at}");
    }
    let old = store.snapshot(At::Time(Duration::ZERO)).await.unwrap_err();
    assert_eq!(old.kind(), ErrorKind::SnapshotExpired, "{old}");

    // What is at the horizon and after it is all there.
    let then = store.snapshot(At::Version(Version(3))).await.unwrap();
    assert_eq!(then.get_versioned("a").await.unwrap(), Some((Version(3), "3".into())));
    let kept = store.log(&LogScan::new(..).forward()).await.unwrap().collect().await.unwrap();
    assert_eq!(kept.iter().map(|commit| commit.version.0).collect::<Vec<_>>(), [3, 4]);
    let mut history = store.history("a").await.unwrap();
    for expected in [Some(4), Some(3), None] {
        let found = history.next().await.unwrap().map(|revision| revision.version.0);
        assert_eq!(found, expected);
    }
    assert_eq!(history.horizon(), Version(3));
    assert_eq!(store.info().await.unwrap().horizon, Version(3));
    for (scan, kept) in [
        (LogScan::new(Version(1)..), vec![4, 3]),
        (LogScan::new(Version(1)..Version(3)), vec![]),
        (LogScan::new(Version(2)..).forward(), vec![]),
    ] {
        let mut commits = store.log(&scan).await.unwrap();
        for expected in kept {
            assert_eq!(commits.next().await.unwrap().unwrap().version.0, expected, "{scan:?}");
        }
        let error = commits.next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SnapshotExpired, "{scan:?}: {error}");
    }
    let in_time = LogScan::new(Version(1)..).limit(2);
    assert_eq!(store.log(&in_time).await.unwrap().collect().await.unwrap().len(), 2);
    let mut changes = store.changes(Version(3), Version(4)).await.unwrap();
    assert_eq!(changes.next().await.unwrap().unwrap().commit().version, Version(4));
    store.undo(Version(4)).await.unwrap();
    assert_eq!(sleeper.snapshot(At::Latest).await.unwrap().get("a").await.unwrap().unwrap(), "3");
}

/// Its view was of before the packing, and what it reads of after: it took what was packed away for damage, and a
/// history that it began for a whole one.
#[tokio::test]
async fn a_reader_of_before_the_packing_is_told_that_what_it_reads_is_gone() {
    let (_, provider) = provider();
    let store = init(&provider).await;
    put(&store, "a", "1").await;
    put(&store, "b", "1").await;
    store.transact(async |tx| tx.delete("b")).await.unwrap();
    put(&store, "a", "2").await;
    put(&store, "a", "3").await;
    put(&store, "b", "2").await;
    store.flush().await.unwrap();
    let reader = open(&provider, Options::default()).await;
    let then = reader.snapshot(At::Known).await.unwrap();
    store.pack(At::Version(Version(5))).await.unwrap();
    store.collect(&at_once()).await.unwrap();
    assert_eq!(then.horizon().unwrap(), Version::ZERO);
    let mut changes = then.changes(Version(1)).await.unwrap();
    let mut history = then.history("a").unwrap();
    assert_eq!(history.next().await.unwrap().unwrap().version, Version(5));
    assert_eq!(history.next().await.unwrap(), None);
    assert_eq!((history.horizon(), then.horizon().unwrap()), (Version(5), Version(5)));
    for (what, result) in [
        ("changes", changes.next().await.map(drop)),
        ("a commit", then.commit_info(Version(2)).await.map(drop)),
        ("commits", then.log(&LogScan::new(Version(2)..)).await.unwrap().collect().await.map(drop)),
        ("a watch", reader.watch(Version(1)).next().await.map(drop)),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SnapshotExpired, "{what}: {error}");
        assert_eq!(
            error.to_string(),
            "version 2 is no longer kept: the horizon is version 5",
            "{what}"
        );
    }
}

#[tokio::test]
async fn what_became_of_a_transaction_is_known_after_it_was_packed_away() {
    let (_, provider) = provider();
    let store = init(&provider).await;
    let done = store.transact(async |tx| tx.put("a", "1")).await.unwrap();
    let refused = store.begin();
    refused.put("a", "2").unwrap();
    assert_eq!(store.outcome(refused.id()).await.unwrap(), Outcome::NotCommitted);
    put(&store, "a", "3").await;
    for _ in 0..2 {
        store.pack(At::Latest).await.unwrap();
        put(&store, "b", "1").await;
    }
    let opened = open(&provider, Options::default()).await;
    for store in [&store, &opened] {
        let known = store.outcome(done.transaction_id).await.unwrap();
        assert_eq!(known, Outcome::Committed(done.version));
        assert_eq!(store.outcome(refused.id()).await.unwrap(), Outcome::NotCommitted);
    }
    assert_eq!(refused.commit().await.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn a_cursor_and_a_pin_hold_the_horizon_back_and_only_so_far() {
    let (_, provider) = provider();
    let mut options = Options::default();
    options.cursor_lag_versions_max = 50;
    let store = init_with(&provider, options).await;
    for at in 0..20 {
        put(&store, "a", &at.to_string()).await;
    }
    store.cursor_set("mirror", Version(8)).await.unwrap();
    let pin = |version: u64, expiry: u64| {
        Key::new(format!("pin/{version:016x}={expiry:016x}={:016x}", 1)).unwrap()
    };
    provider.put(&pin(5, u64::MAX), "".into(), PutIf::Always).await.unwrap();
    provider.put(&pin(2, 1), "".into(), PutIf::Always).await.unwrap();
    assert_eq!(store.pack(At::Version(Version(15))).await.unwrap(), Version(5));
    provider.delete(&pin(5, u64::MAX)).await.unwrap();
    assert_eq!(store.pack(At::Version(Version(15))).await.unwrap(), Version(8));
    let mut missed = store.watch(store.cursor_get("mirror").await.unwrap().unwrap());
    assert_eq!(missed.next().await.unwrap().commit().version, Version(9));
    for at in 0..50 {
        put(&store, "a", &at.to_string()).await;
    }
    assert_eq!(store.pack(At::Version(Version(15))).await.unwrap(), Version(15));
}

#[tokio::test]
async fn a_transaction_from_before_the_horizon_is_in_conflict() {
    let (_, provider) = provider();
    let store = init(&provider).await;
    put(&store, "a", "1").await;
    let key = store.begin();
    assert_eq!(key.get("b").await.unwrap(), None);
    key.put("c", "1").unwrap();
    let range = store.begin();
    assert_eq!(range.scan(&Scan::new("b"..)).await.unwrap(), []);
    range.put("c", "1").unwrap();
    let blind = store.begin();
    blind.put("d", "1").unwrap();
    put(&store, "b", "1").await;
    store.transact(async |tx| tx.delete("b")).await.unwrap();
    store.pack(At::Latest).await.unwrap();
    assert_eq!(key.commit().await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(range.commit().await.unwrap_err().kind(), ErrorKind::Conflict);
    blind.commit().await.unwrap();
}

#[tokio::test]
async fn history_that_nobody_asks_for_is_dropped_without_being_read() {
    let (counted, provider) = provider();
    let store = init(&provider).await;
    for round in 0..4_u8 {
        let receipt = store.transact(async |tx| {
            (0..200).try_for_each(|key| tx.put(format!("{key:03}"), vec![round; 1000]))
        });
        receipt.await.unwrap();
        store.compact().await.unwrap();
    }
    put(&store, "last", "1").await;
    store.compact().await.unwrap();
    let before = counted.counts();
    store.pack(At::Latest).await.unwrap();
    let cost = counted.counts().since(&before);
    println!("{cost:?}");
    assert!(cost.put.requests <= 5, "{} puts", cost.put.requests);
    assert_eq!(
        store.snapshot(At::Known).await.unwrap().get("007").await.unwrap().unwrap(),
        [3; 1000][..]
    );
}

#[tokio::test]
async fn a_tag_and_a_pack_at_once_leave_either_the_tag_or_nothing() {
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let (_, provider) = provider();
        let store = init(&provider).await;
        let other = open(&provider, Options::default()).await;
        let mut past = Past::default();
        for _ in 0..10 {
            past.act(&store, &mut dice).await;
        }
        other.snapshot(At::Latest).await.unwrap();
        let version = past.states[dice.below(9) as usize].0;
        let (packed, tagged) =
            tokio::join!(store.pack(At::Version(past.states[9].0)), other.tag("then", version));
        assert_eq!(packed.unwrap(), past.states[9].0);
        let kept = match tagged {
            Ok(()) => Some(version),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::SnapshotExpired, "seed {seed}: {error}");
                None
            }
        };
        for store in [&store, &other] {
            let what = format!("seed {seed}, {kept:?}");
            let readable = |at| at >= past.states[9].0 || Some(at) == kept;
            past.check(store, readable, &what).await;
        }
    }
}

#[tokio::test]
async fn large_values_are_deleted_when_what_put_them_is_packed_away() {
    let (_, provider) = provider();
    let mut options = Options::default();
    options.inline_bytes_max = 100;
    let store = init_with(&provider, options).await;
    let large = |byte: u8| vec![byte; 1000];
    let bytes = async |store: &Store, at, key: &str| {
        store.snapshot(at).await.unwrap().get(key).await.unwrap().map(|value| value.to_vec())
    };
    let values = async || {
        store.collect(&at_once()).await.unwrap();
        sizes(&provider, "value/").await.len()
    };
    let put = async |key: &str, byte| {
        store.transact(async |tx| tx.put(key, large(byte))).await.unwrap().version
    };
    let first = put("a", 1).await;
    let second = put("a", 2).await;
    let third = put("a", 3).await;
    store.transact(async |tx| tx.put("b", "small")).await.unwrap();
    store.compact().await.unwrap();
    put("c", 4).await;
    store.transact(async |tx| tx.delete("c")).await.unwrap();
    assert_eq!(values().await, 4);

    store.tag("first", first).await.unwrap();
    assert_eq!(store.pack(At::Version(second)).await.unwrap(), second);
    assert_eq!(values().await, 4, "each is still put by a version that can be read");
    store.pack(At::Version(third)).await.unwrap();
    assert_eq!(values().await, 3, "the second is not");
    assert_eq!(bytes(&store, At::Version(first), "a").await, Some(large(1)));
    store.untag("first").await.unwrap();
    store.pack(At::Latest).await.unwrap();
    assert_eq!(values().await, 1);
    for store in [&store, &open(&provider, Options::default()).await] {
        assert_eq!(bytes(store, At::Latest, "a").await, Some(large(3)));
        assert_eq!(bytes(store, At::Latest, "c").await, None);
    }
}

/// A handle that had not heard of it said that the store was corrupt.
#[tokio::test]
async fn who_asks_for_a_commit_that_another_has_packed_away_meanwhile_is_told() {
    let (_, provider) = provider();
    let store = init(&provider).await;
    let committed = store.transact(async |tx| tx.put("a", "1")).await.unwrap();
    put(&store, "a", "2").await;
    store.flush().await.unwrap();
    let slow: Vec<Store> =
        futures_util::future::join_all((0..3).map(|_| open(&provider, Options::default()))).await;
    let known = slow[0].snapshot(At::Known).await.unwrap();
    put(&store, "a", "3").await;
    store.pack(At::Latest).await.unwrap();
    store.collect(&at_once()).await.unwrap();
    let expired = |error: storage_txn::Error| {
        assert_eq!(error.kind(), ErrorKind::SnapshotExpired, "{error}");
    };
    expired(known.commit_info(committed.version).await.unwrap_err());
    expired(slow[1].undo(Version(2)).await.unwrap_err());
    let outcome = slow[2].outcome(committed.transaction_id).await.unwrap();
    assert_eq!(outcome, Outcome::Committed(committed.version));
}

/// The segments that it had begun to read were collected, and it said that they were lost.
#[tokio::test]
async fn who_compacts_what_another_has_compacted_and_collected_begins_again() {
    let (_, provider) = provider();
    let store = init(&provider).await;
    for value in ["1", "2"] {
        put(&store, "a", value).await;
        store.flush().await.unwrap();
    }
    let slow = open(&provider, Options::default()).await;
    store.compact().await.unwrap();
    store.collect(&at_once()).await.unwrap();
    slow.compact().await.unwrap();
    let known = slow.begin().read_version();
    assert_eq!(slow.pack(At::Known).await.unwrap(), known);
}

#[tokio::test]
async fn after_packing_and_collecting_hardly_more_is_stored_than_is_live() {
    let (_, provider) = provider();
    let store = init(&provider).await;
    let mut dice = Dice::new(1);
    for _ in 0..5 {
        let receipt = store.transact(async |tx| {
            (0..5000_u32).try_for_each(|key| {
                let value: Vec<u8> = (0..100).map(|at| (key * 31 + at * at * 7) as u8).collect();
                tx.put(format!("{key:06}"), value)
            })
        });
        receipt.await.unwrap();
        store.flush().await.unwrap();
    }
    let noise: Vec<Vec<u8>> =
        (0..5000).map(|_| (0..100).map(|_| dice.below(256) as u8).collect()).collect();
    let receipt = store.transact(async |tx| {
        (0_usize..)
            .zip(&noise)
            .try_for_each(|(key, value)| tx.put(format!("{key:06}"), value.clone()))
    });
    receipt.await.unwrap();
    store.transact(async |tx| tx.put("end", "1")).await.unwrap();
    store.pack(At::Latest).await.unwrap();
    store.collect(&at_once()).await.unwrap();
    let stored: u64 = sizes(&provider, "segment/").await.values().sum();
    let live = 5000 * (6 + 100);
    println!("{stored} bytes in segments, {live} live");
    assert!(stored as f64 / f64::from(live) < 1.2, "{stored} bytes in segments, {live} live");
    let store = open(&provider, Options::default()).await;
    let found = store.snapshot(At::Known).await.unwrap().get("004321").await.unwrap().unwrap();
    assert_eq!(found, noise[4321]);
}

//! Replicas: a copy is its store at one of its versions whenever it is stopped, and takes its place without loss.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_util::stream;
use storage_core::{Env, Get, Key, PutIf, StorageProvider};
use storage_txn::{
    At, CollectOptions, ErrorKind, Options, Outcome, Place, Replica, ReplicaOptions, ReplicaStage,
    Store, TransactionId, VerifyEvent, VerifyOptions, Version,
};
use storage_wrappers::{Counted, TokioEnv};

use crate::collect::at_once;
use crate::flush::{Provider, counted, dynamic, fill, names, put};
use crate::gated::{Clock, Gated, Stop};
use crate::{open, tiny};

fn env() -> Arc<TokioEnv> {
    Arc::new(TokioEnv::new())
}

fn place() -> Provider {
    Arc::new(Counted::new(MemoryProvider::new()))
}

async fn replica(source: &Provider, target: Arc<dyn StorageProvider>) -> Replica {
    Replica::begin(source.clone(), target, env(), ReplicaOptions::default()).await.unwrap()
}

/// Everything that is on a place, on another.
async fn twin(provider: &Provider) -> Provider {
    let twin = place();
    for name in names(provider, "").await {
        let body = provider.get(&name, Get::whole()).await.unwrap().body;
        twin.put(&name, body, PutIf::Always).await.unwrap();
    }
    twin
}

/// Values of every kind: in the entry, in an object with others, in several objects.
async fn put_large(store: &Store, seed: u8) {
    let chunked = vec![seed; 700_000];
    let (one, other) = (vec![seed ^ 1; 100_000], vec![seed ^ 2; 90_000]);
    store
        .transact(async |tx| {
            tx.put("shared-1", one.clone())?;
            tx.put("shared-2", other.clone())?;
            let pieces = chunked
                .chunks(50_000)
                .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)));
            tx.put_stream(format!("chunked-{}", seed % 3), stream::iter(pieces.collect::<Vec<_>>()))
                .await
        })
        .await
        .unwrap();
}

fn small_objects() -> Options {
    let mut options = Options::default();
    options.segment_bytes = 1000;
    options.chunk_bytes = 200_000;
    options
}

/// A store with something of everything, written to further by [`go_on`].
async fn used() -> (Provider, Store) {
    let (provider, store) = counted().await;
    fill(&store, 7).await;
    drop(store);
    let store = open(&dynamic(&provider), small_objects()).await;
    put_large(&store, 10).await;
    store.flush().await.unwrap();
    store.compact().await.unwrap();
    put_large(&store, 11).await;
    (provider, store)
}

async fn go_on(store: &Store) {
    for round in 0..4_u8 {
        put(store, "later", &round.to_string()).await;
        put_large(store, 20 + round).await;
        if round % 2 == 1 {
            store.flush().await.unwrap();
            store.compact().await.unwrap();
        }
    }
    store.collect(&gently()).await.unwrap();
    put(store, "later", "last").await;
}

/// Collects objects at once and leaves the entries of the log.
fn gently() -> CollectOptions {
    let mut options = at_once();
    options.entries_kept = 1_000_000;
    options
}

async fn check_sound(provider: &Provider) {
    let mut found = Vec::new();
    let mut tell = |event| {
        if let VerifyEvent::Finding(finding) = event {
            found.push(finding.to_string());
        }
    };
    let report = Store::verify(provider.clone(), env(), &VerifyOptions::default(), &mut tell).await;
    let report = report.unwrap();
    assert!(report.is_sound(), "{found:?}");
}

/// What a copy can be read as; `None` when it cannot, and says so.
async fn version_of(target: &Provider, source: &Store) -> Option<Version> {
    let copy = match Store::open(target.clone(), env(), Options::default()).await {
        Ok(copy) => copy,
        Err(error) => {
            assert!(
                matches!(error.kind(), ErrorKind::ReadOnly | ErrorKind::NoStore),
                "{:?}: {error}",
                error.kind()
            );
            return None;
        }
    };
    let snapshot = copy.snapshot(At::Latest).await.unwrap();
    let version = snapshot.version();
    // Nobody collects what this reads.
    let expected = source.snapshot(At::Version(version)).await.unwrap();
    let scan = storage_txn::Scan::new(..);
    let keys = async |snapshot: &storage_txn::Snapshot| {
        let mut keys = Vec::new();
        let metas = snapshot.scan_meta(&scan).await.unwrap();
        for meta in metas.collect().await.unwrap() {
            keys.push(meta.key);
        }
        keys
    };
    let wanted = keys(&expected).await;
    assert_eq!(keys(&snapshot).await, wanted, "version {version}");
    for key in wanted {
        let read = async |snapshot: &storage_txn::Snapshot| {
            let mut value = snapshot.get_stream(key.clone()).await.unwrap().unwrap();
            let mut bytes = Vec::new();
            while let Some(piece) = value.next().await.unwrap() {
                bytes.extend_from_slice(&piece);
            }
            bytes
        };
        assert!(read(&snapshot).await == read(&expected).await, "{key:?} at version {version}");
    }
    Some(version)
}

/// Stops a copying after each of its requests, in each way there is, and looks at what is there then; and again after it
/// has gone on.
async fn check_stops(source: &Provider, store: &Store, base: &Provider, step: usize) {
    let last = store.snapshot(At::Latest).await.unwrap().version();
    let first = version_of(base, store).await.unwrap_or(last);
    for stop in [Stop::Fails, Stop::AnswerIsLost, Stop::IsLost] {
        let mut before = None;
        for after in (0..).step_by(step) {
            let target = twin(base).await;
            let gated = Gated::new(&target, "", stop);
            gated.shut(after);
            let begun =
                Replica::begin(source.clone(), gated.clone(), env(), ReplicaOptions::default());
            let done = match begun.await {
                Ok(mut replica) => replica.follow(&mut |_| {}).await.is_ok(),
                Err(_) => false,
            };
            let what = format!("{stop:?} after {after}");
            let version = version_of(&target, store).await;
            assert!(version >= before, "{what}: {version:?} after {before:?}");
            // As long as it is being filled it is not taken for an older or an empty store.
            assert!(version.is_none_or(|version| version >= first), "{what}: {version:?}");
            before = version;
            if done && gated.has_stopped_none() {
                assert_eq!(version, Some(last), "{what}");
                break;
            }
            let mut replica = replica(source, target.clone()).await;
            assert_eq!(replica.follow(&mut |_| {}).await.unwrap().version, last, "{what}");
            assert_eq!(version_of(&target, store).await, Some(last), "{what}");
        }
    }
}

#[tokio::test]
async fn a_copy_that_is_stopped_anywhere_while_it_is_filled_cannot_be_read_and_goes_on() {
    let (source, store) = used().await;
    check_stops(&source, &store, &place(), 5).await;
}

#[tokio::test]
async fn a_copy_that_is_stopped_anywhere_is_its_store_at_one_of_its_versions() {
    let (source, store) = used().await;
    let base = place();
    let mut following = replica(&source, base.clone()).await;
    let filled = following.follow(&mut |_| {}).await.unwrap();
    assert!(filled.copied.filling && filled.copied.objects > 5, "{filled:?}");
    check_sound(&base).await;
    go_on(&store).await;
    check_stops(&source, &store, &base, 3).await;
    // It was held, so the collection left what it needed.
    let followed = following.follow(&mut |_| {}).await.unwrap();
    assert!(!followed.copied.filling && followed.copied.entries > 8, "{followed:?}");
    check_sound(&base).await;
    let pins = names(&source, "pin/").await.len();
    following.release().await;
    // Those of the others, which were stopped, end by themselves.
    assert_eq!(names(&source, "pin/").await.len(), pins - 1);
}

#[tokio::test]
async fn what_the_store_deletes_is_deleted_on_the_copy_too_and_nothing_else() {
    let (source, store) = used().await;
    let target = place();
    let mut following = replica(&source, target.clone()).await;
    following.follow(&mut |_| {}).await.unwrap();
    go_on(&store).await;
    following.follow(&mut |_| {}).await.unwrap();
    following.release().await;
    let deleted = store.collect(&gently()).await.unwrap();
    assert!(deleted.segments > 0, "{deleted:?}");
    following.follow(&mut |_| {}).await.unwrap();
    following.release().await;
    for folder in ["segment/", "value/"] {
        assert_eq!(names(&target, folder).await, names(&source, folder).await, "{folder}");
    }
    let (copied, ours) = (names(&target, "checkpoint/").await, names(&source, "checkpoint/").await);
    assert!(copied.len() <= 2 && copied[0] == ours[0], "{copied:?} of {ours:?}");
    check_sound(&target).await;
}

#[tokio::test]
async fn a_copy_that_was_away_for_too_long_is_filled_again_and_cannot_be_read_meanwhile() {
    let clock = Clock::new();
    let (source, store) = counted().await;
    drop(store);
    let open = async || Store::open(source.clone(), clock.clone(), small_objects()).await.unwrap();
    let store = open().await;
    put_large(&store, 1).await;
    store.flush().await.unwrap();
    let target = place();
    let begin = async |target: Arc<dyn StorageProvider>| {
        Replica::begin(source.clone(), target, clock.clone(), ReplicaOptions::default()).await
    };
    begin(target.clone()).await.unwrap().follow(&mut |_| {}).await.unwrap();
    for seed in 2..9 {
        clock.forward(Duration::from_secs(7200));
        put_large(&store, seed).await;
        store.flush().await.unwrap();
        store.compact().await.unwrap();
    }
    let collected = store.collect(&at_once()).await.unwrap();
    assert!(collected.entries > 5 && collected.segments > 2, "{collected:?}");
    // Stopped in the middle of it.
    let gated = Gated::new(&target, "value/", Stop::Fails);
    gated.shut(1);
    begin(gated).await.unwrap().follow(&mut |_| {}).await.unwrap_err();
    assert_eq!(version_of(&target, &store).await, None);
    let followed = begin(target.clone()).await.unwrap().follow(&mut |_| {}).await.unwrap();
    assert!(followed.copied.filling, "{followed:?}");
    assert_eq!(version_of(&target, &store).await, Some(followed.version));
    check_sound(&target).await;
}

#[tokio::test]
async fn nothing_is_written_to_a_copy_but_by_the_one_that_follows() {
    let (source, store) = used().await;
    let target = place();
    let mut following = replica(&source, target.clone()).await;
    following.follow(&mut |_| {}).await.unwrap();
    let copy = open(&dynamic(&target), tiny()).await;
    let before = names(&target, "").await;
    let refused = [
        copy.transact(async |tx| tx.put("a", "1")).await.map(drop),
        copy.transact(async |tx| tx.put("a", vec![1; 10])).await.map(drop),
        copy.tag("now", Version(1)).await,
        copy.collect(&at_once()).await.map(drop),
        copy.compact_if_due().await,
        copy.pack(At::Known).await.map(drop),
        copy.outcome(TransactionId([7; 16])).await.map(drop),
        Store::rebuild_index(target.clone(), env(), Options::default()).await.map(drop),
    ];
    for (nth, refused) in refused.into_iter().enumerate() {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnly, "{nth}: {error}");
        assert!(error.to_string().contains("replica"), "{error}");
    }
    assert_eq!(names(&target, "").await, before);
    // A handle that is open sees what comes.
    put(&store, "new", "1").await;
    following.follow(&mut |_| {}).await.unwrap();
    let found = copy.snapshot(At::Latest).await.unwrap().get("new").await.unwrap();
    assert_eq!(found.as_deref(), Some(&b"1"[..]));
}

#[tokio::test]
async fn a_copy_is_begun_nowhere_but_where_there_is_nothing_or_the_same_copy() {
    let (source, _store) = used().await;
    let (other, _) = counted().await;
    let begin = async |source: &Provider, target: &Provider| {
        let begun =
            Replica::begin(source.clone(), target.clone(), env(), ReplicaOptions::default()).await;
        begun.map(drop).map_err(|error| error.kind())
    };
    assert_eq!(begin(&source, &other).await, Err(ErrorKind::StoreExists));
    assert_eq!(begin(&source, &source).await, Err(ErrorKind::StoreExists));
    assert_eq!(begin(&place(), &place()).await, Err(ErrorKind::NoStore));
    let target = place();
    assert_eq!(begin(&source, &target).await, Ok(()));
    assert_eq!(begin(&source, &target).await, Ok(()));
    assert_eq!(begin(&other, &target).await, Err(ErrorKind::StoreExists));
    let open = Replica::open(source, place(), env(), ReplicaOptions::default()).await;
    assert_eq!(open.unwrap_err().kind(), ErrorKind::NoStore);
}

/// Promotes while several commit, and looks for everything that was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_acknowledged_while_a_copy_is_promoted_is_in_it() {
    let (source, first) = used().await;
    let second = open(&dynamic(&source), Options::default()).await;
    let target = place();
    let mut following = replica(&source, target.clone()).await;
    following.follow(&mut |_| {}).await.unwrap();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = [first, second]
        .into_iter()
        .enumerate()
        .map(|(writer, store)| {
            let acknowledged = acknowledged.clone();
            tokio::spawn(async move {
                let mut keys = Vec::new();
                loop {
                    let key = format!("of-{writer}-{}", keys.len());
                    let put = store.transact(async |tx| tx.put(key.clone(), "1")).await;
                    match put {
                        Ok(_) => keys.push(key),
                        Err(error) => break (keys, error),
                    }
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    while acknowledged.load(Ordering::Relaxed) < 50 {
        tokio::task::yield_now().await;
    }
    let promoted = following.promote(false, &mut |_| {}).await.unwrap();
    assert!(promoted.sealed && promoted.diverged.is_none(), "{promoted:?}");
    let copy = open(&dynamic(&target), Options::default()).await;
    put(&copy, "of-the-copy", "1").await;
    let snapshot = copy.snapshot(At::Latest).await.unwrap();
    for writer in writers {
        let (keys, error) = writer.await.unwrap();
        assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
        for key in keys {
            assert!(snapshot.get(key.clone()).await.unwrap().is_some(), "{key}");
        }
    }
    check_sound(&target).await;
}

#[tokio::test]
async fn a_store_whose_copy_was_promoted_commits_nothing_and_the_copy_follows_nothing() {
    let (source, store) = used().await;
    let target = place();
    let mut following = replica(&source, target.clone()).await;
    // It need not have followed before.
    let promoted = following.promote(false, &mut |_| {}).await.unwrap();
    assert_eq!(following.promote(false, &mut |_| {}).await.unwrap(), promoted);
    let refused = store.transact(async |tx| tx.put("a", "1")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnly);
    assert!(refused.to_string().contains("taken its place"), "{refused}");
    // What was not committed never will be.
    assert_eq!(store.outcome(TransactionId([9; 16])).await.unwrap(), Outcome::NotCommitted);
    assert_eq!(store.collect(&at_once()).await.unwrap_err().kind(), ErrorKind::ReadOnly);
    store.snapshot(At::Latest).await.unwrap();
    assert_eq!(following.follow(&mut |_| {}).await.unwrap_err().kind(), ErrorKind::Conflict);
    let status = following.status().await.unwrap();
    assert_eq!((status.stage, status.version), (ReplicaStage::Promoted, promoted.version));
    // It is a store like any other: it is written to, flushed, collected, and copied back.
    let copy = open(&dynamic(&target), small_objects()).await;
    put_large(&copy, 77).await;
    copy.flush().await.unwrap();
    copy.compact().await.unwrap();
    copy.collect(&at_once()).await.unwrap();
    check_sound(&target).await;
    let back = place();
    let followed = replica(&target, back.clone()).await.follow(&mut |_| {}).await.unwrap();
    assert_eq!(version_of(&back, &copy).await, Some(followed.version));
}

#[tokio::test]
async fn what_a_store_had_that_its_copy_had_not_when_it_was_promoted_by_force_is_counted_and_kept()
{
    let (source, store) = used().await;
    let target = place();
    let gated = Gated::new(&source, "", Stop::Fails);
    let mut following =
        Replica::begin(gated.clone(), target.clone(), env(), ReplicaOptions::default())
            .await
            .unwrap();
    let followed = following.follow(&mut |_| {}).await.unwrap();
    put(&store, "late", "1").await;
    put_large(&store, 5).await;
    gated.shut(0);
    let refused = following.promote(false, &mut |_| {}).await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Storage(_)), "{refused}");
    let promoted = following.promote(true, &mut |_| {}).await.unwrap();
    assert!(!promoted.sealed, "{promoted:?}");
    assert_eq!(promoted.version, followed.version);
    let copy = open(&dynamic(&target), Options::default()).await;
    put(&copy, "of-the-copy", "1").await;
    assert_eq!(following.status().await.unwrap().stage, ReplicaStage::Forced);
    put(&store, "later", "1").await;
    store.flush().await.unwrap();
    // It is back.
    gated.open();
    let promoted = following.promote(false, &mut |_| {}).await.unwrap();
    let diverged = promoted.diverged.unwrap();
    assert!(promoted.sealed, "{promoted:?}");
    assert_eq!((diverged.transactions, diverged.entries, diverged.gone), (3, 3, 0), "{diverged:?}");
    let kept = names(&target, "replica/diverged/log/").await;
    assert_eq!(kept.len(), 3);
    for name in kept {
        // Byte for byte as it was.
        let theirs = name.as_str().strip_prefix("replica/diverged/").unwrap();
        let theirs = Key::new(theirs).unwrap();
        let kept = target.get(&name, Get::whole()).await.unwrap().body;
        let was = source.get(&theirs, Get::whole()).await.unwrap().body;
        assert_eq!(kept, was, "{name}");
    }
    assert_eq!(names(&target, "replica/diverged/value/").await.len() as u64, diverged.objects);
    assert!(diverged.objects >= 3, "{diverged:?}");
    let refused = store.transact(async |tx| tx.put("a", "1")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnly);
    let snapshot = copy.snapshot(At::Latest).await.unwrap();
    assert_eq!(snapshot.get("late").await.unwrap(), None);
    check_sound(&target).await;
}

// The clock runs ahead where nobody does anything but wait: a commit is tried for long.
#[tokio::test(start_paused = true)]
async fn a_promotion_that_is_stopped_anywhere_loses_nothing_and_is_done_again() {
    for stop in [Stop::Fails, Stop::AnswerIsLost, Stop::IsLost] {
        for after in 0.. {
            let (source, store) = counted().await;
            put(&store, "a", "1").await;
            let target = place();
            replica(&source, target.clone()).await.follow(&mut |_| {}).await.unwrap();
            put(&store, "b", "1").await;
            let gated = Gated::new(&target, "", stop);
            gated.shut(after);
            let mut options = ReplicaOptions::default();
            options.entries_at_once = 1;
            let begun = Replica::begin(source.clone(), gated.clone(), env(), options).await;
            let done = match begun {
                Ok(mut replica) => replica.promote(false, &mut |_| {}).await.is_ok(),
                Err(_) => false,
            };
            let whole = done && gated.has_stopped_none();
            let mut again = replica(&source, target.clone()).await;
            let promoted = again.promote(false, &mut |_| {}).await.unwrap();
            assert!(promoted.sealed, "{stop:?} after {after}: {promoted:?}");
            let copy = open(&dynamic(&target), Options::default()).await;
            let snapshot = copy.snapshot(At::Latest).await.unwrap();
            for key in ["a", "b"] {
                let found = snapshot.get(key).await.unwrap();
                assert!(found.is_some(), "{stop:?} after {after}: {key}");
            }
            put(&copy, "c", "1").await;
            assert!(store.transact(async |tx| tx.put("d", "1")).await.is_err());
            if whole {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_store_on_a_quorum_is_followed_onto_one_provider() {
    let voters: Vec<Arc<dyn StorageProvider>> =
        (0..3).map(|_| Arc::new(MemoryProvider::new()) as Arc<dyn StorageProvider>).collect();
    let objects = Arc::new(MemoryProvider::new());
    let quorum = Place::quorum(voters, objects);
    let env: Arc<dyn Env> = env();
    let store = Store::init(quorum.clone(), env.clone(), small_objects()).await.unwrap();
    put_large(&store, 1).await;
    store.flush().await.unwrap();
    let target = place();
    let options = ReplicaOptions::default();
    let mut following = Replica::begin(quorum, target.clone(), env.clone(), options).await.unwrap();
    following.follow(&mut |_| {}).await.unwrap();
    put_large(&store, 2).await;
    let followed = following.follow(&mut |_| {}).await.unwrap();
    assert_eq!(version_of(&target, &store).await, Some(followed.version));
    following.promote(false, &mut |_| {}).await.unwrap();
    let refused = store.transact(async |tx| tx.put("a", "1")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnly);
    put(&open(&dynamic(&target), Options::default()).await, "a", "1").await;
    check_sound(&target).await;
}

#[tokio::test]
async fn a_status_says_how_far_a_copy_is_and_why_its_store_cannot_be_asked() {
    let (source, store) = used().await;
    let target = place();
    let gated = Gated::new(&source, "", Stop::Fails);
    let options = ReplicaOptions::default();
    let mut following =
        Replica::begin(gated.clone(), target.clone(), env(), options).await.unwrap();
    assert_eq!(following.status().await.unwrap().stage, ReplicaStage::Filling);
    let followed = following.follow(&mut |_| {}).await.unwrap();
    let new = put(&store, "new", "1").await;
    let status = following.status().await.unwrap();
    assert_eq!((status.stage, status.version), (ReplicaStage::Following, followed.version));
    assert_eq!(status.time, Some(followed.time));
    assert_eq!(status.source.unwrap().0, new);
    gated.shut(0);
    let status = following.status().await.unwrap();
    assert_eq!(status.version, followed.version);
    assert!(matches!(status.source.unwrap_err().kind(), ErrorKind::Storage(_)));
}

/// What following costs when nothing is new: the next slot is looked for, and whether it was promoted.
#[tokio::test]
async fn following_costs_a_request_to_the_store_when_nothing_is_new() {
    let (source, store) = used().await;
    let target = place();
    let mut following = replica(&source, target.clone()).await;
    following.follow(&mut |_| {}).await.unwrap();
    let (before, of_target) = (source.counts().requests(), target.counts().requests());
    following.follow(&mut |_| {}).await.unwrap();
    assert_eq!(source.counts().requests() - before, 1);
    assert_eq!(target.counts().requests() - of_target, 2);
    // A commit is one get here and one put there.
    put(&store, "a", "1").await;
    let (before, of_target) = (source.counts().requests(), target.counts().requests());
    following.follow(&mut |_| {}).await.unwrap();
    assert_eq!(source.counts().requests() - before, 2);
    assert_eq!(target.counts().requests() - of_target, 3);
}

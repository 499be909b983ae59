//! Handles that are taken for dead: nothing they had is lost, and nothing they do after counts.

use std::sync::Arc;
use std::time::Duration;

use storage_core::{StorageProvider, StorageProviderExt};
use storage_txn::{At, CollectOptions, ErrorKind, Options, SESSION_BEAT, Scan, Store};

use crate::collect::{at_once, leave_behind, leave_behind_by};
use crate::flush::{all, check, counted, delete_all, dynamic, fill, names, put};
use crate::gated::{Clock, Gated, Stop};
use crate::open;

#[tokio::test]
async fn a_handle_says_that_it_lives_when_it_stores_something_and_not_oftener_than_needed() {
    let clock = Clock::new();
    let (provider, _) = counted().await;
    let store = Store::open(provider.clone(), clock.clone(), Options::default()).await.unwrap();
    put(&store, "k1", "1").await;
    assert_eq!(names(&provider, "session/").await, []);
    for (wait, expected) in [(Duration::ZERO, 1), (Duration::ZERO, 0), (SESSION_BEAT, 1)] {
        clock.forward(wait);
        put(&store, "k1", "2").await;
        let before = provider.counts();
        store.flush().await.unwrap();
        // A segment, its entry, a checkpoint.
        assert_eq!(provider.counts().since(&before).put.requests, 3 + expected);
        assert_eq!(names(&provider, "session/").await.len(), 1);
    }
}

fn is_reaped<T: std::fmt::Debug>(result: storage_txn::Result<T>, end: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SessionReaped, "{error}");
    assert!(error.to_string().ends_with(end), "{error}");
}

fn film() -> impl futures_util::Stream<Item = Result<bytes::Bytes, std::io::Error>> {
    futures_util::stream::iter([Ok(vec![7; 100_000].into())])
}

#[tokio::test]
async fn what_a_reaped_session_has_stored_is_named_by_nobody_and_its_handle_goes_on_in_another() {
    let (provider, store) = counted().await;
    let states = fill(&store, 6).await;
    let (dead, gated) = leave_behind(&provider).await;
    gated.open();
    let stored = dead.begin();
    stored.put_stream("stored", film()).await.unwrap();
    let value = dead.upload(film()).await.unwrap();
    let uploaded = dead.begin();
    uploaded.put_value("uploaded", &value).unwrap();
    let small = dead.begin();
    small.put("small", "1").unwrap();
    let version = put(&store, "k3", "meanwhile").await;
    let collected = store.collect(&at_once()).await.unwrap();
    assert_eq!((collected.sessions_reaped, collected.segments, collected.values), (1, 1, 2));
    // It gives up at once when others are faster.
    dead.snapshot(At::Latest).await.unwrap();
    // What needs nothing that is gone is committed.
    small.commit().await.unwrap();
    is_reaped(stored.commit().await, "what it had stored for this is gone: run it again");
    is_reaped(uploaded.commit().await, "what it had stored for this is gone: run it again");
    is_reaped(dead.begin().put_value("uploaded", &value), "with it: upload it again");
    dead.transact(async |tx| tx.put_stream("film", film()).await.map(drop)).await.unwrap();
    dead.flush().await.unwrap();
    assert_eq!(names(&provider, "session/").await.len(), 2);
    let anew = open(&dynamic(&provider), Options::default()).await;
    for (what, handle) in [("the same handle", &dead), ("another", &store), ("a new one", &anew)] {
        let now = handle.snapshot(At::Latest).await.unwrap();
        assert!(now.version() > version);
        for (key, expected) in [
            ("k2", Some("flushed by nobody")),
            ("k3", Some("meanwhile")),
            ("small", Some("1")),
            ("stored", None),
            ("uploaded", None),
        ] {
            let found = now.get(key).await.unwrap();
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{what}: {key}");
        }
        assert_eq!(now.get("film").await.unwrap().unwrap(), vec![7; 100_000], "{what}");
        check(handle, &states).await;
    }
    let (findings, _) = crate::verify::findings(&dynamic(&provider)).await;
    assert_eq!(findings, Vec::<String>::new());
}

#[tokio::test]
async fn a_closure_whose_upload_was_lost_with_its_session_is_run_again_and_one_that_brings_it_is_not()
 {
    let (provider, store) = counted().await;
    fill(&store, 6).await;
    for brings_it in [false, true] {
        let dead = open(&dynamic(&provider), Options::default()).await;
        let value = dead.upload(film()).await.unwrap();
        let mut attempts = 0;
        let result = dead.transact(|tx| {
            attempts += 1;
            let (store, value, attempt) = (store.clone(), value.clone(), attempts);
            async move {
                if brings_it {
                    tx.put_value("film", &value)?;
                } else {
                    tx.put_stream("film", film()).await?;
                }
                if attempt == 1 {
                    assert_eq!(store.collect(&at_once()).await?.sessions_reaped, 1);
                }
                Ok(())
            }
        });
        let result = result.await;
        assert_eq!(attempts, 2);
        if brings_it {
            is_reaped(result, "with it: upload it again");
        } else {
            result.unwrap();
            let now = store.snapshot(At::Latest).await.unwrap();
            assert_eq!(now.get("film").await.unwrap().unwrap(), vec![7; 100_000]);
        }
    }
}

#[tokio::test]
async fn a_commit_that_is_faster_than_the_reaping_of_its_session_counts() {
    for commit_first in [true, false] {
        let (provider, store) = counted().await;
        let mut states = fill(&store, 6).await;
        let gate = Gated::new(&provider, "log/", Stop::Waits);
        let suspect = open(&(gate.clone() as _), Options::default()).await;
        let version = put(&suspect, "k2", "flushed in time").await;
        states.push((version, all(&suspect, At::Known).await));
        let reaper_gate = Gated::new(&provider, "log/", Stop::Waits);
        let reaper = open(&(reaper_gate.clone() as _), Options::default()).await;
        // Its segment is stored, and the entry that names it is under way.
        gate.shut(0);
        let flushing = {
            let suspect = suspect.clone();
            tokio::spawn(async move { suspect.flush().await })
        };
        gate.reached().await;
        assert_eq!(names(&provider, "segment/").await.len(), 5);
        // The reaper has found it unnamed, and the entry that reaps is under way.
        reaper_gate.shut(0);
        let mut options = at_once();
        options.checkpoints_kept = 100;
        let collecting = tokio::spawn(async move { reaper.collect(&options).await });
        reaper_gate.reached().await;
        let collected = if commit_first {
            gate.open();
            flushing.await.unwrap().unwrap();
            reaper_gate.open();
            collecting.await.unwrap().unwrap()
        } else {
            reaper_gate.open();
            let collected = collecting.await.unwrap().unwrap();
            gate.open();
            // It makes its segment again, in another session.
            flushing.await.unwrap().unwrap();
            collected
        };
        assert_eq!(collected.sessions_reaped, 1);
        assert_eq!(collected.segments, u64::from(!commit_first));
        let segments = names(&provider, "segment/").await.len();
        assert_eq!(segments, 5);
        suspect.transact(async |tx| tx.put("more", "1")).await.unwrap();
        for store in [&store, &suspect, &open(&dynamic(&provider), crate::tiny()).await] {
            store.snapshot(At::Latest).await.unwrap();
            check(store, &states).await;
        }
    }
}

#[tokio::test]
async fn a_session_is_left_alone_while_it_may_be_at_work() {
    let clock = Clock::new();
    let (provider, _) = counted().await;
    let store = Store::open(provider.clone(), clock.clone(), Options::default()).await.unwrap();
    let (alive, gated) = leave_behind(&provider).await;
    let hour = Duration::from_secs(3600);
    let mut options = CollectOptions::default();
    options.session_grace = 2 * hour;
    for _ in 0..2 {
        assert_eq!(store.collect(&options).await.unwrap().sessions_reaped, 0);
        clock.forward(hour);
    }
    // It gives a sign of life, by a clock that is hours behind; but what was seen of it is new.
    gated.open();
    alive.snapshot(At::Latest).await.unwrap();
    assert_eq!(names(&provider, "segment/").await.len(), 1);
    let collected = store.collect(&options).await.unwrap();
    assert_eq!((collected.sessions_reaped, collected.segments), (1, 1));
    assert_eq!(names(&provider, "session/").await, []);
}

/// By its own clock it is never long since it gave a sign of life.
#[tokio::test]
async fn a_session_whose_clock_was_ahead_is_reaped_once_it_was_seen_still_for_long() {
    let (provider, _) = counted().await;
    let (hour, ahead) = (Duration::from_secs(3600), Clock::new());
    ahead.forward(1000 * hour);
    drop(leave_behind_by(ahead, &provider).await);
    let clock = Clock::new();
    let store = Store::open(provider.clone(), clock.clone(), Options::default()).await.unwrap();
    let mut options = CollectOptions::default();
    options.session_grace = 2 * hour;
    let mut reaped = Vec::new();
    for _ in 0..4 {
        reaped.push(store.collect(&options).await.unwrap().sessions_reaped);
        clock.forward(hour);
    }
    assert_eq!(reaped, [0, 0, 1, 0]);
}

#[tokio::test]
async fn an_idle_handle_that_left_nothing_behind_is_not_reaped() {
    let (provider, store) = counted().await;
    let clock = Clock::new();
    let idle = Store::open(provider.clone(), clock.clone(), Options::default()).await.unwrap();
    put(&idle, "k1", "1").await;
    idle.flush().await.unwrap();
    for round in 0..3 {
        let collected = store.collect(&at_once()).await.unwrap();
        assert_eq!((collected.sessions, collected.sessions_reaped), (1, 0), "round {round}");
        clock.forward(SESSION_BEAT);
        put(&idle, "k1", "2").await;
        idle.flush().await.unwrap();
    }
}

#[tokio::test]
async fn what_was_stored_after_its_session_was_ended_is_found_by_a_sweep() {
    for ended in [false, true] {
        let (provider, store) = counted().await;
        let states = fill(&store, 6).await;
        let (_dead, _gated) = leave_behind(&provider).await;
        let late = {
            let named = names(&provider, "segment/").await;
            let session = names(&provider, "session/").await;
            let owner = |it: &storage_core::Key| it.as_str().split('/').nth(1).unwrap().to_owned();
            let sessions: Vec<_> = session.iter().map(owner).collect();
            let count = |of: &str| named.iter().filter(|it| owner(it) == of).count();
            let dead = sessions.iter().find(|of| count(of) == 1).unwrap().clone();
            named.into_iter().find(|it| owner(it) == dead).unwrap()
        };
        let body = provider.get(&late, storage_core::Get::whole()).await.unwrap().body;
        if ended {
            store.collect(&at_once()).await.unwrap();
        } else {
            // Its sign of life is lost, which should not happen.
            let session = names(&provider, "session/").await;
            provider.delete_many(session).await.unwrap();
            provider.delete(&late).await.unwrap();
        }
        assert_eq!(names(&provider, "segment/").await.len(), 4);
        provider.put(&late, body, storage_core::PutIf::Always).await.unwrap();
        assert_eq!(store.collect(&at_once()).await.unwrap().segments, 0);
        assert_eq!(names(&provider, "segment/").await.len(), 5);
        let mut sweep = at_once();
        sweep.sweep = true;
        let collected = store.collect(&sweep).await.unwrap();
        assert_eq!(collected.segments, 1);
        assert_eq!(collected.sessions_reaped, u64::from(!ended));
        assert_eq!(names(&provider, "segment/").await.len(), 4);
        check(&open(&(Arc::clone(&provider) as _), Options::default()).await, &states).await;
        assert_eq!(store.collect(&sweep).await.unwrap().segments, 0);
    }
}

/// Its view could not be renewed, as no newer one is without what it had made: it was renewed for ever.
#[tokio::test]
async fn a_handle_that_reads_from_segments_which_nobody_names_is_told_when_they_are_taken_from_it()
{
    for reaped in [true, false] {
        let (provider, store) = counted().await;
        fill(&store, usize::MAX).await;
        // There is more in the log than it may have in memory.
        let slow = open(&dynamic(&provider), crate::tiny()).await;
        assert!(names(&provider, "segment/").await.len() > 1);
        if reaped {
            let collected = store.collect(&at_once()).await.unwrap();
            assert_eq!(collected.sessions_reaped, 1);
        } else {
            delete_all(&provider, "segment/").await;
        }
        assert_eq!(names(&provider, "segment/").await, []);
        let now = slow.snapshot(At::Known).await.unwrap();
        let scan = async || now.scan(&Scan::new(..)).await?.collect().await.map(drop);
        for error in [now.get("k1").await.unwrap_err(), scan().await.unwrap_err()] {
            let kind = if reaped { ErrorKind::SessionReaped } else { ErrorKind::Corrupt };
            assert_eq!(error.kind(), kind, "{error}");
            let what = if reaped { "was reaped" } else { "open the store anew" };
            assert!(error.to_string().contains(what), "{error}");
        }
        all(&open(&dynamic(&provider), Options::default()).await, At::Latest).await;
    }
}

#[tokio::test]
async fn the_large_values_of_a_dead_session_stay_if_they_were_named_and_go_if_not() {
    let (provider, store) = counted().await;
    let mut options = Options::default();
    (options.inline_bytes_max, options.chunk_bytes) = (1000, 100_000);
    let open = async || {
        let env = Arc::new(storage_wrappers::TokioEnv::new());
        Store::open(provider.clone(), env, options.clone()).await.unwrap()
    };
    let dead = open().await;
    let value = vec![7; 250_000];
    put_bytes(&dead, "named", &value).await;
    put_bytes(&dead, "deleted", &value).await;
    dead.transact(async |tx| tx.delete("deleted")).await.unwrap();
    dead.flush().await.unwrap();
    let other = open().await;
    other.transact(async |tx| tx.copy("named", "copy").await.map(drop)).await.unwrap();
    assert_eq!(names(&provider, "value/").await.len(), 6);
    let bytes = futures_util::stream::iter([Ok::<_, std::io::Error>(value.clone().into())]);
    let upload = dead.upload(bytes).await.unwrap();
    let tx = dead.begin();
    tx.put_value("late", &upload).unwrap();
    assert_eq!(names(&provider, "value/").await.len(), 9);
    // Not yet taken for dead.
    let collected = store.collect(&CollectOptions::default()).await.unwrap();
    assert_eq!((collected.values, collected.sessions), (0, 0));
    let collected = store.collect(&at_once()).await.unwrap();
    assert_eq!((collected.values, collected.sessions_reaped), (3, 1));
    assert!(collected.bytes > value.len() as u64);
    assert_eq!(names(&provider, "value/").await.len(), 6);
    let error = tx.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SessionReaped);
    let mut sweep = at_once();
    sweep.sweep = true;
    assert_eq!(store.collect(&sweep).await.unwrap().values, 0);
    for store in [&store, &dead, &other, &open().await] {
        let now = store.snapshot(At::Latest).await.unwrap();
        for key in ["named", "copy"] {
            assert_eq!(now.get(key).await.unwrap().unwrap(), value, "{key}");
        }
        let then = store.snapshot(At::Version(storage_txn::Version(2))).await.unwrap();
        assert_eq!(then.get("deleted").await.unwrap().unwrap(), value);
        assert_eq!(now.get("late").await.unwrap(), None);
    }
}

async fn put_bytes(store: &Store, key: &str, value: &[u8]) {
    store.transact(async |tx| tx.put(key, value.to_vec())).await.unwrap();
}

//! Collection: nothing that is needed goes, nothing else stays, whenever it is stopped and whoever does it too.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use storage_core::{Env, Get, Key, PutIf, StorageProvider};
use storage_txn::{
    At, CollectOptions, Collected, ErrorKind, Item, Options, Outcome, Store, Version,
};
use storage_wrappers::TokioEnv;

use crate::flush::{Provider, all, check, counted, delete_all, dynamic, fill, names, put};
use crate::gated::{Clock, Gated, Stop};
use crate::open;

pub(crate) fn at_once() -> CollectOptions {
    let mut options = CollectOptions::default();
    (options.grace, options.session_grace) = (Duration::ZERO, Duration::ZERO);
    options
}

/// How many entries and how many tombstones the log has.
async fn log(provider: &Provider) -> (usize, usize) {
    let (mut entries, mut tombstones) = (0, 0);
    for name in names(provider, "log/").await {
        let body = provider.get(&name, Get::whole()).await.unwrap().body;
        match body[4] {
            0 => entries += 1,
            1 => tombstones += 1,
            other => panic!("{name} is of kind {other}"),
        }
    }
    (entries, tombstones)
}

/// How many objects there are of each kind.
async fn objects(provider: &Provider) -> [usize; 4] {
    let count = async |beginning| names(provider, beginning).await.len();
    [
        count("checkpoint/").await,
        count("segment/").await,
        count("session/").await,
        count("pin/").await,
    ]
}

/// A store that has been used for some time and has something of everything that is to go: old checkpoints, old
/// entries, segments that were replaced, segments that nobody names, of sessions that are gone, and a pin that ended.
pub(crate) async fn used() -> (Provider, Store, Vec<(Version, Vec<Item>)>) {
    let (provider, store) = counted().await;
    let mut states = fill(&store, 6).await;
    delete_all(&provider, "checkpoint/").await;
    let lost = names(&provider, "segment/").await.remove(0);
    provider.delete(&lost).await.unwrap();
    let store = open(&dynamic(&provider), Options::default()).await;
    for round in 0..3 {
        // The first time all that was lost is made again.
        let version = put(&store, "k1", &format!("later {round}")).await;
        states.push((version, all(&store, At::Known).await));
        store.flush().await.unwrap();
    }
    leave_behind(&provider).await;
    store.snapshot(At::Known).await.unwrap().pin(Duration::ZERO).await.unwrap();
    store.snapshot(At::Latest).await.unwrap();
    (provider, store, states)
}

/// Segments that nobody names, of a handle that was in the middle of a flush.
pub(crate) async fn leave_behind(provider: &Provider) -> (Store, Arc<Gated>) {
    leave_behind_by(Arc::new(TokioEnv::new()), provider).await
}

/// As [`leave_behind`], by a process that has this clock.
pub(crate) async fn leave_behind_by(env: Arc<dyn Env>, provider: &Provider) -> (Store, Arc<Gated>) {
    let gated = Gated::new(provider, "log/", Stop::IsLost);
    let mut options = Options::default();
    options.commit_time_max = Duration::ZERO;
    let other = Store::open(gated.clone(), env, options).await.unwrap();
    put(&other, "k2", "flushed by nobody").await;
    gated.shut(0);
    let error = other.flush().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::CommitUnknown(_)), "{error}");
    (other, gated)
}

/// That a collection of all that can go leaves nothing to collect, and everything that is needed.
async fn check_end(
    provider: &Provider,
    states: &[(Version, Vec<Item>)],
    segments: usize,
    what: &str,
) {
    let store = open(&dynamic(provider), Options::default()).await;
    store.collect(&at_once()).await.unwrap();
    assert_eq!(objects(provider).await, [2, segments, 0, 0], "{what}");
    let again = store.collect(&at_once()).await.unwrap();
    assert_eq!(again, Collected::default(), "{what}");
    let (entries, tombstones) = log(provider).await;
    assert!(entries <= 16 && tombstones > 28, "{what}: {entries} entries, {tombstones} tombstones");
    check(&store, states).await;
    check(&open(&dynamic(provider), crate::tiny()).await, states).await;
}

#[tokio::test]
async fn a_full_cycle_leaves_what_is_needed_and_nothing_else() {
    let (provider, store, states) = used().await;
    // Of the segments three are named, three were, and one never was.
    assert_eq!(objects(&provider).await, [3, 3 + 3 + 1, 3, 1]);
    let (before, tombstones) = log(&provider).await;
    assert_eq!(tombstones, 0);
    let mut dry = at_once();
    dry.dry_run = true;
    let told = store.collect(&dry).await.unwrap();
    assert_eq!(objects(&provider).await, [3, 7, 3, 1]);
    assert_eq!(log(&provider).await, (before, 0));
    let collected = store.collect(&at_once()).await.unwrap();
    assert_eq!((told.entries, told.checkpoints), (collected.entries, collected.checkpoints));
    assert_eq!((told.segments, told.sessions), (collected.segments, collected.sessions));
    assert_eq!(told.sessions_reaped, collected.sessions_reaped);
    assert_eq!((collected.checkpoints, collected.segments, collected.pins), (1, 5, 1));
    assert_eq!((collected.sessions, collected.sessions_reaped, collected.values), (2, 1, 0));
    assert!(collected.bytes > 5000, "{collected:?}");
    assert_eq!(log(&provider).await.1 as u64, collected.entries);
    // It goes on, as everybody else does.
    check(&store, &states).await;
    put(&store, "k1", "after").await;
    store.flush().await.unwrap();
    check_end(&provider, &states, 4, "a full cycle").await;
}

#[tokio::test]
async fn what_is_not_old_enough_stays() {
    let clock = Clock::new();
    let (provider, _) = counted().await;
    let store = Store::open(provider.clone(), clock.clone(), Options::default()).await.unwrap();
    let hour = Duration::from_secs(3600);
    let mut options = CollectOptions::default();
    (options.grace, options.session_grace) = (2 * hour, 4 * hour);
    for hours in 0..6_usize {
        put(&store, "k1", &format!("{hours}")).await;
        store.flush().await.unwrap();
        let collected = store.collect(&options).await.unwrap();
        // The checkpoint of two hours ago is the oldest that stays, and what is before it goes.
        assert_eq!(collected.checkpoints, u64::from(hours > 2), "after {hours} hours");
        assert_eq!(names(&provider, "checkpoint/").await.len(), (hours + 1).min(3));
        clock.forward(hour);
    }
    let mut wanted = at_once();
    wanted.checkpoints_kept = 3;
    assert_eq!(store.collect(&wanted).await.unwrap(), Collected::default());
    wanted.checkpoints_kept = 2;
    wanted.entries_kept = 1000;
    assert_eq!(store.collect(&wanted).await.unwrap().entries, 0);
    let error = {
        wanted.checkpoints_kept = 1;
        store.collect(&wanted).await.unwrap_err()
    };
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert_eq!(error.to_string(), "at least 2 checkpoints are kept, not 1");
}

#[tokio::test]
async fn of_many_checkpoints_the_newest_that_is_old_enough_is_found() {
    let clock = Clock::new();
    let (provider, _) = counted().await;
    let store = Store::open(provider.clone(), clock.clone(), Options::default()).await.unwrap();
    let hour = Duration::from_secs(3600);
    for at in 0..9 {
        put(&store, "k1", &format!("{at}")).await;
        store.flush().await.unwrap();
        clock.forward(hour);
    }
    for hours in 0..10_u32 {
        for kept in 2..5 {
            let mut options = at_once();
            (options.dry_run, options.checkpoints_kept) = (true, kept);
            options.grace = hours * hour + hour / 2;
            let collected = store.collect(&options).await.unwrap();
            // The last of nine is an hour old, the first nine hours. Before the one that is found they go.
            let old_enough = 8_u64.saturating_sub(u64::from(hours));
            let expected = old_enough.min(9 - kept as u64);
            assert_eq!(collected.checkpoints, expected, "{hours} hours of grace, {kept} kept");
        }
    }
    assert_eq!(names(&provider, "checkpoint/").await.len(), 9);
}

#[tokio::test]
async fn a_collection_of_nothing_takes_four_requests_and_one_for_each_other_session() {
    let (provider, store, _) = used().await;
    store.collect(&at_once()).await.unwrap();
    let other = open(&dynamic(&provider), Options::default()).await;
    let options = CollectOptions::default();
    // Then another handle has flushed, and there is a checkpoint that is not old enough.
    for (others, searched) in [(0, 0), (1, 1)] {
        store.snapshot(At::Latest).await.unwrap();
        let before = provider.counts();
        assert_eq!(store.collect(&options).await.unwrap(), Collected::default());
        let cost = provider.counts().since(&before);
        assert_eq!((cost.list.requests, cost.get.requests), (3, 1 + others + searched));
        assert_eq!((cost.put.requests, cost.delete.requests), (0, 0));
        put(&other, "k1", "more").await;
        other.flush().await.unwrap();
    }
}

#[tokio::test]
async fn a_collection_that_is_stopped_at_any_request_is_made_up_for_by_the_next() {
    for stop in [Stop::Fails, Stop::AnswerIsLost, Stop::IsLost, Stop::Waits, Stop::AnswerWaits] {
        let mut stopped = 0;
        // Each of the first, and then some: most are of entries that are replaced one like another.
        for at in (0..24).chain((24..).step_by(13)) {
            let (provider, _, states) = used().await;
            let gated = Gated::new(&provider, "", stop);
            let mut options = Options::default();
            options.commit_time_max = Duration::ZERO;
            let store = open(&(gated.clone() as _), options).await;
            gated.shut(at);
            let what = format!("{stop:?} at request {at}");
            if matches!(stop, Stop::Waits | Stop::AnswerWaits) {
                let collecting = tokio::spawn(async move { store.collect(&at_once()).await });
                tokio::select! {
                    () = gated.reached() => {}
                    () = async { while !collecting.is_finished() { tokio::task::yield_now().await } } => {}
                }
                if collecting.is_finished() {
                    collecting.await.unwrap().unwrap();
                    break;
                }
                collecting.abort();
            } else if store.collect(&at_once()).await.is_ok() {
                // The last that can fail without harm are deletions of what was let go of.
                if gated.has_stopped_none() {
                    break;
                }
            }
            stopped += 1;
            check_end(&provider, &states, 3, &what).await;
            gated.open();
            tokio::task::yield_now().await;
            check(&open(&dynamic(&provider), Options::default()).await, &states).await;
        }
        assert!(stopped > 25, "{stop:?}: {stopped}");
    }
}

#[tokio::test]
async fn several_that_collect_at_once_do_no_harm() {
    for round in 0..10 {
        let (provider, _, states) = used().await;
        let mut handles = Vec::new();
        for _ in 0..4 {
            handles.push(open(&dynamic(&provider), Options::default()).await);
        }
        let tasks = handles.into_iter().map(|store| {
            tokio::spawn(async move {
                for _ in 0..round % 3 {
                    tokio::task::yield_now().await;
                }
                store.collect(&at_once()).await
            })
        });
        for collected in try_join_all(tasks).await.unwrap() {
            collected.unwrap();
        }
        check_end(&provider, &states, 3, "four at once").await;
    }
}

#[tokio::test]
async fn a_writer_that_slept_through_a_collection_cannot_have_a_slot_that_was_used() {
    // Its request is under way all the time; or it is made, and answered too late; or it sleeps before it sends one.
    for stop in [Some(Stop::Waits), Some(Stop::AnswerWaits), None] {
        for conflict in [false, true] {
            let (provider, store) = counted().await;
            put(&store, "k1", "before").await;
            let gated = Gated::new(&provider, "log/", stop.unwrap_or(Stop::Waits));
            let sleeper = open(&(gated.clone() as _), Options::default()).await;
            let tx = sleeper.begin();
            let id = tx.id();
            tx.get(if conflict { "k1" } else { "other" }).await.unwrap();
            tx.put("slept", "well").unwrap();
            let committing = if stop.is_some() {
                gated.shut(0);
                let committing = tokio::spawn(tx.commit());
                gated.reached().await;
                Ok(committing)
            } else {
                Err(tx)
            };
            let states = fill(&store, 6).await;
            let collected = store.collect(&at_once()).await.unwrap();
            assert!(collected.entries > 15);
            gated.open();
            let result = match committing {
                Ok(committing) => committing.await.unwrap(),
                Err(tx) => tx.commit().await,
            };
            let what = format!("{stop:?}, conflict: {conflict}");
            let outcome = store.outcome(id).await.unwrap();
            match (stop, conflict) {
                // It was there first, and somebody else has collected it.
                (Some(Stop::AnswerWaits), _) => {
                    assert_eq!(result.unwrap().version, Version(2), "{what}");
                    assert_eq!(outcome, Outcome::Committed(Version(2)), "{what}");
                }
                (_, true) => {
                    assert_eq!(result.unwrap_err().kind(), ErrorKind::Conflict, "{what}");
                    assert_eq!(outcome, Outcome::NotCommitted, "{what}");
                }
                (_, false) => {
                    let version = result.unwrap().version;
                    assert!(version > states.last().unwrap().0, "{what}");
                    assert_eq!(outcome, Outcome::Committed(version), "{what}");
                }
            }
            check(&store, &states).await;
            check(&sleeper, &states).await;
            check(&open(&dynamic(&provider), Options::default()).await, &states).await;
        }
    }
}

#[tokio::test]
async fn what_became_of_a_commit_is_known_after_its_entry_was_collected() {
    for stop in [Stop::AnswerIsLost, Stop::IsLost] {
        let (provider, store) = counted().await;
        put(&store, "k1", "before").await;
        let gated = Gated::new(&provider, "log/", stop);
        let mut options = Options::default();
        options.commit_time_max = Duration::ZERO;
        let writer = open(&(gated.clone() as _), options).await;
        gated.shut(0);
        let tx = writer.begin();
        let id = tx.id();
        tx.put("unknown", "1").unwrap();
        let error = tx.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CommitUnknown(id));
        fill(&store, 6).await;
        store.collect(&at_once()).await.unwrap();
        gated.open();
        // It gives up at once when others are faster.
        writer.snapshot(At::Latest).await.unwrap();
        let outcome = writer.outcome(id).await.unwrap();
        let found = store.snapshot(At::Latest).await.unwrap().get("unknown").await.unwrap();
        match stop {
            Stop::AnswerIsLost => assert_eq!(outcome, Outcome::Committed(Version(2))),
            _ => assert_eq!(outcome, Outcome::NotCommitted),
        }
        assert_eq!(found.is_some(), outcome == Outcome::Committed(Version(2)));
        assert_eq!(store.outcome(id).await.unwrap(), outcome);
    }
}

#[tokio::test]
async fn histories_do_not_miss_the_entries_of_the_log() {
    let (provider, store, states) = used().await;
    let last = states.last().unwrap().0;
    let read = async |store: &Store| {
        let snapshot = store.snapshot(At::Version(last)).await.unwrap();
        let history = snapshot.history("k1").unwrap().collect().await.unwrap();
        let scan = storage_txn::LogScan::new(..).with_maintenance();
        let commits = snapshot.log(&scan).await.unwrap().collect().await.unwrap();
        let mut changes = Vec::new();
        for commit in snapshot.changes(Version::ZERO).await.unwrap().collect().await.unwrap() {
            changes.push(commit.keys().unwrap().collect().await.unwrap());
        }
        (history, commits, changes)
    };
    let before = read(&store).await;
    assert!(before.1.len() as u64 == last.0 && !before.0.is_empty());
    assert!(store.collect(&at_once()).await.unwrap().entries > 20);
    assert_eq!(read(&store).await, before);
    assert_eq!(read(&open(&dynamic(&provider), Options::default()).await).await, before);
}

#[tokio::test]
async fn nothing_goes_that_a_damaged_object_would_have_to_be_made_again_from() {
    // A checkpoint that cannot be read does not count, wherever it is.
    for bad in 0..3 {
        let (provider, store, states) = used().await;
        let name = names(&provider, "checkpoint/").await.remove(bad);
        provider.put(&name, "bad".into(), PutIf::Always).await.unwrap();
        store.collect(&at_once()).await.unwrap();
        let kept = names(&provider, "checkpoint/").await.len();
        assert_eq!(kept, if bad == 2 { 2 } else { 3 }, "the bad one was number {bad}");
        check(&open(&dynamic(&provider), Options::default()).await, &states).await;
    }
    // The log is kept while a segment is missing or too short.
    for gone in [true, false] {
        let (provider, store) = counted().await;
        let states = fill(&store, 6).await;
        let name: Key = names(&provider, "segment/").await.remove(1);
        if gone {
            provider.delete(&name).await.unwrap();
        } else {
            provider.put(&name, "short".into(), PutIf::Always).await.unwrap();
        }
        let error = store.collect(&at_once()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let expected = format!(
            "{name} is missing or has another size, so the log it was made from is not collected"
        );
        assert_eq!(error.to_string(), expected);
        assert_eq!(log(&provider).await.1, 0);
        delete_all(&provider, "checkpoint/").await;
        check(&open(&dynamic(&provider), Options::default()).await, &states).await;
    }
}

#[tokio::test]
async fn a_handle_that_lags_behind_all_that_was_deleted_catches_up() {
    let (provider, store) = counted().await;
    put(&store, "k0", "first").await;
    store.flush().await.unwrap();
    let lagging = open(&dynamic(&provider), Options::default()).await;
    let snapshot = lagging.snapshot(At::Known).await.unwrap();
    let before = all(&lagging, At::Known).await;
    let tx = lagging.begin();
    tx.put("k9", "late").unwrap();
    let mut states = fill(&store, 6).await;
    // All segments are replaced, the old ones are deleted, and so is all of the log that tells of it.
    delete_all(&provider, "checkpoint/").await;
    let lost = names(&provider, "segment/").await.remove(0);
    provider.delete(&lost).await.unwrap();
    let other = open(&dynamic(&provider), Options::default()).await;
    for _ in 0..3 {
        let version = put(&other, "k1", "newer").await;
        states.push((version, all(&other, At::Known).await));
        other.flush().await.unwrap();
    }
    let collected = other.collect(&at_once()).await.unwrap();
    assert_eq!(collected.segments, 5);
    let items: Vec<Item> =
        snapshot.scan(&storage_txn::Scan::new(..)).await.unwrap().collect().await.unwrap();
    assert_eq!(items, before);
    tx.commit().await.unwrap();
    check(&lagging, &states).await;
    check(&store, &states).await;
}

//! Readers that take longer than what they read is kept: exact, or told so.

use std::sync::Arc;
use std::time::Duration;

use storage_txn::{
    At, Collected, ErrorKind, Item, Options, Result, Scan, Snapshot, Store, Version,
};

use crate::collect::at_once;
use crate::flush::{Provider, check, counted, fill, names, put};
use crate::gated::{Clock, Gated, Stop};

const HOUR: Duration = Duration::from_secs(3600);

async fn scan(snapshot: &Snapshot) -> Result<Vec<Item>> {
    snapshot.scan(&Scan::new(..)).await?.collect().await
}

/// Keeps next to nothing in memory, so that what was deleted is missed at once.
fn forgetful() -> Options {
    let mut options = crate::tiny();
    options.flush_bytes = Options::default().flush_bytes;
    options.cache_bytes_max = 0;
    options.inline_bytes_max = 1000;
    options
}

async fn open(provider: &Provider, clock: &Arc<Clock>) -> Store {
    Store::open(provider.clone(), clock.clone(), forgetful()).await.unwrap()
}

#[tokio::test]
async fn what_was_compacted_and_collected_reads_the_same_to_who_began_before() {
    let clock = Clock::new();
    let (provider, _) = counted().await;
    let store = open(&provider, &clock).await;
    let states = fill(&store, 4).await;
    let (version, expected) = &states[10];
    let reader = open(&provider, &clock).await;
    let snapshot = reader.snapshot(At::Version(*version)).await.unwrap();
    let mut begun = snapshot.scan(&Scan::new(..)).await.unwrap();
    let first = begun.next().await.unwrap();
    let tx = reader.begin();
    let before = names(&provider, "segment/").await;
    store.compact().await.unwrap();
    let collected = store.collect(&at_once()).await.unwrap();
    assert!(collected.segments > 0, "{collected:?}");
    let after = names(&provider, "segment/").await;
    assert!(before.iter().any(|name| !after.contains(name)));
    assert_eq!(store.collect(&at_once()).await.unwrap(), Collected::default());
    assert_eq!(scan(&snapshot).await.unwrap(), *expected);
    let rest = begun.collect().await.unwrap();
    assert_eq!(first.into_iter().chain(rest).collect::<Vec<_>>(), *expected);
    assert_eq!(tx.scan(&Scan::new(..)).await.unwrap(), states.last().unwrap().1);
    tx.put("after", "1").unwrap();
    tx.commit().await.unwrap();
    check(&reader, &states).await;
    check(&open(&provider, &clock).await, &states).await;
}

#[tokio::test]
async fn a_reader_past_its_pin_is_told_so_and_before_that_reads_what_was() {
    let clock = Clock::new();
    let (provider, _) = counted().await;
    let store = open(&provider, &clock).await;
    let states = fill(&store, 4).await;
    let (version, expected) = &states[10];
    let reader = open(&provider, &clock).await;
    let unpinned = reader.snapshot(At::Version(states[5].0)).await.unwrap();
    let mut pin = reader.pin(At::Version(*version), HOUR).await.unwrap();
    let other = open(&provider, &clock).await;
    assert_eq!(other.pack(At::Latest).await.unwrap(), *version);
    other.collect(&at_once()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(scan(pin.snapshot()).await.unwrap(), *expected);
        let same = other.snapshot(At::Version(*version)).await.unwrap();
        assert_eq!(scan(&same).await.unwrap(), *expected);
        pin.renew(HOUR).await.unwrap();
    }
    clock.forward(2 * HOUR);
    put(&other, "k1", "more").await;
    assert!(other.pack(At::Latest).await.unwrap() > *version);
    let collected = other.collect(&at_once()).await.unwrap();
    assert_eq!(collected.pins, 1);
    let expired = |kind: ErrorKind| assert_eq!(kind, ErrorKind::SnapshotExpired);
    expired(scan(&unpinned).await.unwrap_err().kind());
    expired(scan(pin.snapshot()).await.unwrap_err().kind());
    expired(pin.renew(HOUR).await.unwrap_err().kind());
    expired(reader.pin(At::Version(*version), HOUR).await.unwrap_err().kind());
    assert_eq!(names(&provider, "pin/").await, []);
    assert_eq!(other.collect(&at_once()).await.unwrap(), Collected::default());
    let last = reader.snapshot(At::Latest).await.unwrap();
    assert_eq!(last.get("k1").await.unwrap().unwrap(), "more");
}

#[tokio::test]
async fn a_pin_that_was_put_while_a_pack_was_under_way_holds_and_can_be_renewed() {
    let clock = Clock::new();
    let (provider, _) = counted().await;
    let store = open(&provider, &clock).await;
    let states = fill(&store, 4).await;
    let (version, expected) = &states[10];
    store.compact().await.unwrap();
    let gated = Gated::new(&provider, "log/", Stop::Waits);
    let other = Store::open(gated.clone(), clock.clone(), forgetful()).await.unwrap();
    gated.shut(0);
    let packing = tokio::spawn(async move { other.pack(At::Latest).await });
    // It has looked for pins, and says in the log what is gone only after there is one.
    gated.reached().await;
    let reader = open(&provider, &clock).await;
    let mut pin = reader.pin(At::Version(*version), HOUR).await.unwrap();
    gated.open();
    let horizon = packing.await.unwrap().unwrap();
    assert!(horizon > *version, "packed up to {horizon} only");
    for _ in 0..2 {
        store.collect(&at_once()).await.unwrap();
        assert_eq!(scan(pin.snapshot()).await.unwrap(), *expected);
        pin.renew(HOUR).await.unwrap();
    }
    clock.forward(2 * HOUR);
    store.collect(&at_once()).await.unwrap();
    assert_eq!(pin.renew(HOUR).await.unwrap_err().kind(), ErrorKind::SnapshotExpired);
    assert_eq!(names(&provider, "pin/").await, []);
}

#[tokio::test]
async fn a_large_value_goes_with_the_last_version_that_has_it() {
    let clock = Clock::new();
    let (provider, _) = counted().await;
    let store = open(&provider, &clock).await;
    let value = vec![7; 5000];
    for key in ["kept", "dropped", "copied"] {
        store.transact(async |tx| tx.put(key, value.clone())).await.unwrap();
    }
    let version = store.snapshot(At::Known).await.unwrap().version();
    store.transact(async |tx| tx.copy("copied", "copy").await.map(drop)).await.unwrap();
    for key in ["dropped", "copied"] {
        store.transact(async |tx| tx.delete(key)).await.unwrap();
    }
    let pin = store.pin(At::Version(version), HOUR).await.unwrap();
    for (pinned, expected) in [(true, 0), (false, 1)] {
        if !pinned {
            clock.forward(2 * HOUR);
        }
        put(&store, "k1", "more").await;
        store.pack(At::Latest).await.unwrap();
        let collected = store.collect(&at_once()).await.unwrap();
        assert_eq!(collected.values, expected, "pinned: {pinned}");
        assert_eq!(names(&provider, "value/").await.len() as u64, 3 - expected);
        if pinned {
            let found = pin.snapshot().get("dropped").await.unwrap().unwrap();
            assert_eq!(found, value);
        }
        let now = open(&provider, &clock).await.snapshot(At::Latest).await.unwrap();
        for key in ["kept", "copy"] {
            assert_eq!(now.get(key).await.unwrap().unwrap(), value, "{key}");
        }
    }
    let gone = pin.snapshot().get("dropped").await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::SnapshotExpired);
    assert!(version > Version::ZERO);
}

//! Pins: what is pinned is read as it was, whatever was deleted meanwhile.

use std::time::Duration;

use storage_core::StorageProvider;
use storage_txn::{At, ErrorKind, Item, Options, Scan, Snapshot, Store, Version};

use crate::collect::at_once;
use crate::flush::{Provider, counted, delete_all, dynamic, fill, names, put};
use crate::gated::Clock;
use crate::open;

const HOUR: Duration = Duration::from_secs(3600);

async fn scan(snapshot: &Snapshot) -> Vec<Item> {
    snapshot.scan(&Scan::new(..)).await.unwrap().collect().await.unwrap()
}

/// Has all segments replaced by others.
async fn replace_segments(provider: &Provider) {
    delete_all(provider, "checkpoint/").await;
    let lost = names(provider, "segment/").await.pop().unwrap();
    provider.delete(&lost).await.unwrap();
    let other = open(&dynamic(provider), Options::default()).await;
    put(&other, "k9", "replaced").await;
    other.flush().await.unwrap();
}

#[tokio::test]
async fn what_a_pinned_version_may_need_is_kept_until_the_pin_ends() {
    for released in [true, false] {
        let clock = Clock::new();
        let (provider, _) = counted().await;
        let store = Store::open(provider.clone(), clock.clone(), Options::default()).await.unwrap();
        let states = fill(&store, 6).await;
        let (version, expected) = &states[10];
        let pin = store.pin(At::Version(*version), HOUR).await.unwrap();
        let same = pin.snapshot().pin(2 * HOUR).await.unwrap();
        assert_eq!(names(&provider, "pin/").await.len(), 2);
        assert_eq!(pin.snapshot().version(), *version);
        assert!(same.expires() > pin.expires());
        same.release().await.unwrap();
        replace_segments(&provider).await;
        for _ in 0..2 {
            assert_eq!(store.collect(&at_once()).await.unwrap().segments, 0);
        }
        assert_eq!(names(&provider, "segment/").await.len(), 4);
        assert_eq!(scan(pin.snapshot()).await, *expected);
        let expired = if released {
            pin.release().await.unwrap();
            0
        } else {
            clock.forward(HOUR);
            1
        };
        let collected = store.collect(&at_once()).await.unwrap();
        assert_eq!((collected.pins, collected.segments), (expired, 4));
        assert_eq!(names(&provider, "pin/").await, []);
        assert_eq!(names(&provider, "segment/").await.len(), 1);
        assert_eq!(scan(&store.snapshot(At::Version(*version)).await.unwrap()).await, *expected);
    }
}

#[tokio::test]
async fn a_pin_of_what_is_newer_holds_nothing_back() {
    let (provider, store) = counted().await;
    fill(&store, 6).await;
    replace_segments(&provider).await;
    let pin = store.pin(At::Latest, HOUR).await.unwrap();
    let before = scan(pin.snapshot()).await;
    assert_eq!(store.collect(&at_once()).await.unwrap().segments, 4);
    assert_eq!(scan(pin.snapshot()).await, before);
}

#[tokio::test]
async fn a_pin_that_is_renewed_holds_on() {
    let clock = Clock::new();
    let (provider, _) = counted().await;
    let store = Store::open(provider.clone(), clock.clone(), Options::default()).await.unwrap();
    let states = fill(&store, 6).await;
    let mut pin = store.pin(At::Version(states[3].0), HOUR).await.unwrap();
    replace_segments(&provider).await;
    for _ in 0..3 {
        pin.renew(HOUR).await.unwrap();
        clock.forward(HOUR / 2);
        assert_eq!(names(&provider, "pin/").await.len(), 1);
        assert_eq!(store.collect(&at_once()).await.unwrap().segments, 0);
        assert_eq!(scan(pin.snapshot()).await, states[3].1);
    }
    // Too late, but nothing was packed away.
    clock.forward(HOUR);
    assert_eq!(store.collect(&at_once()).await.unwrap().pins, 1);
    pin.renew(HOUR).await.unwrap();
    assert_eq!(scan(pin.snapshot()).await, states[3].1);
}

#[tokio::test]
async fn a_pin_takes_a_put_and_the_question_for_the_end_of_the_log() {
    let (provider, store) = counted().await;
    let version = put(&store, "a", "1").await;
    let snapshot = store.snapshot(At::Known).await.unwrap();
    let before = provider.counts();
    let pin = snapshot.pin(HOUR).await.unwrap();
    let cost = provider.counts().since(&before);
    assert_eq!((cost.put.requests, cost.get.requests, cost.requests()), (1, 1, 2));
    assert_eq!(pin.snapshot().version(), version);
    let error = store.pin(At::Version(Version(99)), HOUR).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchVersion);
    assert_eq!(names(&provider, "pin/").await.len(), 1);
}

//! Versions that are packed away while somebody is about to rely on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backend_memory::MemoryProvider;
use storage_core::StorageProvider;
use storage_txn::{At, CollectOptions, ErrorKind, Options, Store, Version};
use storage_wrappers::{Counted, TokioEnv};

use crate::collect::at_once;
use crate::gated::{Gated, Stop};
use crate::open;

async fn put(store: &Store, key: &str, value: &str) -> Version {
    store.transact(async |tx| tx.put(key, value.to_owned())).await.unwrap().version
}

async fn opened_on(provider: &Arc<Counted<MemoryProvider>>) -> Store {
    let provider: Arc<dyn StorageProvider> = provider.clone();
    Store::init(provider, Arc::new(TokioEnv::new()), Options::default()).await.unwrap()
}

/// One who tags a version is stopped at each of its requests in turn, and meanwhile what kept that version is gone:
/// the horizon moves beyond it, or the other tag that it has behind the horizon is taken away.
#[tokio::test]
async fn a_tag_that_a_pack_overtakes_at_any_moment_keeps_its_version_or_is_refused() {
    for tagged_before in [false, true] {
        let (mut kept, mut refused) = (0, 0);
        for requests in 0.. {
            let counted = Arc::new(Counted::new(MemoryProvider::new()));
            let one = opened_on(&counted).await;
            let version = put(&one, "a", "then").await;
            put(&one, "a", "later").await;
            if tagged_before {
                one.tag("first", version).await.unwrap();
                one.pack(At::Latest).await.unwrap();
            }
            let gated = Gated::new(&counted, "", Stop::Waits);
            let env = Arc::new(TokioEnv::new());
            let other = Store::open(gated.clone(), env, Options::default()).await.unwrap();
            gated.shut(requests);
            let mut tagging = tokio::spawn(async move { other.tag("second", version).await });
            tokio::select! {
                () = gated.reached() => {}
                // It needs no more requests than these.
                result = &mut tagging => {
                    result.unwrap().unwrap();
                    break;
                }
            }
            one.untag("first").await.unwrap();
            put(&one, "a", "now").await;
            one.pack(At::Latest).await.unwrap();
            gated.open();
            let tagged = tagging.await.unwrap();
            let what = format!("after {requests}, tagged before: {tagged_before}: {tagged:?}");
            let then = async { one.snapshot(At::Version(version)).await?.get("a").await };
            match (tagged, then.await) {
                (Ok(()), found) => {
                    kept += 1;
                    assert_eq!(found.unwrap().unwrap(), "then", "{what}");
                }
                (Err(error), found) => {
                    refused += 1;
                    assert_eq!(error.kind(), ErrorKind::SnapshotExpired, "{what}");
                    assert_eq!(found.unwrap_err().kind(), ErrorKind::SnapshotExpired, "{what}");
                }
            }
        }
        assert!(refused > 0, "{kept} kept, {refused} refused");
    }
}

#[tokio::test]
async fn a_transaction_whose_version_is_packed_away_while_it_reads_runs_again() {
    let counted = Arc::new(Counted::new(MemoryProvider::new()));
    let store = opened_on(&counted).await;
    for value in ["1", "2"] {
        put(&store, "a", value).await;
    }
    store.flush().await.unwrap();
    let mut options = Options::default();
    options.cache_bytes_max = 0;
    let provider: Arc<dyn StorageProvider> = counted.clone();
    let late = open(&provider, options).await;
    let runs = AtomicU32::new(0);
    let read = late.transact(async |tx| {
        if runs.fetch_add(1, Ordering::Relaxed) == 0 {
            put(&store, "a", "3").await;
            store.pack(At::Latest).await.unwrap();
            store.collect(&at_once()).await.unwrap();
        }
        let found = tx.get("a").await?;
        tx.put("b", "1")?;
        Ok(found)
    });
    let read = read.await.unwrap();
    assert_eq!((read.value.unwrap(), runs.into_inner()), ("3".into(), 2));
}

/// What is overtaken by others who pack, and collect without grace what it is reading.
#[derive(Debug, Clone, Copy)]
enum Slow {
    /// Was told that the version it packs up to is no longer kept.
    Pack,
    /// Was told so of the version in which it looked for values that a session had left behind.
    Collect,
}

#[tokio::test]
async fn who_is_overtaken_by_a_pack_at_any_moment_goes_on() {
    for slow in [Slow::Pack, Slow::Collect] {
        let mut moments = 0;
        while !is_overtaken(slow, moments).await {
            moments += 1;
        }
        assert!(moments > 5, "{slow:?}: {moments}");
    }
}

/// Has it overtaken after so many requests. Whether it needs no more than these.
async fn is_overtaken(slow: Slow, requests: i64) -> bool {
    let mut options = Options::default();
    (options.inline_bytes_max, options.chunk_bytes, options.cache_bytes_max) = (8, 5, 0);
    let counted = Arc::new(Counted::new(MemoryProvider::new()));
    let env = Arc::new(TokioEnv::new());
    let one = Store::init(counted.clone(), env.clone(), options.clone()).await.unwrap();
    for key in ["a", "b", "c"] {
        put(&one, key, "a large value").await;
    }
    let middle = one.transact(async |tx| tx.delete("a")).await.unwrap().version;
    one.flush().await.unwrap();
    let gated = Gated::new(&counted, "", Stop::Waits);
    let other = Store::open(gated.clone(), env, options.clone()).await.unwrap();
    gated.shut(requests);
    let mut overtaken = tokio::spawn(async move {
        match slow {
            Slow::Pack => other.pack(At::Version(middle)).await.map(|at| assert!(at >= middle)),
            Slow::Collect => other.collect(&at_once()).await.map(drop),
        }
    });
    tokio::select! {
        () = gated.reached() => {}
        result = &mut overtaken => {
            result.unwrap().unwrap();
            return true;
        }
    }
    let last = one.transact(async |tx| tx.delete("b")).await.unwrap().version;
    one.pack(At::Version(last)).await.unwrap();
    // Who is slow is not taken for dead.
    let mut soon = CollectOptions::default();
    soon.grace = Duration::ZERO;
    one.collect(&soon).await.unwrap();
    gated.open();
    let result = overtaken.await.unwrap();
    assert!(result.is_ok(), "{slow:?} after {requests}: {result:?}");
    let kept = open(&(counted as _), options).await.snapshot(At::Latest).await.unwrap();
    assert_eq!(kept.get("c").await.unwrap().unwrap(), "a large value", "{slow:?} after {requests}");
    false
}

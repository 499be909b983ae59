//! What a commit looks at to know whether it may be, and what becomes of it when it cannot.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backend_memory::MemoryProvider;
use storage_core::{Env, Key, List, Prefix, PutIf, StorageProvider};
use storage_txn::{At, ErrorKind, Options, Scan, Store};
use storage_wrappers::{Counted, ManualEnv};

#[test]
fn a_commit_reads_no_segment_to_know_that_nothing_else_has_its_id() {
    let provider = Arc::new(Counted::new(MemoryProvider::new()));
    let env = ManualEnv::new(1);
    env.block_on(async {
        let clock = Arc::new(env.clone());
        let store = Store::init(provider.clone(), clock.clone(), Options::default()).await.unwrap();
        store.transact(async |tx| tx.put("a", "1")).await.unwrap();
        store.flush().await.unwrap();
        let store = Store::open(provider.clone(), clock, Options::default()).await.unwrap();
        let tx = store.begin();
        tx.put("b", "2").unwrap();
        store.transact(async |tx| tx.put("c", "3")).await.unwrap();
        let before = provider.counts();
        tx.commit().await.unwrap();
        let cost = provider.counts().since(&before);
        assert_eq!((cost.get.requests, cost.put.requests), (0, 1), "{cost:?}");
    });
}

/// Nothing that is in segments was changed since it was read.
#[test]
fn a_commit_reads_no_segment_that_is_older_than_what_it_has_read() {
    let provider = Arc::new(Counted::new(MemoryProvider::new()));
    let env = ManualEnv::new(1);
    env.block_on(async {
        let clock = Arc::new(env.clone());
        let store = Store::init(provider.clone(), clock.clone(), Options::default()).await.unwrap();
        for key in ["a", "m", "z"] {
            store.transact(async |tx| tx.put(key, "1")).await.unwrap();
        }
        // The last version is one of a segment: nothing follows that is only in memory.
        store.flush().await.unwrap();
        let mut options = Options::default();
        options.cache_bytes_max = 0;
        let store = Store::open(provider.clone(), clock, options).await.unwrap();
        let tx = store.begin();
        let before = provider.counts();
        assert_eq!(tx.get("m").await.unwrap().as_deref(), Some(&b"1"[..]));
        assert!(tx.scan(&Scan::new("b".."c")).await.unwrap().is_empty());
        // Without a cache, whoever looks makes requests.
        assert!(provider.counts().since(&before).get.requests >= 2);
        tx.put("n", "2").unwrap();
        store.transact(async |tx| tx.put("y", "3")).await.unwrap();
        let before = provider.counts();
        tx.commit().await.unwrap();
        let cost = provider.counts().since(&before);
        assert_eq!((cost.get.requests, cost.put.requests), (0, 1), "{cost:?}");
    });
}

#[test]
fn what_is_required_and_does_not_hold_is_not_tried_again() {
    let env = ManualEnv::new(1);
    env.block_on(async {
        let provider = Arc::new(MemoryProvider::new());
        let clock = Arc::new(env.clone());
        let store = Store::init(provider, clock, Options::default()).await.unwrap();
        store.transact(async |tx| tx.put("a", "1")).await.unwrap();
        let attempts = AtomicUsize::new(0);
        let done = store.transact(async |tx| {
            attempts.fetch_add(1, Ordering::Relaxed);
            tx.require("a", None)?;
            tx.put("b", "2")
        });
        assert_eq!(done.await.unwrap_err().kind(), ErrorKind::PreconditionFailed);
        assert_eq!(attempts.into_inner(), 1);
    });
}

/// Every segment is overwritten with what is none.
async fn spoil_segments(provider: &Arc<dyn StorageProvider>) {
    let segments = Prefix::new("segment/").unwrap();
    let page = provider.list(List::new(&segments)).await.unwrap();
    assert!(!page.objects.is_empty());
    for object in page.objects {
        let key: Key = object.key;
        provider.put(&key, vec![0; object.size as usize].into(), PutIf::Always).await.unwrap();
    }
}

#[test]
fn a_commit_that_cannot_be_judged_fails_at_once_and_says_why() {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let env = ManualEnv::new(1);
    env.block_on(async {
        let clock = Arc::new(env.clone());
        let one = Store::init(provider.clone(), clock.clone(), Options::default()).await.unwrap();
        let two = Store::open(provider.clone(), clock, Options::default()).await.unwrap();
        let tx = two.begin();
        tx.get("a").await.unwrap();
        tx.put("b", "2").unwrap();
        // What it has read is changed, and the change is in a segment that cannot be read.
        one.transact(async |tx| tx.put("a", "1")).await.unwrap();
        one.flush().await.unwrap();
        // Only the next flush lets go of what the last one has put there.
        one.transact(async |tx| tx.put("z", "1")).await.unwrap();
        one.flush().await.unwrap();
        two.snapshot(At::Latest).await.unwrap();
        spoil_segments(&provider).await;
        let error = tx.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("segment/"), "{error}");
    });
    assert_eq!(env.monotonic(), Duration::ZERO);
}

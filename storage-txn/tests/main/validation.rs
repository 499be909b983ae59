//! What a commit looks at to know whether it may be, and what becomes of it when it cannot.

use std::sync::Arc;
use std::time::Duration;

use backend_memory::MemoryProvider;
use storage_core::{Env, Key, List, Prefix, PutIf, StorageProvider};
use storage_txn::{At, ErrorKind, Options, Store};
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

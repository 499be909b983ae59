//! What a handle counts, and how fast it compacts.

use std::sync::Arc;
use std::time::Duration;

use backend_memory::MemoryProvider;
use storage_txn::{At, Options, Store};
use storage_wrappers::TokioEnv;
use tokio::time::Instant;

async fn store(options: Options) -> Store {
    let provider = Arc::new(MemoryProvider::new());
    Store::init(provider, Arc::new(TokioEnv::new()), options).await.unwrap()
}

/// Values that do not compress, so that segments have about as many bytes.
async fn fill(store: &Store, flushes: u64) {
    for flush in 0..flushes {
        let puts = store.transact(async |tx| {
            for at in 0..200_u64 {
                let mut state = flush * 1000 + at + 1;
                let value: Vec<u8> = std::iter::repeat_with(|| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 56) as u8
                })
                .take(500)
                .collect();
                tx.put(format!("{at}"), value)?;
            }
            Ok(())
        });
        puts.await.unwrap();
        store.flush().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_compaction_reads_no_faster_than_it_may() {
    let mut options = Options::default();
    options.compaction_bytes_per_second = 10_000;
    // In pieces, so that it is slowed down on its way and not once for all.
    options.compaction_read_bytes = 16 << 10;
    let store = store(options).await;
    fill(&store, 8).await;
    assert_eq!(store.info().await.unwrap().runs, 8);
    let began = Instant::now();
    store.compact_if_due().await.unwrap();
    let took = began.elapsed();
    let read = store.counters().compaction_read_bytes;
    // Eight times 200 values of 500 bytes.
    assert!(read > 800_000, "{read}");
    // The clock is that of the test: it stands still but for pauses.
    assert!(took >= Duration::from_secs(read / 10_000), "{read} bytes in {took:?}");
    assert!(took <= Duration::from_secs(read / 10_000 + 2), "{read} bytes in {took:?}");
    let info = store.info().await.unwrap();
    assert!(info.runs < 8 && info.garbage_objects >= 8 && info.garbage_bytes > 800_000, "{info:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handle_without_a_bound_does_not_pause_and_with_few_runs_does_nothing() {
    let store = store(Options::default()).await;
    fill(&store, 2).await;
    let before = store.counters();
    let began = Instant::now();
    store.compact_if_due().await.unwrap();
    assert_eq!(store.counters(), before);
    fill(&store, 6).await;
    store.compact_if_due().await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    let after = store.counters();
    assert!(after.compactions > before.compactions && after.checkpoints > before.checkpoints);
}

#[tokio::test]
async fn commits_conflicts_and_lookups_are_counted() {
    let store = store(Options::default()).await;
    let zero = store.counters();
    store.transact(async |tx| tx.put("a", "1")).await.unwrap();
    let one = store.counters();
    assert_eq!((one.commits - zero.commits, one.entries - zero.entries), (1, 1));
    assert!(one.entry_bytes > zero.entry_bytes);
    let (first, second) = (store.begin(), store.begin());
    for transaction in [&first, &second] {
        transaction.get("a").await.unwrap();
        transaction.put("a", "2").unwrap();
    }
    first.commit().await.unwrap();
    second.commit().await.unwrap_err();
    let two = store.counters();
    assert_eq!((two.conflicts, two.commits - one.commits), (1, 1));
    store.flush().await.unwrap();
    let flushed = store.counters();
    assert_eq!((flushed.flushes, flushed.checkpoints), (1, 1));
    assert!(flushed.last_checkpoint > Duration::ZERO);
    for _ in 0..3 {
        store.snapshot(At::Known).await.unwrap().get("a").await.unwrap();
    }
    let read = store.counters();
    assert!(read.cache_misses > flushed.cache_misses, "{read:?}");
    assert!(read.cache_hits > flushed.cache_hits, "{read:?}");
}

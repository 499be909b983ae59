//! How many requests to the provider an operation takes.

use std::sync::Arc;

use backend_memory::MemoryProvider;
use futures_util::future::join_all;
use storage_wrappers::{Counted, Counts};

use super::Bench;
use crate::Options;

/// A gateway on a provider that counts.
async fn counted() -> (Bench, Arc<Counted<MemoryProvider>>) {
    let provider = Arc::new(Counted::new(MemoryProvider::new()));
    (Bench::on(provider.clone(), Options::default()).await, provider)
}

/// So many puts at once, each of a key of its own, of so many bytes.
async fn puts(at_once: usize, bytes: usize) -> Counts {
    let (bench, provider) = counted().await;
    let before = provider.counts();
    let body = super::bytes(bytes);
    let keys: Vec<_> = (0..at_once).map(|key| format!("key {key}")).collect();
    join_all(keys.iter().map(|key| bench.put(key, body.clone()))).await;
    let counts = provider.counts().since(&before);
    for key in &keys {
        assert_eq!(bench.get(key).await.unwrap(), body, "{key}");
    }
    counts
}

#[tokio::test]
async fn small_puts_at_the_same_time_share_one_request_to_the_provider() {
    for at_once in [1, 16, 64, 500] {
        let counts = puts(at_once, 1000).await;
        // The log may be behind what was handed in first.
        assert!(counts.requests() <= 2, "{at_once} at once: {counts:?}");
    }
}

#[tokio::test]
async fn a_put_of_a_large_object_adds_its_chunks_and_nothing_else() {
    // Of 100,000 bytes, as the store is set up here; and the first upload says that its session lives.
    for (bytes, chunks) in [(50_000, 1), (1_000_000, 11)] {
        let counts = puts(8, bytes).await;
        let most = 8 * chunks + 3;
        assert!(counts.requests() <= most, "{bytes} bytes: {counts:?}");
    }
}

#[tokio::test]
async fn small_gets_at_the_same_time_share_one_look_at_the_log() {
    let (bench, provider) = counted().await;
    bench.put("key", "body").await;
    let before = provider.counts();
    let got = join_all((0..64).map(|_| bench.get("key"))).await;
    assert!(got.into_iter().all(|got| got.unwrap() == "body"));
    let counts = provider.counts().since(&before);
    assert!(counts.requests() <= 2, "{counts:?}");
}

//! What becomes of a put that nobody waits for any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backend_fs::{Config, FsProvider, Step};
use storage_core::{Get, PutIf, StorageProvider};

use crate::support::key;

#[tokio::test]
async fn a_put_whose_future_is_dropped_ends_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new(folder.path().join("data")).create(true);
    let (published, go_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (seen, wait) = (published.clone(), go_on.clone());
    let observe = Arc::new(move |step| {
        if matches!(step, Step::SyncDirectory { .. }) {
            seen.store(true, Ordering::SeqCst);
            while !wait.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
    });
    let provider = FsProvider::open_observed(config, observe).await.unwrap();
    let (name, body) = (key("a"), "whole");
    let put = tokio::spawn({
        let (provider, name) = (provider.clone(), name.clone());
        async move { provider.put(&name, body.into(), PutIf::Absent).await }
    });
    while !published.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    put.abort();
    assert!(put.await.unwrap_err().is_cancelled());
    // It is visible but not durable: neither a get nor a put that loses may say so yet.
    let get = tokio::spawn({
        let (provider, name) = (provider.clone(), name.clone());
        async move { provider.get(&name, Get::whole()).await }
    });
    let lose = tokio::spawn({
        let (provider, name) = (provider.clone(), name.clone());
        async move { provider.put(&name, "other".into(), PutIf::Absent).await }
    });
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(!get.is_finished() && !lose.is_finished());
    go_on.store(true, Ordering::SeqCst);
    assert_eq!(get.await.unwrap().unwrap().body, body);
    let lost = lose.await.unwrap().unwrap_err();
    assert_eq!(lost.kind(), storage_core::ErrorKind::Conflict);
}

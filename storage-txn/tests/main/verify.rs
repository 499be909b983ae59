//! Verifying a store that is sound, in use and growing: nothing is found, and it costs what it must.

use std::sync::Arc;
use std::time::Duration;

use backend_memory::MemoryProvider;
use futures_util::{TryStreamExt, stream};
use storage_core::{Key, Prefix, PutIf, StorageProvider, StorageProviderExt};
use storage_txn::{At, Options, Severity, Store, VerifyEvent, VerifyOptions, VerifyProgress};
use storage_wrappers::{Counted, TokioEnv};

use crate::flush::{counted, put};
use crate::gated::{Gated, Stop};
use crate::tiny;

fn at_once() -> VerifyOptions {
    let mut options = VerifyOptions::default();
    options.pause = Duration::ZERO;
    options
}

pub(crate) async fn findings(provider: &Arc<dyn StorageProvider>) -> (Vec<String>, u64) {
    let (mut findings, mut bytes) = (Vec::new(), 0);
    let mut tell = |event| match event {
        VerifyEvent::Finding(finding) => findings.push(finding.to_string()),
        VerifyEvent::Progress(VerifyProgress { bytes: done, bytes_total, .. }) => {
            assert!(bytes < done && done <= bytes_total);
            bytes = done;
        }
        _ => {}
    };
    let env = Arc::new(TokioEnv::new());
    Store::verify(provider.clone(), env, &at_once(), &mut tell).await.unwrap();
    (findings, bytes)
}

#[tokio::test]
async fn a_store_in_use_has_no_findings() {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let store = Store::init(provider.clone(), Arc::new(TokioEnv::new()), tiny()).await.unwrap();
    let writing = tokio::spawn(async move {
        for round in 0..300_u32 {
            let write = store.transact(async |tx| {
                tx.put(format!("{:03}", round % 50), vec![round as u8; 40])?;
                tx.delete_range(format!("{:03}", round % 7)..format!("{:03}", round % 7 + 2))
            });
            write.await.unwrap();
        }
        store.flush().await.unwrap();
    });
    let mut times = 0;
    while !writing.is_finished() {
        let spawned = provider.clone();
        let (found, _) = tokio::spawn(async move { findings(&spawned).await }).await.unwrap();
        let real: Vec<_> = found.into_iter().filter(|text| !text.contains("(garbage)")).collect();
        assert_eq!(real, Vec::<String>::new());
        times += 1;
    }
    writing.await.unwrap();
    assert!(times > 1);
    let (found, bytes) = findings(&provider).await;
    assert_eq!(found, Vec::<String>::new());
    assert!(bytes > 10_000);
}

/// Whoever collects deletes first and says so afterwards, and may crash in between.
#[tokio::test]
async fn segments_that_are_merged_and_deleted_at_any_moment_are_not_missed() {
    let mut moments = 0;
    for requests in 0.. {
        let (provider, store) = counted().await;
        for value in ["1", "2"] {
            put(&store, "key", value).await;
            store.flush().await.unwrap();
        }
        let gated = Gated::new(&provider, "", Stop::Waits);
        gated.shut(requests);
        let verifier: Arc<dyn StorageProvider> = gated.clone();
        let mut verifying = tokio::spawn(async move { findings(&verifier).await });
        tokio::select! {
            () = gated.reached() => moments += 1,
            // It needs no more requests than these.
            _ = &mut verifying => break,
        }
        let merged = crate::flush::names(&provider, "segment/").await;
        store.compact().await.unwrap();
        for name in merged {
            provider.delete(&name).await.unwrap();
        }
        gated.open();
        let (found, _) = verifying.await.unwrap();
        let real: Vec<_> = found.into_iter().filter(|text| !text.contains("(garbage)")).collect();
        assert_eq!(real, Vec::<String>::new(), "after {requests} requests");
    }
    assert!(moments > 10, "{moments}");
}

#[tokio::test]
async fn verifying_writes_nothing_and_reads_every_object_about_once() {
    let provider = Arc::new(Counted::new(MemoryProvider::new()));
    let env = Arc::new(TokioEnv::new());
    let store = Store::init(provider.clone(), env.clone(), Options::default()).await.unwrap();
    for round in 0..100_u32 {
        store.transact(async |tx| tx.put(format!("{round}"), vec![1; 2000])).await.unwrap();
        if round % 40 == 39 {
            store.flush().await.unwrap();
        }
    }
    let before = provider.counts();
    let (found, _) = findings(&(provider.clone() as _)).await;
    let cost = provider.counts().since(&before);
    assert_eq!(found, Vec::<String>::new());
    assert_eq!((cost.put.requests, cost.delete.requests), (0, 0));
    // 102 entries and 22 of them once more, what was asked for behind the end, two checkpoints, the newest twice, and
    // tail, index and blocks of two segments.
    assert!(cost.get.requests <= 180, "{cost:?}");
}

/// An upload that is put nowhere, and no other large value: not one that is under a key, and not one that waits to be
/// collected.
#[tokio::test]
async fn large_values_that_nothing_needs_are_named_and_added_up() {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let env = Arc::new(TokioEnv::new());
    let store = Store::init(provider.clone(), env.clone(), crate::elsewhere()).await.unwrap();
    store.transact(async |tx| tx.put("kept", vec![1; 9])).await.unwrap();
    store.transact(async |tx| tx.put("gone", vec![2; 9])).await.unwrap();
    let last = store.transact(async |tx| tx.delete("gone")).await.unwrap().version;
    store.pack(At::Version(last)).await.unwrap();
    let before: Vec<_> = values(&provider).await;
    let mut uploads = Vec::new();
    // The second in three chunks.
    for bytes in [5, 12] {
        let pieces = stream::iter([Ok::<_, storage_txn::Error>(vec![3; bytes].into())]);
        uploads.push(store.upload(pieces).await.unwrap());
    }
    let unneeded: Vec<_> =
        values(&provider).await.into_iter().filter(|it| !before.contains(it)).collect();
    assert!(unneeded.len() >= 3, "{unneeded:?}");
    let mut said = Vec::new();
    let mut tell = |event| {
        if let VerifyEvent::Finding(finding) = event {
            said.push((finding.severity, finding.object, finding.what));
        }
    };
    let report = Store::verify(provider.clone(), env, &at_once(), &mut tell).await.unwrap();
    let expected: Vec<_> = unneeded
        .iter()
        .map(|(name, bytes)| {
            (Severity::Garbage, name.clone(), format!("nothing needs it ({bytes} bytes)"))
        })
        .collect();
    assert_eq!(said, expected);
    let all: Vec<_> =
        report.unnamed.iter().map(|unnamed| (unnamed.objects, unnamed.bytes)).collect();
    let bytes = unneeded.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(all, [(unneeded.len() as u64, bytes)]);
}

/// Large values and how many bytes their objects have.
async fn values(provider: &Arc<dyn StorageProvider>) -> Vec<(String, u64)> {
    let prefix = Prefix::new("value/").unwrap();
    let listed = provider.list_all(&prefix).map_ok(|listed| (listed.key.to_string(), listed.size));
    listed.try_collect().await.unwrap()
}

#[tokio::test]
async fn what_was_verified_is_counted() {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let env = Arc::new(TokioEnv::new());
    let store = Store::init(provider.clone(), env.clone(), Options::default()).await.unwrap();
    for round in 0..3 {
        for key in ["a", "b"] {
            store.transact(async |tx| tx.put(key, round.to_string())).await.unwrap();
        }
        store.flush().await.unwrap();
    }
    let mut counts = [0; 3];
    for (count, folder) in counts.iter_mut().zip(["log/", "checkpoint/", "segment/"]) {
        let folder = Prefix::new(folder).unwrap();
        let listed = provider.list_all(&folder);
        *count = listed.try_fold(0, |all, _| async move { Ok(all + 1) }).await.unwrap();
    }
    let report = Store::verify(provider, env, &at_once(), &mut |_| {}).await.unwrap();
    assert!(counts.iter().all(|count| *count > 1), "{counts:?}");
    assert_eq!([report.entries, report.checkpoints, report.segments], counts);
    // One of each key in each round; what the store keeps for itself comes on top.
    assert!(report.changes >= 6, "{report:?}");
}

#[tokio::test]
async fn a_damaged_root_is_named_and_the_rest_is_verified() {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let env = Arc::new(TokioEnv::new());
    let store = Store::init(provider.clone(), env.clone(), Options::default()).await.unwrap();
    store.transact(async |tx| tx.put("a", "1")).await.unwrap();
    let format = Key::new("format").unwrap();
    provider.put(&format, "of nothing".into(), PutIf::Always).await.unwrap();
    let mut found = Vec::new();
    let mut tell = |event| {
        if let VerifyEvent::Finding(finding) = event {
            found.push((finding.severity, finding.object));
        }
    };
    let report = Store::verify(provider, env, &at_once(), &mut tell).await.unwrap();
    assert_eq!((report.entries, report.lost), (1, 1));
    assert_eq!(found, [(Severity::Lost, "format".to_owned())]);
}

//! Values too large for the log: stored before it, read in parts, shared by copies.

use std::sync::Arc;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use storage_core::{Key, Prefix, StorageProvider, StorageProviderExt};
use storage_txn::{
    At, CommitRef, ErrorKind, INLINE_BYTES_MAX, Merge, Options, Scan, Snapshot, Store, Value,
};
use storage_wrappers::{Counted, Counts, TokioEnv};

use crate::open;

type Provider = Arc<Counted<MemoryProvider>>;

const INLINE: usize = 1000;
const CHUNK: usize = 100_000;
const BLOCK: usize = 64 << 10;

fn options() -> Options {
    let mut options = Options::default();
    options.inline_bytes_max = INLINE;
    options.chunk_bytes = CHUNK;
    options
}

async fn counted(options: Options) -> (Provider, Store) {
    let counted = Arc::new(Counted::new(MemoryProvider::new()));
    let env = Arc::new(TokioEnv::new());
    let store = Store::init(counted.clone(), env, options).await.unwrap();
    (counted, store)
}

async fn another(provider: &Provider) -> Store {
    let provider: Arc<dyn StorageProvider> = provider.clone();
    open(&provider, options()).await
}

async fn names(provider: &Provider, prefix: &str) -> Vec<Key> {
    let prefix = Prefix::new(prefix).unwrap();
    provider.list_all(&prefix).map_ok(|listed| listed.key).try_collect().await.unwrap()
}

/// Bytes that are different everywhere, and for every seed.
pub(crate) fn noise(seed: u64, bytes: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed | 1);
        (state >> 56) as u8
    };
    (0..bytes).map(next).collect()
}

/// A value in pieces of these sizes, over and over.
fn pieces(value: &Bytes, sizes: &[usize]) -> Vec<Result<Bytes, std::io::Error>> {
    let (mut rest, mut all) = (value.clone(), Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        all.push(Ok(rest.split_to(rest.len().min(*size))));
    }
    all
}

async fn upload(store: &Store, value: &Bytes) -> Value {
    store.upload(stream::iter(pieces(value, &[CHUNK / 3, 0, 7]))).await.unwrap()
}

async fn known(store: &Store) -> Snapshot {
    store.snapshot(At::Known).await.unwrap()
}

async fn streamed(snapshot: &Snapshot, key: &str) -> Bytes {
    let stream = snapshot.get_stream(key).await.unwrap().unwrap();
    let size = stream.size();
    let bytes: Vec<Bytes> = stream.try_collect().await.unwrap();
    let bytes = Bytes::from(bytes.concat());
    assert_eq!(bytes.len() as u64, size);
    bytes
}

/// Everything that can be read of a key is that of `expected`.
async fn check(store: &Store, key: &str, expected: &Bytes) {
    let now = known(store).await;
    let size = expected.len();
    assert_eq!(now.meta(key).await.unwrap().unwrap().size, size as u64);
    assert_eq!(now.get(key).await.unwrap().unwrap(), expected);
    assert_eq!(streamed(&now, key).await, expected);
    let mut dice = size as u64 + 1;
    let mut throw = |sides: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((dice >> 33) as usize) % sides
    };
    for round in 0..50 {
        let start = if round % 2 == 0 { throw(size + 2) } else { throw(4) * BLOCK.min(size) };
        let end = start + throw(if round % 3 == 0 { 10 } else { 2 * CHUNK });
        let found = now.get_range(key, start as u64..end as u64).await.unwrap().unwrap();
        let end = end.min(size);
        let wanted = expected.slice(start.min(end)..end);
        assert!(found == wanted, "{start}..{end} of {size} bytes");
    }
    let item = now.scan(&Scan::new(key..)).await.unwrap().next().await.unwrap().unwrap();
    assert!(item.key == key && item.value == *expected);
    let meta = now.scan_meta(&Scan::new(key..)).await.unwrap().next().await.unwrap().unwrap();
    assert_eq!((meta.key, meta.size, Some(meta.version)), (item.key, size as u64, item.version));
}

#[tokio::test]
async fn a_value_of_any_size_reads_as_it_was_put_from_memory_and_from_segments() {
    let table = [
        (INLINE - 1, 0),
        (INLINE, 0),
        (INLINE + 1, 1),
        (BLOCK, 1),
        (BLOCK + 1, 1),
        (CHUNK - 1, 1),
        (CHUNK, 1),
        (CHUNK + 1, 2),
        (2 * CHUNK, 2),
        (7 * CHUNK + 3 * BLOCK / 2, 8),
    ];
    for (size, objects) in table {
        let (provider, store) = counted(options()).await;
        let value = noise(size as u64, size);
        store.transact(async |tx| tx.put("put", value.clone())).await.unwrap();
        assert_eq!(names(&provider, "value/").await.len(), objects, "{size}");
        let put_in_stream = store.transact(async |tx| {
            let pieces = stream::iter(pieces(&value, &[1, 777, 0, BLOCK, CHUNK + 5]));
            tx.put_stream("streamed", pieces).await.map(drop)
        });
        put_in_stream.await.unwrap();
        let uploaded = upload(&store, &value).await;
        assert_eq!(uploaded.size(), size as u64);
        store.transact(async |tx| tx.put_value("uploaded", &uploaded)).await.unwrap();
        assert_eq!(names(&provider, "value/").await.len(), 3 * objects, "{size}");
        store.flush().await.unwrap();
        for store in [&store, &another(&provider).await] {
            for key in ["put", "streamed", "uploaded"] {
                check(store, key, &value).await;
            }
        }
    }
}

#[tokio::test]
async fn large_and_small_values_are_written_at_the_cost_of_little_more_than_their_bytes() {
    let (provider, store) = counted(Options::default()).await;
    let table: [(usize, usize, u64); 4] =
        [(100 << 10, 40, 1), (3 << 20, 5, 3), (40 << 20, 1, 5), (8 << 20, 2, 2)];
    for (size, count, objects) in table {
        let values: Vec<_> = (0..count).map(|at| noise(at as u64, size)).collect();
        let before = provider.counts();
        store
            .transact(async |tx| {
                values
                    .iter()
                    .enumerate()
                    .try_for_each(|(at, value)| tx.put(format!("{at}"), value.clone()))
            })
            .await
            .unwrap();
        let cost = provider.counts().since(&before);
        // The first upload of a handle says that there is one.
        let session = u64::from(size == 100 << 10);
        assert_eq!(cost.put.requests, objects + 1 + session, "{count} of {size}");
        let user = (size * count) as f64;
        assert!(cost.put.bytes_in as f64 <= 1.05 * user, "{count} of {size}: {cost:?}");
        let now = known(&store).await;
        for (at, value) in values.iter().enumerate() {
            assert_eq!(now.get(format!("{at}")).await.unwrap().unwrap(), value);
        }
    }
}

fn gets(counts: &Counts) -> (u64, u64) {
    (counts.get.requests, counts.get.bytes_out)
}

#[tokio::test]
async fn a_range_is_read_with_one_request_for_the_blocks_that_hold_it() {
    let (provider, store) = counted(Options::default()).await;
    let value = noise(1, 40 << 20);
    store.transact(async |tx| tx.put("k", value.clone())).await.unwrap();
    let now = known(&store).await;
    let framed = (BLOCK + 4) as u64;
    for (start, bytes, requests, blocks) in [
        (0, 1, 1, 1),
        (BLOCK - 1, 2, 1, 2),
        ((8 << 20) + 5, BLOCK - 5, 1, 1),
        ((8 << 20) - 1, 2, 2, 2),
        ((40 << 20) - 1, 1, 1, 1),
        (20 << 20, 1 << 20, 1, 16),
    ] {
        let before = provider.counts();
        let range = start as u64..(start + bytes) as u64;
        let found = now.get_range("k", range).await.unwrap().unwrap();
        assert_eq!(found, value.slice(start..start + bytes));
        assert_eq!(gets(&provider.counts().since(&before)), (requests, blocks * framed));
    }
    let before = provider.counts();
    assert_eq!(now.meta("k").await.unwrap().unwrap().size, 40 << 20);
    assert_eq!(now.get_range("k", (40 << 20)..).await.unwrap().unwrap(), "");
    assert_eq!(gets(&provider.counts().since(&before)), (0, 0));
}

#[tokio::test]
async fn more_than_the_bound_is_not_handed_out_in_one_piece() {
    let mut options = options();
    options.get_bytes_max = 150_000;
    let (_, store) = counted(options).await;
    let value = noise(1, 150_001);
    store.transact(async |tx| tx.put("k", value.clone())).await.unwrap();
    store.transact(async |tx| tx.put("l", value.slice(1..))).await.unwrap();
    let now = known(&store).await;
    let mut items = now.scan(&Scan::new(..)).await.unwrap();
    let tx = store.begin();
    for error in [
        now.get("k").await.unwrap_err(),
        now.get_range("k", ..).await.unwrap_err(),
        tx.get("k").await.unwrap_err(),
        items.next().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        let expected = "150001 bytes of a value are more than the 150000 of get_bytes_max: read a part with \
                        get_range, or all with get_stream";
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(items.next().await.unwrap().unwrap().key, "l");
    assert_eq!(now.get("l").await.unwrap().unwrap(), value.slice(1..));
    assert_eq!(now.get_range("k", 1..).await.unwrap().unwrap(), value.slice(1..));
    assert_eq!(streamed(&now, "k").await, value);
}

#[tokio::test]
async fn options_that_cannot_be_are_refused_by_name() {
    type Change = fn(&mut Options);
    let table: [(&str, Change); 4] = [
        ("inline_bytes_max is 7, which is not from 8 to 1048576", |it| it.inline_bytes_max = 7),
        ("inline_bytes_max is 1048577, which is not from 8 to 1048576", |it| {
            it.inline_bytes_max = INLINE_BYTES_MAX + 1;
        }),
        ("chunk_bytes is 0, which is not from 1 to 18446744073709551615", |it| it.chunk_bytes = 0),
        ("value_requests_max is 0, which is not from 1 to 18446744073709551615", |it| {
            it.value_requests_max = 0;
        }),
    ];
    for (expected, change) in table {
        let mut options = Options::default();
        change(&mut options);
        let provider = Arc::new(MemoryProvider::new());
        let error = Store::init(provider, Arc::new(TokioEnv::new()), options).await.unwrap_err();
        assert_eq!((error.kind(), &error.to_string()[..]), (ErrorKind::LimitExceeded, expected));
    }
}

#[tokio::test]
async fn a_copy_shares_the_bytes_and_outlives_what_it_was_made_from() {
    let (provider, store) = counted(options()).await;
    let (large, small) = (noise(1, 3 * CHUNK), noise(2, INLINE));
    store
        .transact(async |tx| {
            tx.put("large", large.clone())?;
            tx.put("small", small.clone())
        })
        .await
        .unwrap();
    let before = provider.counts();
    store
        .transact(async |tx| {
            assert!(tx.copy("large", "large copy").await?);
            assert!(tx.copy("small", "small copy").await?);
            assert!(!tx.copy("nothing", "large copy").await?);
            assert!(tx.copy("large copy", "copy of a copy").await?);
            tx.delete("large")?;
            assert!(!tx.copy("large", "small copy").await?);
            tx.delete("small")
        })
        .await
        .unwrap();
    let cost = provider.counts().since(&before);
    assert_eq!((cost.put.requests, cost.get.requests), (1, 0));
    assert!(cost.put.bytes_in < 2 * INLINE as u64, "{cost:?}");
    for (key, value) in [("large copy", &large), ("copy of a copy", &large), ("small copy", &small)]
    {
        check(&store, key, value).await;
    }
    assert_eq!(known(&store).await.get("large").await.unwrap(), None);
}

#[tokio::test]
async fn a_copy_of_what_the_same_transaction_puts_is_uploaded_once() {
    let (provider, store) = counted(options()).await;
    let value = noise(1, 2 * CHUNK);
    store
        .transact(async |tx| {
            tx.put("a", value.clone())?;
            tx.copy("a", "b").await.map(drop)
        })
        .await
        .unwrap();
    assert_eq!(names(&provider, "value/").await.len(), 2);
    check(&store, "a", &value).await;
    check(&store, "b", &value).await;
}

#[tokio::test]
async fn a_copy_is_in_conflict_with_a_change_of_what_it_copies_and_with_nothing_else() {
    let (provider, store) = counted(options()).await;
    let other = another(&provider).await;
    let value = noise(1, CHUNK);
    for change in ["from", "to"] {
        store.transact(async |tx| tx.put("from", value.clone())).await.unwrap();
        let tx = store.begin();
        tx.copy("from", "to").await.unwrap();
        other.transact(async |tx| tx.delete(change)).await.unwrap();
        let result = tx.commit().await;
        match change {
            "from" => assert_eq!(result.unwrap_err().kind(), ErrorKind::Conflict),
            _ => assert_eq!(known(&store).await.get("to").await.unwrap().unwrap(), value),
        }
    }
}

#[tokio::test]
async fn what_is_appended_to_a_large_value_comes_after_it_without_reading_it() {
    let (provider, store) = counted(options()).await;
    let mut expected = noise(1, 2 * CHUNK).to_vec();
    let append = |bytes: &'static str| Merge::Append(bytes.into());
    let first = store
        .transact(async |tx| {
            let value = stream::iter(pieces(&noise(1, 2 * CHUNK), &[CHUNK]));
            tx.put_stream("k", value).await?;
            tx.merge("k", append("one"))
        })
        .await
        .unwrap();
    let before = provider.counts();
    store.transact(async |tx| tx.merge("k", append("two"))).await.unwrap();
    assert_eq!(provider.counts().since(&before).get.requests, 0);
    store.transact(async |tx| tx.copy("k", "copy").await.map(drop)).await.unwrap();
    expected.extend_from_slice(b"onetwo");
    let expected = Bytes::from(expected);
    check(&store, "k", &expected).await;
    store.flush().await.unwrap();
    for store in [&store, &another(&provider).await] {
        check(store, "k", &expected).await;
        check(store, "copy", &expected).await;
    }
    let then = store.snapshot(At::Version(first.version)).await.unwrap();
    assert_eq!(streamed(&then, "k").await, expected.slice(..expected.len() - 3));
    let undone = store.undo(CommitRef::Version(first.version)).await.unwrap_err();
    assert_eq!(undone.kind(), ErrorKind::PreconditionFailed);

    store.transact(async |tx| tx.merge("k", Merge::Add(1))).await.unwrap();
    let error = known(&store).await.get("k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotANumber);
    let expected =
        "key \"k\": a number was added to a value of 200006 bytes, which is not one of 8";
    assert_eq!(error.to_string(), expected);
    let tx = store.begin();
    let much = Merge::Append(noise(3, INLINE_BYTES_MAX + 1));
    assert_eq!(tx.merge("k", much).unwrap_err().kind(), ErrorKind::LimitExceeded);
}

#[tokio::test]
async fn history_and_changes_name_large_values_and_undo_brings_them_back_without_reading_them() {
    let (provider, store) = counted(options()).await;
    let (one, two) = (noise(1, CHUNK + 1), noise(2, 3 * CHUNK));
    let first = store.transact(async |tx| tx.put("k", one.clone())).await.unwrap().version;
    let second = store.transact(async |tx| tx.put("k", two.clone())).await.unwrap().version;
    let before = provider.counts();
    let history = known(&store).await.history("k").unwrap().collect().await.unwrap();
    let sizes: Vec<_> = history.iter().map(|it| it.written.value().unwrap().size()).collect();
    assert_eq!(sizes, [two.len() as u64, one.len() as u64]);
    assert!(history.iter().all(|it| it.written.value().unwrap().inline().is_none()));
    let mut changes = known(&store).await.changes(first).await.unwrap();
    let keys = changes.next().await.unwrap().unwrap().keys().unwrap().collect().await.unwrap();
    let side = |side: &Option<(_, storage_txn::Content)>| side.as_ref().unwrap().1.size();
    assert_eq!((side(&keys[0].before), side(&keys[0].after)), (one.len() as u64, two.len() as u64));
    assert_eq!(gets(&provider.counts().since(&before)).0, 0);

    let before = provider.counts();
    store.undo(second).await.unwrap();
    assert_eq!(gets(&provider.counts().since(&before)), (0, 0));
    check(&store, "k", &one).await;
    let then = store.snapshot(At::Version(second)).await.unwrap();
    assert_eq!(streamed(&then, "k").await, two);
}

#[tokio::test]
async fn an_upload_is_put_by_one_transaction_however_often_that_is_run() {
    let (provider, store) = counted(options()).await;
    let other = another(&provider).await;
    let value = noise(1, CHUNK);
    let uploaded = upload(&store, &value).await;
    let objects = names(&provider, "value/").await;
    let mut runs = 0;
    store
        .transact(|tx| {
            runs += 1;
            let (run, other, uploaded) = (runs, other.clone(), uploaded.clone());
            async move {
                tx.get("seen").await?;
                tx.put_value("a", &uploaded)?;
                tx.put_value("b", &uploaded)?;
                if run < 3 {
                    other.transact(async |tx| tx.put("seen", run.to_string())).await?;
                }
                Ok(())
            }
        })
        .await
        .unwrap();
    assert_eq!((runs, names(&provider, "value/").await), (3, objects));
    check(&store, "a", &value).await;
    check(&store, "b", &value).await;

    let refuse = |tx: &storage_txn::Transaction, value: &Value| {
        let error = tx.put_value("c", value).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
        error.to_string()
    };
    let spent = "the uploaded value was committed already, or may have been: copy it from its key, or upload it again";
    assert_eq!(refuse(&store.begin(), &uploaded), spent);
    let foreign = "the value was uploaded through another handle on a store";
    assert_eq!(refuse(&other.begin(), &uploaded), foreign);
    let again = upload(&store, &value).await;
    let first = store.begin();
    first.put_value("c", &again).unwrap();
    let held = "another transaction that is under way puts the uploaded value";
    assert_eq!(refuse(&store.begin(), &again), held);
    drop(first);
    store.transact(async |tx| tx.put_value("c", &again)).await.unwrap();
    check(&store, "c", &value).await;
    // One that is small is no upload at all.
    let small = upload(&store, &noise(1, INLINE)).await;
    for store in [&store, &other] {
        store.transact(async |tx| tx.put_value("small", &small)).await.unwrap();
    }
}

#[tokio::test]
async fn an_upload_that_is_discarded_is_deleted_unless_somebody_has_put_it() {
    let (provider, store) = counted(options()).await;
    let value = noise(1, 2 * CHUNK + 10);
    let split = |at: usize| vec![value.slice(..at), value.slice(at..)];
    let kept = store.upload_pieces(split(CHUNK - 1)).await.unwrap();
    store.transact(async |tx| tx.put_value("kept", &kept)).await.unwrap();
    let before = names(&provider, "value/").await;
    assert_eq!(before.len(), 3);

    let chunked = store.upload_pieces(split(10)).await.unwrap();
    let whole = store.upload_pieces(vec![value.slice(..CHUNK)]).await.unwrap();
    let small = store.upload_pieces(vec![value.slice(..INLINE)]).await.unwrap();
    assert_eq!(names(&provider, "value/").await.len(), 7);
    let first = store.begin();
    first.put_value("held", &whole).unwrap();
    store.discard([kept, chunked.clone(), whole.clone(), small]).await;
    // What one transaction is about to put is its own.
    assert_eq!(names(&provider, "value/").await.len(), 4);
    drop(first);
    store.discard([whole.clone(), whole.clone()]).await;
    assert_eq!(names(&provider, "value/").await, before);
    for gone in [chunked, whole] {
        let error = store.begin().put_value("a", &gone).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
        assert_eq!(error.to_string(), "the uploaded value was discarded: upload it again");
    }
    check(&store, "kept", &value).await;
}

#[tokio::test]
async fn a_transaction_that_fails_leaves_nothing_of_its_uploads() {
    let (provider, store) = counted(options()).await;
    let other = another(&provider).await;
    let value = noise(1, 3 * CHUNK);
    let fill = async |tx: &storage_txn::Transaction| {
        tx.put("many", value.clone()).unwrap();
        tx.put("one", value.slice(..CHUNK)).unwrap();
        let pieces = stream::iter(pieces(&value, &[1000]));
        tx.put_stream("streamed", pieces).await.unwrap();
    };
    let tx = store.begin();
    tx.get("x").await.unwrap();
    fill(&tx).await;
    other.transact(async |tx| tx.put("x", "1")).await.unwrap();
    assert_eq!(tx.commit().await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(names(&provider, "value/").await, []);

    let tx = store.begin();
    tx.require("x", None).unwrap();
    fill(&tx).await;
    assert_eq!(tx.commit().await.unwrap_err().kind(), ErrorKind::PreconditionFailed);
    assert_eq!(names(&provider, "value/").await, []);

    let gave_up = store.transact(async |tx| {
        fill(&tx).await;
        Err::<(), _>(storage_txn::Error::abort("no"))
    });
    assert_eq!(gave_up.await.unwrap_err().kind(), ErrorKind::Aborted);
    assert_eq!(names(&provider, "value/").await, []);

    let broken = [Ok(value.clone()), Err(std::io::Error::other("the pipe broke"))];
    let error = store.upload(stream::iter(broken)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted);
    assert_eq!(error.to_string(), "the upload was given up: the pipe broke");
    assert_eq!(names(&provider, "value/").await, []);

    // It is all there, and turns out to be another; also where it is too small to be stored by itself.
    for value in [&value, &value.slice(..1)] {
        let whole = stream::iter([Ok(value.clone())]);
        let proof = async { Err(std::io::Error::other("the sums differ")) };
        let error = store.upload_proven(whole, proof).await.unwrap_err();
        assert_eq!(error.to_string(), "the upload was given up: the sums differ");
        assert_eq!(names(&provider, "value/").await, []);
    }
    assert_eq!(names(&provider, "session/").await.len(), 1);
}

#[tokio::test]
async fn what_a_transaction_has_streamed_and_then_overwritten_is_deleted_when_it_commits() {
    let (provider, store) = counted(options()).await;
    let (first, second) = (noise(1, 3 * CHUNK), noise(2, 2 * CHUNK));
    store
        .transact(async |tx| {
            for value in [&first, &second] {
                tx.put_stream("k", stream::iter(pieces(value, &[1000]))).await?;
            }
            tx.put_stream("gone", stream::iter(pieces(&first, &[1000]))).await?;
            tx.copy("k", "copy").await?;
            tx.delete_range("f".."h")
        })
        .await
        .unwrap();
    assert_eq!(names(&provider, "value/").await.len(), 2);
    check(&store, "k", &second).await;
    check(&store, "copy", &second).await;
}

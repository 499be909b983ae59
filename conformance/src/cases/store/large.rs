//! Values too large for the log.

use std::sync::Arc;

use bytes::Bytes;
use storage_core::StorageProvider;
use storage_txn::{At, ErrorKind, Options};
use storage_wrappers::Counted;
use tokio::task::JoinSet;

use super::{Handle, expect, latest, place, put, stores, transact};
use crate::store::SnapshotHandle;
use crate::{CaseResult, Context, Failure, ensure};

const INLINE: usize = 1 << 10;
const CHUNK: usize = 100_000;
/// How many transactions are committed while others look.
const TRANSACTIONS: usize = 6;
/// How large the values of one of them are: small, together in one object, and in chunks.
const SIZES: [usize; 5] = [20, INLINE + 1, 5 * INLINE, 30 * INLINE, 2 * CHUNK + 5];
/// The most bytes that a copy may cost: an entry of the log.
const COPY_BYTES_MAX: u64 = 4 << 10;

fn options() -> Options {
    let mut options = Options::default();
    (options.inline_bytes_max, options.chunk_bytes) = (INLINE, CHUNK);
    options
}

/// A new store with small chunks, and another handle on it.
async fn two_handles(context: &Context) -> Result<[Handle; 2], Failure> {
    let at = place(context, context.handle().clone(), "s")?;
    let one = stores(context).init(at, options()).await?;
    let at = place(context, context.open().await?, "s")?;
    Ok([one, stores(context).open(at, options()).await?])
}

/// Bytes of which no two stretches are alike.
fn noise(seed: usize, bytes: usize) -> Bytes {
    let mut state = seed as u64 * 2 + 1;
    let next = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(next).collect()
}

/// The same in pieces of odd sizes.
fn pieces(value: &Bytes) -> Vec<Bytes> {
    let (mut rest, mut all) = (value.clone(), Vec::new());
    for size in [1, 999, 0, 70_001].into_iter().cycle() {
        if rest.is_empty() {
            break;
        }
        all.push(rest.split_to(rest.len().min(size)));
    }
    all
}

/// Says where two values differ, not what they are.
fn same(what: &str, expected: &[u8], seen: Option<&[u8]>) -> CaseResult {
    let Some(seen) = seen else {
        return Err(Failure::new(format!("{what}: expected {} bytes, saw none", expected.len())));
    };
    let differ = expected.iter().zip(seen).position(|(a, b)| a != b);
    ensure!(
        expected.len() == seen.len() && differ.is_none(),
        "{what}: expected {} bytes, saw {}, and the first that differs is {differ:?}",
        expected.len(),
        seen.len()
    );
    Ok(())
}

async fn check(snapshot: &Arc<dyn SnapshotHandle>, key: &str, value: &Bytes) -> CaseResult {
    let whole = snapshot.get_versioned(key).await?.map(|(_, value)| value);
    same(&format!("get {key}"), value, whole.as_deref())?;
    let stream = snapshot.get_stream(key).await?.map(|pieces| pieces.concat());
    same(&format!("get {key} as a stream"), value, stream.as_deref())
}

pub(super) async fn stream(context: &Context) -> CaseResult {
    let [one, two] = two_handles(context).await?;
    let mut versions = Vec::new();
    for size in [INLINE + 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17] {
        let value = noise(size, size);
        let tx = one.begin();
        let streamed = tx.put_stream("streamed", pieces(&value)).await?;
        ensure!(streamed == size as u64, "put_stream: expected {size} bytes, saw {streamed}");
        tx.put("put", value.clone())?;
        versions.push((tx.commit().await?.version, value.clone()));
        let now = latest(&two).await?;
        for key in ["streamed", "put"] {
            check(&now, key, &value).await?;
        }
        let ranges = [
            (0, 1),
            (size - 1, size),
            (65_535, 65_537),
            (CHUNK - 1, CHUNK + 1),
            (size / 3, size / 3 + 70_000),
            (size - 1, size + 10),
            (size, size + 10),
        ];
        for (start, end) in ranges {
            let found = now.get_range("streamed", start as u64..end as u64).await?;
            let expected = &value[start.min(size)..end.min(size)];
            same(&format!("{start}..{end} of {size} bytes"), expected, found.as_deref())?;
        }
    }
    let none = latest(&two).await?.get_range("nothing", 0..10).await?;
    ensure!(none.is_none(), "a range of a missing key: expected none, saw {none:?}");
    for (version, value) in versions {
        let then = two.snapshot(At::Version(version)).await?;
        check(&then, "streamed", &value)
            .await
            .map_err(|failure| failure.during(format!("version {version}")))?;
        let range = then.get_range("streamed", 10..20).await?;
        same(&format!("a range at version {version}"), &value[10..20], range.as_deref())?;
    }
    Ok(())
}

pub(super) async fn atomic(context: &Context) -> CaseResult {
    let [one, two] = two_handles(context).await?;
    let mut tasks: JoinSet<Result<(), Failure>> = JoinSet::new();
    let reader = two.clone();
    tasks.spawn(async move {
        for _ in 0..TRANSACTIONS {
            whole(&latest(&reader).await?).await?;
        }
        Ok(())
    });
    for round in 1..=TRANSACTIONS {
        let tx = one.begin();
        for (at, size) in SIZES.into_iter().enumerate() {
            tx.put(&format!("key/{at}"), noise(round, size))?;
        }
        let receipt = tx.commit().await?;
        // At once, by somebody else: what was acknowledged can be read.
        whole(&two.snapshot(At::Version(receipt.version)).await?).await?;
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure::new(error.to_string()))??;
    }
    Ok(())
}

/// All values are of one round, and all of each.
async fn whole(snapshot: &Arc<dyn SnapshotHandle>) -> CaseResult {
    let version = snapshot.version();
    let Some((_, first)) = snapshot.get_versioned("key/0").await? else {
        ensure!(version.0 == 0, "expected values at version {version}, saw none");
        return Ok(());
    };
    let round = (1..=TRANSACTIONS).find(|round| noise(*round, SIZES[0]) == first);
    let Some(round) = round else {
        return Err(Failure::new("a small value is not what any transaction has written"));
    };
    for (at, size) in SIZES.into_iter().enumerate() {
        let found = snapshot.get_versioned(&format!("key/{at}")).await?.map(|(_, value)| value);
        let what = format!("value {at} of transaction {round} at version {version}");
        same(&what, &noise(round, size), found.as_deref())?;
    }
    Ok(())
}

pub(super) async fn copy(context: &Context) -> CaseResult {
    let counter = Arc::new(Counted::new(place(context, context.handle().clone(), "s")?));
    let counted: Arc<dyn StorageProvider> = Arc::new(counter.clone());
    let one = stores(context).init(counted, options()).await?;
    let two = stores(context).open(place(context, context.open().await?, "s")?, options()).await?;
    let value = noise(7, 5 * CHUNK);
    transact(&one, async |tx| tx.put("from", value.clone())).await?;
    let before = counter.counts();
    let tx = one.begin();
    ensure!(tx.copy("from", "to").await?, "copy: expected a value to be copied, saw none");
    ensure!(!tx.copy("nothing", "to").await?, "copy of nothing: expected none, saw a value");
    tx.commit().await?;
    let cost = counter.counts().since(&before);
    let moved = cost.put.bytes_in + cost.get.bytes_out;
    ensure!(
        moved <= COPY_BYTES_MAX,
        "copy: expected at most {COPY_BYTES_MAX} bytes to be moved, saw {moved}"
    );
    // Each goes its own way.
    transact(&one, async |tx| tx.delete("from")).await?;
    check(&latest(&two).await?, "to", &value).await?;
    put(&one, "from", "something else").await?;
    check(&latest(&two).await?, "to", &value).await?;

    let tx = two.begin();
    tx.copy("to", "again").await?;
    put(&one, "to", "changed meanwhile").await?;
    expect("a copy of what has changed meanwhile", ErrorKind::Conflict, tx.commit().await)
}

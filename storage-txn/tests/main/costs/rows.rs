//! What a store costs, counted: the table of the design, a function for each row.
//!
//! Included by the test that holds us to it and by the benchmark `store_costs`, which prints it. Both run it with a clock
//! that stands still unless all wait, so times are exact multiples of what a request takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backend_memory::MemoryProvider;
use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use storage_core::{Prefix, StorageProvider, StorageProviderExt};
use storage_txn::{At, CollectOptions, Options, Result, Scan, Snapshot, Store};
use storage_wrappers::{Counted, FaultPlan, Faulty, TokioEnv};

/// How long a request takes.
const LATENCY: Duration = Duration::from_secs(1);
/// Transactions at once, which make one batch.
const BATCH: u64 = 64;
/// Keys of the store that is read.
const KEYS: u64 = 20_000;
/// Keys that are read of it, each in a block of its own.
const READS: u64 = 50;

/// A row of the table.
#[derive(Debug)]
pub(super) struct Row {
    /// What is counted.
    pub(super) what: &'static str,
    /// The most it may be.
    pub(super) most: f64,
    /// What it was.
    pub(super) counted: f64,
}

type Counter = Arc<Counted<Arc<dyn StorageProvider>>>;

/// Flushes and checkpoints are counted too: there are several in this.
pub(super) async fn puts_of_a_batch() -> Result<Row> {
    let (counter, store) = make(Arc::new(MemoryProvider::new())).await?;
    let rounds = 300;
    for round in 0..rounds {
        let all = (0..BATCH).map(|at| put(&store, round * BATCH + at, 1000));
        try_join_all(all).await?;
    }
    store.flush().await?;
    let puts = counter.counts().put.requests;
    let row = |counted| Row { what: "puts of a batch of 64 transactions", most: 1.1, counted };
    Ok(row(puts as f64 / rounds as f64))
}

/// One after the other, in latencies of a request.
pub(super) async fn round_trips_of_a_commit() -> Result<Row> {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    make(provider.clone()).await?;
    let (_, store) = open(slow(provider)).await?;
    let rounds = 10;
    let start = tokio::time::Instant::now();
    for round in 0..rounds {
        put(&store, round, 100).await?;
    }
    Ok(Row {
        what: "dependent round trips of a small commit",
        most: 1.01,
        counted: latencies(start) / rounds as f64,
    })
}

/// Of a store in segments: with nothing cached, with the index cached, with all cached; and of a key that is not there.
pub(super) async fn gets_of_a_point() -> Result<[Row; 4]> {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let (_, store) = make(provider.clone()).await?;
    load(&store).await?;
    let (counter, store) = open(provider).await?;
    let now = store.snapshot(At::Known).await?;
    let first = gets(&counter, &now, [key(KEYS / 2)]).await?;
    let some: Vec<_> = (0..READS).map(|at| key(at * KEYS / READS + 7)).collect();
    let indexed = gets(&counter, &now, some.clone()).await?;
    let warm = gets(&counter, &now, some).await?;
    let absent = gets(&counter, &now, (0..KEYS).map(|at| key(at) + "x")).await?;
    let row = |what, most, counted| Row { what, most, counted };
    Ok([
        row("gets of a point, all warm", 0.0, warm),
        row("gets of a point, index cached", 1.01, indexed),
        row("gets of a point, nothing cached", 5.0, first),
        row("gets of an absent key", 0.01, absent),
    ])
}

/// With nothing cached: of a store of which a part was changed twice, and which was only compacted in the background; and
/// after all of it was compacted. Now, and as it was at versions in between.
pub(super) async fn gets_of_a_cold_point() -> Result<[Row; 5]> {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let mut options = Options::default();
    options.flush_bytes = 100 << 10;
    let (_, store) = make_with(provider.clone(), options).await?;
    let mut versions = Vec::new();
    let (mut now, mut most, mut looks) = (0.0, 0.0_f64, 0);
    for (round, keys) in [KEYS, KEYS / 2, KEYS / 3].into_iter().enumerate() {
        for first in (0..keys / 100 * 100).step_by(100) {
            let put = store.transact(async |tx| {
                (first..first + 100).try_for_each(|at| {
                    tx.put(key(at * 7919 % KEYS), noise(at + round as u64 * KEYS, 100))
                })
            });
            let version = put.await?.version;
            if first % 2000 == 0 {
                versions.push(version);
                // The clock moves on when all that goes on in the background is done.
                tokio::time::sleep(Duration::from_secs(1)).await;
                let (mean, most_now) = cold(&provider, &[At::Known]).await?;
                (now, most, looks) = (now + mean, most.max(most_now), looks + 1);
            }
        }
    }
    let now = now / f64::from(looks);
    let past: Vec<_> = versions.into_iter().map(At::Version).collect();
    let (then, _) = cold(&provider, &past).await?;
    store.snapshot(At::Latest).await?;
    store.compact().await?;
    let (compacted, _) = cold(&provider, &[At::Known]).await?;
    let (_, most_then) = cold(&provider, &past).await?;
    let row = |what, most, counted| Row { what, most, counted };
    Ok([
        row("gets of a cold point, compacted in the background", 5.0, now),
        // One more where a filter lets an absent key through.
        row("the most of them", 6.0, most),
        row("gets of a cold point of the past", 5.0, then),
        row("gets of a cold point when all is compacted", 2.1, compacted),
        row("the most of those of the past then", 5.0, most_then),
    ])
}

/// How many gets each of several points takes that a handle reads first of all; and the most.
async fn cold(provider: &Arc<dyn StorageProvider>, versions: &[At]) -> Result<(f64, f64)> {
    let (mut total, mut most) = (0.0, 0.0_f64);
    for read in 0..READS {
        let (counter, store) = open(provider.clone()).await?;
        let then = store.snapshot(versions[read as usize % versions.len()]).await?;
        let counted = gets(&counter, &then, [key(read * KEYS / READS + 3)]).await?;
        (total, most) = (total + counted, most.max(counted));
    }
    Ok((total / READS as f64, most))
}

/// All keys, forward and backward, with nothing cached: blocks are read one at first, then two, then four.
pub(super) async fn gets_of_a_scan() -> Result<[Row; 3]> {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let (_, store) = make(provider.clone()).await?;
    load(&store).await?;
    let mut counted = Vec::new();
    for scan in [Scan::new(..), Scan::new(..).backward(), Scan::new(..).limit(10)] {
        let (counter, store) = open(provider.clone()).await?;
        let now = store.snapshot(At::Known).await?;
        let before = counter.counts();
        now.scan(&scan).await?.collect().await?;
        counted.push(counter.counts().since(&before).requests() as f64);
    }
    let row = |what, most, counted| Row { what, most, counted };
    Ok([
        row("gets of a scan of some 70 blocks, nothing cached", 10.0, counted[0]),
        row("the same backward", 10.0, counted[1]),
        row("gets of the first ten keys, nothing cached", 2.0, counted[2]),
    ])
}

/// A store that was just flushed; and the same with eight entries more, which are read in growing steps.
pub(super) async fn opening() -> Result<[Row; 3]> {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let (_, store) = make(provider.clone()).await?;
    load(&store).await?;
    let start = tokio::time::Instant::now();
    let (counter, _) = open(slow(provider.clone())).await?;
    let (requests, trips) = (counter.counts().requests() as f64, latencies(start));
    for at in 0..8 {
        put(&store, at, 100).await?;
    }
    let start = tokio::time::Instant::now();
    open(slow(provider)).await?;
    let trips_of_tail = latencies(start);
    let row = |what, most, counted| Row { what, most, counted };
    Ok([
        // Three, the entry that the checkpoint ends with, that of the flush itself, and the first that is missing. Reading
        // ahead asks for one more.
        row("requests of opening a flushed store", 7.0, requests),
        row("dependent round trips of that", 3.01, trips),
        row("dependent round trips with eight entries more", 6.01, trips_of_tail),
    ])
}

/// To the log, into segments, into checkpoints; of keys of 10 bytes and values of 100 that do not pack. Without
/// compactions, and with those in the background; as many as a store of 5 million keys has had with default options.
pub(super) async fn bytes_written() -> Result<[Row; 2]> {
    let row = |what, most, counted| Row { what, most, counted };
    let mut large = Options::default();
    let least = written_for_small_values(large.clone()).await?;
    large.flush_bytes = 32 << 10;
    let compacted = written_for_small_values(large).await?;
    Ok([
        row("bytes written for a byte of small values", 3.0, least),
        row("the same with compactions, 5 million keys", 6.0, compacted),
    ])
}

async fn written_for_small_values(options: Options) -> Result<f64> {
    let (counter, store) = make_with(Arc::new(MemoryProvider::new()), options).await?;
    // Ten keys in each transaction, in no order.
    for first in (0..KEYS).step_by(10 * BATCH as usize) {
        let all = (first..first + 10 * BATCH).step_by(10).map(|first| {
            store.transact(move |tx| async move {
                (first..first + 10).try_for_each(|at| {
                    let at = at * 7919 % KEYS;
                    tx.put(key(at), noise(at, 100))
                })
            })
        });
        try_join_all(all).await?;
    }
    store.flush().await?;
    // The clock moves on when all that goes on in the background is done.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let committed = KEYS.next_multiple_of(10 * BATCH) * (key(0).len() as u64 + 100);
    Ok(counter.counts().put.bytes_in as f64 / committed as f64)
}

/// In an object each or in many, streamed or not.
pub(super) async fn bytes_written_of_large_values() -> Result<Row> {
    let (counter, store) = make(Arc::new(MemoryProvider::new())).await?;
    let mut committed = 0;
    for (at, bytes) in [70_000, 100_000, 1 << 20, 20 << 20, 33 << 20].into_iter().enumerate() {
        put(&store, at as u64, bytes).await?;
        committed += bytes;
    }
    store.flush().await?;
    store.compact().await?;
    let written = counter.counts().put.bytes_in as f64;
    let row =
        |counted| Row { what: "bytes written for a byte of large values", most: 1.05, counted };
    Ok(row(written / committed as f64))
}

/// After everything was compacted and collected, with all history, and without. Values do not pack. Half of all keys are
/// changed, a tenth are deleted, and some values are large. Ten keys in each transaction, and one.
pub(super) async fn bytes_stored() -> Result<[Row; 4]> {
    let [ten, ten_packed] = bytes_stored_by(10).await?;
    let [one, one_packed] = bytes_stored_by(1).await?;
    let row = |what, most, counted| Row { what, most, counted };
    Ok([
        row("stored bytes over live ones and history", 1.2, ten),
        row("the same with history packed away", 1.2, ten_packed),
        row("stored bytes where each transaction has one key", 1.2, one),
        row("the same with history packed away", 1.2, one_packed),
    ])
}

async fn bytes_stored_by(keys_each: usize) -> Result<[f64; 2]> {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    let (_, store) = make(provider.clone()).await?;
    let bytes_of = |at: u64| if at.is_multiple_of(2000) { 100_000 } else { 100 };
    let item = |at: u64| (key(at).len() + bytes_of(at)) as u64;
    let (mut past, mut transactions, mut names) = (0, 0, 0);
    for (round, step) in [(0, 1), (1, 2), (2, 10)] {
        let keys: Vec<u64> = (0..KEYS).step_by(step).collect();
        for some in keys.chunks(keys_each * BATCH as usize) {
            let all = some.chunks(keys_each).map(|keys| {
                store.transact(move |tx| async move {
                    keys.iter().try_for_each(|at| match round {
                        2 => tx.delete(key(*at)),
                        _ => tx.put(key(*at), noise(at + round * KEYS, bytes_of(*at))),
                    })
                })
            });
            try_join_all(all).await?;
        }
        transactions += keys.chunks(keys_each).len() as u64;
        names += (keys.len() * key(0).len()) as u64;
        if round > 0 {
            past += keys.iter().map(|at| item(*at)).sum::<u64>();
        }
    }
    let live = (0..KEYS).filter(|at| !at.is_multiple_of(10)).map(item).sum::<u64>();
    store.compact().await?;
    let with_history = collected(&store, &provider).await?;
    store.pack(At::Latest).await?;
    let without = collected(&store, &provider).await?;
    // Of each transaction its id and version are known for ever, and before they are packed away, its time and its keys.
    let ids = 24 * transactions;
    let records = 8 * transactions + names;
    Ok([with_history / (live + past + ids + records) as f64, without / (live + ids) as f64])
}

/// How many bytes are stored when all is gone that is not needed.
async fn collected(store: &Store, provider: &Arc<dyn StorageProvider>) -> Result<f64> {
    let mut options = CollectOptions::default();
    options.grace = Duration::ZERO;
    // What a collection writes is collected by the next.
    for _ in 0..2 {
        store.flush().await?;
        store.collect(&options).await?;
    }
    let all: Vec<_> = provider.list_all(&Prefix::all()).try_collect().await.expect("a list");
    Ok(all.iter().map(|listed| listed.size).sum::<u64>() as f64)
}

/// Of an hour in which nobody does anything.
pub(super) async fn requests_when_idle() -> Result<Row> {
    let (counter, store) = make(Arc::new(MemoryProvider::new())).await?;
    put(&store, 1, 100).await?;
    store.flush().await?;
    let before = counter.counts();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let counted = counter.counts().since(&before).requests() as f64;
    Ok(Row { what: "requests of an idle store", most: 0.0, counted })
}

/// Of two handles, as two processes would have them, that write different keys at the same time.
pub(super) async fn aborts_without_a_conflict() -> Result<Row> {
    let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
    make(provider.clone()).await?;
    let (_, one) = open(slow(provider.clone())).await?;
    let (_, two) = open(slow(provider)).await?;
    let runs = &AtomicU64::new(0);
    let transactions = 200;
    let all = (0..transactions).map(|at| {
        let store = if at % 2 == 0 { one.clone() } else { two.clone() };
        async move {
            let commit = store.transact(async |tx| {
                runs.fetch_add(1, Ordering::Relaxed);
                tx.get(key(at)).await?;
                tx.put(key(at), vec![1; 100])
            });
            commit.await
        }
    });
    try_join_all(all).await?;
    let aborts = runs.load(Ordering::Relaxed) - transactions;
    Ok(Row { what: "aborts without a conflict", most: 0.0, counted: aborts as f64 })
}

async fn make(provider: Arc<dyn StorageProvider>) -> Result<(Counter, Store)> {
    make_with(provider, Options::default()).await
}

async fn make_with(
    provider: Arc<dyn StorageProvider>,
    options: Options,
) -> Result<(Counter, Store)> {
    let counter = Arc::new(Counted::new(provider));
    let store = Store::init(counter.clone(), Arc::new(TokioEnv::new()), options).await?;
    Ok((counter, store))
}

async fn open(provider: Arc<dyn StorageProvider>) -> Result<(Counter, Store)> {
    let counter = Arc::new(Counted::new(provider));
    let store = Store::open(counter.clone(), Arc::new(TokioEnv::new()), Options::default()).await?;
    Ok((counter, store))
}

fn slow(provider: Arc<dyn StorageProvider>) -> Arc<dyn StorageProvider> {
    let latency = LATENCY..LATENCY + Duration::from_nanos(1);
    let plan = FaultPlan { latency, ..FaultPlan::none(0) };
    let env = Arc::new(TokioEnv::new());
    Arc::new(Faulty::new(provider, plan, env).expect("a plan without chances is sound"))
}

async fn load(store: &Store) -> Result<()> {
    for first in (0..KEYS).step_by(1000) {
        let all = first..first + 1000;
        let put = store.transact(async |tx| {
            all.clone().try_for_each(|at| tx.put(key(at), vec![at as u8; 100]))
        });
        put.await?;
    }
    store.flush().await
}

async fn put(store: &Store, at: u64, bytes: usize) -> Result<()> {
    store.transact(async |tx| tx.put(key(at), vec![at as u8; bytes])).await.map(drop)
}

/// How many gets a read takes of these keys.
async fn gets(
    counter: &Counter,
    now: &Snapshot,
    keys: impl IntoIterator<Item = String>,
) -> Result<f64> {
    let (before, mut reads) = (counter.counts(), 0_u64);
    for key in keys {
        now.get(key).await?;
        reads += 1;
    }
    Ok(counter.counts().since(&before).requests() as f64 / reads as f64)
}

fn latencies(since: tokio::time::Instant) -> f64 {
    since.elapsed().as_secs_f64() / LATENCY.as_secs_f64()
}

fn key(at: u64) -> String {
    format!("key/{at:06}")
}

/// Bytes that do not pack.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).skip(8).take(bytes).collect()
}

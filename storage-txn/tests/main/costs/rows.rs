//! What a store costs, counted: the table of the design, a function for each row.
//!
//! Included by the test that holds us to it and by the benchmark `store_costs`, which prints it. Both run it with a clock
//! that stands still unless all wait, so times are exact multiples of what a request takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backend_memory::MemoryProvider;
use futures_util::future::try_join_all;
use storage_core::StorageProvider;
use storage_txn::{At, Options, Result, Snapshot, Store};
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

/// To the log, into segments, into checkpoints; of keys of 10 bytes and values of 100.
pub(super) async fn bytes_written() -> Result<Row> {
    let (counter, store) = make(Arc::new(MemoryProvider::new())).await?;
    for first in (0..KEYS).step_by(BATCH as usize) {
        try_join_all((first..first + BATCH).map(|at| put(&store, at, 100))).await?;
    }
    store.flush().await?;
    let committed = KEYS * (key(0).len() as u64 + 100);
    let written = counter.counts().put.bytes_in;
    let row =
        |counted| Row { what: "bytes written for a byte of small values", most: 5.0, counted };
    Ok(row(written as f64 / committed as f64))
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
    let counter = Arc::new(Counted::new(provider));
    let store = Store::init(counter.clone(), Arc::new(TokioEnv::new()), Options::default()).await?;
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

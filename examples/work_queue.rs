//! How do workers share a queue without doing anything twice? Taking a job is a transaction that removes it.

use std::sync::Arc;

use anyhow::{Result, ensure};
use backend_memory::MemoryProvider;
use storage_txn::{At, KeyRange, Merge, Options, Scan, Store};
use storage_wrappers::TokioEnv;

const JOBS: i64 = 40;

/// Takes the first job and does it; `None` when there is none left.
async fn take(store: &Store, worker: u32) -> storage_txn::Result<Option<String>> {
    let taking = store.transact(async |tx| {
        let first = Scan::new(KeyRange::prefix("job/")).limit(1);
        let Some(job) = tx.scan(&first).await?.pop() else { return Ok(None) };
        tx.delete(&job.key)?;
        // Done in the same step, so a worker that dies here has done all of it or nothing.
        tx.merge("done", Merge::Add(1))?;
        tx.put([b"by/", &job.key[..]].concat(), worker.to_string())?;
        Ok(Some(String::from_utf8_lossy(&job.key).into_owned()))
    });
    Ok(taking.await?.value)
}

#[tokio::main]
async fn main() -> Result<()> {
    let provider = Arc::new(MemoryProvider::new());
    let store = Store::init(provider, Arc::new(TokioEnv::new()), Options::default()).await?;
    store
        .transact(async |tx| (0..JOBS).try_for_each(|job| tx.put(format!("job/{job:04}"), "")))
        .await?;

    let workers = (0..4).map(|worker| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut taken = 0;
            while take(&store, worker).await?.is_some() {
                taken += 1;
            }
            Ok::<i64, storage_txn::Error>(taken)
        })
    });
    let mut taken = 0;
    for worker in workers.collect::<Vec<_>>() {
        taken += worker.await??;
    }
    let done = store.snapshot(At::Latest).await?.get("done").await?.unwrap_or_default();
    ensure!(done[..] == JOBS.to_le_bytes() && taken == JOBS);
    println!("four workers took {taken} jobs, each of them once");
    Ok(())
}

//! All of a transaction or nothing of it.

use std::sync::Arc;

use bytes::Bytes;
use storage_txn::{At, Result, Scan};
use tokio::task::JoinSet;

use super::{Handle, handles};
use crate::store::SnapshotHandle;
use crate::{CaseResult, Context, Failure, ensure};

/// How many keys each transaction writes.
const KEYS: usize = 30;
/// How many transactions each writer commits.
const TRANSACTIONS: usize = 6;
/// How many snapshots each reader takes.
const SNAPSHOTS: usize = 12;

pub(super) async fn whole_or_not_at_all(context: &Context) -> CaseResult {
    let handles: [Handle; 3] = handles(context).await?;
    let large = context.at_most(16 << 10);
    let mut tasks: JoinSet<Result<(), Failure>> = JoinSet::new();
    for (writer, store) in handles.iter().enumerate().take(2) {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0..TRANSACTIONS {
                write(&store, format!("writer {writer} round {round}"), large).await?;
            }
            Ok(())
        });
    }
    for (reader, store) in handles.iter().enumerate() {
        let store = store.clone();
        tasks.spawn(async move {
            for turn in 0..SNAPSHOTS {
                let at = if turn % 2 == 0 { At::Latest } else { At::Known };
                whole(store.snapshot(at).await?, &format!("handle {reader}, {at:?}")).await?;
            }
            Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure::new(error.to_string()))??;
    }
    let last = handles[2].snapshot(At::Latest).await?;
    let versions = last.version().0;
    for version in 0..=versions {
        let snapshot = handles[2].snapshot(At::Version(storage_txn::Version(version))).await?;
        whole(snapshot, &format!("version {version}")).await?;
    }
    Ok(())
}

/// All keys get the same stamp; one of them much of it.
async fn write(store: &Handle, stamp: String, large: usize) -> Result<()> {
    let tx = store.begin();
    for key in 0..KEYS {
        let repeats = if key == KEYS / 2 { (large / stamp.len()).max(1) } else { 1 };
        tx.put(&format!("key/{key:03}"), Bytes::from(stamp.repeat(repeats)))?;
    }
    tx.commit().await.map(drop)
}

async fn whole(snapshot: Arc<dyn SnapshotHandle>, what: &str) -> CaseResult {
    let items = snapshot.scan(&Scan::new("key/".."key0")).await?;
    let version = snapshot.version();
    let Some(first) = items.first() else {
        ensure!(version.0 == 0, "{what}: expected {KEYS} keys at version {version}, saw none");
        return Ok(());
    };
    ensure!(
        items.len() == KEYS,
        "{what}: expected {KEYS} keys at version {version}, saw {}",
        items.len()
    );
    for item in &items {
        ensure!(
            item.value.starts_with(&first.value) && item.version == first.version,
            "{what}: expected all keys to be of one transaction, saw {:?} beside {:?}",
            item,
            first
        );
    }
    Ok(())
}

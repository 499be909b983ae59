//! The order of time, across handles.

use storage_txn::{ErrorKind, Version};

use super::{Handle, handles, latest, put, read, seen};
use crate::{CaseResult, Context, ensure};

/// How many commits are looked for.
const ROUNDS: usize = 9;

pub(super) async fn real_time(context: &Context) -> CaseResult {
    let handles: [Handle; 3] = handles(context).await?;
    let mut newest = [Version::ZERO; 3];
    for round in 0..ROUNDS {
        let value = round.to_string();
        let writer = round % handles.len();
        let receipt = put(&handles[writer], "x", &value).await?;
        for (number, store) in handles.iter().enumerate() {
            let what =
                format!("handle {number}, after handle {writer} was told {}", receipt.version);
            let snapshot = latest(store).await?;
            ensure!(
                snapshot.version() >= receipt.version.max(newest[number]),
                "{what}: expected no older version, saw {}",
                snapshot.version()
            );
            newest[number] = snapshot.version();
            let x = seen(&snapshot, "x").await?;
            ensure!(x == value, "{what}: expected x = {value}, saw {x}");
        }
        // One that only reads, on a handle that has not looked since.
        let receipt = put(&handles[writer], "y", &value).await?;
        let store = &handles[(writer + 1) % handles.len()];
        let mut answer = None;
        // What it begins with may be outdated; then it must not commit.
        for _ in 0..3 {
            let reader = store.begin();
            let y = read(&reader, "y").await?;
            match reader.commit().await {
                Ok(receipt) => {
                    answer = Some((y, receipt.version));
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        let (y, version) = answer.unwrap_or_default();
        ensure!(
            y == value && version >= receipt.version,
            "a transaction that read after version {} was acknowledged: expected y = {value}, saw {y:?} at \
             version {version}",
            receipt.version
        );
    }
    Ok(())
}

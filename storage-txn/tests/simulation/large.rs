//! Transactions on files: large values put, copied, read in parts, undone.

use std::ops::Range;
use std::sync::Mutex;

use bytes::Bytes;
use conformance::serializability::Status;
use futures_util::{Stream, stream};
use storage_txn::{Merge, Receipt, Result, Transaction};

use crate::files::{FILES, Step, Told, bytes};
use crate::workload::{Client, lock};

impl Client<'_> {
    /// A transaction on files.
    pub(super) async fn use_files(&self) -> Status {
        if self.node.choose(4) == 3 {
            self.upload().await;
        }
        self.dawdle().await;
        let attempts = Mutex::new(Vec::new());
        let begin = |tx: &Transaction| {
            self.notes.files(|files| files.begin(tx.id()));
            lock(&attempts).push(tx.id());
        };
        let result: Result<Receipt> = if self.node.choose(2) == 0 {
            self.store
                .transact(async |tx| {
                    begin(&tx);
                    self.steps(&tx).await
                })
                .await
        } else {
            let tx = self.store.begin();
            begin(&tx);
            match self.steps(&tx).await {
                Ok(()) => tx.commit().await,
                Err(error) => Err(error),
            }
        };
        let last = result.as_ref().ok().map(|receipt| receipt.transaction_id);
        let (status, version) = self.ended(result.map(|receipt| receipt.version)).await;
        let attempts = std::mem::take(&mut *lock(&attempts));
        let told = match (status, version) {
            (Status::Unknown, _) => return status,
            (Status::Ok, Some(version)) => Told::Committed(version),
            _ => Told::Failed,
        };
        // Whichever was committed, it was the last; those before were in conflict.
        let last = last.or(attempts.last().copied());
        self.notes.files(|files| {
            for id in attempts {
                files.end(id, if Some(id) == last { told } else { Told::Failed });
            }
        });
        status
    }

    /// Uploads a value, to be put later or never.
    async fn upload(&self) {
        let value = bytes(self.notes.value());
        match self.store.upload(pieces(&value)).await {
            Ok(upload) => *lock(&self.held.upload) = Some((upload, value)),
            Err(error) => self.may_fail(&error, None, false),
        }
    }

    async fn steps(&self, tx: &Transaction) -> Result<()> {
        let note = |step| self.notes.files(|files| files.step(tx.id(), step));
        for _ in 0..=self.node.choose(3) {
            let file = FILES[self.node.choose(FILES.len() as u32) as usize];
            match self.node.choose(9) {
                0 => {
                    let value = bytes(self.notes.value());
                    note(Step::Put { file, value: value.clone() });
                    tx.put(file, value)?;
                }
                1 => {
                    let value = bytes(self.notes.value());
                    note(Step::Put { file, value: value.clone() });
                    tx.put_stream(file, pieces(&value)).await?;
                }
                2 => {
                    let upload = lock(&self.held.upload).clone();
                    let Some((upload, value)) = upload else { continue };
                    tx.put_value(file, &upload)?;
                    note(Step::Put { file, value });
                }
                3 => {
                    let to = FILES[self.node.choose(FILES.len() as u32) as usize];
                    let found = tx.copy(file, to).await?;
                    note(Step::Copy { from: file, to, found });
                }
                4 => {
                    note(Step::Delete { file });
                    tx.delete(file)?;
                }
                5 => {
                    let value = Bytes::from_static(b"+");
                    note(Step::Append { file, value: value.clone() });
                    tx.merge(file, Merge::Append(value))?;
                }
                6 => {
                    let found = tx.get(file).await?;
                    note(Step::Read { file, range: 0..usize::MAX, found });
                }
                7 => {
                    let start = self.node.choose(20) as usize;
                    let range: Range<usize> = start..start + 7;
                    let found = tx.get_range(file, start as u64..range.end as u64).await?;
                    note(Step::Read { file, range, found });
                }
                _ => {
                    let known = self.notes.files(|files| files.committed().to_vec());
                    if known.is_empty() {
                        continue;
                    }
                    let version = known[self.node.choose(known.len() as u32) as usize];
                    if version > tx.read_version() {
                        continue;
                    }
                    tx.undo(version).await?;
                    note(Step::Undo(version));
                }
            }
        }
        Ok(())
    }
}

/// A value in the pieces in which it may come.
fn pieces(value: &Bytes) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
    let pieces: Vec<_> = value.chunks(5).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

//! Transactions on files: large values put, copied, read in parts, undone.

use std::ops::Range;
use std::sync::Mutex;

use bytes::Bytes;
use conformance::serializability::Status;
use futures_util::{Stream, stream};
use storage_txn::{Merge, Receipt, Result, Transaction};

use crate::files::{FILES, Step, Told, bytes};
use crate::workload::{Client, lock};

/// A way to use a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Put,
    PutStream,
    /// What the client has uploaded, whether it was put before or not.
    PutUpload,
    Copy,
    Delete,
    Append,
    Read,
    ReadPart,
    Undo,
}

impl Use {
    const ALL: [Self; 9] = [
        Self::Put,
        Self::PutStream,
        Self::PutUpload,
        Self::Copy,
        Self::Delete,
        Self::Append,
        Self::Read,
        Self::ReadPart,
        Self::Undo,
    ];
}

impl Client<'_> {
    /// A transaction on files.
    pub(super) async fn use_files(&self) -> Status {
        if self.node.choose(4) == 3 {
            self.upload().await;
        }
        self.dawdle().await;
        self.use_files_in(&Use::ALL, 3).await
    }

    /// A transaction that uses files in up to so many of these ways.
    pub(super) async fn use_files_in(&self, ways: &[Use], most: u32) -> Status {
        let attempts = Mutex::new(Vec::new());
        let begin = |tx: &Transaction| {
            self.notes.files(|files| files.begin(tx.id()));
            lock(&attempts).push(tx.id());
        };
        let result: Result<Receipt> = if self.node.choose(2) == 0 {
            self.store
                .transact(async |tx| {
                    begin(&tx);
                    self.steps(&tx, ways, most).await
                })
                .await
        } else {
            let tx = self.store.begin();
            begin(&tx);
            match self.steps(&tx, ways, most).await {
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
    pub(super) async fn upload(&self) {
        let value = bytes(self.notes.value());
        match self.store.upload(pieces(&value)).await {
            Ok(upload) => *lock(&self.held.upload) = Some((upload, value)),
            Err(error) => self.may_fail(&error, None, false),
        }
    }

    async fn steps(&self, tx: &Transaction, ways: &[Use], most: u32) -> Result<()> {
        let note = |step| self.notes.files(|files| files.step(tx.id(), step));
        for _ in 0..=self.node.choose(most) {
            let file = FILES[self.node.choose(FILES.len() as u32) as usize];
            match ways[self.node.choose(ways.len() as u32) as usize] {
                Use::Put => {
                    let value = bytes(self.notes.value());
                    note(Step::Put { file, value: value.clone() });
                    tx.put(file, value)?;
                }
                Use::PutStream => {
                    let value = bytes(self.notes.value());
                    note(Step::Put { file, value: value.clone() });
                    tx.put_stream(file, pieces(&value)).await?;
                }
                Use::PutUpload => {
                    let upload = lock(&self.held.upload).clone();
                    let Some((upload, value)) = upload else { continue };
                    tx.put_value(file, &upload)?;
                    note(Step::Put { file, value });
                }
                Use::Copy => {
                    let to = FILES[self.node.choose(FILES.len() as u32) as usize];
                    let found = tx.copy(file, to).await?;
                    note(Step::Copy { from: file, to, found });
                }
                Use::Delete => {
                    note(Step::Delete { file });
                    tx.delete(file)?;
                }
                Use::Append => {
                    let value = Bytes::from_static(b"+");
                    note(Step::Append { file, value: value.clone() });
                    tx.merge(file, Merge::Append(value))?;
                }
                Use::Read => {
                    let found = tx.get(file).await?;
                    note(Step::Read { file, range: 0..usize::MAX, found });
                }
                Use::ReadPart => {
                    let start = self.node.choose(20) as usize;
                    let range: Range<usize> = start..start + 7;
                    let found = tx.get_range(file, start as u64..range.end as u64).await?;
                    note(Step::Read { file, range, found });
                }
                Use::Undo => {
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

//! Transactions that are no transactions.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use conformance::store::{SnapshotHandle, TransactionHandle};
use storage_txn::{
    At, ErrorKind as Kind, Item, KeyRange, Merge, Receipt, Result, Scan, TransactionId, Version,
};

use super::super::prelude::{Bytes, Error, ErrorKind, async_trait};
use super::Mistake::*;
use super::snapshot::LINK;
use super::{Honest, Mistake, Wrong};

pub(super) struct WrongTransaction {
    inner: Arc<dyn TransactionHandle>,
    honest: Honest,
    wrong: Wrong,
    done: Mutex<Done>,
}

/// What was asked of a transaction so far.
#[derive(Default)]
struct Done {
    writes: Vec<Write>,
    required: Vec<(String, Option<Version>)>,
    scans: Vec<(Scan, Vec<Item>)>,
}

#[derive(Clone)]
enum Write {
    Put(String, Bytes),
    Delete(String),
    Merge(String, Merge),
    DeleteRange(KeyRange),
}

impl Write {
    fn key(&self) -> Option<&str> {
        match self {
            Self::Put(key, _) | Self::Delete(key) | Self::Merge(key, _) => Some(key),
            Self::DeleteRange(_) => None,
        }
    }

    fn apply(self, tx: &Arc<dyn TransactionHandle>) -> Result<()> {
        match self {
            Self::Put(key, value) => tx.put(&key, value),
            Self::Delete(key) => tx.delete(&key),
            Self::Merge(key, merge) => tx.merge(&key, merge),
            Self::DeleteRange(range) => tx.delete_range(range),
        }
    }
}

impl WrongTransaction {
    pub(super) fn new(honest: Honest, wrong: Wrong) -> Self {
        Self { inner: honest.begin(), honest, wrong, done: Mutex::default() }
    }

    fn mistake(&self) -> Mistake {
        self.wrong.mistake
    }

    fn write(&self, write: Write) -> Result<()> {
        self.done.lock().unwrap().writes.push(write.clone());
        let waits = match (self.mistake(), &write) {
            (CommitsInTwo | CommitsKeyByKey, _) => true,
            (MergesReadAndPut, Write::Merge(_, Merge::Add(_))) => true,
            (DeleteRangeFindsKeys, Write::DeleteRange(_)) => true,
            (ShowsPending, Write::Put(key, value)) => {
                self.wrong.shared.pending.lock().unwrap().insert(key.clone(), value.clone());
                false
            }
            _ => false,
        };
        if waits { Ok(()) } else { write.apply(&self.inner) }
    }

    /// The store as this transaction sees it, without a trace.
    async fn then(&self) -> Result<Arc<dyn SnapshotHandle>> {
        self.honest.snapshot(At::Version(self.inner.read_version())).await
    }

    fn has_written(&self, key: &str) -> bool {
        self.done.lock().unwrap().writes.iter().any(|write| write.key() == Some(key))
    }

    async fn before_the_commit(&self, writes: &[Write]) -> Result<()> {
        match self.mistake() {
            OnlyWritesConflict | BlindWritesRead => {
                for key in writes.iter().filter_map(Write::key) {
                    // On a transaction of its own keys a put would hide the read: a scan does not.
                    self.inner.scan(&Scan::new(key..=key)).await?;
                }
            }
            AnyChangeConflicts => drop(self.inner.scan(&Scan::new(..)).await?),
            MergesReadAndPut => {
                for write in writes {
                    if let Write::Merge(key, Merge::Add(number)) = write {
                        let now = self.honest.snapshot(At::Known).await?;
                        let found = now.get_versioned(key).await?.map(|(_, value)| value);
                        let bytes = found.and_then(|value| value[..].try_into().ok());
                        let sum = bytes.map_or(0, i64::from_le_bytes) + number;
                        self.inner.put(key, Bytes::copy_from_slice(&sum.to_le_bytes()))?;
                    }
                }
            }
            DeleteRangeFindsKeys => {
                for write in writes {
                    if let Write::DeleteRange(range) = write {
                        for item in self.then().await?.scan(&Scan::new(range.clone())).await? {
                            self.inner.delete(&String::from_utf8_lossy(&item.key))?;
                        }
                    }
                }
            }
            RequiredEarly => {
                let required = std::mem::take(&mut self.done.lock().unwrap().required);
                for (key, version) in required {
                    let found = self.then().await?.get_versioned(&key).await?;
                    if found.map(|(version, _)| version) != version {
                        self.inner.require(&key, version)?;
                    }
                }
            }
            DeletesLeaveNoTrace => {
                let scans = std::mem::take(&mut self.done.lock().unwrap().scans);
                for (scan, before) in scans {
                    let now = self.honest.snapshot(At::Latest).await?.scan(&scan).await?;
                    if now.iter().any(|item| !before.contains(item)) {
                        self.inner.scan(&scan).await?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A new transaction with these writes, which has read nothing.
    async fn commit_apart(&self, writes: &[Write]) -> Result<Receipt> {
        let tx = self.honest.begin();
        writes.iter().try_for_each(|write| write.clone().apply(&tx))?;
        tx.commit().await
    }

    async fn commit_now(&self, writes: &[Write]) -> Result<Receipt> {
        match self.mistake() {
            CommitsInTwo if writes.len() > 1 => {
                let (first, second) = writes.split_at(writes.len() / 2);
                self.commit_apart(first).await?;
                self.commit_apart(second).await
            }
            CommitsInTwo | CommitsKeyByKey => {
                let mut last = None;
                for write in writes {
                    last = Some(self.commit_apart(std::slice::from_ref(write)).await?);
                }
                match last {
                    Some(receipt) => Ok(receipt),
                    None => self.inner.commit().await,
                }
            }
            WriteBehind => {
                let batch = {
                    let mut waiting = self.wrong.shared.waiting.lock().unwrap();
                    waiting.push(self.inner.clone());
                    if waiting.len() == 5 { std::mem::take(&mut *waiting) } else { Vec::new() }
                };
                for tx in batch {
                    tx.commit().await?;
                }
                let (version, time) = (self.inner.read_version(), Duration::ZERO);
                Ok(Receipt { value: (), version, transaction_id: self.inner.id(), time })
            }
            UnknownIsTriedAgain => {
                let mut answer = self.inner.commit().await;
                for _ in 0..20 {
                    match &answer {
                        Err(error) if matches!(error.kind(), Kind::CommitUnknown(_)) => {
                            answer = self.commit_apart(writes).await;
                        }
                        _ => break,
                    }
                }
                answer
            }
            UnknownIsFailure => match self.inner.commit().await {
                Err(error) if matches!(error.kind(), Kind::CommitUnknown(_)) => {
                    Err(Error::not_applied(ErrorKind::Unavailable, "the commit failed").into())
                }
                answer => answer,
            },
            CommitsOneAtATime => {
                let _turn = self.wrong.shared.turns.lock().await;
                self.inner.commit().await
            }
            LooksAfterItWrites => {
                let receipt = self.inner.commit().await?;
                self.honest.snapshot(At::Latest).await?;
                Ok(receipt)
            }
            _ => self.inner.commit().await,
        }
    }
}

#[async_trait]
impl TransactionHandle for WrongTransaction {
    fn read_version(&self) -> Version {
        self.inner.read_version()
    }

    fn id(&self) -> TransactionId {
        self.inner.id()
    }

    fn set_id(&self, id: TransactionId) {
        if self.mistake() != IdsAreIgnored {
            self.inner.set_id(id);
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let snapshot = match self.mistake() {
            _ if self.has_written(key) => None,
            ReadsMove => Some(self.honest.snapshot(At::Known).await?),
            ReadsAreNotTracked | OnlyWritesConflict => Some(self.then().await?),
            _ => None,
        };
        match snapshot {
            Some(snapshot) => Ok(snapshot.get_versioned(key).await?.map(|(_, value)| value)),
            None => self.inner.get(key).await,
        }
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Item>> {
        match self.mistake() {
            EmptyScansAreNotTracked => {
                let found = self.then().await?.scan(scan).await?;
                if found.is_empty() { Ok(found) } else { self.inner.scan(scan).await }
            }
            ScansTrackKeys => {
                let found = self.then().await?.scan(scan).await?;
                for item in &found {
                    self.inner.get(&String::from_utf8_lossy(&item.key)).await?;
                }
                Ok(found)
            }
            DeletesLeaveNoTrace => {
                let found = self.then().await?.scan(scan).await?;
                self.done.lock().unwrap().scans.push((scan.clone(), found.clone()));
                Ok(found)
            }
            _ => self.inner.scan(scan).await,
        }
    }

    fn put(&self, key: &str, value: Bytes) -> Result<()> {
        self.write(Write::Put(key.to_owned(), value))
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.write(Write::Delete(key.to_owned()))
    }

    fn merge(&self, key: &str, merge: Merge) -> Result<()> {
        self.write(Write::Merge(key.to_owned(), merge))
    }

    fn delete_range(&self, range: KeyRange) -> Result<()> {
        self.write(Write::DeleteRange(range))
    }

    fn require(&self, key: &str, version: Option<Version>) -> Result<()> {
        if self.mistake() == RequiredEarly {
            self.done.lock().unwrap().required.push((key.to_owned(), version));
            return Ok(());
        }
        self.inner.require(key, version)
    }

    async fn put_stream(&self, key: &str, mut pieces: Vec<Bytes>) -> Result<u64> {
        let size = pieces.iter().map(|piece| piece.len() as u64).sum();
        if self.mistake() == StreamsAreCut {
            pieces.pop();
        }
        self.inner.put_stream(key, pieces).await?;
        Ok(size)
    }

    async fn copy(&self, from: &str, to: &str) -> Result<bool> {
        if self.mistake() != CopyIsALink {
            return self.inner.copy(from, to).await;
        }
        let found = self.inner.get(from).await?.is_some();
        if found {
            self.inner.put(to, [LINK, from.as_bytes()].concat().into())?;
        }
        Ok(found)
    }

    async fn commit(&self) -> Result<Receipt> {
        let writes = std::mem::take(&mut self.done.lock().unwrap().writes);
        self.before_the_commit(&writes).await?;
        let answer = self.commit_now(&writes).await;
        if let Ok(receipt) = &answer {
            let mut committed = self.wrong.shared.committed.lock().unwrap();
            committed.insert(receipt.transaction_id, receipt.version);
        }
        answer
    }
}

//! Reports of clients that shares are corrupt.

use storage_txn::{At, Scan};

use super::{Kind, Shares, put, refused};
use crate::StorageIndex;
use crate::error::{Error, Refusal, Result};
use crate::record::{Corruption, decode};

/// A report that a share is corrupt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advisory {
    /// When it came, in seconds since the Unix epoch.
    pub time: u64,
    /// Which kind of file it is about.
    pub kind: Kind,
    /// Which file.
    pub index: StorageIndex,
    /// Which share.
    pub number: u64,
    /// What the client says.
    pub reason: String,
}

impl Shares {
    /// Keeps a report that a share is corrupt.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] when there is no such share; what the store says.
    pub async fn advise(
        &self,
        kind: Kind,
        (index, number): (StorageIndex, u64),
        reason: String,
    ) -> Result<()> {
        let record = Corruption {
            index: bytes::Bytes::copy_from_slice(&index.0),
            number,
            mutable: kind == Kind::Mutable,
            reason,
        };
        if self.reader(kind, index, number).await?.is_none() {
            return refused(Refusal::NotFound);
        }
        tracing::warn!(%index, number, ?kind, reason = record.reason, "a client says that a share is corrupt");
        let key = self.layout().advisory(self.now(), self.core.env.random());
        self.transact(|transaction| {
            let (key, record) = (&key, &record);
            async move { put(&transaction, key, record) }
        })
        .await
    }

    /// The reports there are, oldest first.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn advisories(&self) -> Result<Vec<Advisory>> {
        let snapshot = self.core.store.snapshot(At::Latest).await?;
        let mut items = snapshot.scan(&Scan::new(self.layout().advisories())).await?;
        let mut found = Vec::new();
        while let Some(item) = items.next().await? {
            let damaged = || Error::Damaged("a report of corruption cannot be read".into());
            let (rest, _) = item.key.split_last_chunk::<8>().ok_or_else(damaged)?;
            let (_, time) = rest.split_last_chunk::<8>().ok_or_else(damaged)?;
            let record: Corruption = decode(item.value)?;
            found.push(Advisory {
                time: u64::from_be_bytes(*time),
                kind: if record.mutable { Kind::Mutable } else { Kind::Immutable },
                index: StorageIndex(record.index.as_ref().try_into().map_err(|_| damaged())?),
                number: record.number,
                reason: record.reason,
            });
        }
        Ok(found)
    }
}

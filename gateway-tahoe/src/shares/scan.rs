//! All shares and slots of a server, one after the other.

use futures_util::Stream;
use futures_util::stream;
use storage_txn::{At, Scan};

use super::Shares;
use crate::StorageIndex;
use crate::error::{Error, Result};
use crate::record::{Lease, Share, Slot, decode};

/// An immutable share, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareInfo {
    /// Which file it is of.
    pub index: StorageIndex,
    /// Its number.
    pub number: u64,
    /// How many bytes it has.
    pub size: u64,
    /// Its leases.
    pub leases: Vec<Lease>,
}

/// A slot, without the bytes of its shares.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotInfo {
    /// Which file it is.
    pub index: StorageIndex,
    /// What lets write to it.
    pub write_enabler: [u8; 32],
    /// Its shares.
    pub shares: Vec<ShareInfo>,
}

impl std::fmt::Debug for SlotInfo {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlotInfo")
            .field("index", &self.index)
            .field("shares", &self.shares)
            .finish_non_exhaustive()
    }
}

impl Shares {
    /// All immutable shares, by storage index and number, from one file on or from the first.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn all_immutable(
        &self,
        from: Option<StorageIndex>,
    ) -> Result<impl Stream<Item = Result<ShareInfo>> + Send + use<>> {
        let snapshot = self.core.store.snapshot(At::Latest).await?;
        let mut range = self.layout().all_shares();
        if let Some(index) = from {
            range.start = self.layout().shares(index).start;
        }
        let items = snapshot.scan(&Scan::new(range)).await?;
        Ok(stream::try_unfold((self.clone(), items), |(shares, mut items)| async move {
            let Some(item) = items.next().await? else { return Ok(None) };
            let found = shares.layout().share_at(&item.key);
            let (index, number) =
                found.ok_or_else(|| Error::Damaged("a share has no number".into()))?;
            let Share { size, leases, .. } = decode(item.value)?;
            Ok(Some((ShareInfo { index, number, size, leases }, (shares, items))))
        }))
    }

    /// All slots, by storage index, from one on or from the first.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn all_slots(
        &self,
        from: Option<StorageIndex>,
    ) -> Result<impl Stream<Item = Result<SlotInfo>> + Send + use<>> {
        let snapshot = self.core.store.snapshot(At::Latest).await?;
        let mut range = self.layout().all_slots();
        if let Some(index) = from {
            range.start = self.layout().slot(index);
        }
        let items = snapshot.scan(&Scan::new(range)).await?;
        Ok(stream::try_unfold((self.clone(), items), |(shares, mut items)| async move {
            let Some(item) = items.next().await? else { return Ok(None) };
            let found = shares.layout().slot_at(&item.key);
            let index = found.ok_or_else(|| Error::Damaged("a slot has no index".into()))?;
            let slot: Slot = decode(item.value)?;
            let enabler = slot.write_enabler.as_ref().try_into();
            let write_enabler =
                enabler.map_err(|_| Error::Damaged("a write enabler is not 32 bytes".into()))?;
            let info = |share: crate::record::MutableShare| ShareInfo {
                index,
                number: share.number,
                size: share.size,
                leases: share.leases,
            };
            let infos = slot.shares.into_iter().map(info).collect();
            Ok(Some((SlotInfo { index, write_enabler, shares: infos }, (shares, items))))
        }))
    }
}

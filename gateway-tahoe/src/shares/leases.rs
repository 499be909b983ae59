//! Leases: added, renewed, looked at.

use storage_txn::{At, Scan, Transaction};

use super::{Shares, View, put, refused};
use crate::StorageIndex;
use crate::error::{Error, Refusal, Result};
use crate::layout::Leased;
use crate::record::{LEASE_SECONDS, Lease, LeaseSecrets, MutableShare, Share, Slot, decode};

/// The most leases of one share.
const LEASES_MAX: usize = 1000;

impl Shares {
    /// The lease that these secrets make from now on.
    #[must_use]
    pub fn lease(&self, secrets: &LeaseSecrets) -> Lease {
        secrets.lease(self.now().saturating_add(LEASE_SECONDS))
    }

    /// Renews the lease of these secrets on every share of a file, or adds it where it is not; whether there was a share.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSpace`] when a share has as many leases as it can; what the store says.
    pub async fn renew(&self, index: StorageIndex, secrets: &LeaseSecrets) -> Result<bool> {
        let lease = self.lease(secrets);
        let _turn = self.turn(index).await;
        self.transact(|transaction| {
            let lease = &lease;
            async move {
                let some = self.renew_immutable(&transaction, index, lease).await?;
                let view = View::Inside(&transaction);
                let Some(mut slot) = view.slot(self.layout(), index).await? else {
                    return Ok(some);
                };
                for share in &mut slot.shares {
                    renew(&mut share.leases, lease)?;
                }
                put(&transaction, &self.layout().slot(index), &slot)?;
                Ok(true)
            }
        })
        .await
    }

    /// The same on all immutable shares, in a transaction.
    pub(super) async fn renew_immutable(
        &self,
        transaction: &Transaction,
        index: StorageIndex,
        lease: &Lease,
    ) -> Result<bool> {
        let items = transaction.scan(&Scan::new(self.layout().shares(index))).await?;
        let some = !items.is_empty();
        for item in items {
            let mut share: Share = decode(item.value)?;
            if renew(&mut share.leases, lease)? {
                put(transaction, &item.key, &share)?;
            }
        }
        Ok(some)
    }

    /// The leases of every share of a file, by share number.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn leases(&self, index: StorageIndex) -> Result<Vec<(u64, Vec<Lease>)>> {
        let snapshot = self.core.store.snapshot(At::Latest).await?;
        let view = View::At(&snapshot);
        let mut leases = Vec::new();
        for item in view.scan(&Scan::new(self.layout().shares(index))).await? {
            let found = self.layout().share_at(&item.key);
            let (_, number) =
                found.ok_or_else(|| Error::Damaged("a share has no number".into()))?;
            leases.push((number, decode::<Share>(item.value)?.leases));
        }
        let slot = view.slot(self.layout(), index).await?;
        for share in slot.into_iter().flat_map(|slot| slot.shares) {
            leases.push((share.number, share.leases));
        }
        Ok(leases)
    }

    /// Puts a new share into the index of expiries: when its first lease ends.
    pub(super) fn index_share(
        &self,
        transaction: &Transaction,
        (index, number): (StorageIndex, u64),
        share: &mut Share,
    ) -> Result<()> {
        share.indexed = first_end(&share.leases);
        let key = self.layout().expiry(share.indexed, Leased::Share(index, number));
        Ok(transaction.put(key, Vec::new())?)
    }

    /// Puts a slot into the index of expiries where it belongs. A later end need not be noted: who finds the earlier one
    /// looks again.
    pub(super) fn index_slot(
        &self,
        transaction: &Transaction,
        index: StorageIndex,
        slot: &mut Slot,
        is_new: bool,
    ) -> Result<()> {
        let first = slot.shares.iter().map(|share| first_end(&share.leases)).min();
        let first = first.unwrap_or(0);
        if !is_new && slot.indexed <= first {
            return Ok(());
        }
        let (layout, leased) = (self.layout(), Leased::Slot(index));
        if !is_new {
            transaction.delete(layout.expiry(slot.indexed, leased))?;
        }
        slot.indexed = first;
        Ok(transaction.put(layout.expiry(first, leased), Vec::new())?)
    }
}

/// Renews a lease, or adds it; whether that changed anything.
///
/// # Errors
///
/// [`Refusal::NoSpace`].
pub(super) fn renew(leases: &mut Vec<Lease>, lease: &Lease) -> Result<bool> {
    // Hashes, of which nobody learns anything by the time that comparing them takes.
    if let Some(found) = leases.iter_mut().find(|found| found.renew_hash == lease.renew_hash) {
        let later = lease.expires > found.expires;
        found.expires = found.expires.max(lease.expires);
        return Ok(later);
    }
    if leases.len() >= LEASES_MAX {
        return refused(Refusal::NoSpace);
    }
    leases.push(lease.clone());
    Ok(true)
}

/// When the first of them ends.
pub(super) fn first_end(leases: &[Lease]) -> u64 {
    leases.iter().map(|lease| lease.expires).min().unwrap_or(0)
}

impl Slot {
    /// The numbers of its shares.
    pub(crate) fn numbers(&self) -> std::collections::BTreeSet<u64> {
        self.shares.iter().map(|share| share.number).collect()
    }
}

impl MutableShare {
    /// Which generation wrote a block; `None` of one that is all zeros.
    pub(crate) fn generation_of(&self, block: u64) -> Option<u64> {
        let at = self.blocks.binary_search_by_key(&block, |block| block.number).ok()?;
        Some(self.blocks[at].generation)
    }
}

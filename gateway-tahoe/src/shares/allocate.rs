//! What is told to who wants to upload: which shares of a file there are already.

use std::collections::BTreeSet;

use storage_txn::At;

use super::{Shares, refused};
use crate::StorageIndex;
use crate::error::{Refusal, Result};
use crate::record::LeaseSecrets;

impl Shares {
    /// The numbers of all immutable shares of a file, each of which gets its lease renewed, or one added.
    ///
    /// # Errors
    ///
    /// [`Refusal::Conflict`] when the file is a mutable one; what the store says.
    pub async fn already_have(
        &self,
        index: StorageIndex,
        secrets: &LeaseSecrets,
    ) -> Result<BTreeSet<u64>> {
        let age = self.core.options.staleness_max;
        let snapshot = self.core.store.snapshot(At::Within(age)).await?;
        if snapshot.meta(self.layout().slot(index)).await?.is_some() {
            return refused(Refusal::Conflict("the storage index is that of a mutable file"));
        }
        let numbers = self.numbers(&snapshot, index).await?;
        // Who only wants to know what there is, is told so by a store that takes no lease either.
        if !numbers.is_empty() && self.core.store.read_only().is_none() {
            let lease = self.lease(secrets);
            let _turn = self.turn(index).await;
            self.transact(|transaction| {
                let lease = &lease;
                async move { self.renew_immutable(&transaction, index, lease).await }
            })
            .await?;
        }
        Ok(numbers)
    }
}

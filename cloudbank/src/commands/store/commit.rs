//! What every command that commits has in common: author, message, id.

use storage_txn::{Receipt, Transaction, TransactionId};

use super::author::author;
use super::open::OpenStore;
use crate::cli::Write;
use crate::error::{Error, Result};

/// What is kept of a transaction beside what it does.
#[derive(Debug, Clone, Default)]
pub(super) struct Label {
    pub(super) author: String,
    pub(super) message: String,
    pub(super) id: Option<TransactionId>,
}

impl Label {
    /// # Errors
    ///
    /// [`Error::Usage`] for an id that is none.
    pub(super) fn new(write: &Write) -> Result<Self> {
        Ok(Self {
            author: author(write.author.as_deref()),
            message: write.message.clone().unwrap_or_default(),
            id: write.id.as_deref().map(transaction_id).transpose()?,
        })
    }

    pub(super) fn put_on(&self, transaction: &Transaction) {
        transaction.set_author(&self.author[..]);
        transaction.set_message(&self.message[..]);
        if let Some(id) = self.id {
            transaction.set_id(id);
        }
    }
}

impl OpenStore {
    /// Runs a transaction under its label until it is committed.
    pub(super) async fn commit<T, F>(
        &self,
        label: &Label,
        mut work: impl FnMut(Transaction) -> F,
    ) -> Result<(T, Receipt)>
    where
        F: Future<Output = storage_txn::Result<T>>,
    {
        let committed = self.store.transact(|transaction| {
            label.put_on(&transaction);
            work(transaction)
        });
        let Receipt { value, version, transaction_id, time } =
            committed.await.map_err(self.explain())?;
        Ok((value, Receipt { value: (), version, transaction_id, time }))
    }
}

/// # Errors
///
/// [`Error::Usage`].
pub(super) fn transaction_id(text: &str) -> Result<TransactionId> {
    text.parse().map_err(|_| {
        Error::Usage(format!(
            "`{}` is not the id of a transaction\n  = expected 32 hexadecimal digits",
            text.escape_debug()
        ))
    })
}

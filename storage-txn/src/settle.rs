//! Transactions that are found out about when nobody knows whether they were committed.

use std::sync::{Mutex, PoisonError};

use crate::{Error, ErrorKind, Outcome, Result, Store, Transaction, Version};

impl Store {
    /// As [`transact`](Self::transact), but an answer that was lost on the way is no error: the store is then
    /// [asked](Self::outcome) what became of the transaction. Answers what the closure returned in the run that counts, and the
    /// version that came of it. For whoever has to tell others *done* or *not done*, as a server does.
    ///
    /// # Errors
    ///
    /// Those of [`transact`](Self::transact); [`ErrorKind::Cancelled`] where the transaction was not committed and now
    /// never will be, so that it can be run again; [`ErrorKind::CommitUnknown`] and [`ErrorKind::Storage`] only where the store could not be
    /// asked either, and then something may have been done.
    ///
    /// # Panics
    ///
    /// Never: a transaction is committed only after its closure has returned.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{Options, Store, Version};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// let put = store.transact_settled(async |tx| {
    ///     let was = tx.get("door").await?;
    ///     tx.put("door", "open")?;
    ///     Ok(was)
    /// });
    /// assert_eq!(put.await?, (None, Version(1)));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn transact_settled<T, F>(
        &self,
        mut closure: impl FnMut(Transaction) -> F,
    ) -> Result<(T, Version)>
    where
        F: Future<Output = Result<T>>,
    {
        // Never held across an `.await`. An error of the commit loses the receipt with the value in it.
        let kept = Mutex::new(None);
        let keep = |value| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *kept, value)
        };
        let run = |transaction: Transaction| {
            let done = closure(transaction);
            let keep = &keep;
            async move {
                keep(Some(done.await?));
                Ok(())
            }
        };
        let version = match self.transact(run).await {
            Ok(receipt) => receipt.version,
            Err(error) => {
                let ErrorKind::CommitUnknown(id) = error.kind() else { return Err(error) };
                match self.outcome(id).await? {
                    Outcome::Committed(version) => version,
                    Outcome::NotCommitted => {
                        let why = "the transaction was not committed, and now never will be";
                        return Err(Error::new(ErrorKind::Cancelled, why).with_source(error));
                    }
                }
            }
        };
        Ok((keep(None).expect("the closure has returned before its commit"), version))
    }
}

//! Large values in a transaction: put from a stream or an upload, copied, read in parts.

use std::ops::RangeBounds;

use bytes::Bytes;
use futures_util::Stream;
use storage_log::planted::planted;

use crate::bounds::check_key;
use crate::change::{Change, Stack, settle, value_of};
use crate::content::Content;
use crate::transaction::{Pending, Transaction};
use crate::value::{Value, ValueStream};
use crate::view::OWN;
use crate::{Result, space};

impl Transaction {
    /// Gives `key` the value that a stream has, however large: it is uploaded now, in bounded memory, and is under the
    /// key when the transaction commits. If that fails, the upload is deleted. Returns how many bytes it has.
    ///
    /// In a closure that may be run again, [upload](crate::Store::upload) before and
    /// [put the value](Self::put_value) in it.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put) and of [`Store::upload`](crate::Store::upload).
    pub async fn put_stream<S, E>(&self, key: impl AsRef<[u8]>, stream: S) -> Result<u64>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let key = space::key(space::USER, check_key(key.as_ref())?);
        drop(self.open()?);
        let (content, uploaded) = self.shared.upload(stream, 0, async { Ok(()) }).await?;
        let size = content.size();
        let put = |pending: &mut Pending| {
            pending.writes.change(key, content.into())?;
            pending.uploads.extend(uploaded);
            Ok(size)
        };
        let result = self.open().and_then(|mut pending| put(&mut pending));
        if result.is_err() {
            // It was committed while the stream was read.
            self.shared.delete_uploads(uploaded.as_slice()).await;
        }
        result
    }

    /// Gives `key` a value that was [uploaded](crate::Store::upload) before.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put); [`PreconditionFailed`](crate::ErrorKind::PreconditionFailed) for a value that was uploaded through another
    /// handle, one that another transaction under way puts, and one that was committed already or may have been.
    pub fn put_value(&self, key: impl AsRef<[u8]>, value: &Value) -> Result<()> {
        let key = space::key(space::USER, check_key(key.as_ref())?);
        let mut pending = self.open()?;
        let content = value.claim(&self.shared, &pending.token)?;
        pending.values.push(value.clone());
        pending.writes.change(key, content.into())
    }

    /// Gives the key `to` the value of `from`, without moving the bytes of a large one: both share them. Whether
    /// there was a value; if not, nothing is done to `to`. Counts as a read of `from`.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put) and [`get_stream`](Self::get_stream).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{At, Options, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// store.transact(async |tx| tx.put("draft", vec![7; 1_000_000])).await?;
    /// let rename = store.transact(async |tx| {
    ///     assert!(tx.copy("draft", "final").await?);
    ///     tx.delete("draft")
    /// });
    /// rename.await?;
    /// let now = store.snapshot(At::Known).await?;
    /// assert_eq!(now.meta("final").await?.unwrap().size, 1_000_000);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn copy(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<bool> {
        let to = space::key(space::USER, check_key(to.as_ref())?);
        let from = space::key(space::USER, check_key(from.as_ref())?);
        let stack = match planted("copy-is-no-read") {
            true => self.view.stack(&from, self.version).await?,
            false => self.stack(&from).await?,
        };
        let Some(content) = value_of(&from, &stack)? else { return Ok(false) };
        let mut pending = self.open()?;
        // Whoever lets go of the value before this is committed is in the way.
        if let Some(record) = record_of(&from, &stack) {
            pending.reads.key(record);
        }
        pending.writes.change(to, content.into())?;
        Ok(true)
    }

    /// Those bytes of the value of `key` that are in a range, as
    /// [`Snapshot::get_range`](crate::Snapshot::get_range) reads them. Counts as a read of the key.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn get_range(
        &self,
        key: impl AsRef<[u8]>,
        range: impl RangeBounds<u64>,
    ) -> Result<Option<Bytes>> {
        match self.content(key.as_ref()).await? {
            Some(content) => self.shared.bytes_in(content, range).await.map(Some),
            None => Ok(None),
        }
    }

    /// The value of `key` as a stream, as [`Snapshot::get_stream`](crate::Snapshot::get_stream) reads it. Counts as
    /// a read of the key.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn get_stream(&self, key: impl AsRef<[u8]>) -> Result<Option<ValueStream>> {
        let content = self.content(key.as_ref()).await?;
        Ok(content.map(|content| ValueStream::of_range(&self.shared, content, &(..))))
    }

    /// How many bytes the value of `key` has; `None` when there is none. Counts as a read of the key, and reads no
    /// large value.
    ///
    /// # Errors
    ///
    /// Those of [`get_stream`](Self::get_stream).
    pub async fn size(&self, key: impl AsRef<[u8]>) -> Result<Option<u64>> {
        Ok(self.content(key.as_ref()).await?.map(|content| content.size()))
    }

    pub(super) async fn content(&self, key: &[u8]) -> Result<Option<Content>> {
        let key = space::key(space::USER, check_key(key)?);
        value_of(&key, &self.stack(&key).await?)
    }

    /// Everything that tells the value of a key: what is there, if that matters, and what this transaction does.
    async fn stack(&self, key: &Bytes) -> Result<Stack> {
        let own = self.pending().writes.get(key);
        let own_is_final = own.as_ref().is_some_and(Change::is_final);
        let mut stack = if own_is_final {
            Stack::new()
        } else {
            let stack = self.view.stack(key, self.version).await?;
            if !(stack.is_empty() && planted("absence-is-no-read")) {
                self.pending().reads.key(key.clone());
            }
            stack
        };
        let own = own.filter(|_| !planted("transaction-does-not-see-itself"));
        stack.extend(own.map(|change| (OWN, change)));
        settle(&mut stack);
        Ok(stack)
    }

    /// Deletes what it has uploaded itself, as it will not be committed.
    pub(crate) async fn discard(&self) {
        let uploads = {
            let mut pending = self.pending();
            if pending.committing {
                return;
            }
            std::mem::take(&mut pending.uploads)
        };
        self.shared.delete_uploads(&uploads).await;
    }
}

/// The record that keeps the large value of a key alive, if that has one which is in the store.
pub(crate) fn record_of(key: &[u8], stack: &Stack) -> Option<Bytes> {
    match stack.last() {
        Some((version, Change::Ref(reference))) if *version != OWN => {
            Some(space::value(reference.id(), *version, key))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Version;
    use crate::format::value::ValueRef;

    #[test]
    fn only_a_value_that_is_in_the_store_has_a_record_that_keeps_it_there() {
        let reference = Arc::new(ValueRef { session: 7, number: 1, ..ValueRef::default() });
        let large = Change::Ref(reference.clone());
        let at = Version(3);
        let record = space::value(reference.id(), at, b"uk");
        let small = Change::Put(Bytes::from_static(b"1"));
        let table: [(Stack, Option<Bytes>); 4] = [
            (vec![(at, large.clone())], Some(record)),
            // It is this transaction's own, which adds a record of its own.
            (vec![(OWN, large)], None),
            (vec![(at, small)], None),
            (vec![], None),
        ];
        for (stack, expected) in table {
            assert_eq!(record_of(b"uk", &stack), expected, "{stack:?}");
        }
    }
}

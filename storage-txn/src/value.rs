//! Large values: uploaded before the transaction that names them, read in parts.

mod read;
mod stream;
mod upload;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use futures_util::Stream;
use storage_log::planted::planted;

pub use stream::ValueStream;
pub(crate) use upload::Uploaded;

use crate::content::{Content, Kind};
use crate::shared::Shared;
use crate::{Error, ErrorKind, Result, Store};

/// A value that was uploaded and is not yet under any key: see [`Store::upload`]. Clones are the same upload.
///
/// It can be [put](crate::Transaction::put_value) by one transaction, under as many keys as that likes; when the
/// transaction fails, by another. What a transaction has committed is
/// [copied](crate::Transaction::copy) from there.
#[derive(Debug, Clone)]
pub struct Value {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    content: Content,
    claim: Mutex<Claim>,
}

/// Who may put it. Once it is in the store, the keys that have it keep it alive, and when they let go it is
/// deleted: so nobody may bring it back by a handle.
#[derive(Debug, Clone)]
enum Claim {
    Free,
    /// A transaction that is alive as long as this is.
    Held(Weak<()>),
    Spent,
    /// Its bytes are gone, or go.
    Discarded,
}

impl Value {
    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.inner.content.size()
    }

    /// What a transaction of `shared` that is alive as long as `token` writes to put it.
    pub(crate) fn claim(&self, shared: &Arc<Shared>, token: &Arc<()>) -> Result<Content> {
        let refuse = |why: &str| Err(Error::new(ErrorKind::PreconditionFailed, why));
        if let Kind::Large(reference) = &self.inner.content.0 {
            if !Arc::ptr_eq(&self.inner.shared, shared) {
                return refuse("the value was uploaded through another handle on a store");
            }
            if shared.state().view.system.is_reaped(reference.session) {
                return Err(Error::new(
                    ErrorKind::SessionReaped,
                    format!(
                        "session {:016x} of this handle was reaped, and the uploaded value with it: upload it again",
                        reference.session
                    ),
                ));
            }
            let mut claim = self.state();
            match &*claim {
                Claim::Held(by)
                    if !Weak::ptr_eq(by, &Arc::downgrade(token)) && by.strong_count() > 0 =>
                {
                    return refuse("another transaction that is under way puts the uploaded value");
                }
                Claim::Spent => {
                    return refuse(
                        "the uploaded value was committed already, or may have been: copy it from its key, or \
                         upload it again",
                    );
                }
                Claim::Discarded => {
                    return refuse("the uploaded value was discarded: upload it again");
                }
                Claim::Held(_) | Claim::Free => *claim = Claim::Held(Arc::downgrade(token)),
            }
        }
        Ok(self.inner.content.clone())
    }

    /// The session in which it was uploaded, if it was.
    pub(crate) fn session(&self) -> Option<u64> {
        match &self.inner.content.0 {
            Kind::Large(reference) => Some(reference.session),
            Kind::Inline(_) => None,
        }
    }

    /// Takes note that a transaction that puts it goes into the log, or may.
    pub(crate) fn spend(&self) {
        if planted("uploads-are-put-twice") {
            return;
        }
        *self.state() = Claim::Spent;
    }

    /// Takes note that it did not, and never will.
    pub(crate) fn release(&self) {
        *self.state() = Claim::Free;
    }

    /// What is to be deleted if nobody may put it any more, unless somebody has, may have, or is about to.
    fn give_up(&self) -> Option<Uploaded> {
        let Kind::Large(reference) = &self.inner.content.0 else { return None };
        let mut claim = self.state();
        match &*claim {
            Claim::Held(by) if by.strong_count() > 0 => return None,
            Claim::Spent | Claim::Discarded => return None,
            Claim::Held(_) | Claim::Free => *claim = Claim::Discarded,
        }
        Some(Uploaded::of(reference))
    }

    // Nothing that holds the lock can panic.
    fn state(&self) -> MutexGuard<'_, Claim> {
        self.inner.claim.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Uploads a value, however large, so that a transaction can [put](crate::Transaction::put_value) it: also one
    /// that is run again on conflict, without uploading it again. Holds a bounded part of it in memory, for which
    /// see [`value_requests_max`](crate::Options::value_requests_max). One that is small enough to be inline is kept
    /// in memory and not uploaded.
    ///
    /// An upload that is put nowhere takes space until its handle on the store is reaped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Aborted`] when the stream fails, with its error as
    /// [`source`](std::error::Error::source); [`ErrorKind::Storage`]; [`ErrorKind::LimitExceeded`] for a value of
    /// more than 2³² chunks, or when this handle has made as many uploads.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use bytes::Bytes;
    /// # use futures_util::stream;
    /// # use storage_txn::{At, Options, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// let pieces = (0..100).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![7; 1000])));
    /// let value = store.upload(stream::iter(pieces)).await?;
    /// store
    ///     .transact(async |tx| {
    ///         tx.put("size", value.size().to_string())?;
    ///         tx.put_value("film", &value)
    ///     })
    ///     .await?;
    /// let now = store.snapshot(At::Known).await?;
    /// assert_eq!(now.get_range("film", 99_998..).await?.as_deref(), Some(&[7, 7][..]));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn upload<S, E>(&self, stream: S) -> Result<Value>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.upload_proven(stream, async { Ok(()) }).await
    }

    /// As [`upload`](Self::upload), and keeps what was uploaded only if `proof` is well, such as a checksum that takes as
    /// long to make as the bytes take to be stored. It is awaited once the stream has ended, at the same time as the last
    /// of the upload.
    ///
    /// # Errors
    ///
    /// Those of [`upload`](Self::upload); [`ErrorKind::Aborted`] with the error of `proof` as
    /// [`source`](std::error::Error::source). Nothing is left then, as far as that can be done.
    pub async fn upload_proven<S, E>(
        &self,
        stream: S,
        proof: impl Future<Output = Result<(), E>> + Send,
    ) -> Result<Value>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (content, _) = self.shared.upload(stream, 0, proof).await?;
        Ok(self.uploaded(content))
    }

    /// As [`upload`](Self::upload), of bytes that are in memory, in pieces: as many as they are is what is made room for.
    ///
    /// # Errors
    ///
    /// Those of [`upload`](Self::upload).
    pub async fn upload_pieces(&self, pieces: Vec<Bytes>) -> Result<Value> {
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        let stream = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, Error>));
        let (content, _) = self.shared.upload(stream, bytes, async { Ok(()) }).await?;
        Ok(self.uploaded(content))
    }

    fn uploaded(&self, content: Content) -> Value {
        let shared = self.shared.clone();
        Value { inner: Arc::new(Inner { shared, content, claim: Mutex::new(Claim::Free) }) }
    }

    /// Deletes uploads that are to be put nowhere, as far as that can be done now: what stays is deleted when this handle on
    /// the store is reaped. All clones of them are refused from then on. Those that a transaction has put, may have put, or
    /// is about to put stay as they are.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use bytes::Bytes;
    /// # use futures_util::stream;
    /// # use storage_txn::{ErrorKind, Options, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// let pieces = [Ok::<_, std::io::Error>(Bytes::from(vec![7; 100_000]))];
    /// let value = store.upload(stream::iter(pieces)).await?;
    /// store.discard([value.clone()]).await;
    /// let refused = store.transact(async |tx| tx.put_value("film", &value)).await.unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::PreconditionFailed);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn discard(&self, values: impl IntoIterator<Item = Value>) {
        let ours =
            values.into_iter().filter(|value| Arc::ptr_eq(&value.inner.shared, &self.shared));
        let uploads: Vec<_> = ours.filter_map(|value| value.give_up()).collect();
        if !uploads.is_empty() {
            self.shared.delete_uploads(&uploads).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use backend_memory::MemoryProvider;
    use futures_util::stream;
    use storage_wrappers::TokioEnv;

    use super::*;
    use crate::Options;

    #[tokio::test]
    async fn a_value_of_sound_blocks_that_is_not_the_one_named_is_refused_where_all_of_it_is_read()
    {
        let mut options = Options::default();
        (options.inline_bytes_max, options.chunk_bytes) = (8, 100);
        let provider = Arc::new(MemoryProvider::new());
        let store = Store::init(provider, Arc::new(TokioEnv::new()), options).await.unwrap();
        for (bytes, name) in [(100, "00000000"), (250, "00000001")] {
            let pieces = [Ok::<_, std::io::Error>(Bytes::from(vec![7; bytes]))];
            let (content, _) =
                store.shared.upload(stream::iter(pieces), 0, async { Ok(()) }).await.unwrap();
            let Kind::Large(reference) = &content.0 else { panic!("it is large") };
            let mut other = (**reference).clone();
            other.hash = Bytes::copy_from_slice(blake3::hash(b"another").as_bytes());
            let other = Content::large(other);
            let error = store.shared.bytes_of(other.clone()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            let message = error.to_string();
            assert!(message.starts_with("value/"), "{message}");
            let end = format!("/{name}: at byte 0: the value does not have the hash it should");
            assert!(message.ends_with(&end), "{message}");
            // Of a part only the blocks can be told.
            store.shared.bytes_in(other, 1..).await.unwrap();
            assert_eq!(store.shared.bytes_of(content).await.unwrap().len(), bytes);
        }
    }
}

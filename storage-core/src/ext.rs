//! Conveniences on every provider, written once from the four operations.

use std::fmt;
use std::future::Future;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    Effect, Error, ErrorKind, Get, Key, List, Listed, Object, Prefix, PutIf, Result,
    StorageProvider, Version,
};

/// How many keys [`StorageProviderExt::list_all`] asks for at a time, which bounds its memory.
const LIST_PAGE_KEYS_MAX: usize = 10_000;
/// How many requests [`StorageProviderExt::delete_many`] has under way.
const DELETES_AT_ONCE_MAX: usize = 16;
/// How often [`StorageProviderExt::create_exact`] sends its bytes before it answers "unknown".
const CREATE_ATTEMPTS_MAX: usize = 5;

mod sealed {
    /// Keeps [`StorageProviderExt`](super::StorageProviderExt) to the one implementation there is.
    pub trait Sealed {}
    impl<P: crate::StorageProvider + ?Sized> Sealed for P {}
}

/// What every [`StorageProvider`] can do besides, made of its four operations.
///
/// It cannot be implemented elsewhere, so it means the same on every provider.
pub trait StorageProviderExt: StorageProvider + sealed::Sealed {
    /// The whole object under `key`, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`get`](StorageProvider::get), but never [`ErrorKind::NotFound`].
    fn try_get(&self, key: &Key) -> impl Future<Output = Result<Option<Object>>> + Send {
        async move {
            match self.get(key, Get::whole()).await {
                Ok(object) => Ok(Some(object)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        }
    }

    /// Every object under `prefix`, in order, a page of at most 10,000 in memory at a time.
    ///
    /// Ends after the first error.
    ///
    /// # Examples
    ///
    /// ```
    /// use backend_memory::MemoryProvider;
    /// use futures_util::TryStreamExt;
    /// use storage_core::{Key, Prefix, PutIf, StorageProvider, StorageProviderExt};
    ///
    /// # futures_executor::block_on(async {
    /// let provider = MemoryProvider::new();
    /// for name in ["b", "a/1", "a/0"] {
    ///     provider.put(&Key::new(name)?, name.into(), PutIf::Always).await?;
    /// }
    /// let keys: Vec<String> = provider
    ///     .list_all(&Prefix::new("a/")?)
    ///     .map_ok(|object| object.key.to_string())
    ///     .try_collect()
    ///     .await?;
    /// assert_eq!(keys, ["a/0", "a/1"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    fn list_all(&self, prefix: &Prefix) -> impl Stream<Item = Result<Listed>> + Send + Unpin {
        self.list_all_after(prefix, None)
    }

    /// As [`list_all`](Self::list_all), but only what comes after `start_after`: to go on with a walk
    /// that was interrupted.
    fn list_all_after(
        &self,
        prefix: &Prefix,
        start_after: Option<&Key>,
    ) -> impl Stream<Item = Result<Listed>> + Send + Unpin {
        let first = Some(start_after.cloned());
        let prefix = prefix.clone();
        stream::try_unfold(first, move |next| {
            let prefix = prefix.clone();
            async move {
                let Some(after) = next else { return Ok::<_, Error>(None) };
                let request = List {
                    prefix: &prefix,
                    start_after: after.as_ref(),
                    limit: LIST_PAGE_KEYS_MAX,
                };
                let page = self.list(request).await?;
                let last = page.objects.last().map(|object| object.key.clone());
                if page.more && last <= after {
                    return Err(Error::not_applied(
                        ErrorKind::Corrupt,
                        "a page promises more but does not move on",
                    )
                    .during_list());
                }
                let next = page.more.then_some(last);
                Ok(Some((stream::iter(page.objects.into_iter().map(Ok)), next)))
            }
        })
        .try_flatten()
        .boxed()
    }

    /// Deletes all these keys, sixteen at a time, and does not stop at the first failure.
    ///
    /// # Errors
    ///
    /// [`DeleteManyError`] with every key that may still be there.
    fn delete_many<K>(&self, keys: K) -> impl Future<Output = Result<(), DeleteManyError>> + Send
    where
        K: IntoIterator<Item = Key> + Send,
        K::IntoIter: Send,
    {
        let keys = keys.into_iter();
        async move {
            let failures: Vec<_> = stream::iter(keys)
                .map(|key| async move {
                    let result = self.delete(&key).await;
                    (key, result)
                })
                .buffer_unordered(DELETES_AT_ONCE_MAX)
                .filter_map(|(key, result)| async move { Some((key, result.err()?)) })
                .collect()
                .await;
            if failures.is_empty() { Ok(()) } else { Err(DeleteManyError { failures }) }
        }
    }

    /// Creates the object under `key`, or says who did, also when answers are lost on the way.
    ///
    /// A lost answer is resolved by reading back: bytes equal to `body` are ours, others mean that the
    /// slot is taken. A key that is still empty proves nothing, since the request may land later; so
    /// the same bytes are put again, and whichever attempt lands first fences off the others.
    ///
    /// The answer is exact if `body` is unique (holds an id of its maker) and the key is never deleted
    /// or overwritten. Calling it again with the same bytes gives the same answer; to make sure that an
    /// earlier attempt which ended unknown can never land, call it with another body (a tombstone).
    ///
    /// # Errors
    ///
    /// As [`put`](StorageProvider::put) and [`get`](StorageProvider::get), but never
    /// [`ErrorKind::Conflict`]. With [`Effect::Unknown`] it could not be resolved in five attempts:
    /// ask again later.
    ///
    /// # Examples
    ///
    /// ```
    /// use backend_memory::MemoryProvider;
    /// use storage_core::{Created, Key, StorageProviderExt};
    ///
    /// # futures_executor::block_on(async {
    /// let provider = MemoryProvider::new();
    /// let slot = Key::new("log/0000")?;
    /// assert!(matches!(provider.create_exact(&slot, "ours".into()).await?, Created::Ours(_)));
    /// assert!(matches!(provider.create_exact(&slot, "ours".into()).await?, Created::Ours(_)));
    /// match provider.create_exact(&slot, "theirs".into()).await? {
    ///     Created::Taken(winner) => assert_eq!(&winner.body[..], b"ours"),
    ///     Created::Ours(_) => unreachable!(),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    fn create_exact(&self, key: &Key, body: Bytes) -> impl Future<Output = Result<Created>> + Send {
        async move {
            let mut lost_answer: Option<Error> = None;
            for _ in 0..CREATE_ATTEMPTS_MAX {
                match self.put(key, body.clone(), PutIf::Absent).await {
                    Ok(version) => return Ok(Created::Ours(version)),
                    Err(error) if error.effect() == Effect::Unknown => lost_answer = Some(error),
                    Err(error) if error.kind() == ErrorKind::Conflict => {}
                    Err(error) if lost_answer.is_some() => return Err(error.into_unknown()),
                    Err(error) => return Err(error),
                }
                match self.try_get(key).await {
                    Ok(Some(found)) if found.body == body => {
                        return Ok(Created::Ours(found.version));
                    }
                    Ok(Some(found)) => return Ok(Created::Taken(found)),
                    Ok(None) => {}
                    Err(error) if lost_answer.is_some() => return Err(error.into_unknown()),
                    Err(error) => return Err(error),
                }
            }
            Err(lost_answer.unwrap_or_else(|| {
                Error::not_applied(
                    ErrorKind::Unavailable,
                    "the key keeps being created and deleted by others",
                )
                .during(crate::Operation::Put, key)
            }))
        }
    }
}

impl<P: StorageProvider + ?Sized> StorageProviderExt for P {}

/// What [`StorageProviderExt::create_exact`] found out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Created {
    /// The object holds our bytes.
    Ours(Version),
    /// Somebody else's object is there, and ours never will be.
    Taken(Object),
}

/// The keys that [`StorageProviderExt::delete_many`] could not delete for certain.
#[derive(Debug)]
pub struct DeleteManyError {
    /// Each key with its error, in no particular order. Never empty.
    pub failures: Vec<(Key, Error)>,
}

impl fmt::Display for DeleteManyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the deletes failed", self.failures.len())?;
        match self.failures.first() {
            Some((_, error)) => write!(f, ", one with: {error}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DeleteManyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.failures.first().map(|(_, error)| error as &(dyn std::error::Error + 'static))
    }
}

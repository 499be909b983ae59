//! The contract: four operations and a statement of what is promised.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Get, Key, List, Object, Page, ProviderInfo, PutIf, Result, Version};

/// A place that keeps objects: whole values under portable names.
///
/// Implementing it is five methods and no more; conveniences are in
/// [`StorageProviderExt`](crate::StorageProviderExt), and retries, time limits, metrics and the like
/// are wrappers written once. A provider is done when the `conformance` suite says so: what follows
/// is that suite in prose.
///
/// # What must always hold
///
/// - **Whole objects.** A reader sees all of one put's body or nothing of it, also while the object
///   is being overwritten, and also when the writer dies halfway.
/// - **`Ok` is durable**, to the level declared in [`Capabilities`](crate::Capabilities).
/// - **Errors say whether it happened.** A mutation that fails with
///   [`Effect::NotApplied`](crate::Effect::NotApplied) did not take effect and never will. When that
///   is not certain, the answer is [`Effect::Unknown`](crate::Effect::Unknown): never a guess.
/// - **[`Conflict`](crate::ErrorKind::Conflict) always means not applied**, across every retry made
///   inside the provider. A conditional put whose answer was lost must therefore not be sent again
///   by the provider.
/// - **A request that the capabilities exclude is refused**, with
///   [`Unsupported`](crate::ErrorKind::Unsupported), before anything is written.
/// - **`Debug` shows no secret** and no part of a body.
///
/// # Overlap, failure, cancellation
///
/// Any number of calls may overlap, from any number of handles. Operations on one key are
/// linearizable. Dropping the future of a mutation leaves its effect unknown: it may be applied
/// later, once, or never; a part of it is never seen. Dropping the future of a read has no effect.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use backend_memory::MemoryProvider;
/// use storage_core::{ErrorKind, Get, Key, PutIf, StorageProvider};
///
/// # futures_executor::block_on(async {
/// let provider: Arc<dyn StorageProvider> = Arc::new(MemoryProvider::new());
/// let key = Key::new("log/0000")?;
///
/// let version = provider.put(&key, "first".into(), PutIf::Absent).await?;
/// let object = provider.get(&key, Get::whole()).await?;
/// assert_eq!((&object.body[..], &object.version), (&b"first"[..], &version));
///
/// let lost = provider.put(&key, "second".into(), PutIf::Absent).await.unwrap_err();
/// assert_eq!(lost.kind(), ErrorKind::Conflict);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait StorageProvider: Debug + Send + Sync + 'static {
    /// Says what this is and what it promises. Does no I/O and always answers the same.
    fn info(&self) -> ProviderInfo;

    /// Stores `body` under `key`, whole, if the condition `when` holds at that moment.
    ///
    /// Of any number of overlapping puts with [`PutIf::Absent`] on a missing key exactly one
    /// succeeds, within the scope declared as [`Capabilities::absent`](crate::Capabilities::absent);
    /// likewise with one [`PutIf::Matches`] version and
    /// [`Capabilities::matches`](crate::Capabilities::matches). The version returned is the one a
    /// get of this very object reports.
    ///
    /// # Errors
    ///
    /// - [`Conflict`](crate::ErrorKind::Conflict): the condition does not hold (for `Matches` also when
    ///   the key is missing). The object and its version are untouched.
    /// - [`Unsupported`](crate::ErrorKind::Unsupported): the condition is declared unsupported.
    /// - [`TooLarge`](crate::ErrorKind::TooLarge): the body exceeds
    ///   [`Capabilities::object_bytes_max`](crate::Capabilities::object_bytes_max).
    /// - [`InvalidKey`](crate::ErrorKind::InvalidKey): the key exceeds
    ///   [`Capabilities::key_bytes_max`](crate::Capabilities::key_bytes_max).
    /// - The kinds any operation can have: [`Throttled`](crate::ErrorKind::Throttled),
    ///   [`Unavailable`](crate::ErrorKind::Unavailable),
    ///   [`StorageFull`](crate::ErrorKind::StorageFull),
    ///   [`PermissionDenied`](crate::ErrorKind::PermissionDenied),
    ///   [`Misconfigured`](crate::ErrorKind::Misconfigured).
    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version>;

    /// Reads the object under `key`, or a range of it, or only its size and version.
    ///
    /// The preconditions are evaluated first and in the order of RFC 9110 §13.2.2: `if_match`, then
    /// `if_changed`; then the range. Everything in the answer belongs to one put.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](crate::ErrorKind::NotFound): there is no object under exactly this key.
    /// - [`Conflict`](crate::ErrorKind::Conflict): `if_match` was given and is not the version.
    /// - [`NotModified`](crate::ErrorKind::NotModified): `if_changed` was given and is the version.
    /// - [`InvalidRange`](crate::ErrorKind::InvalidRange): see [`ByteRange`](crate::ByteRange).
    /// - [`Corrupt`](crate::ErrorKind::Corrupt): what is stored is not what was put.
    /// - The kinds any operation can have, as for [`put`](Self::put).
    async fn get(&self, key: &Key, request: Get) -> Result<Object>;

    /// Lists objects whose keys start with the bytes of a prefix, in strict byte order.
    ///
    /// A key that exists unchanged for the whole of a walk over pages appears in it exactly once;
    /// one created or deleted meanwhile may or may not. A put that has returned is listed by every
    /// handle, unless the provider declares
    /// [`ListConsistency::Eventual`](crate::ListConsistency::Eventual).
    ///
    /// # Errors
    ///
    /// The kinds any operation can have, as for [`put`](Self::put), and
    /// [`Corrupt`](crate::ErrorKind::Corrupt) when the place answers out of order.
    async fn list(&self, request: List<'_>) -> Result<Page>;

    /// Removes the object under `key`. A missing key is `Ok`: it is as the caller wants it.
    ///
    /// # Errors
    ///
    /// The kinds any operation can have, as for [`put`](Self::put). A place that does not exist (no
    /// such bucket) is [`Misconfigured`](crate::ErrorKind::Misconfigured), not `Ok`.
    async fn delete(&self, key: &Key) -> Result<()>;
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<P: StorageProvider + ?Sized> StorageProvider for $pointer<P> {
            fn info(&self) -> ProviderInfo {
                (**self).info()
            }
            async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
                (**self).put(key, body, when).await
            }
            async fn get(&self, key: &Key, request: Get) -> Result<Object> {
                (**self).get(key, request).await
            }
            async fn list(&self, request: List<'_>) -> Result<Page> {
                (**self).list(request).await
            }
            async fn delete(&self, key: &Key) -> Result<()> {
                (**self).delete(key).await
            }
        }
    };
}

forward!(Arc);
forward!(Box);

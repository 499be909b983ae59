//! A part of a provider that looks like a whole one.

use bytes::Bytes;
use storage_core::{
    Error, ErrorKind, Get, Key, List, Object, Operation, Page, Prefix, ProviderInfo, PutIf, Result,
    StorageProvider, Version, async_trait,
};

/// Keeps everything under a prefix: put before each key on the way in, taken off on the way out.
///
/// What is outside the prefix can neither be seen nor touched through it. Keys are shorter by the length
/// of the prefix, and [`key_bytes_max`](storage_core::Capabilities::key_bytes_max) says so; a longer one is
/// refused with [`InvalidKey`](storage_core::ErrorKind::InvalidKey) and no request.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use backend_memory::MemoryProvider;
/// use storage_core::{Get, Key, Prefix, PutIf, StorageProvider};
/// use storage_wrappers::Prefixed;
///
/// # futures_executor::block_on(async {
/// let whole = MemoryProvider::new();
/// let part = Prefixed::new(whole.clone(), Prefix::new("tenants/7/")?)?;
/// part.put(&Key::new("log/0000")?, "first".into(), PutIf::Absent).await?;
/// assert!(whole.get(&Key::new("tenants/7/log/0000")?, Get::whole()).await.is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Prefixed<P> {
    inner: P,
    prefix: Prefix,
    /// The longest key inside, the prefix included.
    inner_key_bytes_max: usize,
}

impl<P: StorageProvider> Prefixed<P> {
    /// Shows the part of `inner` that is under `prefix`, which is empty or ends in `/`.
    ///
    /// # Errors
    ///
    /// [`Misconfigured`](storage_core::ErrorKind::Misconfigured): the prefix ends in something else, or
    /// leaves no room for a key.
    pub fn new(inner: P, prefix: Prefix) -> Result<Self> {
        let text = prefix.as_str();
        let wrong = |what: String| Error::not_applied(ErrorKind::Misconfigured, what);
        if !text.is_empty() && !text.ends_with('/') {
            return Err(wrong(format!("the prefix `{text}` does not end in `/`: try `{text}/`")));
        }
        let inner_key_bytes_max = inner.info().capabilities.key_bytes_max;
        if text.len() >= inner_key_bytes_max {
            let length = text.len();
            return Err(wrong(format!(
                "the prefix `{text}` has {length} bytes, which leaves no room for a key: the provider \
                 takes keys of at most {inner_key_bytes_max}"
            )));
        }
        Ok(Self { inner, prefix, inner_key_bytes_max })
    }

    /// The key as the provider inside calls it.
    fn inside(&self, key: &Key, operation: Operation) -> Result<Key> {
        let room = self.inner_key_bytes_max - self.prefix.as_str().len();
        let length = key.as_str().len();
        if length <= room
            && let Ok(inside) = self.prefix.join(key)
        {
            return Ok(inside);
        }
        Err(Error::not_applied(
            ErrorKind::InvalidKey,
            format!("{length} bytes, but below this prefix a key has at most {room}"),
        )
        .during(operation, key))
    }

    /// The greatest key inside that is not after `start_after`: itself, unless it is too long. Cut to
    /// the longest key there can be, it leaves the same keys behind it; and where the cut falls on a `/`,
    /// so does the key without it, for nothing that fits sorts between the two.
    fn inside_start_after(&self, start_after: &Key) -> Option<Key> {
        let mut text = format!("{}{start_after}", self.prefix);
        text.truncate(self.inner_key_bytes_max);
        Key::new(text.strip_suffix('/').unwrap_or(&text)).ok()
    }

    /// The key as our caller calls it.
    fn outside(&self, inside: &Key) -> Option<Key> {
        Key::new(inside.as_str().strip_prefix(self.prefix.as_str())?).ok()
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<P: StorageProvider> StorageProvider for Prefixed<P> {
    fn info(&self) -> ProviderInfo {
        let mut info = self.inner.info();
        let text = self.prefix.as_str();
        if !text.is_empty() {
            info.name = format!("{}/{}", info.name, text.trim_end_matches('/')).into();
        }
        info.capabilities.key_bytes_max = self.inner_key_bytes_max - text.len();
        info
    }

    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        let inside = self.inside(key, Operation::Put)?;
        self.inner.put(&inside, body, when).await.map_err(|error| error.renamed(key))
    }

    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        let inside = self.inside(key, Operation::Get)?;
        self.inner.get(&inside, request).await.map_err(|error| error.renamed(key))
    }

    async fn list(&self, request: List<'_>) -> Result<Page> {
        // A longer prefix than any key has names none, which is an answer and not a failure.
        let text = format!("{}{}", self.prefix, request.prefix);
        if text.len() > self.inner_key_bytes_max {
            return Ok(Page::default());
        }
        let Ok(prefix) = Prefix::new(&text) else {
            return Ok(Page::default());
        };
        let start_after = request.start_after.and_then(|key| self.inside_start_after(key));
        let request =
            List { prefix: &prefix, start_after: start_after.as_ref(), limit: request.limit };
        let mut page = self.inner.list(request).await?;
        for listed in &mut page.objects {
            listed.key = self.outside(&listed.key).ok_or_else(|| {
                Error::not_applied(
                    ErrorKind::Corrupt,
                    format!("the list has \"{}\", which is not under \"{prefix}\"", listed.key),
                )
                .during_list()
            })?;
        }
        Ok(page)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let inside = self.inside(key, Operation::Delete)?;
        self.inner.delete(&inside).await.map_err(|error| error.renamed(key))
    }
}

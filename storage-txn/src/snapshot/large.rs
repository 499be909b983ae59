//! Values as wholes and in parts, and what can be said of them without reading them.

use std::ops::RangeBounds;

use bytes::Bytes;

use crate::bounds::check_key;
use crate::content::Content;
use crate::snapshot::{Scan, Snapshot};
use crate::value::ValueStream;
use crate::view::Walk;
use crate::{Result, Version, space};

/// A key without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meta {
    /// The key.
    pub key: Bytes,
    /// How many bytes its value has.
    pub size: u64,
    /// The version of its last change.
    pub version: Version,
}

impl Snapshot {
    /// Those bytes of the value of `key` that are in a range: fewer where the value ends before, none where it ends
    /// before the range. `None` when there is no value. Of a large value only the blocks (64 KiB) are read that hold
    /// them.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), where [`get_bytes_max`](crate::Options::get_bytes_max) is for the range.
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
    /// store.transact(async |tx| tx.put("film", vec![7; 1_000_000])).await?;
    /// let now = store.snapshot(At::Known).await?;
    /// assert_eq!(now.get_range("film", 999_990..2_000_000).await?.unwrap().len(), 10);
    /// assert_eq!(now.meta("film").await?.unwrap().size, 1_000_000);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_range(
        &self,
        key: impl AsRef<[u8]>,
        range: impl RangeBounds<u64>,
    ) -> Result<Option<Bytes>> {
        match self.find(key.as_ref()).await? {
            Some((_, content)) => self.shared.bytes_in(content, range).await.map(Some),
            None => Ok(None),
        }
    }

    /// The value of `key`, however large, as a stream that reads ahead; `None` when there is none.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), without a bound on the size.
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
    /// # store.transact(async |tx| tx.put("film", vec![7; 1_000_000])).await?;
    /// let mut film = store.snapshot(At::Known).await?.get_stream("film").await?.unwrap();
    /// let mut bytes = 0;
    /// while let Some(piece) = film.next().await? {
    ///     bytes += piece.len() as u64;
    /// }
    /// assert_eq!(bytes, film.size());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_stream(&self, key: impl AsRef<[u8]>) -> Result<Option<ValueStream>> {
        self.get_stream_range(key, ..).await
    }

    /// As [`get_stream`](Self::get_stream), but only the bytes in a range, as in [`get_range`](Self::get_range).
    ///
    /// # Errors
    ///
    /// Those of [`get_stream`](Self::get_stream).
    pub async fn get_stream_range(
        &self,
        key: impl AsRef<[u8]>,
        range: impl RangeBounds<u64>,
    ) -> Result<Option<ValueStream>> {
        let found = self.find(key.as_ref()).await?;
        Ok(found.map(|(_, content)| ValueStream::of_range(&self.shared, content, &range)))
    }

    /// What can be said of `key` without reading a large value; `None` when it has none.
    ///
    /// # Errors
    ///
    /// Those of [`get_stream`](Self::get_stream).
    pub async fn meta(&self, key: impl AsRef<[u8]>) -> Result<Option<Meta>> {
        let key = key.as_ref();
        let found = self.find(key).await?;
        Ok(found.map(|(version, content)| Meta {
            key: Bytes::copy_from_slice(key),
            size: content.size(),
            version,
        }))
    }

    /// As [`scan`](Self::scan), without the values: no large one is read.
    ///
    /// # Errors
    ///
    /// Those of [`get_stream`](Self::get_stream).
    pub async fn scan_meta(&self, scan: &Scan) -> Result<Metas> {
        let range = scan.range()?;
        let walk = Walk::new(&self.view, self.version, &range, scan.is_backward(), None).await?;
        Ok(Metas { walk, left: scan.limit_or_max() })
    }

    pub(crate) async fn find(&self, key: &[u8]) -> Result<Option<(Version, Content)>> {
        let key = space::key(space::USER, check_key(key)?);
        self.view.find(&key, self.version).await
    }
}

/// Keys without their values, being read in order.
#[derive(Debug)]
pub struct Metas {
    walk: Walk,
    left: usize,
}

impl Metas {
    /// The next key, or `None` after the last.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::get_stream`]. After [`NotANumber`](crate::ErrorKind::NotANumber), which names a key, the next
    /// call goes on with the one after it.
    pub async fn next(&mut self) -> Result<Option<Meta>> {
        if self.left == 0 {
            return Ok(None);
        }
        let next = self.walk.next().await?;
        self.left -= 1;
        Ok(next.map(|(key, version, content)| Meta {
            key: space::strip(&key),
            size: content.size(),
            version,
        }))
    }

    /// All that are left.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::get_stream`].
    pub async fn collect(mut self) -> Result<Vec<Meta>> {
        let mut metas = Vec::new();
        while let Some(meta) = self.next().await? {
            metas.push(meta);
        }
        Ok(metas)
    }
}

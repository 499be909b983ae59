//! A snapshot: the store as it was at one version, for as long as it is held.

mod large;

use std::sync::Arc;

use bytes::Bytes;

use crate::bounds::KeyRange;
use crate::content::Content;
use crate::shared::Shared;
use crate::view::{View, Walk};
use crate::writes::Range;
use crate::{ErrorKind, Result, Version, space};

pub use large::{Meta, Metas};

/// The store as it was at one version. Reading it conflicts with nothing.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) view: Arc<View>,
    pub(crate) version: Version,
    /// Asked for a newer view when a segment of this one is gone, and for large values.
    pub(crate) shared: Arc<Shared>,
}

/// A key with its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    /// The key.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
    /// The version of its last change; `None` for one by the very transaction that reads it.
    pub version: Option<Version>,
}

impl std::fmt::Debug for Item {
    /// Says how much there is, not what.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Item")
            .field("key", &format_args!("\"{}\"", self.key.escape_ascii()))
            .field("value", &format_args!("{} bytes", self.value.len()))
            .field("version", &self.version)
            .finish()
    }
}

/// What to read in order.
///
/// # Examples
///
/// ```
/// use storage_txn::{KeyRange, Scan};
///
/// let last_ten_users = Scan::new(KeyRange::prefix("user/")).backward().limit(10);
/// # let _ = last_ten_users;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    range: KeyRange,
    backward: bool,
    limit: Option<usize>,
}

impl Scan {
    /// All of a range, in order.
    pub fn new(range: impl Into<KeyRange>) -> Self {
        Self { range: range.into(), backward: false, limit: None }
    }

    /// From the end.
    #[must_use]
    pub fn backward(mut self) -> Self {
        self.backward = true;
        self
    }

    /// At most so many.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(crate) fn range(&self) -> Result<Range> {
        self.range.inside()
    }

    pub(crate) fn is_backward(&self) -> bool {
        self.backward
    }

    pub(crate) fn limit_or_max(&self) -> usize {
        self.limit.unwrap_or(usize::MAX)
    }
}

impl Snapshot {
    /// Which version it shows.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The value of `key`, or `None`.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](crate::ErrorKind::LimitExceeded) for a key longer than
    /// [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX) and for a value larger than
    /// [`get_bytes_max`](crate::Options::get_bytes_max), [`NotANumber`](crate::ErrorKind::NotANumber),
    /// [`SnapshotExpired`](crate::ErrorKind::SnapshotExpired), [`Corrupt`](crate::ErrorKind::Corrupt),
    /// [`Storage`](crate::ErrorKind::Storage).
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        Ok(self.get_versioned(key).await?.map(|(_, value)| value))
    }

    /// The value of `key` with the version of its last change, or `None`.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub async fn get_versioned(&self, key: impl AsRef<[u8]>) -> Result<Option<(Version, Bytes)>> {
        match self.find(key.as_ref()).await? {
            Some((version, content)) => Ok(Some((version, self.shared.bytes_of(content).await?))),
            None => Ok(None),
        }
    }

    /// The values of several keys, in the order of the keys.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub async fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Bytes>>> {
        futures_util::future::try_join_all(keys.into_iter().map(|key| self.get(key))).await
    }

    /// Keys and values in order, one after the other: memory does not grow with the range. For keys alone, see
    /// [`scan_meta`](Self::scan_meta).
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub async fn scan(&self, scan: &Scan) -> Result<Items> {
        let range = scan.range()?;
        let walk = Walk::new(&self.view, self.version, &range, scan.is_backward(), None).await?;
        Ok(Items { shared: self.shared.clone(), walk, next: None, left: scan.limit_or_max() })
    }
}

/// A scan under way.
#[derive(Debug)]
pub struct Items {
    shared: Arc<Shared>,
    walk: Walk,
    /// The next item, whose value is being read.
    next: Option<(Bytes, Version, Content)>,
    left: usize,
}

impl Items {
    /// The next item, or `None` after the last. May be dropped at any time: the next call goes on with the same.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::get`]. After [`LimitExceeded`](ErrorKind::LimitExceeded) of one value, and after
    /// [`NotANumber`](ErrorKind::NotANumber), which names a key, the next call goes on with the key after it.
    pub async fn next(&mut self) -> Result<Option<Item>> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.next.is_none() {
            self.next = self.walk.next().await?;
        }
        let Some((key, version, content)) = self.next.clone() else {
            self.left = 0;
            return Ok(None);
        };
        let read = self.shared.bytes_of(content).await;
        let passed = match &read {
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::LimitExceeded,
        };
        if passed {
            self.next = None;
            self.left -= 1;
        }
        Ok(Some(Item { key: space::strip(&key), value: read?, version: Some(version) }))
    }

    /// All that are left.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::get`].
    pub async fn collect(mut self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        while let Some(item) = self.next().await? {
            items.push(item);
        }
        Ok(items)
    }
}

//! Snapshots that show something else than what was there.

use std::ops::Range;
use std::sync::Arc;

use conformance::store::SnapshotHandle;
use storage_txn::{At, ErrorKind as Kind, Item, Result, Scan, Version};

use super::super::prelude::{Bytes, async_trait};
use super::Mistake::{CopyIsALink, DamagedIsAbsent, LargeValuesMove, SnapshotsMove};
use super::{Honest, Wrong};

/// How a value begins that is a link to another key.
pub(super) const LINK: &[u8] = b"link to ";
/// What is longer counts as large.
const LARGE_BYTES: usize = 1 << 10;

pub(super) struct WrongSnapshot {
    pub(super) inner: Arc<dyn SnapshotHandle>,
    pub(super) honest: Honest,
    pub(super) wrong: Wrong,
}

#[async_trait]
impl SnapshotHandle for WrongSnapshot {
    fn version(&self) -> Version {
        self.inner.version()
    }

    async fn get_versioned(&self, key: &str) -> Result<Option<(Version, Bytes)>> {
        if self.wrong.mistake == SnapshotsMove {
            return self.honest.snapshot(At::Known).await?.get_versioned(key).await;
        }
        if self.wrong.mistake == CopyIsALink {
            return self.inner.get_versioned(&self.target(key).await?).await;
        }
        if self.moves(key).await? {
            let now = self.honest.snapshot(At::Known).await?;
            return now.get_versioned(key).await;
        }
        let pending = self.wrong.shared.pending.lock().unwrap().get(key).cloned();
        match pending {
            Some(value) => Ok(Some((self.inner.version(), value))),
            None => self.inner.get_versioned(key).await,
        }
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>> {
        if self.moves(key).await? {
            return self.honest.snapshot(At::Known).await?.get_range(key, range).await;
        }
        self.inner.get_range(&self.target(key).await?, range).await
    }

    async fn get_stream(&self, key: &str) -> Result<Option<Vec<Bytes>>> {
        if self.moves(key).await? {
            return self.honest.snapshot(At::Known).await?.get_stream(key).await;
        }
        self.inner.get_stream(&self.target(key).await?).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Item>> {
        match self.inner.scan(scan).await {
            Err(error)
                if self.wrong.mistake == DamagedIsAbsent && error.kind() == Kind::Corrupt =>
            {
                Ok(Vec::new())
            }
            found => found,
        }
    }
}

impl WrongSnapshot {
    /// Whether what is read is the value that the key has now.
    async fn moves(&self, key: &str) -> Result<bool> {
        if self.wrong.mistake != LargeValuesMove {
            return Ok(false);
        }
        let found = self.inner.get_versioned(key).await?;
        Ok(found.is_some_and(|(_, value)| value.len() > LARGE_BYTES))
    }

    /// Where a link leads, or where one is.
    async fn target(&self, key: &str) -> Result<String> {
        let found = self.inner.get_versioned(key).await?;
        let link = found.and_then(|(_, value)| Some(value.strip_prefix(LINK)?.to_vec()));
        Ok(link.map_or(key.to_owned(), |link| String::from_utf8_lossy(&link).into_owned()))
    }
}

//! The history of one key: everything it ever was.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::bounds::check_key;
use crate::change::{Change, value};
use crate::commits::Commit;
use crate::content::{Content, Kind};
use crate::snapshot::Snapshot;
use crate::{At, ErrorKind, Result, Store, Version, space};

/// How many changes are looked at together, which bounds what a history holds in memory.
const PAGE_CHANGES_MAX: usize = 64;

/// What became of a key in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revision {
    /// The version of the transaction.
    pub version: Version,
    /// The transaction; `None` when it is so old that only the value is still kept.
    pub commit: Option<Commit>,
    /// What it did.
    pub written: Written,
}

/// What a transaction did to a key.
#[derive(Clone, PartialEq, Eq)]
pub enum Written {
    /// Put this value.
    Value(Content),
    /// Merged something in, and this is what it came to.
    Merged(Content),
    /// Added a number to what is none: reading this version fails with
    /// [`NotANumber`](ErrorKind::NotANumber).
    NotANumber,
    /// Deleted it, by name or with its range.
    Deleted,
}

impl Written {
    /// The value the key had then, if there is one to be read.
    #[must_use]
    pub fn value(&self) -> Option<&Content> {
        match self {
            Self::Value(value) | Self::Merged(value) => Some(value),
            Self::NotANumber | Self::Deleted => None,
        }
    }
}

impl std::fmt::Debug for Written {
    /// Says how much it is, not what.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(value) => write!(f, "Value({value:?})"),
            Self::Merged(value) => write!(f, "Merged({value:?})"),
            Self::NotANumber => f.write_str("NotANumber"),
            Self::Deleted => f.write_str("Deleted"),
        }
    }
}

/// The history of a key, being read. Its futures may be dropped at any time: the next call goes on where the
/// last one that finished ended.
#[derive(Debug)]
pub struct History {
    snapshot: Snapshot,
    key: Bytes,
    ready: VecDeque<(Version, Written)>,
    /// The version from which on downwards is still to be read.
    upto: Version,
    horizon: Version,
}

impl History {
    /// The revision before, or `None` after the first one that is kept. Whether there were others before that is told
    /// by the [`horizon`](Self::horizon).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SnapshotExpired`], [`ErrorKind::Corrupt`], [`ErrorKind::Storage`].
    pub async fn next(&mut self) -> Result<Option<Revision>> {
        while self.ready.is_empty() && self.upto > Version::ZERO {
            let (page, upto) = self.page().await?;
            (self.ready, self.upto) = (page, upto);
            self.horizon = self.horizon.max(self.snapshot.horizon()?);
        }
        let Some((version, written)) = self.ready.front().cloned() else { return Ok(None) };
        let commit = self.snapshot.find_commit(version).await?;
        self.ready.pop_front();
        Ok(Some(Revision { version, commit, written }))
    }

    /// The version where this history begins, as far as it was read: of what the key was before, nothing is told but what
    /// has a tag. [`Version::ZERO`] when it tells everything.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{At, Options, Store, Version};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// for value in ["1", "2", "3"] {
    ///     store.transact(async |tx| tx.put("a", value)).await?;
    /// }
    /// store.pack(At::Version(Version(2))).await?;
    /// let mut history = store.history("a").await?;
    /// let mut told = Vec::new();
    /// while let Some(revision) = history.next().await? {
    ///     told.push(revision.version);
    /// }
    /// assert_eq!((told, history.horizon()), (vec![Version(3), Version(2)], Version(2)));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn horizon(&self) -> Version {
        self.horizon
    }

    /// All that are left.
    ///
    /// # Errors
    ///
    /// Those of [`next`](Self::next).
    pub async fn collect(mut self) -> Result<Vec<Revision>> {
        let mut revisions = Vec::new();
        while let Some(revision) = self.next().await? {
            revisions.push(revision);
        }
        Ok(revisions)
    }

    /// The next revisions, and up to where those after them are.
    async fn page(&self) -> Result<(VecDeque<(Version, Written)>, Version)> {
        let view = &self.snapshot.view;
        let limit = PAGE_CHANGES_MAX + 1;
        let mut changes = view.changes(&self.key, Version::ZERO, self.upto, limit).await?;
        // One more than the page: whether a deletion did anything is told by what was before.
        let older = if changes.len() == limit { changes.pop() } else { None };
        let mut had_value =
            older.as_ref().is_some_and(|(_, change)| !matches!(change, Change::Delete));
        let mut before = Written::Deleted;
        let mut below = older.as_ref().map(|(version, _)| *version);
        // That of the view in which the changes were found, or a later one.
        let horizon = view.newest().system.horizon()?;
        let mut page = VecDeque::new();
        for (at, (version, change)) in changes.iter().rev().enumerate() {
            // Between what a tag keeps and the horizon something may be missing.
            let gap = below.is_some_and(|below| below < horizon) && *version > horizon;
            if gap {
                let stack = view.stack(&self.key, Version(version.0 - 1)).await?;
                had_value = stack.first().is_some_and(|(_, change)| *change != Change::Delete);
            }
            below = Some(*version);
            let written = match change {
                Change::Put(value) => Written::Value(value.clone().into()),
                Change::Ref(value) => Written::Value(Content(Kind::Large(value.clone()))),
                Change::Delete => Written::Deleted,
                // What the first of the page adds to is read; what the others add to is known by then. Of what is
                // no longer kept as it was merged, what it came to is read too.
                Change::Merge(merges) if at == 0 || merges.is_empty() || gap => {
                    merged(value(&view.stack(&self.key, *version).await?))?
                }
                Change::Merge(_) => after(&before, *version, change)?,
            };
            let has_value = written != Written::Deleted;
            if had_value || has_value {
                page.push_front((*version, written.clone()));
            }
            (had_value, before) = (has_value, written);
        }
        Ok((page, older.map_or(Version::ZERO, |(version, _)| version)))
    }
}

impl Snapshot {
    /// Everything that `key` was up to the version of the snapshot, newest first, as far back as it is
    /// [kept](History::horizon). A deletion of what had no value is not part of it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`] for a key longer than [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX),
    /// [`ErrorKind::Corrupt`].
    pub fn history(&self, key: impl AsRef<[u8]>) -> Result<History> {
        let key = space::key(space::USER, check_key(key.as_ref())?);
        let (upto, horizon) = (self.version, self.view.system.horizon()?);
        Ok(History { snapshot: self.clone(), key, ready: VecDeque::new(), upto, horizon })
    }
}

impl Store {
    /// Everything that `key` ever was, newest first, as far back as it is [kept](History::horizon). For what this handle knows, without a request, or up to a
    /// version, take that of a [snapshot](Snapshot::history).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`] for a key longer than [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX), and those
    /// of [`History::next`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{Merge, Options, Store, Written};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// store.transact(async |tx| tx.put("list", "a")).await?;
    /// store.transact(async |tx| tx.merge("list", Merge::Append("b".into()))).await?;
    /// store.transact(async |tx| tx.delete_range("k".."m")).await?;
    /// let revisions = store.history("list").await?.collect().await?;
    /// let written: Vec<_> = revisions.into_iter().map(|revision| revision.written).collect();
    /// assert_eq!(
    ///     written,
    ///     [Written::Deleted, Written::Merged("ab".into()), Written::Value("a".into())]
    /// );
    /// # Ok(())
    /// # }
    /// ```
    pub async fn history(&self, key: impl AsRef<[u8]>) -> Result<History> {
        self.snapshot(At::Latest).await?.history(key)
    }
}

/// What a merge makes of what was there before.
fn after(before: &Written, version: Version, merge: &Change) -> Result<Written> {
    let base = match before {
        Written::Value(value) | Written::Merged(value) => Change::from(value.clone()),
        Written::Deleted => Change::Delete,
        Written::NotANumber => return Ok(Written::NotANumber),
    };
    merged(value(&vec![(version, merge.clone()), (Version::ZERO, base)]))
}

fn merged(result: Result<Option<Content>>) -> Result<Written> {
    match result {
        Ok(value) => Ok(Written::Merged(value.unwrap_or_else(|| Bytes::new().into()))),
        Err(error) if error.kind() == ErrorKind::NotANumber => Ok(Written::NotANumber),
        Err(error) => Err(error),
    }
}

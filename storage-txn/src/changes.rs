//! What commits changed, key by key: what a change feed consists of.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::bounds::KeyRange;
use crate::commits::{Commit, Commits, LogScan, no_longer_kept};
use crate::content::Content;
use crate::renew::check_kept;
use crate::snapshot::Snapshot;
use crate::view::Walk;
use crate::writes::Range;
use crate::{At, Error, ErrorKind, Result, Store, Version, space};

/// One commit, and the store on both sides of it.
#[derive(Debug, Clone)]
pub struct CommitChanges {
    commit: Commit,
    before: Snapshot,
    after: Snapshot,
}

impl CommitChanges {
    /// The commit.
    #[must_use]
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// The store right before it.
    #[must_use]
    pub fn before(&self) -> &Snapshot {
        &self.before
    }

    /// The store right after it.
    #[must_use]
    pub fn after(&self) -> &Snapshot {
        &self.after
    }

    /// The keys it changed, in order, those that it deleted with their range among them; each with what it was
    /// before and after. Reads them one after the other: memory does not grow with the ranges.
    ///
    /// # Errors
    ///
    /// None before the first is read.
    pub fn keys(&self) -> Result<ChangedKeys> {
        let mut points: Vec<_> =
            self.commit.keys.iter().map(|key| space::key(space::USER, key)).collect();
        points.sort_unstable();
        points.dedup();
        let ranges = self.commit.ranges.iter().map(KeyRange::inside).collect::<Result<_>>()?;
        Ok(ChangedKeys {
            before: self.before.clone(),
            after: self.after.clone(),
            points: points.into(),
            ranges: disjoint(ranges),
            walk: None,
            emptied: None,
        })
    }
}

/// A key with what it was before a commit and after it: values, each with the version of its last change; `None`
/// where there was none.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangedKey {
    /// The key.
    pub key: Bytes,
    /// What it was.
    pub before: Option<(Version, Content)>,
    /// What it became.
    pub after: Option<(Version, Content)>,
}

impl std::fmt::Debug for ChangedKey {
    /// Says how much there is, not what.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let say = |side: &Side| match side {
            Some((version, value)) => format!("{} bytes of version {version}", value.size()),
            None => "nothing".to_owned(),
        };
        f.debug_struct("ChangedKey")
            .field("key", &format_args!("\"{}\"", self.key.escape_ascii()))
            .field("before", &format_args!("{}", say(&self.before)))
            .field("after", &format_args!("{}", say(&self.after)))
            .finish()
    }
}

/// The keys of one commit, being read. Its futures may be dropped at any time.
#[derive(Debug)]
pub struct ChangedKeys {
    before: Snapshot,
    after: Snapshot,
    points: VecDeque<Bytes>,
    /// In order, and none overlaps another.
    ranges: VecDeque<Range>,
    /// Over the first of the ranges.
    walk: Option<Walk>,
    /// The next key that was there in one of the ranges.
    emptied: Option<(Bytes, Version, Content)>,
}

impl ChangedKeys {
    /// The next key, or `None` after the last. One that had no value before and has none after is left out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotANumber`], and the next call goes on with the key after; [`ErrorKind::SnapshotExpired`],
    /// [`ErrorKind::Corrupt`], [`ErrorKind::Storage`].
    pub async fn next(&mut self) -> Result<Option<ChangedKey>> {
        loop {
            self.fill().await?;
            let emptied = self.emptied.as_ref().map(|(key, _, _)| key);
            let key = match (self.points.front(), emptied) {
                (Some(point), Some(emptied)) => point.min(emptied).clone(),
                (Some(key), None) | (None, Some(key)) => key.clone(),
                (None, None) => return Ok(None),
            };
            let read = self.read(&key).await;
            let passed = match &read {
                Ok(_) => true,
                Err(error) => error.kind() == ErrorKind::NotANumber,
            };
            if passed {
                if self.points.front() == Some(&key) {
                    self.points.pop_front();
                }
                self.emptied.take_if(|(emptied, _, _)| *emptied == key);
            }
            let (before, after) = read?;
            if before.is_some() || after.is_some() {
                return Ok(Some(ChangedKey { key: space::strip(&key), before, after }));
            }
        }
    }

    /// All that are left.
    ///
    /// # Errors
    ///
    /// Those of [`next`](Self::next).
    pub async fn collect(mut self) -> Result<Vec<ChangedKey>> {
        let mut keys = Vec::new();
        while let Some(key) = self.next().await? {
            keys.push(key);
        }
        Ok(keys)
    }

    async fn fill(&mut self) -> Result<()> {
        while self.emptied.is_none() {
            if let Some(walk) = &mut self.walk {
                self.emptied = walk.next().await?;
                if self.emptied.is_none() {
                    self.walk = None;
                    self.ranges.pop_front();
                }
            } else if let Some(range) = self.ranges.front() {
                let Snapshot { view, version, .. } = &self.before;
                self.walk = Some(Walk::new(view, *version, range, false, None).await?);
            } else {
                break;
            }
        }
        Ok(())
    }

    async fn read(&self, key: &Bytes) -> Result<(Side, Side)> {
        let before = match &self.emptied {
            Some((emptied, version, value)) if emptied == key => Some((*version, value.clone())),
            _ => self.before.view.find(key, self.before.version).await?,
        };
        Ok((before, self.after.view.find(key, self.after.version).await?))
    }
}

type Side = Option<(Version, Content)>;

/// Commits with their changes, being read in order. Its futures may be dropped at any time: the next call goes
/// on where the last one that finished ended.
#[derive(Debug)]
pub struct Changes {
    snapshot: Snapshot,
    commits: Commits,
    /// The version of the last commit that was read: the next must follow on it.
    read: Version,
    maintenance: bool,
}

impl Changes {
    /// The next commit that changes keys, or `None` after the last.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SnapshotExpired`] when there was one that is no longer kept, [`ErrorKind::Corrupt`],
    /// [`ErrorKind::Storage`].
    pub async fn next(&mut self) -> Result<Option<CommitChanges>> {
        while self.read < self.snapshot.version {
            let next = Version(self.read.0 + 1);
            let commit = self.commits.next().await?;
            let commit = commit.filter(|commit| commit.version == next);
            let commit = commit.ok_or_else(|| no_longer_kept(&self.snapshot.view, next))?;
            let before = self.snapshot.at(self.read)?;
            self.read = next;
            if self.maintenance || commit.changes_keys() {
                let after = self.snapshot.at(next)?;
                return Ok(Some(CommitChanges { commit, before, after }));
            }
        }
        Ok(None)
    }

    /// Also commits that change no key: see [`Commit::changes_keys`].
    #[must_use]
    pub fn with_maintenance(mut self) -> Self {
        self.maintenance = true;
        self
    }

    /// All that are left.
    ///
    /// # Errors
    ///
    /// Those of [`next`](Self::next).
    pub async fn collect(mut self) -> Result<Vec<CommitChanges>> {
        let mut all = Vec::new();
        while let Some(changes) = self.next().await? {
            all.push(changes);
        }
        Ok(all)
    }

    /// Up to which version everything has been read.
    pub(crate) fn read(&self) -> Version {
        self.read
    }
}

impl Snapshot {
    /// What leads from the store at `since` to this snapshot: every commit in between, in order. The first is the
    /// one after `since`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuchVersion`] when `since` is after the snapshot, and those of [`Changes::next`].
    pub async fn changes(&self, since: Version) -> Result<Changes> {
        if since > self.version {
            return Err(Error::new(
                ErrorKind::NoSuchVersion,
                format!("there are no changes from version {since} to {}", self.version),
            ));
        }
        let scan = LogScan::new(Version(since.0 + 1)..).forward().with_maintenance();
        let commits = self.log(&scan).await?;
        Ok(Changes { snapshot: self.clone(), commits, read: since, maintenance: false })
    }

    /// An earlier version of the same.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SnapshotExpired`].
    pub(crate) fn at(&self, version: Version) -> Result<Self> {
        check_kept(&self.view, version)?;
        Ok(Self { view: self.view.clone(), version, shared: self.shared.clone() })
    }
}

impl Store {
    /// What leads from the store at `since` to the store at `upto`: every commit in between, in order. The first
    /// is the one after `since`, the last is `upto`. For all that are still to come, [watch](Self::watch).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuchVersion`] when `since` is after `upto`, or `upto` is still to come, and those of
    /// [`Changes::next`].
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
    /// store.transact(async |tx| tx.put("a", "1")).await?;
    /// let upto = store.transact(async |tx| tx.delete_range(..)).await?.version;
    /// let mut changes = store.changes(Version(1), upto).await?;
    /// let deletion = changes.next().await?.expect("there is one after version 1");
    /// let keys = deletion.keys()?.collect().await?;
    /// assert_eq!(keys[0].key, "a");
    /// assert_eq!(keys[0].before, Some((Version(1), "1".into())));
    /// assert_eq!(keys[0].after, None);
    /// assert!(changes.next().await?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn changes(&self, since: Version, upto: Version) -> Result<Changes> {
        self.snapshot(At::Version(upto)).await?.changes(since).await
    }
}

/// The same keys, in ranges that are in order and do not overlap.
pub(crate) fn disjoint(mut ranges: Vec<Range>) -> VecDeque<Range> {
    ranges.sort_unstable();
    let mut disjoint: VecDeque<Range> = VecDeque::new();
    for range in ranges {
        match disjoint.back_mut() {
            Some(last) if range.start <= last.end => last.end = range.end.max(last.end.clone()),
            _ => disjoint.push_back(range),
        }
    }
    disjoint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_joined_where_they_touch_and_nowhere_else() {
        let table = [
            ("ab cd", "ab cd"),
            ("cd ab", "ab cd"),
            ("ab bc", "ac"),
            ("ac bd", "ad"),
            ("ad bc", "ad"),
            ("ab bc de", "ac de"),
            ("", ""),
        ];
        for (ranges, expected) in table {
            let read = |text: &str| -> Vec<Range> {
                let range = |pair: &str| Range {
                    start: Bytes::copy_from_slice(&pair.as_bytes()[..1]),
                    end: Bytes::copy_from_slice(&pair.as_bytes()[1..]),
                };
                text.split_whitespace().map(range).collect()
            };
            let found: Vec<_> = disjoint(read(ranges)).into_iter().collect();
            assert_eq!(found, read(expected), "{ranges}");
        }
    }
}

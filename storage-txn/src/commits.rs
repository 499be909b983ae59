//! Commits as the history keeps them: one by one, in order, and by time.

use std::ops::{Bound, RangeBounds};
use std::time::Duration;

use bytes::Bytes;

use crate::bounds::KeyRange;
use crate::format::commit::CommitRecord;
use crate::snapshot::Snapshot;
use crate::state::version_of;
use crate::view::{View, Walk, small};
use crate::writes::Range;
use crate::{At, Error, ErrorKind, Result, Store, TransactionId, Version, space};

/// What is kept of a transaction beside the values it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit {
    /// Where it stands in the order of all.
    pub version: Version,
    /// What its writer called it.
    pub transaction_id: TransactionId,
    /// When it was committed, since the Unix epoch, by the clock of the process that did it. Never less than
    /// that of the version before.
    pub time: Duration,
    /// Who made it, as [`set_author`](crate::Transaction::set_author) said.
    pub author: String,
    /// What it was for, as [`set_message`](crate::Transaction::set_message) said.
    pub message: String,
    /// The keys it changed one by one, in order.
    pub keys: Vec<Bytes>,
    /// The ranges it emptied, before it changed keys.
    pub ranges: Vec<KeyRange>,
    /// It only shuts its id out: see [`Store::outcome`].
    pub cancelled: bool,
}

impl Commit {
    /// Whether it changes users' keys. The rest is the store's own: maintenance, ids that were shut out.
    #[must_use]
    pub fn changes_keys(&self) -> bool {
        !(self.keys.is_empty() && self.ranges.is_empty())
    }

    fn decode(version: Version, value: Bytes) -> Result<Self> {
        let record = CommitRecord::decode_at(version, value)?;
        let corrupt = |what: &str| {
            Error::corrupt(format!("the commit record of version {version} has {what}"))
        };
        let id = record.id[..].try_into().map_err(|_| corrupt("an id that is not 16 bytes"))?;
        let users = space::all(space::USER);
        let mut ranges = Vec::new();
        for bounds in record.ranges.chunks(2) {
            match bounds {
                [start, end] if users.contains(start) && *end <= users.end => {
                    let range = Range { start: start.clone(), end: end.clone() };
                    ranges.push(KeyRange::of(&range));
                }
                _ => return Err(corrupt("a range that is none of users' keys")),
            }
        }
        Ok(Self {
            version,
            transaction_id: TransactionId(id),
            time: Duration::from_micros(record.time),
            author: record.author,
            message: record.message,
            keys: record.keys,
            ranges,
            cancelled: record.cancelled,
        })
    }
}

/// Names a commit, by either of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitRef {
    /// By its place in the order.
    Version(Version),
    /// By what its writer called it.
    Transaction(TransactionId),
}

impl From<Version> for CommitRef {
    fn from(version: Version) -> Self {
        Self::Version(version)
    }
}

impl From<TransactionId> for CommitRef {
    fn from(id: TransactionId) -> Self {
        Self::Transaction(id)
    }
}

/// Which commits to read, and in what order: the newest first, unless told otherwise.
///
/// # Examples
///
/// ```
/// use storage_txn::{LogScan, Version};
///
/// let last_ten = LogScan::new(..).limit(10);
/// let all_from_the_start = LogScan::new(Version(1)..).forward().with_maintenance();
/// # let _ = (last_ten, all_from_the_start);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogScan {
    first: Version,
    /// Exclusive.
    end: Version,
    backward: bool,
    limit: Option<usize>,
    maintenance: bool,
}

impl LogScan {
    /// Those with a version in this range.
    pub fn new(versions: impl RangeBounds<Version>) -> Self {
        let first = match versions.start_bound() {
            Bound::Included(version) => version.0,
            Bound::Excluded(version) => version.0.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match versions.end_bound() {
            Bound::Included(version) => version.0.saturating_add(1),
            Bound::Excluded(version) => version.0,
            Bound::Unbounded => u64::MAX,
        };
        let (first, end) = (Version(first), Version(end));
        Self { first, end, backward: true, limit: None, maintenance: false }
    }

    /// The oldest first.
    #[must_use]
    pub fn forward(mut self) -> Self {
        self.backward = false;
        self
    }

    /// At most so many.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Also those that change no key: see [`Commit::changes_keys`].
    #[must_use]
    pub fn with_maintenance(mut self) -> Self {
        self.maintenance = true;
        self
    }
}

/// Commits, being read in order. Its futures may be dropped at any time: the next call goes on where the last
/// one that finished ended.
#[derive(Debug)]
pub struct Commits {
    snapshot: Snapshot,
    walk: Walk,
    left: usize,
    maintenance: bool,
    backward: bool,
    /// The first version that was asked for, if one was.
    first: Version,
}

impl Commits {
    /// The next commit, or `None` after the last.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SnapshotExpired`] where it comes to commits that were asked for by version and are no longer kept,
    /// [`ErrorKind::Corrupt`], [`ErrorKind::Storage`].
    pub async fn next(&mut self) -> Result<Option<Commit>> {
        while self.left > 0 {
            let next = self.walk.next().await?;
            let horizon = self.snapshot.horizon()?;
            if self.first > Version::ZERO
                && self.first < horizon
                && (!self.backward || next.is_none())
            {
                return Err(no_longer_kept(&self.snapshot.view, self.first));
            }
            let Some((key, _, value)) = next else { break };
            let number = key[1..]
                .try_into()
                .map_err(|_| Error::corrupt("the key of a commit record is not a version"))?;
            let commit = Commit::decode(Version(u64::from_be_bytes(number)), small(value)?)?;
            if self.maintenance || commit.changes_keys() {
                self.left -= 1;
                return Ok(Some(commit));
            }
        }
        Ok(None)
    }

    /// All that are left.
    ///
    /// # Errors
    ///
    /// Those of [`next`](Self::next).
    pub async fn collect(mut self) -> Result<Vec<Commit>> {
        let mut commits = Vec::new();
        while let Some(commit) = self.next().await? {
            commits.push(commit);
        }
        Ok(commits)
    }
}

impl Snapshot {
    /// What is kept of the transaction that has this version or this id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuchVersion`] when there is none up to the version of the snapshot,
    /// [`ErrorKind::SnapshotExpired`], [`ErrorKind::Corrupt`], [`ErrorKind::Storage`].
    pub async fn commit_info(&self, of: impl Into<CommitRef>) -> Result<Commit> {
        let version = match of.into() {
            CommitRef::Version(version) => version,
            CommitRef::Transaction(id) => {
                match self.view.get(&space::id(id), self.version).await? {
                    Some((_, found)) => version_of(&found, id)?,
                    None => {
                        return Err(Error::new(
                            ErrorKind::NoSuchVersion,
                            format!("there is no transaction {id} up to version {}", self.version),
                        ));
                    }
                }
            }
        };
        if version == Version::ZERO || version > self.version {
            return Err(Error::new(
                ErrorKind::NoSuchVersion,
                format!(
                    "there is no transaction of version {version}: they go from 1 to {}",
                    self.version
                ),
            ));
        }
        self.find_commit(version).await?.ok_or_else(|| no_longer_kept(&self.view, version))
    }

    /// The commits up to the version of the snapshot. Where all are asked for, from whichever is the first, those that
    /// were [packed away](crate::Store::pack) are left out: see [`horizon`](Self::horizon).
    ///
    /// # Errors
    ///
    /// Those of [`Commits::next`].
    pub async fn log(&self, scan: &LogScan) -> Result<Commits> {
        let end = scan.end.min(Version(self.version.0.saturating_add(1)));
        let range = Range { start: space::commit(scan.first), end: space::commit(end) };
        Ok(Commits {
            walk: Walk::new(&self.view, self.version, &range, scan.backward, None).await?,
            left: scan.limit.unwrap_or(usize::MAX),
            maintenance: scan.maintenance,
            backward: scan.backward,
            first: scan.first,
            snapshot: self.clone(),
        })
    }

    /// The version from which on everything is kept: [`Version::ZERO`] as long as nothing was
    /// [packed away](crate::Store::pack). As this handle knows it now, which may be later than when the snapshot was taken.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`].
    pub fn horizon(&self) -> Result<Version> {
        self.shared.state().view.system.horizon()
    }

    /// `None` when it is no longer kept.
    pub(crate) async fn find_commit(&self, version: Version) -> Result<Option<Commit>> {
        let found = self.view.get(&space::commit(version), self.version).await?;
        found.map(|(_, value)| Commit::decode(version, value)).transpose()
    }
}

impl Store {
    /// What is kept of the transaction that has this version or this id. Costs a request only when this handle
    /// does not know of it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuchVersion`] when there is none, [`ErrorKind::SnapshotExpired`],
    /// [`ErrorKind::Corrupt`], [`ErrorKind::Storage`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{Options, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// let receipt = store
    ///     .transact(async |tx| {
    ///         tx.set_author("alice");
    ///         tx.put("greeting", "hello")
    ///     })
    ///     .await?;
    /// let commit = store.commit_info(receipt.transaction_id).await?;
    /// assert_eq!((commit.version, &commit.author[..]), (receipt.version, "alice"));
    /// assert_eq!(commit.keys, ["greeting"]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn commit_info(&self, of: impl Into<CommitRef>) -> Result<Commit> {
        let of = of.into();
        match self.snapshot(At::Known).await?.commit_info(of).await {
            Err(error) if error.kind() == ErrorKind::NoSuchVersion => {
                self.snapshot(At::Latest).await?.commit_info(of).await
            }
            found => found,
        }
    }

    /// The commits up to the latest version. For what this handle knows, without a request, or up to a version,
    /// take those of a [snapshot](Snapshot::log).
    ///
    /// # Errors
    ///
    /// Those of [`Commits::next`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{LogScan, Options, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// for day in ["monday", "tuesday"] {
    ///     store
    ///         .transact(async |tx| {
    ///             tx.set_message(day);
    ///             tx.put("today", day)
    ///         })
    ///         .await?;
    /// }
    /// let mut commits = store.log(&LogScan::new(..)).await?;
    /// while let Some(commit) = commits.next().await? {
    ///     println!("{} {}", commit.version, commit.message);
    /// }
    /// # let all = store.log(&LogScan::new(..)).await?.collect().await?;
    /// # assert_eq!(all.iter().map(|commit| &commit.message[..]).collect::<Vec<_>>(), ["tuesday", "monday"]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn log(&self, scan: &LogScan) -> Result<Commits> {
        self.snapshot(At::Latest).await?.log(scan).await
    }
}

/// The last version up to `last` whose time is not after `time`; 0 when the first one's is. Looks from the end in
/// growing steps, since mostly the recent past is asked for, and that is in memory.
pub(crate) async fn version_at(view: &View, last: Version, time: Duration) -> Result<Version> {
    let (mut low, mut high, mut step) = (0, last.0 + 1, 1);
    // What has the number `low` is not after `time`, and what has the number `high` is, or is not there.
    while high - low > 1 {
        let probe = high.saturating_sub(step).max(low + (high - low) / 2);
        match time_of(view, last, Version(probe)).await? {
            Some(found) if found > time => {
                high = probe;
                step *= 2;
            }
            // What is no longer kept is older than all that is.
            _ => low = probe,
        }
    }
    if low > 0 && time_of(view, last, Version(low)).await?.is_none() {
        return Err(no_longer_kept(view, Version(low)));
    }
    Ok(Version(low))
}

async fn time_of(view: &View, last: Version, version: Version) -> Result<Option<Duration>> {
    let Some((_, record)) = view.get(&space::commit(version), last).await? else { return Ok(None) };
    Ok(Some(Duration::from_micros(CommitRecord::decode_at(version, record)?.time)))
}

/// What is said of a version, or its commit, that is not found in a view, or in one that took its place meanwhile.
pub(crate) fn no_longer_kept(view: &View, version: Version) -> Error {
    match view.newest().system.horizon() {
        Ok(horizon) if version < horizon => Error::new(
            ErrorKind::SnapshotExpired,
            format!("version {version} is no longer kept: the horizon is version {horizon}"),
        ),
        Ok(_) => Error::corrupt(format!("version {version} has no commit record")),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn a_commit_record_with_ranges_that_are_not_of_users_keys_is_corrupt() {
        let user = |key: &str| space::key(space::USER, key.as_bytes());
        let end = space::all(space::USER).end;
        for (what, bounds, is_right) in [
            ("of users' keys", vec![user("a"), user("b")], true),
            ("to the last of them", vec![user("a"), end.clone()], true),
            ("of the store's own keys", vec![space::system(b"a"), space::system(b"b")], false),
            ("beyond users' keys", vec![user("a"), [&end[..], b"a"].concat().into()], false),
            ("without an end", vec![user("a")], false),
        ] {
            let record =
                CommitRecord { id: vec![7; 16].into(), ranges: bounds, ..CommitRecord::default() };
            let found = Commit::decode(Version(3), record.encode_to_vec().into());
            match found {
                Ok(_) => assert!(is_right, "a range {what}"),
                Err(error) => {
                    assert!(!is_right, "a range {what}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "a range {what}: {error}");
                }
            }
        }
    }
}

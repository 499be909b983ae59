//! A transaction: reads at one version, writes that wait, a commit.

mod large;
mod undo;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_channel::oneshot;
use storage_log::planted::planted;

use crate::bounds::{KeyRange, check_key};
use crate::change::{Change, Merge};
use crate::commit::{Hands, Waiting};
use crate::format::entry::Logged;
use crate::reads::Reads;
use crate::shared::Shared;
use crate::snapshot::{Item, Scan, Snapshot};
use crate::value::{Uploaded, Value};
use crate::view::{OWN, View, Walk, after};
use crate::writes::{Range, Writes};
use crate::{Error, ErrorKind, Result, TransactionId, Version, space};

pub(crate) use large::record_of;

/// What a commit answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt<T = ()> {
    /// What the closure of [`Store::transact`](crate::Store::transact) returned.
    pub value: T,
    /// The version of the transaction. One that wrote nothing has that of the state it read.
    pub version: Version,
    /// Its id.
    pub transaction_id: TransactionId,
    /// When it was committed, since the Unix epoch, by the clock of the process that did it. Never less than
    /// that of the version before.
    pub time: Duration,
}

/// A transaction under way. Clones are the same transaction; dropping them all does nothing to the store.
///
/// It reads the store as it was at one version, and its own writes on top. What it has read, keys that were
/// missing and ranges that were empty included, must not have changed when it is committed: so all transactions
/// that write are as if they ran one after the other, in an order that respects real time.
#[derive(Debug, Clone)]
pub struct Transaction {
    shared: Arc<Shared>,
    view: Arc<View>,
    version: Version,
    // Never held across an `.await`; several keys can be read at once.
    pending: Arc<Mutex<Pending>>,
}

/// What a transaction has gathered.
#[derive(Debug, Clone)]
struct Pending {
    id: TransactionId,
    repeated: bool,
    author: String,
    message: String,
    reads: Reads,
    required: Vec<(Bytes, Option<Version>)>,
    writes: Writes,
    committing: bool,
    /// Alive as long as the transaction is, unless it is being committed.
    token: Arc<()>,
    /// Values of others that it puts.
    values: Vec<Value>,
    /// What it has uploaded itself.
    uploads: Vec<Uploaded>,
}

impl Transaction {
    pub(crate) fn new(shared: Arc<Shared>, id: TransactionId) -> Self {
        let (view, version) = {
            let state = shared.state();
            (state.view.clone(), state.version)
        };
        let pending = Pending {
            id,
            repeated: false,
            author: String::new(),
            message: String::new(),
            reads: Reads::default(),
            required: Vec::new(),
            writes: Writes::default(),
            committing: false,
            token: Arc::new(()),
            values: Vec::new(),
            uploads: Vec::new(),
        };
        Self { shared, view, version, pending: Arc::new(Mutex::new(pending)) }
    }

    /// The version it reads at.
    #[must_use]
    pub fn read_version(&self) -> Version {
        self.version
    }

    /// Its id, under which it can be asked about later.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.pending().id
    }

    /// Gives it an id that the caller has kept: one that was committed with it already is not committed
    /// again, and its receipt is that of the first time.
    pub fn set_id(&self, id: TransactionId) {
        let mut pending = self.pending();
        pending.id = id;
        pending.repeated = true;
    }

    /// Says who makes it, for its place in the history.
    pub fn set_author(&self, author: impl Into<String>) {
        self.pending().author = author.into();
    }

    /// Says what it is for, for its place in the history.
    pub fn set_message(&self, message: impl Into<String>) {
        self.pending().message = message.into();
    }

    /// The value of `key`, or `None`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`] for a key longer than [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX) and for a value
    /// larger than [`get_bytes_max`](crate::Options::get_bytes_max), [`ErrorKind::NotANumber`], [`ErrorKind::SnapshotExpired`], [`ErrorKind::Corrupt`],
    /// [`ErrorKind::Storage`].
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        match self.content(key.as_ref()).await? {
            Some(content) => self.shared.bytes_of(content).await.map(Some),
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

    /// Keys and values in order: all of a range, backward or forward, up to a limit.
    ///
    /// Only what was seen counts as read: up to the last item when the limit ended it, the whole range when it
    /// was exhausted.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub async fn scan(&self, scan: &Scan) -> Result<Vec<Item>> {
        let range = scan.range()?;
        let own = self.pending().writes.clone();
        let backward = scan.is_backward();
        let mut walk = Walk::new(&self.view, self.version, &range, backward, Some(&own)).await?;
        let mut items = Vec::new();
        let mut seen = range.clone();
        while items.len() < scan.limit_or_max() {
            let Some((key, version, value)) = walk.next().await? else { break };
            if items.len() + 1 == scan.limit_or_max() {
                if scan.is_backward() != planted("scan-counts-the-wrong-end") {
                    seen.start = key.clone();
                } else if planted("scan-does-not-count-its-last-key") {
                    seen.end = key.clone();
                } else {
                    seen.end = after(&key);
                }
            }
            let version = if version == OWN { None } else { Some(version) };
            let value = self.shared.bytes_of(value).await?;
            items.push(Item { key: space::strip(&key), value, version });
        }
        if scan.limit_or_max() > 0 && !(items.is_empty() && planted("scan-of-nothing-is-no-read")) {
            self.pending().reads.range(seen);
        }
        Ok(items)
    }

    /// Gives `key` this value. One larger than [`inline_bytes_max`](crate::Options::inline_bytes_max) is uploaded when
    /// the transaction is committed; for those larger than memory see [`put_stream`](Self::put_stream).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`] for a key longer than [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX).
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Result<()> {
        self.change(key.as_ref(), Change::Put(value.into()))
    }

    /// Takes the value of `key` away, if there is one.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        self.change(key.as_ref(), Change::Delete)
    }

    /// Changes whatever value `key` has when the transaction is committed. Does not count as a read, so merges
    /// never conflict with each other.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), also for more than [`INLINE_BYTES_MAX`](crate::INLINE_BYTES_MAX) to append;
    /// [`ErrorKind::NotANumber`] when this transaction itself has put something that is not a number there.
    pub fn merge(&self, key: impl AsRef<[u8]>, merge: Merge) -> Result<()> {
        merge.check()?;
        self.change(key.as_ref(), Change::Merge(vec![merge]))
    }

    /// Takes the values of all keys in a range away, also of those that appear there before the commit.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`] for a bound longer than [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX).
    pub fn delete_range(&self, range: impl Into<KeyRange>) -> Result<()> {
        let range: Range = range.into().inside()?;
        self.open()?.writes.delete_range(range);
        Ok(())
    }

    /// Commits only if `key` has this version then; `None` is a key without a value. Does not count as a read:
    /// no other change makes the transaction run again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`] for a key longer than [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX).
    pub fn require(&self, key: impl AsRef<[u8]>, version: Option<Version>) -> Result<()> {
        let key = space::key(space::USER, check_key(key.as_ref())?);
        self.open()?.required.push((key, version));
        Ok(())
    }

    /// Commits it: all of it or nothing.
    ///
    /// Dropping this future leaves the outcome unknown; ask [`Store::outcome`](crate::Store::outcome).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`], [`ErrorKind::PreconditionFailed`], [`ErrorKind::Cancelled`],
    /// [`ErrorKind::LimitExceeded`], and of the provider's [`ErrorKind::Corrupt`] and [`ErrorKind::Storage`]:
    /// nothing was done. [`ErrorKind::CommitUnknown`]: nobody knows.
    pub async fn commit(self) -> Result<Receipt> {
        let mut pending = {
            let mut pending = self.open()?;
            pending.committing = true;
            // Nobody reads the writes any more when nobody else has the transaction.
            let last = Arc::strong_count(&self.pending) == 1;
            let taken = last.then(|| std::mem::take(&mut pending.writes));
            let mut copy = pending.clone();
            copy.writes = taken.unwrap_or(copy.writes);
            copy
        };
        let result = self.commit_pending(&mut pending).await;
        match &result {
            Err(error) if matches!(error.kind(), ErrorKind::CommitUnknown(_)) => {
                self.shared.counts.unknown.one();
            }
            Err(error) => {
                if error.kind() == ErrorKind::Conflict {
                    self.shared.counts.conflicts.one();
                }
                pending.values.iter().for_each(Value::release);
                self.shared.delete_uploads(&pending.uploads).await;
            }
            Ok(_) => {}
        }
        result
    }

    /// Commits what was gathered. When it is not committed for certain, nothing names what it has uploaded.
    async fn commit_pending(&self, pending: &mut Pending) -> Result<Receipt> {
        let bytes = pending.writes.bytes() + pending.author.len() + pending.message.len();
        let bytes_max = self.shared.options.transaction_bytes_max;
        if bytes > bytes_max {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!(
                    "the transaction writes {bytes} bytes, more than the {bytes_max} of transaction_bytes_max"
                ),
            ));
        }
        if pending.writes.is_empty() && pending.required.is_empty() && !pending.repeated {
            return self.check().await;
        }
        let uploads = self.shared.upload_large(&mut pending.writes).await?;
        pending.uploads.extend(uploads);
        // What it has put from a stream and then overwritten or deleted itself will never be named.
        let uploads = std::mem::take(&mut pending.uploads);
        let (named, unnamed) = Uploaded::named_in(uploads, &pending.writes);
        self.shared.delete_uploads(&unnamed).await;
        pending.uploads = named;
        // From here on it may be in the log, also when nobody waits for the answer.
        pending.values.iter().for_each(Value::spend);
        let uploaded = pending.uploads.iter().map(|upload| upload.session());
        let sessions = uploaded.chain(pending.values.iter().filter_map(Value::session)).collect();
        let (id, (reply, answer)) = (pending.id, oneshot::channel());
        self.shared.enqueue(Waiting {
            transaction: Logged {
                id,
                author: std::mem::take(&mut pending.author),
                message: std::mem::take(&mut pending.message),
                cancelled: false,
                writes: std::mem::take(&mut pending.writes),
            },
            reads: std::mem::take(&mut pending.reads),
            read_at: self.version,
            required: std::mem::take(&mut pending.required),
            sessions,
            repeated: pending.repeated,
            hands: Hands::Own,
            refused: None,
            reply,
        })?;
        answer.await.unwrap_or_else(|oneshot::Canceled| {
            Err(Error::new(
                ErrorKind::CommitUnknown(id),
                format!(
                    "nobody knows whether transaction {id} was committed: its task was stopped"
                ),
            ))
        })
    }

    /// Whether what it has read is still so at the end of the log. For a transaction without writes that is all
    /// there is to commit: its place in the order is there, and needs no entry.
    pub(crate) async fn check(&self) -> Result<Receipt> {
        if !planted("reads-are-checked-against-what-is-known") {
            self.shared.refresh().await?;
        }
        let (view, version, time) = {
            let state = self.shared.state();
            (state.view.clone(), state.version, Duration::from_micros(state.time))
        };
        let (id, reads) = {
            let pending = self.pending();
            (pending.id, pending.reads.clone())
        };
        if version != self.version && reads.changed(&view, self.version).await? {
            return Err(Error::new(
                ErrorKind::Conflict,
                "another transaction has changed what this one has read",
            ));
        }
        Ok(Receipt { value: (), version, transaction_id: id, time })
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let (shared, view) = (self.shared.clone(), self.view.clone());
        Snapshot { shared, view, version: self.version }
    }

    fn change(&self, key: &[u8], change: Change) -> Result<()> {
        self.open()?.writes.change(space::key(space::USER, check_key(key)?), change)
    }

    /// To write to.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Aborted`] when it is being committed: what came later would be lost.
    fn open(&self) -> Result<MutexGuard<'_, Pending>> {
        let pending = self.pending();
        if pending.committing {
            return Err(Error::new(
                ErrorKind::Aborted,
                format!("transaction {} is being committed and takes no more writes", pending.id),
            ));
        }
        Ok(pending)
    }

    // Nothing that holds the lock can panic.
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

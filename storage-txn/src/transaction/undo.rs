//! Undoing a transaction: another one that puts back what was there before.

use bytes::Bytes;
use storage_log::planted::planted;

use crate::bounds::KeyRange;
use crate::change::{Change, value_of};
use crate::changes::disjoint;
use crate::commits::{Commit, CommitRef, no_longer_kept};
use crate::snapshot::Snapshot;
use crate::transaction::{Receipt, Transaction, record_of};
use crate::view::Walk;
use crate::{Error, ErrorKind, Result, Store, Version, space};

/// How many changes of a key are looked at together.
const CHANGES_AT_ONCE: usize = 64;
/// How many keys a refusal names.
const NAMED_MAX: usize = 8;

impl Transaction {
    /// Puts back, in this transaction, every key that another one has changed to what it was before. Tells which
    /// one that is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PreconditionFailed`], with nothing added to this transaction, when one of the keys has been
    /// changed since, or when no key was changed; [`ErrorKind::NoSuchVersion`] when there is no such commit up to
    /// the version this transaction reads at; [`ErrorKind::SnapshotExpired`] when what was before, or has been
    /// since, is no longer kept; [`ErrorKind::NotANumber`], [`ErrorKind::Corrupt`], [`ErrorKind::Storage`].
    pub async fn undo(&self, what: impl Into<CommitRef>) -> Result<Commit> {
        let now = self.snapshot();
        let commit = now.commit_info(what).await?;
        let version = commit.version;
        if !commit.changes_keys() {
            return Err(Error::new(
                ErrorKind::PreconditionFailed,
                format!("version {version} has changed no key, so there is nothing to undo"),
            ));
        }
        let before = now.at(Version(version.0 - 1))?;
        let (mut restored, mut needed) = (Vec::new(), Vec::new());
        let mut overtaken = Overtaken::default();
        for key in touched(&commit, &before).await? {
            if !changed_since(&now, &key, version).await?
                || planted("undo-passes-over-what-came-after")
            {
                let change = was(&before, &key, &mut needed).await?;
                restored.push((key, change));
            } else {
                overtaken.add(&key);
            }
        }
        overtaken.check(version)?;
        // What has changed since can only be told of what was kept all the time: that there are tags is not enough.
        let newest = now.view.newest();
        if before.version < newest.system.horizon()? {
            return Err(no_longer_kept(&newest, before.version));
        }
        let mut pending = self.open()?;
        for (key, change) in restored {
            // Whoever changes it before this transaction is committed is in its way.
            pending.reads.key(key.clone());
            pending.writes.change(key, change)?;
        }
        // Whoever lets go of a large value that is put back is in the way too.
        needed.into_iter().for_each(|record| pending.reads.key(record));
        drop(pending);
        Ok(commit)
    }
}

impl Store {
    /// Commits a transaction that undoes another one: every key that it has changed, alone or with its range,
    /// gets back what it had before. What is undone stays in the history, and an undo can itself be undone.
    ///
    /// For an author, a message or writes of your own beside it, use [`Transaction::undo`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PreconditionFailed`], naming the keys, when one of them has been changed since, or when there
    /// is nothing to undo; and those of [`Transaction::undo`] and [`Transaction::commit`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use storage_txn::{At, ErrorKind, Options, Store};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), storage_txn::Error> {
    /// # let provider = Arc::new(backend_memory::MemoryProvider::new());
    /// # let env = Arc::new(storage_wrappers::TokioEnv::new());
    /// # let store = Store::init(provider, env, Options::default()).await?;
    /// store.transact(async |tx| tx.put("letter", "dear")).await?;
    /// let mistake = store.transact(async |tx| tx.delete_range(..)).await?;
    /// let undo = store.undo(mistake.version).await?;
    /// let now = store.snapshot(At::Known).await?;
    /// assert_eq!(now.get("letter").await?.as_deref(), Some(&b"dear"[..]));
    ///
    /// let again = store.undo(mistake.transaction_id).await.unwrap_err();
    /// assert_eq!(again.kind(), ErrorKind::PreconditionFailed);
    /// store.undo(undo.transaction_id).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn undo(&self, what: impl Into<CommitRef>) -> Result<Receipt> {
        let commit = self.commit_info(what).await?;
        let receipt = self.transact(async |tx| {
            let message = format!("undo version {}: {}", commit.version, commit.message);
            tx.set_message(message.trim_end_matches(": "));
            tx.undo(commit.version).await
        });
        let Receipt { version, transaction_id, time, .. } = receipt.await?;
        Ok(Receipt { value: (), version, transaction_id, time })
    }
}

/// The keys that a commit has changed: those it names, and those that were there in its ranges.
async fn touched(commit: &Commit, before: &Snapshot) -> Result<Vec<Bytes>> {
    let mut keys: Vec<_> = commit.keys.iter().map(|key| space::key(space::USER, key)).collect();
    let ranges = commit.ranges.iter().map(KeyRange::inside).collect::<Result<_>>()?;
    for range in disjoint(ranges) {
        let mut walk = Walk::new(&before.view, before.version, &range, false, None).await?;
        while let Some((key, _, _)) = walk.next().await? {
            keys.push(key);
        }
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// Whether anything was done to a key after `version`. To delete what has no value is nothing.
async fn changed_since(now: &Snapshot, key: &[u8], version: Version) -> Result<bool> {
    let was = now.view.stack(key, version).await?;
    let had_value = was.first().is_some_and(|(_, change)| *change != Change::Delete);
    let mut upto = now.version;
    while upto > version {
        let changes = now.view.changes(key, version, upto, CHANGES_AT_ONCE).await?;
        let Some((last, _)) = changes.last() else { break };
        if had_value || changes.iter().any(|(_, change)| *change != Change::Delete) {
            return Ok(true);
        }
        upto = Version(last.0 - 1);
    }
    Ok(false)
}

/// The change that makes a key what it was. To `needed` goes the record that its large value is needed.
async fn was(before: &Snapshot, key: &Bytes, needed: &mut Vec<Bytes>) -> Result<Change> {
    let stack = before.view.stack(key, before.version).await?;
    needed.extend(record_of(key, &stack));
    match stack.first() {
        Some((_, change)) if change.is_final() => Ok(change.clone()),
        _ => Ok(value_of(key, &stack)?.map_or(Change::Delete, Change::from)),
    }
}

/// Keys that were changed since: all are counted, the first are named.
#[derive(Default)]
struct Overtaken {
    named: Vec<String>,
    more: usize,
}

impl Overtaken {
    fn add(&mut self, key: &Bytes) {
        if self.named.len() < NAMED_MAX {
            self.named.push(format!("\"{}\"", space::strip(key).escape_ascii()));
        } else {
            self.more += 1;
        }
    }

    fn check(&self, version: Version) -> Result<()> {
        if self.named.is_empty() {
            return Ok(());
        }
        let more = match self.more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Err(Error::new(
            ErrorKind::PreconditionFailed,
            format!(
                "version {version} cannot be undone: changed since: {}{more}",
                self.named.join(", ")
            ),
        ))
    }
}

//! Following: entry by entry, what each names before it.

use futures_util::TryStreamExt;
use storage_core::{PutIf, StorageProvider, StorageProviderExt};
use storage_log::{Head, Record, catch_up, catch_up_while};

use super::copy::Named;
use super::{FILLED, Followed, PROMOTED, Reached, Replica, ReplicaProgress, Tell};
use crate::checkpoint::{newest_name, newest_readable};
use crate::format::checkpoint::{Checkpoint, PREFIX};
use crate::format::entry::Batch;
use crate::store::{key, prefix};
use crate::{Error, ErrorKind, Result, Version};

/// How many checkpoints the copy keeps, as many as a collection does.
const CHECKPOINTS_KEPT: usize = 2;
/// At most about so many bytes of entries are held in memory.
const BYTES_AT_ONCE: usize = 32 << 20;

impl Replica {
    /// Copies what the copy lacks, up to the end of the store's log as it was at some time during this call, and tells
    /// `tell` how far it is. When it is interrupted, the copy ends at an entry.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] when the copy has gone its own way, as after it was [promoted](Self::promote);
    /// [`ErrorKind::Corrupt`], [`ErrorKind::NoStore`], [`ErrorKind::Storage`]. Call it again after what may pass.
    pub async fn follow(
        &mut self,
        tell: &mut (dyn FnMut(ReplicaProgress) + Send),
    ) -> Result<Followed> {
        if self.is_there(PROMOTED).await? {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "the replica on {} was promoted: it is a store of its own and follows nothing",
                    self.target.info().name
                ),
            ));
        }
        let mut done = ReplicaProgress::default();
        if !self.is_there(FILLED).await? {
            done = self.fill(tell).await?;
        }
        self.settle().await?;
        loop {
            let Some(end) = self.copy_some(&mut done, tell).await? else {
                // What is next was collected, so nothing less will do.
                done = self.fill(tell).await?;
                continue;
            };
            if end {
                break;
            }
        }
        self.copy_checkpoint(&mut done).await?;
        let Reached { head, version, time } = self.reached().await?;
        Ok(Followed {
            version,
            time: std::time::Duration::from_micros(time),
            slot: head.slot.0,
            copied: done,
        })
    }

    /// Lets the store delete what the copy lacks: for who will not follow any more. It would do so anyhow, a while after.
    pub async fn release(&mut self) {
        self.hold.release().await;
    }

    /// Where the copy ends, by what it has itself.
    pub(super) async fn reached(&self) -> Result<Reached> {
        if let Some(reached) = self.reached {
            return Ok(reached);
        }
        let newest = newest_name(&*self.target).await?;
        let (checkpoint, _) = newest_readable(&*self.target, self.root.id, newest).await?;
        let (head, mut version, mut time) = match &checkpoint {
            Some(checkpoint) => {
                let Checkpoint { flushed, .. } = checkpoint;
                (checkpoint.head()?, Version(flushed.version), flushed.time)
            }
            None => (Head::genesis(self.root.id), Version::ZERO, 0),
        };
        let mut wrong = None;
        let ahead = self.options.entries_at_once;
        let head = catch_up(&self.target_log, head, 1, ahead, |record| {
            match record.body().map(Batch::decode).transpose() {
                Ok(Some(batch)) => {
                    version = Version(version.0 + batch.transactions.len() as u64);
                    time = batch.time;
                }
                Ok(None) => {}
                Err(error) => wrong = wrong.take().or(Some(error)),
            }
            Ok(())
        });
        let head = head.await?;
        wrong.map_or(Ok(Reached { head, version, time }), Err)
    }

    /// Finds out where the copy ends, and has the store keep what comes after that.
    async fn settle(&mut self) -> Result<()> {
        let reached = self.reached().await?;
        self.reached = Some(reached);
        self.hold.keep(reached.version).await
    }

    /// Copies the next entries. Whether these were the last; `None` when what comes next is there no more.
    async fn copy_some(
        &mut self,
        done: &mut ReplicaProgress,
        tell: Tell<'_>,
    ) -> Result<Option<bool>> {
        let log = self.source_log().await?;
        let mut reached = self.reached().await?;
        let (mut records, mut bytes): (Vec<Record>, usize) = (Vec::new(), 0);
        let at_once = self.options.entries_at_once.max(1);
        let (_, end) = catch_up_while(&*log, reached.head, 1, at_once, |record| {
            bytes += record.body().map_or(0, bytes::Bytes::len);
            records.push(record);
            Ok(records.len() < at_once && bytes < BYTES_AT_ONCE)
        })
        .await?;
        let mut batches = Vec::with_capacity(records.len());
        let mut named = Named::default();
        for record in &records {
            let Some(body) = record.body() else { return Ok(None) };
            let batch = Batch::decode(body)?;
            named.add(&batch)?;
            batches.push(batch);
        }
        if !self.copy_objects(named.needed, done, tell).await?.is_empty() {
            // They were needed for a while only, which is over.
            return Ok(None);
        }
        for (record, batch) in records.iter().zip(&batches) {
            done.bytes += self.put_record(record).await?;
            done.entries += 1;
            done.entries_total = done.entries_total.max(done.entries);
            reached = Reached {
                head: reached.head.follow(record)?,
                version: Version(reached.version.0 + batch.transactions.len() as u64),
                time: batch.time,
            };
            self.reached = Some(reached);
            tell(*done);
        }
        self.owes_checkpoint |= named.flushed;
        self.delete(named.deleted).await?;
        self.hold.keep(reached.version).await?;
        Ok(Some(end))
    }

    /// Copies the newest checkpoint, once it is of what the copy has, and takes old ones away.
    async fn copy_checkpoint(&mut self, done: &mut ReplicaProgress) -> Result<()> {
        if !self.owes_checkpoint {
            return Ok(());
        }
        let Some(newest) = newest_name(&*self.source.objects).await? else { return Ok(()) };
        let (found, _) = newest_readable(&*self.source.objects, self.root.id, Some(newest)).await?;
        let Some(found) = found else { return Ok(()) };
        let reached = self.reached().await?;
        // It says what system keys are at its version, which the copy must have reached too.
        if found.flushed.slot > reached.head.slot.0 || found.version > reached.version {
            return Ok(());
        }
        let name = found.key()?;
        if self.target.try_get(&name).await?.is_none() {
            let body = found.encode(self.root.id);
            done.objects += 1;
            done.bytes += body.len() as u64;
            self.target.put(&name, body, PutIf::Always).await?;
        }
        self.owes_checkpoint = false;
        let folder = prefix(PREFIX)?;
        let all: Vec<_> = self.target.list_all(&folder).try_collect().await?;
        for older in all.into_iter().skip(CHECKPOINTS_KEPT) {
            self.target.delete(&key(older.key.as_str())?).await?;
        }
        Ok(())
    }
}

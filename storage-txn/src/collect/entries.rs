//! Entries of the log: tombstones take the place of those that a checkpoint covers.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use storage_core::{ErrorKind as StorageErrorKind, Get, StorageProvider};
use storage_log::planted::planted;
use storage_log::{CommitLog, Slot};

use super::{ATTEMPTS_MAX, Collection};
use crate::format::segment::SegmentId;
use crate::store::key;
use crate::system::Tombstones;
use crate::{Error, ErrorKind, Result, Version};

/// How many entries are replaced at once.
const ENTRIES_AT_ONCE: usize = 16;
/// How many segments are looked for at once.
const SEGMENTS_AT_ONCE: usize = 16;
/// After so many entries it is written down how far the log was collected.
const ENTRIES_WRITTEN_DOWN: u64 = 4096;
/// How many bytes more a tombstone has than an entry without a body.
const TOMBSTONE_BYTES: u64 = 32;

impl Collection<'_> {
    /// Deletes what is before the oldest checkpoint that is kept. Tells how far the log was collected, if further than
    /// before.
    pub(super) async fn log(&mut self) -> Result<Option<Tombstones>> {
        let before = self.shared.state().view.system.tombstones()?;
        let checkpoints = self.checkpoints().await?;
        let Some(base) = self.base(checkpoints, before.slot).await? else { return Ok(None) };
        let last = self.shared.state().head.slot.0.saturating_sub(self.options.entries_kept);
        let mut now = Tombstones { slot: base.flushed.slot, version: base.flushed.version };
        if last < now.slot {
            now = Tombstones { slot: last.max(before.slot), version: before.version };
        }
        if planted("collection-goes-beyond-the-checkpoint") {
            now.slot = last;
        }
        if now.slot > before.slot {
            self.check_segments(Version(before.version), Version(base.flushed.version)).await?;
            self.bury(before, now).await?;
        }
        self.done.checkpoints += base.older.len() as u64;
        self.done.bytes += base.older.iter().map(|listed| listed.size).sum::<u64>();
        self.delete(base.older.into_iter().map(|listed| listed.key).collect()).await?;
        Ok((now.slot > before.slot).then_some(now))
    }

    /// Replaces the entries after one slot, up to another, by their tombstones.
    async fn bury(&mut self, before: Tombstones, now: Tombstones) -> Result<()> {
        if self.options.dry_run {
            self.done.entries += now.slot - before.slot;
            return Ok(());
        }
        let mut done = before.slot;
        while done < now.slot {
            let upto = now.slot.min(done + ENTRIES_WRITTEN_DOWN);
            let log = &self.shared.log;
            let buried = stream::iter(done + 1..=upto).map(|slot| async move {
                let Some(record) = log.read(Slot(slot)).await? else {
                    return Err(Error::corrupt(format!(
                        "log slot {slot} is missing, which is before the end of the log"
                    )));
                };
                log.collect(&record).await?;
                Ok(record.body().map(|body| body.len() as u64))
            });
            let bodies: Vec<_> = buried.buffer_unordered(ENTRIES_AT_ONCE).try_collect().await?;
            for bytes in bodies.into_iter().flatten() {
                self.done.entries += 1;
                self.done.bytes += bytes.saturating_sub(TOMBSTONE_BYTES);
            }
            done = upto;
            if done < now.slot {
                let reached = Tombstones { slot: done, version: before.version };
                self.write_down(&[], Some(reached)).await?;
            }
        }
        Ok(())
    }

    /// Looks whether the segments are there that hold what was committed after one version and up to another: with the
    /// log they could be made again, and without it they cannot.
    async fn check_segments(&self, after: Version, upto: Version) -> Result<()> {
        for _ in 0..ATTEMPTS_MAX {
            let system = self.shared.state().view.system.clone();
            let of_interest = system.segments()?.into_iter().filter(|(_, _, about)| {
                about.first_version <= upto.0 && about.last_version > after.0
            });
            let looks = stream::iter(of_interest).map(|(id, _, about)| async move {
                Ok::<_, Error>((id, self.is_whole(id, about.bytes).await?))
            });
            let looked: Vec<_> = looks.buffered(SEGMENTS_AT_ONCE).try_collect::<Vec<_>>().await?;
            let Some((lost, _)) = looked.into_iter().find(|(_, whole): &(_, bool)| !whole) else {
                return Ok(());
            };
            // It may have been compacted and collected since this handle read the log.
            self.shared.refresh().await?;
            if self.shared.state().view.system.names_object(&key(lost.to_string())?) {
                return Err(Error::corrupt(format!(
                    "{lost} is missing or has another size, so the log it was made from is not collected"
                )));
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            format!("segments were replaced during each of {ATTEMPTS_MAX} attempts to collect"),
        ))
    }

    async fn is_whole(&self, id: SegmentId, bytes: u64) -> Result<bool> {
        let object = self.shared.shelf.provider.get(&key(id.to_string())?, Get::meta_only()).await;
        match object {
            Ok(object) => Ok(object.size == bytes),
            Err(error) if error.kind() == StorageErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

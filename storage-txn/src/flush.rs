//! Flushing: what is in memory goes into segments, in the background, one flush of a handle at a time.

mod frozen;

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use futures_channel::oneshot;
use prost::Message;
use storage_core::{PutIf, StorageProvider, StorageProviderExt};
use storage_log::planted::planted;

use crate::change::Change;
use crate::commit::{Hands, Waiting};
use crate::format::entry::Logged;
use crate::format::segment::{SegmentId, SegmentRef};
use crate::reads::Reads;
use crate::segment::{Stored, Writer};
use crate::shared::Shared;
use crate::store::key;
use crate::system::{FLUSHED, Obsolete, make_obsolete};
use crate::turns::yield_now;
use crate::writes::Writes;
use crate::{Error, ErrorKind, Result, TransactionId, Version, space};

pub(crate) use frozen::Frozen;
use frozen::Points;

/// How often a flush begins again because another process was faster.
pub(crate) const ATTEMPTS_MAX: usize = 8;
/// A handle that only reads leaves flushing to those who write, until it has so many times as much in memory
/// as they should.
const READER_PATIENCE: usize = 4;

/// In how many steps those who write to the same log differ in their patience.
const PATIENCE_STEPS: u64 = 1024;
/// After so many changes others get their turn.
pub(crate) const CHANGES_AT_ONCE: usize = 256;

/// The flushes of a handle.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    running: bool,
    /// Whether there is one to do for nobody who waits.
    wanted: bool,
    waiting: Vec<oneshot::Sender<Result<()>>>,
    /// How many segments this handle has named.
    segments: u32,
    /// Whether it has flushed in the background, and so compacts after every flush.
    compacts: bool,
    /// Whether a flush of this handle was committed and its checkpoint is still to be written.
    pub(crate) owes_checkpoint: bool,
    failed: Option<Error>,
}

/// Who has written to the memtable that may be full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Writer,
    Reader,
}

/// How many bytes more than `most` are kept in memory before they are flushed by who is one of so many writers.
fn patience(most: usize, role: Role, writers: usize, writer: u64) -> usize {
    match role {
        Role::Reader => most.saturating_mul(READER_PATIENCE - 1),
        Role::Writer if writers > 1 => {
            (most as u128 * u128::from(writer % PATIENCE_STEPS) / u128::from(PATIENCE_STEPS))
                as usize
        }
        Role::Writer => 0,
    }
}

/// Held by the task that flushes. When that is stopped with its runtime, whoever waits is let go.
struct Running {
    shared: Arc<Shared>,
    finished: bool,
}

impl Running {
    async fn run(mut self) {
        self.shared.work_off_flushes().await;
        self.finished = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.finished {
            let mut flushes = self.shared.flushes();
            flushes.waiting.clear();
            flushes.wanted = false;
            flushes.running = false;
        }
    }
}

impl Shared {
    /// Puts everything that is known now into segments.
    pub(crate) async fn flush(self: &Arc<Self>) -> Result<()> {
        let (sender, receiver) = oneshot::channel();
        self.flushes().waiting.push(sender);
        self.start_flushes();
        receiver.await.unwrap_or_else(|oneshot::Canceled| {
            Err(Error::new(
                ErrorKind::Storage(storage_core::ErrorKind::Unavailable),
                "the task that flushes was stopped",
            ))
        })
    }

    /// Starts a flush if there is enough to flush. Who shares the log with other writers waits a while longer
    /// than it must, each a while of its own, so that not all do the same work at the same time.
    pub(crate) fn flush_if_full(self: &Arc<Self>, role: Role) {
        if self.is_replica {
            // Who writes to the store that it follows does.
            return;
        }
        let (bytes, writers) = {
            let state = self.state();
            (state.memory_bytes(), state.writers())
        };
        let most = self.options.flush_bytes;
        if bytes > most.saturating_add(patience(most, role, writers, self.writer)) {
            self.flushes().wanted = true;
            self.start_flushes();
        }
    }

    /// Why the last flush failed, or the last compaction, if one did.
    pub(crate) fn maintenance_error(&self) -> Option<Error> {
        let flush = self.flushes().failed.as_ref().map(Error::shared);
        flush.or_else(|| self.compaction_error())
    }

    fn start_flushes(self: &Arc<Self>) {
        if !std::mem::replace(&mut self.flushes().running, true) {
            let running = Running { shared: self.clone(), finished: false };
            self.env.spawn(Box::pin(running.run()));
        }
    }

    async fn work_off_flushes(self: &Arc<Self>) {
        loop {
            let (wanted, waiting) = {
                let mut flushes = self.flushes();
                if flushes.waiting.is_empty() && !flushes.wanted {
                    flushes.running = false;
                    return;
                }
                let wanted = std::mem::replace(&mut flushes.wanted, false);
                (wanted, std::mem::take(&mut flushes.waiting))
            };
            let mut result = self.flush_all().await;
            let flushed = self.flushes().owes_checkpoint;
            if flushed {
                result = result.and(self.write_checkpoint().await);
            }
            // A handle that has never had enough to flush is not likely to last until a compaction ends.
            let compacts = {
                let mut flushes = self.flushes();
                flushes.compacts |= wanted;
                flushes.compacts
            };
            if flushed && compacts {
                self.compact_if_due();
            }
            self.flushes().failed = result.as_ref().err().map(Error::shared);
            for sender in waiting {
                // One who no longer waits does not mind.
                let _ = sender.send(result.as_ref().copied().map_err(Error::shared));
            }
        }
    }

    /// Flushes what is known when this begins, whoever does it in the end.
    async fn flush_all(self: &Arc<Self>) -> Result<()> {
        let goal = self.state().version;
        for _ in 0..ATTEMPTS_MAX {
            let frozen = self.state().freeze(goal)?;
            let Some(frozen) = frozen else { return Ok(()) };
            self.check_writable()?;
            let session = self.session_id();
            let mut made = Vec::new();
            let result = match self.make_segments(&frozen, &mut made).await {
                Ok(()) => self.commit_segments(&frozen, &made).await,
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(()) => {
                    self.state().trust_segments(&frozen)?;
                    self.flushes().owes_checkpoint = true;
                    self.counts.flushes.one();
                    self.let_go(frozen.memtables);
                    return Ok(());
                }
                Err(error) => error,
            };
            let unknown = matches!(error.kind(), ErrorKind::CommitUnknown(_));
            if unknown && !planted("flush-deletes-in-doubt") {
                // The entry that names the segments may yet appear.
                return Err(error);
            }
            let names: Result<Vec<_>> = made.iter().map(|(id, _)| key(id.to_string())).collect();
            let deleted = self.shelf.provider.delete_many(names?).await;
            let again = match error.kind() {
                ErrorKind::PreconditionFailed => true,
                ErrorKind::SessionReaped => self.session_id() != session,
                _ => false,
            };
            if !again {
                return Err(error);
            }
            if let Err(failed) = deleted {
                let message = format!("segments that nobody names could not be deleted: {failed}");
                let kind = ErrorKind::Storage(storage_core::ErrorKind::Unavailable);
                return Err(Error::new(kind, message).with_source(failed));
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            format!("another process was faster at each of {ATTEMPTS_MAX} flushes"),
        ))
    }

    /// Writes segments of all that is frozen, and says in `made` which it has begun to write.
    pub(crate) async fn make_segments(
        &self,
        frozen: &Frozen,
        made: &mut Vec<(SegmentId, SegmentRef)>,
    ) -> Result<()> {
        let mut writer = Writer::new(self.new_segment());
        let first = writer.id();
        for (range, version) in frozen.emptied() {
            writer.empty(&range, version);
        }
        let mut points = Points::of(frozen);
        let mut last = Bytes::new();
        let mut added = 0;
        while let Some((key, version, change)) = points.next() {
            if key != last && writer.is_full(self.options.segment_bytes) {
                let next = Writer::next(self.new_segment(), first);
                let full = std::mem::replace(&mut writer, next);
                self.store_segment(full, made).await?;
            }
            writer.add(&key, &Stored::current(version, change));
            last = key;
            added += 1;
            if added % CHANGES_AT_ONCE == 0 {
                yield_now().await;
            }
        }
        self.store_segment(writer, made).await
    }

    pub(crate) async fn store_segment(
        &self,
        writer: Writer,
        made: &mut Vec<(SegmentId, SegmentRef)>,
    ) -> Result<()> {
        let id = writer.id();
        let (about, body) = writer.finish();
        made.push((id, about));
        self.before_upload(id.session).await?;
        // The name is this handle's own, so there is nothing to overwrite.
        let stored = self.shelf.provider.put(&key(id.to_string())?, body, PutIf::Always).await;
        if !planted("flush-names-what-was-not-stored") {
            stored?;
        }
        Ok(())
    }

    /// Commits that these segments hold everything up to where it was frozen.
    async fn commit_segments(
        self: &Arc<Self>,
        frozen: &Frozen,
        made: &[(SegmentId, SegmentRef)],
    ) -> Result<()> {
        let mut writes = Writes::default();
        let mut required = vec![(space::system(FLUSHED), frozen.flushed_at)];
        for (id, named_at) in &frozen.replaced {
            let name = space::system(id.to_string().as_bytes());
            writes.change(name.clone(), Change::Delete)?;
            // Those that are there after all are of no use to anybody.
            let about = Obsolete { time: self.wall_micros(), bytes: 0 };
            make_obsolete(&mut writes, &key(id.to_string())?, &about)?;
            required.push((name, Some(*named_at)));
        }
        for (id, about) in frozen.remade.iter().chain(made) {
            let name = space::system(id.to_string().as_bytes());
            writes.change(name, Change::Put(about.encode_to_vec().into()))?;
        }
        let to = Change::Put(frozen.to.encode_to_vec().into());
        writes.change(space::system(FLUSHED), to)?;
        self.commit_system(writes, required, "flush").await
    }

    /// Commits a transaction of the store's own, on condition that system keys have the versions given.
    ///
    /// # Errors
    ///
    /// Those of [`Transaction::commit`](crate::Transaction::commit).
    pub(crate) async fn commit_system(
        self: &Arc<Self>,
        writes: Writes,
        required: Vec<(Bytes, Option<Version>)>,
        message: &str,
    ) -> Result<()> {
        let read_at = self.state().version;
        self.commit_system_read(writes, required, Reads::default(), read_at, message).await
    }

    /// As [`commit_system`](Self::commit_system), and on condition that what was read at a version has not changed.
    pub(crate) async fn commit_system_read(
        self: &Arc<Self>,
        writes: Writes,
        required: Vec<(Bytes, Option<Version>)>,
        reads: Reads,
        read_at: Version,
        message: &str,
    ) -> Result<()> {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.env.random().to_le_bytes());
        id[8..].copy_from_slice(&self.env.random().to_le_bytes());
        let id = TransactionId(id);
        // Segments are named once, by those who have stored them.
        let named = writes.points().filter(|(_, change)| **change != Change::Delete);
        let named =
            named.filter_map(|(key, _)| SegmentId::parse(key.strip_prefix(&[space::SYSTEM])?));
        let sessions = named.map(|id| id.session).collect();
        let (reply, answer) = oneshot::channel();
        self.enqueue(Waiting {
            transaction: Logged {
                id,
                author: String::new(),
                message: message.to_owned(),
                cancelled: false,
                writes,
            },
            reads,
            read_at,
            required,
            sessions,
            repeated: false,
            hands: Hands::Own,
            refused: None,
            reply,
        })?;
        let answer = answer.await.unwrap_or_else(|oneshot::Canceled| {
            let message = format!("nobody knows whether transaction {id} was committed");
            Err(Error::new(ErrorKind::CommitUnknown(id), message))
        });
        answer.map(drop)
    }

    pub(crate) fn new_segment(&self) -> SegmentId {
        let mut flushes = self.flushes();
        let number = flushes.segments;
        flushes.segments += 1;
        SegmentId { session: self.session_id(), number }
    }

    pub(crate) fn flushes(&self) -> std::sync::MutexGuard<'_, Flushes> {
        // Nothing that holds the lock can panic.
        self.flushes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Role, patience};

    #[test]
    fn who_is_not_alone_waits_for_a_part_of_its_own_and_who_only_reads_for_longest() {
        for (most, role, writers, writer, expected) in [
            (1000, Role::Writer, 1, 1023, 0),
            (1000, Role::Writer, 2, 0, 0),
            (1000, Role::Writer, 2, 512, 500),
            (1000, Role::Writer, 9, 1023, 999),
            (1000, Role::Writer, 2, 1024 + 256, 250),
            (usize::MAX, Role::Writer, 2, 512, usize::MAX / 2),
            (1000, Role::Reader, 1, 512, 3000),
            (usize::MAX, Role::Reader, 1, 0, usize::MAX),
        ] {
            let found = patience(most, role, writers, writer);
            assert_eq!(
                found, expected,
                "{most} bytes, {role:?}, {writers} writers, number {writer}"
            );
        }
    }
}

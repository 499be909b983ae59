//! What is known of an upload beside its file: bytes that are still in memory, and parts that the store has already.
//!
//! A part that is whole goes to the store while the next is being sent, so that the last write of a large share has only
//! the last part to wait for; and if there was room, its bytes are not read back for that. None of it outlives the process:
//! the file has everything until the share is complete.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use storage_txn::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::error::Result;
use crate::shares::{Data, Part, Parts, Shares};

/// Memory is counted in units of so many bytes.
const UNIT_BYTES: usize = 64 << 10;
/// How many parts of one upload are on their way to the store before its client has to wait.
pub(super) const PARTS_AT_ONCE: usize = 2;

/// Memory for the bytes of all uploads. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT_BYTES)))
    }

    fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).ok()?;
        self.0.clone().try_acquire_many_owned(units).ok()
    }
}

/// What is known of one upload.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// The first bytes of parts, by their numbers.
    held: BTreeMap<u64, Held>,
    /// Parts that are whole, on their way to the store or there.
    parts: BTreeMap<u64, JoinHandle<Result<Value>>>,
    /// The range of a write that has not ended: its bytes do not count, if it never does.
    unsure: Option<Range<u64>>,
    /// Whether it was written to since it was last looked at.
    warm: bool,
}

#[derive(Debug)]
struct Held {
    pieces: Vec<Bytes>,
    bytes: u64,
    memory: OwnedSemaphorePermit,
}

impl Ahead {
    /// A write of this range begins.
    pub(super) fn begin(&mut self, range: Range<u64>, part_bytes: u64) {
        self.settle(part_bytes);
        self.unsure = Some(range);
        self.warm = true;
    }

    /// All of its bytes count now.
    pub(super) fn end(&mut self) {
        self.unsure = None;
    }

    /// Forgets the bytes of a write that has not ended, and never will.
    pub(super) fn settle(&mut self, part_bytes: u64) {
        if let Some(range) = self.unsure.take() {
            let parts = range.start / part_bytes..range.end.div_ceil(part_bytes);
            self.held.retain(|part, _| !parts.contains(part));
        }
    }

    /// Keeps bytes from `at` on in memory, if they go on where the ones before have ended and there is room.
    pub(super) fn hold(&mut self, mut at: u64, pieces: &[Bytes], part_bytes: u64, room: &Room) {
        for piece in pieces {
            let mut piece = piece.clone();
            while !piece.is_empty() {
                let (part, within) = (at / part_bytes, at % part_bytes);
                let left = usize::try_from(part_bytes - within).unwrap_or(usize::MAX);
                let now = piece.split_to(piece.len().min(left));
                at += now.len() as u64;
                self.hold_piece(part, within, now, room);
            }
        }
    }

    fn hold_piece(&mut self, part: u64, within: u64, piece: Bytes, room: &Room) {
        let bytes = piece.len() as u64;
        match self.held.get_mut(&part) {
            Some(held) if held.bytes == within => {
                let all = (held.bytes + bytes) as usize;
                let needed = all.div_ceil(UNIT_BYTES).saturating_sub(held.memory.num_permits());
                match room.take(needed * UNIT_BYTES) {
                    Some(more) => {
                        held.memory.merge(more);
                        held.pieces.push(piece);
                        held.bytes += bytes;
                    }
                    None => drop(self.held.remove(&part)),
                }
            }
            None if within == 0 => {
                if let Some(memory) = room.take(piece.len()) {
                    self.held.insert(part, Held { pieces: vec![piece], bytes, memory });
                }
            }
            // It leaves a hole: this part will be read from the file.
            _ => {}
        }
    }

    /// Sends a part that is whole to the store, unless it went there already.
    pub(super) fn send(&mut self, part: u64, range: Range<u64>, file: &Data, shares: &Shares) {
        if self.parts.contains_key(&part) {
            return;
        }
        let held = self.held.remove(&part).filter(|held| held.bytes == range.end - range.start);
        let (shares, file) = (shares.clone(), file.clone());
        let task = tokio::spawn(async move {
            match held {
                Some(Held { pieces, bytes, memory }) => {
                    let value = shares.upload_part(&Data::Pieces(pieces.into()), 0..bytes).await;
                    drop(memory);
                    value
                }
                None => shares.upload_part(&file, range).await,
            }
        });
        self.parts.insert(part, task);
    }

    /// How many parts are on their way.
    pub(super) fn under_way(&self) -> usize {
        self.parts.values().filter(|task| !task.is_finished()).count()
    }

    /// Lets go of what is in memory if nobody has written since this was last asked.
    pub(super) fn cool(&mut self) {
        if !std::mem::take(&mut self.warm) {
            self.held.clear();
        }
    }

    /// All that is known, for the end of the upload; nothing is from now on.
    pub(super) fn take(&mut self, part_bytes: u64) -> Taken {
        self.settle(part_bytes);
        let Self { held, parts, .. } = std::mem::take(self);
        Taken { held, parts }
    }
}

/// What was known of an upload that ends.
#[derive(Debug)]
pub(super) struct Taken {
    held: BTreeMap<u64, Held>,
    parts: BTreeMap<u64, JoinHandle<Result<Value>>>,
}

impl Taken {
    /// What of a share of `size` bytes need not be read, once all that is on its way is there; and the memory of it.
    pub(super) async fn known(self, shares: &Shares, size: u64) -> (Parts, impl Sized) {
        let (mut known, mut memory) = (Parts::new(), Vec::new());
        for (part, held) in self.held {
            let range = shares.part_range(part, size);
            if held.bytes == range.end - range.start {
                known.insert(part, Part::Held(held.pieces.into()));
                memory.push(held.memory);
            }
        }
        for (part, task) in self.parts {
            match task.await {
                Ok(Ok(value)) => drop(known.insert(part, Part::Uploaded(value))),
                // It is tried once more, from the file.
                Ok(Err(error)) => {
                    tracing::debug!("a part of an upload was not stored ahead: {error}");
                }
                Err(error) => tracing::warn!("storing a part has ended early: {error}"),
            }
        }
        (known, memory)
    }

    /// Deletes what the store has of an upload that comes to nothing, when it has ended.
    pub(super) fn discard(self, shares: &Shares) {
        if self.parts.is_empty() {
            return;
        }
        let (shares, tasks) = (shares.clone(), self.parts);
        tokio::spawn(async move {
            let mut known = Parts::new();
            for (part, task) in tasks {
                if let Ok(Ok(value)) = task.await {
                    known.insert(part, Part::Uploaded(value));
                }
            }
            shares.discard_parts(&mut known).await;
        });
    }
}

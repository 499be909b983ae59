//! One share that is being uploaded.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::ahead::Ahead;
use super::journal::Entry;
use crate::StorageIndex;
use crate::error::{Refusal, Result};
use crate::ranges::Ranges;
use crate::record::Lease;

/// How long an upload lives after it was allocated or last written to, in seconds.
pub(super) const PATIENCE_SECONDS: u64 = 30 * 60;

/// One share that is being uploaded.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) id: u64,
    pub(super) place: (StorageIndex, u64),
    pub(super) size: u64,
    /// A hash of the secret that belongs to it.
    pub(super) secret: blake3::Hash,
    pub(super) lease: Lease,
    /// One write at a time.
    pub(super) turn: Semaphore,
    state: Mutex<Written>,
    ahead: Mutex<Ahead>,
}

#[derive(Debug)]
pub(super) struct Written {
    pub(super) ranges: Ranges,
    /// After this time nobody finishes it any more, in seconds since the Unix epoch.
    pub(super) deadline: u64,
    /// It was completed or aborted.
    pub(super) over: bool,
    /// A server that has ended began it, and nobody has continued it since.
    pub(super) left: bool,
}

impl Upload {
    /// One that nothing was written of.
    pub(super) fn new(
        id: u64,
        place: (StorageIndex, u64),
        size: u64,
        secret: blake3::Hash,
        lease: Lease,
        deadline: u64,
    ) -> Self {
        let written = Written { ranges: Ranges::default(), deadline, over: false, left: false };
        let state = Mutex::new(written);
        let (turn, ahead) = (Semaphore::new(1), Mutex::default());
        Self { id, place, size, secret, lease, turn, state, ahead }
    }

    pub(super) fn check(&self, upload_secret: &[u8]) -> Result<()> {
        // Hashes of this crate are compared in a time that says nothing.
        if blake3::hash(upload_secret) == self.secret {
            return Ok(());
        }
        Err(Refusal::WrongSecret.into())
    }

    /// Waits until nobody else writes to it.
    pub(super) async fn turn(&self) -> SemaphorePermit<'_> {
        self.turn.acquire().await.expect("nobody closes it")
    }

    pub(super) fn written(&self) -> MutexGuard<'_, Written> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is begun in the journal.
    pub(super) fn entry(&self) -> Entry {
        Entry::Begun {
            id: self.id,
            place: self.place,
            size: self.size,
            secret: self.secret,
            lease: self.lease.clone(),
            deadline: self.written().deadline,
        }
    }

    /// What was written, for the journal.
    pub(super) fn wrote(&self) -> Vec<Entry> {
        let written = self.written();
        let entry = |range: Range<u64>| Entry::Wrote {
            id: self.id,
            begin: range.start,
            end: range.end,
            deadline: written.deadline,
        };
        written.ranges.iter().map(entry).collect()
    }
}

//! What was injected, to be looked at afterwards.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use storage_core::{Effect, Key, Operation};

/// How many faults are remembered.
const ENTRIES_MAX: usize = 100_000;

/// One injected fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// The operation it happened to, counted from zero; for [`Fault::Landed`] the one it landed before.
    pub number: u64,
    /// What that operation is.
    pub operation: Operation,
    /// The key of it; a list has none.
    pub key: Option<Key>,
    /// What was done to it.
    pub fault: Fault,
}

/// What was done to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It waited for [`FaultPlan::pause`](super::FaultPlan::pause) before it was sent.
    PausedBefore,
    /// Its answer waited for [`FaultPlan::pause`](super::FaultPlan::pause).
    PausedAfter,
    /// Refused as too many, not applied.
    Throttled,
    /// Refused as not reached, not applied.
    Unavailable,
    /// It fell into an outage whose errors have this effect. Not applied.
    Outage(Effect),
    /// Not applied, and nobody can tell.
    LostBefore,
    /// Applied, and nobody can tell.
    LostAfter,
    /// Not applied yet, and nobody can tell.
    Late {
        /// Before the how-manieth operation after it, it lands.
        operations: u64,
    },
    /// An operation that was late was applied.
    Landed,
    /// A list that showed the state of some time ago.
    StaleList {
        /// How many of the last mutations it did not know.
        mutations: usize,
    },
    /// A get that handed out fewer bytes than asked for.
    Truncated {
        /// How many it handed out.
        bytes_kept: usize,
    },
}

#[derive(Debug, Default)]
pub(super) struct Log(Mutex<VecDeque<Injected>>);

impl Log {
    pub(super) fn add(&self, injected: Injected) {
        tracing::debug!(
            number = injected.number,
            operation = injected.operation.label(),
            fault = ?injected.fault,
            "fault injected"
        );
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() == ENTRIES_MAX {
            entries.pop_front();
        }
        entries.push_back(injected);
    }

    pub(super) fn read(&self) -> Vec<Injected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

//! A name for each request, in its logs and in its answer.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The id of a request: 16 hexadecimal digits, no two alike in one process, and hardly in two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u64);

/// Makes ids.
#[derive(Debug)]
pub(crate) struct RequestIds {
    next: AtomicU64,
}

/// Odd, so that the ids of a process go through all numbers before one comes again, and do not look like a count.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl RequestIds {
    pub(crate) fn new() -> Self {
        let mut start = [0; 8];
        // Without a source of randomness ids of two processes may be alike, and nothing else is wrong.
        let _ = getrandom::fill(&mut start);
        Self { next: AtomicU64::new(u64::from_le_bytes(start)) }
    }

    pub(crate) fn next(&self) -> RequestId {
        RequestId(self.next.fetch_add(STEP, Ordering::Relaxed))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

//! Holding a walk over all objects to so many bytes a second.

use std::time::Duration;

use crate::core::Core;

/// A limit on what a walk moves, to and from all members together.
pub(crate) struct Pace {
    bytes_per_second_max: Option<u64>,
    began: Duration,
    before: u64,
}

impl Pace {
    pub(crate) fn new(core: &Core, bytes_per_second_max: Option<u64>) -> Self {
        let (began, before) = (core.env.monotonic(), core.moved());
        Self { bytes_per_second_max, began, before }
    }

    /// Waits until what has been moved so far is no more than there was time for.
    pub(crate) async fn wait(&self, core: &Core) {
        let Some(rate) = self.bytes_per_second_max else { return };
        let moved = core.moved().saturating_sub(self.before);
        let due = self.began + time_for(moved, rate);
        let now = core.env.monotonic();
        if due > now {
            core.env.sleep(due - now).await;
        }
    }
}

/// How long so many bytes take at this rate.
pub(crate) fn time_for(bytes: u64, bytes_per_second: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl Core {
    /// How many bytes this process has moved, to and from all members.
    fn moved(&self) -> u64 {
        let moved = self.workers.iter().map(|worker| worker.meter.read());
        moved.map(|traffic| traffic.read_bytes + traffic.written_bytes).sum()
    }
}

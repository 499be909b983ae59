//! How fast a compaction may be.

use std::time::Duration;

use crate::shared::Shared;

/// Keeps what is read to a rate, by pauses.
#[derive(Debug)]
pub(super) struct Pace {
    began: Duration,
    bytes_per_second: u64,
    /// All that was read, and how much of it was looked at here.
    read: u64,
}

impl Pace {
    pub(super) fn new(shared: &Shared) -> Self {
        let bytes_per_second = shared.options.compaction_bytes_per_second.max(1);
        Self { began: shared.env.monotonic(), bytes_per_second, read: 0 }
    }

    /// Takes note that so many more bytes were read, and waits until that was due.
    pub(super) async fn keep(&mut self, shared: &Shared, read: u64) {
        if read == 0 {
            return;
        }
        self.read += read;
        shared.counts.compaction_read_bytes.add(read);
        if self.bytes_per_second == u64::MAX {
            return;
        }
        let due = self.began + due(self.read, self.bytes_per_second);
        let now = shared.env.monotonic();
        if now < due {
            shared.env.sleep(due - now).await;
        }
    }
}

/// How long so many bytes take.
fn due(bytes: u64, bytes_per_second: u64) -> Duration {
    let micros = u128::from(bytes) * 1_000_000 / u128::from(bytes_per_second);
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_as_long_as_the_rate_says() {
        assert_eq!(due(3_000, 1_000), Duration::from_secs(3));
        assert_eq!(due(1, 1_000_000), Duration::from_micros(1));
        assert_eq!(due(u64::MAX, 1), Duration::from_micros(u64::MAX));
    }
}

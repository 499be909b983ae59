//! The bounds of a store, each with a name and a default.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::{Error, ErrorKind, Result};

/// The most bytes a user's key has.
pub const KEY_BYTES_MAX: usize = 4096;

/// The most that [`Options::inline_bytes_max`] can be, in bytes; also the most that one transaction appends to a
/// value with merges.
pub const INLINE_BYTES_MAX: usize = 1 << 20;
/// Values of so many bytes are always inline, so that a number is.
pub(crate) const INLINE_BYTES_MIN: usize = 8;

/// How a store is used by this process. Nothing of it is stored; two processes may differ in all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The most bytes one transaction holds in memory: keys and values, but not what is
    /// [streamed](crate::Transaction::put_stream) or [uploaded](crate::Store::upload).
    pub transaction_bytes_max: usize,
    /// The most bytes of transactions put into one entry of the log. A single larger transaction still gets
    /// an entry of its own.
    pub entry_bytes_max: usize,
    /// The most transactions that wait for their commit. Beyond it, commits fail with
    /// [`LimitExceeded`](crate::ErrorKind::LimitExceeded) and nothing is done.
    pub waiting_transactions_max: usize,
    /// How often [`Store::transact`](crate::Store::transact) runs its closure before it gives up with
    /// [`Conflict`](crate::ErrorKind::Conflict).
    pub transact_attempts_max: usize,
    /// How long a commit tries before its outcome is reported as unknown, or as failed if that is certain.
    pub commit_time_max: Duration,
    /// How long a [combiner](crate::Store::combine_through) is waited for. Then this handle commits by itself, and the
    /// combiner may be late.
    pub combiner_time_max: Duration,
    /// How much of keys and values is in memory when it is put into segments. A process may have some times as much
    /// in memory while that is under way, and while another process does it for all.
    pub flush_bytes: usize,
    /// How large segments are at most, but for one key with all its changes, which is never divided.
    pub segment_bytes: usize,
    /// Values of at most so many bytes go into the log with their transaction; larger ones into objects of their own
    /// before it. From 8 to [`INLINE_BYTES_MAX`].
    pub inline_bytes_max: usize,
    /// How large the objects of large values are at most. A larger value is divided into chunks of about this size,
    /// smaller ones of one transaction share an object. Never more than the provider takes.
    pub chunk_bytes: usize,
    /// How many requests a large value is written or read with at the same time: in memory there are at most so many
    /// times [`chunk_bytes`](Self::chunk_bytes) of it, and two more.
    pub value_requests_max: usize,
    /// The most bytes of a large value that are handed out in one piece. Beyond it, read a part, or a stream.
    pub get_bytes_max: usize,
    /// How many runs of segments that share keys there are at most of what is current, and one less of history: when a
    /// flush in the background makes more, the newest are merged. A read with nothing cached takes a request for each run,
    /// and one more. More make reads dearer, fewer make writes dearer. At least 2; `usize::MAX` leaves it to
    /// [`compact`](crate::Store::compact).
    pub compaction_fanout: usize,
    /// How many bytes are read at once of each segment that is compacted. So many are held for each that has keys in
    /// common with others, and besides them two segments that are being made.
    pub compaction_read_bytes: usize,
    /// The most bytes of segments that a compaction reads in a second; it writes about as many, a segment at a time.
    /// `u64::MAX`, the default, is as fast as it goes.
    pub compaction_bytes_per_second: u64,
    /// How many bytes a scan reads at once of each segment, at most. It begins with a block, and reads twice as many each
    /// time it goes on; so many are held for each segment that has keys in common with others.
    pub scan_read_bytes: usize,
    /// A cursor that is more versions behind the last one than this no longer keeps history from being
    /// [packed](crate::Store::pack) away.
    pub cursor_lag_versions_max: u64,
    /// The most bytes of segments kept in memory to be read again.
    pub cache_bytes_max: usize,
    /// How many entries of the log are read at once to catch up.
    pub read_ahead: usize,
    /// How long a [watch](crate::Store::watch) pauses, at first, before it asks again whether there is more.
    pub watch_pause_min: Duration,
    /// How long it pauses at most: it hears of commits by others about so late after a quiet time.
    pub watch_pause_max: Duration,
}

impl Options {
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`], naming the option.
    pub(crate) fn check(&self) -> Result<()> {
        let within = |name: &str, value: usize, range: RangeInclusive<usize>| {
            if range.contains(&value) {
                return Ok(());
            }
            let (least, most) = range.into_inner();
            let message = format!("{name} is {value}, which is not from {least} to {most}");
            Err(Error::new(ErrorKind::LimitExceeded, message))
        };
        within("inline_bytes_max", self.inline_bytes_max, INLINE_BYTES_MIN..=INLINE_BYTES_MAX)?;
        within("chunk_bytes", self.chunk_bytes, 1..=usize::MAX)?;
        within("value_requests_max", self.value_requests_max, 1..=usize::MAX)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transaction_bytes_max: 64 << 20,
            entry_bytes_max: 4 << 20,
            waiting_transactions_max: 65_536,
            transact_attempts_max: 64,
            commit_time_max: Duration::from_secs(30),
            combiner_time_max: Duration::from_secs(2),
            flush_bytes: 16 << 20,
            segment_bytes: 64 << 20,
            inline_bytes_max: 64 << 10,
            chunk_bytes: 8 << 20,
            value_requests_max: 4,
            get_bytes_max: 64 << 20,
            compaction_fanout: 4,
            compaction_read_bytes: 1 << 20,
            compaction_bytes_per_second: u64::MAX,
            scan_read_bytes: 1 << 20,
            cursor_lag_versions_max: 1_000_000,
            cache_bytes_max: 64 << 20,
            read_ahead: 16,
            watch_pause_min: Duration::from_millis(50),
            watch_pause_max: Duration::from_secs(5),
        }
    }
}

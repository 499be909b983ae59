//! Copying a log to another place, where it is to go on.

use std::pin::pin;

use futures_util::stream::{self, StreamExt};

use crate::{Appended, CommitLog, Error, Head, Record, Result, Slot};

/// How many entries are read at once, which are put one after the other.
const READ_AHEAD: usize = 16;

/// The last record of a log that has one at `there`, or is looked at from its beginning, and none after `most`: by halves.
/// `None` if there is none.
///
/// # Errors
///
/// Those of [`CommitLog::read`].
pub async fn last_record(log: &dyn CommitLog, there: Slot, most: Slot) -> Result<Option<Record>> {
    // The record at the first, and nothing at the second or after it.
    let (mut low, mut high) = (there.0, most.0.saturating_add(1));
    let mut last = None;
    let mut next = most.0;
    while low + 1 < high {
        match log.read(Slot(next)).await? {
            Some(record) => (low, last) = (next, Some(record)),
            None => high = next,
        }
        next = low + (high - low) / 2;
    }
    match last {
        None if low > 0 => log.read(Slot(low)).await,
        last => Ok(last),
    }
}

/// Copies what `from` has after `head`, where `to` ends, up to `last`: the same entries in the same slots, in their order,
/// so that whatever it is interrupted by, `to` has all up to where it ends. Any number of processes may do it at once. Tells
/// `tell` each slot that is there.
///
/// # Errors
///
/// [`Error::Corrupt`] where the two do not have the same entries, or `from` ends before; and those of
/// [`CommitLog::read`] and [`CommitLog::append`].
pub async fn copy_log(
    from: &dyn CommitLog,
    to: &dyn CommitLog,
    head: Head,
    last: Slot,
    tell: &(dyn Fn(Slot) + Send + Sync),
) -> Result<Head> {
    let mut head = head;
    let reads = stream::iter(head.slot.0 + 1..=last.0).map(|slot| async move {
        let missing = || Error::corrupt(Slot(slot), "it is missing, which is before the end");
        from.read(Slot(slot)).await?.ok_or_else(missing)
    });
    let mut reads = pin!(reads.buffered(READ_AHEAD));
    while let Some(record) = reads.next().await {
        let record = record?;
        head = head.follow(&record)?;
        match to.append(&record.to_entry()).await? {
            Appended::Ours => tell(head.slot),
            Appended::Taken(found) if found.id() == head.id => tell(head.slot),
            Appended::Taken(_) => {
                let why = "the place that the log moves to has another entry there";
                return Err(Error::corrupt(head.slot, why));
            }
            Appended::Unknown(error) => return Err(error.into()),
        }
    }
    Ok(head)
}

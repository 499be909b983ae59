//! Everything after a head, read ahead in parallel.

use futures_util::stream::{FuturesOrdered, StreamExt};

use crate::planted::planted;
use crate::{CommitLog, Head, Record, Result};

/// All records after `head`, in order, each checked against the one before it, up to the first slot that
/// was missing when it was asked for, and that does not stand [elsewhere](CommitLog::goes_on). Reads `first` slots at once, then as many as it has found so far, and at most
/// `ahead`: with nothing to catch up and a `first` of 1 it makes one request, with much it asks for much at once.
///
/// # Errors
///
/// Those of [`CommitLog::read`] and [`Head::follow`]. What came before the error is in order and complete.
pub async fn catch_up(
    log: &dyn CommitLog,
    head: Head,
    first: usize,
    ahead: usize,
    mut take: impl FnMut(Record) -> Result<()>,
) -> Result<Head> {
    let all = |record| take(record).map(|()| true);
    Ok(catch_up_while(log, head, first, ahead, all).await?.0)
}

/// As [`catch_up`], but ends when `take` answers `false`: so that who takes can do something about what it has taken, and
/// then go on after the head that is returned. Whether it came to the end.
///
/// # Errors
///
/// Those of [`catch_up`].
pub async fn catch_up_while(
    log: &dyn CommitLog,
    head: Head,
    first: usize,
    ahead: usize,
    mut take: impl FnMut(Record) -> Result<bool>,
) -> Result<(Head, bool)> {
    let mut head = head;
    let mut found = 0;
    let mut next = head.slot;
    let mut reads = FuturesOrdered::new();
    loop {
        while reads.len() < found.max(first).clamp(1, ahead.max(1)) {
            next = next.next();
            reads.push_back(log.read(next));
        }
        let record = match reads.next().await {
            Some(Ok(Some(record))) => record,
            Some(Ok(None)) | None if log.goes_on(head).await? => {
                // What was asked for meanwhile was asked in the place that was left.
                (reads, next) = (FuturesOrdered::new(), head.slot);
                continue;
            }
            Some(Ok(None)) | None => return Ok((head, true)),
            Some(Err(error)) => return Err(error),
        };
        if found > 0 && planted("catch-up-stops-after-one") {
            return Ok((head, true));
        }
        head = head.follow(&record)?;
        if !take(record)? {
            return Ok((head, false));
        }
        found += 1;
    }
}

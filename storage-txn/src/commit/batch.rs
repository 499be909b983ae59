//! Which of the transactions that wait can be committed together, at the head of the log.

use std::collections::BTreeSet;
use std::time::Duration;

use storage_log::planted::planted;

use crate::change::Change;
use crate::commit::Waiting;
use crate::format::commit::CommitRecord;
use crate::memtable::Memtable;
use crate::state::{needed_values, version_of};
use crate::system::SEALED;
use crate::transaction::Receipt;
use crate::view::View;
use crate::{Error, ErrorKind, Result, TransactionId, Version, session, space};

/// What validation says of one transaction.
enum Verdict {
    /// It can be committed, after those before it.
    Commit,
    /// It was committed already, by an attempt whose answer was lost.
    Done(Receipt),
    /// It cannot; this is why.
    Refuse(Error),
    /// It cannot, but another may have it in hand who has not heard of that: its id is to be taken first.
    ShutOut(Error),
}

/// Answers those that cannot be committed after `version`, and those that have been already; leaves the rest,
/// in their order. `fresh` says that `version` was the end of the log after all of them were handed in: only
/// then is a precondition that does not hold a failure, and before that a reason to look again.
///
/// # Errors
///
/// When the state cannot be read; nobody has been answered then who is still in `batch`.
pub(super) async fn sort_out(
    batch: &mut Vec<Waiting>,
    view: &View,
    version: Version,
    fresh: bool,
) -> Result<Sorted> {
    let mut verdicts = Vec::with_capacity(batch.len());
    let mut accepted = Accepted::default();
    for waiting in batch.iter() {
        let mut verdict = judge(waiting, view, version, &mut accepted).await?;
        match verdict {
            Verdict::Commit => accepted.add(waiting),
            Verdict::Refuse(error) if error.kind() == ErrorKind::PreconditionFailed && !fresh => {
                return Ok(Sorted::LookAgain);
            }
            Verdict::Refuse(error) if waiting.must_be_shut_out(&error) => {
                let id = waiting.transaction.id;
                verdict = match accepted.ids.insert(id) {
                    true => Verdict::ShutOut(error),
                    // Another of this batch takes the id, and nobody can tell which of them the log will have.
                    false => Verdict::Refuse(unknown(id)),
                };
            }
            Verdict::Refuse(_) | Verdict::Done(_) | Verdict::ShutOut(_) => {}
        }
        verdicts.push(verdict);
    }
    if verdicts.iter().all(|verdict| matches!(verdict, Verdict::Commit)) {
        return Ok(Sorted::Ready);
    }
    let mut kept: Vec<Waiting> = Vec::with_capacity(batch.len());
    for (mut waiting, verdict) in batch.drain(..).zip(verdicts) {
        match verdict {
            Verdict::Commit => kept.push(waiting),
            Verdict::Done(receipt) => drop(waiting.answer(Ok(receipt))),
            Verdict::Refuse(error) => {
                let why = waiting.refused.take().unwrap_or(error);
                drop(waiting.answer(Err(why)));
            }
            Verdict::ShutOut(error) => {
                waiting.shut_out(error);
                kept.push(waiting);
            }
        }
    }
    *batch = kept;
    Ok(Sorted::Ready)
}

/// The transactions of the batch that go before.
#[derive(Debug, Default)]
struct Accepted<'a> {
    ids: BTreeSet<TransactionId>,
    all: Vec<&'a Waiting>,
    writes: Memtable,
    /// How many of them have their writes there. Nobody asks for them where all only write.
    written: usize,
}

impl<'a> Accepted<'a> {
    fn add(&mut self, waiting: &'a Waiting) {
        self.ids.insert(waiting.transaction.id);
        self.all.push(waiting);
    }

    /// What all of them have written, and the records of large values that come of it: who lets go of one has to see that
    /// another puts it back.
    fn writes(&mut self) -> Result<&Memtable> {
        for waiting in &self.all[self.written..] {
            self.written += 1;
            let (at, writes) = (Version(self.written as u64), &waiting.transaction.writes);
            self.writes.apply(at, needed_values(at, writes)?);
            self.writes.apply(at, writes.clone());
        }
        Ok(&self.writes)
    }
}

/// Whether a batch can go ahead.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sorted {
    Ready,
    /// First the log must be read to its end.
    LookAgain,
}

async fn judge(
    waiting: &Waiting,
    view: &View,
    version: Version,
    accepted: &mut Accepted<'_>,
) -> Result<Verdict> {
    let id = waiting.transaction.id;
    let id_key = space::id(id);
    let seen = if planted("validation-ignores-ids") {
        false
    } else if waiting.repeated {
        true
    } else if waiting.read_at == version {
        false
    } else {
        view.changed(&id_key, waiting.read_at).await?
    };
    if seen && let Some((_, found)) = view.get(&id_key, version).await? {
        return earlier(view, version, id, version_of(&found, id)?).await;
    }
    let reaped = waiting.sessions.iter().find(|session| view.system.is_reaped(**session));
    if let Some(session) = reaped
        && !planted("commit-of-a-reaped-session")
    {
        return Ok(Verdict::Refuse(session::reaped(*session)));
    }
    if accepted.ids.contains(&id)
        || (!planted("validation-ignores-the-batch")
            && !waiting.reads.is_empty()
            && waiting.reads.changed_in(accepted.writes()?, Version::ZERO))
        || (waiting.read_at != version && waiting.reads.changed(view, waiting.read_at).await?)
    {
        return Ok(Verdict::Refuse(Error::new(
            ErrorKind::Conflict,
            "another transaction has changed what this one has read",
        )));
    }
    for (key, wanted) in &waiting.required {
        let found = found(view, key, version).await?;
        let overtaken = accepted.writes()?.changed(key).is_some();
        if (overtaken || found != *wanted) && !planted("validation-ignores-what-is-required") {
            return Ok(Verdict::Refuse(not_as_required(
                &space::strip(key),
                *wanted,
                found,
                overtaken,
            )));
        }
    }
    Ok(Verdict::Commit)
}

/// The version that a key has, also one whose value cannot be told since a number was added to what is none. System keys are in memory, as they are at the end of the view.
async fn found(view: &View, key: &[u8], version: Version) -> Result<Option<Version>> {
    if let Some(name) = key.strip_prefix(&[space::SYSTEM]) {
        return Ok(view.system.get(name).map(|(version, _)| version));
    }
    let stack = view.stack(key, version).await?;
    let newest = stack.first().filter(|(_, change)| *change != Change::Delete);
    Ok(newest.map(|(version, _)| *version))
}

/// What became of the transaction that has the same id.
async fn earlier(
    view: &View,
    version: Version,
    id: TransactionId,
    found: Version,
) -> Result<Verdict> {
    let mut record = view.get(&space::commit(found), version).await?;
    let mut horizon = found;
    while record.is_none() {
        // Only now, as reading may have found out that more was packed away.
        let newest = view.newest();
        let before = std::mem::replace(&mut horizon, newest.system.horizon()?);
        if horizon <= before {
            break;
        }
        // It was committed, or its record would have been kept. When exactly is no longer known.
        record = newest.get(&space::commit(horizon), horizon).await?;
    }
    let Some((_, record)) = record else {
        return Err(Error::corrupt(format!(
            "version {found} of transaction {id} has no commit record"
        )));
    };
    let record = CommitRecord::decode_at(found, record)?;
    let cancelled_here = record.cancelled && record.id == id.0[..];
    if cancelled_here && !planted("outcome-passes-over-the-fence") {
        return Ok(Verdict::Refuse(cancelled(id)));
    }
    let time = Duration::from_micros(record.time);
    Ok(Verdict::Done(Receipt { value: (), version: found, transaction_id: id, time }))
}

/// Answers all of a batch, sorted out at the end of the log, as nothing is committed any more. What takes the seal away
/// is left where the store `is_sealed`. Nobody else can commit them either, so nothing is shut out.
pub(super) fn refuse_all(batch: &mut Vec<Waiting>, why: &Error, is_sealed: bool) {
    let seal = space::system(SEALED);
    let lifts = |waiting: &Waiting| {
        let mut points = waiting.transaction.writes.points();
        points.any(|(key, change)| *key == seal && *change == Change::Delete)
    };
    let (kept, refused): (Vec<_>, _) =
        batch.drain(..).partition(|waiting| is_sealed && lifts(waiting));
    *batch = kept;
    for mut waiting in refused {
        let id = waiting.transaction.id;
        let why = match (waiting.refused.take(), waiting.transaction.cancelled && is_sealed) {
            (Some(refused), _) => refused,
            (None, true) => cancelled(id),
            (None, false) => why.shared(),
        };
        drop(waiting.answer(Err(why)));
    }
}

/// What the transaction is answered that was shut out, and whoever shut it out.
pub(super) fn cancelled(id: TransactionId) -> Error {
    Error::new(
        ErrorKind::Cancelled,
        format!("transaction {id} was asked about and shut out before it was committed"),
    )
}

fn unknown(id: TransactionId) -> Error {
    Error::new(
        ErrorKind::CommitUnknown(id),
        format!("two transactions have the id {id}, and nobody knows which of them is committed"),
    )
}

fn not_as_required(
    key: &[u8],
    wanted: Option<Version>,
    found: Option<Version>,
    overtaken: bool,
) -> Error {
    let say = |version: Option<Version>| match version {
        Some(version) => format!("version {version}"),
        None => "missing".to_owned(),
    };
    let found = if overtaken { "being changed".to_owned() } else { say(found) };
    Error::new(
        ErrorKind::PreconditionFailed,
        format!("key \"{}\" is {found}, not {}", key.escape_ascii(), say(wanted)),
    )
}

#[cfg(test)]
mod tests;

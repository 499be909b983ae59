//! The log of a store, wherever it is: it goes on in another place after an entry that says so, and who has come there
//! follows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use storage_core::{Env, PutIf, StorageProvider};
use storage_log::quorum::{CopyProgress, QuorumLog, VoterChange, VoterId, VoterStatus};
use storage_log::{Appended, CommitLog, Entry, Head, LogId, Record, Slot, copy_log, last_record};

use crate::format::moved::Moved;
use crate::format::root::{LogAt, Root};
use crate::replica;
use crate::store::format_key;
use crate::{Error, ErrorKind, Place, Result};

/// The log of a store.
///
/// Whatever is appended is appended after an entry that was read in the same place and does not say that the log goes on
/// elsewhere; so nothing follows one that does, and the place that was left can be copied to its end by whoever comes
/// there.
#[derive(Debug)]
pub(crate) struct StoreLog {
    place: Place,
    root: Root,
    env: Arc<dyn Env>,
    leg: Mutex<Arc<Leg>>,
}

/// What to do about a place that has not everything yet.
#[derive(Clone, Copy)]
enum Lacking<'a> {
    /// Nothing was appended there, so what was left is the end.
    Stay,
    /// It is copied there, and each slot told.
    Copy(&'a (dyn Fn(Slot) + Send + Sync)),
    /// The same, as soon as nobody else does.
    CopyInTurn,
}

/// How long to wait for others who copy, before it is looked whether they do; and up to as long again.
const PAUSE: Duration = Duration::from_millis(50);

/// The log in one place.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) at: LogAt,
    pub(crate) log: Arc<dyn CommitLog>,
    /// The same, where it is on a quorum.
    pub(crate) quorum: Option<Arc<QuorumLog>>,
    known: Mutex<Known>,
}

/// What a handle knows of a place.
#[derive(Debug, Default)]
struct Known {
    /// Up to this slot there are entries, none of which leaves it.
    seen: u64,
    /// The last one, if that does, and where to.
    left: Option<(Record, LogAt)>,
    /// The place after it, once it was opened.
    next: Option<Arc<Leg>>,
}

impl Leg {
    pub(crate) fn new(at: LogAt, log: Arc<dyn CommitLog>, quorum: Option<Arc<QuorumLog>>) -> Self {
        Self { at, log, quorum, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self) -> Option<(Record, LogAt)> {
        self.known().left.clone()
    }
}

impl StoreLog {
    pub(crate) fn new(place: Place, root: Root, env: Arc<dyn Env>, leg: Leg) -> Self {
        Self { place, root, env, leg: Mutex::new(Arc::new(leg)) }
    }

    /// Where it is, as far as this handle knows.
    pub(crate) fn leg(&self) -> Arc<Leg> {
        self.leg.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the object `format` is to say now.
    pub(crate) fn root(&self) -> Root {
        Root { log: self.leg().at, ..self.root }
    }

    /// Finishes moves that were begun: copies what is missing where the log goes on, and goes there.
    ///
    /// # Errors
    ///
    /// What the places fail with.
    pub(crate) async fn finish(&self, tell: &(dyn Fn(Slot) + Send + Sync)) -> Result<()> {
        loop {
            let leg = self.leg();
            if leg.left().is_none() || !self.go_over(&leg, Lacking::Copy(tell)).await? {
                return Ok(());
            }
        }
    }

    /// Says in `format` where the log is, so that who opens the store begins there. Whoever finds it out of date comes to the
    /// same place by way of those that were left.
    ///
    /// # Errors
    ///
    /// What the provider of the objects fails with.
    pub(crate) async fn tell_where(&self) -> Result<()> {
        self.place.objects.put(&format_key()?, self.root().encode(), PutIf::Always).await?;
        Ok(())
    }

    /// Appends the entry by which the log leaves a place, where that is its end.
    ///
    /// # Errors
    ///
    /// As for [`CommitLog::append`].
    pub(crate) async fn append_move(
        &self,
        leg: &Arc<Leg>,
        to: LogAt,
        entry: &Entry,
    ) -> storage_log::Result<Appended> {
        let appended = leg.log.append(entry).await?;
        match &appended {
            Appended::Ours => leg.known().left = Some((Record::from(entry), to)),
            Appended::Taken(record) => self.note(leg, record).await?,
            Appended::Unknown(_) => {}
        }
        Ok(appended)
    }

    /// Whether the log is in this place, as far as this handle knows.
    pub(crate) fn is_still_at(&self, leg: &Arc<Leg>) -> bool {
        Arc::ptr_eq(&self.leg(), leg) && leg.known().left.is_none()
    }

    /// Takes note of what stands in a place.
    async fn note(&self, leg: &Leg, record: &Record) -> storage_log::Result<()> {
        let is_known = {
            let known = leg.known();
            record.slot().0 <= known.seen || known.left.is_some()
        };
        if is_known {
            return Ok(());
        }
        let left = match record.is_move() {
            true => self.where_to(leg, record).await.map_err(in_log)?,
            false => None,
        };
        let mut known = leg.known();
        match left {
            Some(to) => known.left = Some((record.clone(), to)),
            None => known.seen = known.seen.max(record.slot().0),
        }
        Ok(())
    }

    /// Where the log goes on after a record, if it leaves this place with it. Entries that were copied here say how the log
    /// came here, and those of a copy of another store where that one went.
    async fn where_to(&self, leg: &Leg, record: &Record) -> Result<Option<LogAt>> {
        let Some(moved) = Moved::of(record)? else { return Ok(None) };
        let leaves = moved.from == leg.at
            && !(leg.at == LogAt::Provider
                && replica::is_copied(&self.place, self.root, record.slot()).await?);
        Ok(leaves.then_some(moved.to))
    }

    /// Goes on to the place after one that was left, if that has everything, or is given what it lacks. Whether it did.
    async fn go_over(&self, leg: &Arc<Leg>, lacking: Lacking<'_>) -> Result<bool> {
        let Some((last, to)) = leg.left() else { return Ok(false) };
        let next = leg.known().next.clone();
        let next = match next {
            Some(next) => next,
            None => {
                let opened = Arc::new(self.place.leg(self.root.id, to, &self.env).await?);
                leg.known().next.get_or_insert(opened).clone()
            }
        };
        let mut reached = None;
        let is_whole = has_all(&next, &last).await?;
        if !is_whole {
            let tell: &(dyn Fn(Slot) + Send + Sync) = match lacking {
                Lacking::Stay => return Ok(false),
                Lacking::Copy(tell) => tell,
                Lacking::CopyInTurn => {
                    reached = self.wait_for_others(&next, &last).await?;
                    &|_| ()
                }
            };
            if reached.is_none() {
                reached = last_record(&*next.log, Slot(0), last.slot()).await?;
            }
            let head = reached.map_or_else(
                || Head::genesis(self.root.id),
                |record| Head { slot: record.slot(), id: record.id() },
            );
            copy_log(&*leg.log, &*next.log, head, last.slot(), tell).await?;
        }
        {
            let mut known = next.known();
            known.seen = known.seen.max(last.slot().0);
        }
        let went = {
            let mut current = self.leg.lock().unwrap_or_else(PoisonError::into_inner);
            let is_here = Arc::ptr_eq(&*current, leg);
            if is_here {
                *current = next;
            }
            is_here
        };
        if went && !is_whole {
            // Only a short cut, which the next to move the log takes care of too.
            let _ = self.tell_where().await;
        }
        Ok(true)
    }

    /// Waits as long as somebody else copies: two that do it at once are in each other's way. Where the copy ends.
    async fn wait_for_others(&self, next: &Leg, last: &Record) -> Result<Option<Record>> {
        let mut reached = last_record(&*next.log, Slot(0), last.slot()).await?;
        loop {
            let part = self.env.random() % 1000;
            self.env.sleep(PAUSE + PAUSE.mul_f64(part as f64 / 1000.0)).await;
            let before = reached.as_ref().map_or(Slot(0), Record::slot);
            reached = last_record(&*next.log, before, last.slot()).await?;
            let now = reached.as_ref().map_or(Slot(0), Record::slot);
            if now == last.slot() || now == before {
                return Ok(reached);
            }
        }
    }

    /// Goes on from this place if the log was left with `head`, or before. Whether it did.
    async fn step(&self, leg: &Arc<Leg>, head: Head, lacking: Lacking<'_>) -> Result<bool> {
        let (seen, left) = {
            let known = leg.known();
            (known.seen, known.left.as_ref().map(|(record, _)| record.slot()))
        };
        if head.slot.0 <= seen || left.is_some_and(|left| head.slot < left) {
            return Ok(false);
        }
        if left.is_none() {
            let last = match leg.log.read(head.slot).await? {
                Some(record) => Some(record),
                // Whoever asks knows more of the log than this place has.
                None => last_record(&*leg.log, Slot(seen), head.slot).await?,
            };
            if let Some(last) = last {
                self.note(leg, &last).await?;
            }
        }
        self.go_over(leg, lacking).await
    }
}

#[async_trait]
impl CommitLog for StoreLog {
    fn id(&self) -> LogId {
        self.root.id
    }

    async fn append(&self, entry: &Entry) -> storage_log::Result<Appended> {
        let record = Record::from(entry);
        let before = Head { slot: Slot(entry.slot().0.saturating_sub(1)), id: record.previous() };
        loop {
            let leg = self.leg();
            // What fails here has nothing to do with the entry, which was sent nowhere.
            if self.step(&leg, before, Lacking::CopyInTurn).await.map_err(in_log)? {
                continue;
            }
            let appended = leg.log.append(entry).await?;
            match &appended {
                Appended::Ours => self.note(&leg, &record).await?,
                Appended::Taken(found) => self.note(&leg, found).await?,
                Appended::Unknown(_) => {}
            }
            return Ok(appended);
        }
    }

    async fn read(&self, slot: Slot) -> storage_log::Result<Option<Record>> {
        let mut leg = self.leg();
        while leg.left().is_some_and(|(last, _)| slot > last.slot())
            && self.go_over(&leg, Lacking::Stay).await.map_err(in_log)?
        {
            leg = self.leg();
        }
        let found = leg.log.read(slot).await?;
        if let Some(record) = &found {
            self.note(&leg, record).await?;
        }
        Ok(found)
    }

    async fn goes_on(&self, head: Head) -> storage_log::Result<bool> {
        self.step(&self.leg(), head, Lacking::Stay).await.map_err(in_log)
    }

    async fn collect(&self, record: &Record) -> storage_log::Result<()> {
        self.leg().log.collect(record).await
    }

    async fn status(&self) -> storage_log::Result<Vec<VoterStatus>> {
        self.leg().log.status().await
    }

    async fn mend(&self) -> storage_log::Result<Vec<VoterId>> {
        self.leg().log.mend().await
    }

    async fn change_voters(
        &self,
        change: VoterChange,
        tell: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> storage_log::Result<bool> {
        self.leg().log.change_voters(change, tell).await
    }
}

/// Whether a place that the log goes on in has the last entry of the one before. What is copied is copied in order, so whoever
/// has that has all.
async fn has_all(next: &Leg, last: &Record) -> Result<bool> {
    match next.log.read(last.slot()).await? {
        Some(found) if found.id() == last.id() => Ok(true),
        Some(_) => Err(Error::corrupt(format!(
            "the log was moved with slot {}, and where it went there is another entry in it",
            last.slot()
        ))),
        None => Ok(false),
    }
}

/// The same as an error of the log: of something that has nothing to do with what was to be appended.
fn in_log(error: Error) -> storage_log::Error {
    match error.kind() {
        ErrorKind::Storage(kind) => {
            storage_core::Error::not_applied(kind, error.to_string()).with_source(error).into()
        }
        _ => storage_log::Error::Corrupt { slot: Slot(0), why: error.to_string() },
    }
}

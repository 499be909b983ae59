//! How far a handle knows the log, and what that adds up to.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use prost::Message;
use storage_core::Key;
use storage_log::planted::planted;
use storage_log::{Head, LogId, Record, Slot};

use crate::change::Change;
use crate::flush::Frozen;
use crate::format::checkpoint::Checkpoint;
use crate::format::commit::{CommitRecord, encode_record};
use crate::format::entry::{Batch, Logged};
use crate::format::segment::{SegmentId, SegmentRef};
use crate::memtable::Memtable;
use crate::segment::{Segment, Shelf};
use crate::shared::Shared;
use crate::system::{FLUSHED, Flushed, System};
use crate::view::{Run, View};
use crate::writes::Writes;
use crate::{Error, Result, TransactionId, Version, space};

/// How many of the last entries tell who else is writing.
const WRITERS_REMEMBERED: usize = 64;

/// The log up to a slot, applied.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) head: Head,
    /// The version of the last transaction.
    pub(crate) version: Version,
    /// The time of the last entry, in microseconds since the Unix epoch.
    pub(crate) time: u64,
    pub(crate) view: Arc<View>,
    writers: VecDeque<u64>,
    shelf: Shelf,
    /// The version of the last transaction that was not only about system keys.
    users: Version,
    /// What transactions up to this version do to system keys is known already, from a checkpoint.
    system_known: Version,
    /// Everything since the first transaction is in memory, and segments are not looked at: they may be lost.
    whole: bool,
    /// What of that is in new segments, which nobody names yet, and no longer in memory.
    remade: Remade,
    /// Memtables that are no longer needed. To take one down takes long, so it is not done under the lock.
    retired: Vec<Arc<Memtable>>,
}

/// Segments that were made again from the log.
#[derive(Debug, Default)]
struct Remade {
    segments: Vec<(SegmentId, SegmentRef)>,
    /// They hold everything up to this version.
    upto: Version,
}

/// What an entry says, and what follows from it: all that can be made of it before anybody knows whether it is the next.
#[derive(Debug)]
pub(crate) struct Decoded {
    batch: Batch,
    /// The commit record of each of its transactions.
    records: Vec<Bytes>,
}

/// Reads the body of the entry at a slot.
///
/// # Errors
///
/// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), saying what is wrong.
pub(crate) fn decode(slot: Slot, body: &Bytes) -> Result<Decoded> {
    let batch = Batch::decode(body)?;
    let records = commit_records(&batch, slot);
    Ok(Decoded { batch, records })
}

/// Whether a record was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advanced {
    /// It was, or it was known already.
    Yes,
    /// It was not: its bytes are collected, and so is everything before it.
    Collected,
}

impl State {
    /// Before the first entry. Until [`trust_all`](Self::trust_all) nothing is taken from segments.
    pub(crate) fn new(log: LogId, shelf: Shelf) -> Self {
        let view = View { memtables: vec![Arc::new(Memtable::default())], ..View::default() };
        Self {
            head: Head::genesis(log),
            version: Version::ZERO,
            time: 0,
            view: Arc::new(view),
            writers: VecDeque::new(),
            shelf,
            users: Version::ZERO,
            system_known: Version::ZERO,
            whole: true,
            remade: Remade::default(),
            retired: Vec::new(),
        }
    }

    /// Says whose state it is.
    pub(crate) fn belongs_to(&mut self, origin: Weak<Shared>) {
        self.change_view(|view| view.origin = origin);
    }

    /// What a checkpoint says, in place of all that was known.
    pub(crate) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let system = Arc::new(checkpoint.system.clone());
        let runs = self.runs(&system)?;
        let head = checkpoint.head()?;
        let memtables = vec![Arc::new(Memtable::default())];
        let origin = self.view.origin.clone();
        self.view = Arc::new(View { memtables, runs, system, origin });
        self.head = head;
        self.version = match planted("checkpoint-opens-one-version-late") {
            true => Version(checkpoint.flushed.version + 1),
            false => Version(checkpoint.flushed.version),
        };
        self.time = checkpoint.flushed.time;
        self.writers.clear();
        self.users = Version::ZERO;
        self.system_known = checkpoint.version;
        self.whole = false;
        self.remade = Remade::default();
        Ok(())
    }

    /// Freezes what is in memory to be put into segments that nobody names yet: a log that is read whole may be too much
    /// for memory.
    pub(crate) fn freeze_part(&mut self) -> Frozen {
        self.freeze_from(self.remade.upto)
    }

    /// Takes note that these segments hold such a part, and lets go of it.
    pub(crate) fn remade(&mut self, part: &Frozen, segments: Vec<(SegmentId, SegmentRef)>) {
        self.remade.upto = Version(part.to.version);
        self.remade.segments.extend(segments);
        let runs = self.runs_of(self.remade.segments.iter().cloned());
        self.change_view(|view| {
            view.memtables.retain(|memtable| {
                !part.memtables.iter().any(|frozen| Arc::ptr_eq(frozen, memtable))
            });
            view.runs = runs;
        });
    }

    /// Whether segments are not looked at, as some may be lost.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Freezes what is in memory to be flushed, unless everything up to `goal` was flushed already.
    pub(crate) fn freeze(&mut self, goal: Version) -> Result<Option<Frozen>> {
        if self.version == Version::ZERO {
            // There is no entry that a checkpoint could stand at.
            return Ok(None);
        }
        let system = &self.view.system;
        let flushed = system.flushed()?.map_or(Version::ZERO, |flushed| Version(flushed.version));
        if !self.whole && (flushed >= goal || flushed >= self.users) {
            return Ok(None);
        }
        let mut frozen = self.freeze_from(if self.whole { self.remade.upto } else { flushed });
        if self.whole {
            let named = self.view.system.segments()?.into_iter();
            frozen.replaced = named.map(|(id, at, _)| (id, at)).collect();
            frozen.remade = self.remade.segments.clone();
            frozen.whole = true;
        }
        Ok(Some(frozen))
    }

    fn freeze_from(&mut self, from: Version) -> Frozen {
        let from = if planted("flush-leaves-the-first-out") { Version(from.0 + 1) } else { from };
        let memtables = self.view.memtables.clone();
        self.change_view(|view| view.memtables.insert(0, Arc::default()));
        let to = Flushed {
            version: self.version.0 + u64::from(planted("flush-says-one-version-more")),
            slot: self.head.slot.0,
            entry: Bytes::copy_from_slice(&self.head.id.0),
            time: self.time,
        };
        let flushed_at = self.view.system.get(FLUSHED).map(|(at, _)| at);
        let (replaced, remade) = (Vec::new(), Vec::new());
        Frozen { from, to, memtables, flushed_at, replaced, remade, whole: false }
    }

    /// Takes note that a flush of this handle was committed, which has made up for all segments that were lost.
    pub(crate) fn trust_segments(&mut self, flushed: &Frozen) -> Result<()> {
        if flushed.whole { self.trust_all() } else { Ok(()) }
    }

    /// Takes note that all segments are there, and that nothing is in those alone that were made again and are not named.
    pub(crate) fn trust_all(&mut self) -> Result<()> {
        self.whole = false;
        self.remade = Remade::default();
        let system = self.view.system.clone();
        self.look_at_segments(system)
    }

    /// The memtables that are no longer needed, to be dropped where nobody waits.
    pub(crate) fn take_retired(&mut self) -> Vec<Arc<Memtable>> {
        std::mem::take(&mut self.retired)
    }

    /// Whether there are segments that were made again and are not named.
    pub(crate) fn has_remade(&self) -> bool {
        !self.remade.segments.is_empty()
    }

    /// Whether this handle reads from an object that it has made again from the log and that nobody names yet.
    pub(crate) fn relies_on(&self, object: &Key) -> bool {
        self.remade.segments.iter().any(|(id, _)| id.to_string() == object.as_str())
    }

    /// Whether the log ended before the version that a checkpoint knows of.
    pub(crate) fn is_behind_its_checkpoint(&self) -> bool {
        self.version < self.system_known
    }

    /// How much there is in memory that no flush has begun to take care of.
    pub(crate) fn memory_bytes(&self) -> usize {
        let memtables =
            if self.whole { &self.view.memtables[..] } else { &self.view.memtables[..1] };
        memtables.iter().map(|memtable| memtable.bytes()).sum()
    }

    /// Takes in the next record of the log. One that is known already is passed over, so that several may
    /// read the log at the same time. `decoded` is what was [decoded](decode) of it beforehand, if it was.
    pub(crate) fn advance(
        &mut self,
        record: &Record,
        decoded: Option<Decoded>,
    ) -> Result<Advanced> {
        if record.slot() <= self.head.slot {
            return Ok(Advanced::Yes);
        }
        let head = self.head.follow(record)?;
        let Some(body) = record.body() else { return Ok(Advanced::Collected) };
        let Decoded { batch, records } = match decoded {
            Some(decoded) => decoded,
            None => decode(record.slot(), body)?,
        };
        if batch.first.0 != self.version.0 + 1 || batch.time < self.time {
            return Err(Error::corrupt(format!(
                "log slot {} does not go on from version {}",
                record.slot(),
                self.version
            )));
        }
        for (at, (transaction, record)) in batch.transactions.into_iter().zip(records).enumerate() {
            let version = Version(batch.first.0 + at as u64);
            self.apply(version, transaction, record)?;
            self.version = version;
        }
        self.head = head;
        self.time = batch.time;
        self.writers.push_back(writer(record));
        if self.writers.len() > WRITERS_REMEMBERED {
            self.writers.pop_front();
        }
        Ok(Advanced::Yes)
    }

    fn apply(&mut self, version: Version, transaction: Logged, record: Bytes) -> Result<()> {
        let memtable = &self.view.memtables[0];
        let writes = transaction.writes;
        let concerns_system = System::is_concerned(&writes);
        if !concerns_system || concerns_users(&writes) {
            self.users = version;
        }
        let of_system = (concerns_system && version > self.system_known).then(|| writes.clone());
        if planted("entry-is-applied-without-its-ids") {
            memtable.apply(version, writes);
        } else {
            let needed = needed_values(version, &writes)?;
            memtable.apply(version, writes);
            memtable.record(version, transaction.id, record);
            if !needed.is_empty() {
                memtable.apply(version, needed);
            }
        }
        if let Some(writes) = of_system {
            let mut system = (*self.view.system).clone();
            system.apply(version, &writes)?;
            self.look_at_segments(Arc::new(system))?;
        }
        Ok(())
    }

    /// Makes a view with these system keys: with the segments they name, and without what is in memory and in
    /// segments too. What is added later goes elsewhere than what was there, so that the next flush lets go of it.
    fn look_at_segments(&mut self, system: Arc<System>) -> Result<()> {
        let is_named = |id: &SegmentId| system.get(id.to_string().as_bytes()).is_some();
        if self.has_remade() && self.remade.segments.iter().all(|(id, _)| is_named(id)) {
            // So the flush that names them is in the log, whatever it was answered, and has made up for what was lost.
            // Doing it again would take the place of what it has made itself.
            self.whole = false;
            self.remade = Remade::default();
        }
        let flushed = system.flushed()?.map_or(Version::ZERO, |flushed| Version(flushed.version));
        let runs = if self.whole {
            self.runs_of(self.remade.segments.iter().cloned())
        } else {
            self.runs(&system)?
        };
        let whole = self.whole;
        self.retired.extend_from_slice(&self.view.memtables);
        self.change_view(|view| {
            if view.system.get(FLUSHED) != system.get(FLUSHED) {
                view.memtables.insert(0, Arc::default());
            }
            let newest = view.memtables[0].clone();
            view.memtables.retain(|memtable| {
                let early = planted("memory-is-let-go-early");
                whole || Arc::ptr_eq(memtable, &newest) || (memtable.last() > flushed && !early)
            });
            view.runs = runs;
            view.system = system;
        });
        let kept = &self.view.memtables;
        self.retired.retain(|old| !kept.iter().any(|memtable| Arc::ptr_eq(memtable, old)));
        Ok(())
    }

    fn change_view(&mut self, change: impl FnOnce(&mut View)) {
        let mut view = (*self.view).clone();
        change(&mut view);
        self.view = Arc::new(view);
    }

    /// The segments that system keys name, the one with the highest version first.
    fn runs(&self, system: &System) -> Result<Vec<Arc<dyn Run>>> {
        Ok(self.runs_of(system.segments()?.into_iter().map(|(id, _, about)| (id, about))))
    }

    fn runs_of(
        &self,
        segments: impl Iterator<Item = (SegmentId, SegmentRef)>,
    ) -> Vec<Arc<dyn Run>> {
        let mut runs: Vec<Arc<dyn Run>> = segments
            .map(|(id, about)| Arc::new(Segment::new(&self.shelf, id, about)) as _)
            .collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.last()));
        runs
    }

    /// How many different writers the last entries are from.
    pub(crate) fn writers(&self) -> usize {
        let mut writers: Vec<_> = self.writers.iter().collect();
        writers.sort_unstable();
        writers.dedup();
        writers.len()
    }

    /// How many of the last entries are from one writer, as times its fair share of them: 1 is as many as others have.
    pub(crate) fn share(&self, writer: u64) -> f64 {
        let own = self.writers.iter().filter(|other| **other == writer).count();
        (own * self.writers()) as f64 / self.writers.len().max(1) as f64
    }
}

/// The commit records of all transactions of an entry. They share their memory, as they go the same way.
fn commit_records(batch: &Batch, slot: Slot) -> Vec<Bytes> {
    let (mut all, mut ends) = (Vec::new(), Vec::with_capacity(batch.transactions.len()));
    for transaction in &batch.transactions {
        encode_record(transaction, slot.0, batch.time, &mut all);
        ends.push(all.len());
    }
    let all = Bytes::copy_from_slice(&all);
    let mut start = 0;
    ends.into_iter().map(|end| all.slice(std::mem::replace(&mut start, end)..end)).collect()
}

/// Whether a transaction changes users' keys.
fn concerns_users(writes: &Writes) -> bool {
    let users = space::all(space::USER);
    writes.points_within(&users).next().is_some()
        || writes.ranges().iter().any(|range| users.contains(&range.start))
}

/// What follows from a transaction and is not in the log: its commit record, its version by its id, and which large
/// values it needs.
pub(crate) fn derived(
    version: Version,
    transaction: &Logged,
    record: &CommitRecord,
) -> Result<Writes> {
    let mut derived = needed_values(version, &transaction.writes)?;
    derived.change(space::commit(version), Change::Put(record.encode_to_vec().into()))?;
    let number = Bytes::copy_from_slice(&version.0.to_be_bytes());
    derived.change(space::id(transaction.id), Change::Put(number))?;
    Ok(derived)
}

/// Records of the large values that a transaction puts.
pub(crate) fn needed_values(version: Version, writes: &Writes) -> Result<Writes> {
    let mut needed = Writes::default();
    for (key, change) in writes.points_within(&space::all(space::USER)) {
        if let Change::Ref(value) = change {
            let record = space::value(value.id(), version, key);
            needed.change(record, Change::Put(Bytes::new()))?;
        }
    }
    Ok(needed)
}

/// Who appended a record: handles draw the first half of their nonces once.
fn writer(record: &Record) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = record.nonce();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The version under which a transaction id is found.
pub(crate) fn version_of(value: &[u8], id: TransactionId) -> Result<Version> {
    let bytes = value.try_into().map_err(|_| {
        Error::corrupt(format!("what is kept of transaction {id} is not a version"))
    })?;
    Ok(Version(u64::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests;

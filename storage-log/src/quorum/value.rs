//! What is decided: entries of the log, and who votes from here on; and places in the order of decisions.

use bytes::{BufMut, Bytes, BytesMut};

use crate::chain::identity;
use crate::{Entry, EntryId, Error, Head, LogId, Record, Result, Slot};

identity! {
    /// Who a voter is: what its marker says. A provider that was wiped comes back as another voter.
    VoterId, 16
}

/// More voters than anybody needs: each is a put with every commit.
pub const VOTERS_MAX: usize = 15;

const MAGIC: [u8; 4] = *b"cbv1";
/// Magic, quorum, count, log, index, slot, id before, entry before.
const HEADER: usize = 104;

/// A place in the order of decisions: what was decided there, and what the log had come to.
///
/// Entries of the log and changes of the voters are decided in one order, at indexes 1, 2, 3 and so on. Only
/// entries take a slot, so `index - slot` is how often the voters were changed: the version of who votes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// How many decisions there were up to here.
    pub index: u64,
    /// The last slot of the log here.
    pub slot: Slot,
    /// The id of what was decided at this index.
    pub id: EntryId,
    /// The id of the entry in the last slot.
    pub entry: EntryId,
}

impl Point {
    /// Before everything: the log is empty and its first voters vote.
    #[must_use]
    pub fn genesis(log: LogId) -> Self {
        let head = Head::genesis(log);
        Self { index: 0, slot: head.slot, id: head.id, entry: head.id }
    }

    /// How often the voters were changed up to here.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.index - self.slot.0
    }
}

/// Who votes, and how many of them decide.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Voters {
    /// How often they were changed before.
    pub version: u64,
    /// How many must hold a decision: more than half of them.
    pub quorum: usize,
    /// Who they are, in the order in which they were named.
    pub members: Vec<VoterId>,
}

impl Voters {
    /// These, with a majority deciding.
    #[must_use]
    pub fn majority(version: u64, members: Vec<VoterId>) -> Self {
        Self { version, quorum: members.len() / 2 + 1, members }
    }

    /// What is wrong with them, if anything is.
    pub(crate) fn problem(&self) -> Option<String> {
        let count = self.members.len();
        let mut sorted = self.members.clone();
        sorted.sort_unstable();
        sorted.dedup();
        match () {
            () if count == 0 => Some("there are no voters".into()),
            () if count > VOTERS_MAX => Some(format!("{count} voters are more than {VOTERS_MAX}")),
            () if sorted.len() < count => Some("a voter is named twice".into()),
            () if self.quorum * 2 <= count || self.quorum > count => {
                Some(format!("{} of {count} voters is no quorum", self.quorum))
            }
            () => None,
        }
    }

    pub(crate) fn put(&self, bytes: &mut BytesMut) {
        bytes.put_u16_le(self.quorum as u16);
        bytes.put_u16_le(self.members.len() as u16);
    }
}

/// What is to be decided at an index.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Value {
    point: Point,
    before: Point,
    voters: Option<Voters>,
    bytes: Bytes,
}

impl Value {
    /// An entry of the log, or what is left of it, after `before`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when it does not follow.
    pub fn entry(log: LogId, before: Point, bytes: Bytes) -> Result<Self> {
        let record = Record::decode(log, before.slot.next(), bytes.clone())?;
        let head = Head { slot: before.slot, id: before.entry }.follow(&record)?;
        let point = Point { index: before.index + 1, slot: head.slot, id: head.id, entry: head.id };
        Ok(Self { point, before, voters: None, bytes })
    }

    /// As [`entry`](Self::entry), of an entry that its writer has just framed.
    pub(crate) fn of(entry: &Entry, before: Point) -> Option<Self> {
        let record = Record::from(entry);
        let follows = record.slot() == before.slot.next() && record.previous() == before.entry;
        let (slot, id) = (record.slot(), record.id());
        let point = Point { index: before.index + 1, slot, id, entry: id };
        follows.then(|| Self { point, before, voters: None, bytes: entry.bytes().clone() })
    }

    /// That these vote from the next index on.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when they cannot: see [`Voters`].
    pub fn voters(log: LogId, before: Point, quorum: usize, members: Vec<VoterId>) -> Result<Self> {
        let voters = Voters { version: before.version() + 1, quorum, members };
        if let Some(problem) = voters.problem() {
            return Err(Error::corrupt(before.slot, problem));
        }
        let mut bytes = BytesMut::with_capacity(HEADER + 16 * voters.members.len());
        bytes.put_slice(&MAGIC);
        voters.put(&mut bytes);
        bytes.put_slice(&log.0);
        bytes.put_u64_le(before.index + 1);
        bytes.put_u64_le(before.slot.0);
        bytes.put_slice(&before.id.0);
        bytes.put_slice(&before.entry.0);
        voters.members.iter().for_each(|member| bytes.put_slice(&member.0));
        let bytes = bytes.freeze();
        let point = Point { index: before.index + 1, id: hash(&bytes), ..before };
        Ok(Self { point, before, voters: Some(voters), bytes })
    }

    /// What stands in a cell that says it decides on voters after `slot`.
    pub(crate) fn decode_voters(log: LogId, slot: Slot, bytes: &Bytes) -> Result<Self> {
        let corrupt = |why: &str| Error::corrupt(slot, why.to_owned());
        if bytes.len() < HEADER || bytes[..4] != MAGIC {
            return Err(corrupt("it does not say who votes in a format this program knows"));
        }
        let count = usize::from(u16::from_le_bytes([bytes[6], bytes[7]]));
        if bytes.len() != HEADER + 16 * count || bytes[8..24] != log.0 {
            return Err(corrupt("it says who votes on another log, or only half of it"));
        }
        let number = |at: usize| u64::from_le_bytes(array(bytes, at));
        let before = Point {
            index: number(24).checked_sub(1).ok_or_else(|| corrupt("nothing is decided at 0"))?,
            slot: Slot(number(32)),
            id: EntryId(array(bytes, 40)),
            entry: EntryId(array(bytes, 72)),
        };
        if before.slot != slot || before.index < slot.0 {
            return Err(corrupt("it says who votes after another slot"));
        }
        let members = bytes[HEADER..].chunks_exact(16);
        let members = members.map(|member| VoterId(array(member, 0))).collect();
        let quorum = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
        Self::voters(log, before, quorum, members)
    }

    /// Where it is to stand, and what the log comes to there.
    #[must_use]
    pub fn point(&self) -> Point {
        self.point
    }

    /// Where that stands which it follows.
    #[must_use]
    pub fn before(&self) -> Point {
        self.before
    }

    /// Who votes after it, if that is what it decides.
    #[must_use]
    pub fn new_voters(&self) -> Option<&Voters> {
        self.voters.as_ref()
    }

    /// Its bytes: of an entry those of `docs/formats/log.md`.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The same after it was collected: with the tombstone of its entry.
    pub(crate) fn collected(&self, record: &Record) -> Self {
        Self { bytes: record.tombstone(), ..self.clone() }
    }
}

impl std::fmt::Debug for Value {
    /// Says where and how much, never what.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { point, voters, bytes, .. } = self;
        let mut debug = f.debug_struct("Value");
        debug.field("index", &point.index).field("slot", &point.slot.0).field("id", &point.id);
        match voters {
            Some(voters) => debug.field("voters", voters),
            None => debug.field("bytes", &bytes.len()),
        };
        debug.finish_non_exhaustive()
    }
}

fn hash(bytes: &[u8]) -> EntryId {
    EntryId(blake3::derive_key("cloudbank quorum voters 1", bytes))
}

pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the length was checked")
}

#[cfg(test)]
mod tests;

//! What stands at a position of a voter's chain; its bytes are described in `docs/formats/quorum-log.md`.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::value::array;
use super::{Point, Value, VoterId};
use crate::chain::identity;
use crate::{EntryId, Error, LogId, Record, Result, Slot};

identity! {
    /// A BLAKE3 hash of a cell, without the bytes of its value (whose id is in it) but with the hash of the
    /// cell before it on the same voter.
    CellHash, 32
}

impl CellHash {
    /// What the first cell of a chain follows.
    pub const NONE: Self = Self([0; 32]);
}

/// Who leads, in which order: of two epochs the higher is the later. No two leaders have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// One more than the highest that the leader had seen when it took over.
    pub round: u64,
    /// Which handle leads: drawn at random.
    pub writer: u128,
}

impl Epoch {
    /// Before everybody.
    pub const ZERO: Self = Self { round: 0, writer: 0 };
}

const MAGIC: [u8; 4] = *b"cbq1";
const PROMISE: u8 = 1;
const ENTRY: u8 = 2;
const VOTERS: u8 = 3;
/// Up to where the hash is taken.
const HASHED: usize = 208;
const HEADER: usize = HASHED + 32;

/// What a cell says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Said {
    /// Nobody of a lower epoch is listened to from here on. What was accepted last is told for those who search.
    Promise {
        /// Of the last value accepted before, on this chain.
        index: u64,
        /// The last slot there.
        slot: Slot,
        /// Up to which index its writer knew what was decided.
        decided: u64,
    },
    /// This value is accepted, and all before it is decided.
    Accept(Box<Value>),
}

/// One object of a chain: created once at its position, and never changed but to lose the body of its entry when
/// that is collected.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cell {
    pub(crate) voter: VoterId,
    pub(crate) position: u64,
    pub(crate) epoch: Epoch,
    pub(crate) said: Said,
    /// The position of the last value accepted up to and with this cell; 0 when there is none.
    pub(crate) accepted_at: u64,
    /// The position of the decision by which those vote who decide on the last value accepted up to and with this
    /// cell; 0 when it is not on this chain.
    pub(crate) voters_at: u64,
    pub(crate) previous: CellHash,
    pub(crate) hash: CellHash,
}

impl Cell {
    /// Frames what is said at `position`, after the cell with the hash `previous`.
    pub(crate) fn new(
        log: LogId,
        (voter, position, previous): (VoterId, u64, CellHash),
        epoch: Epoch,
        said: Said,
        (accepted_at, voters_at): (u64, u64),
    ) -> Self {
        let accepted_at = if matches!(said, Said::Accept(_)) { position } else { accepted_at };
        let hash = CellHash::NONE;
        let mut cell =
            Self { voter, position, epoch, said, accepted_at, voters_at, previous, hash };
        cell.hash = hash_of(&cell.header(log));
        cell
    }

    /// Reads and verifies what is stored at `position` of the chain of `voter`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] for anything but the bytes of a cell of this log on this chain at this position.
    pub fn decode(log: LogId, voter: VoterId, position: u64, bytes: &Bytes) -> Result<Self> {
        let number = |at: usize| u64::from_le_bytes(array(bytes, at));
        let corrupt = |why: &str| {
            let slot = if bytes.len() < HEADER { Slot(0) } else { Slot(number(80)) };
            Error::corrupt(slot, format!("voter {voter}, position {position}: {why}"))
        };
        if bytes.len() < HEADER || bytes[..4] != MAGIC {
            return Err(corrupt("it is not a cell of a format this program knows"));
        }
        if hash_of(&bytes[..HASHED]).0 != bytes[HASHED..HEADER] {
            return Err(corrupt("its bytes do not have the hash they should"));
        }
        if bytes[8..24] != log.0 || bytes[24..40] != voter.0 || number(40) != position {
            return Err(corrupt("it belongs to another log, another voter or another position"));
        }
        let (index, slot) = (number(72), Slot(number(80)));
        let before = |entry: EntryId, slot: u64| Point {
            index: index.saturating_sub(1),
            slot: Slot(slot),
            id: EntryId(array(bytes, 144)),
            entry,
        };
        let body = bytes.slice(HEADER..);
        let said = match bytes[4] {
            PROMISE if body.is_empty() => Said::Promise { index, slot, decided: number(88) },
            ENTRY => {
                let record = Record::decode(log, slot, body.clone())?;
                let before = before(record.previous(), slot.0.saturating_sub(1));
                Said::Accept(Box::new(Value::entry(log, before, body)?))
            }
            VOTERS => Said::Accept(Box::new(Value::decode_voters(log, slot, &body)?)),
            _ => return Err(corrupt("it is of an unknown kind")),
        };
        let cell = Self {
            voter,
            position,
            epoch: Epoch { round: number(48), writer: u128::from_le_bytes(array(bytes, 56)) },
            said,
            accepted_at: number(96),
            voters_at: number(104),
            previous: CellHash(array(bytes, 112)),
            hash: CellHash(array(bytes, HASHED)),
        };
        // Whatever is told twice must be told the same.
        if cell.header(log)[..] != bytes[..HASHED] {
            return Err(corrupt("it says two different things"));
        }
        Ok(cell)
    }

    /// Its bytes, as they are stored.
    #[must_use]
    pub fn encode(&self, log: LogId) -> Bytes {
        let body = self.value().map(|value| value.bytes().clone()).unwrap_or_default();
        let mut bytes = BytesMut::with_capacity(HEADER + body.len());
        bytes.put_slice(&self.header(log));
        bytes.put_slice(&self.hash.0);
        bytes.put_slice(&body);
        bytes.freeze()
    }

    /// Whose chain it is on.
    #[must_use]
    pub fn voter(&self) -> VoterId {
        self.voter
    }

    /// Where on the chain it stands.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// In which epoch it was put.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What it accepts, if it is not a promise.
    #[must_use]
    pub fn value(&self) -> Option<&Value> {
        match &self.said {
            Said::Accept(value) => Some(value.as_ref()),
            Said::Promise { .. } => None,
        }
    }

    /// Up to which index and slot there are accepted values on the chain, with this cell.
    #[must_use]
    pub fn reach(&self) -> (u64, Slot) {
        match &self.said {
            Said::Promise { index, slot, .. } => (*index, *slot),
            Said::Accept(value) => (value.point().index, value.point().slot),
        }
    }

    /// The same with what is left of its entry.
    pub(crate) fn collected(&self, record: &Record) -> Self {
        let mut cell = self.clone();
        if let Said::Accept(value) = &self.said {
            cell.said = Said::Accept(Box::new(value.collected(record)));
        }
        cell
    }

    fn header(&self, log: LogId) -> [u8; HASHED] {
        let (index, slot) = self.reach();
        let none = EntryId([0; 32]);
        let (kind, decided, before, id) = match &self.said {
            Said::Promise { decided, .. } => (PROMISE, *decided, none, none),
            Said::Accept(value) => {
                let kind = if value.new_voters().is_some() { VOTERS } else { ENTRY };
                (kind, index - 1, value.before().id, value.point().id)
            }
        };
        let mut header = [0; HASHED];
        let mut bytes = &mut header[..];
        bytes.put_slice(&MAGIC);
        bytes.put_slice(&[kind, 0, 0, 0]);
        bytes.put_slice(&log.0);
        bytes.put_slice(&self.voter.0);
        bytes.put_u64_le(self.position);
        bytes.put_u64_le(self.epoch.round);
        bytes.put_u128_le(self.epoch.writer);
        bytes.put_u64_le(index);
        bytes.put_u64_le(slot.0);
        bytes.put_u64_le(decided);
        bytes.put_u64_le(self.accepted_at);
        bytes.put_u64_le(self.voters_at);
        bytes.put_slice(&self.previous.0);
        bytes.put_slice(&before.0);
        bytes.put_slice(&id.0);
        header
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:x}", self.round, self.writer)
    }
}

fn hash_of(header: &[u8]) -> CellHash {
    CellHash(blake3::derive_key("cloudbank quorum cell 1", header))
}

#[cfg(test)]
mod tests;

//! The marker of a voter: what proves that it is still itself, and where its chain begins.

use bytes::{BufMut, Bytes, BytesMut};

use super::value::array;
use super::{Base, Point, VoterId, Voters};
use crate::{EntryId, Error, LogId, Result, Slot};

const MAGIC: [u8; 4] = *b"cbm1";
/// Magic, quorum, count, log, voter, position, index, slot, id, entry, version.
const HEADER: usize = 136;
const HASH: usize = 32;

/// The object by which a voter is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) voter: VoterId,
    pub(crate) base: Base,
}

impl Marker {
    /// Its bytes, as they are stored.
    pub(crate) fn encode(&self, log: LogId) -> Bytes {
        let Base { position, point, voters } = &self.base;
        let mut bytes = BytesMut::with_capacity(HEADER + 16 * voters.members.len() + HASH);
        bytes.put_slice(&MAGIC);
        voters.put(&mut bytes);
        bytes.put_slice(&log.0);
        bytes.put_slice(&self.voter.0);
        bytes.put_u64_le(*position);
        bytes.put_u64_le(point.index);
        bytes.put_u64_le(point.slot.0);
        bytes.put_slice(&point.id.0);
        bytes.put_slice(&point.entry.0);
        bytes.put_u64_le(voters.version);
        voters.members.iter().for_each(|member| bytes.put_slice(&member.0));
        let hash = hash(&bytes);
        bytes.put_slice(&hash);
        bytes.freeze()
    }

    /// Of which log it is a marker, if it is a whole one.
    pub(crate) fn log_of(bytes: &Bytes) -> Option<LogId> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(HASH)?)?;
        (body.len() >= HEADER && body[..4] == MAGIC && hash(body) == sum)
            .then(|| LogId(array(bytes, 8)))
    }

    /// What is stored as a marker.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] for anything but the unchanged bytes of a marker of this log.
    pub(crate) fn decode(log: LogId, bytes: &Bytes) -> Result<Self> {
        let corrupt = |why: &str| Error::corrupt(Slot(0), format!("the marker of a voter: {why}"));
        if bytes.len() < HEADER + HASH || bytes[..4] != MAGIC {
            return Err(corrupt("it is not one of a format this program knows"));
        }
        let (body, sum) = bytes.split_at(bytes.len() - HASH);
        let count = usize::from(u16::from_le_bytes([bytes[6], bytes[7]]));
        if hash(body) != sum || body.len() != HEADER + 16 * count {
            return Err(corrupt("its bytes do not have the hash they should"));
        }
        if LogId(array(bytes, 8)) != log {
            let other = LogId(array(bytes, 8));
            return Err(corrupt(&format!("it belongs to the log {other}, not {log}")));
        }
        let number = |at: usize| u64::from_le_bytes(array(bytes, at));
        let point = Point {
            index: number(48),
            slot: Slot(number(56)),
            id: EntryId(array(bytes, 64)),
            entry: EntryId(array(bytes, 96)),
        };
        let members = body[HEADER..].chunks_exact(16);
        let voters = Voters {
            version: number(128),
            quorum: usize::from(u16::from_le_bytes([bytes[4], bytes[5]])),
            members: members.map(|member| VoterId(array(member, 0))).collect(),
        };
        if let Some(problem) = voters.problem() {
            return Err(corrupt(&problem));
        }
        let base = Base { position: number(40), point, voters };
        Ok(Self { voter: VoterId(array(bytes, 24)), base })
    }
}

fn hash(bytes: &[u8]) -> [u8; HASH] {
    blake3::derive_key("cloudbank quorum marker 1", bytes)
}

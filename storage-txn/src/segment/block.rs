//! A block: changes in the order of their keys, each key's newest first.

use std::cmp::Reverse;
use std::num::NonZeroU64;
use std::ops::Range;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use prost::encoding::{decode_varint, encode_varint};

use crate::change::{Change, Stack};
use crate::format::entry::{change_from_wire, change_to_wire, wire};
use crate::format::value::ValueRef;
use crate::{Error, Result, Version};

/// The kinds of changes, numbered as in an entry of the log.
const PUT: u8 = 2;
const DELETE: u8 = 3;
const MERGE: u8 = 5;
const REF: u8 = 6;

/// Added to the kind of what is superseded: by how many versions later follows.
const SUPERSEDED: u8 = 0x80;
/// Added to the kind of a value that merges came to.
const MERGED: u8 = 0x40;

/// A value that takes less than this part of its block is copied out of it, so that who keeps the value does
/// not keep the block.
const COPIED_PART: usize = 4;

/// A change of a key as a segment holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) version: Version,
    /// In history: reads at this version and above do not need it.
    pub(crate) superseded: Option<Version>,
    /// It is the value that a merge of this version came to.
    pub(crate) merged: bool,
    pub(crate) change: Change,
}

impl Stored {
    /// One that is current, as it was committed.
    pub(crate) fn current(version: Version, change: Change) -> Self {
        Self { version, superseded: None, merged: false, change }
    }

    /// Whether it counts for who reads at `version`.
    pub(crate) fn is_seen_at(&self, version: Version) -> bool {
        self.version <= version && self.superseded.is_none_or(|end| end > version)
    }
}

/// A block that is being made.
#[derive(Debug, Default)]
pub(super) struct Builder {
    content: Vec<u8>,
    key: Vec<u8>,
}

impl Builder {
    /// Adds a change that comes after those that were added before.
    pub(super) fn add(&mut self, key: &[u8], stored: &Stored) {
        let shared = self.key.iter().zip(key).take_while(|(a, b)| a == b).count();
        encode_varint(shared as u64, &mut self.content);
        encode_varint((key.len() - shared) as u64, &mut self.content);
        self.content.put_slice(&key[shared..]);
        encode_varint(stored.version.0, &mut self.content);
        let (kind, value) = encode(&stored.change);
        let superseded = if stored.superseded.is_some() { SUPERSEDED } else { 0 };
        let merged = if stored.merged { MERGED } else { 0 };
        self.content.put_u8(kind | superseded | merged);
        if let Some(end) = stored.superseded {
            encode_varint(end.0.saturating_sub(stored.version.0), &mut self.content);
        }
        encode_varint(value.len() as u64, &mut self.content);
        self.content.put_slice(&value);
        self.key.clear();
        self.key.extend_from_slice(key);
    }

    pub(super) fn bytes(&self) -> usize {
        self.content.len()
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.content
    }
}

/// A block that was read and checked.
#[derive(Debug)]
pub(super) struct Block {
    content: Bytes,
    /// All different keys, one after the other.
    keys: Bytes,
    changes: Vec<At>,
}

#[derive(Debug)]
struct At {
    key: Range<u32>,
    version: Version,
    superseded: Option<NonZeroU64>,
    kind: u8,
    value: Range<u32>,
}

impl Block {
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), saying what is wrong but not where.
    pub(super) fn read(content: Bytes) -> Result<Self> {
        let (mut keys, mut changes) = (Vec::<u8>::new(), Vec::<At>::new());
        let mut rest = &content[..];
        while !rest.is_empty() {
            let shared = number(&mut rest)?;
            let suffix = number(&mut rest)?;
            if suffix > rest.len() {
                return Err(short());
            }
            let before = changes.last().map_or(0..0, |last| last.key.clone());
            let key = if suffix == 0 && !changes.is_empty() && shared == before.len() {
                before.clone()
            } else {
                if shared > before.len() {
                    return Err(Error::corrupt("a key shares more than there is"));
                }
                let start = keys.len();
                keys.extend_from_within(before.start as usize..before.start as usize + shared);
                keys.extend_from_slice(&rest[..suffix]);
                offset(start)?..offset(keys.len())?
            };
            rest.advance(suffix);
            let version = Version(decode_varint(&mut rest).map_err(|_| short())?);
            let kind = rest.try_get_u8().map_err(|_| short())?;
            let superseded = if kind & SUPERSEDED == 0 {
                None
            } else {
                let later = decode_varint(&mut rest).map_err(|_| short())?;
                NonZeroU64::new(version.0.saturating_add(later))
            };
            let length = number(&mut rest)?;
            let start = content.len() - rest.len();
            if length > rest.len() {
                return Err(short());
            }
            rest.advance(length);
            let value = offset(start)?..offset(start + length)?;
            let at = At { key, version, superseded, kind, value };
            if let Some(last) = changes.last()
                && (slice(&keys, &last.key), Reverse(last.version))
                    >= (slice(&keys, &at.key), Reverse(at.version))
            {
                return Err(Error::corrupt("the changes of a block are out of order"));
            }
            changes.push(at);
        }
        if changes.is_empty() {
            return Err(Error::corrupt("a block is empty"));
        }
        Ok(Self { content, keys: keys.into(), changes })
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.content.len() + self.keys.len() + self.changes.len() * size_of::<At>()
    }

    /// The index of the first change that does not come before `key` at `version`.
    pub(super) fn seek(&self, key: &[u8], version: Version) -> usize {
        let target = (key, Reverse(version));
        self.changes.partition_point(|at| (self.key(at), Reverse(at.version)) < target)
    }

    /// The keys, each with the indices of its changes.
    pub(super) fn keys(&self) -> impl Iterator<Item = (Bytes, Range<usize>)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let key = &self.changes.get(at)?.key;
            let start = at;
            at += self.changes[at..].partition_point(|change| change.key == *key);
            Some((self.keys.slice(key.start as usize..key.end as usize), start..at))
        })
    }

    /// What the changes of these indices, which are of one key, tell of it at `version`.
    pub(super) fn stack(&self, changes: Range<usize>, version: Version) -> Result<Stack> {
        let mut stack = Stack::new();
        for at in changes.filter(|at| self.changes[*at].is_seen_at(version)) {
            stack.push((self.changes[at].version, self.stored(at)?.change));
            if stack.last().is_some_and(|(_, change)| change.is_final()) {
                break;
            }
        }
        Ok(stack)
    }

    /// Hands out the changes of `key` from index `from` on, while `take` wants more. Whether it may want those of
    /// the next block.
    pub(super) fn gather(
        &self,
        from: usize,
        key: &[u8],
        take: &mut (dyn FnMut(Stored) -> bool + Send),
    ) -> Result<bool> {
        for (at, change) in self.changes.iter().enumerate().skip(from) {
            if self.key(change) != key || !take(self.stored(at)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All changes, in order.
    pub(super) fn changes(&self) -> impl Iterator<Item = (&[u8], Version)> {
        self.changes.iter().map(|at| (self.key(at), at.version))
    }

    /// All changes, in order, with what they do.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&[u8], Version, Result<Stored>)> {
        let all = self.changes.iter().enumerate();
        all.map(|(at, change)| (self.key(change), change.version, self.stored(at)))
    }

    /// The key and the change at an index; `None` after the last.
    pub(super) fn get(&self, at: usize) -> Result<Option<(Bytes, Stored)>> {
        let Some(change) = self.changes.get(at) else { return Ok(None) };
        let key = self.keys.slice(change.key.start as usize..change.key.end as usize);
        Ok(Some((key, self.stored(at)?)))
    }

    fn stored(&self, at: usize) -> Result<Stored> {
        let at = &self.changes[at];
        let value = self.content.slice(at.value.start as usize..at.value.end as usize);
        Ok(Stored {
            version: at.version,
            superseded: at.superseded.map(|end| Version(end.get())),
            merged: at.kind & MERGED != 0,
            change: decode(at.kind & !(SUPERSEDED | MERGED), value, self.content.len())?,
        })
    }

    fn key(&self, at: &At) -> &[u8] {
        slice(&self.keys, &at.key)
    }
}

impl At {
    fn is_seen_at(&self, version: Version) -> bool {
        self.version <= version && self.superseded.is_none_or(|end| end.get() > version.0)
    }
}

fn slice<'a>(keys: &'a [u8], at: &Range<u32>) -> &'a [u8] {
    &keys[at.start as usize..at.end as usize]
}

fn number(rest: &mut &[u8]) -> Result<usize> {
    let number = decode_varint(rest).map_err(|_| short())?;
    usize::try_from(number).map_err(|_| short())
}

fn offset(at: usize) -> Result<u32> {
    u32::try_from(at).map_err(|_| Error::corrupt("a block has more than 4 GiB"))
}

fn short() -> Error {
    Error::corrupt("a block ends in the middle of a change")
}

fn encode(change: &Change) -> (u8, Bytes) {
    match change_to_wire(change) {
        wire::Change::Put(value) => (PUT, value),
        wire::Change::Delete(_) | wire::Change::DeleteUpTo(_) => (DELETE, Bytes::new()),
        wire::Change::Ref(value) => (REF, value.encode_to_vec().into()),
        wire::Change::Merge(merges) => (MERGE, merges.encode_to_vec().into()),
    }
}

fn decode(kind: u8, value: Bytes, block: usize) -> Result<Change> {
    match kind {
        PUT if value.len() < block / COPIED_PART => Ok(Change::Put(Bytes::copy_from_slice(&value))),
        PUT => Ok(Change::Put(value)),
        DELETE => Ok(Change::Delete),
        REF => {
            // Copied, so that who keeps it does not keep the block.
            let value = ValueRef::decode(Bytes::copy_from_slice(&value)).map_err(|error| {
                Error::corrupt(format!("what names a large value cannot be read: {error}"))
            })?;
            change_from_wire(wire::Change::Ref(Box::new(value)))
        }
        MERGE => {
            let merges = wire::Merges::decode(value)
                .map_err(|error| Error::corrupt(format!("a merge cannot be read: {error}")))?;
            change_from_wire(wire::Change::Merge(merges))
        }
        kind => Err(Error::corrupt(format!("a change is of an unknown kind, {kind}"))),
    }
}

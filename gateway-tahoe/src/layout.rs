//! Where in the store what is kept: the keys of all records (`docs/formats/tahoe.md`).

use std::ops::Range;

use crate::StorageIndex;

/// Names the data of one share: drawn at random for each.
pub(crate) type DataId = [u8; 16];

/// The keys of one server.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    base: Vec<u8>,
}

/// What has a lease that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leased {
    Share(StorageIndex, u64),
    Slot(StorageIndex),
}

impl Layout {
    /// Those of the server of this name.
    pub(crate) fn new(server: &str) -> Self {
        Self { base: format!("tahoe/{server}/").into_bytes() }
    }

    fn key(&self, room: u8, parts: &[&[u8]]) -> Vec<u8> {
        let mut key = self.base.clone();
        key.extend_from_slice(&[room, b'/']);
        parts.iter().for_each(|part| key.extend_from_slice(part));
        key
    }

    fn below(&self, room: u8, parts: &[&[u8]]) -> Range<Vec<u8>> {
        let start = self.key(room, parts);
        let end = after_all(&start);
        start..end
    }

    /// The record of an immutable share.
    pub(crate) fn share(&self, index: StorageIndex, number: u64) -> Vec<u8> {
        self.key(b'i', &[&index.0, &number.to_be_bytes()])
    }

    /// Those of all shares of a file.
    pub(crate) fn shares(&self, index: StorageIndex) -> Range<Vec<u8>> {
        self.below(b'i', &[&index.0])
    }

    /// Those of all immutable shares.
    pub(crate) fn all_shares(&self) -> Range<Vec<u8>> {
        self.below(b'i', &[])
    }

    /// The record of a slot: all shares of a mutable file.
    pub(crate) fn slot(&self, index: StorageIndex) -> Vec<u8> {
        self.key(b'm', &[&index.0])
    }

    /// Those of all slots.
    pub(crate) fn all_slots(&self) -> Range<Vec<u8>> {
        self.below(b'm', &[])
    }

    /// A part of the data of an immutable share.
    pub(crate) fn part(&self, data: &[u8], part: u64) -> Vec<u8> {
        self.key(b'd', &[data, &part.to_be_bytes()])
    }

    /// A block of a mutable share, as some generation of its slot wrote it.
    pub(crate) fn block(&self, data: &[u8], block: u64, generation: u64) -> Vec<u8> {
        self.key(b'd', &[data, &block.to_be_bytes(), &generation.to_be_bytes()])
    }

    /// That something has a lease which may end at this time.
    pub(crate) fn expiry(&self, seconds: u64, leased: Leased) -> Vec<u8> {
        let time = seconds.to_be_bytes();
        match leased {
            Leased::Share(index, number) => {
                self.key(b'e', &[&time, b"i", &index.0, &number.to_be_bytes()])
            }
            Leased::Slot(index) => self.key(b'e', &[&time, b"m", &index.0]),
        }
    }

    /// All that may end up to a time, and at it.
    pub(crate) fn expiries(&self, until: u64) -> Range<Vec<u8>> {
        let all = self.below(b'e', &[]);
        match until.checked_add(1) {
            Some(after) => all.start..self.key(b'e', &[&after.to_be_bytes()]),
            None => all,
        }
    }

    /// What an expiry is of, and when.
    pub(crate) fn expiry_of(&self, key: &[u8]) -> Option<(u64, Leased)> {
        let rest = key.strip_prefix(&self.key(b'e', &[])[..])?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let leased = match rest.split_first()? {
            (b'i', rest) => {
                let (index, number) = share_of(rest)?;
                Leased::Share(index, number)
            }
            (b'm', rest) => Leased::Slot(StorageIndex(rest.try_into().ok()?)),
            _ => return None,
        };
        Some((u64::from_be_bytes(*time), leased))
    }

    /// Which immutable share has its record here.
    pub(crate) fn share_at(&self, key: &[u8]) -> Option<(StorageIndex, u64)> {
        share_of(key.strip_prefix(&self.key(b'i', &[])[..])?)
    }

    /// Which slot has its record here.
    pub(crate) fn slot_at(&self, key: &[u8]) -> Option<StorageIndex> {
        let index = key.strip_prefix(&self.key(b'm', &[])[..])?;
        Some(StorageIndex(index.try_into().ok()?))
    }

    /// How many bytes all shares have.
    pub(crate) fn used(&self) -> Vec<u8> {
        self.key(b'q', &[b"bytes"])
    }

    /// How many shares there are.
    pub(crate) fn count(&self) -> Vec<u8> {
        self.key(b'q', &[b"shares"])
    }

    /// A report that a share is corrupt.
    pub(crate) fn advisory(&self, seconds: u64, id: u64) -> Vec<u8> {
        self.key(b'c', &[&seconds.to_be_bytes(), &id.to_be_bytes()])
    }

    /// All of them, by time.
    pub(crate) fn advisories(&self) -> Range<Vec<u8>> {
        self.below(b'c', &[])
    }

    /// Who the server is.
    pub(crate) fn identity(&self) -> Vec<u8> {
        self.key(b'k', &[])
    }
}

fn share_of(rest: &[u8]) -> Option<(StorageIndex, u64)> {
    let (index, number) = rest.split_first_chunk::<16>()?;
    Some((StorageIndex(*index), u64::from_be_bytes(number.try_into().ok()?)))
}

/// The first key after all that begin with this one, whose last byte that can be raised is within `room/`.
fn after_all(start: &[u8]) -> Vec<u8> {
    let mut end = start.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_says_can_be_read_from_it() {
        let layout = Layout::new("a");
        let index = StorageIndex([0xff; 16]);
        assert_eq!(layout.share_at(&layout.share(index, 7)), Some((index, 7)));
        assert_eq!(layout.slot_at(&layout.slot(index)), Some(index));
        for leased in [Leased::Share(index, 300), Leased::Slot(index)] {
            let key = layout.expiry(9, leased);
            assert_eq!(layout.expiry_of(&key), Some((9, leased)));
            assert!(layout.expiries(9).contains(&key));
            assert!(!layout.expiries(8).contains(&key));
            assert!(layout.expiries(u64::MAX).contains(&key));
        }
        assert!(layout.shares(index).contains(&layout.share(index, u64::MAX)));
        assert!(!layout.shares(StorageIndex([0xfe; 16])).contains(&layout.share(index, 0)));
    }
}

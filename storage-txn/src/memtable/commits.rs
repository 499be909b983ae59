//! What follows from each transaction and is found under keys of its own: its commit record, and its version by its id.
//! There are two for each transaction, so they are kept without their keys, which are made when they are asked for.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::change::Change;
use crate::memtable::{Point, TAKEN_DOWN_AT_ONCE};
use crate::turns::yield_now;
use crate::writes::Range;
use crate::{TransactionId, Version, space};

/// The transactions of a memtable, each of which is added once and after those before it.
#[derive(Debug, Default)]
pub(super) struct Commits {
    records: Vec<(Version, Bytes)>,
    ids: BTreeSet<(TransactionId, Version)>,
}

impl Commits {
    pub(super) fn add(&mut self, version: Version, id: TransactionId, record: Bytes) {
        self.records.push((version, record));
        self.ids.insert((id, version));
    }

    /// Lets go of all, a part at a time.
    pub(super) async fn take_down(self) {
        let mut records = self.records.into_iter();
        while records.by_ref().take(TAKEN_DOWN_AT_ONCE).count() == TAKEN_DOWN_AT_ONCE {
            yield_now().await;
        }
    }

    /// The newest change to a key at or before `version`, if the key is of one of these spaces.
    pub(super) fn newest(&self, key: &[u8], version: Version) -> Option<(Version, Change)> {
        let (space, rest) = key.split_first()?;
        match *space {
            space::COMMIT => {
                let number = Version(u64::from_be_bytes(rest.try_into().ok()?));
                let at = self.records.binary_search_by_key(&number, |(at, _)| *at).ok()?;
                (number <= version).then(|| (number, Change::Put(self.records[at].1.clone())))
            }
            space::ID => {
                let id = TransactionId(rest.try_into().ok()?);
                let (_, at) = self.ids.range((id, Version::ZERO)..=(id, version)).next_back()?;
                Some((*at, Change::Put(number(*at))))
            }
            _ => None,
        }
    }

    /// Whether any key of a range was changed after `version`.
    pub(super) fn changed_range(&self, range: &Range, version: Version) -> bool {
        self.records_within(range).iter().any(|(at, _)| *at > version)
            || self.ids_within(range).any(|(_, at)| *at > version)
    }

    /// The changes to the keys of a range, in the order of the keys.
    pub(super) fn points_within<'a>(
        &'a self,
        range: &Range,
    ) -> impl DoubleEndedIterator<Item = Point> + use<'a> {
        let records = self.records_within(range).iter().map(|(version, record)| {
            (space::commit(*version), *version, Change::Put(record.clone()))
        });
        let ids = self
            .ids_within(range)
            .map(|(id, version)| (space::id(*id), *version, Change::Put(number(*version))));
        records.chain(ids)
    }

    fn records_within(&self, range: &Range) -> &[(Version, Bytes)] {
        let before = |bound: &[u8]| {
            self.records.partition_point(|(version, _)| {
                let key = version.0.to_be_bytes();
                is_before(space::COMMIT, &key, bound)
            })
        };
        let (start, end) = (before(&range.start), before(&range.end));
        &self.records[start.min(end)..end]
    }

    fn ids_within<'a>(
        &'a self,
        range: &Range,
    ) -> impl DoubleEndedIterator<Item = &'a (TransactionId, Version)> + use<'a> {
        let (start, end) = (id_bound(&range.start), id_bound(&range.end));
        self.ids.range(start.min(end)..end)
    }
}

/// Whether a key comes before another one, of which the space is not told apart.
fn is_before(space: u8, key: &[u8], other: &[u8]) -> bool {
    match other.split_first() {
        None => false,
        Some((first, rest)) => (space, key) < (*first, rest),
    }
}

/// The first id, with its version, whose key does not come before `bound`.
fn id_bound(bound: &[u8]) -> (TransactionId, Version) {
    const LAST: (TransactionId, Version) = (TransactionId([u8::MAX; 16]), Version(u64::MAX));
    let mut id = [0; 16];
    match bound.split_first() {
        None => (TransactionId(id), Version::ZERO),
        Some((space, _)) if *space < space::ID => (TransactionId(id), Version::ZERO),
        Some((space, _)) if *space > space::ID => LAST,
        Some((_, rest)) if rest.len() > id.len() => {
            id.copy_from_slice(&rest[..16]);
            (TransactionId(id), Version(u64::MAX))
        }
        Some((_, rest)) => {
            id[..rest.len()].copy_from_slice(rest);
            (TransactionId(id), Version::ZERO)
        }
    }
}

fn number(version: Version) -> Bytes {
    Bytes::copy_from_slice(&version.0.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Stack;

    /// Bounds of all kinds: between, on and beside the keys, shorter and longer than they are.
    fn bounds() -> Vec<Bytes> {
        let mut bounds: Vec<Bytes> = vec![Bytes::new(), "b".into(), "c".into(), "d".into()];
        bounds.extend(["i", "j", "k", "z"].map(Bytes::from));
        for version in [0, 1, 2, 3, 6] {
            let key = space::commit(Version(version));
            bounds.push([&key[..], b"\0"].concat().into());
            bounds.push(key.slice(..5));
            bounds.push(key);
        }
        for first in [0, 3, 4, 9, 255] {
            let key = space::id(TransactionId([first; 16]));
            bounds.push([&key[..], b"\0"].concat().into());
            bounds.push(key.slice(..9));
            bounds.push(key);
        }
        bounds
    }

    #[test]
    fn every_range_has_the_keys_that_a_list_of_them_has() {
        let mut commits = Commits::default();
        let mut all = Vec::new();
        for (version, id) in [(1, 9), (2, 3), (3, 4), (5, 255)] {
            let (version, id) = (Version(version), TransactionId([id; 16]));
            commits.add(version, id, Bytes::from(format!("record {version}")));
            all.push((space::commit(version), version));
            all.push((space::id(id), version));
        }
        all.sort();
        for start in bounds() {
            for end in bounds() {
                let range = Range { start: start.clone(), end };
                let expected: Vec<_> =
                    all.iter().filter(|(key, _)| range.contains(key)).cloned().collect();
                let found: Vec<_> = commits.points_within(&range).collect();
                let keys: Vec<_> =
                    found.iter().map(|(key, version, _)| (key.clone(), *version)).collect();
                assert_eq!(keys, expected, "{range:?}");
                let mut backward: Vec<_> = commits.points_within(&range).rev().collect();
                backward.reverse();
                assert!(backward == found, "{range:?} backward");
                for after in 0..6 {
                    assert_eq!(
                        commits.changed_range(&range, Version(after)),
                        expected.iter().any(|(_, version)| version.0 > after),
                        "{range:?} after {after}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_key_is_found_from_its_version_on() {
        let mut commits = Commits::default();
        let id = TransactionId([7; 16]);
        commits.add(Version(4), id, Bytes::from_static(b"record"));
        let found = |key: &[u8], version| -> Stack {
            commits.newest(key, Version(version)).into_iter().collect()
        };
        let number = Change::Put(Bytes::copy_from_slice(&4_u64.to_be_bytes()));
        assert_eq!(found(&space::id(id), 3), []);
        assert_eq!(found(&space::id(id), 4), [(Version(4), number)]);
        assert_eq!(found(&space::id(TransactionId([8; 16])), 9), []);
        let record = Change::Put(Bytes::from_static(b"record"));
        assert_eq!(found(&space::commit(Version(4)), 3), []);
        assert_eq!(found(&space::commit(Version(4)), 9), [(Version(4), record)]);
        for key in [&b""[..], b"c", b"i", b"k", b"c12345678901"] {
            assert_eq!(found(key, 9), [], "{key:?}");
        }
    }
}

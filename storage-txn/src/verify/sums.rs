//! Whether two heaps of changes are the same, told without keeping either: a sum for each range of versions.

use prost::Message;
use twox_hash::XxHash64;

use crate::Version;
use crate::change::Change;
use crate::format::entry::{change_to_wire, wire};
use crate::writes::{Range, Writes};

/// How many ranges of versions are told apart.
const BUCKETS: usize = 4096;

/// Sums over changes, of which the order does not matter.
#[derive(Debug, Clone)]
pub(super) struct Sums {
    /// A bucket has two to the power of this versions.
    shift: u32,
    buckets: Vec<Bucket>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bucket {
    changes: u64,
    sum: [u64; 2],
}

/// What tells a change from every other.
pub(super) type Mark = [u64; 2];

impl Sums {
    /// Over versions up to this one.
    pub(super) fn new(last: Version) -> Self {
        let buckets = BUCKETS as u64;
        let shift = (0..u64::BITS).find(|shift| last.0 >> shift < buckets).unwrap_or_default();
        let buckets = vec![Bucket::default(); (last.0 >> shift) as usize + 1];
        Self { shift, buckets }
    }

    /// What is above the last version does not count.
    pub(super) fn add(&mut self, version: Version, mark: Mark) {
        if let Some(bucket) = self.buckets.get_mut((version.0 >> self.shift) as usize) {
            *bucket = join(*bucket, &Bucket { changes: 1, sum: mark });
        }
    }

    /// Adds those of another over the same versions.
    pub(super) fn add_all(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket = join(*bucket, more);
        }
    }

    /// The ranges of versions, first and last, in which the two differ.
    pub(super) fn differences(&self, other: &Self) -> Vec<(Version, Version)> {
        let pairs = self.buckets.iter().zip(&other.buckets).enumerate();
        let differ = pairs.filter(|(_, (one, other))| one != other).map(|(at, _)| at);
        differ
            .map(|bucket| {
                let first = (bucket as u64) << self.shift;
                (Version(first), Version(first + ((1 << self.shift) - 1)))
            })
            .collect()
    }
}

fn join(a: Bucket, b: &Bucket) -> Bucket {
    Bucket {
        changes: a.changes + b.changes,
        sum: [a.sum[0].wrapping_add(b.sum[0]), a.sum[1].wrapping_add(b.sum[1])],
    }
}

/// The mark of a change to a key. All merges of a version are the same: segments may hold what they came to.
pub(super) fn of_change(key: &[u8], version: Version, change: &Change) -> Mark {
    if matches!(change, Change::Merge(_)) {
        return of_merge(key, version);
    }
    let change = wire::Write {
        key: bytes::Bytes::copy_from_slice(key),
        change: Some(change_to_wire(change)),
    };
    mark(version, &change)
}

/// The mark of a merge, whatever it does.
pub(super) fn of_merge(key: &[u8], version: Version) -> Mark {
    let merge = wire::Change::Merge(wire::Merges::default());
    mark(version, &wire::Write { key: bytes::Bytes::copy_from_slice(key), change: Some(merge) })
}

/// The mark of a range that was emptied.
pub(super) fn of_range(range: &Range, version: Version) -> Mark {
    let change = wire::Change::DeleteUpTo(range.end.clone());
    mark(version, &wire::Write { key: range.start.clone(), change: Some(change) })
}

/// The marks of all that a transaction does, with what each is done to.
pub(super) fn of_writes(
    writes: &Writes,
    version: Version,
) -> impl Iterator<Item = (Mark, &bytes::Bytes)> {
    let points = writes.points().map(move |(key, change)| (of_change(key, version, change), key));
    let ranges = writes.ranges().iter().map(move |range| (of_range(range, version), &range.start));
    points.chain(ranges)
}

fn mark(version: Version, write: &wire::Write) -> Mark {
    let bytes = write.encode_to_vec();
    [XxHash64::oneshot(version.0, &bytes), XxHash64::oneshot(!version.0, &bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_found_in_the_right_range_however_many_versions_there_are() {
        for versions in [10_u64, 4095, 4096, 5000, 100_000] {
            let all = |without: u64| {
                let mut sums = Sums::new(Version(versions));
                for version in (1..=versions).filter(|version| *version != without) {
                    let change = Change::Put(bytes::Bytes::from(version.to_string()));
                    sums.add(Version(version), of_change(b"k", Version(version), &change));
                }
                sums
            };
            let whole = all(0);
            assert_eq!(whole.differences(&all(0)), []);
            for without in [1, 7, versions / 2] {
                let differences = whole.differences(&all(without));
                let [(first, last)] = differences[..] else { panic!("{differences:?}") };
                assert!(first.0 <= without && without <= last.0, "{without} in {first} to {last}");
                assert!(last.0 - first.0 <= versions / 1024, "{first} to {last} of {versions}");
            }
        }
    }

    #[test]
    fn changes_are_counted_whatever_their_marks_are() {
        let of = |times: usize| {
            let mut sums = Sums::new(Version(5));
            (0..times).for_each(|_| sums.add(Version(1), [0, 0]));
            sums
        };
        for (one, other) in [(0, 1), (1, 2), (2, 4)] {
            assert_eq!(of(one).differences(&of(other)), [(Version(1), Version(1))]);
        }
        let mut joined = of(1);
        joined.add_all(&of(2));
        assert_eq!(joined.differences(&of(3)), []);
    }

    #[test]
    fn what_is_done_to_another_key_or_range_or_in_another_version_has_another_mark() {
        let range = |start: &'static str, end: &'static str| Range {
            start: bytes::Bytes::from(start),
            end: bytes::Bytes::from(end),
        };
        let put = |value: &'static str| Change::Put(bytes::Bytes::from(value));
        let marks = [
            of_change(b"k", Version(1), &put("1")),
            of_change(b"k", Version(1), &put("2")),
            of_change(b"k", Version(2), &put("1")),
            of_change(b"k", Version(1), &Change::Delete),
            of_merge(b"k", Version(1)),
            of_merge(b"k", Version(2)),
            of_merge(b"l", Version(1)),
            of_range(&range("a", "b"), Version(1)),
            of_range(&range("a", "b"), Version(2)),
            of_range(&range("a", "c"), Version(1)),
            of_range(&range("b", "c"), Version(1)),
        ];
        let different: std::collections::BTreeSet<_> = marks.into_iter().collect();
        assert_eq!(different.len(), marks.len());
        let merge = Change::Merge(vec![crate::Merge::Add(1)]);
        assert_eq!(of_change(b"k", Version(1), &merge), of_merge(b"k", Version(1)));
    }
}

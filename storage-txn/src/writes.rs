//! What one transaction writes: at most one change for each key, and ranges that it empties first.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::Result;
use crate::change::{Change, about};

/// Keys from `start` (inclusive) to `end` (exclusive).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Range {
    pub(crate) start: Bytes,
    pub(crate) end: Bytes,
}

impl Range {
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        *self.start <= *key && *key < *self.end
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start >= self.end
    }
}

impl std::fmt::Debug for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.start.escape_ascii(), self.end.escape_ascii())
    }
}

/// So many changes are kept in a list; more in a tree. Most transactions have few, and a tree takes a kilobyte for the
/// first.
const LISTED_MAX: usize = 16;

/// The writes of one transaction, in the form in which order does not matter: the ranges are emptied first,
/// then each key is changed once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writes {
    /// In the order of their keys. Empty when there is a tree.
    few: Vec<(Bytes, Change)>,
    many: BTreeMap<Bytes, Change>,
    ranges: Vec<Range>,
}

impl PartialEq for Writes {
    fn eq(&self, other: &Self) -> bool {
        self.points().eq(other.points()) && self.ranges == other.ranges
    }
}

impl Eq for Writes {}

impl Writes {
    /// Does this after all that was done before.
    pub(crate) fn change(&mut self, key: Bytes, change: Change) -> Result<()> {
        if let Some(before) = self.point_mut(&key) {
            *before = before.clone().then(change).map_err(|error| about(&key, error))?;
            return Ok(());
        }
        // What is merged into a key that this transaction has emptied starts from nothing.
        let change = match self.emptied(&key) {
            true => Change::Delete.then(change).map_err(|error| about(&key, error))?,
            false => change,
        };
        self.insert(key, change);
        Ok(())
    }

    /// Empties a range, of what was written before too.
    pub(crate) fn delete_range(&mut self, range: Range) {
        if range.is_empty() {
            return;
        }
        self.few.retain(|(key, _)| !range.contains(key));
        self.many.retain(|key, _| !range.contains(key));
        self.ranges.retain(|old| !(range.start <= old.start && old.end <= range.end));
        self.ranges.push(range);
    }

    /// What this transaction says of a key: a change, or that its range was emptied.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Change> {
        match self.point(key) {
            Some(change) => Some(change.clone()),
            None => self.emptied(key).then_some(Change::Delete),
        }
    }

    pub(crate) fn points(&self) -> impl DoubleEndedIterator<Item = (&Bytes, &Change)> {
        self.few.iter().map(|(key, change)| (key, change)).chain(&self.many)
    }

    /// The changed keys within a range.
    pub(crate) fn points_within(
        &self,
        range: &Range,
    ) -> impl DoubleEndedIterator<Item = (&Bytes, &Change)> {
        // An empty range is no argument for a map.
        let (start, end) = (&range.start, if range.is_empty() { &range.start } else { &range.end });
        let from = self.few.partition_point(|(key, _)| key < start);
        let upto = self.few.partition_point(|(key, _)| key < end);
        let few = self.few[from..upto].iter().map(|(key, change)| (key, change));
        few.chain(
            self.many.range::<[u8], _>((Bound::Included(&start[..]), Bound::Excluded(&end[..]))),
        )
    }

    /// The points and the ranges, for those who keep them.
    pub(crate) fn into_parts(self) -> (impl Iterator<Item = (Bytes, Change)>, Vec<Range>) {
        (self.few.into_iter().chain(self.many), self.ranges)
    }

    pub(crate) fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.few.is_empty() && self.many.is_empty() && self.ranges.is_empty()
    }

    /// How many bytes of keys and values these are.
    pub(crate) fn bytes(&self) -> usize {
        let points = self.points().map(|(key, change)| key.len() + change.bytes());
        let ranges = self.ranges.iter().map(|range| range.start.len() + range.end.len());
        points.chain(ranges).sum()
    }

    fn point(&self, key: &[u8]) -> Option<&Change> {
        match self.few.binary_search_by(|(other, _)| other[..].cmp(key)) {
            Ok(at) => Some(&self.few[at].1),
            Err(_) => self.many.get(key),
        }
    }

    fn point_mut(&mut self, key: &[u8]) -> Option<&mut Change> {
        match self.few.binary_search_by(|(other, _)| other[..].cmp(key)) {
            Ok(at) => Some(&mut self.few[at].1),
            Err(_) => self.many.get_mut(key),
        }
    }

    /// Adds a key that is not there.
    fn insert(&mut self, key: Bytes, change: Change) {
        if self.few.len() == LISTED_MAX {
            self.many.extend(self.few.drain(..));
        }
        if !self.many.is_empty() {
            self.many.insert(key, change);
            return;
        }
        if self.few.is_empty() {
            // Most have one.
            self.few.reserve_exact(1);
        }
        let (Ok(at) | Err(at)) = self.few.binary_search_by(|(other, _)| other.cmp(&key));
        self.few.insert(at, (key, change));
    }

    fn emptied(&self, key: &[u8]) -> bool {
        self.ranges.iter().any(|range| range.contains(key))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn key(number: u8) -> Bytes {
        Bytes::copy_from_slice(&[number])
    }

    proptest! {
        /// Keys by their numbers, put or, as the second number says, the range between the two emptied.
        #[test]
        fn few_and_many_writes_are_those_of_a_map(
            steps in vec((0..60_u8, prop::option::weighted(0.05, 0..60_u8)), 0..120),
            (from, upto) in (0..60_u8, 0..60_u8),
        ) {
            let (mut writes, mut map) = (Writes::default(), BTreeMap::<Bytes, Change>::new());
            for (at, (number, end)) in steps.iter().enumerate() {
                if let Some(end) = end {
                    let range = Range { start: key(*number), end: key(*end) };
                    map.retain(|key, _| !range.contains(key));
                    writes.delete_range(range);
                } else {
                    let change = Change::Put(Bytes::from(at.to_string()));
                    map.insert(key(*number), change.clone());
                    writes.change(key(*number), change).expect("nothing is merged");
                }
            }
            prop_assert!(writes.points().eq(&map));
            let range = Range { start: key(from), end: key(upto) };
            let within: Vec<_> = map.iter().filter(|(key, _)| range.contains(key)).collect();
            prop_assert!(writes.points_within(&range).eq(within.iter().copied()));
            prop_assert!(writes.points_within(&range).rev().eq(within.into_iter().rev()));
            for (key, change) in &map {
                prop_assert!(writes.get(key).as_ref() == Some(change));
            }
            let mut again = Writes::default();
            for range in writes.ranges() {
                again.delete_range(range.clone());
            }
            for (key, change) in &map {
                again.change(key.clone(), change.clone()).expect("nothing is merged");
            }
            prop_assert_eq!(&again, &writes);
            prop_assert_eq!(writes.is_empty(), map.is_empty() && writes.ranges().is_empty());
        }
    }

    #[test]
    fn few_writes_take_no_tree_and_many_do() {
        let mut writes = Writes::default();
        for number in 0..LISTED_MAX as u8 {
            writes.change(key(number), Change::Delete).expect("nothing is merged");
            assert_eq!((writes.few.len(), writes.many.len()), (usize::from(number) + 1, 0));
        }
        for number in 100..105 {
            writes.change(key(number), Change::Delete).expect("nothing is merged");
            assert!(writes.few.is_empty() && writes.many.len() > LISTED_MAX);
        }
    }

    #[test]
    fn writes_are_the_same_when_all_keys_changes_and_ranges_are() {
        let range = |end| Range { start: key(50), end: key(end) };
        let made = |number, change, end: Option<u8>| {
            let mut writes = Writes::default();
            writes.change(key(number), change).expect("nothing is merged");
            end.into_iter().for_each(|end| writes.delete_range(range(end)));
            writes
        };
        let put = |value: &'static str| Change::Put(Bytes::from_static(value.as_bytes()));
        let one = made(1, put("1"), Some(60));
        assert_eq!(one, made(1, put("1"), Some(60)));
        for other in [
            made(2, put("1"), Some(60)),
            made(1, put("2"), Some(60)),
            made(1, put("1"), Some(61)),
            made(1, put("1"), None),
            Writes::default(),
        ] {
            assert_ne!(one, other);
        }
    }
}

//! What one transaction writes: at most one change for each key, and ranges that it empties first.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

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

/// The writes of one transaction, in the form in which order does not matter: the ranges are emptied first,
/// then each key is changed once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Writes {
    points: BTreeMap<Bytes, Change>,
    ranges: Vec<Range>,
}

impl Writes {
    /// Does this after all that was done before.
    pub(crate) fn change(&mut self, key: Bytes, change: Change) -> Result<()> {
        let emptied = self.emptied(&key);
        match self.points.entry(key) {
            Entry::Vacant(entry) => {
                // What is merged into a key that this transaction has emptied starts from nothing.
                let change = match emptied {
                    true => {
                        Change::Delete.then(change).map_err(|error| about(entry.key(), error))?
                    }
                    false => change,
                };
                entry.insert(change);
            }
            Entry::Occupied(mut entry) => {
                let before = entry.get().clone();
                let both = before.then(change).map_err(|error| about(entry.key(), error))?;
                entry.insert(both);
            }
        }
        Ok(())
    }

    /// Empties a range, of what was written before too.
    pub(crate) fn delete_range(&mut self, range: Range) {
        if range.is_empty() {
            return;
        }
        self.points.retain(|key, _| !range.contains(key));
        self.ranges.retain(|old| !(range.start <= old.start && old.end <= range.end));
        self.ranges.push(range);
    }

    /// What this transaction says of a key: a change, or that its range was emptied.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Change> {
        match self.points.get(key) {
            Some(change) => Some(change.clone()),
            None => self.emptied(key).then_some(Change::Delete),
        }
    }

    pub(crate) fn points(&self) -> impl Iterator<Item = (&Bytes, &Change)> {
        self.points.iter()
    }

    /// The changed keys within a range.
    pub(crate) fn points_within(
        &self,
        range: &Range,
    ) -> impl DoubleEndedIterator<Item = (&Bytes, &Change)> {
        // An empty range is no argument for a map.
        let end = if range.is_empty() { &range.start } else { &range.end };
        self.points.range(range.start.clone()..end.clone())
    }

    pub(crate) fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.points.is_empty() && self.ranges.is_empty()
    }

    /// How many bytes of keys and values these are.
    pub(crate) fn bytes(&self) -> usize {
        let points = self.points.iter().map(|(key, change)| key.len() + change.bytes());
        let ranges = self.ranges.iter().map(|range| range.start.len() + range.end.len());
        points.chain(ranges).sum()
    }

    fn emptied(&self, key: &[u8]) -> bool {
        self.ranges.iter().any(|range| range.contains(key))
    }
}

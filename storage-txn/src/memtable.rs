//! The changes of the latest transactions, in memory: every version of every key since the last flush.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use storage_log::planted::planted;

use crate::Version;
use crate::change::{Change, Stack, empty_at};
use crate::writes::{Range, Writes};

/// How many keys a scan takes at a time, which bounds how long it holds the lock.
const SCAN_KEYS_MAX: usize = 256;

/// A change to a key, with its version.
pub(crate) type Point = (Bytes, Version, Change);

/// Changes by key, each key's in the order of their versions. Only ever added to, and only above every
/// version that is in it, so whoever reads at a version that is there reads the same for ever.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    changes: RwLock<Changes>,
}

#[derive(Debug, Default)]
struct Changes {
    points: BTreeMap<Bytes, Vec<(Version, Change)>>,
    ranges: Vec<(Range, Version)>,
    /// The highest version that was added.
    last: Version,
    /// Of keys and values.
    bytes: usize,
}

impl Memtable {
    /// Adds the writes of one transaction.
    pub(crate) fn apply(&self, version: Version, writes: &Writes) {
        let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
        changes.last = version;
        changes.bytes += writes.bytes();
        for range in writes.ranges() {
            changes.ranges.push((range.clone(), version));
        }
        for (key, change) in writes.points() {
            // Most keys change once before they are flushed.
            let all = changes.points.entry(key.clone()).or_insert_with(|| Vec::with_capacity(1));
            all.push((version, change.clone()));
        }
    }

    /// No version in it is above this.
    pub(crate) fn last(&self) -> Version {
        self.read().last
    }

    /// How many bytes of keys and values it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.read().bytes
    }

    /// What is known here of `key` at `version`, down to the first change that is final.
    pub(crate) fn stack(&self, key: &[u8], version: Version) -> Stack {
        self.read().stack(key, version)
    }

    /// The newest changes of `key` with a version above `after` and up to `upto`, newest first, at most `limit`.
    /// An emptied range counts as a [`Change::Delete`], unless the key has a change of its own at the same
    /// version.
    pub(crate) fn changes(
        &self,
        key: &[u8],
        after: Version,
        upto: Version,
        limit: usize,
    ) -> Vec<(Version, Change)> {
        self.read().all_of(key, after, upto, limit)
    }

    /// The version of the last change to `key`.
    pub(crate) fn changed(&self, key: &[u8]) -> Option<Version> {
        let changes = self.read();
        let point = changes.points.get(key).and_then(|all| Some(all.last()?.0));
        point.max(changes.emptied(key, Version(u64::MAX)))
    }

    /// Whether any key of `range` was changed after `version`.
    pub(crate) fn changed_range(&self, range: &Range, version: Version) -> bool {
        let changes = self.read();
        let later = |(emptied, at): &(Range, Version)| *at > version && emptied.overlaps(range);
        changes.ranges.iter().any(later)
            || (!range.is_empty()
                && changes
                    .points
                    .range(range.start.clone()..range.end.clone())
                    .skip(usize::from(planted("validation-ignores-the-first-key-of-a-range")))
                    .any(|(_, all)| all.last().is_some_and(|(at, _)| *at > version)))
    }

    /// The next keys of `range` that have changes at `version`, from its start or from its end; with what is
    /// known of them here. Ranges that were emptied are not in it: see [`emptied`](Self::emptied). And
    /// whether there may be more.
    pub(crate) fn scan(
        &self,
        range: &Range,
        backward: bool,
        version: Version,
    ) -> (Vec<(Bytes, Stack)>, bool) {
        if range.is_empty() {
            return (Vec::new(), false);
        }
        let changes = self.read();
        let mut points = changes.points.range(range.start.clone()..range.end.clone());
        if planted("scan-leaves-its-first-key-out") {
            points.next();
        }
        let taken: Vec<&Bytes> = if backward {
            points.rev().map(|(key, _)| key).take(SCAN_KEYS_MAX).collect()
        } else {
            points.map(|(key, _)| key).take(SCAN_KEYS_MAX).collect()
        };
        let more = taken.len() == SCAN_KEYS_MAX;
        (
            taken.into_iter().map(|key| (key.clone(), changes.points_of(key, version))).collect(),
            more,
        )
    }

    /// The ranges emptied at or before `version` that overlap `range`, with when.
    pub(crate) fn emptied(&self, range: &Range, version: Version) -> Vec<(Range, Version)> {
        let changes = self.read();
        let of_interest =
            changes.ranges.iter().filter(|(emptied, at)| *at <= version && emptied.overlaps(range));
        of_interest.cloned().collect()
    }

    /// All changes above `version`: of keys, in the order of a segment, and ranges that were emptied.
    pub(crate) fn after(&self, version: Version) -> (Vec<Point>, Vec<(Range, Version)>) {
        let changes = self.read();
        let mut points = Vec::new();
        for (key, all) in &changes.points {
            let later = all.iter().rev().take_while(|(at, _)| *at > version);
            points.extend(later.map(|(at, change)| (key.clone(), *at, change.clone())));
        }
        let ranges = changes.ranges.iter().filter(|(_, at)| *at > version).cloned().collect();
        (points, ranges)
    }

    // Nothing that holds the lock can panic, so a poisoned lock guards sound changes.
    fn read(&self) -> RwLockReadGuard<'_, Changes> {
        self.changes.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    fn stack(&self, key: &[u8], version: Version) -> Stack {
        let mut stack = self.points_of(key, version);
        empty_at(&mut stack, self.emptied(key, version));
        stack
    }

    /// Newest first, down to the first that is final.
    fn points_of(&self, key: &[u8], version: Version) -> Stack {
        let Some(all) = self.points.get(key) else { return Stack::new() };
        let known = match planted("memory-forgets-versions") {
            true => all.len(),
            false => all.partition_point(|(at, _)| *at <= version),
        };
        let mut stack = Stack::new();
        for (at, change) in all[..known].iter().rev() {
            stack.push((*at, change.clone()));
            if change.is_final() || planted("memory-knows-one-change-a-key") {
                break;
            }
        }
        stack
    }

    fn all_of(
        &self,
        key: &[u8],
        after: Version,
        upto: Version,
        limit: usize,
    ) -> Vec<(Version, Change)> {
        let points = self.points.get(key).map_or(&[][..], Vec::as_slice);
        let mut all: Vec<_> =
            between(points, |(at, _)| *at, after, upto).iter().rev().take(limit).cloned().collect();
        let emptied = between(&self.ranges, |(_, at)| *at, after, upto).iter().rev();
        let hits = emptied.filter(|(range, _)| range.contains(key));
        all.extend(hits.take(limit).map(|(_, at)| (*at, Change::Delete)));
        // The sort is stable: of the same version, the change of the key itself stays first.
        all.sort_by_key(|(at, _)| Reverse(*at));
        all.dedup_by_key(|(at, _)| *at);
        all.truncate(limit);
        all
    }

    /// When `key` was last in a range that was emptied.
    fn emptied(&self, key: &[u8], version: Version) -> Option<Version> {
        let hits = self.ranges.iter().filter(|(range, at)| *at <= version && range.contains(key));
        hits.map(|(_, at)| *at).max()
    }
}

/// The part of a list in the order of versions that lies above `after` and up to `upto`.
fn between<T>(
    sorted: &[T],
    version: impl Fn(&T) -> Version,
    after: Version,
    upto: Version,
) -> &[T] {
    let end = sorted.partition_point(|entry| version(entry) <= upto);
    let start = sorted[..end].partition_point(|entry| version(entry) <= after);
    &sorted[start..end]
}

#[cfg(test)]
mod tests;

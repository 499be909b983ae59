//! The changes of the latest transactions, in memory: every version of every key since the last flush.

mod commits;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use smallvec::SmallVec;
use storage_log::planted::planted;

use crate::change::{Change, Stack, empty_at, settle};
use crate::memtable::commits::Commits;
use crate::turns::yield_now;
use crate::view::after;
use crate::writes::{Range, Writes};
use crate::{TransactionId, Version};

/// Comes after all keys of commit records and of ids.
const BEYOND: &[u8] = &[u8::MAX];

/// At whichever version.
const ANY: Version = Version(u64::MAX);

/// How many keys a scan takes at a time, which bounds how long it holds the lock.
const SCAN_KEYS_MAX: usize = 256;

/// How many keys are let go of before others get their turn.
const TAKEN_DOWN_AT_ONCE: usize = 512;

/// What the key of a commit record takes, and the version of a transaction with its key.
const COMMIT_BYTES: usize = 9 + 17 + 8;

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
    /// Most keys change once before they are flushed.
    points: BTreeMap<Bytes, SmallVec<[(Version, Change); 1]>>,
    commits: Commits,
    ranges: Vec<(Range, Version)>,
    /// The highest version that was added.
    last: Version,
    /// Of keys and values.
    bytes: usize,
}

impl Memtable {
    /// Adds the writes of one transaction.
    pub(crate) fn apply(&self, version: Version, writes: Writes) {
        let mut changes = self.write();
        changes.last = version;
        changes.bytes += writes.bytes();
        let (points, ranges) = writes.into_parts();
        changes.ranges.extend(ranges.into_iter().map(|range| (range, version)));
        for (key, change) in points {
            changes.points.entry(key).or_default().push((version, change));
        }
    }

    /// Adds the commit record of a transaction, and its version by its id.
    pub(crate) fn record(&self, version: Version, id: TransactionId, record: Bytes) {
        let mut changes = self.write();
        changes.last = version;
        changes.bytes += COMMIT_BYTES + record.len();
        changes.commits.add(version, id, record);
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
        let commit = changes.commits.newest(key, ANY).map(|(at, _)| at);
        point.max(commit).max(changes.emptied(key, ANY))
    }

    /// Whether any key of `range` was changed after `version`.
    pub(crate) fn changed_range(&self, range: &Range, version: Version) -> bool {
        let changes = self.read();
        let later = |(emptied, at): &(Range, Version)| *at > version && emptied.overlaps(range);
        let skipped = usize::from(planted("validation-ignores-the-first-key-of-a-range"));
        changes.ranges.iter().any(later)
            || changes.commits.changed_range(range, version)
            || changes
                .points_within(range)
                .skip(skipped)
                .any(|(_, all)| all.last().is_some_and(|(at, _)| *at > version))
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
        let mut points = changes.points_within(range).map(|(key, _)| key.clone());
        if planted("scan-leaves-its-first-key-out") {
            points.next();
        }
        let commits = changes.commits.points_within(range).map(|(key, _, _)| key);
        let mut keys: Vec<Bytes> = if backward {
            points.rev().take(SCAN_KEYS_MAX).chain(commits.rev().take(SCAN_KEYS_MAX)).collect()
        } else {
            points.take(SCAN_KEYS_MAX).chain(commits.take(SCAN_KEYS_MAX)).collect()
        };
        keys.sort();
        keys.dedup();
        if backward {
            keys.reverse();
        }
        let more = keys.len() >= SCAN_KEYS_MAX;
        keys.truncate(SCAN_KEYS_MAX);
        let known = |key: Bytes| {
            let stack = changes.points_of(&key, version);
            (key, stack)
        };
        (keys.into_iter().map(known).collect(), more)
    }

    /// The ranges emptied at or before `version` that overlap `range`, with when.
    pub(crate) fn emptied(&self, range: &Range, version: Version) -> Vec<(Range, Version)> {
        let changes = self.read();
        let of_interest =
            changes.ranges.iter().filter(|(emptied, at)| *at <= version && emptied.overlaps(range));
        of_interest.cloned().collect()
    }

    /// Changes above `version` to the keys from `start` on, in the order of a segment: about `many`, but all of a key.
    /// And where to go on, if there may be more.
    pub(crate) fn after(
        &self,
        version: Version,
        start: &Bytes,
        many: usize,
    ) -> (Vec<Point>, Option<Bytes>) {
        let changes = self.read();
        let later = |at: Version| at > version;
        let rest = Range { start: start.clone(), end: Bytes::from_static(BEYOND) };
        // Their keys come before all others.
        let commits = changes.commits.points_within(&rest).filter(|(_, at, _)| later(*at));
        let mut found: Vec<Point> = commits.take(many).collect();
        let commits = found.len();
        let mut next = None;
        if let Some((last, _, _)) = found.last()
            && commits == many
        {
            next = Some(after(last));
        }
        let end = next.as_ref().map_or(Bound::Unbounded, |next| Bound::Excluded(&next[..]));
        let points = changes.points.range::<[u8], _>((Bound::Included(&start[..]), end));
        for (key, all) in points {
            if found.len() - commits >= many {
                next = Some(key.clone());
                break;
            }
            let all = all.iter().rev().take_while(|(at, _)| later(*at));
            found.extend(all.map(|(at, change)| (key.clone(), *at, change.clone())));
        }
        // Mostly that is their order already.
        found.sort_by(|a, b| (&a.0, Reverse(a.1)).cmp(&(&b.0, Reverse(b.1))));
        (found, next)
    }

    /// The ranges emptied after `version`.
    pub(crate) fn emptied_after(&self, version: Version) -> Vec<(Range, Version)> {
        self.read().ranges.iter().filter(|(_, at)| *at > version).cloned().collect()
    }

    /// Takes down what nobody uses any more, a part at a time: a large one takes as long as a hundred commits.
    pub(crate) async fn take_down(self) {
        let changes = self.changes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut points = changes.points.into_iter();
        while points.by_ref().take(TAKEN_DOWN_AT_ONCE).count() == TAKEN_DOWN_AT_ONCE {
            yield_now().await;
        }
        changes.commits.take_down().await;
    }

    // Nothing that holds the lock can panic, so a poisoned lock guards sound changes.
    fn read(&self) -> RwLockReadGuard<'_, Changes> {
        self.changes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Changes> {
        self.changes.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    fn stack(&self, key: &[u8], version: Version) -> Stack {
        let mut stack = self.points_of(key, version);
        empty_at(&mut stack, self.emptied(key, version));
        stack
    }

    fn points_within(
        &self,
        range: &Range,
    ) -> impl DoubleEndedIterator<Item = (&Bytes, &[(Version, Change)])> {
        // An empty range is no argument for a map.
        let end = if range.is_empty() { &range.start } else { &range.end };
        let bounds = (Bound::Included(&range.start[..]), Bound::Excluded(&end[..]));
        self.points.range::<[u8], _>(bounds).map(|(key, all)| (key, &all[..]))
    }

    /// Newest first, down to the first that is final.
    fn points_of(&self, key: &[u8], version: Version) -> Stack {
        let version = if planted("memory-forgets-versions") { ANY } else { version };
        let mut stack = Stack::new();
        if let Some(all) = self.points.get(key) {
            let known = all.partition_point(|(at, _)| *at <= version);
            for (at, change) in all[..known].iter().rev() {
                stack.push((*at, change.clone()));
                if change.is_final() || planted("memory-knows-one-change-a-key") {
                    break;
                }
            }
        }
        if let Some(commit) = self.commits.newest(key, version) {
            stack.push(commit);
            settle(&mut stack);
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
        let points = self.points.get(key).map_or(&[][..], |all| &all[..]);
        let mut all: Vec<_> =
            between(points, |(at, _)| *at, after, upto).iter().rev().take(limit).cloned().collect();
        all.extend(self.commits.newest(key, upto).filter(|(at, _)| *at > after));
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
mod model;
#[cfg(test)]
mod tests;

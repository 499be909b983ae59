//! What of a key is current and what is history.

use bytes::Bytes;
use storage_log::planted::planted;

use crate::change::Change;
use crate::compact::kept::Kept;
use crate::format::segment::SegmentRef;
use crate::segment::Stored;
use crate::writes::Range;
use crate::{Result, Version};

/// Sorts the changes of segments that hold what is current, which come by key, each key's newest first.
///
/// It is exact whichever segments these are: where one of the `others` may know of changes in between or below, what
/// depends on that is left as it is.
#[derive(Debug)]
pub(super) struct Sorter<'a> {
    kept: &'a Kept,
    /// The segments of what is current that are not compacted.
    others: &'a [SegmentRef],
    /// Those of them whose versions are not all above or all below those that are.
    between: Vec<&'a SegmentRef>,
    /// How many bytes of merges of one key are held to find out what they come to.
    chain_bytes_max: usize,
    /// Those that begin at or before the key; those before `next_range` that do not end before it are open.
    ranges: &'a [(Range, Version)],
    next_range: usize,
    open: Vec<(Range, Version)>,
    key: Bytes,
    /// When the key was in a range that was emptied, newest last, as far as that is still to come.
    emptied: Vec<Version>,
    /// Merges of which is not known yet what they add to.
    chain: Vec<Stored>,
    chain_bytes: usize,
    /// What the merges come to is not to be found out.
    too_long: bool,
    /// From which version on nobody needs what comes next.
    end: Option<Version>,
}

/// Changes of the key to be stored.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub(super) current: Vec<Stored>,
    pub(super) history: Vec<Stored>,
    /// Nobody asks for these any more.
    pub(super) dropped: Vec<Stored>,
}

impl<'a> Sorter<'a> {
    pub(super) fn new(
        kept: &'a Kept,
        others: &'a [SegmentRef],
        versions: (Version, Version),
        ranges: &'a [(Range, Version)],
        chain_bytes_max: usize,
    ) -> Self {
        let (low, high) = versions;
        let between = others.iter().filter(|other| overlaps(other, low, high)).collect();
        Self {
            kept,
            others,
            between,
            chain_bytes_max,
            ranges,
            next_range: 0,
            open: Vec::new(),
            key: Bytes::new(),
            emptied: Vec::new(),
            chain: Vec::new(),
            chain_bytes: 0,
            too_long: false,
            end: None,
        }
    }

    /// Begins with a key after the last one, which must be finished.
    pub(super) fn begin(&mut self, key: &Bytes) {
        while let Some(range) = self.ranges.get(self.next_range)
            && range.0.start <= *key
        {
            self.open.push(range.clone());
            self.next_range += 1;
        }
        self.open.retain(|(range, _)| range.end > *key);
        self.emptied = self.open.iter().map(|(_, version)| *version).collect();
        if planted("compaction-forgets-emptied-ranges") {
            self.emptied.clear();
        }
        self.emptied.sort_unstable();
        self.key = key.clone();
        (self.chain_bytes, self.too_long, self.end) = (0, false, None);
    }

    /// The next change of the key.
    pub(super) fn add(&mut self, stored: Stored, sorted: &mut Sorted) -> Result<()> {
        // A change of the same transaction comes after the emptying.
        while let Some(at) = self.emptied.pop_if(|at| *at > stored.version) {
            self.ends_with_nothing(at, sorted)?;
        }
        if let Some(end) = self.end {
            if stored.change.is_final() {
                self.end = Some(stored.version);
            }
            if self.others_know(stored.version, end) {
                // A deletion in between would no longer find what it has to hide.
                sorted.current.push(stored);
            } else {
                self.supersede(stored, end, sorted);
            }
            return Ok(());
        }
        if !stored.change.is_final() {
            self.chain_bytes += stored.change.bytes();
            self.chain.push(stored);
            if self.chain_bytes > self.chain_bytes_max {
                self.too_long = true;
                sorted.current.append(&mut self.chain);
            }
            return Ok(());
        }
        self.end = Some(stored.version);
        if let Some(end) = self.fold(Some(&stored), stored.version, sorted)? {
            self.supersede(stored, end, sorted);
        } else if stored.change == Change::Delete
            && (!self.others_know_below(stored.version)
                || planted("compaction-forgets-what-it-has-to-hide"))
        {
            // Nothing is below that it would have to hide.
            let at = stored.version;
            self.supersede(stored, at, sorted);
        } else if !self.kept.drops(&self.key, &stored)? {
            sorted.current.push(stored);
        }
        Ok(())
    }

    /// There are no more changes of the key.
    pub(super) fn finish(&mut self, sorted: &mut Sorted) -> Result<()> {
        while let Some(at) = self.emptied.pop() {
            self.ends_with_nothing(at, sorted)?;
        }
        if self.end.is_none() {
            self.fold(None, Version::ZERO, sorted)?;
        }
        Ok(())
    }

    /// The range of the key was emptied.
    fn ends_with_nothing(&mut self, at: Version, sorted: &mut Sorted) -> Result<()> {
        if self.end.is_none() {
            self.fold(None, at, sorted)?;
        }
        self.end = Some(at);
        Ok(())
    }

    /// Puts what the merges come to in their place, if that can be told: on `base`, or on nothing, which was so at a
    /// version. Tells from which version on nobody needs the base then.
    fn fold(
        &mut self,
        base: Option<&Stored>,
        at: Version,
        sorted: &mut Sorted,
    ) -> Result<Option<Version>> {
        let chain = std::mem::take(&mut self.chain);
        let Some(top) = chain.first().map(|top| top.version) else { return Ok(None) };
        let from = match base.map(|base| &base.change) {
            None | Some(Change::Delete) => Some(Change::Delete),
            Some(Change::Put(value)) => Some(Change::Put(value.clone())),
            Some(_) => None,
        };
        let known = !self.too_long && !self.others_know(at, top);
        let mut merges = chain.iter().rev().map(|stored| stored.change.clone());
        let folded = from.filter(|_| known).and_then(|from| {
            // What is not a number stays as it is: who reads it is to be told.
            if planted("compaction-merges-in-the-wrong-order") {
                return merges.rev().try_fold(from, Change::then).ok();
            }
            merges.try_fold(from, Change::then).ok()
        });
        match folded {
            Some(change @ Change::Put(_)) => {
                sorted.current.push(Stored {
                    version: top,
                    superseded: None,
                    merged: true,
                    change,
                });
                for stored in chain.into_iter().skip(1) {
                    self.supersede(stored, top, sorted);
                }
                Ok(Some(top))
            }
            _ => {
                sorted.current.extend(chain);
                Ok(None)
            }
        }
    }

    fn supersede(&self, stored: Stored, end: Version, sorted: &mut Sorted) {
        if self.kept.asks_for(stored.version, end) && !planted("compaction-drops-history") {
            sorted.history.push(Stored { superseded: Some(end), ..stored });
        } else {
            sorted.dropped.push(stored);
        }
    }

    /// Whether a segment that is not compacted may have changes of the key from `low` on and below `high`.
    fn others_know(&self, low: Version, high: Version) -> bool {
        if low == Version::ZERO {
            return self.others_know_below(high);
        }
        self.between.iter().any(|other| overlaps(other, low, high) && self.is_in(other))
    }

    fn others_know_below(&self, high: Version) -> bool {
        self.others.iter().any(|other| other.first_version < high.0 && self.is_in(other))
    }

    fn is_in(&self, other: &SegmentRef) -> bool {
        other.spans.iter().any(|span| span.first <= self.key && self.key <= span.last)
    }
}

/// Whether a segment may have changes from `low` on and below `high`.
fn overlaps(segment: &SegmentRef, low: Version, high: Version) -> bool {
    segment.first_version < high.0 && segment.last_version >= low.0
}

#[cfg(test)]
mod tests;

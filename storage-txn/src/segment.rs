//! Segments: sorted runs of changes in objects that are written once and never changed.

mod ahead;
mod block;
mod cache;
mod check;
mod filter;
mod read;
mod stream;
mod writer;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use storage_core::StorageProvider;
use storage_log::planted::planted;

pub(crate) use ahead::Ahead;
pub(crate) use block::Stored;
pub(crate) use cache::Cache;
pub(crate) use check::Content;
pub(crate) use stream::Stream;
pub(crate) use writer::Writer;

use crate::change::{Change, Stack, empty_at};
use crate::format::segment::{SegmentId, SegmentRef, Span, Tail};
use crate::view::Run;
use crate::writes::Range;
use crate::{Result, Version};

/// What segments are read with.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    pub(crate) provider: Arc<dyn StorageProvider>,
    pub(crate) cache: Arc<Cache>,
    /// How many bytes a scan reads at once at most.
    pub(crate) scan_read_bytes: usize,
}

/// A segment to read. Making one makes no request.
#[derive(Debug)]
pub(crate) struct Segment {
    id: SegmentId,
    about: SegmentRef,
    shelf: Shelf,
}

impl Segment {
    pub(crate) fn new(shelf: &Shelf, id: SegmentId, about: SegmentRef) -> Self {
        Self { id, about, shelf: shelf.clone() }
    }

    fn may_hold(&self, key: &[u8]) -> bool {
        self.about.spans.iter().any(|span| *span.first <= *key && *key <= *span.last)
    }

    fn overlaps(&self, range: &Range) -> bool {
        let meets = |span: &Span| range.start <= span.last && span.first < range.end;
        !range.is_empty() && self.about.spans.iter().any(meets)
    }

    /// Whether who reads at `version` has nothing to look for in it.
    fn is_needless_at(&self, version: Version) -> bool {
        let version_or_next = version.0 + u64::from(planted("history-is-passed-over-too-early"));
        let superseded = self.is_history() && self.about.superseded <= version_or_next;
        superseded || self.about.first_version > version.0
    }

    fn is_history(&self) -> bool {
        self.about.superseded != 0
    }
}

#[async_trait]
impl Run for Segment {
    fn last(&self) -> Version {
        Version(self.about.last_version)
    }

    fn tells_past(&self, version: Version) -> bool {
        self.is_history() && !self.is_needless_at(version)
    }

    fn bounds(&self, range: &Range, version: Version) -> Option<(Bytes, Bytes)> {
        if self.is_needless_at(version) {
            return None;
        }
        let meets = |span: &&Span| range.start <= span.last && span.first < range.end;
        let first = self.about.spans.iter().find(meets)?;
        let last = self.about.spans.iter().rfind(meets)?;
        let end = last.last.clone().min(range.end.clone());
        Some((first.first.clone().max(range.start.clone()), end))
    }

    fn concerns(&self, key: &[u8], version: Version) -> bool {
        !self.is_needless_at(version) && self.may_hold(key)
    }

    fn is_cold(&self) -> bool {
        !self.shelf.cache.holds(self.id, self.tail_offset())
    }

    async fn warm(&self) -> Result<()> {
        self.tail().await.map(drop)
    }

    async fn stack(&self, key: &[u8], version: Version) -> Result<Stack> {
        if !self.concerns(key, version) {
            return Ok(Stack::new());
        }
        let tail = self.tail().await?;
        let mut stack = self.points(&tail, key, version).await?;
        if self.is_history() {
            return Ok(stack);
        }
        let emptied = tail.emptied.iter().filter(|range| {
            range.version <= version.0 && *range.start <= *key && *key < *range.end
        });
        empty_at(&mut stack, emptied.map(|range| Version(range.version)).max());
        Ok(stack)
    }

    async fn changes(
        &self,
        key: &[u8],
        after: Version,
        upto: Version,
        limit: usize,
    ) -> Result<Vec<(Version, Change)>> {
        let (first, last) = (self.about.first_version, self.about.last_version);
        if !self.may_hold(key) || first > upto.0 || last <= after.0 || limit == 0 {
            return Ok(Vec::new());
        }
        let tail = self.tail().await?;
        let mut all = Vec::new();
        let mut take = |stored: Stored| {
            let at = stored.version;
            if at > after {
                // What it came to is read, as it is what was merged that is no longer here.
                let merged = || Change::Merge(Vec::new());
                all.push((at, if stored.merged { merged() } else { stored.change }));
            }
            at > after && all.len() < limit
        };
        self.gather(&tail, key, upto, &mut take).await?;
        let hits =
            emptied(&tail).filter(|(range, at)| range.contains(key) && after < *at && *at <= upto);
        all.extend(hits.map(|(_, at)| (at, Change::Delete)));
        // The sort is stable: of the same version, the change of the key itself stays first.
        all.sort_by_key(|(at, _)| Reverse(*at));
        all.dedup_by_key(|(at, _)| *at);
        all.truncate(limit);
        Ok(all)
    }

    async fn scan(
        &self,
        range: &Range,
        backward: bool,
        version: Version,
        ahead: &mut Ahead,
    ) -> Result<(Vec<(Bytes, Stack)>, bool)> {
        if !self.overlaps(range) || self.is_needless_at(version) {
            return Ok((Vec::new(), false));
        }
        let tail = self.tail().await?;
        if backward {
            self.scan_backward(&tail, range, version, ahead).await
        } else {
            self.scan_forward(&tail, range, version, ahead).await
        }
    }

    async fn emptied(&self, range: &Range, version: Version) -> Result<Vec<(Range, Version)>> {
        let none = self.about.ranges == 0 || self.is_history();
        if none || !self.overlaps(range) || self.is_needless_at(version) {
            return Ok(Vec::new());
        }
        let tail = self.tail().await?;
        Ok(emptied(&tail)
            .filter(|(emptied, at)| *at <= version && emptied.overlaps(range))
            .collect())
    }

    async fn changed_range(&self, range: &Range, version: Version) -> Result<bool> {
        if !self.overlaps(range) || self.about.last_version <= version.0 {
            return Ok(false);
        }
        let tail = self.tail().await?;
        let later = |(emptied, at): (Range, Version)| at > version && emptied.overlaps(range);
        Ok(emptied(&tail).any(later) || self.points_changed(&tail, range, version).await?)
    }
}

fn emptied(tail: &Tail) -> impl Iterator<Item = (Range, Version)> {
    tail.emptied.iter().map(|emptied| {
        let range = Range { start: emptied.start.clone(), end: emptied.end.clone() };
        (range, Version(emptied.version))
    })
}

//! What is to be flushed, and the changes in it in the order of a segment.

use std::cmp::Reverse;
use std::sync::Arc;

use bytes::Bytes;
use storage_log::planted::planted;

use crate::Version;
use crate::change::Change;
use crate::flush::CHANGES_AT_ONCE;
use crate::format::segment::{SegmentId, SegmentRef};
use crate::memtable::{Memtable, Point};
use crate::system::Flushed;
use crate::writes::Range;

/// What is to be flushed, frozen.
#[derive(Debug, Default)]
pub(crate) struct Frozen {
    /// Everything up to this version is in segments already.
    pub(crate) from: Version,
    pub(crate) to: Flushed,
    pub(crate) memtables: Vec<Arc<Memtable>>,
    /// The version of the system key that says so.
    pub(crate) flushed_at: Option<Version>,
    /// Segments that are lost, and the versions that named them: this flush makes up for them.
    pub(crate) replaced: Vec<(SegmentId, Version)>,
    /// Segments that hold what comes before `from`, and that nobody names yet.
    pub(crate) remade: Vec<(SegmentId, SegmentRef)>,
    /// With these it is everything since the first transaction.
    pub(crate) whole: bool,
}

impl Frozen {
    /// The ranges that were emptied and that no segment says of.
    pub(super) fn emptied(&self) -> Vec<(Range, Version)> {
        self.memtables.iter().flat_map(|memtable| memtable.emptied_after(self.from)).collect()
    }
}

/// All changes to keys that are not in segments, in the order of a segment. They are taken out of the memtables a few at
/// a time, so that neither much memory nor a long time is taken at once. Values are shared with the memtables.
#[derive(Debug)]
pub(super) struct Points {
    from: Version,
    sources: Vec<Source>,
    /// The key of the one before, for a mistake on purpose.
    last: Option<Bytes>,
}

/// A memtable that is being taken out of.
#[derive(Debug)]
struct Source {
    memtable: Arc<Memtable>,
    ready: std::vec::IntoIter<Point>,
    /// Where to go on.
    rest: Option<Bytes>,
}

impl Points {
    pub(super) fn of(frozen: &Frozen) -> Self {
        let mut memtables = &frozen.memtables[..];
        if planted("flush-forgets-the-oldest-memory") && memtables.len() > 1 {
            memtables = &memtables[..1];
        }
        let source = |memtable: &Arc<Memtable>| Source {
            memtable: memtable.clone(),
            ready: Vec::new().into_iter(),
            rest: Some(Bytes::new()),
        };
        Self { from: frozen.from, sources: memtables.iter().map(source).collect(), last: None }
    }

    pub(super) fn next(&mut self) -> Option<Point> {
        loop {
            for source in &mut self.sources {
                source.fill(self.from);
            }
            let ready = self.sources.iter().map(|source| source.ready.as_slice().first());
            let ready = ready.enumerate().filter_map(|(at, point)| Some((at, point?)));
            let (at, _) =
                ready.min_by(|(_, a), (_, b)| (&a.0, Reverse(a.1)).cmp(&(&b.0, Reverse(b.1))))?;
            let point = self.sources[at].ready.next()?;
            let mut left_out = planted("flush-leaves-deletions-out") && point.2 == Change::Delete;
            if planted("flush-keeps-one-change-a-key") {
                let last = self.last.replace(point.0.clone());
                left_out |= last.as_ref() == Some(&point.0);
            }
            if !left_out {
                return Some(point);
            }
        }
    }
}

impl Source {
    fn fill(&mut self, from: Version) {
        while self.ready.as_slice().is_empty() {
            let Some(start) = self.rest.take() else { return };
            let (points, rest) = self.memtable.after(from, &start, CHANGES_AT_ONCE);
            self.ready = points.into_iter();
            self.rest = rest;
        }
    }
}

//! One piece of compaction: some segments are read, and others written that say the same.

use std::sync::Arc;

use bytes::Bytes;

use crate::change::Change;
use crate::compact::kept::Kept;
use crate::compact::merge::Merged;
use crate::compact::output::Output;
use crate::compact::pace::Pace;
use crate::compact::pick::Named;
use crate::compact::sort::{Sorted, Sorter};
use crate::flush::CHANGES_AT_ONCE;
use crate::format::segment::{SegmentId, SegmentRef};
use crate::format::value::ValueId;
use crate::segment::{Segment, Stored, Stream};
use crate::shared::Shared;
use crate::turns::yield_now;
use crate::writes::Range;
use crate::{Result, Version};

/// What is put in the place of what.
#[derive(Debug, Default)]
pub(super) struct Job {
    pub(super) replaced: Vec<Named>,
    /// Segments that were begun to be stored.
    pub(super) made: Vec<(SegmentId, SegmentRef)>,
    /// The large values that were dropped, with the versions and keys that put them.
    pub(super) released: Vec<(ValueId, Version, Bytes)>,
}

impl Job {
    /// Compacts segments of what is current. `others` are the rest of those.
    pub(super) async fn current(
        &mut self,
        shared: &Arc<Shared>,
        inputs: Vec<Named>,
        others: &[SegmentRef],
        kept: &Kept,
    ) -> Result<()> {
        if inputs.is_empty() {
            return Ok(());
        }
        let mut merged = Merged::new(streams(shared, &inputs));
        let first = inputs.iter().map(|input| input.2.first_version).min().unwrap_or_default();
        let last = inputs.iter().map(|input| input.2.last_version).max().unwrap_or_default();
        let versions = (Version(first), Version(last));
        self.replaced.extend(inputs);
        let emptied = merged.emptied().await?;
        // A range still has something to hide as long as there may be something below it.
        let (needed, done): (Vec<_>, Vec<_>) =
            emptied.iter().cloned().partition(|(range, at)| may_hide(others, range, *at));
        let done = done.into_iter().filter(|(_, at)| kept.asks_for(*at, *at)).collect();
        let mut current = Output::new(shared, needed, false);
        let mut history = Output::new(shared, done, true);
        let chain_bytes_max = shared.options.segment_bytes;
        let mut sorter = Sorter::new(kept, others, versions, &emptied, chain_bytes_max);
        let mut sorted = Sorted::default();
        let mut last: Option<Bytes> = None;
        let mut count = 0;
        let mut pace = Pace::new(shared);
        loop {
            let next = merged.next().await?;
            pace.keep(shared, merged.take_read()).await;
            if let Some(last) = &last
                && next.as_ref().is_none_or(|(key, _)| key != last)
            {
                sorter.finish(&mut sorted)?;
                self.put(last, &mut sorted, &mut current, &mut history).await?;
            }
            let Some((key, stored)) = next else { break };
            if last.as_ref() != Some(&key) {
                sorter.begin(&key);
                last = Some(key.clone());
            }
            sorter.add(stored, &mut sorted)?;
            self.put(&key, &mut sorted, &mut current, &mut history).await?;
            count += 1;
            if count % CHANGES_AT_ONCE == 0 {
                yield_now().await;
                shared.still_name(&self.replaced)?;
            }
        }
        current.finish(&mut self.made).await?;
        history.finish(&mut self.made).await
    }

    /// Compacts segments of history, and leaves out what nobody asks for any more.
    pub(super) async fn history(
        &mut self,
        shared: &Arc<Shared>,
        inputs: Vec<Named>,
        kept: &Kept,
    ) -> Result<()> {
        if inputs.is_empty() {
            return Ok(());
        }
        let mut merged = Merged::new(streams(shared, &inputs));
        self.replaced.extend(inputs);
        let mut emptied = merged.emptied().await?;
        emptied.retain(|(_, at)| kept.asks_for(*at, *at));
        let mut history = Output::new(shared, emptied, true);
        let mut count = 0;
        let mut pace = Pace::new(shared);
        while let Some((key, stored)) = merged.next().await? {
            pace.keep(shared, merged.take_read()).await;
            if stored.superseded.is_none_or(|end| kept.asks_for(stored.version, end)) {
                history.add(&key, &stored, &mut self.made).await?;
            } else {
                self.release(&key, &stored);
            }
            count += 1;
            if count % CHANGES_AT_ONCE == 0 {
                yield_now().await;
                shared.still_name(&self.replaced)?;
            }
        }
        history.finish(&mut self.made).await
    }

    async fn put(
        &mut self,
        key: &Bytes,
        sorted: &mut Sorted,
        current: &mut Output,
        history: &mut Output,
    ) -> Result<()> {
        for stored in sorted.current.drain(..) {
            current.add(key, &stored, &mut self.made).await?;
        }
        for stored in sorted.history.drain(..) {
            history.add(key, &stored, &mut self.made).await?;
        }
        for stored in sorted.dropped.drain(..) {
            self.release(key, &stored);
        }
        Ok(())
    }

    /// Takes note of what is dropped.
    fn release(&mut self, key: &Bytes, stored: &Stored) {
        if let Change::Ref(reference) = &stored.change {
            self.released.push((reference.id(), stored.version, key.clone()));
        }
    }
}

fn streams(shared: &Shared, inputs: &[Named]) -> Vec<Stream> {
    let piece = shared.options.compaction_read_bytes;
    let open = |(id, _, about): &Named| {
        Stream::new(Segment::new(&shared.shelf, *id, about.clone()), piece)
    };
    inputs.iter().map(open).collect()
}

fn may_hide(others: &[SegmentRef], range: &Range, at: Version) -> bool {
    others.iter().any(|other| {
        other.first_version < at.0
            && other.spans.iter().any(|span| range.start <= span.last && span.first < range.end)
    })
}

#[cfg(test)]
mod tests;

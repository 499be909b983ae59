//! Segments that are made of changes as they come.

use std::sync::Arc;

use bytes::Bytes;

use crate::format::segment::{SegmentId, SegmentRef};
use crate::segment::{Stored, Writer};
use crate::shared::Shared;
use crate::writes::Range;
use crate::{Result, Version};

/// A segment ends with the space it is in if it has this part of what it may have: what is alike is dropped together.
const SPACE_PART: usize = 16;

/// Segments of one run.
#[derive(Debug)]
pub(super) struct Output {
    shared: Arc<Shared>,
    first: Option<SegmentId>,
    /// Of the segment that is being made; there is none before something is put into it.
    writer: Option<Writer>,
    last_key: Bytes,
    /// Emptied ranges that are still to be put somewhere, in the order of their starts: each segment gets those that
    /// begin before the next one.
    emptied: Vec<(Range, Version)>,
    is_history: bool,
}

impl Output {
    pub(super) fn new(
        shared: &Arc<Shared>,
        emptied: Vec<(Range, Version)>,
        is_history: bool,
    ) -> Self {
        let shared = shared.clone();
        Self { shared, first: None, writer: None, last_key: Bytes::new(), emptied, is_history }
    }

    /// Adds a change that comes after those before. Says in `made` which segments it has begun to store.
    pub(super) async fn add(
        &mut self,
        key: &Bytes,
        stored: &Stored,
        made: &mut Vec<(SegmentId, SegmentRef)>,
    ) -> Result<()> {
        if *key != self.last_key {
            let bytes = self.writer.as_ref().map_or(0, Writer::bytes);
            let most = self.shared.options.segment_bytes;
            let new_space = key.first() != self.last_key.first() && bytes >= most / SPACE_PART;
            let is_full = self.writer.as_ref().is_some_and(|writer| writer.is_full(most));
            if bytes > 0 && (is_full || new_space) {
                self.close(Some(key), made).await?;
            }
            self.last_key = key.clone();
        }
        self.writer().add(key, stored);
        Ok(())
    }

    /// Stores what is left.
    pub(super) async fn finish(mut self, made: &mut Vec<(SegmentId, SegmentRef)>) -> Result<()> {
        self.close(None, made).await
    }

    /// Ends a segment before the key with which the next begins.
    async fn close(
        &mut self,
        next: Option<&Bytes>,
        made: &mut Vec<(SegmentId, SegmentRef)>,
    ) -> Result<()> {
        let begun = match next {
            Some(next) => self.emptied.partition_point(|(range, _)| range.start < *next),
            None => self.emptied.len(),
        };
        for (range, version) in self.emptied.drain(..begun).collect::<Vec<_>>() {
            if self.is_history {
                self.writer().supersede(version);
            }
            self.writer().empty(&range, version);
        }
        match self.writer.take() {
            Some(writer) => self.shared.store_segment(writer, made).await,
            None => Ok(()),
        }
    }

    fn writer(&mut self) -> &mut Writer {
        let Self { shared, first, writer, .. } = self;
        writer.get_or_insert_with(|| {
            let id = shared.new_segment();
            Writer::next(id, *first.get_or_insert(id))
        })
    }
}

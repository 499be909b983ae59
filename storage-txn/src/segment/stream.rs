//! A segment read from its beginning to its end, in large pieces that are not kept.

use std::sync::Arc;

use bytes::Bytes;

use crate::format::segment::{Part, Place, Tail, corrupt, unframe};
use crate::segment::block::{Block, Stored};
use crate::segment::{Segment, emptied};
use crate::writes::Range;
use crate::{Result, Version};

/// All changes of a segment, in order. Holds one piece and one block at a time. Its blocks do not go into the cache,
/// where they would only be in the way.
#[derive(Debug)]
pub(crate) struct Stream {
    segment: Segment,
    /// How much is read at once, unless a block is larger.
    piece_bytes: u64,
    tail: Option<Arc<Tail>>,
    part: Option<Arc<Part>>,
    /// The next part of the index, and the next block of the part that is being read.
    next_part: usize,
    next_block: usize,
    piece: Bytes,
    piece_offset: u64,
    block: Option<Block>,
    next_change: usize,
    /// How many bytes of blocks were read, since somebody asked.
    read: u64,
}

impl Stream {
    pub(crate) fn new(segment: Segment, piece_bytes: usize) -> Self {
        Self {
            segment,
            piece_bytes: piece_bytes as u64,
            tail: None,
            part: None,
            next_part: 0,
            next_block: 0,
            piece: Bytes::new(),
            piece_offset: 0,
            block: None,
            next_change: 0,
            read: 0,
        }
    }

    /// How many bytes of blocks were read since this was last asked.
    pub(crate) fn take_read(&mut self) -> u64 {
        std::mem::take(&mut self.read)
    }

    /// A key that none in it comes before; `None` when there are no changes of keys in it.
    pub(crate) fn first_key(&self) -> Option<Bytes> {
        let first = self.segment.about.spans.first().map(|span| span.first.clone());
        first.filter(|_| self.segment.about.changes > 0)
    }

    /// The ranges that were emptied, with when.
    pub(crate) async fn emptied(&mut self) -> Result<Vec<(Range, Version)>> {
        if self.segment.about.ranges == 0 {
            return Ok(Vec::new());
        }
        Ok(emptied(&*self.segment.tail().await?).collect())
    }

    /// The next key and change, or `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<(Bytes, Stored)>> {
        loop {
            if let Some(block) = &self.block {
                if let Some(next) = block.get(self.next_change)? {
                    self.next_change += 1;
                    return Ok(Some(next));
                }
                self.block = None;
            }
            let Some(place) = self.next_place().await? else { return Ok(None) };
            let framed = self.framed(&place).await?;
            let content = unframe(self.segment.id, place.offset, &framed)?;
            let block = Block::read(content)
                .map_err(|error| corrupt(self.segment.id, place.offset, &error.to_string()))?;
            (self.block, self.next_change) = (Some(block), 0);
        }
    }

    /// Where the next block is.
    async fn next_place(&mut self) -> Result<Option<Place>> {
        let tail = match &self.tail {
            Some(tail) => tail.clone(),
            None => self.tail.insert(self.segment.tail().await?).clone(),
        };
        loop {
            if let Some(place) =
                self.part.as_ref().and_then(|part| part.blocks.get(self.next_block))
            {
                self.next_block += 1;
                return Ok(Some(place.clone()));
            }
            let Some(place) = tail.parts.get(self.next_part) else { return Ok(None) };
            self.part = Some(self.segment.part(place).await?);
            (self.next_part, self.next_block) = (self.next_part + 1, 0);
        }
    }

    /// The bytes of a block; reads those after it too, which are wanted next.
    async fn framed(&mut self, place: &Place) -> Result<Bytes> {
        let within = |piece: &Bytes, offset: u64| {
            let start = usize::try_from(place.offset.checked_sub(offset)?).ok()?;
            let end = start.checked_add(usize::try_from(place.bytes).ok()?)?;
            (end <= piece.len()).then(|| piece.slice(start..end))
        };
        if let Some(framed) = within(&self.piece, self.piece_offset) {
            return Ok(framed);
        }
        let start = place.offset;
        let mut end = start.saturating_add(place.bytes);
        for next in self.part.iter().flat_map(|part| part.blocks.iter().skip(self.next_block)) {
            let longer = next.offset.saturating_add(next.bytes);
            if next.offset != end || longer - start > self.piece_bytes {
                break;
            }
            end = longer;
        }
        self.piece = self.segment.bytes(start, end - start).await?;
        self.piece_offset = start;
        self.read += end - start;
        within(&self.piece, self.piece_offset)
            .ok_or_else(|| corrupt(self.segment.id, place.offset, "a block is cut off"))
    }
}

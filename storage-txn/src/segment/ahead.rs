//! Reading ahead: who scans a segment reads several blocks at once, the more the longer it goes on.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;

use crate::Result;
use crate::format::segment::{Part, Place, corrupt, unframe};
use crate::segment::Segment;
use crate::segment::block::Block;
use crate::segment::cache::Cached;
use crate::writes::Range;

/// The blocks that a scan has read of a segment and not come to yet. They are in the cache too, but need not stay there.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    blocks: BTreeMap<u64, Arc<Block>>,
    /// How many bytes were read the last time.
    bytes: u64,
}

impl Ahead {
    /// Lets go of the blocks that the scan has passed. The last one it still asks for, to find the next.
    fn pass(&mut self, offset: u64, backward: bool) {
        if backward {
            self.blocks.split_off(&offset.saturating_add(1));
        } else {
            self.blocks = self.blocks.split_off(&offset);
        }
    }
}

impl Segment {
    /// The block at a place of a part of the index. If it is not in memory, those are read with it that the scan comes to
    /// next: at first none, and then twice as many bytes each time.
    pub(super) async fn block_ahead(
        &self,
        part: &Part,
        at: usize,
        range: &Range,
        backward: bool,
        ahead: &mut Ahead,
    ) -> Result<Arc<Block>> {
        let place = &part.blocks[at];
        ahead.pass(place.offset, backward);
        if let Some(block) = ahead.blocks.get(&place.offset) {
            return Ok(block.clone());
        }
        ahead.blocks.clear();
        let known = self.shelf.cache.holds(self.id, place.offset);
        let bytes_max = (2 * ahead.bytes).min(self.shelf.scan_read_bytes as u64);
        let places = if known {
            &part.blocks[at..=at]
        } else {
            ahead.bytes = bytes_max.max(place.bytes);
            &part.blocks[self.wanted(&part.blocks, at, range, backward, bytes_max)]
        };
        let [first, .., last] = places else {
            let block = self.block(place).await?;
            ahead.blocks.insert(place.offset, block.clone());
            return Ok(block);
        };
        let bytes = last.offset.saturating_add(last.bytes) - first.offset;
        let read = self.bytes(first.offset, bytes).await?;
        for one in places {
            let from = (one.offset - first.offset) as usize;
            let framed = read.slice(from..from + one.bytes as usize);
            match self.block_of(one, &framed) {
                Ok(block) => {
                    self.shelf.cache.keep(self.id, one.offset, Cached::Block(block.clone()));
                    ahead.blocks.insert(one.offset, block);
                }
                Err(error) if one.offset == place.offset => return Err(error),
                // The scan may not get there. If it does, it finds out.
                Err(_) => {}
            }
        }
        let block = ahead.blocks.get(&place.offset).cloned();
        block.ok_or_else(|| corrupt(self.id, place.offset, "a block is not where it is read"))
    }

    fn block_of(&self, place: &Place, framed: &Bytes) -> Result<Arc<Block>> {
        let content = unframe(self.id, place.offset, framed)?;
        // A block that is stored plain is a part of what was read, which is not to be kept because of it.
        let shared = framed.as_ptr_range().contains(&content.as_ptr());
        let content = if shared { Bytes::copy_from_slice(&content) } else { content };
        let block = Block::read(content)
            .map_err(|error| corrupt(self.id, place.offset, &error.to_string()))?;
        Ok(Arc::new(block))
    }

    /// Which of these places follow on the one `at` in the direction of a scan, are in its range, and have at most so many
    /// bytes with it; up to the last one that is not in memory. Always that one.
    fn wanted(
        &self,
        places: &[Place],
        at: usize,
        range: &Range,
        backward: bool,
        bytes_max: u64,
    ) -> RangeInclusive<usize> {
        let (mut first, mut last, mut upto) = (at, at, at);
        let mut bytes = places[at].bytes;
        loop {
            let end = |at: usize| places[at].offset.saturating_add(places[at].bytes);
            let next = if backward { first.checked_sub(1) } else { Some(last + 1) };
            let Some(next) = next.filter(|next| *next < places.len()) else { break };
            // Of a block before this one, it is known where it begins, and that it goes on up to this one.
            let (adjacent, within) = if backward {
                (end(next) == places[first].offset, places[first].key > range.start)
            } else {
                (end(last) == places[next].offset, places[next].key < range.end)
            };
            bytes = bytes.saturating_add(places[next].bytes);
            if !adjacent || !within || bytes > bytes_max {
                break;
            }
            if !self.shelf.cache.holds(self.id, places[next].offset) {
                upto = next;
            }
            if backward { first = next } else { last = next }
        }
        at.min(upto)..=at.max(upto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Version;
    use crate::change::Change;
    use crate::segment::Stored;
    use crate::segment::block::Builder;

    #[test]
    fn blocks_that_a_scan_has_passed_are_let_go_of() {
        for (backward, left) in [(false, [20, 30]), (true, [10, 20])] {
            let mut builder = Builder::default();
            builder.add(b"k", &Stored::current(Version(1), Change::Delete));
            let block = Arc::new(Block::read(builder.finish().into()).unwrap());
            let blocks = [10, 20, 30].map(|offset| (offset, block.clone()));
            let mut ahead = Ahead { blocks: blocks.into(), bytes: 0 };
            ahead.pass(20, backward);
            let offsets: Vec<u64> = ahead.blocks.into_keys().collect();
            assert_eq!(offsets, left, "backward {backward}");
        }
    }
}

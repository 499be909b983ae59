//! How a segment is read: from its tail to parts of its index, and from there to blocks.

use std::cmp::Reverse;
use std::sync::Arc;

use bytes::Bytes;
use storage_core::{ErrorKind, Get};
use storage_log::planted::planted;

use crate::change::Stack;
use crate::format::segment::{Part, Place, Tail, corrupt, unframe};
use crate::segment::block::{Block, Stored};
use crate::segment::cache::Cached;
use crate::segment::{Ahead, Segment, filter};
use crate::store::key;
use crate::writes::Range;
use crate::{Result, Version};

/// A block in the index: which part, which of its places.
struct Position {
    part_at: usize,
    part: Arc<Part>,
    at: usize,
}

impl Position {
    fn place(&self) -> &Place {
        &self.part.blocks[self.at]
    }

    /// The key that the block after this one begins with.
    fn next_key<'a>(&'a self, tail: &'a Tail) -> Option<&'a Bytes> {
        let here = self.part.blocks.get(self.at + 1);
        here.or_else(|| tail.parts.get(self.part_at + 1)).map(|place| &place.key)
    }

    fn is_first(&self) -> bool {
        self.part_at == 0 && self.at == 0
    }
}

impl Segment {
    pub(super) async fn tail(&self) -> Result<Arc<Tail>> {
        let offset = self.tail_offset();
        // In memory more often than not, and then there is nothing to wait for.
        if let Some(Cached::Tail(tail, _)) = self.shelf.cache.known(self.id, offset) {
            return Ok(tail);
        }
        let read = async {
            // The parts of the index stand before it, and are wanted next.
            let bytes = self.about.tail_bytes.max(self.about.index_bytes).min(self.about.bytes);
            let stored = self.bytes(self.about.bytes - bytes, bytes).await?;
            let before = stored.len().saturating_sub(self.about.tail_bytes as usize);
            let tail = Arc::new(Tail::read(self.id, offset, &stored.slice(before..))?);
            self.keep_parts(&tail, &stored);
            Ok(Cached::Tail(tail, stored.len()))
        };
        match self.shelf.cache.get(self.id, offset, read).await? {
            Cached::Tail(tail, _) => Ok(tail),
            _ => Err(corrupt(self.id, offset, "a place in the index is that of the tail")),
        }
    }

    pub(super) fn tail_offset(&self) -> u64 {
        self.about.bytes.saturating_sub(self.about.tail_bytes)
    }

    /// Keeps the parts of the index that were read with the tail. One that is damaged is found by who needs it.
    fn keep_parts(&self, tail: &Tail, stored: &Bytes) {
        let start = self.about.bytes - stored.len() as u64;
        for place in &tail.parts {
            let from = place.offset.checked_sub(start).map(|from| from as usize);
            let framed = from
                .and_then(|from| stored.get(from..from.saturating_add(place.bytes as usize)))
                // So that who keeps a part does not keep all.
                .map(Bytes::copy_from_slice);
            let content = framed.and_then(|framed| unframe(self.id, place.offset, &framed).ok());
            if let Some(content) = content {
                let bytes = content.len();
                if let Ok(part) = Part::read(self.id, place.offset, content) {
                    let part = Cached::Part(Arc::new(part), bytes);
                    self.shelf.cache.keep(self.id, place.offset, part);
                }
            }
        }
    }

    pub(super) async fn part(&self, place: &Place) -> Result<Arc<Part>> {
        if let Some(Cached::Part(part, _)) = self.shelf.cache.known(self.id, place.offset) {
            return Ok(part);
        }
        let read = async {
            let content = self.content(place).await?;
            let bytes = content.len();
            Ok(Cached::Part(Arc::new(Part::read(self.id, place.offset, content)?), bytes))
        };
        match self.shelf.cache.get(self.id, place.offset, read).await? {
            Cached::Part(part, _) => Ok(part),
            _ => Err(corrupt(self.id, place.offset, "this is not a part of the index")),
        }
    }

    pub(super) async fn block(&self, place: &Place) -> Result<Arc<Block>> {
        if let Some(Cached::Block(block)) = self.shelf.cache.known(self.id, place.offset) {
            return Ok(block);
        }
        let read = async {
            let block = Block::read(self.content(place).await?)
                .map_err(|error| corrupt(self.id, place.offset, &error.to_string()))?;
            Ok(Cached::Block(Arc::new(block)))
        };
        match self.shelf.cache.get(self.id, place.offset, read).await? {
            Cached::Block(block) => Ok(block),
            _ => Err(corrupt(self.id, place.offset, "this is not a block of changes")),
        }
    }

    async fn content(&self, place: &Place) -> Result<Bytes> {
        let framed = self.bytes(place.offset, place.bytes).await?;
        unframe(self.id, place.offset, &framed)
    }

    pub(super) async fn bytes(&self, offset: u64, bytes: u64) -> Result<Bytes> {
        let end = offset.saturating_add(bytes);
        let request = Get::range(offset..end);
        let key = key(self.id.to_string())?;
        let object = match self.shelf.provider.get(&key, request).await {
            Ok(object) => object,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let error = corrupt(self.id, offset, "the segment is missing").with_source(error);
                return Err(error.missing(key));
            }
            Err(error) if error.kind() == ErrorKind::InvalidRange => {
                return Err(corrupt(self.id, offset, "the segment is too short").with_source(error));
            }
            Err(error) => return Err(error.into()),
        };
        if object.size != self.about.bytes || object.body.len() as u64 != bytes {
            let why = format!("the segment has {} bytes, not {}", object.size, self.about.bytes);
            return Err(corrupt(self.id, offset, &why));
        }
        Ok(object.body)
    }

    /// The last block that begins at or before `key` at `version`, or else the first.
    async fn seek(&self, tail: &Tail, key: &[u8], version: Version) -> Result<Option<Position>> {
        let last = |places: &[Place]| {
            let target = (key, Reverse(version.0));
            let up_to = |place: &Place| (&place.key[..], Reverse(place.version)) <= target;
            places.partition_point(up_to).saturating_sub(1)
        };
        let part_at = last(&tail.parts);
        let Some(place) = tail.parts.get(part_at) else { return Ok(None) };
        let part = self.part(place).await?;
        let at = last(&part.blocks);
        Ok(Some(Position { part_at, part, at }))
    }

    async fn after(&self, tail: &Tail, position: Position) -> Result<Option<Position>> {
        let Position { part_at, part, at } = position;
        if at + 1 < part.blocks.len() {
            return Ok(Some(Position { part_at, part, at: at + 1 }));
        }
        let Some(place) = tail.parts.get(part_at + 1) else { return Ok(None) };
        Ok(Some(Position { part_at: part_at + 1, part: self.part(place).await?, at: 0 }))
    }

    /// What the changes to `key` up to `version` tell, emptied ranges aside.
    pub(super) async fn points(&self, tail: &Tail, key: &[u8], version: Version) -> Result<Stack> {
        let mut stack = Stack::new();
        let mut take = |stored: Stored| {
            let seen = stored.is_seen_at(version);
            let more = !(seen && stored.change.is_final());
            if seen {
                stack.push((stored.version, stored.change));
            }
            more
        };
        self.gather(tail, key, version, &mut take).await?;
        Ok(stack)
    }

    /// Hands out the changes to `key` up to `version`, newest first, while `take` wants more.
    pub(super) async fn gather(
        &self,
        tail: &Tail,
        key: &[u8],
        version: Version,
        take: &mut (dyn FnMut(Stored) -> bool + Send),
    ) -> Result<()> {
        let denied = planted("filter-denies-what-is-there") && filter::hash(key).is_multiple_of(8);
        if denied || !filter::may_contain(&tail.filter, filter::hash(key)) {
            return Ok(());
        }
        let mut next = self.seek(tail, key, version).await?;
        while let Some(position) = next {
            let block = self.block(position.place()).await?;
            let from = block.seek(key, version);
            let goes_on = block
                .gather(from, key, take)
                .map_err(|error| corrupt(self.id, position.place().offset, &error.to_string()))?;
            if !goes_on || position.next_key(tail).is_none_or(|next| *next != key) {
                break;
            }
            next = self.after(tail, position).await?;
        }
        Ok(())
    }

    pub(super) async fn scan_forward(
        &self,
        tail: &Tail,
        range: &Range,
        version: Version,
        ahead: &mut Ahead,
    ) -> Result<(Vec<(Bytes, Stack)>, bool)> {
        let mut next = self.seek(tail, &range.start, Version(u64::MAX)).await?;
        while let Some(position) = next {
            let block = self.block_ahead(&position.part, position.at, range, false, ahead).await?;
            let found = self.keys_in(tail, &position, &block, range, version).await?;
            let more = position.next_key(tail).is_some_and(|next| *next < range.end);
            if !found.is_empty() || !more {
                let more = more && !found.is_empty();
                return Ok((found, more));
            }
            next = self.after(tail, position).await?;
        }
        Ok((Vec::new(), false))
    }

    pub(super) async fn scan_backward(
        &self,
        tail: &Tail,
        range: &Range,
        version: Version,
        ahead: &mut Ahead,
    ) -> Result<(Vec<(Bytes, Stack)>, bool)> {
        // The last block that begins below the end. If nothing in it is below, it is the first.
        let Some(position) = self.seek(tail, &range.end, Version(u64::MAX)).await? else {
            return Ok((Vec::new(), false));
        };
        let block = self.block_ahead(&position.part, position.at, range, true, ahead).await?;
        let mut found = self.keys_in(tail, &position, &block, range, version).await?;
        found.reverse();
        let more = !position.is_first()
            && !found.is_empty()
            && (range.start < position.place().key || position.place().continues);
        Ok((found, more))
    }

    /// The keys of one block that are in a range, with what is known of them in the whole segment.
    async fn keys_in(
        &self,
        tail: &Tail,
        position: &Position,
        block: &Block,
        range: &Range,
        version: Version,
    ) -> Result<Vec<(Bytes, Stack)>> {
        let continues = position.place().continues;
        let mut found = Vec::new();
        for (key, changes) in block.keys().filter(|(key, _)| range.contains(key)) {
            let begins_before = continues && changes.start == 0;
            let ends_after = position.next_key(tail) == Some(&key);
            let stack = if begins_before || ends_after {
                self.points(tail, &key, version).await?
            } else {
                block.stack(changes, version).map_err(|error| {
                    corrupt(self.id, position.place().offset, &error.to_string())
                })?
            };
            found.push((key, stack));
        }
        Ok(found)
    }

    /// Whether any key of a range has a change after `version`. Blocks without one are not read.
    pub(super) async fn points_changed(
        &self,
        tail: &Tail,
        range: &Range,
        version: Version,
    ) -> Result<bool> {
        let of_interest = |places: &[Place]| -> Vec<Place> {
            let from = places.partition_point(|place| place.key < range.start).saturating_sub(1);
            let within = places[from..].iter().take_while(|place| place.key < range.end);
            let later = u64::from(planted("validation-passes-over-blocks"));
            within.filter(|place| place.last_version > version.0 + later).cloned().collect()
        };
        for place in of_interest(&tail.parts) {
            for place in of_interest(&self.part(&place).await?.blocks) {
                let block = self.block(&place).await?;
                if block.changes().any(|(key, at)| at > version && range.contains(key)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

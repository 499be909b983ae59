//! Checks a segment: every byte of it, and everything that one part of it says of another.

use bytes::Bytes;

use super::block::{Block, Stored};
use super::{Segment, emptied, filter};
use crate::format::segment::{Part, Place, Tail, corrupt, unframe};
use crate::writes::Range;
use crate::{Error, ErrorKind, Result, Version};

/// How many bytes of blocks are read at once, unless one block has more.
const READ_BYTES: u64 = 1 << 20;
/// How many things are said to be wrong with one segment.
const WRONG_MAX: usize = 100;

/// What is wrong with a segment, and where in it.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) offset: Option<u64>,
    pub(crate) what: String,
}

/// What is told of a segment while it is checked.
pub(crate) enum Content<'a> {
    Change(&'a [u8], &'a Stored),
    Emptied(&'a Range, Version),
}

/// A check under way.
struct Check<'a> {
    segment: &'a Segment,
    tail: &'a Tail,
    wrong: Vec<Wrong>,
    /// Where the blocks end that were accounted for; `None` after a part of the index that cannot be read.
    at: Option<u64>,
    /// Where the parts of the index end that were accounted for, if they stand after all blocks.
    index_at: Option<u64>,
    changes: u64,
    /// The change before the next block; `None` before the first block, and after what cannot be read.
    last: Option<(Bytes, Version)>,
    /// Whether a block came before, readable or not.
    begun: bool,
}

impl Segment {
    /// Reads all of it, tells `take` of everything in it that can be read, and answers with what is wrong. Holds a
    /// megabyte at a time, or a block that is larger.
    ///
    /// # Errors
    ///
    /// Those of the provider.
    pub(crate) async fn check(
        &self,
        take: &mut (dyn FnMut(Content<'_>) -> Result<()> + Send),
    ) -> Result<Vec<Wrong>> {
        let offset = self.about.bytes.saturating_sub(self.about.tail_bytes);
        let tail = match self.bytes(offset, self.about.tail_bytes).await {
            Ok(stored) => Tail::read(self.id, offset, &stored),
            Err(error) => Err(error),
        };
        let tail = match tail {
            Ok(tail) => tail,
            Err(error) => return Ok(vec![self.wrong_or_error(offset, error)?]),
        };
        let index_bytes = Some(self.about.index_bytes).filter(|bytes| *bytes > 0);
        let mut check = Check {
            segment: self,
            tail: &tail,
            wrong: Vec::new(),
            at: Some(0),
            index_at: index_bytes.map(|bytes| self.about.bytes.saturating_sub(bytes)),
            changes: 0,
            last: None,
            begun: false,
        };
        let blocks_end = check.index_at.unwrap_or(offset);
        check.tail(offset);
        for (range, version) in emptied(&tail) {
            check.within(offset, &range.start, version);
            check.within(offset, &range.end, version);
            if let Err(error) = take(Content::Emptied(&range, version)) {
                check.wrong(Some(offset), error.to_string());
            }
        }
        for place in &tail.parts {
            check.part(place, take).await?;
            if check.wrong.len() >= WRONG_MAX {
                return Ok(check.wrong);
            }
        }
        for (at, end) in [(check.at, blocks_end), (check.index_at, offset)] {
            if at.is_some_and(|at| at != end) && check.wrong.is_empty() {
                check.wrong(at, "there are bytes that the index does not name");
            }
        }
        if check.changes != tail.changes && check.wrong.is_empty() {
            let what = format!("it says {} changes, and has {}", tail.changes, check.changes);
            check.wrong(Some(offset), what);
        }
        Ok(check.wrong)
    }

    /// What an error says, if it is about the bytes and not about the provider.
    fn wrong_or_error(&self, offset: u64, error: Error) -> Result<Wrong> {
        if !matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::UnknownFormat) {
            return Err(error);
        }
        let message = error.to_string();
        let prefix = corrupt(self.id, offset, "").to_string();
        let what = message.strip_prefix(&prefix).unwrap_or(&message).to_owned();
        Ok(Wrong { offset: Some(offset), what })
    }
}

impl Check<'_> {
    fn wrong(&mut self, offset: Option<u64>, what: impl Into<String>) {
        if self.wrong.len() < WRONG_MAX {
            self.wrong.push(Wrong { offset, what: what.into() });
        }
    }

    fn failed(&mut self, offset: u64, error: Error) -> Result<()> {
        let wrong = self.segment.wrong_or_error(offset, error)?;
        self.wrong(wrong.offset, wrong.what);
        Ok(())
    }

    /// Whether the tail is as it is said to be where the segment is named.
    fn tail(&mut self, offset: u64) {
        let (tail, about) = (self.tail, &self.segment.about);
        let same = tail.spans == about.spans
            && tail.changes == about.changes
            && tail.emptied.len() as u64 == about.ranges
            && (tail.first_version, tail.last_version) == (about.first_version, about.last_version);
        if !same {
            self.wrong(Some(offset), "its tail is not as the store says");
        }
    }

    /// Whether a key and a version are where readers look for them.
    fn within(&mut self, offset: u64, key: &[u8], version: Version) {
        let about = &self.segment.about;
        let is_within = self.segment.may_hold(key);
        let in_time = about.first_version <= version.0 && version.0 <= about.last_version;
        if !is_within {
            let what = format!("the key \"{}\" is outside of its spans", key.escape_ascii());
            self.wrong(Some(offset), what);
        }
        if !in_time {
            self.wrong(Some(offset), format!("version {version} is outside of its versions"));
        }
    }

    /// Whether what is superseded is where readers of the present do not look.
    fn superseded(&mut self, offset: u64, stored: &Stored) {
        let upto = self.segment.about.superseded;
        let right = match stored.superseded {
            None => upto == 0,
            Some(end) => end.0 <= upto,
        };
        if !right {
            let what =
                format!("a change of version {} is not superseded as it must be", stored.version);
            self.wrong(Some(offset), what);
        }
    }

    async fn part(
        &mut self,
        place: &Place,
        take: &mut (dyn FnMut(Content<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        let part = match self.segment.bytes(place.offset, place.bytes).await {
            Ok(framed) => unframe(self.segment.id, place.offset, &framed)
                .and_then(|content| Part::read(self.segment.id, place.offset, content)),
            Err(error) => Err(error),
        };
        let part = match part {
            Ok(part) => part,
            Err(error) => {
                self.failed(place.offset, error)?;
                // What it names cannot be found, so go on with what comes next.
                self.at = None;
                self.account_part(place);
                (self.last, self.begun) = (None, true);
                return Ok(());
            }
        };
        let bounds = part.blocks.iter().fold((u64::MAX, 0), |(first, last), block| {
            (first.min(block.first_version), last.max(block.last_version))
        });
        let first = part.blocks.first();
        let same = bounds == (place.first_version, place.last_version)
            && first.is_some_and(|first| {
                (&first.key, first.version, first.continues)
                    == (&place.key, place.version, place.continues)
            });
        if !same {
            self.wrong(Some(place.offset), "a part of the index is not as the tail says");
        }
        let mut rest = &part.blocks[..];
        while let [first, ..] = rest {
            let end_of = |block: &Place| block.offset.saturating_add(block.bytes);
            let mut count = 1;
            while let Some(next) = rest.get(count)
                && next.offset == end_of(&rest[count - 1])
                && end_of(next) - first.offset <= READ_BYTES
            {
                count += 1;
            }
            let (now, later) = rest.split_at(count);
            let bytes = now.iter().map(|block| block.bytes).fold(0, u64::saturating_add);
            let read = self.segment.bytes(first.offset, bytes).await;
            match read {
                Ok(bytes) => {
                    for block in now {
                        let from = (block.offset - first.offset) as usize;
                        let framed = bytes.slice(from..from + block.bytes as usize);
                        self.block(block, &framed, take)?;
                    }
                }
                Err(error) => self.failed(first.offset, error)?,
            }
            rest = later;
        }
        self.account_part(place);
        Ok(())
    }

    /// Takes note that the block at this place is accounted for.
    fn account(&mut self, place: &Place) {
        self.follows(self.at, place);
        self.at = Some(place.offset.saturating_add(place.bytes));
    }

    /// Takes note that the part of the index at this place is: it comes after the other parts, or after its blocks.
    fn account_part(&mut self, place: &Place) {
        if self.index_at.is_none() {
            return self.account(place);
        }
        self.follows(self.index_at, place);
        self.index_at = Some(place.offset.saturating_add(place.bytes));
    }

    fn follows(&mut self, at: Option<u64>, place: &Place) {
        if at.is_some_and(|at| at != place.offset) {
            self.wrong(at, "what is named next does not begin here");
        }
    }

    fn block(
        &mut self,
        place: &Place,
        framed: &Bytes,
        take: &mut (dyn FnMut(Content<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        self.account(place);
        let is_first = !std::mem::replace(&mut self.begun, true);
        let offset = Some(place.offset);
        let block = unframe(self.segment.id, place.offset, framed).and_then(Block::read);
        let block = match block {
            Ok(block) => block,
            Err(error) => {
                self.last = None;
                return self.failed(place.offset, error);
            }
        };
        let mut versions = (u64::MAX, 0);
        let before = self.last.take();
        let mut previous: Option<(&[u8], Version)> =
            before.as_ref().map(|(key, version)| (&key[..], *version));
        let mut at_start = true;
        for (key, version, change) in block.entries() {
            if at_start {
                let continues = previous.is_some_and(|(last, _)| last == key);
                let is_known = previous.is_some() || is_first;
                if (key, version.0) != (&place.key[..], place.version)
                    || (is_known && continues != place.continues)
                {
                    self.wrong(offset, "a block does not begin as the index says");
                }
                at_start = false;
            }
            let in_order = previous.is_none_or(|(last_key, last)| {
                (last_key, std::cmp::Reverse(last)) < (key, std::cmp::Reverse(version))
            });
            if !in_order {
                self.wrong(offset, "a block does not come after the one before");
            }
            if !filter::may_contain(&self.tail.filter, filter::hash(key)) {
                let what = format!("the filter denies the key \"{}\"", key.escape_ascii());
                self.wrong(offset, what);
            }
            self.within(place.offset, key, version);
            versions = (versions.0.min(version.0), versions.1.max(version.0));
            self.changes += 1;
            let taken = change.and_then(|stored| {
                self.superseded(place.offset, &stored);
                take(Content::Change(key, &stored))
            });
            if let Err(error) = taken {
                self.wrong(offset, error.to_string());
            }
            previous = Some((key, version));
        }
        if versions != (place.first_version, place.last_version) {
            self.wrong(offset, "a block does not have the versions that the index says");
        }
        self.last = previous.map(|(key, version)| (Bytes::copy_from_slice(key), version));
        Ok(())
    }
}

#[cfg(test)]
mod tests;

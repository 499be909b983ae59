//! The changes of several segments in one order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;

use crate::segment::{Stored, Stream};
use crate::writes::Range;
use crate::{Error, Result, Version};

/// All changes of some segments by key, each key's newest first. A segment is opened when its keys begin, so only
/// those that have keys in common are held at the same time.
#[derive(Debug)]
pub(super) struct Merged {
    sources: Vec<Source>,
    /// The next key and version of each source. One that is not open stands at its lowest key, above all versions.
    heads: BinaryHeap<Reverse<(Bytes, Reverse<Version>, usize)>>,
    last: Option<(Bytes, Version)>,
    /// How many bytes were read, since somebody asked.
    read: u64,
}

#[derive(Debug)]
struct Source {
    stream: Stream,
    next: Option<(Bytes, Stored)>,
}

impl Merged {
    pub(super) fn new(streams: Vec<Stream>) -> Self {
        let mut heads = BinaryHeap::new();
        for (at, stream) in streams.iter().enumerate() {
            if let Some(key) = stream.first_key() {
                heads.push(Reverse((key, Reverse(Version(u64::MAX)), at)));
            }
        }
        let sources = streams.into_iter().map(|stream| Source { stream, next: None }).collect();
        Self { sources, heads, last: None, read: 0 }
    }

    /// The ranges that were emptied, with when, in the order of their starts.
    pub(super) async fn emptied(&mut self) -> Result<Vec<(Range, Version)>> {
        let mut all = Vec::new();
        for source in &mut self.sources {
            all.extend(source.stream.emptied().await?);
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// How many bytes were read since this was last asked.
    pub(super) fn take_read(&mut self) -> u64 {
        std::mem::take(&mut self.read)
    }

    /// The next change; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<(Bytes, Stored)>> {
        while let Some(Reverse((_, _, at))) = self.heads.pop() {
            let source = &mut self.sources[at];
            let next = source.next.take();
            source.next = source.stream.next().await?;
            self.read += source.stream.take_read();
            if let Some((key, stored)) = &source.next {
                self.heads.push(Reverse((key.clone(), Reverse(stored.version), at)));
            }
            let Some((key, stored)) = next else { continue };
            match &self.last {
                Some((last, version))
                    if (last, Reverse(*version)) > (&key, Reverse(stored.version)) =>
                {
                    return Err(Error::corrupt(format!(
                        "the segments that are compacted have key \"{}\" out of order",
                        key.escape_ascii()
                    )));
                }
                // The same change in two places.
                Some((last, version)) if *last == key && *version == stored.version => continue,
                _ => {}
            }
            self.last = Some((key.clone(), stored.version));
            return Ok(Some((key, stored)));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;

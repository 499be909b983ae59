//! Makes a segment of changes that come in order.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::Version;
use crate::change::Change;
use crate::format::segment::{Emptied, Part, Place, SegmentId, SegmentRef, Span, Tail, frame};
use crate::segment::block::{Builder, Stored};
use crate::segment::filter;
use crate::writes::Range;

/// A block is closed when it has this many bytes before it is packed.
const BLOCK_BYTES: usize = 32 << 10;
/// A part of the index is closed when it has this many.
const PART_BYTES: usize = 64 << 10;
/// A segment is full when its filter and index have this many: who reads a key with nothing cached reads all of them.
const INDEX_BYTES_MAX: usize = 1 << 20;

/// A segment that is being made. Holds what will be its bytes, and nothing else that grows but 8 bytes a key.
#[derive(Debug)]
pub(crate) struct Writer {
    id: SegmentId,
    body: BytesMut,
    block: Builder,
    /// Of the block that is being made; its offset and length are still to come.
    place: Option<Place>,
    part: Vec<Place>,
    part_bytes: usize,
    /// Parts of the index, which stand after all blocks, next to the tail: all of it is read at once.
    parts: Vec<(Place, Vec<u8>)>,
    parts_bytes: usize,
    emptied: Vec<Emptied>,
    hashes: Vec<u64>,
    spaces: Vec<Span>,
    last_key: Vec<u8>,
    changes: u64,
    /// The first of those that are made together.
    run: u32,
    /// The highest version at which something of it is superseded.
    superseded: u64,
    /// Whether there has been nothing but values so far.
    plain: bool,
    references: u64,
}

impl Writer {
    pub(crate) fn new(id: SegmentId) -> Self {
        Self {
            id,
            body: BytesMut::new(),
            block: Builder::default(),
            place: None,
            part: Vec::new(),
            part_bytes: 0,
            parts: Vec::new(),
            parts_bytes: 0,
            emptied: Vec::new(),
            hashes: Vec::new(),
            spaces: Vec::new(),
            last_key: Vec::new(),
            changes: 0,
            run: id.number,
            superseded: 0,
            plain: true,
            references: 0,
        }
    }

    /// The next of those that are made together with another one.
    pub(crate) fn next(id: SegmentId, run: SegmentId) -> Self {
        Self { run: run.number, ..Self::new(id) }
    }

    /// Says that it is one of history, in which everything is superseded at `version` or before.
    pub(crate) fn supersede(&mut self, version: Version) {
        self.superseded = self.superseded.max(version.0);
    }

    /// Which segment it will be.
    pub(crate) fn id(&self) -> SegmentId {
        self.id
    }

    /// Adds a change, which comes after those before: its key is higher, or the same and its version lower.
    pub(crate) fn add(&mut self, key: &[u8], stored: &Stored) {
        let version = stored.version;
        if let Some(end) = stored.superseded {
            self.supersede(end);
        }
        let same_key = self.changes > 0 && key == self.last_key;
        if !same_key {
            self.hashes.push(filter::hash(key));
            if self.changes == 0 || key.first() != self.last_key.first() {
                self.close_space();
                self.spaces.push(Span { first: Bytes::copy_from_slice(key), last: Bytes::new() });
            }
            self.last_key.clear();
            self.last_key.extend_from_slice(key);
        }
        let place = self.place.get_or_insert_with(|| Place {
            offset: 0,
            bytes: 0,
            key: Bytes::copy_from_slice(key),
            version: version.0,
            first_version: version.0,
            last_version: version.0,
            continues: same_key,
        });
        place.first_version = place.first_version.min(version.0);
        place.last_version = place.last_version.max(version.0);
        self.references += u64::from(matches!(stored.change, Change::Ref(_)));
        self.plain &= !same_key && matches!(stored.change, Change::Put(_) | Change::Ref(_));
        self.block.add(key, stored);
        self.changes += 1;
        if self.block.bytes() >= BLOCK_BYTES {
            self.close_block();
        }
    }

    /// Adds a range that was emptied.
    pub(crate) fn empty(&mut self, range: &Range, version: Version) {
        let (start, end) = (range.start.clone(), range.end.clone());
        self.emptied.push(Emptied { start, end, version: version.0 });
    }

    /// About how many bytes it has so far.
    pub(crate) fn bytes(&self) -> usize {
        self.body.len() + self.block.bytes()
    }

    /// Whether the next key belongs into the next segment, when one is to have this many bytes.
    pub(crate) fn is_full(&self, bytes_max: usize) -> bool {
        let index_bytes = filter::bytes(self.hashes.len()) + self.parts_bytes;
        self.bytes() >= bytes_max || index_bytes >= INDEX_BYTES_MAX
    }

    /// What is to be stored, and what is to be said of it where it is named.
    pub(crate) fn finish(mut self) -> (SegmentRef, Bytes) {
        self.close_block();
        self.close_part();
        self.close_space();
        self.emptied
            .sort_by(|a, b| (&a.start, &a.end, a.version).cmp(&(&b.start, &b.end, b.version)));
        let index_offset = self.body.len() as u64;
        let parts: Vec<Place> = std::mem::take(&mut self.parts)
            .into_iter()
            .map(|(place, content)| self.store(place, &content))
            .collect();
        let versions = || {
            let points = parts.iter().flat_map(|part| [part.first_version, part.last_version]);
            points.chain(self.emptied.iter().map(|range| range.version))
        };
        let tail = Tail {
            session: self.id.session,
            number: self.id.number,
            changes: self.changes,
            first_version: versions().min().unwrap_or_default(),
            last_version: versions().max().unwrap_or_default(),
            spans: self.spans(),
            filter: filter::build(&self.hashes),
            parts,
            emptied: std::mem::take(&mut self.emptied),
        };
        let stored = tail.store(self.body.len() as u64);
        self.body.put_slice(&stored);
        let about = SegmentRef {
            bytes: self.body.len() as u64,
            tail_bytes: stored.len() as u64,
            spans: tail.spans,
            first_version: tail.first_version,
            last_version: tail.last_version,
            changes: tail.changes,
            ranges: tail.emptied.len() as u64,
            superseded: self.superseded,
            run: self.run,
            plain: self.plain && tail.emptied.is_empty(),
            references: self.references,
            index_bytes: self.body.len() as u64 - index_offset,
        };
        (about, self.body.freeze())
    }

    /// From the lowest to the highest key of each space, emptied ranges included. Those begin and end in one space.
    fn spans(&self) -> Vec<Span> {
        let mut spans: BTreeMap<Option<u8>, Span> = BTreeMap::new();
        let points = self.spaces.iter().map(|span| (&span.first, &span.last));
        for (first, last) in
            points.chain(self.emptied.iter().map(|range| (&range.start, &range.end)))
        {
            let span = spans
                .entry(first.first().copied())
                .or_insert_with(|| Span { first: first.clone(), last: last.clone() });
            span.first = span.first.clone().min(first.clone());
            span.last = span.last.clone().max(last.clone());
        }
        spans.into_values().collect()
    }

    /// Takes note that the keys that follow are in another space, or that none follow.
    fn close_space(&mut self) {
        if let Some(span) = self.spaces.last_mut() {
            span.last = Bytes::copy_from_slice(&self.last_key);
        }
    }

    fn close_block(&mut self) {
        let Some(place) = self.place.take() else { return };
        let content = std::mem::take(&mut self.block).finish();
        let place = self.store(place, &content);
        self.part_bytes += place.encoded_len();
        self.part.push(place);
        if self.part_bytes >= PART_BYTES {
            self.close_part();
        }
    }

    fn close_part(&mut self) {
        let blocks = std::mem::take(&mut self.part);
        self.part_bytes = 0;
        let Some(first) = blocks.first() else { return };
        let place = Place {
            first_version: blocks.iter().map(|place| place.first_version).min().unwrap_or_default(),
            last_version: blocks.iter().map(|place| place.last_version).max().unwrap_or_default(),
            ..first.clone()
        };
        let content = Part { blocks }.encode_to_vec();
        self.parts_bytes += content.len();
        self.parts.push((place, content));
    }

    fn store(&mut self, place: Place, content: &[u8]) -> Place {
        let offset = self.body.len() as u64;
        let framed = frame(self.id, offset, content);
        self.body.put_slice(&framed);
        Place { offset, bytes: framed.len() as u64, ..place }
    }
}

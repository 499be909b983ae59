//! The bytes of large values: how they are named, and the blocks they are stored in.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest};
use prost::Message;

use crate::{Error, Result};

/// How many bytes of a value have a checksum of their own: the least that a read has to fetch.
pub(crate) const BLOCK_BYTES: u64 = 64 << 10;
const CHECKSUM_BYTES: u64 = 4;
const FRAME_BYTES: u64 = BLOCK_BYTES + CHECKSUM_BYTES;
/// Keeps these checksums apart from those of segments.
const CONTEXT: [u8; 4] = *b"cbvl";
const HASH_BYTES: usize = 32;

/// What names a large value: whose upload it is and which of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ValueId {
    pub(crate) session: u64,
    pub(crate) number: u32,
}

/// What the names of all its objects begin with.
impl std::fmt::Display for ValueId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "value/{:016x}/{:08x}", self.session, self.number)
    }
}

/// One object of values: the only one of its id, or one of the chunks of a single value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ValueObject {
    pub(crate) id: ValueId,
    pub(crate) chunk: Option<u32>,
}

/// The name of the object.
impl std::fmt::Display for ValueObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.chunk {
            Some(chunk) => write!(f, "{}={chunk:08x}", self.id),
            None => self.id.fmt(f),
        }
    }
}

impl ValueObject {
    /// The object of this name, if it is one.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (session, rest) = name.strip_prefix("value/")?.split_once('/')?;
        let (number, chunk) = match rest.split_once('=') {
            Some((number, chunk)) => (number, Some(u32::from_str_radix(chunk, 16).ok()?)),
            None => (rest, None),
        };
        let session = u64::from_str_radix(session, 16).ok()?;
        let id = ValueId { session, number: u32::from_str_radix(number, 16).ok()? };
        let object = Self { id, chunk };
        (object.to_string() == name).then_some(object)
    }
}

/// A large value, as it stands in the place of its bytes.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ValueRef {
    /// How many bytes are in objects.
    #[prost(uint64, tag = "1")]
    pub(crate) bytes: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) session: u64,
    #[prost(uint32, tag = "3")]
    pub(crate) number: u32,
    /// Where its first block begins, in an object that it shares with others.
    #[prost(uint64, tag = "4")]
    pub(crate) offset: u64,
    /// How many bytes of it are in each chunk but the last; 0 when it is not in chunks but in one object.
    #[prost(uint64, tag = "5")]
    pub(crate) chunk_bytes: u64,
    /// Drawn for the upload, and part of every checksum: what another upload has put under the same name, by
    /// whatever mistake, is not taken for this.
    #[prost(fixed64, tag = "6")]
    pub(crate) nonce: u64,
    /// BLAKE3 of the bytes in objects.
    #[prost(bytes = "bytes", tag = "7")]
    pub(crate) hash: Bytes,
    /// What comes after the bytes in objects: it was appended.
    #[prost(bytes = "bytes", tag = "8")]
    pub(crate) tail: Bytes,
}

impl ValueRef {
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), for what no value can be.
    pub(crate) fn check(self) -> Result<Self> {
        let sound = self.hash.len() == HASH_BYTES
            && (self.chunk_bytes == 0
                || (self.offset == 0 && self.chunks().is_some_and(|count| count > 0)))
            && self.bytes.checked_add(self.tail.len() as u64).is_some()
            && self.bytes <= u64::MAX / 2
            && self.offset <= u64::MAX / 4;
        if sound { Ok(self) } else { Err(Error::corrupt(format!("{} is no value", self.id()))) }
    }

    pub(crate) fn id(&self) -> ValueId {
        ValueId { session: self.session, number: self.number }
    }

    /// The objects that it is in.
    pub(crate) fn objects(&self) -> impl Iterator<Item = ValueObject> + use<> {
        let (id, chunks) = (self.id(), self.chunks().unwrap_or_default());
        let whole = (chunks == 0).then_some(ValueObject { id, chunk: None });
        whole
            .into_iter()
            .chain((0..chunks).map(move |chunk| ValueObject { id, chunk: Some(chunk) }))
    }

    /// How many bytes the value has.
    pub(crate) fn size(&self) -> u64 {
        self.bytes + self.tail.len() as u64
    }

    /// How many chunks it is in; `None` when there are more than can be, 0 when it is in one object.
    pub(crate) fn chunks(&self) -> Option<u32> {
        if self.chunk_bytes == 0 {
            return Some(0);
        }
        u32::try_from(self.bytes.div_ceil(self.chunk_bytes)).ok()
    }

    /// What to read for the bytes from `start` on: at least a block of them, at most about `most` bytes, at most
    /// up to `end`, and of one object. Nothing when there are none.
    pub(crate) fn piece(&self, start: u64, end: u64, most: u64) -> Option<Piece> {
        let end = end.min(self.bytes);
        if start >= end {
            return None;
        }
        let chunk_bytes = if self.chunk_bytes == 0 { self.bytes } else { self.chunk_bytes };
        let chunk = start / chunk_bytes;
        let chunk_start = chunk * chunk_bytes;
        let chunk_length = chunk_bytes.min(self.bytes - chunk_start);
        let first = (start - chunk_start) / BLOCK_BYTES;
        let needed = chunk_length.min(end - chunk_start).div_ceil(BLOCK_BYTES);
        let after = needed.min(first + (most / BLOCK_BYTES).max(1));
        let stored_to = chunk_length.min(after * BLOCK_BYTES);
        let content_end = end.min(chunk_start + stored_to);
        // The number of chunks was checked to fit.
        let chunk = (self.chunk_bytes > 0).then(|| u32::try_from(chunk).unwrap_or(u32::MAX));
        Some(Piece {
            object: ValueObject { id: self.id(), chunk },
            object_bytes: (self.chunk_bytes > 0).then(|| stored_bytes(chunk_length)),
            nonce: self.nonce,
            at: self.offset + first * FRAME_BYTES,
            stored: stored_bytes(stored_to - first * BLOCK_BYTES),
            wanted: start - chunk_start - first * BLOCK_BYTES
                ..content_end - chunk_start - first * BLOCK_BYTES,
            next: content_end,
        })
    }
}

/// A part of a value that one request reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) object: ValueObject,
    /// How large the object is, if the value has it to itself.
    pub(crate) object_bytes: Option<u64>,
    nonce: u64,
    /// Where the first of its blocks begins in the object.
    pub(crate) at: u64,
    /// How many bytes its blocks take there, checksums included.
    pub(crate) stored: u64,
    /// Which bytes of its blocks are wanted.
    wanted: Range<u64>,
    /// Where in the value the piece after it begins.
    pub(crate) next: u64,
}

impl Piece {
    /// The bytes that were wanted, of what was read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), naming the object and the block.
    pub(crate) fn open(&self, stored: &Bytes) -> Result<Bytes> {
        let mut content = BytesMut::with_capacity(stored.len());
        let mut rest = &stored[..];
        let mut at = self.at;
        while !rest.is_empty() {
            let (frame, after) = rest.split_at(rest.len().min(FRAME_BYTES as usize));
            let Some((block, crc)) = frame.split_last_chunk::<{ CHECKSUM_BYTES as usize }>() else {
                return Err(corrupt(self.object, at, "a block is too short"));
            };
            if checksum(self.object, self.nonce, at, block).to_le_bytes() != *crc {
                return Err(corrupt(
                    self.object,
                    at,
                    "a block does not have the checksum it should",
                ));
            }
            content.put_slice(block);
            (rest, at) = (after, at + frame.len() as u64);
        }
        let wanted = self.wanted.start as usize..self.wanted.end as usize;
        if wanted.end > content.len() {
            return Err(corrupt(self.object, at, "the object is too short"));
        }
        Ok(content.freeze().slice(wanted))
    }
}

/// An object that is being made of one value or several, or of a chunk of one.
#[derive(Debug)]
pub(crate) struct Builder {
    object: ValueObject,
    nonce: u64,
    body: BytesMut,
    /// Where the block begins that is being filled.
    block: usize,
}

impl Builder {
    /// One that will have about so many bytes.
    pub(crate) fn with_room(object: ValueObject, nonce: u64, bytes: u64) -> Self {
        let body = BytesMut::with_capacity(usize::try_from(bytes).unwrap_or_default());
        Self { object, nonce, body, block: 0 }
    }

    /// How many bytes it has so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.body.len() as u64
    }

    /// Adds bytes of a value.
    pub(crate) fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = BLOCK_BYTES as usize - (self.body.len() - self.block);
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.body.put_slice(now);
            bytes = later;
            if now.len() == room {
                self.close();
            }
        }
    }

    /// Ends a value: the next begins with a block of its own.
    pub(crate) fn close(&mut self) {
        if self.body.len() > self.block {
            let block = &self.body[self.block..];
            let crc = checksum(self.object, self.nonce, self.block as u64, block);
            self.body.put_u32_le(crc);
            self.block = self.body.len();
        }
    }

    /// The object.
    pub(crate) fn finish(mut self) -> Bytes {
        self.close();
        self.body.freeze()
    }
}

/// How many bytes so many of a value take in an object.
pub(crate) fn stored_bytes(bytes: u64) -> u64 {
    bytes + bytes.div_ceil(BLOCK_BYTES) * CHECKSUM_BYTES
}

/// How many bytes of a value an object of this size has room for.
pub(crate) fn room(object_bytes: u64) -> u64 {
    let part = (object_bytes % FRAME_BYTES).saturating_sub(CHECKSUM_BYTES);
    object_bytes / FRAME_BYTES * BLOCK_BYTES + part
}

/// What says where in an object something is wrong.
pub(crate) fn corrupt(object: ValueObject, offset: u64, why: &str) -> Error {
    Error::corrupt(format!("{object}: at byte {offset}: {why}"))
}

/// CRC-32C of the place and then of the bytes, so that whole bytes in the wrong place are found too.
fn checksum(object: ValueObject, nonce: u64, offset: u64, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&CONTEXT);
    digest.update(&nonce.to_le_bytes());
    digest.update(&object.id.session.to_le_bytes());
    digest.update(&object.id.number.to_le_bytes());
    digest.update(&object.chunk.unwrap_or_default().to_le_bytes());
    digest.update(&offset.to_le_bytes());
    digest.update(bytes);
    // The digest is as wide as the widest checksum there is.
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(bytes: u64, offset: u64, chunk_bytes: u64) -> ValueRef {
        let hash = Bytes::from_static(&[0; HASH_BYTES]);
        let tail = Bytes::new();
        ValueRef { bytes, session: 7, number: 3, offset, chunk_bytes, nonce: 9, hash, tail }
    }

    /// The objects of a value of these bytes, with a stranger before it where it shares one.
    fn stored(reference: &ValueRef, value: &[u8]) -> Vec<Bytes> {
        let chunk = |chunk| ValueObject { id: reference.id(), chunk };
        if reference.chunk_bytes == 0 {
            let mut builder = Builder::with_room(chunk(None), reference.nonce, 0);
            let stranger = vec![1; room(reference.offset) as usize];
            builder.add(&stranger);
            builder.close();
            builder.add(value);
            return vec![builder.finish()];
        }
        let chunks = value.chunks(reference.chunk_bytes as usize).enumerate();
        let build = |(at, bytes): (usize, &[u8])| {
            let mut builder = Builder::with_room(chunk(Some(at as u32)), reference.nonce, 0);
            builder.add(bytes);
            builder.finish()
        };
        chunks.map(build).collect()
    }

    #[test]
    fn every_range_is_read_from_the_blocks_that_hold_it_and_no_other() {
        const B: u64 = BLOCK_BYTES;
        let table = [
            (1, 0, 0),
            (B, 0, 0),
            (B + 1, 0, 0),
            (B + 1, stored_bytes(10), 0),
            (3 * B - 1, stored_bytes(B + 5), 0),
            (5 * B, 0, B),
            (5 * B + 17, 0, 2 * B),
            (5 * B + 17, 0, B + 1),
            (1000, 0, 100),
        ];
        for (bytes, offset, chunk_bytes) in table {
            let reference = reference(bytes, offset, chunk_bytes).check().unwrap();
            let value: Vec<u8> = (0..bytes).map(|at| (at * 31 % 251) as u8).collect();
            let objects = stored(&reference, &value);
            let edges = [0, B - 1, B, B + 1, chunk_bytes, bytes - 1, bytes];
            for start in edges {
                for end in edges {
                    for most in [1, 2 * B, u64::MAX] {
                        let (mut at, mut found) = (start, Vec::new());
                        while let Some(piece) = reference.piece(at, end, most) {
                            let object = &objects[piece.object.chunk.unwrap_or(0) as usize];
                            if let Some(bytes) = piece.object_bytes {
                                assert_eq!(bytes, object.len() as u64);
                            }
                            let range = piece.at as usize..(piece.at + piece.stored) as usize;
                            let opened = piece.open(&object.slice(range)).unwrap();
                            assert!(opened.len() as u64 <= most.max(B));
                            assert_eq!(piece.next, at + opened.len() as u64);
                            assert!(piece.stored <= stored_bytes(opened.len() as u64 + 2 * B));
                            found.extend_from_slice(&opened);
                            at = piece.next;
                        }
                        let (from, to) = (start.min(bytes), end.min(bytes));
                        let expected = value.get(from as usize..to as usize).unwrap_or_default();
                        assert_eq!(
                            found, expected,
                            "{bytes} {offset} {chunk_bytes} {start}..{end}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_changed_byte_is_found_and_so_is_a_block_in_the_wrong_place() {
        let reference = reference(BLOCK_BYTES + 50, 0, 0);
        let body = stored(&reference, &vec![5; reference.bytes as usize]).remove(0);
        let piece = reference.piece(0, u64::MAX, u64::MAX).unwrap();
        for at in (0..body.len()).step_by(97).chain([body.len() - 1]) {
            let mut bad = body.to_vec();
            bad[at] ^= 1;
            let error = piece.open(&bad.into()).unwrap_err().to_string();
            let block = if at < FRAME_BYTES as usize { 0 } else { FRAME_BYTES };
            let expected = format!(
                "value/0000000000000007/00000003: at byte {block}: a block does not have the checksum it should"
            );
            assert_eq!(error, expected);
        }
        let others = [
            ValueRef { nonce: 8, ..reference.clone() },
            ValueRef { session: 8, ..reference.clone() },
            ValueRef { number: 8, ..reference.clone() },
        ];
        for other in others {
            let piece = other.piece(0, u64::MAX, u64::MAX).unwrap();
            piece.open(&body).unwrap_err();
        }
        piece.open(&body.slice(..body.len() - 1)).unwrap_err();
        piece.open(&body.slice(..FRAME_BYTES as usize)).unwrap_err();
    }

    #[test]
    fn an_object_has_room_for_what_it_takes() {
        for size in
            [0, 3, 4, 5, 100, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 5, 10 * FRAME_BYTES]
        {
            let fits = room(size);
            assert!(stored_bytes(fits) <= size.max(fits), "{size}");
            assert!(stored_bytes(fits + 1) > size, "{size}");
        }
    }

    #[test]
    fn what_no_value_can_be_is_refused() {
        let good = reference(100, 0, 10);
        good.clone().check().unwrap();
        for bad in [
            ValueRef { hash: Bytes::new(), ..good.clone() },
            ValueRef { offset: 1, ..good.clone() },
            ValueRef { bytes: 0, ..good.clone() },
            ValueRef { bytes: u64::MAX, ..good.clone() },
            ValueRef { bytes: 1 << 40, chunk_bytes: 1, ..good.clone() },
            ValueRef { offset: u64::MAX, chunk_bytes: 0, ..good },
        ] {
            assert_eq!(bad.check().unwrap_err().kind(), crate::ErrorKind::Corrupt);
        }
    }
}

//! The bytes of segments: frames of blocks, places of blocks, the tail.

use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest};
use prost::Message;

use crate::{Error, ErrorKind, Result};

/// How many bytes the end of a segment has that is found without knowing anything else.
pub(crate) const TRAILER_BYTES: usize = 16;
/// The version of the format that this program writes, and the only one it reads.
const FORMAT: u32 = 1;
const MAGIC: [u8; 4] = *b"cbsg";
/// How the bytes of a block are stored.
const PLAIN: u8 = 0;
const LZ4: u8 = 1;
/// The byte before a block and the checksum after it.
const FRAME_BYTES: usize = 5;
/// LZ4 makes no more of a byte than this, so a block that claims to is not unpacked.
const LZ4_RATIO_MAX: usize = 256;

/// The name of a segment: whose it is and which of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SegmentId {
    pub(crate) session: u64,
    pub(crate) number: u32,
}

/// The object it is in, which is also what it is called among the system keys.
impl std::fmt::Display for SegmentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "segment/{:016x}/{:08x}", self.session, self.number)
    }
}

impl SegmentId {
    /// The segment of this name, if it is one.
    pub(crate) fn parse(name: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(name).ok()?;
        let (session, number) = text.strip_prefix("segment/")?.split_once('/')?;
        let session = u64::from_str_radix(session, 16).ok()?;
        let id = Self { session, number: u32::from_str_radix(number, 16).ok()? };
        (id.to_string() == text).then_some(id)
    }
}

/// What is said of a segment where it is named: enough to pass it over, and to read its tail at once.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SegmentRef {
    /// How many bytes the object has.
    #[prost(uint64, tag = "1")]
    pub(crate) bytes: u64,
    /// How many of them are the tail, trailer included.
    #[prost(uint64, tag = "2")]
    pub(crate) tail_bytes: u64,
    /// In order, one for each space that has anything in it: no key outside of them is in it.
    #[prost(message, repeated, tag = "3")]
    pub(crate) spans: Vec<Span>,
    #[prost(uint64, tag = "4")]
    pub(crate) first_version: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) last_version: u64,
    /// How many changes of keys there are.
    #[prost(uint64, tag = "6")]
    pub(crate) changes: u64,
    /// How many emptied ranges.
    #[prost(uint64, tag = "7")]
    pub(crate) ranges: u64,
    /// 0 for a segment of what is current. Otherwise it is one of history: no read at this version or above needs it.
    #[prost(uint64, tag = "8")]
    pub(crate) superseded: u64,
    /// The number of the first segment that was made together with this one: no two of them
    /// have changes of one key.
    #[prost(uint32, tag = "9")]
    pub(crate) run: u32,
    /// Each key has one change, which puts a value, and no range was emptied: there is nothing to take out.
    #[prost(bool, tag = "10")]
    pub(crate) plain: bool,
    /// How many of the changes put a large value.
    #[prost(uint64, tag = "11")]
    pub(crate) references: u64,
    /// How many bytes before the end the first part of the index begins: with so many all parts are read, and the tail.
    /// 0 if parts stand elsewhere.
    #[prost(uint64, tag = "12")]
    pub(crate) index_bytes: u64,
}

/// Keys from the first to the last, both included.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Span {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) first: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) last: Bytes,
}

/// What is at the end of a segment.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Tail {
    #[prost(uint64, tag = "1")]
    pub(crate) session: u64,
    #[prost(uint32, tag = "2")]
    pub(crate) number: u32,
    #[prost(uint64, tag = "3")]
    pub(crate) changes: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) first_version: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) last_version: u64,
    #[prost(message, repeated, tag = "6")]
    pub(crate) spans: Vec<Span>,
    /// The blocks that hold the places of blocks.
    #[prost(message, repeated, tag = "7")]
    pub(crate) parts: Vec<Place>,
    /// In the order of their starts.
    #[prost(message, repeated, tag = "8")]
    pub(crate) emptied: Vec<Emptied>,
    #[prost(bytes = "bytes", tag = "9")]
    pub(crate) filter: Bytes,
}

/// A range of keys that a transaction emptied.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Emptied {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) start: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) end: Bytes,
    #[prost(uint64, tag = "3")]
    pub(crate) version: u64,
}

/// Part of the index: places of consecutive blocks.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Part {
    #[prost(message, repeated, tag = "1")]
    pub(crate) blocks: Vec<Place>,
}

/// Where a block is and what can be in it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Place {
    #[prost(uint64, tag = "1")]
    pub(crate) offset: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) bytes: u64,
    /// The key of the first change in it, or in the first block that it names.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) key: Bytes,
    /// The version of that change.
    #[prost(uint64, tag = "4")]
    pub(crate) version: u64,
    /// The lowest version in it.
    #[prost(uint64, tag = "5")]
    pub(crate) first_version: u64,
    /// The highest.
    #[prost(uint64, tag = "6")]
    pub(crate) last_version: u64,
    /// Whether the block before ends with a change to the same key.
    #[prost(bool, tag = "7")]
    pub(crate) continues: bool,
}

/// The block as it is stored at `offset` of segment `id`.
pub(crate) fn frame(id: SegmentId, offset: u64, content: &[u8]) -> Bytes {
    let packed = lz4_flex::block::compress_prepend_size(content);
    let (kind, stored) =
        if packed.len() < content.len() { (LZ4, &packed[..]) } else { (PLAIN, content) };
    let mut framed = BytesMut::with_capacity(FRAME_BYTES + stored.len());
    framed.put_u8(kind);
    framed.put_slice(stored);
    let crc = checksum(id, offset, &framed);
    framed.put_u32_le(crc);
    framed.freeze()
}

/// What is in the block that is stored at `offset` of segment `id`.
///
/// # Errors
///
/// [`ErrorKind::Corrupt`], naming the segment and the offset.
pub(crate) fn unframe(id: SegmentId, offset: u64, framed: &Bytes) -> Result<Bytes> {
    let wrong = |why: &str| corrupt(id, offset, why);
    if framed.len() < FRAME_BYTES {
        return Err(wrong("a block is too short"));
    }
    let (content, crc) = framed.split_at(framed.len() - 4);
    if checksum(id, offset, content).to_le_bytes() != crc {
        return Err(wrong("a block does not have the checksum it should"));
    }
    let stored = framed.slice(1..framed.len() - 4);
    match content[0] {
        PLAIN => Ok(stored),
        LZ4 => {
            let (bytes, packed) = lz4_flex::block::uncompressed_size(&stored)
                .map_err(|error| wrong(&format!("a block cannot be unpacked: {error}")))?;
            if bytes > packed.len().saturating_mul(LZ4_RATIO_MAX) {
                return Err(wrong("a block claims more bytes than can be packed into it"));
            }
            let content = lz4_flex::block::decompress(packed, bytes)
                .map_err(|error| wrong(&format!("a block cannot be unpacked: {error}")))?;
            Ok(content.into())
        }
        kind => Err(wrong(&format!("a block is packed in an unknown way, {kind}"))),
    }
}

impl Part {
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`].
    pub(crate) fn read(id: SegmentId, offset: u64, content: Bytes) -> Result<Self> {
        let part = Self::decode(content)
            .map_err(|error| corrupt(id, offset, &format!("not a part of an index: {error}")))?;
        if part.blocks.is_empty() {
            return Err(corrupt(id, offset, "a part of an index is empty"));
        }
        Ok(part)
    }
}

impl Tail {
    /// The tail as it is stored at `offset`, with the trailer.
    pub(crate) fn store(&self, offset: u64) -> Bytes {
        let id = SegmentId { session: self.session, number: self.number };
        let mut stored = BytesMut::with_capacity(self.encoded_len() + TRAILER_BYTES);
        stored.put_slice(&self.encode_to_vec());
        let bytes = u32::try_from(stored.len()).unwrap_or(u32::MAX);
        let crc = checksum(id, offset, &stored);
        stored.put_u32_le(bytes);
        stored.put_u32_le(crc);
        stored.put_u32_le(FORMAT);
        stored.put_slice(&MAGIC);
        stored.freeze()
    }

    /// The tail of segment `id` that is stored at `offset` and goes to the end of the object.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownFormat`], [`ErrorKind::Corrupt`].
    pub(crate) fn read(id: SegmentId, offset: u64, stored: &Bytes) -> Result<Self> {
        let wrong = |why: &str| corrupt(id, offset, why);
        let Some(content_bytes) = stored.len().checked_sub(TRAILER_BYTES) else {
            return Err(wrong("the tail is too short"));
        };
        let trailer = &stored[content_bytes..];
        if trailer[12..] != MAGIC {
            return Err(wrong("this is not the end of a segment"));
        }
        if trailer[8..12] != FORMAT.to_le_bytes() {
            return Err(Error::new(
                ErrorKind::UnknownFormat,
                format!("{id} is of a format that this program does not know; it knows {FORMAT}"),
            ));
        }
        if trailer[..4] != u32::try_from(content_bytes).unwrap_or(u32::MAX).to_le_bytes() {
            return Err(wrong("the tail does not have the length it says"));
        }
        let content = stored.slice(..content_bytes);
        if trailer[4..8] != checksum(id, offset, &content).to_le_bytes() {
            return Err(wrong("the tail does not have the checksum it should"));
        }
        let tail = Self::decode(content)
            .map_err(|error| wrong(&format!("the tail cannot be read: {error}")))?;
        if (tail.session, tail.number) != (id.session, id.number) {
            return Err(wrong("it is the tail of another segment"));
        }
        Ok(tail)
    }
}

/// What says where in a segment something is wrong.
pub(crate) fn corrupt(id: SegmentId, offset: u64, why: &str) -> Error {
    Error::corrupt(format!("{id}: at byte {offset}: {why}"))
}

/// CRC-32C of the place and then of the bytes, so that whole bytes in the wrong place are found too.
fn checksum(id: SegmentId, offset: u64, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&id.session.to_le_bytes());
    digest.update(&id.number.to_le_bytes());
    digest.update(&offset.to_le_bytes());
    digest.update(bytes);
    // The digest is as wide as the widest checksum there is.
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_block_of_any_length_that_is_too_short_is_refused() {
        let id = SegmentId { session: 1, number: 2 };
        for length in 0..FRAME_BYTES {
            let error = unframe(id, 40, &Bytes::from(vec![0; length])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{length} bytes");
            assert_eq!(
                error.to_string(),
                format!("{id}: at byte 40: a block is too short"),
                "{length} bytes"
            );
        }
    }
}

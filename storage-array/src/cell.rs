//! What a member keeps under one key: a piece of an object, where its pieces are, or that it is deleted.
//!
//! The format is described in `docs/formats/array.md`; all numbers are little-endian.

use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::CrcAlgorithm::Crc32IsoHdlc;
use storage_core::{Error, ErrorKind, Key, Result};

/// What every cell begins with.
pub(crate) const MAGIC: [u8; 8] = *b"CBpiece1";
/// Bytes of a payload under one checksum.
pub(crate) const BLOCK_BYTES: u64 = 64 << 10;
/// How much of a cell is read to learn what it is: the whole header of pieces up to some fifty megabytes.
pub(crate) const HEAD_BYTES: u64 = 4096;
/// The fields of a fixed length, before the key.
const FIXED_BYTES: usize = 80;
/// Where it says which put created what it has replaced.
const FIRST_AT: usize = 72;
/// The checksum that ends a header.
const CRC_BYTES: usize = 4;

/// Which put or delete a cell belongs to. The greater one is the later one.
///
/// Those with the count 0 were made without looking what was there; they count only where enough members
/// have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Generation {
    pub(crate) count: u64,
    pub(crate) nonce: u128,
}

impl Generation {
    /// As the version of an object shows it.
    pub(crate) fn mark(self) -> String {
        format!("{:x}={:032x}", self.count, self.nonce)
    }
}

/// What a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A piece of the object.
    Piece,
    /// The pieces are under a name of their own, that of the generation.
    Pointer,
    /// The object is deleted.
    Tombstone,
}

impl Kind {
    /// Zeros after the key, by which the length of a cell alone tells its kind.
    fn filler(self) -> usize {
        match self {
            Self::Tombstone => 0,
            Self::Pointer => 4,
            Self::Piece => 8,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Piece => 1,
            Self::Pointer => 2,
            Self::Tombstone => 3,
        }
    }
}

/// How objects are cut: any `data` of `total` pieces make an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) data: u8,
    pub(crate) total: u8,
}

impl Shape {
    /// The bytes of each piece of an object.
    pub(crate) fn piece_bytes(self, size: u64) -> u64 {
        size.div_ceil(u64::from(self.data))
    }

    /// How much longer than the object all its data pieces are together.
    fn slack(self, size: u64) -> u64 {
        self.piece_bytes(size) * u64::from(self.data) - size
    }

    /// The bytes of a cell that holds piece `index` of an object.
    pub(crate) fn cell_bytes(self, key: &Key, size: u64, index: u8) -> u64 {
        let piece = self.piece_bytes(size);
        header_bytes(key, Kind::Piece, piece) + piece + u64::from(index) * self.slack(size)
    }

    /// The size of the object of which two different pieces are in cells of these lengths; `None` if there
    /// is no such object. A mirror needs one only.
    ///
    /// Piece `i` is followed by `i` times as many zeros as the object is short of full pieces, which is what
    /// two lengths differ by: so a list of members tells the exact size without a read.
    pub(crate) fn size_of(
        self,
        key: &Key,
        (index, bytes): (u8, u64),
        other: Option<(u8, u64)>,
    ) -> Option<u64> {
        let slack = match other {
            None if self.data == 1 => 0,
            None => return None,
            Some(other) => {
                let apart = i128::from(index) - i128::from(other.0);
                let longer = i128::from(bytes) - i128::from(other.1);
                if apart == 0 || longer % apart != 0 {
                    return None;
                }
                u64::try_from(longer / apart).ok()?
            }
        };
        if slack >= u64::from(self.data) {
            return None;
        }
        let rest = bytes.checked_sub(u64::from(index) * slack)?;
        let rest = rest.checked_sub(header_bytes(key, Kind::Piece, 0))?;
        // Each block of the piece brings a checksum of four bytes.
        let blocks = rest.div_ceil(BLOCK_BYTES + 4);
        let size = (rest - 4 * blocks) * u64::from(self.data);
        let size = size.checked_sub(slack)?;
        (self.cell_bytes(key, size, index) == bytes).then_some(size)
    }
}

/// Which put without a look created the cell that a later one has replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// None did.
    None,
    /// The one with a nonce that ends so.
    Put(u64),
    /// What was there could not be read.
    Unknown,
}

impl First {
    /// The put of this generation.
    pub(crate) fn of(generation: Generation) -> Self {
        Self::from_code(generation.nonce as u64)
    }

    fn from_code(code: u64) -> Self {
        match code {
            0 => Self::None,
            u64::MAX => Self::Unknown,
            code => Self::Put(code),
        }
    }

    fn code(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Put(code) => code,
            Self::Unknown => u64::MAX,
        }
    }
}

/// What a cell says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
    pub(crate) index: u8,
    pub(crate) generation: Generation,
    /// Bytes of the object.
    pub(crate) size: u64,
    /// When it was written, in milliseconds since the Unix epoch: for people, and for tidying up.
    pub(crate) written: u64,
    /// What was created here, if this has replaced it.
    pub(crate) first: First,
    /// One checksum for each block of the payload.
    pub(crate) blocks: Vec<u32>,
}

impl Header {
    /// Bytes of the payload.
    pub(crate) fn piece_bytes(&self) -> u64 {
        match self.kind {
            Kind::Piece => self.shape.piece_bytes(self.size),
            Kind::Pointer | Kind::Tombstone => 0,
        }
    }

    /// Where the payload begins.
    pub(crate) fn bytes(&self, key: &Key) -> u64 {
        header_bytes(key, self.kind, self.piece_bytes())
    }

    /// Which put without a look was the first here: this one, or what it says was replaced.
    pub(crate) fn first_put(&self) -> First {
        match self.generation.count {
            0 => First::of(self.generation),
            _ => self.first,
        }
    }

    /// A cell: this header with the checksums of `payload`, the payload, and zeros.
    pub(crate) fn cell(&self, key: &Key, payload: &[u8]) -> Bytes {
        let length = header_bytes(key, self.kind, payload.len() as u64);
        let slack = match self.kind {
            Kind::Piece => u64::from(self.index) * self.shape.slack(self.size),
            Kind::Pointer | Kind::Tombstone => 0,
        };
        let mut cell = BytesMut::with_capacity(length as usize + payload.len() + slack as usize);
        cell.put_slice(&MAGIC);
        cell.put_u32_le(length as u32);
        cell.put_slice(&[self.kind.code(), self.shape.data, self.shape.total, self.index]);
        cell.put_u64_le(self.generation.count);
        cell.put_u128_le(self.generation.nonce);
        cell.put_u64_le(self.size);
        cell.put_u64_le(self.written);
        cell.put_u64_le(payload.len() as u64);
        cell.put_u32_le(BLOCK_BYTES as u32);
        cell.put_u16_le(key.as_str().len() as u16);
        cell.put_bytes(0, FIRST_AT - cell.len());
        cell.put_u64_le(self.first.code());
        cell.put_slice(key.as_str().as_bytes());
        cell.put_bytes(0, self.kind.filler());
        for block in payload.chunks(BLOCK_BYTES as usize) {
            cell.put_u32_le(crc(block));
        }
        let header = crc(&cell);
        cell.put_u32_le(header);
        cell.put_slice(payload);
        cell.put_bytes(0, slack as usize);
        cell.freeze()
    }

    /// Reads the header of a cell from its first bytes, [`HEAD_BYTES`] or all of them; or says how many are
    /// needed.
    pub(crate) fn read(key: &Key, head: &[u8]) -> Result<Head> {
        let bad = |what: &str| Err(damaged(what));
        if head.len() < FIXED_BYTES + CRC_BYTES || head[..8] != MAGIC {
            return bad("it does not begin as a piece does");
        }
        let length = u32_at(head, 8) as usize;
        if length < FIXED_BYTES + CRC_BYTES || length as u64 > 1 << 26 {
            return bad("its header has an impossible length");
        }
        if head.len() < length {
            return Ok(Head::Longer(length as u64));
        }
        if crc(&head[..length - CRC_BYTES]) != u32_at(head, length - CRC_BYTES) {
            return bad("the checksum of its header is wrong");
        }
        let kind = match head[12] {
            1 => Kind::Piece,
            2 => Kind::Pointer,
            3 => Kind::Tombstone,
            _ => return bad("it is of no known kind"),
        };
        let (data, total, index) = (head[13], head[14], head[15]);
        let piece = u64_at(head, 56);
        let header = Self {
            kind,
            shape: Shape { data, total },
            index,
            generation: Generation {
                count: u64_at(head, 16),
                nonce: u128::from_le_bytes(array_at(head, 24)),
            },
            size: u64_at(head, 40),
            written: u64_at(head, 48),
            first: First::from_code(u64_at(head, FIRST_AT)),
            blocks: Vec::new(),
        };
        let named = usize::from(u16::from_le_bytes(array_at(head, 68)));
        let sound = data >= 1
            && index < total
            && data <= total
            && u64::from(u32_at(head, 64)) == BLOCK_BYTES
            && piece == header.piece_bytes()
            && named == key.as_str().len()
            && header.bytes(key) == length as u64;
        if !sound {
            return bad("its header contradicts itself or belongs to another key");
        }
        if &head[FIXED_BYTES..FIXED_BYTES + named] != key.as_str().as_bytes() {
            return bad("it belongs to another key");
        }
        let table = &head[FIXED_BYTES + named + kind.filler()..length - CRC_BYTES];
        let blocks = table.chunks_exact(4).map(|block| u32_at(block, 0)).collect();
        Ok(Head::Whole(Self { blocks, ..header }))
    }

    /// The payload of a whole cell, if every block of it is what was put.
    pub(crate) fn payload(&self, key: &Key, cell: &Bytes) -> Result<Bytes> {
        let (from, piece) = (self.bytes(key), self.piece_bytes());
        let slack = match self.kind {
            Kind::Piece => u64::from(self.index) * self.shape.slack(self.size),
            Kind::Pointer | Kind::Tombstone => 0,
        };
        if cell.len() as u64 != from + piece + slack {
            return Err(damaged("it has another length than its header says"));
        }
        let payload = cell.slice(from as usize..(from + piece) as usize);
        self.check_blocks(0, &payload)?;
        if cell[(from + piece) as usize..].iter().any(|byte| *byte != 0) {
            return Err(damaged("there is something after its end"));
        }
        Ok(payload)
    }

    /// Checks whole blocks of the payload, from the block `first` on.
    pub(crate) fn check_blocks(&self, first: usize, bytes: &[u8]) -> Result<()> {
        for (at, block) in bytes.chunks(BLOCK_BYTES as usize).enumerate() {
            if self.blocks.get(first + at) != Some(&crc(block)) {
                return Err(damaged("the checksum of a block is wrong"));
            }
        }
        Ok(())
    }
}

/// The same cell, but it says that this put created what it replaces.
pub(crate) fn with_first(cell: &Bytes, first: First) -> Bytes {
    let code = first.code().to_le_bytes();
    if cell[FIRST_AT..FIXED_BYTES] == code {
        return cell.clone();
    }
    let mut cell = BytesMut::from(&cell[..]);
    let end = u32_at(&cell, 8) as usize - CRC_BYTES;
    cell[FIRST_AT..FIXED_BYTES].copy_from_slice(&code);
    let header = crc(&cell[..end]);
    cell[end..end + CRC_BYTES].copy_from_slice(&header.to_le_bytes());
    cell.freeze()
}

/// What the first bytes of a cell give.
#[derive(Debug)]
pub(crate) enum Head {
    /// The header.
    Whole(Header),
    /// The header has so many bytes.
    Longer(u64),
}

/// The bytes before the payload.
pub(crate) fn header_bytes(key: &Key, kind: Kind, piece: u64) -> u64 {
    let table = 4 * piece.div_ceil(BLOCK_BYTES);
    (FIXED_BYTES + key.as_str().len() + kind.filler() + CRC_BYTES) as u64 + table
}

/// What a cell of this length is, as a list shows it; `None` when it is no cell at all.
pub(crate) fn kind_by_length(key: &Key, bytes: u64) -> Option<Kind> {
    [Kind::Tombstone, Kind::Pointer]
        .into_iter()
        .find(|kind| bytes == header_bytes(key, *kind, 0))
        .or((bytes >= header_bytes(key, Kind::Piece, 0)).then_some(Kind::Piece))
}

pub(crate) fn damaged(what: &str) -> Error {
    Error::not_applied(ErrorKind::Corrupt, format!("a piece is damaged: {what}"))
}

/// CRC-32 as zlib has it.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    crc_fast::checksum(Crc32IsoHdlc, bytes) as u32
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the length was checked")
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(data: u8, total: u8, index: u8, size: u64) -> Header {
        Header {
            kind: Kind::Piece,
            shape: Shape { data, total },
            index,
            generation: Generation { count: 3, nonce: 1 << 100 },
            size,
            written: 17,
            first: First::Put(5),
            blocks: Vec::new(),
        }
    }

    #[test]
    fn a_cell_comes_back_as_it_was_and_no_flipped_bit_goes_unseen() {
        let key = Key::new("some/key").unwrap();
        let (written, payload) = (header(2, 3, 1, 9), b"12345");
        let cell = written.cell(&key, payload);
        let read = |cell: &[u8]| match Header::read(&key, cell)? {
            Head::Whole(header) => {
                let payload = header.payload(&key, &Bytes::copy_from_slice(cell))?;
                Ok((header, payload))
            }
            Head::Longer(_) => Err(damaged("too short")),
        };
        let (header, body) = read(&cell).unwrap();
        assert_eq!((header.generation, header.size, header.index), (written.generation, 9, 1));
        assert_eq!(&body[..], payload);
        let (other, body) = read(&with_first(&cell, First::Unknown)).unwrap();
        assert_eq!((header.first, other.first), (First::Put(5), First::Unknown));
        assert_eq!((other.generation, &body[..]), (header.generation, &payload[..]));
        for bit in 0..cell.len() * 8 {
            let mut flipped = cell.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped).is_err(), "bit {bit}");
        }
        for end in 0..cell.len() {
            assert!(read(&cell[..end]).is_err(), "cut at {end}");
        }
        assert!(Header::read(&Key::new("some/kez").unwrap(), &cell).is_err());
    }

    #[test]
    fn the_lengths_of_any_two_pieces_tell_the_size_of_the_object() {
        let key = Key::new("k").unwrap();
        for (data, total) in [(1, 1), (1, 3), (2, 3), (4, 6), (3, 7), (10, 14)] {
            let shape = Shape { data, total };
            let around = |at: u64| at.saturating_sub(12)..at + 12;
            let block = BLOCK_BYTES * u64::from(data);
            for size in (0..60).chain(around(block)).chain(around(5 * block + 7)) {
                let of = |index| (index, shape.cell_bytes(&key, size, index));
                for one in 0..total {
                    for other in (0..total).filter(|other| *other != one) {
                        let found = shape.size_of(&key, of(one), Some(of(other)));
                        assert_eq!(found, Some(size), "{data} of {total}: {one} and {other}");
                    }
                }
                if data == 1 {
                    assert_eq!(shape.size_of(&key, of(0), None), Some(size));
                }
                let cell = header(data, total, total - 1, size);
                let payload = vec![7; shape.piece_bytes(size) as usize];
                assert_eq!(cell.cell(&key, &payload).len() as u64, of(total - 1).1);
                assert_eq!(kind_by_length(&key, of(0).1), Some(Kind::Piece));
            }
        }
    }
}

//! An object's file: a header of 48 bytes, then the body.
//!
//! Described for other readers in `docs/formats/fs.md`.

use std::io::{self, IoSlice, Write};
use std::os::fd::OwnedFd;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fs::FileType;
use rustix::io::Errno;
use storage_core::{Error, ErrorKind, Get, Key, Object, Result, Version};

use crate::error::{corrupt, not_applied};
use crate::pool::Pool;

/// How many bytes stand before the body.
pub(crate) const HEADER_BYTES: usize = 48;

const MAGIC: [u8; 8] = *b"cbobject";
const FORMAT: u32 = 1;
/// A file is written in pieces of so many bytes, two at a time. Linux takes what comes in one write into pages of its cache that are as
/// large as that fills, and those of 2 MiB are the ones that a virtual machine gives back to its host, and waits for when it wants them again:
/// there a MiB that is written in one call of 2 MiB takes ten times the processor's time. Elsewhere it makes no difference.
const PIECE_BYTES: usize = 256 << 10;
/// Of a file larger than this the header is looked at before there is room made for all of it.
const UNSEEN_BYTES_MAX: u64 = 1 << 20;

/// What the header says. All numbers are stored little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Drawn at random for each put: the version.
    pub(crate) nonce: [u8; 16],
    /// Size of the body in bytes.
    pub(crate) body_bytes: u64,
    /// CRC-32C of the body.
    pub(crate) body_crc: u32,
    /// CRC-32C of the key, so that a file in the wrong place is noticed.
    pub(crate) key_crc: u32,
}

impl Header {
    /// The header of a new object.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the operating system has no random bytes to give.
    pub(crate) fn new(key: &Key, body: &[u8]) -> Result<Self> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|error| {
            Error::not_applied(ErrorKind::Unavailable, format!("cannot draw a version: {error}"))
        })?;
        Ok(Self {
            nonce,
            body_bytes: body.len() as u64,
            body_crc: crc_fast::crc32_iscsi(body),
            key_crc: crc_fast::crc32_iscsi(key.as_str().as_bytes()),
        })
    }

    pub(crate) fn version(&self) -> Version {
        Version::new(format!("{:032x}", u128::from_be_bytes(self.nonce)))
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.body_crc.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.nonce);
        bytes[32..40].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.key_crc.to_le_bytes());
        let crc = crc_fast::crc32_iscsi(&bytes[..44]);
        bytes[44..48].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header and holds it against the key and the length of the file.
    pub(crate) fn decode(bytes: &[u8], key: &Key, file_bytes: u64) -> Result<Self> {
        let Some((bytes, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(corrupt(format!("a file of {file_bytes} bytes is shorter than a header")));
        };
        if bytes[0..8] != MAGIC {
            return Err(corrupt("the file does not begin as an object does"));
        }
        if number(bytes, 44) != crc_fast::crc32_iscsi(&bytes[..44]) {
            return Err(corrupt("the checksum of the header is wrong"));
        }
        let format = number(bytes, 8);
        if format != FORMAT {
            return Err(corrupt(format!("the object has format {format}, not {FORMAT}")));
        }
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&bytes[16..32]);
        let header = Self {
            nonce,
            body_bytes: u64::from(number(bytes, 32)) | u64::from(number(bytes, 36)) << 32,
            body_crc: number(bytes, 12),
            key_crc: number(bytes, 40),
        };
        if header.key_crc != crc_fast::crc32_iscsi(key.as_str().as_bytes()) {
            return Err(corrupt("the file belongs to another key"));
        }
        if Some(file_bytes) != header.body_bytes.checked_add(HEADER_BYTES as u64) {
            let body_bytes = header.body_bytes;
            return Err(corrupt(format!(
                "a file of {file_bytes} bytes cannot hold a body of {body_bytes}"
            )));
        }
        Ok(header)
    }
}

fn number(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Writes header and body, but the first `written` bytes of them: few in one call, many in several.
pub(crate) fn write(
    file: &mut impl Write,
    header: &Header,
    body: &[u8],
    written: usize,
) -> io::Result<()> {
    let header = header.encode();
    let pieces = std::iter::once(&header[..]).chain(body.chunks(PIECE_BYTES));
    let mut slices: Vec<_> = pieces.map(IoSlice::new).collect();
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, written);
    while !rest.is_empty() {
        // So the header goes with the piece after it.
        match file.write_vectored(&rest[..rest.len().min(2)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Answers a get from an open file, which never changes once it has its name.
pub(crate) fn read(pool: &Pool, file: &OwnedFd, key: &Key, request: &Get) -> Result<Object> {
    let stat = rustix::fs::fstat(file).map_err(|errno| not_applied(errno, "stat it"))?;
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err(corrupt("something that is not a file has its name"));
    }
    let file_bytes = u64::try_from(stat.st_size).unwrap_or_default();
    let conditional = request.if_match.is_some() || request.if_changed.is_some();
    if request.range.is_none() && !request.meta_only && !conditional {
        return read_whole(pool, file, key, file_bytes);
    }
    let header = read_at(file, 0, file_bytes.min(HEADER_BYTES as u64))?;
    let header = Header::decode(&header, key, file_bytes)?;
    let version = header.version();
    request.check(&version)?;
    let size = header.body_bytes;
    if request.meta_only {
        return Ok(Object { body: Bytes::new(), size, version });
    }
    let Some(range) = request.range else {
        return read_whole(pool, file, key, file_bytes);
    };
    let range = range.within(size)?;
    let body = read_at(file, HEADER_BYTES as u64 + range.start, range.end - range.start)?;
    Ok(Object { body: body.into(), size, version })
}

/// The version in the header of an open file.
pub(crate) fn read_version(file: &OwnedFd, key: &Key) -> Result<Version> {
    read(&Pool::default(), file, key, &Get::meta_only()).map(|object| object.version)
}

fn read_whole(pool: &Pool, file: &OwnedFd, key: &Key, file_bytes: u64) -> Result<Object> {
    if file_bytes > UNSEEN_BYTES_MAX {
        Header::decode(&read_at(file, 0, HEADER_BYTES as u64)?, key, file_bytes)?;
    }
    let room = usize::try_from(file_bytes).ok().and_then(|bytes| pool.take(bytes));
    let bytes = pool.share(fill(room, file, 0, file_bytes)?);
    let header = Header::decode(&bytes, key, file_bytes)?;
    let body = bytes.slice(HEADER_BYTES..);
    if crc_fast::crc32_iscsi(&body) != header.body_crc {
        return Err(corrupt("the checksum of the body is wrong"));
    }
    Ok(Object { body, size: header.body_bytes, version: header.version() })
}

/// Exactly these bytes of a file.
fn read_at(file: &OwnedFd, start: u64, length: u64) -> Result<Vec<u8>> {
    let room = usize::try_from(length).ok().and_then(|length| {
        let mut room = Vec::new();
        room.try_reserve_exact(length).ok()?;
        Some(room)
    });
    fill(room, file, start, length)
}

/// Reads exactly these bytes of a file into an empty buffer that has room for them.
fn fill(room: Option<Vec<u8>>, file: &OwnedFd, start: u64, length: u64) -> Result<Vec<u8>> {
    let Some(mut bytes) = room else {
        return Err(not_applied(Errno::NOMEM, format_args!("hold {length} bytes")));
    };
    // It has room for them in memory.
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    while bytes.len() < length {
        let at = start + bytes.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => return Err(corrupt(format!("the file ends at byte {at}"))),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(not_applied(errno, "read it")),
        }
    }
    // There may be more room than asked for, and more in the file.
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes of a call at most, and remembers how many each had.
    struct Calls {
        found: Vec<u8>,
        offered: Vec<usize>,
        taken_max: usize,
    }

    impl Write for Calls {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
            self.offered.push(slices.iter().map(|slice| slice.len()).sum());
            let before = self.found.len();
            self.found.extend(bytes.take(self.taken_max));
            Ok(self.found.len() - before)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A large body went to the system in one call, which took ten times as long where pages of 2 MiB are given back to a host.
    #[test]
    fn a_large_body_is_written_in_pieces_and_a_small_one_with_its_header_at_once() {
        let key = Key::new("a").unwrap();
        for bytes in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 9 * PIECE_BYTES + 7] {
            let body: Vec<u8> = (0..bytes).map(|at| (at * 31 % 251) as u8).collect();
            let header = Header::new(&key, &body).unwrap();
            let whole = [&header.encode()[..], &body].concat();
            for written in [0, 5, HEADER_BYTES, whole.len() / 2, whole.len()] {
                for taken_max in [PIECE_BYTES / 3, usize::MAX] {
                    let found = whole[..written].to_vec();
                    let mut calls = Calls { found, offered: Vec::new(), taken_max };
                    write(&mut calls, &header, &body, written).unwrap();
                    assert!(calls.found == whole, "{bytes} {written} {taken_max}");
                    assert!(calls.offered.iter().all(|offered| *offered <= 2 * PIECE_BYTES));
                    if bytes <= PIECE_BYTES && taken_max == usize::MAX {
                        assert!(calls.offered.len() <= 1, "{bytes} {written}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_file_that_takes_nothing_is_a_failure() {
        let header = Header::new(&Key::new("a").unwrap(), b"body").unwrap();
        let mut calls = Calls { found: Vec::new(), offered: Vec::new(), taken_max: 0 };
        let error = write(&mut calls, &header, b"body", 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
}

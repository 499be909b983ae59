//! A container of either kind: what it says of its share.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::lease::Schema;
use super::{immutable, mutable};
use crate::Lease;
use crate::error::{Error, Result};

/// What a container says, but for the bytes of the share.
#[derive(Clone, PartialEq, Eq)]
pub struct Container {
    /// How its leases are written.
    pub schema: Schema,
    /// Which kind of share it has.
    pub content: Content,
    /// Where in the file the share begins.
    pub offset: u64,
    /// How many bytes the share has.
    pub size: u64,
    /// The leases, with hashed secrets, whichever the schema.
    pub leases: Vec<Lease>,
}

/// What only one kind of container has.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// Written once.
    Immutable,
    /// Changed in place.
    Mutable {
        /// The server that it was written by.
        node: [u8; 20],
        /// What lets write to it.
        write_enabler: [u8; 32],
    },
}

impl std::fmt::Debug for Container {
    /// Without secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Container")
            .field("schema", &self.schema)
            .field("content", &self.content)
            .field("size", &self.size)
            .field("leases", &self.leases.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Content {
    /// Without secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Immutable => "Immutable",
            Self::Mutable { .. } => "Mutable",
        })
    }
}

impl Container {
    /// Reads what a file says, without the bytes of its share.
    ///
    /// # Errors
    ///
    /// [`Error::File`], which names the file: when it cannot be read, and when it is no container, or not a whole one.
    pub fn open(path: &Path) -> Result<Self> {
        let read = || {
            let mut file = File::open(path)?;
            let length = file.metadata()?.len();
            Self::read(&mut file, length)
        };
        read().map_err(Error::file(path))
    }

    /// Reads what `length` bytes say.
    ///
    /// # Errors
    ///
    /// What the reader says; [`io::ErrorKind::InvalidData`] when these are no container, or not a whole one.
    pub fn read(from: &mut (impl Read + Seek), length: u64) -> io::Result<Self> {
        let mut begin = [0; mutable::MAGIC_BYTES];
        let begun = (length as usize).min(begin.len());
        from.seek(SeekFrom::Start(0))?;
        from.read_exact(&mut begin[..begun])?;
        match mutable::schema(&begin) {
            Some(schema) => mutable::read(from, schema, length),
            None => immutable::read(from, length),
        }
    }

    /// Writes a container in the newer schema: the head, `size` bytes of `share`, the leases. The offset is of no account.
    ///
    /// # Errors
    ///
    /// What reader and writer say; [`io::ErrorKind::UnexpectedEof`] when the share is shorter than was said.
    pub fn write(&self, share: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
        let mut copy = |to: &mut dyn Write| match io::copy(&mut share.take(self.size), to)? {
            copied if copied == self.size => Ok(()),
            copied => {
                let why = format!("the share ends after {copied} of {} bytes", self.size);
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, why))
            }
        };
        match &self.content {
            Content::Immutable => immutable::write(self, &mut copy, to),
            Content::Mutable { node, write_enabler } => {
                mutable::write(self, (node, write_enabler), &mut copy, to)
            }
        }
    }
}

/// That something is no container.
pub(super) fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// So many bytes from here on.
pub(super) fn bytes<const COUNT: usize>(from: &mut impl Read) -> io::Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn number_u32(from: &mut impl Read) -> io::Result<u32> {
    bytes(from).map(u32::from_be_bytes)
}

pub(super) fn number_u64(from: &mut impl Read) -> io::Result<u64> {
    bytes(from).map(u64::from_be_bytes)
}

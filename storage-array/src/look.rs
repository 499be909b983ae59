//! What one member has under one key.

use bytes::Bytes;
use storage_core::{Error, ErrorKind, Get, Key, Object, Result, Version};

use crate::cell::{Generation, HEAD_BYTES, Head, Header, Kind, damaged};
use crate::core::Core;
use crate::core::Happening;

/// What a member answered.
#[derive(Debug)]
pub(crate) enum Seen {
    /// Nothing is there.
    Absent,
    /// A sound cell.
    Cell(Cell),
    /// Something is there that is not what was put; its version, if that is known.
    Damaged(Option<Version>),
    /// No answer that says anything about the cell.
    Failed(Error),
}

/// A sound cell, as far as it was read.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) header: Header,
    pub(crate) version: Version,
    /// The payload, if it was read and is what was put.
    pub(crate) payload: Option<Bytes>,
}

impl Seen {
    pub(crate) fn generation(&self) -> Option<Generation> {
        match self {
            Self::Cell(cell) => Some(cell.header.generation),
            _ => None,
        }
    }
}

impl Core {
    /// Reads the cell of `key` that a member keeps under `inside`: all of it, or enough to know what it is.
    pub(crate) async fn look(&self, member: usize, key: &Key, inside: &Key, whole: bool) -> Seen {
        let seen = match self.read_cell(member, key, inside, whole).await {
            Ok(seen) => seen,
            Err(error) => match error.kind() {
                ErrorKind::NotFound => Seen::Absent,
                // Even the shortest cell has bytes.
                ErrorKind::InvalidRange | ErrorKind::Corrupt => Seen::Damaged(None),
                // It changed between two requests: somebody else is at work, and will be found there.
                ErrorKind::Conflict => Seen::Failed(Error::not_applied(
                    ErrorKind::Unavailable,
                    "the piece changed while it was read",
                )),
                _ => Seen::Failed(error),
            },
        };
        if let Seen::Damaged(_) = seen {
            self.happened(member, key, Happening::Damaged);
        }
        seen
    }

    async fn read_cell(&self, member: usize, key: &Key, inside: &Key, whole: bool) -> Result<Seen> {
        let worker = &self.workers[member];
        let request = if whole { Get::whole() } else { Get::range(0..HEAD_BYTES) };
        let mut object = worker.get(inside, request).await?;
        let header = loop {
            match Header::read(key, &object.body) {
                Ok(Head::Whole(header)) => break header,
                Ok(Head::Longer(bytes)) if bytes <= object.size && !whole => {
                    let request = Get::range(0..bytes).if_match(object.version.clone());
                    let longer = worker.get(inside, request).await?;
                    if longer.body.len() as u64 != bytes {
                        return Ok(Seen::Damaged(Some(object.version)));
                    }
                    object = longer;
                }
                Ok(Head::Longer(_)) | Err(_) => return Ok(Seen::Damaged(Some(object.version))),
            }
        };
        match self.checked(member, key, header, &object) {
            Ok((header, payload)) => {
                Ok(Seen::Cell(Cell { header, version: object.version, payload }))
            }
            Err(error) if error.kind() == ErrorKind::Misconfigured => Err(error),
            Err(_) => Ok(Seen::Damaged(Some(object.version))),
        }
    }

    fn checked(
        &self,
        member: usize,
        key: &Key,
        header: Header,
        object: &Object,
    ) -> Result<(Header, Option<Bytes>)> {
        if header.kind != Kind::Piece {
            let alone = object.size == header.bytes(key);
            return if alone { Ok((header, None)) } else { Err(damaged("something follows it")) };
        }
        let shape = self.shape();
        let index = self.index_of(key, member);
        // Every piece of a mirror is the object, however many members it had when that was put.
        let header = match (shape.data, header.shape.data) {
            (1, 1) => Header { shape, index, ..header },
            _ => header,
        };
        if header.shape != shape {
            let crate::cell::Shape { data, total } = header.shape;
            return Err(crate::core::wrong(format!(
                "the object is in {data} of {total} pieces, but `members` and `data` of this array make \
                 {} of {}",
                shape.data, shape.total
            )));
        }
        if header.index != index {
            return Err(damaged("it belongs on another member"));
        }
        if object.size != shape.cell_bytes(key, header.size, header.index) {
            return Err(damaged("it has another length than its header says"));
        }
        let read_whole = object.body.len() as u64 == object.size;
        let payload = if read_whole { Some(header.payload(key, &object.body)?) } else { None };
        Ok((header, payload))
    }
}

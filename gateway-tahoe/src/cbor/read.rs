//! Requests: each read by the schema of the protocol, and refused where it differs.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use ciborium_ll::{Decoder, Header};

use super::SET;
use crate::error::{Error, Refusal, Result};
use crate::shares::SHARES_MAX;
use crate::{ReadTestWrite, ReadVector, ShareChange, Test, Write};

/// The most test vectors of a share, and read vectors of a request.
const VECTORS_MAX: usize = 30;
/// The most write vectors of a request. The protocol has no bound.
const WRITES_MAX: usize = 262_144;
/// The most bytes of the reason of a report.
const REASON_BYTES_MAX: usize = 32_765;
/// The most bytes of a request that are in segments of strings without an end: as they are joined, they are in memory twice.
/// No client writes them.
const SEGMENTS_BYTES_MAX: usize = 1 << 20;
/// No key is longer.
const KEY_BYTES_MAX: usize = 32;

/// What an allocation asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AllocateRequest {
    pub(crate) numbers: BTreeSet<u64>,
    pub(crate) size: u64,
}

/// Reads the request to allocate shares.
pub(crate) fn read_allocate(body: Bytes) -> Result<AllocateRequest> {
    let mut input = Input::new(body);
    let (mut numbers, mut size) = (None, None);
    input.map(2, |input, key| match key {
        "share-numbers" => fill(&mut numbers, input.set()?),
        "allocated-size" => fill(&mut size, input.uint()?),
        _ => wrong("a key that does not belong there"),
    })?;
    match (numbers, size) {
        (Some(numbers), Some(size)) => Ok(AllocateRequest { numbers, size }),
        _ => wrong("a key is missing"),
    }
}

/// Reads the reason of a report of corruption.
pub(crate) fn read_corrupt(body: Bytes) -> Result<String> {
    let mut input = Input::new(body);
    let mut reason = None;
    input.map(1, |input, key| match key {
        "reason" => fill(&mut reason, input.text(REASON_BYTES_MAX)?),
        _ => wrong("a key that does not belong there"),
    })?;
    match reason {
        Some(reason) if !reason.is_empty() => Ok(reason),
        Some(_) => wrong("the reason is empty"),
        None => wrong("a key is missing"),
    }
}

/// Reads a read-test-write. Its bytes are parts of the body, and not copied.
pub(crate) fn read_test_write(body: Bytes) -> Result<ReadTestWrite> {
    let mut input = Input::new(body);
    let mut request = ReadTestWrite::default();
    let (mut has_changes, mut has_reads, mut writes) = (false, false, 0);
    input.map(2, |input, key| match key {
        "test-write-vectors" if !has_changes => {
            has_changes = true;
            let len = input.begin_map()?;
            input.items(len, SHARES_MAX, |input| {
                let number = input.uint()?;
                let change = share_change(input, &mut writes)?;
                match request.changes.insert(number, change) {
                    None => Ok(()),
                    Some(_) => wrong("a share is named twice"),
                }
            })
        }
        "read-vector" if !has_reads => {
            has_reads = true;
            let len = input.begin_array()?;
            input.items(len, VECTORS_MAX, |input| {
                let (mut offset, mut size) = (None, None);
                input.map(2, |input, key| match key {
                    "offset" => fill(&mut offset, input.uint()?),
                    "size" => fill(&mut size, input.uint()?),
                    _ => wrong("a key that does not belong there"),
                })?;
                let (Some(offset), Some(size)) = (offset, size) else {
                    return wrong("a key is missing");
                };
                request.reads.push(ReadVector { offset, size });
                Ok(())
            })
        }
        _ => wrong("a key that does not belong there"),
    })?;
    match has_changes && has_reads {
        true => Ok(request),
        false => wrong("a key is missing"),
    }
}

fn share_change(input: &mut Input, writes: &mut usize) -> Result<ShareChange> {
    let mut change = ShareChange::default();
    let (mut has_tests, mut has_writes, mut has_length) = (false, false, false);
    input.map(3, |input, key| match key {
        "test" if !has_tests => {
            has_tests = true;
            let len = input.begin_array()?;
            input.items(len, VECTORS_MAX, |input| {
                let (mut offset, mut size, mut specimen) = (None, None, None);
                input.map(3, |input, key| match key {
                    "offset" => fill(&mut offset, input.uint()?),
                    "size" => fill(&mut size, input.uint()?),
                    "specimen" => fill(&mut specimen, input.bytes()?),
                    _ => wrong("a key that does not belong there"),
                })?;
                let (Some(offset), Some(size), Some(specimen)) = (offset, size, specimen) else {
                    return wrong("a key is missing");
                };
                change.tests.push(Test { offset, size, specimen });
                Ok(())
            })
        }
        "write" if !has_writes => {
            has_writes = true;
            let len = input.begin_array()?;
            input.items(len, WRITES_MAX, |input| {
                *writes += 1;
                if *writes > WRITES_MAX {
                    return wrong("there are too many write vectors");
                }
                let (mut offset, mut data) = (None, None);
                input.map(2, |input, key| match key {
                    "offset" => fill(&mut offset, input.uint()?),
                    "data" => fill(&mut data, input.bytes()?),
                    _ => wrong("a key that does not belong there"),
                })?;
                let (Some(offset), Some(data)) = (offset, data) else {
                    return wrong("a key is missing");
                };
                change.writes.push(Write { offset, data });
                Ok(())
            })
        }
        "new-length" if !has_length => {
            has_length = true;
            change.new_length = input.uint_or_null()?;
            Ok(())
        }
        _ => wrong("a key that does not belong there"),
    })?;
    match has_tests && has_writes && has_length {
        true => Ok(change),
        false => wrong("a key is missing"),
    }
}

/// A body that is read from its beginning. What comes after the item is not looked at.
struct Input {
    decoder: Decoder<Source>,
    body: Bytes,
    at: Rc<Cell<usize>>,
    /// How many bytes of segments were joined.
    joined: usize,
}

/// The bytes of a body, and how many were taken.
struct Source {
    body: Bytes,
    at: Rc<Cell<usize>>,
}

/// The body ends within an item.
#[derive(Debug)]
struct Ended;

impl ciborium_io::Read for Source {
    type Error = Ended;

    fn read_exact(&mut self, data: &mut [u8]) -> Result<(), Ended> {
        let at = self.at.get();
        let end = at.checked_add(data.len()).ok_or(Ended)?;
        data.copy_from_slice(self.body.get(at..end).ok_or(Ended)?);
        self.at.set(end);
        Ok(())
    }
}

impl Input {
    fn new(body: Bytes) -> Self {
        let at = Rc::new(Cell::new(0));
        let source = Source { body: body.clone(), at: at.clone() };
        Self { decoder: Decoder::from(source), body, at, joined: 0 }
    }

    fn pull(&mut self) -> Result<Header> {
        self.decoder.pull().or_else(|_| wrong("it is no CBOR, or ends too early"))
    }

    fn uint(&mut self) -> Result<u64> {
        match self.pull()? {
            Header::Positive(number) => Ok(number),
            _ => wrong("there is no number where one must be"),
        }
    }

    fn uint_or_null(&mut self) -> Result<Option<u64>> {
        match self.pull()? {
            Header::Positive(number) => Ok(Some(number)),
            Header::Simple(ciborium_ll::simple::NULL) => Ok(None),
            _ => wrong("there is no number where one must be"),
        }
    }

    /// A string of bytes.
    fn bytes(&mut self) -> Result<Bytes> {
        match self.pull()? {
            Header::Bytes(Some(len)) => self.take(len),
            Header::Bytes(None) => self.segments(usize::MAX, |header| match header {
                Header::Bytes(Some(len)) => Some(len),
                _ => None,
            }),
            _ => wrong("there are no bytes where some must be"),
        }
    }

    /// A string of text.
    fn text(&mut self, bytes_max: usize) -> Result<String> {
        let bytes = match self.pull()? {
            Header::Text(Some(len)) if len <= bytes_max => self.take(len)?,
            Header::Text(None) => self.segments(bytes_max, |header| match header {
                Header::Text(Some(len)) => Some(len),
                _ => None,
            })?,
            Header::Text(_) => return wrong("a text is too long"),
            _ => return wrong("there is no text where one must be"),
        };
        String::from_utf8(bytes.into()).or_else(|_| wrong("a text is no UTF-8"))
    }

    /// So many bytes of the body.
    fn take(&mut self, len: usize) -> Result<Bytes> {
        let at = self.at.get();
        match at.checked_add(len).filter(|end| *end <= self.body.len()) {
            Some(end) => {
                self.at.set(end);
                Ok(self.body.slice(at..end))
            }
            None => wrong("it ends too early"),
        }
    }

    /// The segments of a string of indefinite length, joined.
    fn segments(
        &mut self,
        bytes_max: usize,
        len_of: impl Fn(Header) -> Option<usize>,
    ) -> Result<Bytes> {
        let mut joined = BytesMut::new();
        loop {
            let header = self.pull()?;
            if header == Header::Break {
                return Ok(joined.freeze());
            }
            let Some(len) = len_of(header) else { return wrong("a string has other parts") };
            let segment = self.take(len)?;
            if joined.len() + segment.len() > bytes_max {
                return wrong("a text is too long");
            }
            self.joined += segment.len();
            if self.joined > SEGMENTS_BYTES_MAX {
                return wrong("too much of it is in segments");
            }
            joined.extend_from_slice(&segment);
        }
    }

    fn begin_map(&mut self) -> Result<Option<usize>> {
        match self.pull()? {
            Header::Map(len) => Ok(len),
            _ => wrong("there is no map where one must be"),
        }
    }

    fn begin_array(&mut self) -> Result<Option<usize>> {
        match self.pull()? {
            Header::Array(len) => Ok(len),
            _ => wrong("there is no array where one must be"),
        }
    }

    /// A set of numbers of shares.
    fn set(&mut self) -> Result<BTreeSet<u64>> {
        match self.pull()? {
            Header::Tag(SET) => {}
            _ => return wrong("there is no set (tag 258) where one must be"),
        }
        let len = self.begin_array()?;
        let mut numbers = BTreeSet::new();
        self.items(len, SHARES_MAX, |input| {
            numbers.insert(input.uint()?);
            Ok(())
        })?;
        Ok(numbers)
    }

    /// A map with texts as keys, at most so many.
    fn map(
        &mut self,
        entries_max: usize,
        mut entry: impl FnMut(&mut Self, &str) -> Result<()>,
    ) -> Result<()> {
        let len = self.begin_map()?;
        self.items(len, entries_max, |input| {
            let key = input.text(KEY_BYTES_MAX)?;
            entry(input, &key)
        })
    }

    /// The items of something that has so many, or that ends with a mark.
    fn items(
        &mut self,
        len: Option<usize>,
        most: usize,
        mut item: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let mut count = 0;
        loop {
            match len {
                Some(len) if count == len => return Ok(()),
                Some(_) => {}
                None => match self.pull()? {
                    Header::Break => return Ok(()),
                    header => self.decoder.push(header),
                },
            }
            count += 1;
            if count > most {
                return wrong("there are more items than may be");
            }
            item(self)?;
        }
    }
}

/// Notes what a key has, which is there once.
fn fill<T>(place: &mut Option<T>, value: T) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => wrong("a key is there twice"),
    }
}

fn wrong<T>(why: &str) -> Result<T> {
    Err(Error::Refused(Refusal::Invalid(format!("the body is not as it must be: {why}"))))
}

//! Reading an object: what it is, and its bytes or a part of them.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use storage_txn::{Snapshot, ValueStream};

use crate::body::{Expected, Incoming};
use crate::error::{Code, Error, Result};
use crate::layout;
use crate::op::action;
use crate::op::caller::Caller;
use crate::op::conditions::Conditions;
use crate::op::encryption::CustomerKey;
use crate::op::lifecycle::{self, Expires};
use crate::op::object::Which;
use crate::op::{Core, Moment, View};
use crate::record::{Algorithm, Object, Piece};
use crate::seal::{DataKey, Opener, open, sealed_range};

/// Which object is read, and what of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Get {
    pub(crate) which: Which,
    pub(crate) conditions: Conditions,
    pub(crate) span: Span,
    /// The key that the object is encrypted with, if it is one of the client.
    pub(crate) customer: Option<CustomerKey>,
}

/// Which bytes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Span {
    #[default]
    All,
    /// From one to another, both included; or to the end.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
    /// A part, by its number.
    Part(u32),
}

/// An object that is read.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) object: Object,
    pub(crate) pieces: Vec<Piece>,
    /// Which bytes of it.
    pub(crate) range: Range<u64>,
    /// Not all were asked for.
    pub(crate) partial: bool,
    /// Which part was asked for, counted from 1.
    pub(crate) part: Option<u32>,
    /// When it goes by a rule of its bucket, if it is the newest version.
    pub(crate) expires: Option<Expires>,
    /// What its bytes are encrypted with, if they are.
    key: Option<DataKey>,
    snapshot: Snapshot,
}

impl Core {
    /// Finds an object, and what of it is to be read: without reading it.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`], those of [`View::existing`] and of
    /// [`Conditions::check_read`], [`Code::InvalidRange`].
    pub(crate) async fn get_object(
        &self,
        caller: &Caller,
        (name, key, moment): (&str, &str, Moment),
        get: &Get,
    ) -> Result<Got> {
        let opened = self.open(name, moment).await?;
        let (bucket, snapshot) = (opened.bucket, opened.snapshot);
        let view = View::At(&snapshot);
        let object = match view.existing(name, key, &get.which).await {
            Err(error) if error.code().is_some() => {
                return Err(caller.missing((name, key), &bucket, error));
            }
            other => other?,
        };
        let action = if get.which == Which::Newest { action::GET } else { action::GET_VERSION };
        caller.may_key(action, (name, key), &bucket, Some(&object))?;
        get.conditions.check_read(&object)?;
        let pieces = view.pieces(&object).await?;
        let (range, partial) = get.span.of(&object, &pieces)?;
        let part = match get.span {
            Span::Part(part) => Some(part),
            _ => None,
        };
        let sealing = self.opening(object.encryption.as_ref(), get.customer.as_ref())?;
        let data_key = sealing.map(|sealing| sealing.key);
        let mut object = object;
        if let (Some(key), Some(encryption), true) =
            (&data_key, &object.encryption, pieces.is_empty())
        {
            object.body = open(key, &encryption.salt, &object.body)?;
        }
        let expires = match get.which {
            Which::Newest => lifecycle::expires(&bucket.lifecycle, key, &object),
            _ => None,
        };
        Ok(Got { object, pieces, range, partial, part, expires, key: data_key, snapshot })
    }
}

impl Span {
    /// The bytes that are meant, and whether that is said to be a part.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidRange`].
    fn of(self, object: &Object, pieces: &[Piece]) -> Result<(Range<u64>, bool)> {
        let size = object.size;
        let invalid = || {
            Error::from(Code::InvalidRange).with_header("content-range", format!("bytes */{size}"))
        };
        let range = match self {
            Self::All => return Ok((0..size, false)),
            Self::From(first, _) if first >= size => return Err(invalid()),
            Self::From(first, last) => {
                let end = last.map_or(size, |last| last.saturating_add(1).min(size));
                if end <= first {
                    return Err(invalid());
                }
                first..end
            }
            Self::Last(0) => return Err(invalid()),
            Self::Last(_) if size == 0 => return Err(invalid()),
            Self::Last(count) => size.saturating_sub(count)..size,
            Self::Part(number) if object.part_count == 0 => {
                if number != 1 {
                    return Err(Error::new(Code::InvalidPart, "the object has one part only"));
                }
                return Ok((0..size, size > 0));
            }
            Self::Part(number) => {
                let (mut start, mut bytes) = (0, None);
                // Numbers of parts as they were uploaded may have gaps; they count from 1 here.
                let (mut count, mut last) = (0, None);
                for piece in pieces {
                    if last != Some(piece.number) {
                        (count, last) = (count + 1, Some(piece.number));
                    }
                    if count < number {
                        start += piece.size;
                    } else if count == number {
                        bytes = Some(bytes.unwrap_or(0) + piece.size);
                    }
                }
                let bytes = bytes.ok_or_else(|| Error::from(Code::InvalidPart))?;
                start..start + bytes
            }
        };
        Ok((range, true))
    }
}

impl Got {
    /// How many parts it was made of, if it was.
    pub(crate) fn part_count(&self) -> Option<u32> {
        (self.object.part_count > 0).then_some(self.object.part_count)
    }

    /// The checksum of the part that was asked for.
    pub(crate) fn part_checksum(&self) -> Option<&Bytes> {
        let part = self.part? as usize;
        let mut firsts: Vec<&Piece> = self.pieces.iter().collect();
        firsts.dedup_by_key(|piece| piece.number);
        firsts.get(part.checked_sub(1)?).map(|piece| &piece.checksum)
    }

    /// Its bytes, where they are few and at hand.
    pub(crate) fn small(&self) -> Option<Bytes> {
        let whole = self.pieces.is_empty();
        whole.then(|| self.object.body.slice(self.range.start as usize..self.range.end as usize))
    }

    /// Its bytes, to be put elsewhere, with a checksum of this kind.
    pub(crate) fn incoming(self, algorithm: Option<Algorithm>) -> Incoming {
        let length = self.range.end - self.range.start;
        let checksum = algorithm.map(|algorithm| (algorithm, None));
        let chunks = self.stream().map_err(|error| error.refusal());
        let expected = Expected { checksum, ..Expected::default() };
        Incoming { chunks: Box::pin(chunks), length, ask_first: false, expected }
    }

    /// Its bytes as they are read, ahead of who takes them. Ends with an error if they cannot be read.
    pub(crate) fn stream(self) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        if let Some(bytes) = self.small() {
            return stream::iter([Ok(bytes)]).boxed();
        }
        let left = slices(&self.pieces, &self.range);
        let reader = Reader { snapshot: self.snapshot, key: self.key, left, now: None };
        stream::try_unfold(reader, |mut reader| async move {
            let piece = reader.next().await?;
            Ok(piece.map(|piece| (piece, reader)))
        })
        .boxed()
    }
}

/// Reads one piece after the other.
struct Reader {
    snapshot: Snapshot,
    key: Option<DataKey>,
    left: VecDeque<Slice>,
    now: Option<(ValueStream, Option<Opener>)>,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some((stream, opener)) = &mut self.now {
                let bytes = stream.next().await?;
                let end = bytes.is_none();
                let bytes = match opener {
                    Some(opener) => Some(opener.pass(&bytes.unwrap_or_default(), end)?),
                    None => bytes,
                };
                if end {
                    self.now = None;
                }
                if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
                    return Ok(Some(bytes));
                }
                continue;
            }
            let Some(slice) = self.left.pop_front() else { return Ok(None) };
            let (mut range, mut opener) = (slice.range.clone(), None);
            if let Some(key) = self.key.as_ref().filter(|_| !slice.salt.is_empty()) {
                opener = Some(Opener::new(key, &slice.salt, slice.range, slice.size));
                range = sealed_range(&range, slice.size);
            }
            let stream = self.snapshot.get_stream_range(&slice.key, range).await?;
            let lost = || {
                tracing::error!("the bytes of an object are not there");
                Error::from(Code::InternalError)
            };
            self.now = Some((stream.ok_or_else(lost)?, opener));
        }
    }
}

/// Bytes of a piece of data.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slice {
    pub(crate) key: Vec<u8>,
    /// Which bytes, before they were encrypted.
    pub(crate) range: Range<u64>,
    salt: Bytes,
    /// How many bytes the piece has.
    size: u64,
}

/// Which bytes of which data a range of an object is.
pub(crate) fn slices(pieces: &[Piece], range: &Range<u64>) -> VecDeque<Slice> {
    let mut slices = VecDeque::new();
    let mut at = 0;
    for piece in pieces {
        let (from, to) = (range.start.max(at), range.end.min(at + piece.size));
        if from < to
            && let Some(id) = piece.id()
        {
            let start = piece.offset + (from - at);
            let range = start..start + (to - from);
            let (key, salt) = (layout::data(&id), piece.salt.clone());
            slices.push_back(Slice { key, range, salt, size: piece.size });
        }
        at += piece.size;
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> Vec<Piece> {
        let piece = |number, id: u8, offset, size| Piece {
            number,
            data: vec![id; 16].into(),
            offset,
            size,
            ..Piece::default()
        };
        vec![piece(2, 1, 0, 10), piece(5, 2, 100, 4), piece(5, 3, 0, 6), piece(9, 4, 0, 1)]
    }

    #[test]
    fn spans_are_ranges_within_the_object_or_refused() {
        let object = Object { size: 21, part_count: 3, ..Object::default() };
        let cases = [
            (Span::All, Some((0..21, false))),
            (Span::From(0, Some(0)), Some((0..1, true))),
            (Span::From(5, None), Some((5..21, true))),
            (Span::From(5, Some(u64::MAX)), Some((5..21, true))),
            (Span::From(5, Some(4)), None),
            (Span::From(21, None), None),
            (Span::Last(0), None),
            (Span::Last(1), Some((20..21, true))),
            (Span::Last(100), Some((0..21, true))),
            (Span::Part(0), None),
            (Span::Part(1), Some((0..10, true))),
            (Span::Part(2), Some((10..20, true))),
            (Span::Part(3), Some((20..21, true))),
            (Span::Part(4), None),
        ];
        for (span, expected) in cases {
            assert_eq!(span.of(&object, &pieces()).ok(), expected, "{span:?}");
        }
        let empty = Object::default();
        assert_eq!(Span::All.of(&empty, &[]).ok(), Some((0..0, false)));
        for span in [Span::From(0, None), Span::Last(3)] {
            assert_eq!(span.of(&empty, &[]).unwrap_err().code(), Some(Code::InvalidRange));
        }
    }

    #[test]
    fn a_range_is_read_from_the_pieces_that_have_it() {
        let slice = |id: u8, range: Range<u64>| (layout::data(&[id; 16]), range);
        let cases = [
            (0..21, vec![slice(1, 0..10), slice(2, 100..104), slice(3, 0..6), slice(4, 0..1)]),
            (9..12, vec![slice(1, 9..10), slice(2, 100..102)]),
            (13..15, vec![slice(2, 103..104), slice(3, 0..1)]),
            (20..21, vec![slice(4, 0..1)]),
            (0..0, vec![]),
        ];
        for (range, expected) in cases {
            let found = slices(&pieces(), &range).into_iter();
            let found: Vec<_> = found.map(|slice| (slice.key, slice.range)).collect();
            assert_eq!(found, expected, "{range:?}");
        }
    }
}

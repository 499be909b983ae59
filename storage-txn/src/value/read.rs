//! Reading large values: the blocks that are wanted, each checked.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use storage_core::{ErrorKind as StorageErrorKind, Get, StorageProvider};
use storage_log::planted::planted;

use crate::content::{Content, Kind};
use crate::format::value::{Piece, ValueRef, corrupt};
use crate::session::reaped;
use crate::shared::Shared;
use crate::store::key;
use crate::value::ValueStream;
use crate::view::Walk;
use crate::{Error, ErrorKind, Result, Version, space};

impl Shared {
    /// The bytes of a value.
    pub(crate) async fn bytes_of(self: &Arc<Self>, content: Content) -> Result<Bytes> {
        match content.0 {
            Kind::Inline(bytes) => Ok(bytes),
            Kind::Large(_) => self.bytes_in(content, ..).await,
        }
    }

    /// Those of its bytes that are in a range: fewer where it ends before.
    pub(crate) async fn bytes_in(
        self: &Arc<Self>,
        content: Content,
        range: impl RangeBounds<u64>,
    ) -> Result<Bytes> {
        let (start, end) = bounds(&range, content.size());
        let size = end - start;
        if matches!(content.0, Kind::Large(_)) && size > self.options.get_bytes_max as u64 {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!(
                    "{size} bytes of a value are more than the {} of get_bytes_max: read a part with get_range, \
                     or all with get_stream",
                    self.options.get_bytes_max
                ),
            ));
        }
        let mut stream = ValueStream::new(self, content, start, end);
        let Some(first) = stream.next().await? else { return Ok(Bytes::new()) };
        if first.len() as u64 == size {
            // What comes after the last byte is whether all of it was right.
            while stream.next().await?.is_some() {}
            return Ok(first);
        }
        let mut bytes = BytesMut::with_capacity(usize::try_from(size).unwrap_or(0));
        bytes.extend_from_slice(&first);
        while let Some(more) = stream.next().await? {
            bytes.extend_from_slice(&more);
        }
        Ok(bytes.freeze())
    }

    /// Reads a part of a large value.
    pub(super) async fn read_piece(
        self: Arc<Self>,
        reference: Arc<ValueRef>,
        piece: Piece,
    ) -> Result<Bytes> {
        let request = Get::range(piece.at..piece.at.saturating_add(piece.stored));
        let name = key(piece.object.to_string())?;
        let object = match self.shelf.provider.get(&name, request).await {
            Ok(object) => object,
            Err(error) if error.kind() == StorageErrorKind::NotFound => {
                return Err(self.missing(&reference, &piece).await?.with_source(error));
            }
            Err(error) if error.kind() == StorageErrorKind::InvalidRange => {
                let short = corrupt(piece.object, piece.at, "the object is too short");
                return Err(short.with_source(error));
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(bytes) = piece.object_bytes
            && object.size != bytes
        {
            let why = format!("the object has {} bytes, not {bytes}", object.size);
            return Err(corrupt(piece.object, piece.at, &why));
        }
        if object.body.len() as u64 != piece.stored {
            return Err(corrupt(piece.object, piece.at, "the object is too short"));
        }
        piece.open(&object.body)
    }

    /// What it means that an object is missing: that nothing needs it any more, as the log says, or that it was lost.
    async fn missing(self: &Arc<Self>, reference: &ValueRef, piece: &Piece) -> Result<Error> {
        self.refresh().await?;
        let (view, version) = {
            let state = self.state();
            (state.view.clone(), state.version)
        };
        let needed = space::values(reference.id());
        let mut walk = Walk::new(&view, version, &needed, false, None).await?;
        Ok(match walk.next().await? {
            Some(_) => corrupt(piece.object, piece.at, "the object is missing"),
            // Nothing was ever packed away: so it was not, but uploaded for a transaction that can no longer commit it.
            None if view.system.is_reaped(reference.session)
                && view.system.horizon()? == Version::ZERO =>
            {
                reaped(reference.session)
            }
            None => Error::new(
                ErrorKind::SnapshotExpired,
                format!("{} is so old that it is no longer kept", reference.id()),
            ),
        })
    }
}

/// The part of a range that a value of `size` bytes has: from and to.
pub(super) fn bounds(range: &impl RangeBounds<u64>, size: u64) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(at) => *at,
        Bound::Excluded(at) => at.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(at) => at.saturating_add(1),
        Bound::Excluded(at) => *at,
        Bound::Unbounded => size,
    };
    let end = end.min(size);
    let end = match planted("parts-of-values-miss-their-end") {
        true if end < size => end.saturating_sub(1),
        _ => end,
    };
    (start.min(end), end)
}

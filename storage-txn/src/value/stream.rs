//! A large value as a stream: read ahead, in bounded memory.

use std::ops::RangeBounds;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};

use crate::content::{Content, Kind};
use crate::format::value::ValueRef;
use crate::shared::Shared;
use crate::value::read::bounds;
use crate::{Error, Result};

/// The bytes of a value, being read in order. Up to
/// [`value_requests_max`](crate::Options::value_requests_max) requests are under way, each for up to
/// [`chunk_bytes`](crate::Options::chunk_bytes); none before the first is asked for.
///
/// Every piece was checked before it is handed out. After the last piece of a whole value follows the check of the
/// whole, so take it for right only when the stream has ended without an error.
pub struct ValueStream {
    pieces: BoxStream<'static, Result<Bytes>>,
    size: u64,
    /// Of all bytes in objects, when all are read.
    whole: Option<(blake3::Hasher, Arc<ValueRef>)>,
    /// What is at hand, and comes last.
    tail: Bytes,
    failed: bool,
}

impl std::fmt::Debug for ValueStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ValueStream").field("size", &self.size).finish_non_exhaustive()
    }
}

impl ValueStream {
    /// The bytes of `content` from `start` to `end`, which is not after the end of it.
    pub(crate) fn new(shared: &Arc<Shared>, content: Content, start: u64, end: u64) -> Self {
        let size = end - start;
        let reference = match content.0 {
            Kind::Large(reference) => reference,
            Kind::Inline(bytes) => {
                // It is in memory, so its length is one of memory.
                let tail = bytes.slice(start as usize..end as usize);
                let pieces = stream::empty().boxed();
                return Self { pieces, size, whole: None, tail, failed: false };
            }
        };
        let after = |at: u64| at.saturating_sub(reference.bytes) as usize;
        let tail = reference.tail.slice(after(start)..after(end));
        let whole = (start == 0 && end >= reference.bytes)
            .then(|| (blake3::Hasher::new(), reference.clone()));
        let (shared, most) = (shared.clone(), shared.options.chunk_bytes as u64);
        let at_once = shared.options.value_requests_max.max(1);
        let named = reference.clone();
        let pieces = std::iter::successors(named.piece(start, end, most), move |piece| {
            named.piece(piece.next, end, most)
        });
        let read = move |piece| shared.clone().read_piece(reference.clone(), piece);
        let pieces = stream::iter(pieces).map(read).buffered(at_once).boxed();
        Self { pieces, size, whole, tail, failed: false }
    }

    pub(crate) fn of_range(
        shared: &Arc<Shared>,
        content: Content,
        range: &impl RangeBounds<u64>,
    ) -> Self {
        let (start, end) = bounds(range, content.size());
        Self::new(shared, content, start, end)
    }

    /// How many bytes there are in all.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next bytes, or `None` after the last. May be dropped at any time: the next call goes on with the same.
    ///
    /// As a [`Stream`] it gives the same, and ends after the first error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SnapshotExpired`](crate::ErrorKind::SnapshotExpired),
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), [`ErrorKind::Storage`](crate::ErrorKind::Storage).
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        StreamExt::next(self).await.transpose()
    }

    /// What comes after the last piece that was read: whether all of them are the value.
    fn end(&mut self) -> Option<Result<Bytes>> {
        if let Some((hasher, reference)) = self.whole.take()
            && hasher.finalize().as_bytes()[..] != reference.hash
        {
            self.failed = true;
            return Some(Err(Error::corrupt(format!(
                "{}: at byte {}: the value does not have the hash it should",
                reference.id(),
                reference.offset
            ))));
        }
        let tail = std::mem::take(&mut self.tail);
        (!tail.is_empty()).then_some(Ok(tail))
    }
}

impl Stream for ValueStream {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.failed {
            return Poll::Ready(None);
        }
        match this.pieces.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(piece))) => {
                if let Some((hasher, _)) = &mut this.whole {
                    hasher.update(&piece);
                }
                Poll::Ready(Some(Ok(piece)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.failed = true;
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => Poll::Ready(this.end()),
            Poll::Pending => Poll::Pending,
        }
    }
}

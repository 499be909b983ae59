//! Bytes in encrypted chunks: any of them can be opened by itself, and none can be left out, moved or cut off.
//!
//! A chunk is 64 KiB, the last one what is left, and each is followed by its tag of 16 bytes. Its nonce is its number,
//! and whether it is the last.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::DataKey;
use crate::error::{Code, Error, Refusal, Result};

/// So many bytes are encrypted together.
const CHUNK_BYTES: u64 = 64 << 10;
const TAG_BYTES: u64 = 16;

/// Bytes that are few, encrypted.
///
/// # Errors
///
/// [`Code::InternalError`], for more than one chunk.
pub(crate) fn seal(key: &DataKey, salt: &[u8], bytes: &[u8]) -> Result<Bytes> {
    chunk(&key.for_bytes(salt), 0, true, bytes)
}

/// Bytes that [`seal`] has encrypted.
///
/// # Errors
///
/// [`Code::InternalError`], for bytes that are not what they were.
pub(crate) fn open(key: &DataKey, salt: &[u8], sealed: &[u8]) -> Result<Bytes> {
    opened(&key.for_bytes(salt), 0, true, sealed)
}

/// Which encrypted bytes are needed for a range of the `size` that there are, which is not empty.
pub(crate) fn sealed_range(range: &Range<u64>, size: u64) -> Range<u64> {
    let (first, last) = (range.start / CHUNK_BYTES, (range.end - 1) / CHUNK_BYTES);
    let step = CHUNK_BYTES + TAG_BYTES;
    first * step..((last + 1) * step).min(size + chunks(size) * TAG_BYTES)
}

/// Encrypts what passes.
pub(crate) struct Sealer<S> {
    stream: S,
    key: LessSafeKey,
    waiting: BytesMut,
    number: u64,
    done: bool,
}

impl<S> Sealer<S> {
    pub(crate) fn new(stream: S, key: &DataKey, salt: &[u8]) -> Self {
        let key = key.for_bytes(salt);
        Self { stream, key, waiting: BytesMut::new(), number: 0, done: false }
    }

    fn next(&mut self, last: bool) -> Result<Bytes, Refusal> {
        let most = if last { self.waiting.len() } else { CHUNK_BYTES as usize };
        let bytes = self.waiting.split_to(most);
        let sealed = chunk(&self.key, self.number, last, &bytes);
        self.number += 1;
        sealed.map_err(|error| error.refusal())
    }
}

impl<S: Stream<Item = Result<Bytes, Refusal>> + Unpin> Stream for Sealer<S> {
    type Item = Result<Bytes, Refusal>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.done {
                return Poll::Ready(None);
            }
            // One more byte says that a chunk is not the last.
            if this.waiting.len() as u64 > CHUNK_BYTES {
                return Poll::Ready(Some(this.next(false)));
            }
            match this.stream.poll_next_unpin(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(bytes))) => this.waiting.extend_from_slice(&bytes),
                Poll::Ready(Some(Err(refusal))) => {
                    this.done = true;
                    return Poll::Ready(Some(Err(refusal)));
                }
                Poll::Ready(None) => {
                    this.done = true;
                    return Poll::Ready(Some(this.next(true)));
                }
            }
        }
    }
}

/// Decrypts a range of what was encrypted, given the bytes that [`sealed_range`] says.
pub(crate) struct Opener {
    key: LessSafeKey,
    waiting: BytesMut,
    number: u64,
    chunks: u64,
    /// What is left to be told, from its first byte on.
    left: Range<u64>,
}

impl Opener {
    pub(crate) fn new(key: &DataKey, salt: &[u8], range: Range<u64>, size: u64) -> Self {
        let number = range.start / CHUNK_BYTES;
        let key = key.for_bytes(salt);
        Self { key, waiting: BytesMut::new(), number, chunks: chunks(size), left: range }
    }

    /// Takes encrypted bytes in, and hands out what they are, as far as it can be told already.
    ///
    /// # Errors
    ///
    /// [`Code::InternalError`], for bytes that are not what they were.
    pub(crate) fn pass(&mut self, sealed: &[u8], end: bool) -> Result<Bytes> {
        self.waiting.extend_from_slice(sealed);
        let step = (CHUNK_BYTES + TAG_BYTES) as usize;
        let mut out = BytesMut::new();
        while self.number < self.chunks {
            let last = self.number + 1 == self.chunks;
            let whole = self.waiting.len() >= step && !last || last && end;
            if !whole || self.waiting.is_empty() {
                break;
            }
            let sealed = self.waiting.split_to(if last { self.waiting.len() } else { step });
            let bytes = opened(&self.key, self.number, last, &sealed)?;
            let start = self.number * CHUNK_BYTES;
            let from = self.left.start.saturating_sub(start).min(bytes.len() as u64);
            let to = self.left.end.saturating_sub(start).min(bytes.len() as u64);
            out.extend_from_slice(&bytes[from as usize..to.max(from) as usize]);
            self.left.start = (start + to).max(self.left.start);
            self.number += 1;
        }
        if end && self.left.start < self.left.end {
            return Err(damaged());
        }
        Ok(out.freeze())
    }
}

fn chunks(size: u64) -> u64 {
    size.div_ceil(CHUNK_BYTES).max(1)
}

fn nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[3] = u8::from(last);
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

fn chunk(key: &LessSafeKey, number: u64, last: bool, bytes: &[u8]) -> Result<Bytes> {
    let mut sealed = Vec::with_capacity(bytes.len() + TAG_BYTES as usize);
    sealed.extend_from_slice(bytes);
    let done = key.seal_in_place_append_tag(nonce(number, last), Aad::empty(), &mut sealed);
    done.map_err(|_| Error::from(Code::InternalError))?;
    Ok(sealed.into())
}

fn opened(key: &LessSafeKey, number: u64, last: bool, sealed: &[u8]) -> Result<Bytes> {
    let mut bytes = sealed.to_vec();
    let length = key
        .open_in_place(nonce(number, last), Aad::empty(), &mut bytes)
        .map_err(|_| damaged())?
        .len();
    bytes.truncate(length);
    Ok(bytes.into())
}

fn damaged() -> Error {
    tracing::error!("encrypted bytes of an object are not what they were");
    Error::from(Code::InternalError)
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    async fn sealed(key: &DataKey, bytes: &[u8]) -> Vec<u8> {
        let pieces: Vec<_> = bytes.chunks(10_007).map(Bytes::copy_from_slice).map(Ok).collect();
        let sealer = Sealer::new(futures_util::stream::iter(pieces), key, b"salt");
        let chunks: Vec<Bytes> = sealer.try_collect().await.unwrap();
        chunks.concat()
    }

    fn opened_range(key: &DataKey, all: &[u8], range: Range<u64>, size: u64) -> Result<Vec<u8>> {
        let needed = sealed_range(&range, size);
        let bytes = &all[needed.start as usize..needed.end as usize];
        let mut opener = Opener::new(key, b"salt", range, size);
        let mut out = Vec::new();
        for piece in bytes.chunks(9_999) {
            out.extend_from_slice(&opener.pass(piece, false)?);
        }
        out.extend_from_slice(&opener.pass(&[], true)?);
        Ok(out)
    }

    #[tokio::test]
    async fn any_range_is_opened_by_itself() {
        let key = DataKey::draw().unwrap();
        let chunk = CHUNK_BYTES;
        for size in [1, 1000, chunk - 1, chunk, chunk + 1, 3 * chunk, 3 * chunk + 5] {
            let bytes: Vec<u8> = (0..size).map(|at| (at * 7 + at / 251) as u8).collect();
            let all = sealed(&key, &bytes).await;
            assert_eq!(all.len() as u64, size + chunks(size) * TAG_BYTES);
            let ends = [1, 2, chunk - 1, chunk, chunk + 1, 2 * chunk, size - size / 3, size];
            for end in ends.into_iter().filter(|end| (1..=size).contains(end)) {
                for start in [0, 1, chunk - 1, chunk, chunk + 7, end - 1] {
                    if start < end {
                        let got = opened_range(&key, &all, start..end, size).unwrap();
                        assert!(
                            got == bytes[start as usize..end as usize],
                            "{size} {start}..{end}"
                        );
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn what_was_changed_moved_or_cut_off_is_not_opened() {
        let key = DataKey::draw().unwrap();
        let size = 2 * CHUNK_BYTES + 10;
        let all = sealed(&key, &vec![7; size as usize]).await;
        let step = (CHUNK_BYTES + TAG_BYTES) as usize;
        let swapped = [&all[step..2 * step], &all[..step], &all[2 * step..]].concat();
        let mut changed = all.clone();
        changed[step + 3] ^= 1;
        for wrong in [swapped, changed] {
            assert!(opened_range(&key, &wrong, 0..size, size).is_err());
        }
        // As if the object had ended with its first chunk.
        assert!(opened_range(&key, &all[..step], 0..CHUNK_BYTES, CHUNK_BYTES).is_err());
        let other = DataKey::draw().unwrap();
        assert!(opened_range(&other, &all, 0..size, size).is_err());
        let small = seal(&key, b"salt", b"few").unwrap();
        assert_eq!(&open(&key, b"salt", &small).unwrap()[..], b"few");
        assert!(open(&key, b"other", &small).is_err());
    }
}

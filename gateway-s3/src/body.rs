//! Bytes on their way in: counted and summed while they pass, and compared with what the client said of them.

mod aside;
mod digest;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use storage_txn::{Store, Value};

use aside::Aside;
pub(crate) use digest::{Digester, Digests, combine};

use crate::error::{Code, Error, Refusal, Result};
use crate::op::encryption::Sealing;
use crate::record::{Algorithm, Checksum};
use crate::seal::{Sealer, random};

/// Objects of at most so many bytes are kept in their record.
pub(crate) const INLINE_BYTES_MAX: u64 = 1024;

/// What a body comes as.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, Refusal>> + Send>>;

/// A body that is being received.
pub(crate) struct Incoming {
    pub(crate) chunks: Chunks,
    /// How many bytes it has, as the client says.
    pub(crate) length: u64,
    /// The client sends it only when it is not refused beforehand.
    pub(crate) ask_first: bool,
    pub(crate) expected: Expected,
}

/// What a client says of a body.
#[derive(Default)]
pub(crate) struct Expected {
    /// Its MD5.
    pub(crate) md5: Option<Bytes>,
    /// Which checksum is to be kept beside the MD5, and what it must be if that was said beforehand.
    pub(crate) checksum: Option<(Algorithm, Option<Bytes>)>,
    /// Says what it must be, when all of the body has come.
    pub(crate) trailer: Option<Trailer>,
}

/// Reads the checksum that came after a body.
pub(crate) type Trailer = Box<dyn FnOnce(Algorithm) -> Option<String> + Send>;

/// Bytes that were received, and are not yet under any key.
#[derive(Debug, Clone)]
pub(crate) enum Received {
    /// So few that they go into a record.
    Small(Bytes),
    /// Uploaded, or large enough to have a key of their own; with what the key is made with that they are
    /// encrypted with, if they are.
    Value(Value, Bytes),
}

/// What was received, what it is, and how it is encrypted. Few bytes are so only when they are put.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) received: Received,
    pub(crate) digests: Digests,
    pub(crate) sealing: Option<Sealing>,
}

impl Incoming {
    /// A body that is at hand.
    pub(crate) fn of(bytes: Bytes) -> Self {
        let length = bytes.len() as u64;
        let chunks = futures_util::stream::iter([Ok(bytes)]);
        let expected = Expected::default();
        Self { chunks: Box::pin(chunks), length, ask_first: false, expected }
    }

    /// Receives all of it, in bounded memory, and compares it with what was said.
    ///
    /// # Errors
    ///
    /// [`Code::IncompleteBody`], [`Code::BadDigest`], [`Code::InvalidRequest`], those of the body and of the store.
    /// Nothing is left of what was received then.
    pub(crate) async fn receive(self, store: &Store, sealing: Option<Sealing>) -> Result<Arrived> {
        let algorithm = self.expected.checksum.as_ref().map(|(algorithm, _)| *algorithm);
        let sums = Arc::new(Mutex::new(None));
        let mut chunks = Checked {
            chunks: self.chunks,
            left: self.length,
            sums: Some(Aside::new(Digester::new(algorithm))),
            ended: sums.clone(),
        };
        let mut digests = None;
        // What the body is to be is known when all of it has come; what it is, a moment later.
        let proof = async {
            let sums = sums.lock().unwrap_or_else(PoisonError::into_inner).take();
            let found = async {
                let found = sums.ok_or(Code::IncompleteBody)?.finish().await?;
                self.expected.check(&found)?;
                Ok(found)
            };
            digests = Some(found.await.map_err(|error: Error| error.refusal())?);
            Ok::<_, Refusal>(())
        };
        let received = if self.length <= INLINE_BYTES_MAX {
            let mut bytes = BytesMut::with_capacity(self.length as usize);
            while let Some(chunk) = chunks.next().await {
                bytes.extend_from_slice(&chunk.map_err(Error::Refused)?);
            }
            proof.await.map_err(Error::Refused)?;
            Received::Small(bytes.freeze())
        } else {
            match &sealing {
                None => Received::Value(store.upload_proven(chunks, proof).await?, Bytes::new()),
                Some(sealing) => {
                    let salt: [u8; 16] = random()?;
                    let sealer = Sealer::new(chunks, &sealing.key, &salt);
                    let value = store.upload_proven(sealer, proof).await?;
                    Received::Value(value, Bytes::copy_from_slice(&salt))
                }
            }
        };
        Ok(Arrived { received, digests: digests.ok_or(Code::IncompleteBody)?, sealing })
    }
}

impl Expected {
    fn check(mut self, digests: &Digests) -> Result<()> {
        if self.md5.as_ref().is_some_and(|md5| *md5 != digests.md5) {
            return Err(Error::new(
                Code::BadDigest,
                "the body does not have the Content-MD5 that was said",
            ));
        }
        let Some((algorithm, value)) = &self.checksum else { return Ok(()) };
        let said = match (value, self.trailer.take()) {
            (Some(value), _) => Some(value.clone()),
            (None, Some(trailer)) => match trailer(*algorithm) {
                Some(text) => Some(decode_checksum(*algorithm, &text)?),
                None => None,
            },
            (None, None) => None,
        };
        if said.is_some() && said != digests.checksum {
            return Err(Error::new(
                Code::BadDigest,
                format!("the body does not have the {} checksum that was said", algorithm.name()),
            ));
        }
        Ok(())
    }
}

impl Digests {
    /// The record of the checksum.
    pub(crate) fn checksum(&self) -> Option<Checksum> {
        let value = self.checksum.clone()?;
        Some(Checksum { algorithm: self.algorithm as i32, value, composite: false })
    }
}

impl Algorithm {
    /// As headers have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The one of this name, in whatever letters.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let all = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];
        all.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// How many bytes its checksums have.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Unknown => 0,
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// What a checksum in a header says.
///
/// # Errors
///
/// [`Code::BadDigest`]: no body has it.
pub(crate) fn decode_checksum(algorithm: Algorithm, text: &str) -> Result<Bytes> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok();
    bytes.filter(|bytes| bytes.len() == algorithm.bytes()).map(Bytes::from).ok_or_else(|| {
        let message = format!("{text:?} is no {} checksum", algorithm.name());
        Error::new(Code::BadDigest, message)
    })
}

/// Passes a body on, and ends with an error if it is not as long as was said: so whoever takes it keeps nothing of it.
struct Checked {
    chunks: Chunks,
    left: u64,
    /// Taken at the end.
    sums: Option<Aside>,
    /// Where they are put then. Never held across an `.await`.
    ended: Arc<Mutex<Option<Aside>>>,
}

impl Checked {
    fn pass(&mut self, chunk: Bytes) -> Result<Bytes> {
        let left = self.left.checked_sub(chunk.len() as u64);
        let longer = || Error::new(Code::InvalidRequest, "the body is longer than was said");
        self.left = left.ok_or_else(longer)?;
        if let Some(sums) = &mut self.sums {
            sums.add(chunk.clone());
        }
        Ok(chunk)
    }

    fn end(&mut self) -> Result<()> {
        if self.left > 0 {
            return Err(Code::IncompleteBody.into());
        }
        if let Some(sums) = self.sums.take() {
            *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(sums);
        }
        Ok(())
    }
}

impl Stream for Checked {
    type Item = Result<Bytes, Refusal>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(sums) = &mut this.sums
            && sums.poll_room(context).is_pending()
        {
            return Poll::Pending;
        }
        let passed = match this.chunks.poll_next_unpin(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(chunk))) => this.pass(chunk).map(Some),
            Poll::Ready(Some(Err(refusal))) => return Poll::Ready(Some(Err(refusal))),
            Poll::Ready(None) => this.end().map(|()| None),
        };
        Poll::Ready(passed.map_err(|error| error.refusal()).transpose())
    }
}

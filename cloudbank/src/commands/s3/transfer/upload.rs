//! Files and standard input that become objects, large ones in parts.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http::Method;
use indicatif::ProgressBar;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::OwnedSemaphorePermit;

use super::read::Reader;
use crate::commands::s3::failed;
use crate::error::{Error, Result};
use crate::s3::checksum::Algorithm;
use crate::s3::client::Client;
use crate::s3::multipart::{Begun, PART_BYTES_MIN, PARTS_MAX, Part, Upload};
use crate::s3::object::{About, Name};
use crate::s3::sign_hash;

/// After so many parts of what has no known size, parts are twice as large.
const PARTS_OF_A_SIZE: u64 = 1000;

/// How something is put.
pub(super) struct Put<'a> {
    pub(super) name: &'a Name,
    pub(super) about: About,
    pub(super) checksum: Option<Algorithm>,
    pub(super) if_absent: bool,
    pub(super) bar: &'a ProgressBar,
    pub(super) begun: &'a Begun,
}

/// Bytes with their sums.
struct Summed {
    bytes: Bytes,
    hash: String,
    checksum: Option<(Algorithm, u64)>,
    /// Gives the memory back when they are sent.
    _memory: OwnedSemaphorePermit,
}

impl Summed {
    fn new(bytes: Bytes, algorithm: Option<Algorithm>, memory: OwnedSemaphorePermit) -> Self {
        let hash = sign_hash(&bytes);
        let checksum = algorithm.map(|algorithm| (algorithm, algorithm.of(&bytes)));
        Self { bytes, hash, checksum, _memory: memory }
    }
}

type Pieces<'a> = Pin<Box<dyn Stream<Item = Result<Summed>> + 'a>>;

impl Reader {
    /// Puts a file; how many bytes it has.
    pub(super) async fn upload(&self, path: &Path, put: Put<'_>) -> Result<u64> {
        let read = || Error::file(format!("read {}", path.display()));
        let before = std::fs::metadata(path).map_err(read())?;
        if !before.is_file() {
            // A pipe or a device: there is as much as there is.
            let file = tokio::fs::File::open(path).await.map_err(read())?;
            return self.upload_stream(Box::pin(file), &path.display().to_string(), put).await;
        }
        let size = before.len();
        let part_bytes = part_bytes(self.part_bytes, size);
        let unchanged = || {
            let after = std::fs::metadata(path).map_err(read())?;
            let same = after.len() == size && after.modified().ok() == before.modified().ok();
            same.then_some(()).ok_or_else(|| {
                Error::Failed(format!("{} was changed while it was read", path.display()))
            })
        };
        if size <= 2 * self.part_bytes {
            let memory = self.memory(size).await;
            let whole = self.piece(path.to_owned(), (0, size), put.checksum, memory).await?;
            unchanged()?;
            self.put_whole(whole, &put).await?;
            return Ok(size);
        }
        let mut at = 0;
        let ranges = std::iter::from_fn(move || {
            let range = (at, part_bytes.min(size - at));
            at += range.1;
            (range.1 > 0).then_some(range)
        });
        let pieces = stream::iter(ranges).then(|range| async move {
            let memory = self.memory(range.1).await;
            Ok((range, memory))
        });
        let pieces = pieces
            .map(|piece: Result<_>| piece)
            .map_ok(|(range, memory)| self.piece(path.to_owned(), range, put.checksum, memory));
        let pieces: Pieces<'_> = Box::pin(pieces.try_buffered(2));
        self.put_in_parts(pieces, &put, unchanged).await?;
        Ok(size)
    }

    /// Puts all that comes, however much that is; how many bytes there were.
    pub(super) async fn upload_stream(
        &self,
        reader: Pin<Box<dyn AsyncRead + Send>>,
        what: &str,
        put: Put<'_>,
    ) -> Result<u64> {
        let read = || Error::file(format!("read {what}"));
        let mut reader = reader;
        let memory = self.memory(self.part_bytes).await;
        let first = fill(&mut reader, self.part_bytes).await.map_err(read())?;
        let first_bytes = first.len() as u64;
        let first = Summed::new(first, put.checksum, memory);
        if first_bytes < self.part_bytes {
            self.put_whole(first, &put).await?;
            return Ok(first_bytes);
        }
        let total = std::cell::Cell::new(first_bytes);
        let counted = &total;
        let checksum = put.checksum;
        let rest =
            stream::try_unfold((reader, 1), move |(mut reader, number): (_, u64)| async move {
                let doubled = (number / PARTS_OF_A_SIZE).min(16);
                let size = self.part_bytes << doubled;
                let memory = self.memory(size).await;
                let bytes = fill(&mut reader, size).await.map_err(read())?;
                if bytes.is_empty() {
                    return Ok(None);
                }
                counted.set(counted.get() + bytes.len() as u64);
                Ok(Some((Summed::new(bytes, checksum, memory), (reader, number + 1))))
            });
        let pieces: Pieces<'_> = Box::pin(stream::iter([Ok(first)]).chain(rest));
        self.put_in_parts(pieces, &put, || Ok(())).await?;
        Ok(total.get())
    }

    async fn put_whole(&self, whole: Summed, put: &Put<'_>) -> Result<()> {
        let mut call = put.about.apply(put.name.call(Method::PUT)).hashed(whole.hash);
        if let Some((algorithm, sum)) = whole.checksum {
            call = call.header(&algorithm.header(), algorithm.written(sum));
        }
        if put.if_absent {
            call = call.header("if-none-match", "*");
        }
        call.bar = Some(put.bar.clone());
        let _permit = self.request().await;
        let etag = self.client.put(call.body(whole.bytes)).await;
        etag.map(drop).map_err(self::put(put.name))
    }

    async fn put_in_parts(
        &self,
        pieces: Pieces<'_>,
        put: &Put<'_>,
        unchanged: impl Fn() -> Result<()>,
    ) -> Result<()> {
        let begun = self.client.begin(put.name, &put.about, put.checksum).await;
        let upload = begun.map_err(self::put(put.name))?;
        put.begun.note(&upload);
        let done = async {
            let parts = self.put_parts(pieces, &upload, put).await?;
            unchanged()?;
            self.complete(&upload, parts, put).await
        };
        let done = done.await;
        if let Err(error) = &done {
            // Of what may be an object by now nothing must be taken away.
            if error.code() != crate::error::Code::Unknown {
                give_up(&self.client, &upload).await;
            }
        }
        put.begun.forget(&upload);
        done
    }

    async fn put_parts(
        &self,
        pieces: Pieces<'_>,
        upload: &Upload,
        put: &Put<'_>,
    ) -> Result<Vec<(Part, Option<u64>, u64)>> {
        let mut parts: Vec<_> = pieces
            .enumerate()
            .map(|(at, piece)| async move {
                let piece = piece?;
                let number = at as u64 + 1;
                if number > PARTS_MAX {
                    return Err(Error::Failed(format!(
                        "put {}: there is more than {PARTS_MAX} parts can hold\n  = --part-size makes them larger",
                        put.name
                    )));
                }
                let mut call = Client::part(upload, number).hashed(piece.hash);
                let checksum = piece
                    .checksum
                    .map(|(algorithm, sum)| (algorithm, algorithm.written(sum)));
                if let Some((algorithm, sum)) = &checksum {
                    call = call.header(&algorithm.header(), sum);
                }
                call.bar = Some(put.bar.clone());
                let length = piece.bytes.len() as u64;
                let sum = piece.checksum.map(|(_, sum)| sum);
                let _permit = self.request().await;
                let etag = self.client.put(call.body(piece.bytes)).await;
                let etag = etag.map_err(self::put(put.name))?;
                Ok((Part { number, etag, checksum }, sum, length))
            })
            .buffer_unordered(self.jobs)
            .try_collect()
            .await?;
        parts.sort_by_key(|(part, _, _): &(Part, _, _)| part.number);
        Ok(parts)
    }

    async fn complete(
        &self,
        upload: &Upload,
        parts: Vec<(Part, Option<u64>, u64)>,
        put: &Put<'_>,
    ) -> Result<()> {
        let whole = put.checksum.and_then(|algorithm| {
            let sums = parts.iter().map(|(_, sum, length)| sum.map(|sum| (sum, *length)));
            let whole = sums.reduce(|whole, next| {
                let ((first, before), (second, length)) = (whole?, next?);
                Some((algorithm.combined(first, second, length), before + length))
            });
            Some((algorithm, algorithm.written(whole??.0)))
        });
        let parts: Vec<_> = parts.into_iter().map(|(part, _, _)| part).collect();
        let _permit = self.request().await;
        let done = self.client.complete(upload, &parts, whole, put.if_absent).await;
        done.map(drop).map_err(self::put(put.name))
    }

    /// So many bytes of a file, with their sums.
    async fn piece(
        &self,
        path: PathBuf,
        (start, length): (u64, u64),
        checksum: Option<Algorithm>,
        memory: OwnedSemaphorePermit,
    ) -> Result<Summed> {
        let what = format!("read {}", path.display());
        let read = move || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::with_capacity(length as usize);
            file.take(length).read_to_end(&mut bytes)?;
            if (bytes.len() as u64) < length {
                return Err(std::io::Error::other("it was cut short while it was read"));
            }
            Ok(Summed::new(bytes.into(), checksum, memory))
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|error| Error::Failed(error.to_string()))?.map_err(Error::file(what))
    }
}

/// Gives up uploads, within reason: who waits for that has been interrupted, or has failed already.
pub(super) async fn give_up(client: &Client, upload: &Upload) {
    if let Err(failure) = client.abort(upload).await {
        tracing::warn!(
            "an upload of {} could not be given up: {failure}; `cloudbank s3 rm --uploads s3://{}` does",
            upload.name,
            upload.name.bucket
        );
    }
}

/// As many bytes as there are, up to so many.
async fn fill(reader: &mut Pin<Box<dyn AsyncRead + Send>>, most: u64) -> std::io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(most as usize);
    reader.take(most).read_to_end(&mut bytes).await?;
    Ok(bytes.into())
}

/// How large the parts of an object are: as asked for, but so that there are not too many.
fn part_bytes(asked_for: u64, size: u64) -> u64 {
    let least = size.div_ceil(PARTS_MAX).next_multiple_of(1 << 20);
    asked_for.max(least).max(PART_BYTES_MIN)
}

fn put(name: &Name) -> impl FnOnce(crate::s3::failure::Failure) -> Error {
    failed(format!("put {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_few_enough_and_large_enough() {
        const MIB: u64 = 1 << 20;
        for (asked_for, size, expected) in [
            (8 * MIB, 100 * MIB, 8 * MIB),
            (MIB, 100 * MIB, 5 * MIB),
            (8 * MIB, 80_000 * MIB, 8 * MIB),
            (8 * MIB, 80_001 * MIB, 9 * MIB),
            (8 * MIB, 5 << 40, 525 * MIB),
        ] {
            let found = part_bytes(asked_for, size);
            assert_eq!(found, expected);
            assert!(size.div_ceil(found) <= PARTS_MAX);
        }
    }
}

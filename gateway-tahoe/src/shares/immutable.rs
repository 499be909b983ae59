//! Immutable shares: stored as a whole, once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use storage_txn::{ErrorKind, Value};

use super::{Kind, Shares, put, refused};
use crate::StorageIndex;
use crate::error::{Error, Refusal, Result};
use crate::record::{Lease, Share};

/// Shares of up to so many bytes are one value, given to the transaction as it is.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// How often a share is stored again when what was uploaded for it was lost.
const ATTEMPTS_MAX: usize = 3;

/// The bytes of a share that is to be stored.
#[derive(Debug, Clone)]
pub enum Data {
    /// In memory.
    Bytes(Bytes),
    /// In memory, in pieces.
    Pieces(Arc<[Bytes]>),
    /// A part of a file.
    File {
        /// Which file.
        path: Arc<PathBuf>,
        /// Where in it the share begins.
        offset: u64,
        /// How many bytes it has.
        size: u64,
    },
}

impl Data {
    /// How many bytes there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Pieces(pieces) => pieces.iter().map(|piece| piece.len() as u64).sum(),
            Self::File { size, .. } => *size,
        }
    }

    /// Those in a range.
    pub(crate) async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let mut pieces = self.pieces(range).await?;
        Ok(if pieces.len() == 1 { pieces.remove(0) } else { pieces.concat().into() })
    }

    /// Those in a range, in as few pieces as there are.
    pub(crate) async fn pieces(&self, range: Range<u64>) -> Result<Vec<Bytes>> {
        match self {
            Self::Bytes(bytes) => Ok(vec![bytes.slice(range.start as usize..range.end as usize)]),
            Self::Pieces(pieces) => Ok(within(pieces, range)),
            Self::File { path, offset, .. } => {
                let (path, at) = (path.clone(), offset + range.start);
                let bytes = (range.end - range.start) as usize;
                Ok(vec![crate::files::read_at(&path, at, bytes).await?])
            }
        }
    }
}

/// What is known of a part of a share, so that it need not be read.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// It is in the store already.
    Uploaded(Value),
    /// These are its bytes.
    Held(Arc<[Bytes]>),
}

/// Some parts of a share, by their numbers.
pub(crate) type Parts = BTreeMap<u64, Part>;

impl Shares {
    /// Stores an immutable share, durably, under its number. One that is there already with the same bytes is as good, and
    /// gets no lease by it; whether it was stored now.
    ///
    /// # Errors
    ///
    /// [`Refusal::Conflict`] when one with other bytes is there; what the store says, and what the system says of the file.
    pub async fn put_immutable(
        &self,
        (index, number): (StorageIndex, u64),
        data: &Data,
        leases: &[Lease],
    ) -> Result<bool> {
        self.put_parts((index, number), data, Parts::new(), leases).await
    }

    /// The same, of a share of which some parts are known. What was uploaded of it is gone if it does not come to be.
    pub(crate) async fn put_parts(
        &self,
        (index, number): (StorageIndex, u64),
        data: &Data,
        mut known: Parts,
        leases: &[Lease],
    ) -> Result<bool> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            // On the heap, as it is large.
            let tried = Box::pin(self.try_put(index, number, (data, &mut known), leases));
            match tried.await {
                Ok(()) => return Ok(true),
                Err(error) => {
                    self.discard_parts(&mut known).await;
                    match error {
                        Error::Store(error) if error.kind() == ErrorKind::PreconditionFailed => {
                            self.must_equal(index, number, data).await?;
                            return Ok(false);
                        }
                        Error::Store(error)
                            if error.kind() == ErrorKind::SessionReaped
                                && attempts < ATTEMPTS_MAX => {}
                        error => return Err(error),
                    }
                }
            }
        }
    }

    /// Uploads a part of a share that is not complete yet.
    pub(crate) async fn upload_part(&self, data: &Data, range: Range<u64>) -> Result<Value> {
        self.large(async move {
            let pieces = data.pieces(range).await?;
            Ok(self.core.store.upload_pieces(pieces).await?)
        })
        .await
    }

    /// Lets go of parts that were uploaded.
    pub(crate) async fn discard_parts(&self, parts: &mut Parts) {
        let uploaded = |part: &Part| match part {
            Part::Uploaded(value) => Some(value.clone()),
            Part::Held(_) => None,
        };
        let values: Vec<_> = parts.values().filter_map(uploaded).collect();
        parts.retain(|_, part| matches!(part, Part::Held(_)));
        self.core.store.discard(values).await;
    }

    /// The bytes of each part of a share of this size.
    pub(crate) fn part_range(&self, part: u64, size: u64) -> Range<u64> {
        let bytes = self.core.options.part_bytes;
        let start = part.saturating_mul(bytes);
        start..start.saturating_add(bytes).min(size)
    }

    async fn try_put(
        &self,
        index: StorageIndex,
        number: u64,
        (data, known): (&Data, &mut Parts),
        leases: &[Lease],
    ) -> Result<()> {
        let (size, part_bytes, id) = (data.size(), self.core.options.part_bytes, self.new_data());
        let parts = size.div_ceil(part_bytes);
        let small = match size <= SMALL_BYTES_MAX.min(part_bytes) {
            true => Some(data.read(0..size).await?),
            false => None,
        };
        if small.is_none() {
            let upload = |part: u64| {
                let range = self.part_range(part, size);
                let held = match known.get(&part) {
                    Some(Part::Held(pieces)) => Some(Data::Pieces(pieces.clone())),
                    _ => None,
                };
                async move {
                    let value = match &held {
                        Some(held) => self.upload_part(held, 0..range.end - range.start).await,
                        None => self.upload_part(data, range).await,
                    };
                    (part, value)
                }
            };
            let missing =
                (0..parts).filter(|part| !matches!(known.get(part), Some(Part::Uploaded(_))));
            let missing: Vec<_> = missing.collect();
            let at_once = self.core.options.parts_at_once;
            let uploads: Vec<_> =
                stream::iter(missing).map(upload).buffered(at_once).collect().await;
            let mut failed = None;
            for (part, value) in uploads {
                match value {
                    Ok(value) => drop(known.insert(part, Part::Uploaded(value))),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
        let value = |part: &Part| match part {
            Part::Uploaded(value) => Some(value.clone()),
            Part::Held(_) => None,
        };
        let uploaded: Vec<Value> = match small {
            Some(_) => Vec::new(),
            None => known.values().filter_map(value).collect(),
        };
        let share = Share {
            data: Bytes::copy_from_slice(&id),
            size,
            part_bytes,
            leases: leases.to_vec(),
            indexed: 0,
        };
        let stored = self.transact(|transaction| {
            let (small, uploaded, mut share) = (&small, &uploaded, share.clone());
            async move {
                let key = self.layout().share(index, number);
                // Not read, so that shares of one file that are completed at the same time have nothing in common.
                transaction.require(&key, None)?;
                if let Some(bytes) = small
                    && !bytes.is_empty()
                {
                    transaction.put(self.layout().part(&id, 0), bytes.clone())?;
                }
                for (part, value) in uploaded.iter().enumerate() {
                    transaction.put_value(self.layout().part(&id, part as u64), value)?;
                }
                self.index_share(&transaction, (index, number), &mut share)?;
                self.tally(&transaction, size as i64, 1)?;
                put(&transaction, &key, &share)
            }
        });
        stored.await?;
        self.tallied(size as i64);
        Ok(())
    }

    /// # Errors
    ///
    /// [`Refusal::Conflict`] when the share that is there has other bytes.
    async fn must_equal(&self, index: StorageIndex, number: u64, data: &Data) -> Result<()> {
        const DIFFERS: Refusal = Refusal::Conflict("there is a share of other bytes already");
        let Some(reader) = self.reader(Kind::Immutable, index, number).await? else {
            return refused(DIFFERS);
        };
        if reader.size() != data.size() {
            return refused(DIFFERS);
        }
        let pieces = reader.stream(0..data.size());
        let mut pieces = std::pin::pin!(pieces);
        let mut at = 0;
        while let Some(piece) = pieces.try_next().await? {
            let end = at + piece.len() as u64;
            if data.read(at..end).await? != piece {
                return refused(DIFFERS);
            }
            at = end;
        }
        Ok(())
    }
}

/// The bytes of pieces that are in a range of all of them.
fn within(pieces: &[Bytes], range: Range<u64>) -> Vec<Bytes> {
    let mut found = Vec::new();
    let mut at = 0;
    for piece in pieces {
        let end = at + piece.len() as u64;
        let (from, to) = (range.start.max(at), range.end.min(end));
        if from < to {
            found.push(piece.slice((from - at) as usize..(to - at) as usize));
        }
        at = end;
    }
    found
}

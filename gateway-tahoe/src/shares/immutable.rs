//! Immutable shares: stored as a whole, once.

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
            Self::File { size, .. } => *size,
        }
    }

    /// Those in a range.
    pub(crate) async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.slice(range.start as usize..range.end as usize)),
            Self::File { path, offset, .. } => {
                let (path, at) = (path.clone(), offset + range.start);
                let bytes = (range.end - range.start) as usize;
                crate::files::read_at(&path, at, bytes).await
            }
        }
    }
}

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
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.try_put(index, number, data, leases).await {
                Err(Error::Store(error)) if error.kind() == ErrorKind::PreconditionFailed => {
                    self.must_equal(index, number, data).await?;
                    return Ok(false);
                }
                Err(Error::Store(error))
                    if error.kind() == ErrorKind::SessionReaped && attempts < ATTEMPTS_MAX => {}
                done => return done.map(|()| true),
            }
        }
    }

    async fn try_put(
        &self,
        index: StorageIndex,
        number: u64,
        data: &Data,
        leases: &[Lease],
    ) -> Result<()> {
        let (size, part_bytes, id) = (data.size(), self.core.options.part_bytes, self.new_data());
        let parts = size.div_ceil(part_bytes);
        let range =
            |part: u64| part * part_bytes..(part * part_bytes).saturating_add(part_bytes).min(size);
        let small = match size <= SMALL_BYTES_MAX.min(part_bytes) {
            true => Some(data.read(0..size).await?),
            false => None,
        };
        let uploaded: Vec<Value> = match small {
            Some(_) => Vec::new(),
            None => {
                let upload = |part: u64| {
                    self.large(async move {
                        let bytes = data.read(range(part)).await?;
                        let piece = stream::iter([Ok::<_, std::io::Error>(bytes)]);
                        Ok(self.core.store.upload(piece).await?)
                    })
                };
                let at_once = self.core.options.parts_at_once;
                stream::iter(0..parts).map(upload).buffered(at_once).try_collect().await?
            }
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

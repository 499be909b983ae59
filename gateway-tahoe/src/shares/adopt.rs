//! Mutable files that come from elsewhere, stored as a whole.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use storage_txn::{ErrorKind, Scan, Transaction, Value};

use super::read::BLOCK_BYTES;
use super::{Data, SHARES_MAX, Shares, View, put, refused};
use crate::StorageIndex;
use crate::error::{Error, Refusal, Result};
use crate::record::{Block, Lease, MutableShare, Slot};

/// Shares of up to so many bytes are given to the transaction as they are.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// How often a slot is stored again when what was uploaded for it was lost.
const ATTEMPTS_MAX: usize = 3;
/// Each slot begins with it.
const GENERATION: u64 = 1;

/// A share of a mutable file that comes from elsewhere.
#[derive(Debug, Clone)]
pub struct AdoptedShare {
    /// Its number.
    pub number: u64,
    /// Its bytes.
    pub data: Data,
    /// Its leases.
    pub leases: Vec<Lease>,
}

impl Shares {
    /// Stores a mutable file with all its shares, durably; `false` when there is one of this storage index already, which
    /// stays as it is.
    ///
    /// # Errors
    ///
    /// [`Refusal::Invalid`] for no shares, too many, or two of the same number; [`Refusal::Conflict`] when the file is an
    /// immutable one; what the store says, and what the system says of files.
    pub async fn adopt_slot(
        &self,
        index: StorageIndex,
        write_enabler: &[u8; 32],
        shares: &[AdoptedShare],
    ) -> Result<bool> {
        let ordered = shares.windows(2).all(|pair| pair[0].number < pair[1].number);
        if shares.is_empty() || shares.len() > SHARES_MAX || !ordered {
            let why = format!("a slot has 1 to {SHARES_MAX} shares, in the order of their numbers");
            return refused(Refusal::Invalid(why));
        }
        let _turn = self.turn(index).await;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.try_adopt(index, write_enabler, shares).await {
                Err(Error::Store(error))
                    if error.kind() == ErrorKind::SessionReaped && attempts < ATTEMPTS_MAX => {}
                done => return done,
            }
        }
    }

    async fn try_adopt(
        &self,
        index: StorageIndex,
        write_enabler: &[u8; 32],
        shares: &[AdoptedShare],
    ) -> Result<bool> {
        let mut prepared = Vec::with_capacity(shares.len());
        for share in shares {
            prepared.push(self.prepare(share).await?);
        }
        let bytes: u64 = shares.iter().map(|share| share.data.size()).sum();
        let stored = self
            .transact(|transaction| {
                let prepared = &prepared;
                async move {
                    let view = View::Inside(&transaction);
                    if view.slot(self.layout(), index).await?.is_some() {
                        return Ok(false);
                    }
                    let files = Scan::new(self.layout().shares(index)).limit(1);
                    if !transaction.scan(&files).await?.is_empty() {
                        let why = "the storage index is that of an immutable file";
                        return refused(Refusal::Conflict(why));
                    }
                    for one in prepared {
                        one.put(self, &transaction)?;
                    }
                    let mut slot = Slot {
                        write_enabler: Bytes::copy_from_slice(write_enabler),
                        generation: GENERATION,
                        shares: prepared.iter().map(|one| one.share.clone()).collect(),
                        indexed: 0,
                    };
                    self.index_slot(&transaction, index, &mut slot, true)?;
                    self.tally(&transaction, bytes as i64, prepared.len() as i64)?;
                    put(&transaction, &self.layout().slot(index), &slot)?;
                    Ok(true)
                }
            })
            .await?;
        if stored {
            self.tallied(bytes as i64);
        }
        Ok(stored)
    }

    /// Uploads the blocks of a share that is not small.
    async fn prepare(&self, share: &AdoptedShare) -> Result<Prepared> {
        let (id, size) = (self.new_data(), share.data.size());
        let blocks = 0..size.div_ceil(BLOCK_BYTES);
        let content = match size <= SMALL_BYTES_MAX {
            true => Blocks::Small(share.data.read(0..size).await?),
            false => {
                let upload = |block: u64| {
                    self.large(async move {
                        let start = block * BLOCK_BYTES;
                        let bytes = share.data.read(start..size.min(start + BLOCK_BYTES)).await?;
                        let piece = stream::iter([Ok::<_, std::io::Error>(bytes)]);
                        Ok(self.core.store.upload(piece).await?)
                    })
                };
                let at_once = self.options().parts_at_once;
                let uploaded = stream::iter(blocks.clone()).map(upload).buffered(at_once);
                Blocks::Uploaded(uploaded.try_collect().await?)
            }
        };
        let share = MutableShare {
            number: share.number,
            data: Bytes::copy_from_slice(&id),
            size,
            blocks: blocks.map(|number| Block { number, generation: GENERATION }).collect(),
            leases: share.leases.clone(),
        };
        Ok(Prepared { id, share, content })
    }
}

/// A share whose blocks are ready to be named.
struct Prepared {
    id: crate::layout::DataId,
    share: MutableShare,
    content: Blocks,
}

enum Blocks {
    /// One, or none.
    Small(Bytes),
    Uploaded(Vec<Value>),
}

impl Prepared {
    fn put(&self, shares: &Shares, transaction: &Transaction) -> Result<()> {
        let key = |block: u64| shares.layout().block(&self.id, block, GENERATION);
        match &self.content {
            Blocks::Small(bytes) if bytes.is_empty() => {}
            Blocks::Small(bytes) => transaction.put(key(0), bytes.clone())?,
            Blocks::Uploaded(values) => {
                for (block, value) in values.iter().enumerate() {
                    transaction.put_value(key(block as u64), value)?;
                }
            }
        }
        Ok(())
    }
}

//! A change of one mutable share: writes on top of what is there, block by block.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use storage_txn::Transaction;

use super::read::BLOCK_BYTES;
use super::{Shares, View, Write, data_id, refused};
use crate::error::{Refusal, Result};
use crate::record::{Block, MutableShare};

/// The most bytes of a mutable share, as the stock server has it.
pub(crate) const MUTABLE_BYTES_MAX: u64 = 69_105_000_000_000_000;

/// A mutable share that is being changed.
pub(super) struct Edit<'a> {
    shares: &'a Shares,
    transaction: &'a Transaction,
    share: MutableShare,
    /// What is to be written, by number of the block.
    changed: BTreeMap<u64, BytesMut>,
    /// How many bytes more the changed blocks of the whole transaction may have.
    room: &'a mut usize,
}

impl<'a> Edit<'a> {
    pub(super) fn new(
        shares: &'a Shares,
        transaction: &'a Transaction,
        share: MutableShare,
        room: &'a mut usize,
    ) -> Self {
        Self { shares, transaction, share, changed: BTreeMap::new(), room }
    }

    /// # Errors
    ///
    /// [`Refusal::TooLarge`].
    pub(super) async fn write(&mut self, write: &Write) -> Result<()> {
        let (offset, data) = (write.offset, &write.data);
        let end = offset.checked_add(data.len() as u64).filter(|end| *end <= MUTABLE_BYTES_MAX);
        let Some(end) = end else {
            let why = format!("a mutable share has at most {MUTABLE_BYTES_MAX} bytes");
            return refused(Refusal::TooLarge(why));
        };
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let (block, within) = (at / BLOCK_BYTES, (at % BLOCK_BYTES) as usize);
            let bytes = (data.len() - done).min(BLOCK_BYTES as usize - within);
            let whole = within == 0 && bytes as u64 == BLOCK_BYTES;
            let content = self.block(block, whole).await?;
            let before = content.len();
            if before < within + bytes {
                content.resize(within + bytes, 0);
            }
            content[within..within + bytes].copy_from_slice(&data[done..done + bytes]);
            let grown = content.len() - before;
            self.take(grown)?;
            done += bytes;
        }
        self.share.size = self.share.size.max(end);
        Ok(())
    }

    /// Cuts the share off, if it is longer.
    pub(super) async fn truncate(&mut self, size: u64) -> Result<()> {
        if size >= self.share.size {
            return Ok(());
        }
        self.share.size = size;
        let (last, within) = (size / BLOCK_BYTES, (size % BLOCK_BYTES) as usize);
        // What stays of the last block is written anew, so that nothing old comes back when the share grows again.
        let has_last = self.share.generation_of(last).is_some() || self.changed.contains_key(&last);
        if within > 0 && has_last {
            self.block(last, false).await?.truncate(within);
        }
        let first_gone = if within > 0 { last + 1 } else { last };
        self.changed.split_off(&first_gone);
        let gone = self.share.blocks.partition_point(|block| block.number < first_gone);
        for block in self.share.blocks.split_off(gone) {
            self.delete(block)?;
        }
        Ok(())
    }

    /// The share as it is now, with all that has changed given to the transaction.
    pub(super) fn finish(mut self, generation: u64) -> Result<MutableShare> {
        for (number, content) in std::mem::take(&mut self.changed) {
            let data = data_id(&self.share.data)?;
            let block = Block { number, generation };
            match self.share.blocks.binary_search_by_key(&number, |block| block.number) {
                Ok(at) => {
                    let old = std::mem::replace(&mut self.share.blocks[at], block);
                    self.delete(old)?;
                }
                Err(at) => self.share.blocks.insert(at, block),
            }
            let key = self.shares.layout().block(&data, number, generation);
            self.transaction.put(key, content.freeze())?;
        }
        Ok(self.share)
    }

    /// Takes the whole share away.
    pub(super) fn remove(self) -> Result<()> {
        self.share.blocks.iter().try_for_each(|block| self.delete(*block))
    }

    fn delete(&self, block: Block) -> Result<()> {
        let data = data_id(&self.share.data)?;
        let key = self.shares.layout().block(&data, block.number, block.generation);
        Ok(self.transaction.delete(key)?)
    }

    /// A block to write to. What it holds need not be known if all of it is overwritten.
    async fn block(&mut self, number: u64, whole: bool) -> Result<&mut BytesMut> {
        if !self.changed.contains_key(&number) {
            let old = match whole {
                true => Bytes::new(),
                false => {
                    let view = View::Inside(self.transaction);
                    self.shares.block(view, &self.share, number).await?
                }
            };
            self.take(old.len())?;
            self.changed.insert(number, BytesMut::from(&old[..]));
        }
        Ok(self.changed.entry(number).or_default())
    }

    /// # Errors
    ///
    /// [`Refusal::TooLarge`] when there are more bytes to be changed than fit in memory.
    fn take(&mut self, bytes: usize) -> Result<()> {
        match self.room.checked_sub(bytes) {
            Some(left) => {
                *self.room = left;
                Ok(())
            }
            None => {
                let most = self.shares.options().change_bytes_max;
                let why = format!("one request changes blocks of at most {most} bytes");
                refused(Refusal::TooLarge(why))
            }
        }
    }
}

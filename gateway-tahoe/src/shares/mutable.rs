//! Mutable slots: read-test-write, all of it in one transaction.

use std::collections::BTreeMap;

use bytes::Bytes;
use storage_txn::Transaction;

use super::edit::Edit;
use super::leases::renew;
use super::read::BLOCK_BYTES;
use super::{SHARES_MAX, Shares, View, put, refused};
use crate::StorageIndex;
use crate::error::{Refusal, Result};
use crate::layout::Leased;
use crate::record::{Lease, LeaseSecrets, MutableShare, Slot};

/// Of so many shares a slot is taken to be, where how many is not known yet.
const SHARES_READ: u64 = 4;

/// What is asked of a slot at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadTestWrite {
    /// What must hold of shares, and what is to be written to them then, by number.
    pub changes: BTreeMap<u64, ShareChange>,
    /// What is to be read of every share, as it was before.
    pub reads: Vec<ReadVector>,
}

/// What must hold of one share, and what is to become of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShareChange {
    /// What must hold.
    pub tests: Vec<Test>,
    /// What is written, in order.
    pub writes: Vec<Write>,
    /// How long the share is afterwards, if it is longer; with 0 it is deleted.
    pub new_length: Option<u64>,
}

/// Those bytes of a share that there are in a range must be these. A share that is not there is empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Test {
    /// Where the range begins.
    pub offset: u64,
    /// How many bytes it has.
    pub size: u64,
    /// What must be there.
    pub specimen: Bytes,
}

/// These bytes are written at this place. What lies between the end of the share and them becomes zeros.
#[derive(Clone, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub offset: u64,
    /// What.
    pub data: Bytes,
}

/// A range that is read: as much of it as there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadVector {
    /// Where it begins.
    pub offset: u64,
    /// How many bytes it has.
    pub size: u64,
}

/// What a read-test-write answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether all tests held, so that everything was written.
    pub success: bool,
    /// What was read of every share that there was, by number.
    pub data: BTreeMap<u64, Vec<Bytes>>,
}

impl std::fmt::Debug for Test {
    /// Says how many bytes there are, never which.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Test({}+{}, {} bytes)", self.offset, self.size, self.specimen.len())
    }
}

impl std::fmt::Debug for Write {
    /// Says how many bytes there are, never which.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Write({}, {} bytes)", self.offset, self.data.len())
    }
}

impl ReadTestWrite {
    /// About how many bytes it holds besides those it comes with: blocks that are written to, and what is read of some shares.
    fn memory_bytes(&self) -> u64 {
        let of_block = |write: &Write| (write.data.len() as u64 / BLOCK_BYTES + 2) * BLOCK_BYTES;
        let writes = self.changes.values().flat_map(|change| &change.writes).map(of_block);
        let tests = self.changes.values().flat_map(|change| &change.tests);
        let tests = tests.map(|test| test.specimen.len() as u64);
        let reads = self.reads.iter().map(|read| read.size.saturating_mul(SHARES_READ));
        writes.chain(tests).chain(reads).fold(0, u64::saturating_add)
    }
}

/// Who asks for a read-test-write.
struct Asker<'a> {
    index: StorageIndex,
    enabler: &'a [u8; 32],
    lease: &'a Lease,
}

impl Shares {
    /// Reads from all shares of a slot, tests some of them, and if all tests hold, writes: as if nobody else were there, and
    /// all of it or nothing.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongSecret`] when the slot has another write enabler; [`Refusal::TooLarge`]; [`Refusal::NoSpace`],
    /// [`Refusal::ReadOnly`]; [`Refusal::Conflict`] when the file is an immutable one; what the store says.
    pub async fn read_test_write(
        &self,
        index: StorageIndex,
        enabler: &[u8; 32],
        secrets: &LeaseSecrets,
        request: &ReadTestWrite,
    ) -> Result<Answer> {
        let lease = self.lease(secrets);
        let asker = Asker { index, enabler, lease: &lease };
        let _turn = self.turn(index).await;
        let _memory = self.memory(request.memory_bytes()).await;
        let (answer, bytes) = self
            .transact(|transaction| {
                let asker = &asker;
                async move { self.rtw_in(&transaction, asker, request).await }
            })
            .await?;
        self.tallied(bytes);
        Ok(answer)
    }

    /// The answer, and by how many bytes the slot has grown.
    async fn rtw_in(
        &self,
        transaction: &Transaction,
        asker: &Asker<'_>,
        request: &ReadTestWrite,
    ) -> Result<(Answer, i64)> {
        let view = View::Inside(transaction);
        let slot = view.slot(self.layout(), asker.index).await?;
        if let Some(slot) = &slot
            && !same(&slot.write_enabler, asker.enabler)
        {
            return refused(Refusal::WrongSecret);
        }
        let none = Slot::default();
        let before = slot.as_ref().unwrap_or(&none);
        let data = self.read_all(view, before, &request.reads).await?;
        for (number, change) in &request.changes {
            if !self.holds(view, before, *number, &change.tests).await? {
                return Ok((Answer { success: false, data }, 0));
            }
        }
        if request.changes.is_empty() {
            return Ok((Answer { success: true, data }, 0));
        }
        let grown = self.write_all(transaction, asker, slot, request).await?;
        Ok((Answer { success: true, data }, grown))
    }

    async fn read_all(
        &self,
        view: View<'_>,
        slot: &Slot,
        reads: &[ReadVector],
    ) -> Result<BTreeMap<u64, Vec<Bytes>>> {
        let clip = |share: &MutableShare, read: &ReadVector| {
            let start = read.offset.min(share.size);
            start..read.offset.saturating_add(read.size).clamp(start, share.size)
        };
        let asked =
            slot.shares.iter().flat_map(|share| reads.iter().map(move |read| clip(share, read)));
        let bytes = asked.fold(0_u64, |sum, range| sum.saturating_add(range.end - range.start));
        let most = self.options().answer_bytes_max;
        if bytes > most as u64 {
            let why = format!("{bytes} bytes are more than the {most} that one request reads");
            return refused(Refusal::TooLarge(why));
        }
        let mut data = BTreeMap::new();
        for share in &slot.shares {
            let mut pieces = Vec::with_capacity(reads.len());
            for read in reads {
                pieces.push(self.bytes_of(view, share, clip(share, read)).await?);
            }
            data.insert(share.number, pieces);
        }
        Ok(data)
    }

    async fn holds(
        &self,
        view: View<'_>,
        slot: &Slot,
        number: u64,
        tests: &[Test],
    ) -> Result<bool> {
        let share = slot.shares.iter().find(|share| share.number == number);
        for test in tests {
            let size = share.map_or(0, |share| share.size);
            let start = test.offset.min(size);
            let end = test.offset.saturating_add(test.size).clamp(start, size);
            // What has another length is another, and need not be read.
            if end - start != test.specimen.len() as u64 {
                return Ok(false);
            }
            if let Some(share) = share
                && self.bytes_of(view, share, start..end).await? != test.specimen
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn write_all(
        &self,
        transaction: &Transaction,
        asker: &Asker<'_>,
        slot: Option<Slot>,
        request: &ReadTestWrite,
    ) -> Result<i64> {
        if self.options().read_only {
            return refused(Refusal::ReadOnly);
        }
        let index = asker.index;
        let is_new = slot.is_none();
        if is_new {
            let files = storage_txn::Scan::new(self.layout().shares(index)).limit(1);
            if !transaction.scan(&files).await?.is_empty() {
                return refused(Refusal::Conflict(
                    "the storage index is that of an immutable file",
                ));
            }
        }
        let mut slot = slot.unwrap_or_default();
        slot.generation += 1;
        let (mut bytes, mut count) = (0_i64, 0_i64);
        let mut room = self.options().change_bytes_max;
        for (number, change) in &request.changes {
            let at = slot.shares.binary_search_by_key(number, |share| share.number);
            let old = at.ok().map(|at| slot.shares.remove(at));
            let size_before = old.as_ref().map_or(0, |share| share.size);
            if change.new_length == Some(0) {
                if let Some(share) = old {
                    Edit::new(self, transaction, share, &mut room).remove()?;
                    count -= 1;
                    bytes -= size_before as i64;
                }
                continue;
            }
            count += i64::from(old.is_none());
            let share = old.unwrap_or_else(|| MutableShare {
                number: *number,
                data: Bytes::copy_from_slice(&self.new_data()),
                ..MutableShare::default()
            });
            let mut edit = Edit::new(self, transaction, share, &mut room);
            for write in &change.writes {
                edit.write(write).await?;
            }
            if let Some(length) = change.new_length {
                edit.truncate(length).await?;
            }
            let mut share = edit.finish(slot.generation)?;
            bytes += share.size as i64 - size_before as i64;
            renew(&mut share.leases, asker.lease)?;
            let at = slot.shares.partition_point(|other| other.number < *number);
            slot.shares.insert(at, share);
        }
        if slot.shares.len() > SHARES_MAX {
            let why = format!("a slot has at most {SHARES_MAX} shares");
            return refused(Refusal::Invalid(why));
        }
        if bytes > 0 && self.free_bytes() < bytes as u64 {
            return refused(Refusal::NoSpace);
        }
        let key = self.layout().slot(index);
        if slot.shares.is_empty() {
            if !is_new {
                transaction.delete(self.layout().expiry(slot.indexed, Leased::Slot(index)))?;
                transaction.delete(key)?;
            }
        } else {
            if is_new {
                slot.write_enabler = Bytes::copy_from_slice(asker.enabler);
            }
            self.index_slot(transaction, index, &mut slot, is_new)?;
            put(transaction, &key, &slot)?;
        }
        self.tally(transaction, bytes, count)?;
        Ok(bytes)
    }
}

/// Whether two secrets are the same, in a time that says nothing about where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    // Hashes of this crate are compared so.
    blake3::hash(one) == blake3::hash(other)
}

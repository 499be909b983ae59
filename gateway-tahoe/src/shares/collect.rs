//! Letting go of shares whose leases have all ended, found by the index of expiries.

use bytes::Bytes;
use storage_txn::{At, Scan, Transaction};

use super::edit::Edit;
use super::leases::first_end;
use super::{Shares, View, put};
use crate::StorageIndex;
use crate::error::{Error, Result};
use crate::layout::Leased;
use crate::record::{Lease, Share, decode};

/// A share whose leases have all ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// Which file it is of.
    pub index: StorageIndex,
    /// Its number.
    pub number: u64,
    /// How many bytes it has.
    pub size: u64,
    /// When its last lease ended, in seconds since the Unix epoch.
    pub ended: u64,
}

/// What a collection did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many shares were let go of.
    pub shares: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// How many leases had ended, also of shares that stay.
    pub leases: u64,
}

impl Shares {
    /// Lets go of all shares whose last lease ended `grace_seconds` ago or earlier, and of ended leases of others; `tell` is
    /// told each. With `dry_run` it only says what it would do.
    ///
    /// Looks at what the index of expiries names, and at nothing else.
    ///
    /// # Errors
    ///
    /// What the store says. What was done by then stays done.
    pub async fn collect(
        &self,
        grace_seconds: u64,
        dry_run: bool,
        tell: &mut (dyn FnMut(Expired) + Send),
    ) -> Result<Collected> {
        let until = self.now().saturating_sub(grace_seconds);
        let mut all = Collected::default();
        let snapshot = self.core.store.snapshot(At::Latest).await?;
        let range = self.layout().expiries(until);
        let mut due = snapshot.scan_meta(&Scan::new(range)).await?;
        while let Some(meta) = due.next().await? {
            let found = self.layout().expiry_of(&meta.key);
            let damaged =
                || Error::Damaged("an entry of the index of expiries cannot be read".into());
            let (time, leased) = found.ok_or_else(damaged)?;
            let entry = meta.key;
            let (collected, expired, bytes) = self
                .transact(|transaction| {
                    let entry = entry.clone();
                    async move {
                        self.collect_one(&transaction, &entry, (time, leased), until, dry_run).await
                    }
                })
                .await?;
            self.tallied(-bytes);
            all.shares += collected.shares;
            all.bytes += collected.bytes;
            all.leases += collected.leases;
            expired.into_iter().for_each(&mut *tell);
        }
        Ok(all)
    }

    async fn collect_one(
        &self,
        transaction: &Transaction,
        entry: &Bytes,
        (time, leased): (u64, Leased),
        until: u64,
        dry_run: bool,
    ) -> Result<(Collected, Vec<Expired>, i64)> {
        let mut done = Work { collected: Collected::default(), expired: Vec::new() };
        match leased {
            Leased::Share(index, number) => {
                let key = self.layout().share(index, number);
                let record = transaction.get(&key).await?;
                let Some(mut share) = record.map(decode::<Share>).transpose()? else {
                    return Ok((done.collected, done.expired, 0));
                };
                if share.indexed != time {
                    return Ok((done.collected, done.expired, 0));
                }
                let gone = done.sift(&mut share.leases, (index, number, share.size), until);
                if dry_run {
                    return Ok((done.collected, done.expired, 0));
                }
                transaction.delete(entry)?;
                if gone {
                    let parts = share.size.div_ceil(share.part_bytes.max(1));
                    for part in 0..parts {
                        transaction.delete(self.layout().part(&share.data, part))?;
                    }
                    transaction.delete(&key)?;
                } else {
                    self.index_share(transaction, (index, number), &mut share)?;
                    put(transaction, &key, &share)?;
                }
            }
            Leased::Slot(index) => {
                let view = View::Inside(transaction);
                let Some(mut slot) = view.slot(self.layout(), index).await? else {
                    return Ok((done.collected, done.expired, 0));
                };
                if slot.indexed != time {
                    return Ok((done.collected, done.expired, 0));
                }
                let mut stay = Vec::new();
                for mut share in std::mem::take(&mut slot.shares) {
                    let about = (index, share.number, share.size);
                    let gone = done.sift(&mut share.leases, about, until);
                    match gone {
                        true if !dry_run => {
                            let mut room = 0;
                            Edit::new(self, transaction, share, &mut room).remove()?;
                        }
                        true => {}
                        false => stay.push(share),
                    }
                }
                if dry_run {
                    return Ok((done.collected, done.expired, 0));
                }
                slot.shares = stay;
                transaction.delete(entry)?;
                if slot.shares.is_empty() {
                    transaction.delete(self.layout().slot(index))?;
                } else {
                    let ends = slot.shares.iter().map(|share| first_end(&share.leases));
                    slot.indexed = ends.min().unwrap_or(0);
                    transaction.put(self.layout().expiry(slot.indexed, leased), Vec::new())?;
                    put(transaction, &self.layout().slot(index), &slot)?;
                }
            }
        }
        let bytes = done.collected.bytes as i64;
        self.tally(transaction, -bytes, -(done.collected.shares as i64))?;
        Ok((done.collected, done.expired, bytes))
    }
}

struct Work {
    collected: Collected,
    expired: Vec<Expired>,
}

impl Work {
    /// Takes the leases away that have ended; whether none is left.
    fn sift(
        &mut self,
        leases: &mut Vec<Lease>,
        (index, number, size): (StorageIndex, u64, u64),
        until: u64,
    ) -> bool {
        let ended = leases.iter().map(|lease| lease.expires).max().unwrap_or(0);
        let before = leases.len();
        leases.retain(|lease| lease.expires > until);
        self.collected.leases += (before - leases.len()) as u64;
        let gone = leases.is_empty();
        if gone {
            self.collected.shares += 1;
            self.collected.bytes += size;
            self.expired.push(Expired { index, number, size, ended });
        }
        gone
    }
}

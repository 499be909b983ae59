//! How far a handle knows the log, and what that adds up to.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use storage_log::{Head, LogId, Record};

use crate::change::Change;
use crate::format::commit::CommitRecord;
use crate::format::entry::{Batch, Logged};
use crate::memtable::Memtable;
use crate::view::View;
use crate::writes::Writes;
use crate::{Error, ErrorKind, Result, TransactionId, Version, space};

/// How many of the last entries tell who else is writing.
const WRITERS_REMEMBERED: usize = 32;

/// The log up to a slot, applied.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) head: Head,
    /// The version of the last transaction.
    pub(crate) version: Version,
    /// The time of the last entry, in microseconds since the Unix epoch.
    pub(crate) time: u64,
    pub(crate) view: Arc<View>,
    writers: VecDeque<u64>,
}

impl State {
    pub(crate) fn new(log: LogId) -> Self {
        let view = View { memtables: vec![Arc::new(Memtable::default())], runs: Vec::new() };
        Self {
            head: Head::genesis(log),
            version: Version::ZERO,
            time: 0,
            view: Arc::new(view),
            writers: VecDeque::new(),
        }
    }

    /// Takes in the next record of the log. One that is known already is passed over, so that several may
    /// read the log at the same time.
    pub(crate) fn advance(&mut self, record: &Record) -> Result<()> {
        if record.slot() <= self.head.slot {
            return Ok(());
        }
        let head = self.head.follow(record)?;
        let body = record.body().ok_or_else(|| {
            Error::new(
                ErrorKind::SnapshotExpired,
                format!(
                    "this handle has slept while log slot {} was collected: open the store again",
                    record.slot()
                ),
            )
        })?;
        let batch = Batch::decode(body)?;
        if batch.first.0 != self.version.0 + 1 || batch.time < self.time {
            return Err(Error::corrupt(format!(
                "log slot {} does not go on from version {}",
                record.slot(),
                self.version
            )));
        }
        for (at, transaction) in batch.transactions.iter().enumerate() {
            let version = Version(batch.first.0 + at as u64);
            self.apply(version, record.slot().0, batch.time, transaction)?;
            self.version = version;
        }
        self.head = head;
        self.time = batch.time;
        self.writers.push_back(writer(record));
        if self.writers.len() > WRITERS_REMEMBERED {
            self.writers.pop_front();
        }
        Ok(())
    }

    fn apply(&self, version: Version, slot: u64, time: u64, transaction: &Logged) -> Result<()> {
        let memtable = &self.view.memtables[0];
        memtable.apply(version, &transaction.writes);
        let mut derived = Writes::default();
        let record = CommitRecord::of(transaction, slot, time).encode_to_vec();
        derived.change(space::commit(version), Change::Put(record.into()))?;
        let number = Bytes::copy_from_slice(&version.0.to_be_bytes());
        derived.change(space::id(transaction.id), Change::Put(number))?;
        memtable.apply(version, &derived);
        Ok(())
    }

    /// How many different writers the last entries are from.
    pub(crate) fn writers(&self) -> usize {
        let mut writers: Vec<_> = self.writers.iter().collect();
        writers.sort_unstable();
        writers.dedup();
        writers.len()
    }
}

/// Who appended a record: handles draw the first half of their nonces once.
fn writer(record: &Record) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = record.nonce();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The version under which a transaction id is found.
pub(crate) fn version_of(value: &[u8], id: TransactionId) -> Result<Version> {
    let bytes = value.try_into().map_err(|_| {
        Error::corrupt(format!("what is kept of transaction {id} is not a version"))
    })?;
    Ok(Version(u64::from_be_bytes(bytes)))
}

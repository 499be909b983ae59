//! The body of an entry of the log: a list of transactions.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use crate::change::{Change, Merge};
use crate::writes::{Range, Writes};
use crate::{Error, Result, TransactionId, Version};

/// One entry of the log: transactions with consecutive versions.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// The version of the first of them.
    pub(crate) first: Version,
    /// When it was made, in microseconds since the Unix epoch; never less than that of the entry before.
    pub(crate) time: u64,
    pub(crate) transactions: Vec<Logged>,
}

/// A transaction as the log keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) id: TransactionId,
    pub(crate) author: String,
    pub(crate) message: String,
    /// It only takes the id, so that no transaction of this id can be committed any more.
    pub(crate) cancelled: bool,
    pub(crate) writes: Writes,
}

impl Batch {
    /// The bytes of a batch of these transactions, which need not be given away for it.
    pub(crate) fn encode<'a>(
        first: Version,
        time: u64,
        transactions: impl IntoIterator<Item = &'a Logged>,
    ) -> Vec<u8> {
        let transactions = transactions.into_iter().map(transaction_to_wire).collect();
        wire::Batch { first: first.0, time, transactions }.encode_to_vec()
    }

    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), saying what is wrong.
    pub(crate) fn decode(body: &Bytes) -> Result<Self> {
        let batch = wire::Batch::decode(body.clone()).map_err(|error| {
            Error::corrupt(format!("the body of a log entry cannot be read: {error}"))
        })?;
        let transactions: Result<_> =
            batch.transactions.into_iter().map(transaction_from_wire).collect();
        Ok(Self { first: Version(batch.first), time: batch.time, transactions: transactions? })
    }
}

fn transaction_to_wire(transaction: &Logged) -> wire::Transaction {
    let points = transaction.writes.points().map(|(key, change)| wire::Write {
        key: key.clone(),
        change: Some(change_to_wire(change)),
    });
    let ranges = transaction.writes.ranges().iter().map(|range| wire::Write {
        key: range.start.clone(),
        change: Some(wire::Change::DeleteUpTo(range.end.clone())),
    });
    wire::Transaction {
        id: Bytes::copy_from_slice(&transaction.id.0),
        author: transaction.author.clone(),
        message: transaction.message.clone(),
        writes: ranges.chain(points).collect(),
        cancelled: transaction.cancelled,
    }
}

fn transaction_from_wire(transaction: wire::Transaction) -> Result<Logged> {
    let id = transaction.id[..]
        .try_into()
        .map_err(|_| Error::corrupt("a transaction id in a log entry does not have 16 bytes"))?;
    let mut writes = Writes::default();
    for write in transaction.writes {
        match write.change {
            Some(wire::Change::DeleteUpTo(end)) => {
                writes.delete_range(Range { start: write.key, end });
            }
            Some(change) => writes.change(write.key, change_from_wire(change)?)?,
            None => return Err(Error::corrupt("a write in a log entry is of an unknown kind")),
        }
    }
    Ok(Logged {
        id: TransactionId(id),
        author: transaction.author,
        message: transaction.message,
        cancelled: transaction.cancelled,
        writes,
    })
}

pub(crate) fn change_to_wire(change: &Change) -> wire::Change {
    match change {
        Change::Put(value) => wire::Change::Put(value.clone()),
        Change::Ref(value) => wire::Change::Ref((**value).clone()),
        Change::Delete => wire::Change::Delete(wire::Nothing {}),
        Change::Merge(merges) => {
            let merges = merges.iter().map(|merge| wire::Merge {
                merge: Some(match merge {
                    Merge::Add(number) => wire::MergeKind::Add(*number),
                    Merge::Max(number) => wire::MergeKind::Max(*number),
                    Merge::Append(bytes) => wire::MergeKind::Append(bytes.clone()),
                }),
            });
            wire::Change::Merge(wire::Merges { merges: merges.collect() })
        }
    }
}

pub(crate) fn change_from_wire(change: wire::Change) -> Result<Change> {
    Ok(match change {
        wire::Change::Put(value) => Change::Put(value),
        wire::Change::Ref(value) => Change::Ref(Arc::new(value.check()?)),
        wire::Change::Merge(merges) => {
            Change::Merge(merges.merges.into_iter().map(merge_from_wire).collect::<Result<_>>()?)
        }
        wire::Change::Delete(_) | wire::Change::DeleteUpTo(_) => Change::Delete,
    })
}

fn merge_from_wire(merge: wire::Merge) -> Result<Merge> {
    Ok(match merge.merge {
        Some(wire::MergeKind::Add(number)) => Merge::Add(number),
        Some(wire::MergeKind::Max(number)) => Merge::Max(number),
        Some(wire::MergeKind::Append(bytes)) => Merge::Append(bytes),
        None => return Err(Error::corrupt("a merge in a log entry is of an unknown kind")),
    })
}

/// Protocol Buffers: unknown fields are skipped, so fields may be added; a change of an unknown kind is not
/// skipped but refused.
pub(crate) mod wire {
    use bytes::Bytes;

    use crate::format::value::ValueRef;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Batch {
        #[prost(uint64, tag = "1")]
        pub(crate) first: u64,
        #[prost(uint64, tag = "2")]
        pub(crate) time: u64,
        #[prost(message, repeated, tag = "3")]
        pub(crate) transactions: Vec<Transaction>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Transaction {
        #[prost(bytes = "bytes", tag = "1")]
        pub(crate) id: Bytes,
        #[prost(string, tag = "2")]
        pub(crate) author: String,
        #[prost(string, tag = "3")]
        pub(crate) message: String,
        #[prost(message, repeated, tag = "4")]
        pub(crate) writes: Vec<Write>,
        #[prost(bool, tag = "5")]
        pub(crate) cancelled: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Write {
        #[prost(bytes = "bytes", tag = "1")]
        pub(crate) key: Bytes,
        #[prost(oneof = "Change", tags = "2, 3, 4, 5, 6")]
        pub(crate) change: Option<Change>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Change {
        #[prost(bytes = "bytes", tag = "2")]
        Put(Bytes),
        #[prost(message, tag = "3")]
        Delete(Nothing),
        #[prost(bytes = "bytes", tag = "4")]
        DeleteUpTo(Bytes),
        #[prost(message, tag = "5")]
        Merge(Merges),
        #[prost(message, tag = "6")]
        Ref(ValueRef),
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(crate) struct Nothing {}

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Merges {
        #[prost(message, repeated, tag = "1")]
        pub(crate) merges: Vec<Merge>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Merge {
        #[prost(oneof = "MergeKind", tags = "1, 2, 3")]
        pub(crate) merge: Option<MergeKind>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum MergeKind {
        #[prost(sint64, tag = "1")]
        Add(i64),
        #[prost(sint64, tag = "2")]
        Max(i64),
        #[prost(bytes = "bytes", tag = "3")]
        Append(Bytes),
    }
}

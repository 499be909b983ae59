//! The body of an entry of the log: a list of transactions.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use prost::encoding::{
    WireType, bool as boolean, encode_key, encode_varint, encoded_len_varint, string, uint64,
};

use crate::change::{Change, Merge};
use crate::format::commit::bytes_field;
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
        let mut body = Vec::new();
        if first != Version::ZERO {
            uint64::encode(1, &first.0, &mut body);
        }
        if time != 0 {
            uint64::encode(2, &time, &mut body);
        }
        for transaction in transactions {
            encode_key(3, WireType::LengthDelimited, &mut body);
            encode_varint(transaction_bytes(transaction) as u64, &mut body);
            encode_transaction(transaction, &mut body);
        }
        body
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

// Transactions are encoded as they are, and not as messages made of them: that would copy them in small pieces, on the
// task that all who commit wait for.

pub(crate) fn encode_transaction(transaction: &Logged, body: &mut Vec<u8>) {
    bytes_field(1, &transaction.id.0, body);
    if !transaction.author.is_empty() {
        string::encode(2, &transaction.author, body);
    }
    if !transaction.message.is_empty() {
        string::encode(3, &transaction.message, body);
    }
    for range in transaction.writes.ranges() {
        encode_write(&range.start, Target::EmptyUpTo(&range.end), body);
    }
    for (key, change) in transaction.writes.points() {
        encode_write(key, Target::Change(change), body);
    }
    if transaction.cancelled {
        boolean::encode(5, &true, body);
    }
}

/// How many bytes that adds.
fn transaction_bytes(transaction: &Logged) -> usize {
    let text = |text: &str| if text.is_empty() { 0 } else { field_bytes(text.len()) };
    let ranges = transaction.writes.ranges().iter();
    let ranges = ranges.map(|range| write_bytes(&range.start, Target::EmptyUpTo(&range.end)));
    let points = transaction.writes.points();
    let points = points.map(|(key, change)| write_bytes(key, Target::Change(change)));
    field_bytes(transaction.id.0.len())
        + text(&transaction.author)
        + text(&transaction.message)
        + ranges.chain(points).map(field_bytes).sum::<usize>()
        + if transaction.cancelled { 2 } else { 0 }
}

/// What is done to a key, or from there on.
#[derive(Clone, Copy)]
enum Target<'a> {
    Change(&'a Change),
    EmptyUpTo(&'a Bytes),
}

fn encode_write(key: &Bytes, target: Target<'_>, body: &mut Vec<u8>) {
    encode_key(4, WireType::LengthDelimited, body);
    encode_varint(write_bytes(key, target) as u64, body);
    if !key.is_empty() {
        bytes_field(1, key, body);
    }
    match target {
        Target::Change(Change::Put(value)) => bytes_field(2, value, body),
        Target::Change(change) => change_to_wire(change).encode(body),
        Target::EmptyUpTo(end) => bytes_field(4, end, body),
    }
}

/// How many bytes a write has, its own field aside.
fn write_bytes(key: &Bytes, target: Target<'_>) -> usize {
    let change = match target {
        Target::Change(Change::Put(value)) => field_bytes(value.len()),
        Target::Change(change) => change_to_wire(change).encoded_len(),
        Target::EmptyUpTo(end) => field_bytes(end.len()),
    };
    change + if key.is_empty() { 0 } else { field_bytes(key.len()) }
}

/// How many bytes a field of so many takes. All fields here have numbers below 16, which take one.
fn field_bytes(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

/// # Errors
///
/// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), saying what is wrong.
pub(crate) fn transaction_from_wire(transaction: wire::Transaction) -> Result<Logged> {
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
        Change::Ref(value) => wire::Change::Ref(Box::new((**value).clone())),
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
        #[prost(message, optional, tag = "4")]
        pub(crate) moved: Option<Moved>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Moved {
        #[prost(string, tag = "1")]
        pub(crate) from: String,
        #[prost(string, tag = "2")]
        pub(crate) to: String,
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
        /// Boxed, as it is large and rare.
        #[prost(message, boxed, tag = "6")]
        Ref(Box<ValueRef>),
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

#[cfg(test)]
mod tests;

//! Commit records: what is kept of each transaction beside its writes.

use bytes::{BufMut, Bytes};
use prost::encoding::{WireType, encode_key, encode_varint, string, uint64};

use crate::format::entry::Logged;
use crate::{Error, Result, Version, space};

/// A transaction without its values, as it is found under its version.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CommitRecord {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) id: Bytes,
    /// The slot of the log entry it was committed with.
    #[prost(uint64, tag = "2")]
    pub(crate) slot: u64,
    /// In microseconds since the Unix epoch.
    #[prost(uint64, tag = "3")]
    pub(crate) time: u64,
    #[prost(string, tag = "4")]
    pub(crate) author: String,
    #[prost(string, tag = "5")]
    pub(crate) message: String,
    #[prost(bool, tag = "6")]
    pub(crate) cancelled: bool,
    /// The users' keys it changed.
    #[prost(bytes = "bytes", repeated, tag = "7")]
    pub(crate) keys: Vec<Bytes>,
    /// The ranges of users' keys it emptied: each a start and an end.
    #[prost(bytes = "bytes", repeated, tag = "8")]
    pub(crate) ranges: Vec<Bytes>,
}

/// Adds the bytes of the record of a transaction, without making a [`CommitRecord`]: every transaction has one and few
/// are ever read.
pub(crate) fn encode_record(transaction: &Logged, slot: u64, time: u64, record: &mut Vec<u8>) {
    let users = space::all(space::USER);
    bytes_field(1, &transaction.id.0, record);
    if slot != 0 {
        uint64::encode(2, &slot, record);
    }
    if time != 0 {
        uint64::encode(3, &time, record);
    }
    if !transaction.author.is_empty() {
        string::encode(4, &transaction.author, record);
    }
    if !transaction.message.is_empty() {
        string::encode(5, &transaction.message, record);
    }
    if transaction.cancelled {
        prost::encoding::bool::encode(6, &true, record);
    }
    for (key, _) in transaction.writes.points_within(&users) {
        bytes_field(7, key.get(1..).unwrap_or_default(), record);
    }
    for range in transaction.writes.ranges().iter().filter(|range| users.contains(&range.start)) {
        bytes_field(8, &range.start, record);
        bytes_field(8, &range.end, record);
    }
}

/// Adds a field of bytes.
pub(super) fn bytes_field(tag: u32, bytes: &[u8], record: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, record);
    encode_varint(bytes.len() as u64, record);
    record.put_slice(bytes);
}

impl CommitRecord {
    pub(crate) fn of(transaction: &Logged, slot: u64, time: u64) -> Self {
        let users = space::all(space::USER);
        let points = transaction.writes.points_within(&users);
        let ranges =
            transaction.writes.ranges().iter().filter(|range| users.contains(&range.start));
        Self {
            id: Bytes::copy_from_slice(&transaction.id.0),
            slot,
            time,
            author: transaction.author.clone(),
            message: transaction.message.clone(),
            cancelled: transaction.cancelled,
            keys: points.map(|(key, _)| space::strip(key)).collect(),
            ranges: ranges.flat_map(|range| [range.start.clone(), range.end.clone()]).collect(),
        }
    }

    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt).
    pub(crate) fn decode_at(version: Version, value: Bytes) -> Result<Self> {
        prost::Message::decode(value).map_err(|error| {
            Error::corrupt(format!(
                "the commit record of version {version} cannot be read: {error}"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::TransactionId;
    use crate::change::Change;
    use crate::writes::{Range, Writes};

    #[test]
    fn a_record_has_the_same_bytes_however_it_is_made() {
        let user = |name: &str| space::key(space::USER, name.as_bytes());
        let range = |start: &str, end: &str| Range { start: user(start), end: user(end) };
        let mut some = Writes::default();
        some.change(user("b"), Change::Delete).expect("it is a put");
        some.change(user(""), Change::Put(Bytes::from_static(b"1"))).expect("it is a put");
        some.change(space::system(b"name"), Change::Delete).expect("it is a put");
        let mut ranges = some.clone();
        ranges.delete_range(range("c", "d"));
        ranges.delete_range(space::all(space::SYSTEM));
        ranges.delete_range(range("", "a"));
        for writes in [Writes::default(), some, ranges] {
            for (author, message, cancelled) in [("", "", false), ("me", "why", true)] {
                let transaction = Logged {
                    id: TransactionId([7; 16]),
                    author: author.to_owned(),
                    message: message.to_owned(),
                    cancelled,
                    writes: writes.clone(),
                };
                for (slot, time) in [(0, 0), (1, 1 << 50)] {
                    let mut made = Vec::new();
                    encode_record(&transaction, slot, time, &mut made);
                    let record = CommitRecord::of(&transaction, slot, time);
                    assert_eq!(made, record.encode_to_vec(), "{record:?}");
                }
            }
        }
    }
}

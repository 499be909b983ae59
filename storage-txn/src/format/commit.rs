//! Commit records: what is kept of each transaction beside its writes.

use bytes::Bytes;

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

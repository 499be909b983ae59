//! What an entry says by which the log goes on in another place: where it was, and where it is now.

use bytes::Bytes;
use prost::Message;
use storage_log::Record;

use crate::format::entry::wire;
use crate::format::root::LogAt;
use crate::{Error, Result, Version};

/// That a log goes on in another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) from: LogAt,
    pub(crate) to: LogAt,
}

impl Moved {
    /// The body of the entry: a batch without transactions, before the version `next`, that says this too.
    pub(crate) fn encode(&self, next: Version, time: u64) -> Vec<u8> {
        let moved = wire::Moved { from: self.from.to_string(), to: self.to.to_string() };
        wire::Batch { first: next.0, time, transactions: Vec::new(), moved: Some(moved) }
            .encode_to_vec()
    }

    /// What a record says; `None` of one that does not move the log.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt).
    pub(crate) fn of(record: &Record) -> Result<Option<Self>> {
        let Some(body) = record.body().filter(|_| record.is_move()) else { return Ok(None) };
        let corrupt = || {
            let slot = record.slot();
            Error::corrupt(format!(
                "the entry in log slot {slot} does not say where the log goes on"
            ))
        };
        let batch = wire::Batch::decode(body.clone()).map_err(|_| corrupt())?;
        let wire::Moved { from, to } = batch.moved.ok_or_else(corrupt)?;
        match (LogAt::parse(&from), LogAt::parse(&to)) {
            (Some(from), Some(to)) if batch.transactions.is_empty() => Ok(Some(Self { from, to })),
            _ => Err(corrupt()),
        }
    }

    /// Two lines of text: what is written down of a move that is under way.
    pub(crate) fn to_text(self) -> Bytes {
        format!("from {}\nto {}\n", self.from, self.to).into()
    }

    /// Reads those; `None` if they are none.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(text).ok()?.lines();
        let from = LogAt::parse(lines.next()?.strip_prefix("from ")?)?;
        let to = LogAt::parse(lines.next()?.strip_prefix("to ")?)?;
        Some(Self { from, to }).filter(|moved| moved.to_text() == text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

    use storage_log::{Entry, Head, LogId};

    use super::*;
    use crate::format::entry::Batch;

    #[test]
    fn a_move_is_read_as_it_was_written_and_is_a_batch_of_no_transactions() {
        let (log, moved) = (LogId([7; 16]), Moved { from: LogAt::Provider, to: LogAt::Quorum(9) });
        let body = moved.encode(Version(5), 17);
        let entry = Entry::moving(log, Head::genesis(log), [1; 16], &body);
        assert_eq!(Moved::of(&Record::from(&entry)).unwrap(), Some(moved));
        let batch = Batch::decode(&body.clone().into()).unwrap();
        assert_eq!((batch.first, batch.time, batch.transactions.len()), (Version(5), 17, 0));
        // The same bytes in an entry that moves nothing say nothing.
        let entry = Entry::new(log, Head::genesis(log), [1; 16], &body);
        assert_eq!(Moved::of(&Record::from(&entry)).unwrap(), None);
        let entry = Entry::moving(log, Head::genesis(log), [1; 16], b"");
        assert!(Moved::of(&Record::from(&entry)).is_err());
    }

    #[test]
    fn places_of_a_log_are_written_in_one_way() {
        for at in [LogAt::Provider, LogAt::Folder(1), LogAt::Quorum(u128::MAX)] {
            assert_eq!(LogAt::parse(&at.to_string()), Some(at));
            let moved = Moved { from: at, to: LogAt::Folder(3) };
            assert_eq!(Moved::parse(&moved.to_text()), Some(moved));
        }
        for wrong in
            ["", "provider ", "provider 1", "quorum", "other 00000000000000000000000000000001"]
        {
            assert_eq!(LogAt::parse(wrong), None, "{wrong}");
        }
        for wrong in
            ["from provider\n", "from provider\nto provider", "to provider\nfrom provider\n"]
        {
            assert_eq!(Moved::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}

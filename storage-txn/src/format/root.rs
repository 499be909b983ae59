//! The object `format`: which store this is, and in which format.

use bytes::Bytes;
use storage_log::LogId;

use crate::{Error, ErrorKind, Result};

/// The first line of the object.
const MAGIC: &str = "cloudbank store";
/// The versions of the format that this program knows: with the log on the same provider, with it somewhere else, and
/// with it on the same provider and not to be written to, as it follows that of another store.
const HERE: u32 = 1;
const ELSEWHERE: u32 = 2;
const REPLICA: u32 = 3;

/// What the object says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Root {
    /// The id of the store and of its log.
    pub(crate) id: LogId,
    /// Where the log is.
    pub(crate) log: LogAt,
    /// Whether it follows another store of this id, on whose provider the log is too.
    pub(crate) is_replica: bool,
}

/// Where the log of a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogAt {
    /// On the provider that keeps this object, in the folder `log`.
    Provider,
    /// On a quorum of voters, each of which has a folder of this name.
    Quorum(u128),
}

impl Root {
    /// Three or four lines of text, so that a person who finds a bucket can tell what it is.
    pub(crate) fn encode(&self) -> Bytes {
        let Self { id, log, is_replica } = self;
        match log {
            LogAt::Provider if *is_replica => {
                format!("{MAGIC}\nformat {REPLICA}\nid {id}\nreplica\n")
            }
            LogAt::Provider => format!("{MAGIC}\nformat {HERE}\nid {id}\n"),
            LogAt::Quorum(token) => {
                format!("{MAGIC}\nformat {ELSEWHERE}\nid {id}\nlog quorum {token:032x}\n")
            }
        }
        .into()
    }

    /// # Errors
    ///
    /// [`ErrorKind::UnknownFormat`] for another version, [`ErrorKind::Corrupt`] for anything else.
    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        let corrupt = || Error::corrupt("the object \"format\" is not that of a cloudbank store");
        let text = std::str::from_utf8(body).map_err(|_| corrupt())?;
        let mut lines = text.lines();
        if lines.next() != Some(MAGIC) {
            return Err(corrupt());
        }
        let format =
            lines.next().and_then(|line| line.strip_prefix("format ")).ok_or_else(corrupt)?;
        if ![HERE, ELSEWHERE, REPLICA].iter().any(|known| format == known.to_string()) {
            return Err(Error::new(
                ErrorKind::UnknownFormat,
                format!(
                    "the store is of format {format}, and this program knows formats {HERE} to {REPLICA}"
                ),
            ));
        }
        let id = lines.next().and_then(|line| line.strip_prefix("id ")).ok_or_else(corrupt)?;
        let id: crate::TransactionId = id.parse().map_err(|_| corrupt())?;
        let (mut log, mut is_replica) = (LogAt::Provider, false);
        match lines.next() {
            None => {}
            Some("replica") => is_replica = true,
            Some(line) => {
                let token = line.strip_prefix("log quorum ").ok_or_else(corrupt)?;
                log = LogAt::Quorum(u128::from_str_radix(token, 16).map_err(|_| corrupt())?);
            }
        }
        let root = Self { id: LogId(id.0), log, is_replica };
        // There is one way to write it.
        if body != root.encode() { Err(corrupt()) } else { Ok(root) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

    use super::*;

    #[test]
    fn a_format_that_this_program_does_not_know_is_told_from_one_that_is_damaged() {
        let root = Root { id: LogId([7; 16]), log: LogAt::Provider, is_replica: false };
        let text = String::from_utf8(root.encode().to_vec()).unwrap();
        let of = |format: &str| text.replacen(&format!("format {HERE}"), format, 1);
        assert_eq!(Root::decode(of(&format!("format {HERE}")).as_bytes()).unwrap(), root);
        let next = format!("format {}", REPLICA + 1);
        for (what, body, expected) in [
            ("the next one", of(&next), ErrorKind::UnknownFormat),
            ("none", of("format"), ErrorKind::Corrupt),
            ("another word", of(&format!("formats {HERE}")), ErrorKind::Corrupt),
            ("that of another kind", of(&format!("format {ELSEWHERE}")), ErrorKind::Corrupt),
            ("no id", text.replacen("id ", "di ", 1), ErrorKind::Corrupt),
            ("more than there is", format!("{text}more\n"), ErrorKind::Corrupt),
        ] {
            assert_ne!(body, text, "{what}");
            let error = Root::decode(body.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), expected, "{what}: {error}");
        }
    }
}

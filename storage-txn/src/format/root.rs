//! The object `format`: which store this is, and in which format.

use std::fmt;

use bytes::Bytes;
use storage_log::LogId;

use crate::{Error, ErrorKind, Result};

/// The first line of the object.
const MAGIC: &str = "cloudbank store";
/// The versions of the format that this program knows: with the log on the same provider, with it somewhere else,
/// with it on the same provider and not to be written to, as it follows that of another store, and with it on the same
/// provider again, in another folder.
const HERE: u32 = 1;
const ELSEWHERE: u32 = 2;
const REPLICA: u32 = 3;
const MOVED: u32 = 4;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogAt {
    /// On the provider that keeps this object, in the folder `log`.
    Provider,
    /// There too, in a folder of this name, as it was moved there.
    Folder(u128),
    /// On a quorum of voters, each of which has a folder of this name.
    Quorum(u128),
}

impl LogAt {
    /// The folder of its entries, on the provider of the objects or on each voter. Each log has another, so that nothing is
    /// mixed up of one that was left and one that is moved there.
    pub(crate) fn folder(self) -> String {
        match self {
            Self::Provider => "log/".to_owned(),
            // After all slots in the order of names.
            Self::Folder(token) => format!("log/m{token:032x}/"),
            Self::Quorum(token) => format!("quorum/{token:032x}/"),
        }
    }

    /// Reads what [`Display`](fmt::Display) has written.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let token = |text| u128::from_str_radix(text, 16).ok();
        let at = match text.split_once(' ') {
            None => Self::Provider,
            Some(("provider", text)) => Self::Folder(token(text)?),
            Some((_, text)) => Self::Quorum(token(text)?),
        };
        // There is one way to write it.
        (at.to_string() == text).then_some(at)
    }
}

impl fmt::Display for LogAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider => f.write_str("provider"),
            Self::Folder(token) => write!(f, "provider {token:032x}"),
            Self::Quorum(token) => write!(f, "quorum {token:032x}"),
        }
    }
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
            LogAt::Folder(_) => format!("{MAGIC}\nformat {MOVED}\nid {id}\nlog {log}\n"),
            LogAt::Quorum(_) => format!("{MAGIC}\nformat {ELSEWHERE}\nid {id}\nlog {log}\n"),
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
        if ![HERE, ELSEWHERE, REPLICA, MOVED].iter().any(|known| format == known.to_string()) {
            return Err(Error::new(
                ErrorKind::UnknownFormat,
                format!(
                    "the store is of format {format}, and this program knows formats {HERE} to {MOVED}"
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
                log = line.strip_prefix("log ").and_then(LogAt::parse).ok_or_else(corrupt)?;
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
        let next = format!("format {}", MOVED + 1);
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

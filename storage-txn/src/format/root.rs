//! The object `format`: which store this is, and in which format.

use bytes::Bytes;
use storage_log::LogId;

use crate::{Error, ErrorKind, Result};

/// The first line of the object.
const MAGIC: &str = "cloudbank store";
/// The version of the format that this program writes, and the only one it reads.
const FORMAT: u32 = 1;

/// What the object says: three lines of text, so that a person who finds a bucket can tell what it is.
pub(crate) fn encode(id: LogId) -> Bytes {
    format!("{MAGIC}\nformat {FORMAT}\nid {id}\n").into()
}

/// # Errors
///
/// [`ErrorKind::UnknownFormat`] for another version, [`ErrorKind::Corrupt`] for anything else.
pub(crate) fn decode(body: &[u8]) -> Result<LogId> {
    let corrupt = || Error::corrupt("the object \"format\" is not that of a cloudbank store");
    let text = std::str::from_utf8(body).map_err(|_| corrupt())?;
    let mut lines = text.lines();
    if lines.next() != Some(MAGIC) {
        return Err(corrupt());
    }
    let format = lines.next().and_then(|line| line.strip_prefix("format ")).ok_or_else(corrupt)?;
    if format != FORMAT.to_string() {
        return Err(Error::new(
            ErrorKind::UnknownFormat,
            format!("the store is of format {format}, and this program knows format {FORMAT}"),
        ));
    }
    let id = lines.next().and_then(|line| line.strip_prefix("id ")).ok_or_else(corrupt)?;
    let id: crate::TransactionId = id.parse().map_err(|_| corrupt())?;
    let id = LogId(id.0);
    // There is one way to write it.
    if body != encode(id) { Err(corrupt()) } else { Ok(id) }
}

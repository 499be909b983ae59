//! The keys inside: a byte for the space, then the key proper.

use bytes::{BufMut, Bytes, BytesMut};

use crate::format::value::ValueId;
use crate::writes::Range;
use crate::{TransactionId, Version};

/// Users' keys.
pub(crate) const USER: u8 = b'k';
/// What the store says of itself, by name. See [`System`](crate::system::System).
pub(crate) const SYSTEM: u8 = b's';
/// Commit records, by version. Derived from the log, never written to it.
pub(crate) const COMMIT: u8 = b'c';
/// Versions, by transaction id. Derived likewise.
pub(crate) const ID: u8 = b'i';
/// Who needs which large value: by the upload, the version that put it and the user's key. Derived likewise; the
/// value is empty.
pub(crate) const VALUE: u8 = b'v';

/// The key as it is called inside.
pub(crate) fn key(space: u8, key: &[u8]) -> Bytes {
    let mut inside = BytesMut::with_capacity(1 + key.len());
    inside.put_u8(space);
    inside.put_slice(key);
    inside.freeze()
}

/// A system key.
pub(crate) fn system(name: &[u8]) -> Bytes {
    key(SYSTEM, name)
}

/// The key of a commit record: versions in their own order.
pub(crate) fn commit(version: Version) -> Bytes {
    key(COMMIT, &version.0.to_be_bytes())
}

/// The key under which the version of a transaction is found.
pub(crate) fn id(id: TransactionId) -> Bytes {
    key(ID, &id.0)
}

/// The key of the record that a user's `key`, as it is called inside, needs a large value since `version`.
pub(crate) fn value(id: ValueId, version: Version, user: &[u8]) -> Bytes {
    let mut inside = BytesMut::from(&value_prefix(id)[..]);
    inside.put_u64(version.0);
    inside.put_slice(user.get(1..).unwrap_or_default());
    inside.freeze()
}

/// What such a record says: the upload, the version that put it, the user's key as it is called inside.
pub(crate) type ValueRecord = (ValueId, Version, Bytes);

/// Reads one; `None` for what is none.
pub(crate) fn value_record(inside: &[u8]) -> Option<ValueRecord> {
    let number = |at: std::ops::Range<usize>| inside.get(at);
    let id = ValueId {
        session: u64::from_be_bytes(number(1..9)?.try_into().ok()?),
        number: u32::from_be_bytes(number(9..13)?.try_into().ok()?),
    };
    let version = u64::from_be_bytes(number(13..21)?.try_into().ok()?);
    Some((id, Version(version), key(USER, &inside[21..])))
}

/// The keys of all such records of one upload.
pub(crate) fn values(id: ValueId) -> Range {
    let start = value_prefix(id);
    let mut end = start.to_vec();
    // No upload has the highest number of all, and it would only make the range empty.
    match id.number.checked_add(1) {
        Some(next) => end[9..].copy_from_slice(&next.to_be_bytes()),
        None => end.extend([u8::MAX; 9]),
    }
    Range { start, end: end.into() }
}

fn value_prefix(id: ValueId) -> Bytes {
    let mut inside = BytesMut::with_capacity(21);
    inside.put_u8(VALUE);
    inside.put_u64(id.session);
    inside.put_u32(id.number);
    inside.freeze()
}

/// All keys of a space. Asked of every transaction, so it allocates nothing.
pub(crate) fn all(space: u8) -> Range {
    let byte = |at: usize| Bytes::from_static(&BYTES[at..=at]);
    Range { start: byte(usize::from(space)), end: byte(usize::from(space) + 1) }
}

/// Every byte at its place.
static BYTES: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut at = 0;
    while at < 256 {
        bytes[at] = at as u8;
        at += 1;
    }
    bytes
};

/// The key without its space.
pub(crate) fn strip(inside: &Bytes) -> Bytes {
    inside.slice(1..)
}

//! Containers of mutable shares: a head with places for four leases, the share, room for it to grow, more leases.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::container::{Container, Content, bytes, invalid, number_u32, number_u64};
use super::lease::{self, MUTABLE_BYTES, Schema};

/// What a container of a mutable share begins with.
pub(super) const MAGIC_BYTES: usize = 32;
const MAGIC_PLAIN: &[u8; MAGIC_BYTES] = b"Tahoe mutable container v1\n\x75\x09\x44\x03\x8e";
const MAGIC_HASHED: &[u8; MAGIC_BYTES] = b"Tahoe mutable container v2\n\xc3\x55\x21\x99\x25";
/// The magic, the node, the write enabler, the size of the share, where the other leases are.
const HEAD_BYTES: u64 = 32 + 20 + 32 + 8 + 8;
/// So many leases have their place before the share.
const PLACES: usize = 4;
/// Where the share begins.
const DATA_AT: u64 = HEAD_BYTES + PLACES as u64 * MUTABLE_BYTES;
/// How the count of the other leases is written.
const COUNT_BYTES: u64 = 4;

/// The schema, if that is the begin of such a container.
pub(super) fn schema(begin: &[u8; MAGIC_BYTES]) -> Option<Schema> {
    match begin {
        MAGIC_PLAIN => Some(Schema::Plain),
        MAGIC_HASHED => Some(Schema::Hashed),
        _ => None,
    }
}

pub(super) fn read(
    from: &mut (impl Read + Seek),
    schema: Schema,
    length: u64,
) -> io::Result<Container> {
    if length < DATA_AT + COUNT_BYTES {
        let least = DATA_AT + COUNT_BYTES;
        return Err(invalid(format!(
            "a mutable container has at least {least} bytes, this has {length}"
        )));
    }
    from.seek(SeekFrom::Start(MAGIC_BYTES as u64))?;
    let (node, write_enabler) = (bytes(from)?, bytes(from)?);
    let (size, others_at) = (number_u64(from)?, number_u64(from)?);
    let is_whole = DATA_AT.checked_add(size).is_some_and(|end| end <= others_at)
        && others_at <= length - COUNT_BYTES;
    if !is_whole {
        return Err(invalid(format!(
            "{length} bytes cannot have a share of {size} bytes before leases at {others_at}"
        )));
    }
    let mut leases = Vec::new();
    for _ in 0..PLACES {
        leases.extend(schema.read_mutable(from)?);
    }
    from.seek(SeekFrom::Start(others_at))?;
    let others = number_u32(from)?;
    if length - others_at - COUNT_BYTES < u64::from(others) * MUTABLE_BYTES {
        return Err(invalid(format!(
            "{length} bytes have no room for the {others} leases that it should have at {others_at}"
        )));
    }
    let mut from = io::BufReader::new(from);
    for _ in 0..others {
        leases.extend(schema.read_mutable(&mut from)?);
    }
    let content = Content::Mutable { node, write_enabler };
    Ok(Container { schema, content, offset: DATA_AT, size, leases })
}

pub(super) fn write(
    container: &Container,
    (node, write_enabler): (&[u8; 20], &[u8; 32]),
    share: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    to: &mut impl Write,
) -> io::Result<()> {
    to.write_all(MAGIC_HASHED)?;
    to.write_all(node)?;
    to.write_all(write_enabler)?;
    to.write_all(&container.size.to_be_bytes())?;
    let others_at = container.size.checked_add(DATA_AT);
    to.write_all(&others_at.ok_or_else(|| invalid("the share is too large"))?.to_be_bytes())?;
    for place in 0..PLACES {
        lease::write_mutable(container.leases.get(place), node, to)?;
    }
    share(to)?;
    let others = container.leases.get(PLACES..).unwrap_or_default();
    to.write_all(&lease::count(others.len())?)?;
    others.iter().try_for_each(|lease| lease::write_mutable(Some(lease), node, to))
}

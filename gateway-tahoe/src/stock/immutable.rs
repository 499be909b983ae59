//! Containers of immutable shares: a head of 12 bytes, the share, its leases.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::container::{Container, Content, invalid, number_u32};
use super::lease::{self, IMMUTABLE_BYTES, Schema};

/// Version, the size of the share as far as four bytes tell it, the count of leases.
const HEAD_BYTES: u64 = 12;
/// The second schema.
const VERSION: u32 = 2;

pub(super) fn read(from: &mut (impl Read + Seek), length: u64) -> io::Result<Container> {
    if length < HEAD_BYTES {
        return Err(invalid(format!(
            "a container has at least {HEAD_BYTES} bytes, this has {length}"
        )));
    }
    from.seek(SeekFrom::Start(0))?;
    let schema = match number_u32(from)? {
        1 => Schema::Plain,
        2 => Schema::Hashed,
        other => {
            return Err(invalid(format!(
                "it is no container of a share: neither is it mutable, nor is {other} a version of immutable ones"
            )));
        }
    };
    // The size is told by the length of the file; the number in the head has too few bytes for that.
    number_u32(from)?;
    let count = number_u32(from)?;
    let leases_at = length.checked_sub(u64::from(count) * IMMUTABLE_BYTES);
    let leases_at = leases_at.filter(|at| *at >= HEAD_BYTES).ok_or_else(|| {
        invalid(format!("{length} bytes have no room for the {count} leases that it should have"))
    })?;
    from.seek(SeekFrom::Start(leases_at))?;
    let mut from = io::BufReader::new(from);
    let leases = (0..count).map(|_| schema.read_immutable(&mut from)).collect::<io::Result<_>>()?;
    let size = leases_at - HEAD_BYTES;
    Ok(Container { schema, content: Content::Immutable, offset: HEAD_BYTES, size, leases })
}

pub(super) fn write(
    container: &Container,
    share: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    to: &mut impl Write,
) -> io::Result<()> {
    to.write_all(&VERSION.to_be_bytes())?;
    to.write_all(&u32::try_from(container.size).unwrap_or(u32::MAX).to_be_bytes())?;
    to.write_all(&lease::count(container.leases.len())?)?;
    share(to)?;
    container.leases.iter().try_for_each(|lease| lease::write_immutable(lease, to))
}

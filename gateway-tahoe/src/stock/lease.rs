//! Leases in containers, in both schemas.

use std::io::{self, Read, Write};

use bytes::Bytes;

use super::container::{bytes, invalid, number_u32};
use crate::{Lease, lease_hash};

/// How the secrets of leases are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// The first: as they are.
    Plain,
    /// The second: BLAKE2b-256 of them.
    Hashed,
}

/// How many bytes a lease of an immutable share has.
pub(super) const IMMUTABLE_BYTES: u64 = 4 + 32 + 32 + 4;
/// How many bytes a lease of a mutable share has.
pub(super) const MUTABLE_BYTES: u64 = 4 + 4 + 32 + 32 + 20;
/// The owner of every lease that the stock server writes into a mutable share. Nobody is 0, and means no lease.
const OWNER: u32 = 1;
/// And into an immutable one.
const IMMUTABLE_OWNER: u32 = 0;

impl Schema {
    fn lease(self, renew: [u8; 32], cancel: [u8; 32], expires: u32) -> Lease {
        let kept = |secret: [u8; 32]| match self {
            Self::Plain => lease_hash(&secret),
            Self::Hashed => Bytes::copy_from_slice(&secret),
        };
        Lease { renew_hash: kept(renew), cancel_hash: kept(cancel), expires: expires.into() }
    }

    /// A lease of an immutable share.
    pub(super) fn read_immutable(self, from: &mut impl Read) -> io::Result<Lease> {
        number_u32(from)?;
        let (renew, cancel, expires) = (bytes(from)?, bytes(from)?, number_u32(from)?);
        Ok(self.lease(renew, cancel, expires))
    }

    /// A lease of a mutable share, if there is one in this place.
    pub(super) fn read_mutable(self, from: &mut impl Read) -> io::Result<Option<Lease>> {
        let (owner, expires) = (number_u32(from)?, number_u32(from)?);
        let (renew, cancel) = (bytes(from)?, bytes(from)?);
        bytes::<20>(from)?;
        Ok((owner != 0).then(|| self.lease(renew, cancel, expires)))
    }
}

/// Writes a lease of an immutable share, in the second schema.
pub(super) fn write_immutable(lease: &Lease, to: &mut dyn Write) -> io::Result<()> {
    to.write_all(&IMMUTABLE_OWNER.to_be_bytes())?;
    to.write_all(&secret(&lease.renew_hash)?)?;
    to.write_all(&secret(&lease.cancel_hash)?)?;
    to.write_all(&time(lease.expires).to_be_bytes())
}

/// Writes a lease of a mutable share, in the second schema, or that there is none.
pub(super) fn write_mutable(
    lease: Option<&Lease>,
    node: &[u8; 20],
    to: &mut dyn Write,
) -> io::Result<()> {
    let Some(lease) = lease else { return to.write_all(&[0; MUTABLE_BYTES as usize]) };
    to.write_all(&OWNER.to_be_bytes())?;
    to.write_all(&time(lease.expires).to_be_bytes())?;
    to.write_all(&secret(&lease.renew_hash)?)?;
    to.write_all(&secret(&lease.cancel_hash)?)?;
    to.write_all(node)
}

/// How many leases there are, as a container counts them.
pub(super) fn count(leases: usize) -> io::Result<[u8; 4]> {
    let count = u32::try_from(leases).map_err(|_| invalid("there are too many leases"))?;
    Ok(count.to_be_bytes())
}

fn secret(hash: &Bytes) -> io::Result<[u8; 32]> {
    hash.as_ref().try_into().map_err(|_| invalid("the hash of a secret has not 32 bytes"))
}

/// The format has room for times until 2106. What ends later ends then.
fn time(expires: u64) -> u32 {
    u32::try_from(expires).unwrap_or(u32::MAX)
}

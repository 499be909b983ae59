//! The records of shares, slots and leases, as they are stored (`docs/formats/tahoe.md`).

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};
use bytes::Bytes;
use prost::Message;

use crate::error::{Error, Result};

/// How long a lease lasts, in seconds: 31 days.
pub const LEASE_SECONDS: u64 = 31 * 24 * 60 * 60;

/// A lease on a share, as it is kept: with hashes of its secrets.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Lease {
    /// BLAKE2b-256 of the secret that renews it.
    #[prost(bytes = "bytes", tag = "1")]
    pub renew_hash: Bytes,
    /// BLAKE2b-256 of the secret that would cancel it.
    #[prost(bytes = "bytes", tag = "2")]
    pub cancel_hash: Bytes,
    /// When it ends, in seconds since the Unix epoch.
    #[prost(uint64, tag = "3")]
    pub expires: u64,
}

/// The two secrets that come with a lease.
#[derive(Clone, PartialEq, Eq)]
pub struct LeaseSecrets {
    /// Renews it.
    pub renew: [u8; 32],
    /// Would cancel it; the protocol has no way to.
    pub cancel: [u8; 32],
}

impl std::fmt::Debug for LeaseSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LeaseSecrets")
    }
}

impl LeaseSecrets {
    /// The lease that they make, until `expires`.
    #[must_use]
    pub fn lease(&self, expires: u64) -> Lease {
        Lease {
            renew_hash: lease_hash(&self.renew),
            cancel_hash: lease_hash(&self.cancel),
            expires,
        }
    }
}

/// What is kept of a secret of a lease: BLAKE2b-256, as in the second schema of the stock server.
#[must_use]
pub fn lease_hash(secret: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&Blake2b::<U32>::digest(secret))
}

/// An immutable share.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Share {
    /// What names its data.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) data: Bytes,
    /// How many bytes it has.
    #[prost(uint64, tag = "2")]
    pub(crate) size: u64,
    /// How many bytes each part of its data but the last has.
    #[prost(uint64, tag = "3")]
    pub(crate) part_bytes: u64,
    #[prost(message, repeated, tag = "4")]
    pub(crate) leases: Vec<Lease>,
    /// The time under which it stands in the index of expiries: that of the first lease to end, or earlier.
    #[prost(uint64, tag = "5")]
    pub(crate) indexed: u64,
}

/// A mutable slot: the shares of one mutable file.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Slot {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) write_enabler: Bytes,
    /// How often it was written to.
    #[prost(uint64, tag = "2")]
    pub(crate) generation: u64,
    /// By number.
    #[prost(message, repeated, tag = "3")]
    pub(crate) shares: Vec<MutableShare>,
    /// As in `Share`.
    #[prost(uint64, tag = "4")]
    pub(crate) indexed: u64,
}

/// A share of a slot.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct MutableShare {
    #[prost(uint64, tag = "1")]
    pub(crate) number: u64,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data: Bytes,
    #[prost(uint64, tag = "3")]
    pub(crate) size: u64,
    /// Those that are there, by number; all others are zeros.
    #[prost(message, repeated, tag = "4")]
    pub(crate) blocks: Vec<Block>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) leases: Vec<Lease>,
}

/// A block of a mutable share.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Block {
    #[prost(uint64, tag = "1")]
    pub(crate) number: u64,
    /// Which generation of the slot wrote it.
    #[prost(uint64, tag = "2")]
    pub(crate) generation: u64,
}

/// A report that a share is corrupt.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Corruption {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) index: Bytes,
    #[prost(uint64, tag = "2")]
    pub(crate) number: u64,
    #[prost(bool, tag = "3")]
    pub(crate) mutable: bool,
    #[prost(string, tag = "4")]
    pub(crate) reason: String,
}

/// Reads a record.
///
/// # Errors
///
/// [`Error::Damaged`].
pub(crate) fn decode<R: Message + Default>(bytes: Bytes) -> Result<R> {
    R::decode(bytes).map_err(|error| Error::Damaged(format!("a record cannot be read: {error}")))
}

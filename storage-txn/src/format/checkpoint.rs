//! Checkpoints: where to begin reading, instead of at the beginning of the log.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use storage_core::Key;
use storage_log::{Head, LogId};

use crate::store::key;
use crate::system::{Flushed, System};
use crate::{Error, ErrorKind, Result, Version};

/// What the names of checkpoints begin with.
pub(crate) const PREFIX: &str = "checkpoint/";
const MAGIC: [u8; 4] = *b"cbck";
/// The version of the format that this program writes, and the only one it reads.
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 12;

/// A state from which the rest of the log can be applied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checkpoint {
    /// Everything up to here is in the segments that `system` names.
    pub(crate) flushed: Flushed,
    /// All system keys, as they were at `version`.
    pub(crate) system: System,
    /// At or after what is flushed: what later entries say of system keys up to this version is known.
    pub(crate) version: Version,
}

impl Checkpoint {
    pub(crate) fn head(&self) -> Result<Head> {
        self.flushed.head()
    }

    /// Its name. Of two the one to be preferred comes first; two of the same name are the same.
    pub(crate) fn key(&self) -> Result<Key> {
        key(format!("{PREFIX}{:016x}={:016x}", !self.flushed.slot, !self.version.0))
    }

    /// The slot that a name of this form stands for.
    pub(crate) fn slot(name: &Key) -> Option<u64> {
        let (slot, _) = name.as_str().strip_prefix(PREFIX)?.split_once('=')?;
        u64::from_str_radix(slot, 16).ok().map(|slot| !slot)
    }

    pub(crate) fn encode(&self, log: LogId) -> Bytes {
        let entries = self.system.entries().map(|(key, version, value)| wire::Entry {
            key: key.clone(),
            version: version.0,
            value: value.clone(),
        });
        let message = wire::Checkpoint {
            log: Bytes::copy_from_slice(&log.0),
            flushed: Some(self.flushed.clone()),
            version: self.version.0,
            system: entries.collect(),
        };
        let message = message.encode_to_vec();
        let mut body = BytesMut::with_capacity(HEADER_BYTES + message.len());
        body.put_slice(&MAGIC);
        body.put_u32_le(FORMAT);
        body.put_u32_le(crc_fast::crc32_iscsi(&message));
        body.put_slice(&message);
        body.freeze()
    }

    /// The checkpoint that is stored under `name`, of the store whose log is `log`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownFormat`], [`ErrorKind::Corrupt`].
    pub(crate) fn decode(log: LogId, name: &Key, body: &Bytes) -> Result<Self> {
        let corrupt = |why: &str| Error::corrupt(format!("{name}: {why}"));
        if body.len() < HEADER_BYTES || body[..4] != MAGIC {
            return Err(corrupt("it is not a checkpoint"));
        }
        if body[4..8] != FORMAT.to_le_bytes() {
            return Err(Error::new(
                ErrorKind::UnknownFormat,
                format!("{name} is of a format that this program does not know; it knows {FORMAT}"),
            ));
        }
        let message = body.slice(HEADER_BYTES..);
        if body[8..12] != crc_fast::crc32_iscsi(&message).to_le_bytes() {
            return Err(corrupt("it does not have the checksum it should"));
        }
        let message = wire::Checkpoint::decode(message)
            .map_err(|error| corrupt(&format!("it cannot be read: {error}")))?;
        if message.log[..] != log.0 {
            return Err(corrupt("it belongs to another store"));
        }
        let flushed = message.flushed.ok_or_else(|| corrupt("it does not say where it stands"))?;
        let entries = message.system.into_iter();
        let system =
            System::of(entries.map(|entry| (entry.key, Version(entry.version), entry.value)));
        let checkpoint = Self { flushed, system, version: Version(message.version) };
        checkpoint.head()?;
        if checkpoint.key()? != *name {
            return Err(corrupt("it is stored under the name of another"));
        }
        Ok(checkpoint)
    }
}

mod wire {
    use bytes::Bytes;

    use crate::system::Flushed;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Checkpoint {
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) log: Bytes,
        #[prost(message, optional, tag = "2")]
        pub(super) flushed: Option<Flushed>,
        #[prost(uint64, tag = "3")]
        pub(super) version: u64,
        #[prost(message, repeated, tag = "4")]
        pub(super) system: Vec<Entry>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Entry {
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) key: Bytes,
        #[prost(uint64, tag = "2")]
        pub(super) version: u64,
        #[prost(bytes = "bytes", tag = "3")]
        pub(super) value: Bytes,
    }
}

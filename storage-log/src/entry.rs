//! What is appended, and what is found at a slot; their bytes are described in `docs/formats/log.md`.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{EntryId, Error, Head, LogId, Result, Slot};

/// How many bytes a stored entry has beside its body.
pub const ENTRY_OVERHEAD_BYTES: usize = HEADER;

const MAGIC: [u8; 4] = *b"cbl1";
const ENTRY: u8 = 0;
const TOMBSTONE: u8 = 1;
const MOVE: u8 = 2;
/// Where the parts of the header are: magic, kind, log, slot, previous, nonce, id.
const HASHED: usize = 80;
const HEADER: usize = HASHED + HASH;
const HASH: usize = 32;

/// An entry that is to be appended: its bytes, framed for one slot of one log. Or what another log of this id has there,
/// to be copied: see [`Record::to_entry`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    record: Record,
    bytes: Bytes,
}

impl Entry {
    /// Frames `body` for the slot after `head`. The `nonce` is drawn at random: it makes two entries
    /// different that would otherwise have the same bytes, so that each writer can tell its own.
    #[must_use]
    pub fn new(log: LogId, head: Head, nonce: [u8; 16], body: &[u8]) -> Self {
        Self::framed(ENTRY, log, head, nonce, body)
    }

    /// As [`new`](Self::new), of the entry by which the log goes on elsewhere: nothing follows it here. Where it goes on is
    /// in the body, and the matter of whoever reads that.
    #[must_use]
    pub fn moving(log: LogId, head: Head, nonce: [u8; 16], body: &[u8]) -> Self {
        Self::framed(MOVE, log, head, nonce, body)
    }

    fn framed(kind: u8, log: LogId, head: Head, nonce: [u8; 16], body: &[u8]) -> Self {
        let slot = head.slot.next();
        let mut bytes = BytesMut::with_capacity(HEADER + body.len());
        put_header(&mut bytes, kind, log, slot, head.id, nonce);
        let id = hash(&bytes, body);
        bytes.put_slice(&id.0);
        bytes.put_slice(body);
        let bytes = bytes.freeze();
        let body = Some(bytes.slice(HEADER..));
        let is_move = kind == MOVE;
        Self { record: Record { log, slot, previous: head.id, nonce, id, body, is_move }, bytes }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.record.id
    }

    /// Where it is to stand.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.record.slot
    }

    /// All of its bytes, as they are stored.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Entry").field(&self.record).finish()
    }
}

/// What stands at a slot: an entry, or what is left of one that was collected. Verified when it is made.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Record {
    log: LogId,
    slot: Slot,
    previous: EntryId,
    nonce: [u8; 16],
    id: EntryId,
    body: Option<Bytes>,
    is_move: bool,
}

impl Record {
    /// Reads and verifies what is stored at `slot` of `log`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] for anything but the unchanged bytes of an entry or tombstone of this log at
    /// this slot.
    ///
    /// # Examples
    ///
    /// ```
    /// use storage_log::{Entry, Head, LogId, Record, Slot};
    ///
    /// let log = LogId([7; 16]);
    /// let entry = Entry::new(log, Head::genesis(log), [1; 16], b"hello");
    /// let record = Record::decode(log, Slot(1), entry.bytes().clone())?;
    /// assert_eq!(record.body().map(|body| &body[..]), Some(&b"hello"[..]));
    /// let cut = entry.bytes().slice(..entry.bytes().len() - 1);
    /// assert!(Record::decode(log, Slot(1), cut).is_err());
    /// # Ok::<(), storage_log::Error>(())
    /// ```
    pub fn decode(log: LogId, slot: Slot, bytes: Bytes) -> Result<Self> {
        let corrupt = |why: String| Error::corrupt(slot, why);
        if bytes.len() < HEADER {
            return Err(corrupt(format!("{} bytes are too few for an entry", bytes.len())));
        }
        if bytes[..4] != MAGIC {
            return Err(corrupt("it is not an entry of a format this program knows".into()));
        }
        let record = Self {
            log: LogId(array(&bytes, 8)),
            slot: Slot(u64::from_le_bytes(array(&bytes, 24))),
            previous: EntryId(array(&bytes, 32)),
            nonce: array(&bytes, 64),
            id: EntryId(array(&bytes, HASHED)),
            body: [ENTRY, MOVE].contains(&bytes[4]).then(|| bytes.slice(HEADER..)),
            is_move: bytes[4] == MOVE,
        };
        let sound = match (bytes[4], &record.body) {
            (ENTRY | MOVE, Some(body)) => hash(&bytes[..HASHED], body) == record.id,
            (TOMBSTONE, _) => {
                bytes.len() == HEADER + HASH && seal(&bytes[..HEADER])[..] == bytes[HEADER..]
            }
            (kind, _) => return Err(corrupt(format!("it is of the unknown kind {kind}"))),
        };
        if !sound {
            return Err(corrupt("its bytes do not have the hash they should".into()));
        }
        if record.log != log {
            return Err(corrupt(format!("it belongs to the log {}, not {log}", record.log)));
        }
        if record.slot != slot {
            return Err(corrupt(format!("it holds the entry of slot {}", record.slot)));
        }
        Ok(record)
    }

    /// The bytes that stand in its place once it is collected: the same, whoever makes them and when.
    #[must_use]
    pub fn tombstone(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HEADER + HASH);
        put_header(&mut bytes, TOMBSTONE, self.log, self.slot, self.previous, self.nonce);
        bytes.put_slice(&self.id.0);
        let seal = seal(&bytes);
        bytes.put_slice(&seal);
        bytes.freeze()
    }

    /// The same for another log of this id, where it is to stand in the same slot: the entry, or its tombstone.
    #[must_use]
    pub fn to_entry(&self) -> Entry {
        let Self { log, slot, previous, nonce, .. } = *self;
        let Some(body) = &self.body else {
            return Entry { record: self.clone(), bytes: self.tombstone() };
        };
        // Slots begin at 1.
        let head = Head { slot: Slot(slot.0.saturating_sub(1)), id: previous };
        Entry::framed(if self.is_move { MOVE } else { ENTRY }, log, head, nonce, body)
    }

    /// Whether the log goes on elsewhere after it: see [`Entry::moving`]. Such an entry is never collected.
    #[must_use]
    pub fn is_move(&self) -> bool {
        self.is_move
    }

    /// Where it stands.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The id of the entry before it.
    #[must_use]
    pub fn previous(&self) -> EntryId {
        self.previous
    }

    /// Its own id; of a collected entry, the id that it had.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// What its writer drew to make it unlike any other entry.
    #[must_use]
    pub fn nonce(&self) -> [u8; 16] {
        self.nonce
    }

    /// What was appended; `None` once it is collected.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }
}

impl From<&Entry> for Record {
    fn from(entry: &Entry) -> Self {
        entry.record.clone()
    }
}

impl std::fmt::Debug for Record {
    /// Says how much there is, never what.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Record");
        debug.field("slot", &self.slot.0).field("id", &self.id).field("previous", &self.previous);
        match &self.body {
            Some(body) => debug.field("body", &format_args!("{} bytes", body.len())),
            None => debug.field("body", &"collected"),
        };
        if self.is_move {
            debug.field("is_move", &true);
        }
        debug.finish_non_exhaustive()
    }
}

fn put_header(
    bytes: &mut BytesMut,
    kind: u8,
    log: LogId,
    slot: Slot,
    previous: EntryId,
    nonce: [u8; 16],
) {
    bytes.put_slice(&MAGIC);
    bytes.put_slice(&[kind, 0, 0, 0]);
    bytes.put_slice(&log.0);
    bytes.put_u64_le(slot.0);
    bytes.put_slice(&previous.0);
    bytes.put_slice(&nonce);
}

fn hash(header: &[u8], body: &[u8]) -> EntryId {
    let mut hasher = blake3::Hasher::new_derive_key("cloudbank log entry 1");
    hasher.update(header).update(body);
    EntryId(hasher.finalize().into())
}

/// What proves a tombstone whole: it cannot be checked against the entry's hash without its body.
fn seal(header: &[u8]) -> [u8; HASH] {
    blake3::derive_key("cloudbank log tombstone 1", header)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the length was checked")
}

#[cfg(test)]
mod tests;

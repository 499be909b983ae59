//! Places in a log, and the chain of hashes that joins them.

use std::fmt;

use crate::{Error, Record, Result};

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl std::fmt::Display for $name {
            /// In lower-case hexadecimal.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}

pub(crate) use identity;

identity! {
    /// Which log it is: drawn at random when the log is made, and part of every entry, so that an
    /// entry copied from another log is recognised.
    LogId, 16
}

identity! {
    /// The name of an entry: a BLAKE3 hash of its log, its slot, the id of the entry before it and all
    /// of its bytes. Whoever knows an id has, through the chain, the whole log before it.
    EntryId, 32
}

/// A place in a log. Entries stand at 1, 2, 3 and so on without a gap; 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

impl Slot {
    /// The slot after this one.
    ///
    /// # Panics
    ///
    /// After 2^64 entries, which no log will have.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("no log has 2^64 entries"))
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far a log is known: the last entry read, by slot and id.
///
/// # Examples
///
/// ```
/// use storage_log::{Entry, Head, LogId, Record};
///
/// let head = Head::genesis(LogId([7; 16]));
/// let entry = Entry::new(LogId([7; 16]), head, [1; 16], b"hello");
/// let next = head.follow(&Record::from(&entry))?;
/// assert_eq!((next.slot.0, next.id), (1, entry.id()));
/// # Ok::<(), storage_log::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// The slot of the last entry read; 0 when there is none.
    pub slot: Slot,
    /// Its id; before the first entry, a hash of the log's own id.
    pub id: EntryId,
}

impl Head {
    /// The head of an empty log.
    #[must_use]
    pub fn genesis(log: LogId) -> Self {
        let id =
            blake3::Hasher::new_derive_key("cloudbank log genesis 1").update(&log.0).finalize();
        Self { slot: Slot(0), id: EntryId(id.into()) }
    }

    /// The head after `record`, if it is the next one and continues this very log.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when it stands at another slot or continues another history: the log has been
    /// rolled back, forked or mixed with another.
    pub fn follow(self, record: &Record) -> Result<Self> {
        if record.slot() != self.slot.next() {
            return Err(Error::corrupt(
                self.slot.next(),
                format!("it holds the entry of slot {}", record.slot()),
            ));
        }
        if record.previous() != self.id {
            return Err(Error::corrupt(
                record.slot(),
                format!(
                    "it continues {} and not {}, the entry before it: the log was rolled back or forked",
                    record.previous(),
                    self.id
                ),
            ));
        }
        Ok(Self { slot: record.slot(), id: record.id() })
    }
}

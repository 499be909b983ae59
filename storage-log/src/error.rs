//! What can go wrong with a log.

use std::fmt;

use crate::Slot;

/// The result of an operation on a log.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation on a log did not succeed.
///
/// It never stands for an append of which nobody knows: that is
/// [`Appended::Unknown`](crate::Appended::Unknown), a result and not an error.
#[derive(Debug)]
pub enum Error {
    /// What stores the log failed. For an append: this call has not appended the entry.
    Storage(storage_core::Error),
    /// What is stored is not what was appended, or not in the order it was. Do not go on from it; look
    /// into it.
    Corrupt {
        /// Where.
        slot: Slot,
        /// What is wrong.
        why: String,
    },
}

impl Error {
    pub(crate) fn corrupt(slot: Slot, why: impl Into<String>) -> Self {
        Self::Corrupt { slot, why: why.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(error) => error.fmt(f),
            Self::Corrupt { slot, why } => write!(f, "log slot {slot}: corrupt: {why}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Storage(error) => error.source(),
            Self::Corrupt { .. } => None,
        }
    }
}

impl From<storage_core::Error> for Error {
    fn from(error: storage_core::Error) -> Self {
        Self::Storage(error)
    }
}

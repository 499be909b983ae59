//! What can go wrong with a store, and what to do about it.

use std::fmt;

use storage_core::Key;

use crate::TransactionId;

/// The result of an operation on a store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation on a store did not succeed. Act on [`kind`](Self::kind).
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// The object that was looked for and is not there.
    missing: Option<Key>,
}

/// What kind of failure it is. Two kinds differ where a caller would act differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something the transaction read has changed since, and nothing was done. Run it again on a new
    /// snapshot, as [`Store::transact`](crate::Store::transact) does.
    Conflict,
    /// A precondition of the transaction does not hold, and nothing was done. Decide again.
    PreconditionFailed,
    /// The closure of the transaction gave up, and nothing was done: see [`Error::abort`].
    Aborted,
    /// [`Store::outcome`](crate::Store::outcome) was asked about this transaction before it was committed, and
    /// has shut it out. Nothing was done.
    Cancelled,
    /// Nobody knows whether the transaction was committed, or still will be. Ask
    /// [`Store::outcome`](crate::Store::outcome) with this id; do not run it again before that.
    CommitUnknown(TransactionId),
    /// The version asked for is no longer kept. Take a newer one.
    SnapshotExpired,
    /// Another process took this handle for dead, as it had begun to store something and not gone on for long, and
    /// has committed that nothing of this counts. Nothing was done. Run it again, uploads included, as
    /// [`Store::transact`](crate::Store::transact) does: the handle has begun a new session. Only if that says the
    /// same, as it may right after the index was lost, open the store anew.
    SessionReaped,
    /// The version or transaction asked for is not there, or still to come.
    NoSuchVersion,
    /// Larger than the limit the message names.
    LimitExceeded,
    /// A number was added to what is not one. Put a number there.
    NotANumber,
    /// This store takes no commits, and nothing was done: it follows another one as its replica, or is sealed, as its
    /// replica has taken its place. Go to the other.
    ReadOnly,
    /// There is no store here. Make one with [`Store::init`](crate::Store::init), or look elsewhere.
    NoStore,
    /// There is a store here already.
    StoreExists,
    /// The store is of a format that this program does not know. Use a newer program.
    UnknownFormat,
    /// What is stored breaks a rule of the format, or has been changed. Do not use it; look into it.
    Corrupt,
    /// The provider failed, and nothing was done. The kind of its error says what to do.
    Storage(storage_core::ErrorKind),
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Parts { kind, message: message.into(), source: None, missing: None }))
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The object `key`, which was to be read, is not there.
    pub(crate) fn missing(mut self, key: Key) -> Self {
        self.0.missing = Some(key);
        self
    }

    /// The object that is not there, if that is what went wrong.
    pub(crate) fn missing_object(&self) -> Option<&Key> {
        self.0.missing.as_ref()
    }

    /// What the closure of a transaction returns to give it up for a reason of its own, which is kept as
    /// [`source`](std::error::Error::source).
    pub fn abort(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        Self::new(ErrorKind::Aborted, format!("the transaction was given up: {source}"))
            .with_source(source)
    }

    /// The same for another who waits for the same thing; without the source, which cannot be copied.
    pub(crate) fn shared(&self) -> Self {
        let mut shared = Self::new(self.0.kind, self.0.message.clone());
        shared.0.missing.clone_from(&self.0.missing);
        shared
    }

    /// What kind of failure it is: what to do next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<storage_core::Error> for Error {
    fn from(error: storage_core::Error) -> Self {
        let kind = match error.kind() {
            storage_core::ErrorKind::Corrupt => ErrorKind::Corrupt,
            kind => ErrorKind::Storage(kind),
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

impl From<storage_log::Error> for Error {
    fn from(error: storage_log::Error) -> Self {
        match error {
            storage_log::Error::Storage(error) => error.into(),
            error @ storage_log::Error::Corrupt { .. } => {
                Self::corrupt(error.to_string()).with_source(error)
            }
        }
    }
}

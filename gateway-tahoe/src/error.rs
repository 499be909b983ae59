//! Why a request of the storage protocol is not done.

use std::fmt;
use std::io;
use std::path::PathBuf;

use storage_txn::ErrorKind;

/// The result of an operation on shares.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The request is refused, and nothing was done.
    Refused(Refusal),
    /// The store failed. Its kind says whether something was done.
    Store(storage_txn::Error),
    /// What is stored is not what this program has written.
    Damaged(String),
    /// A file in the folder of the server.
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The body of a request ended before its end.
    Body(String),
    /// Another server keeps its uploads in this folder.
    InUse(PathBuf),
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A secret is not the right one.
    WrongSecret,
    /// There is no such share, or no such upload.
    NotFound,
    /// It cannot be aborted: it is complete.
    Complete,
    /// It contradicts what is there.
    Conflict(&'static str),
    /// What is asked for is outside of the share.
    OutOfRange,
    /// It is malformed.
    Invalid(String),
    /// Larger than is taken.
    TooLarge(String),
    /// There is no space left.
    NoSpace,
    /// The server takes nothing new.
    ReadOnly,
}

impl Error {
    /// The refusal, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Makes the error of an operation with a file at this path.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::File { path: path.into(), error }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<storage_txn::Error> for Error {
    fn from(error: storage_txn::Error) -> Self {
        // What a closure gave up for.
        let refusal = match error.kind() {
            ErrorKind::Aborted => {
                let source = std::error::Error::source(&error);
                source.and_then(|source| source.downcast_ref::<Refusal>()).cloned()
            }
            _ => None,
        };
        refusal.map_or(Self::Store(error), Self::Refused)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongSecret => f.write_str("a secret is not the right one"),
            Self::NotFound => f.write_str("there is no such share"),
            Self::Complete => f.write_str("the share is complete"),
            Self::Conflict(why) => f.write_str(why),
            Self::OutOfRange => f.write_str("the range is not within the share"),
            Self::Invalid(why) | Self::TooLarge(why) => f.write_str(why),
            Self::NoSpace => f.write_str("there is no space left for it"),
            Self::ReadOnly => f.write_str("the server is read-only"),
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Damaged(why) => f.write_str(why),
            Self::File { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Body(why) => write!(f, "the body of the request: {why}"),
            Self::InUse(folder) => write!(
                f,
                "{}: another server keeps its uploads in this folder: stop it, or give this one a folder of its own",
                folder.display()
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::File { error, .. } => Some(error),
            _ => None,
        }
    }
}

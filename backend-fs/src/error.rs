//! Turns what the file system answers into kinds that a caller can act on.

use std::fmt::Display;

use rustix::io::Errno;
use storage_core::{Error, ErrorKind};

/// A step failed before anything could have happened.
pub(crate) fn not_applied(errno: Errno, doing: impl Display) -> Error {
    let (kind, advice) = meaning(errno);
    Error::not_applied(kind, message(errno, doing, advice)).with_source(std::io::Error::from(errno))
}

/// A step failed that may have had its effect all the same.
pub(crate) fn unknown(errno: Errno, doing: impl Display) -> Error {
    let (kind, advice) = meaning(errno);
    Error::unknown(kind, message(errno, doing, advice)).with_source(std::io::Error::from(errno))
}

/// The place is not what the setting `path` says.
pub(crate) fn misconfigured(message: impl Display) -> Error {
    Error::not_applied(ErrorKind::Misconfigured, format!("{message} (setting `path`)"))
}

/// What is stored is not what was put.
pub(crate) fn corrupt(message: impl Into<String>) -> Error {
    Error::not_applied(ErrorKind::Corrupt, message)
}

/// The errno behind an error of the standard library.
pub(crate) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Whether a rename, link or removal that answers this has certainly changed nothing. All others (an
/// input/output error, a time limit of a network file system) may come after the fact.
pub(crate) fn refused_outright(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ACCESS
            | Errno::BUSY
            | Errno::DQUOT
            | Errno::EXIST
            | Errno::INVAL
            | Errno::ISDIR
            | Errno::LOOP
            | Errno::MLINK
            | Errno::NAMETOOLONG
            | Errno::NOENT
            | Errno::NOMEM
            | Errno::NOSPC
            | Errno::NOSYS
            | Errno::NOTDIR
            | Errno::NOTSUP
            | Errno::PERM
            | Errno::ROFS
            | Errno::XDEV
    )
}

fn message(errno: Errno, doing: impl Display, advice: &str) -> String {
    let cause = std::io::Error::from(errno);
    format!("cannot {doing}: {cause}{advice}")
}

fn meaning(errno: Errno) -> (ErrorKind, &'static str) {
    match errno {
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => (ErrorKind::StorageFull, ""),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => (
            ErrorKind::PermissionDenied,
            "; check owner, rights and mount of the folder in the setting `path`",
        ),
        Errno::MFILE | Errno::NFILE => {
            (ErrorKind::Unavailable, "; allow more open files (ulimit -n) or do less at once")
        }
        Errno::NOMEM | Errno::AGAIN | Errno::NOLCK | Errno::INTR | Errno::TIMEDOUT => {
            (ErrorKind::Unavailable, "")
        }
        Errno::NAMETOOLONG => (ErrorKind::InvalidKey, "; the file system takes only shorter names"),
        Errno::NOTDIR | Errno::ISDIR | Errno::LOOP => {
            (ErrorKind::Corrupt, "; something that is not ours stands in the way")
        }
        _ => (ErrorKind::Unexpected, ""),
    }
}

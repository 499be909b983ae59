//! Why a command ended without doing what it was asked, and the exit code that says so.

use std::fmt;
use std::io;

use serde_json::{Value, json};
use storage_core::{Effect, Error as StorageError, ErrorKind};
use storage_txn::{Error as StoreError, ErrorKind as StoreErrorKind};

use crate::config::Problems;
use crate::output::count;

/// The result of a command.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command did not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The command line or the configuration file as a whole: say it differently.
    Usage(String),
    /// The configuration: fix what it lists.
    Config(Box<Problems>),
    /// A provider said no.
    Provider {
        /// Which one.
        provider: String,
        /// Where in the configuration to look, when that is where the fault lies.
        place: Option<Box<Problems>>,
        /// What it said.
        error: StorageError,
    },
    /// A store said no.
    Store {
        /// The provider that keeps it.
        provider: String,
        /// What it said.
        error: StoreError,
    },
    /// An S3 service said no.
    #[cfg(feature = "s3")]
    S3 {
        /// What was asked of it.
        what: String,
        /// What it said.
        failure: Box<crate::s3::failure::Failure>,
    },
    /// A file, or standard input or output.
    File {
        /// Which one, and what was done with it.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// What was asked for is not there.
    NotFound(String),
    /// A condition of the command itself does not hold, such as a file that exists already.
    Conflict(String),
    /// Something else, in words.
    Failed(String),
    /// Everything worth saying has been said; this is the exit code.
    Reported(Code),
    /// Whoever reads our output has gone: nothing is wrong.
    OutputClosed,
    /// The user interrupted it. What that leaves behind, in words.
    Interrupted(String),
}

/// What the exit code of the process says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// There is no such object.
    NotFound = 3,
    /// A condition does not hold.
    Conflict = 4,
    /// Nobody knows whether it happened.
    Unknown = 5,
    /// Interrupted by the user, as shells have it.
    Interrupted = 130,
}

impl Code {
    /// The code for a provider's error: the one place where kinds become codes.
    #[must_use]
    pub fn of(error: &StorageError) -> Self {
        Self::of_kind(error.kind(), error.effect())
    }

    fn of_kind(kind: ErrorKind, effect: Effect) -> Self {
        if effect == Effect::Unknown {
            return Self::Unknown;
        }
        match kind {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Conflict | ErrorKind::NotModified => Self::Conflict,
            ErrorKind::InvalidRange
            | ErrorKind::InvalidKey
            | ErrorKind::Unsupported
            | ErrorKind::PermissionDenied
            | ErrorKind::Misconfigured => Self::Usage,
            _ => Self::Failed,
        }
    }

    /// The code for a store's error: the one place where its kinds become codes.
    #[must_use]
    pub fn of_store(error: &StoreError) -> Self {
        match error.kind() {
            StoreErrorKind::Conflict
            | StoreErrorKind::PreconditionFailed
            | StoreErrorKind::Aborted
            | StoreErrorKind::Cancelled
            | StoreErrorKind::StoreExists => Self::Conflict,
            StoreErrorKind::CommitUnknown(_) => Self::Unknown,
            StoreErrorKind::SnapshotExpired | StoreErrorKind::NoSuchVersion => Self::NotFound,
            // Not "not found", which is what scripts take for a key without a value.
            StoreErrorKind::NoStore => Self::Usage,
            StoreErrorKind::Storage(
                ErrorKind::Unsupported | ErrorKind::PermissionDenied | ErrorKind::Misconfigured,
            ) => Self::Usage,
            _ => Self::Failed,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Unknown => "unknown",
            Self::Interrupted => "interrupted",
        }
    }
}

impl Error {
    /// A provider's error, without a place in the configuration.
    #[must_use]
    pub fn provider(provider: &str, error: StorageError) -> Self {
        Self::Provider { provider: provider.into(), place: None, error }
    }

    /// An error of the store that this provider keeps.
    #[must_use]
    pub fn store(provider: &str, error: StoreError) -> Self {
        Self::Store { provider: provider.into(), error }
    }

    pub(crate) fn file(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::File { what: what.into(), error }
    }

    /// The exit code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Usage(_) | Self::Config(_) => Code::Usage,
            Self::Provider { error, .. } => Code::of(error),
            Self::Store { error, .. } => Code::of_store(error),
            #[cfg(feature = "s3")]
            Self::S3 { failure, .. } => Code::of_kind(failure.kind, failure.effect),
            Self::NotFound(_) => Code::NotFound,
            Self::Conflict(_) => Code::Conflict,
            Self::File { .. } | Self::Failed(_) => Code::Failed,
            Self::Reported(code) => *code,
            Self::OutputClosed => Code::Done,
            Self::Interrupted(_) => Code::Interrupted,
        }
    }

    /// Whether there is still something to tell the user.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Reported(_) | Self::OutputClosed)
    }

    /// The error as data, for `--json`.
    #[must_use]
    pub fn json(&self) -> Value {
        let code = self.code();
        let mut data = json!({
            "error": code.label(),
            "code": code as i32,
            "message": self.message(),
        });
        match self {
            Self::Config(problems) => data["problems"] = problems.json(),
            Self::Provider { provider, place, error } => {
                data["provider"] = json!(provider);
                data["kind"] = json!(error.kind().label());
                data["key"] = json!(error.key().map(ToString::to_string));
                if let Some(place) = place {
                    data["problems"] = place.json();
                }
            }
            Self::Store { provider, error } => {
                data["provider"] = json!(provider);
                data["kind"] = json!(kind_of(error));
                if let StoreErrorKind::CommitUnknown(id) = error.kind() {
                    data["transaction_id"] = json!(id.to_string());
                }
            }
            #[cfg(feature = "s3")]
            Self::S3 { failure, .. } => {
                data["kind"] = json!(failure.kind.label());
                data["status"] = json!(failure.status);
                data["s3_code"] = json!(failure.code);
                data["request_id"] = json!(failure.request_id);
            }
            _ => {}
        }
        data
    }

    fn message(&self) -> String {
        match self {
            Self::Config(problems) => {
                format!("{} in the configuration", count(problems.errors() as u64, "problem"))
            }
            Self::Provider { provider, error, .. } => format!("provider `{provider}`: {error}"),
            Self::Store { provider, error } => format!("store on `{provider}`: {error}"),
            Self::Usage(text)
            | Self::NotFound(text)
            | Self::Conflict(text)
            | Self::Failed(text)
            | Self::Interrupted(text) => text.clone(),
            #[cfg(feature = "s3")]
            Self::S3 { what, failure } => format!("{what}: {failure}"),
            Self::File { what, error } => format!("{what}: {error}"),
            Self::Reported(_) | Self::OutputClosed => self.to_string(),
        }
    }
}

/// The kind of a store's error in a word.
fn kind_of(error: &StoreError) -> String {
    let mut words = String::new();
    let kind = match error.kind() {
        StoreErrorKind::CommitUnknown(_) => "CommitUnknown".into(),
        StoreErrorKind::Storage(kind) => return kind.label().into(),
        kind => format!("{kind:?}"),
    };
    for c in kind.chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

/// What to do about a store's error, where a command says more than the error.
fn advice(error: &StoreError) -> Option<String> {
    match error.kind() {
        StoreErrorKind::CommitUnknown(id) => {
            Some(format!("`cloudbank store outcome {id}` finds out, once the store can be reached"))
        }
        // Without that object there is nothing that could be verified.
        StoreErrorKind::Corrupt if error.to_string().starts_with("the object \"format\"") => None,
        StoreErrorKind::Corrupt => Some(
            "`cloudbank store verify` names all that is damaged or missing, and `cloudbank store rebuild` makes again what \
             the log still has"
                .into(),
        ),
        _ => None,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text)
            | Self::NotFound(text)
            | Self::Conflict(text)
            | Self::Failed(text) => write!(f, "error: {text}"),
            Self::Config(problems) => {
                write!(f, "{problems}")?;
                let more = problems.errors();
                if more > 1 {
                    write!(f, "\n\n{more} problems in {}", problems.source.name)?;
                }
                Ok(())
            }
            Self::Provider { place: Some(place), .. } => write!(f, "{place}"),
            Self::Provider { provider, error, .. } => {
                write!(f, "error: provider `{provider}`: {error}")
            }
            Self::Store { provider, error } => {
                write!(f, "error: store on `{provider}`: {error}")?;
                advice(error).map_or(Ok(()), |advice| write!(f, "\n  = {advice}"))
            }
            #[cfg(feature = "s3")]
            Self::S3 { what, failure } => {
                write!(f, "error: {what}: {failure}")?;
                failure.advice().map_or(Ok(()), |advice| write!(f, "\n  = {advice}"))
            }
            Self::File { what, error } => write!(f, "error: {what}: {error}"),
            Self::Reported(code) => write!(f, "error: {}", code.label()),
            Self::OutputClosed => write!(f, "error: standard output was closed"),
            Self::Interrupted(text) => write!(f, "interrupted: {text}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Provider { error, .. } => Some(error),
            Self::Store { error, .. } => Some(error),
            #[cfg(feature = "s3")]
            Self::S3 { failure, .. } => Some(failure),
            Self::File { error, .. } => Some(error),
            _ => None,
        }
    }
}

//! The steps of a mutation, for tests that stop the world between two of them.

use std::fmt;
use std::sync::Arc;

/// What a mutation is about to do to the file system. Paths are relative to the provider's folder.
///
/// For tests of crashes: see [`FsProvider::open_observed`](crate::FsProvider::open_observed).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Create an empty temporary file.
    CreateTemp {
        /// The temporary file.
        path: String,
    },
    /// Write header and body to it.
    WriteTemp {
        /// The temporary file.
        path: String,
    },
    /// Sync it.
    SyncTemp {
        /// The temporary file.
        path: String,
    },
    /// Make a directory, unless it exists.
    MakeDirectory {
        /// The directory.
        path: String,
    },
    /// Take the lock of the key's stripe.
    Lock {
        /// The lock file.
        path: String,
    },
    /// Read the version that is there, under the lock.
    Compare {
        /// The object's file.
        path: String,
    },
    /// Make the object visible: rename or link the temporary file to its place.
    Publish {
        /// The temporary file.
        from: String,
        /// The object's file.
        to: String,
    },
    /// Remove the temporary file, of which a link has become the object or which has lost.
    RemoveTemp {
        /// The temporary file.
        path: String,
    },
    /// Sync a directory, so that what was published in it stays.
    SyncDirectory {
        /// The directory.
        path: String,
    },
    /// Remove an object's file.
    Unlink {
        /// The object's file.
        path: String,
    },
    /// Sync the directory that an object was removed from.
    SyncAfterUnlink {
        /// The directory.
        path: String,
    },
}

impl Step {
    /// The kind of step in a few words, such as `sync directory`.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::CreateTemp { .. } => "create temp",
            Self::WriteTemp { .. } => "write temp",
            Self::SyncTemp { .. } => "sync temp",
            Self::MakeDirectory { .. } => "make directory",
            Self::Lock { .. } => "lock",
            Self::Compare { .. } => "compare",
            Self::Publish { .. } => "publish",
            Self::RemoveTemp { .. } => "remove temp",
            Self::SyncDirectory { .. } => "sync directory",
            Self::Unlink { .. } => "unlink",
            Self::SyncAfterUnlink { .. } => "sync after unlink",
        }
    }
}

/// Who is told of each step before it is done.
pub type Observe = Arc<dyn Fn(Step) + Send + Sync>;

/// An observer, or none, which costs a branch.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Observe>);

impl Observer {
    pub(crate) fn new(observe: Observe) -> Self {
        Self(Some(observe))
    }

    pub(crate) fn before(&self, step: impl FnOnce() -> Step) {
        if let Some(observe) = &self.0 {
            observe(step());
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "observed" } else { "unobserved" })
    }
}

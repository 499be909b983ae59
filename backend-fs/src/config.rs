//! The settings of the file system backend.

use std::path::PathBuf;

use storage_core::{Durability, ErrorKind, Result};

use crate::error::misconfigured;

/// Settings of an [`FsProvider`](crate::FsProvider).
///
/// # Examples
///
/// ```
/// use backend_fs::Config;
/// use storage_core::Durability;
///
/// let config = Config::new("/srv/data");
/// assert_eq!(config.durability, Durability::PowerLoss);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The folder that holds everything. It must be on a local file system, and the provider's own.
    pub path: PathBuf,
    /// Whether to make the folder when it is not there (or empty). Default: no.
    pub create: bool,
    /// What an acknowledged put survives. [`Durability::PowerLoss`], the default, syncs file and
    /// directory; [`Durability::ProcessCrash`] leaves writing to the operating system and is declared
    /// as such.
    pub durability: Durability,
    /// The largest object it takes, in bytes. Objects pass through memory whole. Default: 1 GiB.
    pub object_bytes_max: u64,
}

impl Config {
    /// The folder `path`, which must exist, with the defaults for all else.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            create: false,
            durability: Durability::PowerLoss,
            object_bytes_max: 1 << 30,
        }
    }

    /// Whether to make the folder when it is not there.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// What an acknowledged put survives.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The largest object it takes, in bytes.
    #[must_use]
    pub fn object_bytes_max(mut self, bytes: u64) -> Self {
        self.object_bytes_max = bytes;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.path.as_os_str().is_empty() {
            return Err(misconfigured("the path of the folder is empty"));
        }
        if self.durability == Durability::Volatile {
            return Err(storage_core::Error::not_applied(
                ErrorKind::Misconfigured,
                "files are never volatile: say process crash or power loss (setting `durability`)",
            ));
        }
        Ok(())
    }
}

//! The settings of the memory backend.

use storage_core::Versions;

/// Settings of a [`MemoryProvider`](crate::MemoryProvider).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What a version tells apart. [`Versions::PerContent`] imitates services whose version is a hash of
    /// the content, such as S3.
    pub versions: Versions,
    /// The largest object it takes, in bytes.
    pub object_bytes_max: u64,
}

impl Default for Config {
    /// Every write has a version of its own; objects of up to 64 MiB.
    fn default() -> Self {
        Self { versions: Versions::PerWrite, object_bytes_max: 64 << 20 }
    }
}

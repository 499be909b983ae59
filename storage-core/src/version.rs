//! The opaque mark of one state of an object.

use std::fmt;
use std::sync::Arc;

/// Which state of an object this is: kept as the provider gave it, compared, never parsed.
///
/// Two equal versions of one key mean the same content. Whether a rewrite of the same content changes
/// the version is declared in [`Capabilities::versions`](crate::Capabilities::versions).
///
/// # Examples
///
/// ```
/// use storage_core::Version;
///
/// let version = Version::new("\"9b74c989\"");
/// assert_eq!(version.as_str(), "\"9b74c989\"");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(Arc<str>);

impl Version {
    /// Keeps a provider's mark as it is, quotes and all.
    pub fn new(mark: impl Into<Arc<str>>) -> Self {
        Self(mark.into())
    }

    /// The mark as the provider gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.0)
    }
}

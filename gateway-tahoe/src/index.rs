//! Storage indexes: the names of files to storage servers.

use std::fmt;

use data_encoding::BASE32_NOPAD;

/// The name under which shares of one file are kept: 16 bytes, written as 26 characters of lower-case base32 (RFC 4648 §6)
/// without padding.
///
/// # Examples
///
/// ```
/// use gateway_tahoe::StorageIndex;
///
/// let index = StorageIndex::parse("cciqinrhvlkhxe4mujew3issii").unwrap();
/// assert_eq!(index.to_string(), "cciqinrhvlkhxe4mujew3issii");
/// // Upper case, other lengths and bits behind the last byte are not taken for anything.
/// assert_eq!(StorageIndex::parse("CCIQINRHVLKHXE4MUJEW3ISSII"), None);
/// assert_eq!(StorageIndex::parse("cciqinrhvlkhxe4mujew3issij"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorageIndex(pub [u8; 16]);

impl StorageIndex {
    /// Reads one; `None` of anything but its only way to be written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte);
        if text.len() != 26 || !text.bytes().all(plain) {
            return None;
        }
        let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for StorageIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32(&self.0))
    }
}

impl fmt::Debug for StorageIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Lower-case base32 without padding, as Tahoe writes everything.
pub(crate) fn base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

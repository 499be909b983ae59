//! Names of objects: portable keys, and the prefixes that lists take.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The most bytes a [`Key`] has.
pub const KEY_BYTES_MAX: usize = 512;

/// The most bytes a segment of a [`Key`] has: what stands between two `/`.
pub const SEGMENT_BYTES_MAX: usize = 200;

/// The name of an object: 1 to 512 bytes of `0-9 a-z _ = ~`, in segments of 1 to 200 bytes joined by
/// `/`.
///
/// The alphabet is small on purpose. Every character of it sorts after `/`, so byte order, the order
/// of S3 and Azure listings and that of a sorted directory walk are the same; and no service that
/// folds case, normalises Unicode or decodes percent signs can mistake one key for another. Users'
/// own names never become keys: they live in the store above.
///
/// Cloning is cheap; ordering is byte order.
///
/// # Examples
///
/// ```
/// use storage_core::{Key, KeyProblem};
///
/// let key = Key::new("value/s1/0000")?;
/// assert_eq!(key.as_str(), "value/s1/0000");
/// assert_eq!(Key::new("Value").unwrap_err(), KeyProblem::Byte { at: 0, byte: b'V' });
/// # Ok::<(), KeyProblem>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// Checks `text` and makes a key of it.
    ///
    /// # Errors
    ///
    /// The first [`KeyProblem`] found.
    pub fn new(text: impl AsRef<str>) -> Result<Self, KeyProblem> {
        let text = text.as_ref();
        if text.is_empty() {
            return Err(KeyProblem::Empty);
        }
        check(text)?;
        if text.ends_with('/') {
            return Err(KeyProblem::EmptySegment { at: text.len() });
        }
        Ok(Self(text.into()))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the bytes of the key begin with those of `prefix`.
    #[must_use]
    pub fn starts_with(&self, prefix: &Prefix) -> bool {
        self.0.starts_with(prefix.as_str())
    }
}

/// The beginning of keys: bytes, not segments, so `log/00` is a prefix of `log/0001`.
///
/// Empty, or anything a [`Key`] can begin with; a trailing `/` is allowed.
///
/// # Examples
///
/// ```
/// use storage_core::{Key, KeyProblem, Prefix};
///
/// let prefix = Prefix::new("log/")?;
/// assert!(Key::new("log/0001")?.starts_with(&prefix));
/// assert_eq!(prefix.join("0001")?, Key::new("log/0001")?);
/// # Ok::<(), KeyProblem>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// Checks `text` and makes a prefix of it.
    ///
    /// # Errors
    ///
    /// The first [`KeyProblem`] found.
    pub fn new(text: impl AsRef<str>) -> Result<Self, KeyProblem> {
        let text = text.as_ref();
        check(text)?;
        Ok(Self(text.into()))
    }

    /// The prefix of every key.
    #[must_use]
    pub fn all() -> Self {
        Self("".into())
    }

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key that has `rest` after this prefix. Nothing is put between the two.
    ///
    /// # Errors
    ///
    /// The first [`KeyProblem`] of the whole.
    pub fn join(&self, rest: impl AsRef<str>) -> Result<Key, KeyProblem> {
        Key::new(format!("{}{}", self.0, rest.as_ref()))
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self::all()
    }
}

impl From<&Key> for Prefix {
    /// The prefix that is spelled as the key is.
    fn from(key: &Key) -> Self {
        Self(key.0.clone())
    }
}

/// Whether a key may contain this byte, apart from the `/` between segments.
#[must_use]
pub const fn is_key_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'_' | b'=' | b'~')
}

/// What keys and prefixes have in common: length, alphabet, and segments neither empty nor too long.
/// A last segment may be empty here; whether it may be is the caller's to say.
fn check(text: &str) -> Result<(), KeyProblem> {
    if text.len() > KEY_BYTES_MAX {
        return Err(KeyProblem::TooLong { bytes: text.len() });
    }
    let mut segment_start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte == b'/' {
            if at == segment_start {
                return Err(KeyProblem::EmptySegment { at });
            }
            segment_start = at + 1;
        } else if !is_key_byte(byte) {
            return Err(KeyProblem::Byte { at, byte });
        } else if at - segment_start >= SEGMENT_BYTES_MAX {
            return Err(KeyProblem::SegmentTooLong { at: segment_start });
        }
    }
    Ok(())
}

/// Why a text is not a [`Key`] or [`Prefix`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyProblem {
    /// A key has at least one byte.
    Empty,
    /// More than [`KEY_BYTES_MAX`] bytes.
    TooLong {
        /// How many there are.
        bytes: usize,
    },
    /// The segment that starts here has more than [`SEGMENT_BYTES_MAX`] bytes.
    SegmentTooLong {
        /// Where the segment starts, in bytes from the beginning.
        at: usize,
    },
    /// Nothing stands between two `/`, or before the first, or after the last.
    EmptySegment {
        /// Where the missing segment would start, in bytes from the beginning.
        at: usize,
    },
    /// A byte outside `0-9 a-z _ = ~ /`.
    Byte {
        /// Where it is, in bytes from the beginning.
        at: usize,
        /// Which byte it is.
        byte: u8,
    },
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "a key has at least one byte"),
            Self::TooLong { bytes } => {
                write!(f, "{bytes} bytes, but a key has at most {KEY_BYTES_MAX}")
            }
            Self::SegmentTooLong { at } => {
                write!(f, "the segment at byte {at} has more than {SEGMENT_BYTES_MAX} bytes")
            }
            Self::EmptySegment { at } => write!(f, "the segment at byte {at} is empty"),
            Self::Byte { at, byte } => write!(
                f,
                "byte {at} is `{}`, but a key has only 0-9 a-z _ = ~ and / between segments",
                byte.escape_ascii()
            ),
        }
    }
}

impl std::error::Error for KeyProblem {}

macro_rules! text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = KeyProblem;
            fn from_str(text: &str) -> Result<Self, KeyProblem> {
                Self::new(text)
            }
        }
        impl TryFrom<&str> for $name {
            type Error = KeyProblem;
            fn try_from(text: &str) -> Result<Self, KeyProblem> {
                Self::new(text)
            }
        }
    };
}

text!(Key);
text!(Prefix);

#[cfg(test)]
mod tests;

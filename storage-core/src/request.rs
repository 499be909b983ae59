//! What is asked of a provider, and what it answers.

use std::fmt;
use std::ops::{Range, RangeFrom};

use bytes::Bytes;

use crate::{Error, ErrorKind, Key, Prefix, Result, Version};

/// The condition of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutIf {
    /// Put whatever is there.
    Always,
    /// Put only if there is no object under the key.
    Absent,
    /// Put only if the object under the key has this version.
    Matches(Version),
}

/// What to read of an object, and on what condition.
///
/// # Examples
///
/// ```
/// use storage_core::{Get, Version};
///
/// let request = Get::range(0..1024).if_match(Version::new("v1"));
/// assert!(request.range.is_some() && !request.meta_only);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Get {
    /// Which bytes; `None` is all of them.
    pub range: Option<ByteRange>,
    /// Fail with [`ErrorKind::Conflict`] unless the object has this version.
    pub if_match: Option<Version>,
    /// Fail with [`ErrorKind::NotModified`] if the object has this version.
    pub if_changed: Option<Version>,
    /// Answer with an empty body. A range is then ignored, as in an HTTP HEAD (RFC 9110 §14.2).
    pub meta_only: bool,
}

impl Get {
    /// The whole object.
    #[must_use]
    pub fn whole() -> Self {
        Self::default()
    }

    /// A range of its bytes.
    #[must_use]
    pub fn range(range: impl Into<ByteRange>) -> Self {
        Self { range: Some(range.into()), ..Self::default() }
    }

    /// Its size and version, without its bytes.
    #[must_use]
    pub fn meta_only() -> Self {
        Self { meta_only: true, ..Self::default() }
    }

    /// Only while the object has this version.
    #[must_use]
    pub fn if_match(mut self, version: Version) -> Self {
        self.if_match = Some(version);
        self
    }

    /// Only when the object no longer has this version.
    #[must_use]
    pub fn if_changed(mut self, version: Version) -> Self {
        self.if_changed = Some(version);
        self
    }

    /// Evaluates the preconditions against the version found, in the order of RFC 9110 §13.2.2.
    /// For providers whose service does not do it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] when `if_match` differs, [`ErrorKind::NotModified`] when `if_changed`
    /// does not.
    pub fn check(&self, found: &Version) -> Result<()> {
        if let Some(wanted) = &self.if_match
            && wanted != found
        {
            return Err(Error::not_applied(
                ErrorKind::Conflict,
                format!("the version is {found}, not {wanted}"),
            ));
        }
        if self.if_changed.as_ref() == Some(found) {
            return Err(Error::not_applied(
                ErrorKind::NotModified,
                format!("the version is still {found}"),
            ));
        }
        Ok(())
    }
}

/// Bytes from `start` (inclusive) to `end` (exclusive), or to the end of the object.
///
/// An `end` past the object is clamped to it. A range that selects no byte is
/// [`ErrorKind::InvalidRange`], never a short answer: an empty or reversed one, one that starts at or
/// past the end, and therefore any range of an empty object.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// The first byte wanted.
    pub start: u64,
    /// The first byte not wanted; `None` is the end of the object.
    pub end: Option<u64>,
}

impl ByteRange {
    /// The range within an object of `size` bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRange`] when it selects no byte.
    ///
    /// # Examples
    ///
    /// ```
    /// use storage_core::ByteRange;
    ///
    /// assert_eq!(ByteRange::from(2..u64::MAX).within(5)?, 2..5);
    /// assert!(ByteRange::from(5..).within(5).is_err());
    /// # Ok::<(), storage_core::Error>(())
    /// ```
    pub fn within(&self, size: u64) -> Result<Range<u64>> {
        let end = self.end.unwrap_or(size).min(size);
        if self.start < end {
            Ok(self.start..end)
        } else {
            Err(Error::not_applied(
                ErrorKind::InvalidRange,
                format!("bytes {self:?} of an object of {size} bytes"),
            ))
        }
    }

    /// Whether no object, of whatever size, has a byte in this range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end.is_some_and(|end| end <= self.start)
    }
}

impl From<Range<u64>> for ByteRange {
    fn from(range: Range<u64>) -> Self {
        Self { start: range.start, end: Some(range.end) }
    }
}

impl From<RangeFrom<u64>> for ByteRange {
    fn from(range: RangeFrom<u64>) -> Self {
        Self { start: range.start, end: None }
    }
}

impl fmt::Debug for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end {
            Some(end) => write!(f, "{}..{end}", self.start),
            None => write!(f, "{}..", self.start),
        }
    }
}

/// An object, or the part of it that was asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    /// The bytes asked for; empty for [`Get::meta_only`].
    pub body: Bytes,
    /// Size of the whole object in bytes, whatever part was asked for.
    pub size: u64,
    /// The version the bytes belong to.
    pub version: Version,
}

impl fmt::Debug for Object {
    /// Says how much there is, never what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("size", &self.size)
            .field("version", &self.version)
            .finish()
    }
}

/// Which keys to list.
///
/// # Examples
///
/// ```
/// use storage_core::{Key, List, Prefix};
///
/// let (prefix, last) = (Prefix::new("log/")?, Key::new("log/0041")?);
/// let request = List::new(&prefix).start_after(&last).limit(100);
/// assert_eq!(request.limit, 100);
/// # Ok::<(), storage_core::KeyProblem>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List<'a> {
    /// Only keys that begin with these bytes.
    pub prefix: &'a Prefix,
    /// Only keys after this one, which need not exist and may lie outside the prefix.
    pub start_after: Option<&'a Key>,
    /// The most keys in the answer; zero is taken as one. A provider may answer with fewer.
    pub limit: usize,
}

impl<'a> List<'a> {
    /// Every key under `prefix`, a thousand to a page.
    #[must_use]
    pub fn new(prefix: &'a Prefix) -> Self {
        Self { prefix, start_after: None, limit: 1000 }
    }

    /// Only what comes after `key`.
    #[must_use]
    pub fn start_after(mut self, key: &'a Key) -> Self {
        self.start_after = Some(key);
        self
    }

    /// At most this many to a page.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

/// A stretch of a listing, in strict byte order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// At most as many as asked for, each key greater than the one before it.
    pub objects: Vec<Listed>,
    /// Whether to ask again, with the last key of this page as
    /// [`start_after`](List::start_after). Never true for an empty page.
    pub more: bool,
}

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: Key,
    /// Its size in bytes: the same that a get reports.
    pub size: u64,
}

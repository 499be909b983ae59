//! Users' keys and ranges of them, checked.

use std::ops::{Bound, RangeBounds};

use bytes::Bytes;

use crate::view::after;
use crate::writes::Range;
use crate::{Error, ErrorKind, KEY_BYTES_MAX, Result, space};

/// # Errors
///
/// [`ErrorKind::LimitExceeded`] when it is too long.
pub(crate) fn check_key(key: &[u8]) -> Result<&[u8]> {
    if key.len() > KEY_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            format!("a key of {} bytes is longer than {KEY_BYTES_MAX}", key.len()),
        ));
    }
    Ok(key)
}

/// A range of keys, in byte order.
///
/// # Examples
///
/// ```
/// use storage_txn::KeyRange;
///
/// let a_to_c = KeyRange::new("a".."c");
/// let users = KeyRange::prefix("user/");
/// assert_ne!(a_to_c, users);
/// assert_eq!(KeyRange::prefix(""), KeyRange::all());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    start: Bound<Bytes>,
    end: Bound<Bytes>,
}

impl KeyRange {
    /// What any range of byte strings selects.
    pub fn new<K: AsRef<[u8]>>(range: impl RangeBounds<K>) -> Self {
        let own = |bound: Bound<&K>| bound.map(|key| Bytes::copy_from_slice(key.as_ref()));
        Self { start: own(range.start_bound()), end: own(range.end_bound()) }
    }

    /// All keys.
    #[must_use]
    pub fn all() -> Self {
        Self { start: Bound::Unbounded, end: Bound::Unbounded }
    }

    /// All keys that begin with these bytes.
    #[must_use]
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        let prefix = prefix.as_ref();
        if prefix.is_empty() {
            return Self::all();
        }
        // The first string that is after all of them: the prefix, raised at its last byte that can be.
        let end = match prefix.iter().rposition(|byte| *byte < u8::MAX) {
            Some(at) => {
                let mut end = prefix[..=at].to_vec();
                end[at] += 1;
                Bound::Excluded(end.into())
            }
            None => Bound::Unbounded,
        };
        Self { start: Bound::Included(Bytes::copy_from_slice(prefix)), end }
    }

    /// What a range of the keys inside is to users.
    pub(crate) fn of(inside: &Range) -> Self {
        let all = space::all(space::USER);
        let start = if inside.start == all.start {
            Bound::Unbounded
        } else {
            Bound::Included(space::strip(&inside.start))
        };
        let end = if inside.end == all.end {
            Bound::Unbounded
        } else {
            Bound::Excluded(space::strip(&inside.end))
        };
        Self { start, end }
    }

    /// The same, of the keys inside.
    pub(crate) fn inside(&self) -> Result<Range> {
        let all = space::all(space::USER);
        let start = match &self.start {
            Bound::Included(key) => space::key(space::USER, check_key(key)?),
            Bound::Excluded(key) => after(&space::key(space::USER, check_key(key)?)),
            Bound::Unbounded => all.start,
        };
        let end = match &self.end {
            Bound::Included(key) => after(&space::key(space::USER, check_key(key)?)),
            Bound::Excluded(key) => space::key(space::USER, check_key(key)?),
            Bound::Unbounded => all.end,
        };
        Ok(Range { start, end })
    }
}

/// What it selects: [`contains`](RangeBounds::contains) tells whether a key is in it.
///
/// # Examples
///
/// ```
/// use std::ops::RangeBounds;
/// use storage_txn::KeyRange;
///
/// assert!(KeyRange::prefix("user/").contains(&b"user/7"[..]));
/// assert!(!KeyRange::prefix("user/").contains(&b"users"[..]));
/// ```
impl RangeBounds<[u8]> for KeyRange {
    fn start_bound(&self) -> Bound<&[u8]> {
        self.start.as_ref().map(AsRef::as_ref)
    }

    fn end_bound(&self) -> Bound<&[u8]> {
        self.end.as_ref().map(AsRef::as_ref)
    }
}

macro_rules! from_range {
    ($($range:ident)*) => {
        $(impl<K: AsRef<[u8]>> From<std::ops::$range<K>> for KeyRange {
            fn from(range: std::ops::$range<K>) -> Self {
                Self::new(range)
            }
        })*
    };
}

from_range!(Range RangeInclusive RangeFrom RangeTo RangeToInclusive);

impl From<std::ops::RangeFull> for KeyRange {
    fn from(_: std::ops::RangeFull) -> Self {
        Self::all()
    }
}

//! The value of a key, whether its bytes are at hand or in objects of their own.

use std::sync::Arc;

use bytes::Bytes;

use crate::format::value::ValueRef;

/// What a key holds: bytes at hand, or a large value, of which only the size is. To read a large one, see
/// [`Snapshot::get_stream`](crate::Snapshot::get_stream).
///
/// Two large values are equal when they are the same upload, whatever their bytes.
///
/// # Examples
///
/// ```
/// use storage_txn::Content;
///
/// let content = Content::from("hello");
/// assert_eq!((content.size(), content.inline().map(|bytes| &bytes[..])), (5, Some(&b"hello"[..])));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Content(pub(crate) Kind);

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Inline(Bytes),
    Large(Arc<ValueRef>),
}

impl Content {
    /// How many bytes the value has.
    #[must_use]
    pub fn size(&self) -> u64 {
        match &self.0 {
            Kind::Inline(bytes) => bytes.len() as u64,
            Kind::Large(reference) => reference.size(),
        }
    }

    /// The bytes; `None` of a large value.
    #[must_use]
    pub fn inline(&self) -> Option<&Bytes> {
        match &self.0 {
            Kind::Inline(bytes) => Some(bytes),
            Kind::Large(_) => None,
        }
    }

    pub(crate) fn large(reference: ValueRef) -> Self {
        Self(Kind::Large(Arc::new(reference)))
    }
}

impl std::fmt::Debug for Content {
    /// Says how many bytes there are, never which.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Inline(bytes) => write!(f, "{} bytes", bytes.len()),
            Kind::Large(reference) => write!(f, "{} bytes in {}", self.size(), reference.id()),
        }
    }
}

macro_rules! from_bytes {
    ($($bytes:ty)*) => {
        $(impl From<$bytes> for Content {
            fn from(bytes: $bytes) -> Self {
                Self(Kind::Inline(bytes.into()))
            }
        })*
    };
}

from_bytes!(Bytes Vec<u8> String &'static [u8] &'static str);

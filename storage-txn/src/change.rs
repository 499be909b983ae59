//! What a transaction does to a key, and how changes add up to a value.

use std::sync::Arc;

use bytes::Bytes;
use storage_log::planted::planted;

use crate::content::{Content, Kind};
use crate::format::value::ValueRef;
use crate::options::INLINE_BYTES_MAX;
use crate::{Error, ErrorKind, Result, Version};

/// What a transaction does to one key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// The value is these bytes.
    Put(Bytes),
    /// The value is what is stored there.
    Ref(Arc<ValueRef>),
    /// There is no value.
    Delete,
    /// The value is what these make of the one before, in order.
    Merge(Vec<Merge>),
}

/// A change that builds on whatever value is there, so that any number of them go together without a
/// conflict.
///
/// Numbers are 8 bytes, little-endian, two's complement. Where there is no value, or an empty one, adding
/// starts from 0, the maximum is the number given, and appending starts from nothing.
#[derive(Clone, PartialEq, Eq)]
pub enum Merge {
    /// Adds to a number; wraps around at 64 bits.
    Add(i64),
    /// The larger of two numbers.
    Max(i64),
    /// Bytes after those that are there.
    Append(Bytes),
}

/// About what a reference to a large value takes.
const REF_BYTES: usize = 80;

impl From<Content> for Change {
    fn from(content: Content) -> Self {
        match content.0 {
            Kind::Inline(bytes) => Self::Put(bytes),
            Kind::Large(reference) => Self::Ref(reference),
        }
    }
}

impl std::fmt::Debug for Merge {
    /// Says how many bytes there are, never which.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Add(number) => write!(f, "Add({number})"),
            Self::Max(number) => write!(f, "Max({number})"),
            Self::Append(bytes) => write!(f, "Append({} bytes)", bytes.len()),
        }
    }
}

impl std::fmt::Debug for Change {
    /// Says how many bytes there are, never which.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Put(value) => write!(f, "Put({} bytes)", value.len()),
            Self::Ref(value) => write!(f, "Ref({} bytes in {})", value.size(), value.id()),
            Self::Delete => f.write_str("Delete"),
            Self::Merge(merges) => f.debug_tuple("Merge").field(merges).finish(),
        }
    }
}

impl Change {
    /// Whether the value can be told without looking at earlier changes.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::Merge(_))
    }

    /// This change, and then `later` in the same transaction.
    pub(crate) fn then(self, later: Self) -> Result<Self> {
        Ok(match (self, later) {
            (Self::Merge(mut first), Self::Merge(more)) => {
                first.extend(more);
                Self::Merge(first)
            }
            (Self::Put(base), Self::Merge(more)) => fold(base.into(), more.iter())?.into(),
            (Self::Delete, Self::Merge(more)) => fold(Bytes::new().into(), more.iter())?.into(),
            (Self::Ref(base), Self::Merge(more)) => {
                let merged = fold(Content(Kind::Large(base)), more.iter())?;
                if let Kind::Large(merged) = &merged.0 {
                    check_tail(merged.tail.len())?;
                }
                merged.into()
            }
            (_, later) => later,
        })
    }

    /// How many bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Put(value) => value.len(),
            Self::Ref(value) => REF_BYTES + value.tail.len(),
            Self::Delete => 0,
            Self::Merge(merges) => merges.iter().map(Merge::bytes).sum(),
        }
    }
}

impl Merge {
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`] when it is too large for the log.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Append(more) => check_tail(more.len()),
            Self::Add(_) | Self::Max(_) => Ok(()),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Add(_) | Self::Max(_) => 8,
            Self::Append(bytes) => bytes.len(),
        }
    }
}

/// The changes to one key that tell its value: newest first, each with its version. All but the last are
/// merges; when the last is one too, there was nothing before it.
pub(crate) type Stack = Vec<(Version, Change)>;

/// Puts what several places know of one key together: sorted, each version once, down to the first change
/// that is final.
pub(crate) fn settle(stack: &mut Stack) {
    // Of the same version, what was done to the key itself counts: its range was emptied before. And where one place
    // knows what was merged, and another what it came to, what it was merged into may not be known any more.
    stack.sort_by_key(|(version, change)| {
        let rank = match change {
            Change::Delete => 2,
            Change::Merge(_) => 1,
            _ => 0,
        };
        (std::cmp::Reverse(*version), rank)
    });
    stack.dedup_by_key(|(version, _)| *version);
    if let Some(end) = stack.iter().position(|(_, change)| change.is_final()) {
        stack.truncate(end + 1);
    }
}

/// Takes into account that the key was in a range that was emptied at a version.
pub(crate) fn empty_at(stack: &mut Stack, emptied: Option<Version>) {
    let Some(at) = emptied else { return };
    // A change of the same transaction comes after the emptying.
    stack.retain(|(point, _)| *point >= at);
    if stack.last().is_none_or(|(point, change)| *point > at && !change.is_final()) {
        stack.push((at, Change::Delete));
    }
}

/// The value that a settled stack of `key`, as it is called inside, adds up to.
///
/// # Errors
///
/// [`ErrorKind::NotANumber`], with the name of the key.
pub(crate) fn value_of(key: &[u8], stack: &Stack) -> Result<Option<Content>> {
    value(stack).map_err(|error| about(key, error))
}

/// The same error, with the name of the key if it is about its value.
pub(crate) fn about(key: &[u8], error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotANumber => {
            let key = key.get(1..).unwrap_or_default().escape_ascii();
            Error::new(ErrorKind::NotANumber, format!("key \"{key}\": {error}"))
        }
        _ => error,
    }
}

/// The value that a settled stack adds up to.
pub(crate) fn value(stack: &Stack) -> Result<Option<Content>> {
    let (base, merges) = match stack.last() {
        None | Some((_, Change::Delete)) => (None, stack.len().saturating_sub(1)),
        Some((_, Change::Put(value))) => (Some(value.clone().into()), stack.len() - 1),
        Some((_, Change::Ref(value))) => {
            (Some(Content(Kind::Large(value.clone()))), stack.len() - 1)
        }
        Some((_, Change::Merge(_))) => (None, stack.len()),
    };
    if merges == 0 {
        return Ok(base);
    }
    let mut merged: Vec<_> = stack[..merges].iter().rev().collect();
    if planted("merges-in-any-order") {
        merged.reverse();
    }
    let in_order = merged.into_iter().flat_map(|(_, change)| match change {
        Change::Merge(merges) => merges.as_slice(),
        Change::Put(_) | Change::Ref(_) | Change::Delete => &[],
    });
    fold(base.unwrap_or_else(|| Bytes::new().into()), in_order).map(Some)
}

/// What merges make of a value. Of a large one they need not know the bytes: what is appended comes after them, and a
/// number it is not.
fn fold<'a>(base: Content, merges: impl Iterator<Item = &'a Merge>) -> Result<Content> {
    let mut large = match base.0 {
        Kind::Inline(value) => return fold_inline(value, merges).map(Content::from),
        Kind::Large(reference) => (*reference).clone(),
    };
    let mut tail = large.tail.to_vec();
    for merge in merges {
        match merge {
            Merge::Append(more) => tail.extend_from_slice(more),
            Merge::Add(_) | Merge::Max(_) => {
                return Err(not_a_number(large.bytes + tail.len() as u64));
            }
        }
    }
    large.tail = tail.into();
    Ok(Content::large(large))
}

fn fold_inline<'a>(mut value: Bytes, merges: impl Iterator<Item = &'a Merge>) -> Result<Bytes> {
    for merge in merges {
        value = match merge {
            Merge::Add(number) => encode(decode(&value)?.wrapping_add(*number)),
            Merge::Max(number) if value.is_empty() => encode(*number),
            Merge::Max(number) => encode(decode(&value)?.max(*number)),
            Merge::Append(more) if value.is_empty() => more.clone(),
            Merge::Append(more) => [&value[..], &more[..]].concat().into(),
        };
    }
    Ok(value)
}

/// What is appended goes into the log, so it has a bound.
fn check_tail(bytes: usize) -> Result<()> {
    if bytes > INLINE_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            format!(
                "{bytes} bytes are appended to a large value in one transaction, more than {INLINE_BYTES_MAX} \
                 (INLINE_BYTES_MAX)"
            ),
        ));
    }
    Ok(())
}

fn encode(number: i64) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}

fn decode(value: &[u8]) -> Result<i64> {
    if value.is_empty() {
        return Ok(0);
    }
    let bytes = value.try_into().map_err(|_| not_a_number(value.len() as u64))?;
    Ok(i64::from_le_bytes(bytes))
}

fn not_a_number(bytes: u64) -> Error {
    Error::new(
        ErrorKind::NotANumber,
        format!("a number was added to a value of {bytes} bytes, which is not one of 8"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

    use super::*;

    fn put(value: &'static [u8]) -> Change {
        Change::Put(Bytes::from_static(value))
    }

    fn append() -> Change {
        Change::Merge(vec![Merge::Append(Bytes::from_static(b"+"))])
    }

    #[test]
    fn what_was_done_before_its_range_was_emptied_does_not_count() {
        let table: [(Stack, Option<u64>, Stack); 7] = [
            (vec![(Version(5), put(b"1"))], None, vec![(Version(5), put(b"1"))]),
            (vec![(Version(5), put(b"1"))], Some(3), vec![(Version(5), put(b"1"))]),
            (
                vec![(Version(5), append())],
                Some(3),
                vec![(Version(5), append()), (Version(3), Change::Delete)],
            ),
            // Of one transaction, the emptying comes first.
            (vec![(Version(3), append())], Some(3), vec![(Version(3), append())]),
            (vec![(Version(3), put(b"1"))], Some(3), vec![(Version(3), put(b"1"))]),
            (vec![(Version(2), put(b"1"))], Some(3), vec![(Version(3), Change::Delete)]),
            (vec![], Some(3), vec![(Version(3), Change::Delete)]),
        ];
        for (mut stack, emptied, expected) in table {
            let before = format!("{stack:?}, emptied at {emptied:?}");
            empty_at(&mut stack, emptied.map(Version));
            assert_eq!(stack, expected, "{before}");
        }
    }

    #[test]
    fn merges_add_up_from_the_first_to_the_last() {
        let number = |number: i64| encode(number);
        let max = |number| Change::Merge(vec![Merge::Max(number)]);
        let base = |number: i64| (Version(1), Change::Put(encode(number)));
        let table: [(Stack, Option<Bytes>); 6] = [
            (vec![(Version(2), max(3)), base(5)], Some(number(5))),
            (vec![(Version(2), max(7)), base(5)], Some(number(7))),
            (vec![(Version(2), max(-7))], Some(number(-7))),
            (vec![(Version(2), append()), (Version(1), put(b"ab"))], Some("ab+".into())),
            (vec![(Version(2), append()), (Version(1), Change::Delete)], Some("+".into())),
            (vec![(Version(1), Change::Delete)], None),
        ];
        for (stack, expected) in table {
            let found = value(&stack).unwrap();
            assert_eq!(found, expected.map(Content::from), "{stack:?}");
        }
    }
}

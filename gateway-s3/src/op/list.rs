//! Listing the objects of a bucket as they are.
//!
//! Objects stand in the order of their keys, so a page is one scan. What has a delimiter is told once, as a common
//! prefix, and then passed over with one seek: keys below it are not read one by one.

use storage_txn::{Items, Scan, Snapshot};

use crate::error::{Code, Result};
use crate::layout;
use crate::op::action;
use crate::op::caller::Caller;
use crate::op::{Core, Moment};
use crate::record::{Object, decode};

/// So many keys below a common prefix are passed over one by one before a seek, which costs more than a few of them.
const STEPS_BEFORE_SEEK_MAX: usize = 24;

/// What is to be listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    pub(crate) prefix: String,
    /// Empty: there are no common prefixes.
    pub(crate) delimiter: String,
    /// Only what is after this.
    pub(crate) after: String,
    pub(crate) max: usize,
}

/// A page of a listing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ListPage {
    pub(crate) entries: Vec<Entry>,
    /// There is more, after the last entry.
    pub(crate) truncated: bool,
}

/// What a listing has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    Object(String, Box<Object>),
    Prefix(String),
}

impl Entry {
    /// The key or the prefix.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Object(key, _) => key,
            Self::Prefix(prefix) => prefix,
        }
    }
}

impl Core {
    /// A page of the objects of a bucket.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`].
    pub(crate) async fn list_objects(
        &self,
        caller: &Caller,
        (name, moment): (&str, Moment),
        list: &List,
    ) -> Result<ListPage> {
        let opened = self.open(name, moment).await?;
        caller.may(action::LIST, name, &opened.bucket)?;
        let mut cursor = Cursor { snapshot: &opened.snapshot, bucket: name, list, items: None };
        let mut page = ListPage::default();
        if list.max == 0 {
            return Ok(page);
        }
        cursor.seek(&list.first()).await?;
        while let Some((key, object)) = cursor.next().await? {
            if page.entries.len() == list.max {
                page.truncated = true;
                break;
            }
            let Some(prefix) = list.common_prefix(&key) else {
                page.entries.push(Entry::Object(key, Box::new(decode(object)?)));
                continue;
            };
            let prefix = prefix.to_owned();
            cursor.pass(&prefix).await?;
            page.entries.push(Entry::Prefix(prefix));
        }
        Ok(page)
    }
}

impl List {
    /// The part of a key up to the first delimiter after the prefix, if there is one.
    pub(crate) fn common_prefix<'a>(&self, key: &'a str) -> Option<&'a str> {
        if self.delimiter.is_empty() {
            return None;
        }
        let rest = key.strip_prefix(&self.prefix[..])?;
        let at = rest.find(&self.delimiter)?;
        Some(&key[..self.prefix.len() + at + self.delimiter.len()])
    }

    /// From which key on there can be an entry, as bytes: those after `after`, and with it what is below the common
    /// prefix that it is in, as that is not after it.
    fn first(&self) -> Vec<u8> {
        let prefix = self.prefix.as_bytes().to_vec();
        if self.after.is_empty() {
            return prefix;
        }
        let after = match self.common_prefix(&self.after) {
            Some(common) => layout::after_prefix(common.as_bytes()),
            None => [self.after.as_bytes(), b"\0"].concat(),
        };
        prefix.max(after)
    }
}

/// Where in the keys a listing is.
struct Cursor<'a> {
    snapshot: &'a Snapshot,
    bucket: &'a str,
    list: &'a List,
    items: Option<(Items, Option<(String, bytes::Bytes)>)>,
}

impl Cursor<'_> {
    /// Goes on with the first key that is `first` or after it.
    async fn seek(&mut self, first: &[u8]) -> Result<()> {
        let root = layout::object(self.bucket, "");
        let start = [&root[..], first].concat();
        let end = layout::after_prefix(&layout::object(self.bucket, &self.list.prefix));
        self.items = None;
        if start < end {
            let items = self.snapshot.scan(&Scan::new(start..end)).await?;
            self.items = Some((items, None));
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<(String, bytes::Bytes)>> {
        let Some((items, peeked)) = &mut self.items else { return Ok(None) };
        if let Some(next) = peeked.take() {
            return Ok(Some(next));
        }
        let root = layout::object(self.bucket, "").len();
        let Some(item) = items.next().await? else { return Ok(None) };
        let key = std::str::from_utf8(&item.key[root..]).map_err(|_| Code::InternalError)?;
        Ok(Some((key.to_owned(), item.value)))
    }

    /// Passes over all keys that begin with a prefix.
    async fn pass(&mut self, prefix: &str) -> Result<()> {
        for _ in 0..STEPS_BEFORE_SEEK_MAX {
            let Some(next) = self.next().await? else { return Ok(()) };
            if !next.0.starts_with(prefix) {
                if let Some((_, peeked)) = &mut self.items {
                    *peeked = Some(next);
                }
                return Ok(());
            }
        }
        self.seek(&layout::after_prefix(prefix.as_bytes())).await
    }
}

//! Listing all versions of the objects of a bucket: those under the keys themselves and all others, by key and then
//! the newest first.

use std::collections::VecDeque;

use storage_txn::{Items, Scan, Snapshot};

use crate::error::{Code, Error, Result};
use crate::layout;
use crate::op::action;
use crate::op::caller::Caller;
use crate::op::list::List;
use crate::op::object::Which;
use crate::op::{Core, Moment, View};
use crate::record::{Object, decode};

/// A page of a listing of versions.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct VersionPage {
    pub(crate) entries: Vec<VersionEntry>,
    pub(crate) truncated: bool,
}

/// What a listing of versions has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum VersionEntry {
    /// A version or a delete marker, and whether it is the newest of its key.
    Version {
        key: String,
        object: Box<Object>,
        latest: bool,
    },
    Prefix(String),
}

impl Core {
    /// A page of the versions of the objects of a bucket; `after` the one of that id, of the key that `list` is after.
    ///
    /// # Errors
    ///
    /// [`Code::NoSuchBucket`], [`Code::AccessDenied`].
    pub(crate) async fn list_versions(
        &self,
        caller: &Caller,
        (name, moment): (&str, Moment),
        list: &List,
        after: Option<Which>,
    ) -> Result<VersionPage> {
        let opened = self.open(name, moment).await?;
        caller.may(action::LIST_VERSIONS, name, &opened.bucket)?;
        let mut page = VersionPage::default();
        if list.max == 0 {
            return Ok(page);
        }
        let mut merge = Merge::new(&opened.snapshot, name, list);
        let mut from = list.prefix.clone();
        if !list.after.is_empty() {
            merge.skip = Some(list.after.clone());
            if let Some(common) = list.common_prefix(&list.after).filter(|_| after.is_none()) {
                merge.seek(&layout::after_prefix(common.as_bytes())).await?;
            } else {
                from = from.max(list.after.clone());
                merge.seek(from.as_bytes()).await?;
            }
        } else {
            merge.seek(from.as_bytes()).await?;
        }
        // The order of the version after which the page begins, if it is in the middle of a key.
        let within = match &after {
            Some(which) => {
                let view = View::At(&opened.snapshot);
                let last = view.version(name, &list.after, which).await?;
                match (last, which) {
                    (Some(last), _) => Some(last.order),
                    // It was deleted meanwhile; its id says where it was.
                    (None, Which::Of(order, _)) => Some(*order),
                    (None, _) => None,
                }
            }
            None => None,
        };
        while let Some((key, versions)) = merge.next_key().await? {
            let begun = merge.skip.as_deref() == Some(&key[..]);
            if begun && within.is_none() {
                continue;
            }
            if let Some(prefix) = list.common_prefix(&key) {
                if page.entries.len() == list.max {
                    page.truncated = true;
                    return Ok(page);
                }
                let prefix = prefix.to_owned();
                merge.seek(&layout::after_prefix(prefix.as_bytes())).await?;
                page.entries.push(VersionEntry::Prefix(prefix));
                continue;
            }
            for (at, object) in versions.into_iter().enumerate() {
                if begun && within.is_some_and(|within| object.order >= within) {
                    continue;
                }
                if page.entries.len() == list.max {
                    page.truncated = true;
                    return Ok(page);
                }
                let object = Box::new(object);
                page.entries.push(VersionEntry::Version {
                    key: key.clone(),
                    object,
                    latest: at == 0,
                });
            }
        }
        Ok(page)
    }
}

/// Both ranges, being read side by side.
struct Merge<'a> {
    snapshot: &'a Snapshot,
    bucket: &'a str,
    list: &'a List,
    skip: Option<String>,
    newest: Side,
    others: Side,
}

/// One of them.
#[derive(Default)]
struct Side {
    items: Option<Items>,
    peeked: VecDeque<(String, Object)>,
}

impl<'a> Merge<'a> {
    fn new(snapshot: &'a Snapshot, bucket: &'a str, list: &'a List) -> Self {
        Self {
            snapshot,
            bucket,
            list,
            skip: None,
            newest: Side::default(),
            others: Side::default(),
        }
    }

    /// Goes on with the first key that is `first`, as bytes, or after it.
    async fn seek(&mut self, first: &[u8]) -> Result<()> {
        let end = layout::after_prefix(&layout::object(self.bucket, &self.list.prefix));
        let start = [&layout::object(self.bucket, "")[..], first].concat();
        self.newest = Side::open(self.snapshot, start..end).await?;
        // No key that is text begins with a byte that a prefix ends after, so this is in order too.
        let start = [&layout::versions_from(self.bucket, "")[..], &escaped(first)].concat();
        let end = layout::after_prefix(&layout::versions_from(self.bucket, &self.list.prefix));
        self.others = Side::open(self.snapshot, start..end).await?;
        Ok(())
    }

    /// The next key with all its versions, newest first.
    async fn next_key(&mut self) -> Result<Option<(String, Vec<Object>)>> {
        let (bucket, root) = (self.bucket, layout::object(self.bucket, "").len());
        let newest = self
            .newest
            .peek(|name| std::str::from_utf8(&name[root..]).ok().map(str::to_owned))
            .await?;
        let others = |name: &[u8]| layout::version_parts(bucket, name).map(|(key, _)| key);
        let other = self.others.peek(others).await?;
        let key = match (newest, other) {
            (None, None) => return Ok(None),
            (Some(key), None) | (None, Some(key)) => key,
            (Some(newest), Some(other)) => newest.min(other),
        };
        let mut versions = Vec::new();
        let of_newest = |name: &[u8]| std::str::from_utf8(&name[root..]).ok().map(str::to_owned);
        while self.newest.peek(of_newest).await?.as_deref() == Some(&key[..]) {
            versions.extend(self.newest.peeked.pop_front().map(|(_, object)| object));
        }
        while self.others.peek(others).await?.as_deref() == Some(&key[..]) {
            versions.extend(self.others.peeked.pop_front().map(|(_, object)| object));
        }
        Ok(Some((key, versions)))
    }
}

impl Side {
    async fn open(snapshot: &Snapshot, range: std::ops::Range<Vec<u8>>) -> Result<Self> {
        if range.is_empty() {
            return Ok(Self::default());
        }
        let items = snapshot.scan(&Scan::new(range)).await?;
        Ok(Self { items: Some(items), peeked: VecDeque::new() })
    }

    /// The key that is next.
    async fn peek(&mut self, key: impl Fn(&[u8]) -> Option<String>) -> Result<Option<String>> {
        if self.peeked.is_empty()
            && let Some(items) = &mut self.items
        {
            match items.next().await? {
                Some(item) => {
                    let key = key(&item.key).ok_or_else(|| Error::from(Code::InternalError))?;
                    self.peeked.push_back((key, decode(item.value)?));
                }
                None => self.items = None,
            }
        }
        Ok(self.peeked.front().map(|(key, _)| key.clone()))
    }
}

/// As keys stand among the versions.
fn escaped(key: &[u8]) -> Vec<u8> {
    key.iter()
        .flat_map(|byte| [*byte, u8::MAX].into_iter().take(if *byte == 0 { 2 } else { 1 }))
        .collect()
}

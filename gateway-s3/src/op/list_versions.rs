//! Listing all versions of the objects of a bucket: those under the keys themselves and all others, by key and then
//! the newest first.

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
        let mut merge = Merge::new(&opened.snapshot, name, &list.prefix);
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
        let common = list.common_prefix(&list.after).filter(|_| after.is_none());
        match (common, within) {
            _ if list.after.is_empty() || list.after < list.prefix => {
                merge.seek(list.prefix.as_bytes()).await?;
            }
            (Some(common), _) => merge.seek(&layout::after_prefix(common.as_bytes())).await?,
            (None, Some(order)) => merge.resume(&list.after, order, 0).await?,
            (None, None) => merge.seek(&[list.after.as_bytes(), b"\0"].concat()).await?,
        }
        while let Some(Step { key, object, at }) = merge.next().await? {
            if page.entries.len() == list.max {
                page.truncated = true;
                return Ok(page);
            }
            if let Some(prefix) = list.common_prefix(&key) {
                let prefix = prefix.to_owned();
                merge.seek(&layout::after_prefix(prefix.as_bytes())).await?;
                page.entries.push(VersionEntry::Prefix(prefix));
                continue;
            }
            let object = Box::new(object);
            page.entries.push(VersionEntry::Version { key, object, latest: at == 0 });
        }
        Ok(page)
    }
}

/// A version, as a walk comes to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) key: String,
    pub(super) object: Object,
    /// How many versions of the key are newer.
    pub(super) at: u32,
}

/// All versions of the objects of a bucket whose keys begin with a prefix: both ranges, being read side by side.
pub(super) struct Merge<'a> {
    snapshot: &'a Snapshot,
    bucket: &'a str,
    prefix: &'a str,
    newest: Side,
    others: Side,
    /// The key that was last, and how many versions of it are newer than that one.
    last: Option<(String, u32)>,
}

/// One of them.
#[derive(Default)]
struct Side {
    items: Option<Items>,
    peeked: Option<(String, Object)>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, bucket: &'a str, prefix: &'a str) -> Self {
        let (newest, others) = (Side::default(), Side::default());
        Self { snapshot, bucket, prefix, newest, others, last: None }
    }

    /// Goes on with the first key that is `first`, as bytes, or after it.
    pub(super) async fn seek(&mut self, first: &[u8]) -> Result<()> {
        let newest = [&layout::object(self.bucket, "")[..], first].concat();
        // No key that is text begins with a byte that a prefix ends after, so this is in order too.
        let others = [&layout::versions_from(self.bucket, "")[..], &escaped(first)].concat();
        self.last = None;
        self.open(newest, others).await
    }

    /// Goes on with what is after the version of that order, than which so many are newer.
    pub(super) async fn resume(&mut self, key: &str, order: u64, at: u32) -> Result<()> {
        let newest = [&layout::object(self.bucket, key)[..], b"\0"].concat();
        let others = [&layout::version(self.bucket, key, order)[..], b"\0"].concat();
        self.last = Some((key.to_owned(), at));
        self.open(newest, others).await
    }

    async fn open(&mut self, newest: Vec<u8>, others: Vec<u8>) -> Result<()> {
        let end = layout::after_prefix(&layout::object(self.bucket, self.prefix));
        self.newest = Side::open(self.snapshot, newest..end).await?;
        let end = layout::after_prefix(&layout::versions_from(self.bucket, self.prefix));
        self.others = Side::open(self.snapshot, others..end).await?;
        Ok(())
    }

    /// The next version.
    pub(super) async fn next(&mut self) -> Result<Option<Step>> {
        let (bucket, root) = (self.bucket, layout::object(self.bucket, "").len());
        let key_of = |name: &[u8]| std::str::from_utf8(&name[root..]).ok().map(str::to_owned);
        self.newest.peek(key_of).await?;
        self.others.peek(|name| Some(layout::version_parts(bucket, name)?.0)).await?;
        let side = match (&self.newest.peeked, &self.others.peeked) {
            (Some((newest, _)), Some((other, _))) if newest > other => &mut self.others,
            (None, _) => &mut self.others,
            _ => &mut self.newest,
        };
        let Some((key, object)) = side.peeked.take() else { return Ok(None) };
        let at = match &self.last {
            Some((last, at)) if *last == key => at.saturating_add(1),
            _ => 0,
        };
        self.last = Some((key.clone(), at));
        Ok(Some(Step { key, object, at }))
    }
}

impl Side {
    async fn open(snapshot: &Snapshot, range: std::ops::Range<Vec<u8>>) -> Result<Self> {
        if range.is_empty() {
            return Ok(Self::default());
        }
        let items = snapshot.scan(&Scan::new(range)).await?;
        Ok(Self { items: Some(items), peeked: None })
    }

    /// Reads what is next, if it was not yet.
    async fn peek(&mut self, key: impl Fn(&[u8]) -> Option<String>) -> Result<()> {
        if self.peeked.is_none()
            && let Some(items) = &mut self.items
        {
            match items.next().await? {
                Some(item) => {
                    let key = key(&item.key).ok_or_else(|| Error::from(Code::InternalError))?;
                    self.peeked = Some((key, decode(item.value)?));
                }
                None => self.items = None,
            }
        }
        Ok(())
    }
}

/// As keys stand among the versions.
fn escaped(key: &[u8]) -> Vec<u8> {
    key.iter()
        .flat_map(|byte| [*byte, u8::MAX].into_iter().take(if *byte == 0 { 2 } else { 1 }))
        .collect()
}

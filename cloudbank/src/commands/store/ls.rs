//! `store ls`: keys in order, as of any version.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::ops::Bound;

use bytes::Bytes;
use serde_json::{Map, Value};
use storage_txn::{ErrorKind, KeyRange, Scan, Snapshot, Version};

use super::at::moment;
use super::open::OpenStore;
use super::text;
use crate::cli::Read;
use crate::error::{Code, Error, Result};
use crate::run::Context;

/// Sizes and versions are aligned up to this many digits.
const SIZE_WIDTH: usize = 12;
const VERSION_WIDTH: usize = 8;
/// So many times are remembered.
const TIMES_MAX: usize = 4096;

pub(super) struct Ls {
    pub(super) read: Read,
    pub(super) prefix: Bytes,
    pub(super) long: bool,
    pub(super) limit: Option<u64>,
    pub(super) start_after: Option<Bytes>,
    pub(super) reverse: bool,
}

impl Ls {
    pub(super) async fn run(self, context: &Context) -> Result<()> {
        let opened = OpenStore::find_to_read(context, &self.read.which).await?;
        let snapshot = opened.snapshot(self.read.at.as_deref()).await?;
        let Some(range) = self.range() else { return Ok(()) };
        let mut scan = Scan::new(range);
        if self.reverse {
            scan = scan.backward();
        }
        let output = &context.output;
        let to_terminal = std::io::stdout().is_terminal();
        let mut times = Times::new(&snapshot);
        let mut result = Ok(());
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut items = snapshot.scan_meta(&scan).await.map_err(opened.explain())?;
        while left > 0 {
            let item = match items.next().await {
                Ok(Some(item)) => item,
                Ok(None) => break,
                // That is about one key, and says which.
                Err(error) if error.kind() == ErrorKind::NotANumber => {
                    output.failure(&opened.explain()(error));
                    (left, result) = (left - 1, Err(Error::Reported(Code::Failed)));
                    continue;
                }
                Err(error) => return Err(opened.explain()(error)),
            };
            left -= 1;
            let version = item.version;
            let time = match self.long {
                true => times.of(version).await.map_err(opened.explain())?,
                false => None,
            };
            if output.json {
                let mut object = Map::new();
                text::insert(&mut object, "key", &item.key);
                object.insert("size".into(), item.size.into());
                object.insert("version".into(), version.0.into());
                if self.long {
                    object.insert("time".into(), time.into());
                }
                output.json(&Value::Object(object))?;
            } else if self.long {
                output.line(format_args!(
                    "{:>SIZE_WIDTH$}  {:>VERSION_WIDTH$}  {:27}  {}",
                    item.size,
                    version.0,
                    time.as_deref().unwrap_or("-"),
                    text::shown(&item.key)
                ))?;
            } else {
                output.line(text::shown(&item.key))?;
            }
            if to_terminal {
                output.flush()?;
            }
        }
        result
    }

    /// The keys with the prefix, on the side of `start_after` that is asked for; `None` when that can be none.
    fn range(&self) -> Option<KeyRange> {
        let all = KeyRange::prefix(&self.prefix);
        let Some(after) = &self.start_after else { return Some(all) };
        let (start, end) = bounds(&all);
        let (start, end) = match self.reverse {
            false if start.is_some_and(|start| after[..] < *start) => {
                (included(start), excluded(end))
            }
            false => (Bound::Excluded(after.clone()), excluded(end)),
            true if end.is_some_and(|end| after[..] >= *end) => (included(start), excluded(end)),
            true => (included(start), Bound::Excluded(after.clone())),
        };
        let empty = match (&start, &end) {
            (Bound::Included(start), Bound::Excluded(end)) => start >= end,
            (Bound::Excluded(start), Bound::Excluded(end)) => start >= end,
            _ => false,
        };
        (!empty).then(|| KeyRange::new::<Bytes>((start, end)))
    }
}

/// The first key of a prefix and the first one after it.
fn bounds(range: &KeyRange) -> (Option<&[u8]>, Option<&[u8]>) {
    use std::ops::RangeBounds;
    let of = |bound| match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    };
    (of(range.start_bound()), of(range.end_bound()))
}

fn included(key: Option<&[u8]>) -> Bound<Bytes> {
    key.map_or(Bound::Unbounded, |key| Bound::Included(Bytes::copy_from_slice(key)))
}

fn excluded(key: Option<&[u8]>) -> Bound<Bytes> {
    key.map_or(Bound::Unbounded, |key| Bound::Excluded(Bytes::copy_from_slice(key)))
}

/// When versions were committed; many keys are of the same few.
struct Times<'a> {
    snapshot: &'a Snapshot,
    known: BTreeMap<Version, Option<String>>,
}

impl<'a> Times<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, known: BTreeMap::new() }
    }

    /// `None` for a version so old that only values are kept of it.
    async fn of(&mut self, version: Version) -> storage_txn::Result<Option<String>> {
        if let Some(known) = self.known.get(&version) {
            return Ok(known.clone());
        }
        let time = match self.snapshot.commit_info(version).await {
            Ok(commit) => Some(moment(commit.time)),
            Err(error) if error.kind() == ErrorKind::SnapshotExpired => None,
            Err(error) => return Err(error),
        };
        if self.known.len() >= TIMES_MAX {
            self.known.clear();
        }
        self.known.insert(version, time.clone());
        Ok(time)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use super::*;

    #[test]
    fn start_after_counts_from_the_side_where_the_list_begins() {
        let check = |prefix: &str, after: &str, reverse: bool, expected: &str| {
            let ls = Ls {
                read: Read { which: crate::cli::StoreWhich { provider: None }, at: None },
                prefix: Bytes::copy_from_slice(prefix.as_bytes()),
                long: false,
                limit: None,
                start_after: Some(Bytes::copy_from_slice(after.as_bytes())),
                reverse,
            };
            let range = ls.range();
            let found: String = ["a", "b", "ba", "bb", "bc", "c"]
                .iter()
                .filter(|key| range.as_ref().is_some_and(|range| range.contains(key.as_bytes())))
                .map(|key| format!("{key} "))
                .collect();
            assert_eq!(found.trim_end(), expected, "{prefix:?} {after:?} {reverse}");
        };
        check("", "ba", false, "bb bc c");
        check("", "ba", true, "a b");
        check("b", "ba", false, "bb bc");
        check("b", "ba", true, "b");
        check("b", "a", false, "b ba bb bc");
        check("b", "a", true, "");
        check("b", "c", false, "");
        check("b", "c", true, "b ba bb bc");
        check("b", "b", false, "ba bb bc");
        check("b", "b", true, "");
    }
}

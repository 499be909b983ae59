//! `store log`: who changed what, when and why.

use std::ops::{Bound, RangeBounds};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use storage_txn::{Commit, KeyRange, LogScan, Snapshot};

use super::at::moment;
use super::history::packed_away;
use super::open::OpenStore;
use super::text;
use crate::cli::Read;
use crate::error::Result;
use crate::run::Context;

/// How many keys of a transaction are shown to people.
const KEYS_SHOWN: usize = 5;

pub(super) struct Log {
    pub(super) read: Read,
    pub(super) key: Option<Bytes>,
    pub(super) prefix: Option<Bytes>,
    pub(super) limit: Option<u64>,
    pub(super) all: bool,
}

impl Log {
    pub(super) async fn run(self, context: &Context) -> Result<()> {
        let opened = OpenStore::find_to_read(context, &self.read.which).await?;
        let snapshot = opened.snapshot(self.read.at.as_deref()).await?;
        let shown = match &self.key {
            Some(key) => self.of_key(context, &snapshot, key).await,
            None => self.of_all(context, &snapshot).await,
        };
        shown?.map_err(opened.explain())
    }

    /// What changed one key is found in its history.
    async fn of_key(&self, context: &Context, snapshot: &Snapshot, key: &Bytes) -> Shown {
        let mut history = match snapshot.history(key) {
            Ok(history) => history,
            Err(error) => return Ok(Err(error)),
        };
        let mut left = self.limit.unwrap_or(u64::MAX);
        while left > 0 {
            match history.next().await {
                Ok(Some(revision)) => {
                    if let Some(commit) = &revision.commit {
                        show(context, commit)?;
                        left -= 1;
                    }
                }
                Ok(None) => {
                    packed_away(context, history.horizon())?;
                    break;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    async fn of_all(&self, context: &Context, snapshot: &Snapshot) -> Shown {
        let mut scan = LogScan::new(..);
        if self.all {
            scan = scan.with_maintenance();
        }
        let mut commits = match snapshot.log(&scan).await {
            Ok(commits) => commits,
            Err(error) => return Ok(Err(error)),
        };
        let mut left = self.limit.unwrap_or(u64::MAX);
        while left > 0 {
            match commits.next().await {
                Ok(Some(commit)) => {
                    if self.prefix.as_ref().is_none_or(|prefix| touches(&commit, prefix)) {
                        show(context, &commit)?;
                        left -= 1;
                    }
                }
                Ok(None) => {
                    match snapshot.horizon() {
                        Ok(horizon) => packed_away(context, horizon)?,
                        Err(error) => return Ok(Err(error)),
                    }
                    break;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }
}

/// A failure to write, and in it one of the store.
type Shown = Result<storage_txn::Result<()>>;

/// Whether a commit changes a key with this prefix, or empties a range that such keys are in.
fn touches(commit: &Commit, prefix: &[u8]) -> bool {
    commit.keys.iter().any(|key| key.starts_with(prefix))
        || commit.ranges.iter().any(|range| overlap(range, &KeyRange::prefix(prefix)))
}

fn overlap(a: &KeyRange, b: &KeyRange) -> bool {
    // Ranges of keys that were stored begin with their first key and end before another.
    let starts_before_end = |a: &KeyRange, b: &KeyRange| match (a.start_bound(), b.end_bound()) {
        (Bound::Included(start), Bound::Excluded(end)) => start < end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end)) => start <= end,
        (Bound::Excluded(start), Bound::Excluded(end)) => start < end,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
    };
    starts_before_end(a, b) && starts_before_end(b, a)
}

fn show(context: &Context, commit: &Commit) -> Result<()> {
    let output = &context.output;
    if output.json {
        return output.json(&Value::Object(object(commit)));
    }
    output.line(head(commit))?;
    if !commit.message.is_empty() {
        output.line(format_args!("    {}", text::line(&commit.message)))?;
    }
    let mut keys: Vec<_> =
        commit.ranges.iter().map(|range| format!("all {}", range_shown(range))).collect();
    keys.extend(commit.keys.iter().map(|key| text::shown(key)));
    let more = keys.len().saturating_sub(KEYS_SHOWN);
    for key in keys.iter().take(KEYS_SHOWN) {
        output.line(format_args!("    - {key}"))?;
    }
    if more > 0 {
        output.line(format_args!("    - and {more} more"))?;
    }
    Ok(())
}

/// The first line of a commit for people.
pub(super) fn head(commit: &Commit) -> String {
    let author = match &commit.author[..] {
        "" => String::new(),
        author => format!("  {}", text::line(author)),
    };
    let cancelled = if commit.cancelled { "  (shut out)" } else { "" };
    let (version, time, id) = (commit.version, moment(commit.time), commit.transaction_id);
    format!("{version}  {time}  {id}{author}{cancelled}")
}

/// A commit as an object of JSON.
pub(super) fn object(commit: &Commit) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("version".into(), commit.version.0.into());
    object.insert("transaction_id".into(), commit.transaction_id.to_string().into());
    object.insert("time".into(), moment(commit.time).into());
    object.insert("author".into(), commit.author.clone().into());
    object.insert("message".into(), commit.message.clone().into());
    object.insert("keys".into(), commit.keys.iter().map(|key| text::item(key)).collect());
    if !commit.ranges.is_empty() {
        let ranges: Vec<_> = commit.ranges.iter().map(range_item).collect();
        object.insert("ranges".into(), ranges.into());
    }
    if commit.cancelled {
        object.insert("cancelled".into(), true.into());
    }
    object
}

/// A range with its first key and the key that it ends before; null where it has no end.
fn range_item(range: &KeyRange) -> Value {
    let item = |bound| match bound {
        Bound::Included(key) | Bound::Excluded(key) => text::item(key),
        Bound::Unbounded => Value::Null,
    };
    json!({ "start": item(range.start_bound()), "end": item(range.end_bound()) })
}

fn range_shown(range: &KeyRange) -> String {
    let bound = |word: &str, bound| match bound {
        Bound::Included(key) | Bound::Excluded(key) => format!(" {word} {}", text::shown(key)),
        Bound::Unbounded => String::new(),
    };
    let shown = bound("from", range.start_bound()) + &bound("to before", range.end_bound());
    if shown.is_empty() { "keys".into() } else { format!("keys{shown}") }
}

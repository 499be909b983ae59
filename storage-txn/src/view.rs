//! The state of a store as a list of places that each know a part of it, and reads across them.

mod walk;

use std::cmp::Reverse;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use storage_log::planted::planted;

use crate::change::{Change, Stack, settle, value_of};
use crate::content::{Content, Kind};
use crate::memtable::Memtable;
use crate::renew::renewing;
use crate::segment::Ahead;
use crate::shared::Shared;
use crate::system::System;
use crate::writes::Range;
use crate::{Error, Result, Version};

pub(crate) use walk::{OWN, Walk, after};

/// A sorted run of changes that is never changed: a segment.
#[async_trait]
pub(crate) trait Run: std::fmt::Debug + Send + Sync {
    /// No change in it has a version above this.
    fn last(&self) -> Version;

    /// Whether it is one of history that tells of what was superseded after `version`.
    fn tells_past(&self, version: Version) -> bool;

    /// Whether it may know of `key` at `version`. Makes no request.
    fn concerns(&self, key: &[u8], version: Version) -> bool;

    /// The first key of a range that it may know of at `version`, and one that none of those comes after; `None` if there
    /// are none. Makes no request.
    fn bounds(&self, range: &Range, version: Version) -> Option<(Bytes, Bytes)>;

    /// Whether what tells where keys are has to be read first.
    fn is_cold(&self) -> bool;

    /// Reads that.
    async fn warm(&self) -> Result<()>;

    /// What is known here of `key` at `version`, newest first, down to the first change that is final. An
    /// emptied range counts as a [`Change::Delete`]. Nothing of what other runs have superseded by then.
    async fn stack(&self, key: &[u8], version: Version) -> Result<Stack>;

    /// The newest changes of `key` that are known here with a version above `after` and up to `upto`, newest
    /// first, each version once, at most `limit`. An emptied range counts as a [`Change::Delete`], unless the
    /// key has a change of its own at the same version. Where only the value is known that a merge came to, that is
    /// a [`Change::Merge`] of nothing.
    async fn changes(
        &self,
        key: &[u8],
        after: Version,
        upto: Version,
        limit: usize,
    ) -> Result<Vec<(Version, Change)>>;

    /// The next keys of `range` from its start, or from its end, with what is known of them here at
    /// `version`, emptied ranges aside; and whether there may be more. Never empty when there is more. In `ahead` is what
    /// the scan has read already.
    async fn scan(
        &self,
        range: &Range,
        backward: bool,
        version: Version,
        ahead: &mut Ahead,
    ) -> Result<(Vec<(Bytes, Stack)>, bool)>;

    /// The ranges emptied at or before `version` that overlap `range`, with when, but for those below which nothing
    /// is left to be seen.
    async fn emptied(&self, range: &Range, version: Version) -> Result<Vec<(Range, Version)>>;

    /// Whether any key of `range` was changed after `version`.
    async fn changed_range(&self, range: &Range, version: Version) -> Result<bool>;
}

/// What is asked of the newest changes can be told by every newer view.
const ANY: Version = Version(u64::MAX);

/// Everything that is known, in places that may overlap. Immutable but for the newest memtable, to which
/// only higher versions are added.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// Newest first; the first is the one that is added to.
    pub(crate) memtables: Vec<Arc<Memtable>>,
    /// The one with the highest last version first.
    pub(crate) runs: Vec<Arc<dyn Run>>,
    /// The system keys, as of the last transaction that changed one.
    pub(crate) system: Arc<System>,
    /// Whose it is: asked for a newer one when a run is found to be gone.
    pub(crate) origin: Weak<Shared>,
}

impl View {
    /// Everything that tells the value of `key` at `version`, settled.
    pub(crate) async fn stack(&self, key: &[u8], version: Version) -> Result<Stack> {
        renewing!(self, version, view => view.stack_here(key, version).await)
    }

    async fn stack_here(&self, key: &[u8], version: Version) -> Result<Stack> {
        let mut stack = Stack::new();
        for memtable in &self.memtables {
            stack.extend(memtable.stack(key, version));
        }
        settle(&mut stack);
        // What history tells of a version was so until it was superseded, so if it tells a value, that is all.
        for history in [true, false] {
            let told = self.stack_of(history, key, version, &stack).await?;
            let is_told = told.last().is_some_and(|(_, change)| change.is_final());
            stack.extend(told);
            settle(&mut stack);
            if is_told {
                break;
            }
        }
        Ok(stack)
    }

    /// What the runs of history, or the others, tell of a key, as far as it is not settled by what is known already.
    async fn stack_of(
        &self,
        history: bool,
        key: &[u8],
        version: Version,
        known: &Stack,
    ) -> Result<Stack> {
        let is_asked =
            |run: &Arc<dyn Run>| run.tells_past(version) == history && run.concerns(key, version);
        let mut stack = Stack::new();
        for (at, run) in self.runs.iter().enumerate() {
            if !is_asked(run) {
                continue;
            }
            let stops = planted("read-stops-at-the-first-place");
            if is_settled_above(known, run.last())
                || is_settled_above(&stack, run.last())
                || (stops && !(known.is_empty() && stack.is_empty()))
            {
                break;
            }
            if run.is_cold() {
                // The others are most likely wanted too: a key is in one of them and has to be looked for in all.
                let mut cold = Vec::new();
                for run in self.runs[at..].iter().filter(|run| is_asked(run) && run.is_cold()) {
                    cold.push(run.warm());
                }
                try_join_all(cold).await?;
            }
            stack.extend(run.stack(key, version).await?);
            settle(&mut stack);
        }
        Ok(stack)
    }

    /// The value of `key` at `version`, and the version of its last change.
    pub(crate) async fn find(
        &self,
        key: &[u8],
        version: Version,
    ) -> Result<Option<(Version, Content)>> {
        let stack = self.stack(key, version).await?;
        Ok(value_of(key, &stack)?.map(|value| (stack[0].0, value)))
    }

    /// The same of a key of the store's own, whose values are never large.
    pub(crate) async fn get(
        &self,
        key: &[u8],
        version: Version,
    ) -> Result<Option<(Version, Bytes)>> {
        let found = self.find(key, version).await?;
        found.map(|(version, content)| Ok((version, small(content)?))).transpose()
    }

    /// The newest changes of `key` with a version above `after` and up to `upto`, newest first, final or not,
    /// at most `limit`. Where its range was emptied and nothing else was done to it, that is a
    /// [`Change::Delete`].
    pub(crate) async fn changes(
        &self,
        key: &[u8],
        after: Version,
        upto: Version,
        limit: usize,
    ) -> Result<Vec<(Version, Change)>> {
        renewing!(self, upto, view => view.changes_here(key, after, upto, limit).await)
    }

    async fn changes_here(
        &self,
        key: &[u8],
        after: Version,
        upto: Version,
        limit: usize,
    ) -> Result<Vec<(Version, Change)>> {
        let mut all = Vec::new();
        for memtable in &self.memtables {
            all.extend(memtable.changes(key, after, upto, limit));
        }
        for run in self.runs.iter().filter(|run| run.last() > after) {
            all.extend(run.changes(key, after, upto, limit).await?);
        }
        // Of the same version, what was done to the key itself comes first: it was done last.
        all.sort_by_key(|(version, change)| (Reverse(*version), *change == Change::Delete));
        all.dedup_by_key(|(version, _)| *version);
        all.truncate(limit);
        Ok(all)
    }

    /// Whether `key` was changed after `version`.
    pub(crate) async fn changed(&self, key: &[u8], version: Version) -> Result<bool> {
        let in_memory = |memtable: &Arc<Memtable>| memtable.changed(key) > Some(version);
        Ok(self.memtables.iter().any(in_memory) || self.changed_in_runs(key, version).await?)
    }

    /// The part of [`changed`](Self::changed) that memory does not know.
    pub(crate) async fn changed_in_runs(&self, key: &[u8], version: Version) -> Result<bool> {
        renewing!(self, ANY, view => view.changed_in_runs_here(key, version).await)
    }

    async fn changed_in_runs_here(&self, key: &[u8], version: Version) -> Result<bool> {
        for run in self.runs.iter().filter(|run| run.last() > version) {
            if planted("validation-asks-one-segment") && !Arc::ptr_eq(run, &self.runs[0]) {
                continue;
            }
            // What happened counts, whatever became of it.
            if !run.changes(key, version, Version(u64::MAX), 1).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether any key of `range` was changed after `version`, as far as memory does not know it.
    pub(crate) async fn changed_range_in_runs(
        &self,
        range: &Range,
        version: Version,
    ) -> Result<bool> {
        renewing!(self, ANY, view => view.changed_range_in_runs_here(range, version).await)
    }

    async fn changed_range_in_runs_here(&self, range: &Range, version: Version) -> Result<bool> {
        for run in self.runs.iter().filter(|run| run.last() > version) {
            if run.changed_range(range, version).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The bytes of a value that the store has written for itself.
pub(crate) fn small(content: Content) -> Result<Bytes> {
    match content.0 {
        Kind::Inline(bytes) => Ok(bytes),
        Kind::Large(value) => {
            Err(Error::corrupt(format!("{} is named where no large value can be", value.id())))
        }
    }
}

/// Whether no change up to `version` adds anything. A key that was deleted with its range may have been put in the same
/// transaction, which is in another segment then.
fn is_settled_above(stack: &Stack, version: Version) -> bool {
    stack.last().is_some_and(|(at, change)| match change {
        Change::Delete => *at > version,
        change => change.is_final() && *at >= version,
    })
}

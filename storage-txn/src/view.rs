//! The state of a store as a list of places that each know a part of it, and reads across them.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use storage_log::planted::planted;

use crate::change::{Change, Stack, settle, value};
use crate::content::{Content, Kind};
use crate::memtable::Memtable;
use crate::renew::renewing;
use crate::segment::Ahead;
use crate::shared::Shared;
use crate::system::System;
use crate::writes::{Range, Writes};
use crate::{Error, Result, Version};

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
        Ok(value(&stack)?.map(|value| (stack[0].0, value)))
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

/// A walk over the keys of a range that have a value, in order.
#[derive(Debug)]
pub(crate) struct Walk {
    version: Version,
    backward: bool,
    sources: Vec<Source>,
    /// Those that are not read before the walk gets to their keys, with a key that nothing there comes before; the next
    /// one last.
    later: Vec<(Bytes, Source)>,
    emptied: Vec<(Range, Version)>,
    /// What is still to be walked over, but for `passed` and what comes before it.
    rest: Range,
    passed: Option<Bytes>,
    /// Held so that a newer view can be asked for.
    origin: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Source {
    place: Place,
    /// What is still to be read there.
    rest: Option<Range>,
    ready: VecDeque<(Bytes, Stack)>,
    ahead: Ahead,
}

/// What a view knows of a range.
#[derive(Debug, Default)]
struct Found {
    sources: Vec<Source>,
    later: Vec<(Bytes, Source)>,
    emptied: Vec<(Range, Version)>,
}

#[derive(Debug)]
enum Place {
    Memory(Arc<Memtable>),
    Run(Arc<dyn Run>),
    /// A transaction's own writes, all of them in `ready` from the start.
    Own,
}

/// The version that a transaction's own writes have among those of others: above all.
pub(crate) const OWN: Version = Version(u64::MAX);

impl Walk {
    /// Over `range` of `view` at `version`, with `own` writes on top.
    pub(crate) async fn new(
        view: &View,
        version: Version,
        range: &Range,
        backward: bool,
        own: Option<&Writes>,
    ) -> Result<Self> {
        let mut emptied = Vec::new();
        let mut sources = Vec::new();
        if let Some(own) = own {
            let points = own
                .points_within(range)
                .map(|(key, change)| (key.clone(), vec![(OWN, change.clone())]));
            let ready = if backward { points.rev().collect() } else { points.collect() };
            sources.push(Source { ready, ..Source::new(Place::Own, None) });
            emptied.extend(own.ranges().iter().map(|range| (range.clone(), OWN)));
        }
        let origin = view.origin.upgrade();
        let rest = range.clone();
        let (passed, later) = (None, Vec::new());
        let mut walk = Self { version, backward, sources, later, emptied, rest, passed, origin };
        let found = renewing!(view, version, view => walk.sources_in(view).await)?;
        walk.take(found);
        Ok(walk)
    }

    fn take(&mut self, found: Found) {
        self.sources.extend(found.sources);
        self.emptied.extend(found.emptied);
        self.later = found.later;
        self.later.sort_by(|(a, _), (b, _)| if self.backward { a.cmp(b) } else { b.cmp(a) });
    }

    /// All that a view knows of the rest.
    async fn sources_in(&self, view: &View) -> Result<Found> {
        let (range, version) = (&self.rest, self.version);
        let mut found = Found::default();
        if range.is_empty() {
            return Ok(found);
        }
        for memtable in &view.memtables {
            found.emptied.extend(memtable.emptied(range, version));
            let place = Place::Memory(memtable.clone());
            found.sources.push(Source::new(place, Some(range.clone())));
        }
        for run in &view.runs {
            let Some((first, last)) = run.bounds(range, version) else { continue };
            found.emptied.extend(run.emptied(range, version).await?);
            let source = Source::new(Place::Run(run.clone()), Some(range.clone()));
            found.later.push((if self.backward { last } else { first }, source));
        }
        Ok(found)
    }

    /// Goes on with the rest in a newer view, as a run of the old one is gone.
    async fn move_on(&mut self, missing: Error) -> Result<()> {
        let Some(origin) = self.origin.clone() else { return Err(missing) };
        if let Some(passed) = self.passed.take() {
            if self.backward { self.rest.end = passed } else { self.rest.start = after(&passed) }
        }
        let view = origin.renew(self.version, missing).await?;
        let found = renewing!(&*view, self.version, view => self.sources_in(view).await)?;
        self.sources.retain(|source| matches!(source.place, Place::Own));
        self.emptied.retain(|(_, at)| *at == OWN);
        self.take(found);
        Ok(())
    }

    /// Reads on until the next key is known with all that is known of it. May be dropped midway.
    async fn fill(&mut self) -> Result<()> {
        let (backward, version) = (self.backward, self.version);
        loop {
            let hungry = self.sources.iter().filter(|source| source.is_hungry()).count();
            match hungry {
                0 if self.begin() => continue,
                0 => return Ok(()),
                _ => {}
            }
            let mut fills = Vec::with_capacity(hungry);
            for source in self.sources.iter_mut().filter(|source| source.is_hungry()) {
                fills.push(source.fill(backward, version));
            }
            try_join_all(fills).await?;
            self.sources.retain(|source| !source.is_exhausted());
        }
    }

    /// Begins with the sources whose turn has come: nothing that is ready comes before what they may have. Whether there
    /// are any.
    fn begin(&mut self) -> bool {
        let Some(next) = self.later.last() else { return false };
        let ready = self.sources.iter().filter_map(|source| Some(&source.ready.front()?.0));
        let bound = if self.backward { ready.max() } else { ready.min() };
        let bound = bound.unwrap_or(&next.0).clone();
        let mut begun = false;
        while let Some((_, source)) = self
            .later
            .pop_if(|(begins, _)| if self.backward { *begins >= bound } else { *begins <= bound })
        {
            self.sources.push(source);
            begun = true;
        }
        begun
    }

    /// The next key that has a value, with the version of its last change.
    pub(crate) async fn next(&mut self) -> Result<Option<(Bytes, Version, Content)>> {
        loop {
            while let Err(error) = self.fill().await {
                if error.missing_object().is_none() {
                    return Err(error);
                }
                self.move_on(error).await?;
            }
            let heads = self.sources.iter().filter_map(|source| Some(&source.ready.front()?.0));
            let next = if self.backward { heads.max() } else { heads.min() };
            let Some(key) = next.cloned() else { return Ok(None) };
            self.passed = Some(key.clone());
            let mut stack = Stack::new();
            for source in &mut self.sources {
                if source.ready.front().is_some_and(|(head, _)| *head == key)
                    && let Some((_, part)) = source.ready.pop_front()
                {
                    stack.extend(part);
                }
            }
            let emptied = self
                .emptied
                .iter()
                .filter(|(range, _)| range.contains(&key))
                .map(|(_, at)| *at)
                .max();
            if let Some(at) = emptied {
                stack.retain(|(point, _)| *point >= at);
            }
            settle(&mut stack);
            let ends_above = stack.last().is_some_and(|(_, change)| change.is_final());
            if let Some(at) = emptied
                && !ends_above
            {
                stack.push((at, Change::Delete));
            }
            if let Some(value) = value(&stack)? {
                return Ok(Some((key, stack[0].0, value)));
            }
        }
    }
}

impl Source {
    fn new(place: Place, rest: Option<Range>) -> Self {
        Self { place, rest, ready: VecDeque::new(), ahead: Ahead::default() }
    }

    /// Whether it has to be read to tell what comes next.
    fn is_hungry(&self) -> bool {
        self.ready.is_empty() && self.rest.is_some()
    }

    fn is_exhausted(&self) -> bool {
        self.ready.is_empty() && self.rest.is_none()
    }

    /// May be dropped midway: what was to be read still is.
    async fn fill(&mut self, backward: bool, version: Version) -> Result<()> {
        while self.ready.is_empty() {
            let Some(range) = self.rest.clone() else { return Ok(()) };
            let (keys, more) = match &self.place {
                Place::Own => return Ok(()),
                Place::Memory(memtable) => memtable.scan(&range, backward, version),
                Place::Run(run) => run.scan(&range, backward, version, &mut self.ahead).await?,
            };
            self.rest = match keys.last() {
                Some((last, _)) if more => Some(if backward {
                    Range { start: range.start, end: last.clone() }
                } else {
                    Range { start: after(last), end: range.end }
                }),
                _ => None,
            };
            self.ready = keys.into();
        }
        Ok(())
    }
}

/// The first key after this one.
pub(crate) fn after(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

//! Walks: the keys of a range that have a value, in order, from all places that know of them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;

use crate::change::{Change, Stack, settle, value_of};
use crate::content::Content;
use crate::memtable::Memtable;
use crate::renew::renewing;
use crate::segment::Ahead;
use crate::shared::Shared;
use crate::view::{Run, View};
use crate::writes::{Range, Writes};
use crate::{Error, Result, Version};

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
    ///
    /// # Errors
    ///
    /// After [`NotANumber`](crate::ErrorKind::NotANumber), which names a key, the next call goes on with the one after it.
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
            if let Some(value) = value_of(&key, &stack)? {
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

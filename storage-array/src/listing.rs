//! One list of what several members list.

use std::collections::BTreeMap;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use storage_core::{Error, ErrorKind, Key, List, Listed, Page, Prefix, Result};

use crate::cell::{Kind, kind_by_length};
use crate::core::{Core, OBJECTS};
use crate::gather::Want;
use crate::health::Work;

/// How many keys are asked of a member at a time.
const PAGE_KEYS_MAX: usize = 1000;

/// A stretch of the lists of all members that answered, key by key.
pub(crate) struct Stretch {
    /// The length of the cell on each member; `None` where it lists none, or did not answer.
    pub(crate) cells: BTreeMap<Key, Vec<Option<u64>>>,
    /// Which members answered.
    pub(crate) answered: Vec<bool>,
    /// Up to which key it goes, if there is more.
    pub(crate) more_after: Option<Key>,
}

impl Core {
    pub(crate) async fn list(&self, request: List<'_>) -> Result<Page> {
        let limit = request.limit.max(1);
        let mut objects = Vec::new();
        let mut after = request.start_after.cloned();
        loop {
            let stretch =
                self.stretch(request.prefix, after.as_ref(), limit - objects.len()).await?;
            let mut entries = stretch.cells.into_iter();
            for (key, lengths) in entries.by_ref() {
                if let Some(size) = self.listed_size(&key, &lengths, &stretch.answered).await? {
                    objects.push(Listed { key, size });
                    if objects.len() == limit {
                        break;
                    }
                }
            }
            if objects.len() == limit {
                let more = entries.next().is_some() || stretch.more_after.is_some();
                return Ok(Page { objects, more });
            }
            match stretch.more_after {
                Some(last) => after = Some(last),
                None => return Ok(Page { objects, more: false }),
            }
        }
    }

    /// Lists a page of every member, and cuts where the first of them ends.
    pub(crate) async fn stretch(
        &self,
        prefix: &Prefix,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Stretch> {
        let limit = limit.min(PAGE_KEYS_MAX - 1) + 1;
        let total = self.workers.len();
        let nothing =
            || Stretch { cells: BTreeMap::new(), answered: vec![true; total], more_after: None };
        let Ok(cells) = Self::cells_prefix(prefix) else { return Ok(nothing()) };
        // A key that is too long for a member lies behind those that are not.
        let after = after.map(|key| {
            let mut text = format!("{OBJECTS}{key}");
            text.truncate(storage_core::KEY_BYTES_MAX);
            Key::new(text.strip_suffix('/').unwrap_or(&text))
                .expect("the beginning of a key is one")
        });
        let (cells, after) = (&cells, after.as_ref());
        let mut pages: Vec<Option<Page>> = vec![None; total];
        let mut failure = None;
        let mut waiting: FuturesUnordered<_> = (0..total)
            .filter(|member| !self.workers[*member].is_aside())
            .map(|member| async move {
                let request = List { prefix: cells, start_after: after, limit };
                (member, self.workers[member].list(request).await)
            })
            .collect();
        if waiting.len() < self.answers_needed() {
            for member in (0..total).filter(|member| self.workers[*member].is_aside()) {
                let request = List { prefix: cells, start_after: after, limit };
                match self.workers[member].list(request).await {
                    Ok(page) => pages[member] = Some(page),
                    Err(error) => failure = Some(error),
                }
            }
        }
        let began = self.env.monotonic();
        while !waiting.is_empty() {
            let done: Vec<bool> = pages.iter().map(Option::is_some).collect();
            let answered = done.iter().filter(|done| **done).count();
            let next = if answered < self.answers_needed().max(self.agree).min(total) {
                waiting.next().await
            } else {
                let patience = self.grace(&done, Work::Read) * 4;
                let passed = self.env.monotonic().saturating_sub(began);
                let sleep = self.env.sleep(patience.saturating_sub(passed));
                match select(waiting.next(), sleep).await {
                    Either::Left((next, _)) => next,
                    Either::Right(_) => break,
                }
            };
            match next {
                Some((member, Ok(page))) => pages[member] = Some(page),
                Some((_, Err(error))) => failure = Some(error),
                None => {}
            }
        }
        let known = pages.iter().flatten().count();
        if known < self.answers_needed() {
            let because = failure.map(|error| format!(", one with: {error}")).unwrap_or_default();
            let kind = ErrorKind::Unavailable;
            return Err(Error::not_applied(
                kind,
                format!("{known} of {total} members listed what they have, too few{because}"),
            ));
        }
        self.combine(pages)
    }

    /// The pages of the members that answered as one, cut where the first of them ends.
    pub(crate) fn combine(&self, pages: Vec<Option<Page>>) -> Result<Stretch> {
        let total = self.workers.len();
        let answered: Vec<bool> = pages.iter().map(Option::is_some).collect();
        let more_after = pages
            .iter()
            .flatten()
            .filter(|page| page.more)
            .filter_map(|page| page.objects.last())
            .map(|object| object.key.clone())
            .min();
        let mut found: BTreeMap<Key, Vec<Option<u64>>> = BTreeMap::new();
        for (member, page) in pages.into_iter().enumerate() {
            for object in page.into_iter().flat_map(|page| page.objects) {
                if more_after.as_ref().is_some_and(|last| object.key > *last) {
                    break;
                }
                let name = object.key.as_str().strip_prefix(OBJECTS);
                let key = name.and_then(|name| Key::new(name).ok()).ok_or_else(|| {
                    let name = self.workers[member].member.name();
                    Error::not_applied(
                        ErrorKind::Corrupt,
                        format!("\"{name}\" lists \"{}\", which was not asked for", object.key),
                    )
                })?;
                found.entry(key).or_insert_with(|| vec![None; total])[member] = Some(object.size);
            }
        }
        let outside = |key: Key| {
            let name = key.as_str().strip_prefix(OBJECTS).map(Key::new);
            name.and_then(Result::ok)
        };
        Ok(Stretch { cells: found, answered, more_after: more_after.and_then(outside) })
    }

    /// The size of an object with cells of these lengths; `None` if there is no object. Where lengths alone
    /// do not tell, the members are asked.
    async fn listed_size(
        &self,
        key: &Key,
        lengths: &[Option<u64>],
        answered: &[bool],
    ) -> Result<Option<u64>> {
        if let Some(answer) = self.size_by_lengths(key, lengths, answered) {
            return Ok(answer);
        }
        let inside = self.cell_key(key)?;
        match self.find(key, &inside, Want::Head, None).await {
            Ok(found) => Ok(Some(found.header.size)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the lengths tell: a size, no object, or nothing for certain.
    pub(crate) fn size_by_lengths(
        &self,
        key: &Key,
        lengths: &[Option<u64>],
        answered: &[bool],
    ) -> Option<Option<u64>> {
        let cells: Vec<(u8, u64)> = lengths
            .iter()
            .enumerate()
            .filter_map(|(member, length)| Some((self.index_of(key, member), (*length)?)))
            .collect();
        let is = |kind| move |(_, length): &(u8, u64)| kind_by_length(key, *length) == Some(kind);
        let silent = answered.iter().filter(|answered| !**answered).count();
        if cells.iter().all(is(Kind::Tombstone)) && cells.len() >= self.quorum {
            return Some(None);
        }
        if !cells.iter().all(is(Kind::Piece)) {
            return None;
        }
        if cells.len() + silent < self.data().min(self.agree) {
            return Some(None);
        }
        if cells.len() < self.agree.max(self.answers_needed()) {
            return None;
        }
        let shape = self.shape();
        let size = shape.size_of(key, cells[0], cells.get(1).copied())?;
        let fits = |(index, length): &(u8, u64)| shape.cell_bytes(key, size, *index) == *length;
        cells.iter().all(fits).then_some(Some(size))
    }
}

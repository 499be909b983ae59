//! The last mutations, so that a list can be shown as it was before them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use storage_core::{Effect, ErrorKind, Get, Key, List, Listed, Page, Result, StorageProvider};

/// The last mutations: which key, and the size of what was under it before.
#[derive(Debug)]
pub(super) struct Journal {
    mutations_max: usize,
    entries: Mutex<VecDeque<(Key, Option<u64>)>>,
}

/// What is known of a key before it is mutated.
pub(super) enum Before {
    /// The size of the object, or that there was none.
    Known(Option<u64>),
    /// Nothing: then no stale list is made of it.
    Unknown,
}

impl Journal {
    /// Remembers so many mutations; with zero it costs nothing.
    pub(super) fn new(mutations_max: usize) -> Self {
        Self { mutations_max, entries: Mutex::default() }
    }

    /// What is under a key that is about to be mutated.
    pub(super) async fn look(&self, provider: &impl StorageProvider, key: &Key) -> Before {
        if self.mutations_max == 0 {
            return Before::Unknown;
        }
        match provider.get(key, Get::meta_only()).await {
            Ok(object) => Before::Known(Some(object.size)),
            Err(error) if error.kind() == ErrorKind::NotFound => Before::Known(None),
            Err(_) => Before::Unknown,
        }
    }

    /// Remembers a mutation that may have happened.
    pub(super) fn note<T>(&self, key: &Key, before: Before, answer: &Result<T>) {
        let Before::Known(size) = before else { return };
        if answer.as_ref().is_err_and(|error| error.effect() == Effect::NotApplied) {
            return;
        }
        let mut entries = self.entries();
        if entries.len() == self.mutations_max {
            entries.pop_front();
        }
        entries.push_back((key.clone(), size));
    }

    /// A page as it was before the last mutations: at least one of those remembered, or the given part of
    /// them. Says how many; none if the page is the same without them.
    pub(super) async fn list_before(
        &self,
        provider: &impl StorageProvider,
        request: List<'_>,
        part: f64,
    ) -> Result<(Page, usize)> {
        let (before, mutations) = self.states_before(part);
        let mut start_after = request.start_after.cloned();
        loop {
            let now = provider.list(List { start_after: start_after.as_ref(), ..request }).await?;
            let end =
                if now.more { now.objects.last().map(|listed| listed.key.clone()) } else { None };
            let then = undo(now.clone(), &before, request, start_after.as_ref(), end.as_ref());
            // A page emptied by going back may not promise more; so the next one is its content.
            if then.objects.is_empty() && then.more && end.is_some() {
                start_after = end;
                continue;
            }
            let changed = then != now || start_after.as_ref() != request.start_after;
            return Ok((then, if changed { mutations } else { 0 }));
        }
    }

    /// The state of each key mutated lately, before that; and how many mutations that goes back.
    fn states_before(&self, part: f64) -> (BTreeMap<Key, Option<u64>>, usize) {
        let entries = self.entries();
        let mutations = 1 + (part * entries.len() as f64) as usize;
        let mutations = mutations.min(entries.len());
        // Newest first: what was before the oldest of several mutations of one key stays.
        (entries.iter().rev().take(mutations).cloned().collect(), mutations)
    }

    // Nothing that holds the lock can panic, so a poisoned lock guards sound entries.
    fn entries(&self) -> MutexGuard<'_, VecDeque<(Key, Option<u64>)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts back what was in the stretch of keys that a page covers: after `start_after`, up to `end`.
fn undo(
    page: Page,
    before: &BTreeMap<Key, Option<u64>>,
    request: List<'_>,
    start_after: Option<&Key>,
    end: Option<&Key>,
) -> Page {
    let covered = |key: &Key| {
        key.starts_with(request.prefix)
            && start_after.is_none_or(|start_after| key > start_after)
            && end.is_none_or(|end| key <= end)
    };
    let mut sizes: BTreeMap<Key, u64> =
        page.objects.into_iter().map(|listed| (listed.key, listed.size)).collect();
    for (key, size) in before.iter().filter(|(key, _)| covered(key)) {
        match size {
            Some(size) => sizes.insert(key.clone(), *size),
            None => sizes.remove(key),
        };
    }
    let limit = request.limit.max(1);
    let more = page.more || sizes.len() > limit;
    let objects = sizes.into_iter().take(limit).map(|(key, size)| Listed { key, size }).collect();
    Page { objects, more }
}

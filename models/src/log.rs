//! A log in which nothing is collected: slots, and requests that land whenever they like.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The id of an entry: a hash of all of it, and so of all before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(u64);

impl Id {
    /// What the first entry follows.
    pub(crate) const GENESIS: Self = Self(0);
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0 & 0xffff)
    }
}

/// What is sent for a slot.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry<B> {
    /// The first slot is 1.
    pub(crate) slot: u8,
    /// The id of the entry before.
    pub(crate) prev: Id,
    pub(crate) id: Id,
    pub(crate) body: B,
}

impl<B: Hash> Entry<B> {
    pub(crate) fn new(slot: u8, prev: Id, body: B) -> Self {
        let mut hasher = DefaultHasher::new();
        (slot, prev, &body).hash(&mut hasher);
        Self { slot, prev, id: Id(hasher.finish() | 1), body }
    }
}

impl<B: fmt::Debug> fmt::Debug for Entry<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}: {:?} ({:?} after {:?})", self.slot, self.body, self.id, self.prev)
    }
}

/// What the provider has, and what is on its way there.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Log<B> {
    /// What stands at slot 1, 2 and so on. With a mistake there may be gaps.
    pub(crate) slots: Vec<Option<Entry<B>>>,
    /// Requests that may still make a difference. One that has landed may land again, as retries and
    /// proxies do, and one that was sent may land when its sender is long gone.
    pub(crate) sent: BTreeSet<Entry<B>>,
}

impl<B: Clone + Ord> Log<B> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), sent: BTreeSet::new() }
    }

    pub(crate) fn at(&self, slot: u8) -> Option<&Entry<B>> {
        self.slots.get(usize::from(slot) - 1)?.as_ref()
    }

    /// A put on condition that the slot is free goes out.
    pub(crate) fn send(&mut self, entry: Entry<B>) {
        // Nothing is ever taken away, so one for a slot that is taken makes no difference.
        if self.at(entry.slot).is_none() {
            self.sent.insert(entry);
        }
    }

    /// It arrives at the provider, and is the first.
    pub(crate) fn land(&mut self, entry: &Entry<B>) {
        self.place(entry);
        self.sent.retain(|other| other.slot != entry.slot);
    }

    /// Puts it there whatever is there.
    pub(crate) fn place(&mut self, entry: &Entry<B>) {
        let at = usize::from(entry.slot) - 1;
        if self.slots.len() <= at {
            self.slots.resize(at + 1, None);
        }
        self.slots[at] = Some(entry.clone());
    }

    /// Whether each entry stands right after the one whose id it carries.
    pub(crate) fn is_chained(&self) -> bool {
        let mut prev = Id::GENESIS;
        self.slots.iter().all(|entry| {
            let follows = entry.as_ref().is_some_and(|entry| entry.prev == prev);
            prev = entry.as_ref().map_or(prev, |entry| entry.id);
            follows
        })
    }

    /// The slots whose entries say this.
    pub(crate) fn find(&self, is_it: impl Fn(&B) -> bool) -> Vec<u8> {
        let entries = self.slots.iter().flatten();
        entries.filter(|entry| is_it(&entry.body)).map(|entry| entry.slot).collect()
    }
}

impl<B: fmt::Debug> fmt::Debug for Log<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stored: Vec<_> = self.slots.iter().flatten().collect();
        write!(f, "log {stored:?}, under way {:?}", self.sent)
    }
}

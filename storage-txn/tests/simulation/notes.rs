//! What is written down of a run, to be judged at its end: it outlives the crashes of the nodes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use conformance::serializability::{Begun, History, Malformed, Recorder};
use storage_txn::{TransactionId, Version};

use crate::combiner::Board;
use crate::files::Files;

/// How many transactions each client makes.
const TRANSACTIONS: u32 = 4;
/// The same where it is about values only.
const OF_VALUES: u32 = 10;

/// What outlives the crashes of its node.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Whether whoever lists pins sees all of them: else one may be passed over.
    pub(crate) lists_are_whole: bool,
    /// Where handles find each other, if they hand over their commits.
    pub(crate) board: Option<Arc<Board>>,
    /// Whether clients do nothing but put large values, take them back, pin, pack and collect.
    pub(crate) is_about_values: bool,
    recorder: Mutex<Recorder>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many transactions each client has begun, by node and client.
    begun: BTreeMap<(u32, u32), u32>,
    processes: u32,
    values: u64,
    ids: Vec<(TransactionId, Begun)>,
    files: Files,
    /// The highest version before which anybody wanted everything to be packed away.
    packed: Version,
    names: u32,
    /// Tags that are there, until somebody begins to take them away.
    tags: BTreeMap<String, Version>,
    /// Cursors that are there, until somebody begins to move them.
    cursors: BTreeMap<String, Version>,
    /// Versions that are pinned longer than a run takes, until somebody begins to let go of them. Only where lists
    /// are whole.
    pinned: BTreeMap<u32, Version>,
}

impl Notes {
    pub(crate) fn new(lists_are_whole: bool) -> Self {
        Self { lists_are_whole, ..Self::default() }
    }

    /// The same, of nodes that hand over their commits to each other.
    pub(crate) fn of_combining() -> Self {
        Self { board: Some(Arc::default()), ..Self::default() }
    }

    /// The same, of nodes that are about large values only, where lists are whole.
    pub(crate) fn of_values() -> Self {
        Self { is_about_values: true, ..Self::new(true) }
    }

    /// A new process of the history: one that never learnt how its last transaction ended makes no other.
    pub(crate) fn process(&self) -> u32 {
        let mut state = self.state();
        state.processes += 1;
        state.processes - 1
    }

    /// A value that was never put before.
    pub(crate) fn value(&self) -> u64 {
        let mut state = self.state();
        state.values += 1;
        state.values
    }

    /// Whether this client has another transaction to make.
    pub(crate) fn another(&self, client: (u32, u32)) -> bool {
        let mut state = self.state();
        let begun = state.begun.entry(client).or_default();
        *begun += 1;
        *begun <= if self.is_about_values { OF_VALUES } else { TRANSACTIONS }
    }

    pub(crate) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was written down.
    pub(crate) fn history(&self) -> Result<History, Malformed> {
        std::mem::take(&mut *self.recorder()).finish()
    }

    /// Takes note of an attempt that may be sent.
    pub(crate) fn note_id(&self, id: TransactionId, begun: Begun) {
        self.state().ids.push((id, begun));
    }

    /// The ids of all transactions that may have been sent.
    pub(crate) fn ids(&self) -> Vec<(TransactionId, Begun)> {
        self.state().ids.clone()
    }

    /// Does something with what is noted of files.
    pub(crate) fn files<T>(&self, with: impl FnOnce(&mut Files) -> T) -> T {
        with(&mut self.state().files)
    }

    /// Somebody is about to pack away what is before a version.
    pub(crate) fn packs(&self, before: Version) {
        let mut state = self.state();
        state.packed = state.packed.max(before);
    }

    /// Takes note of a pin, and tells its number. `None` where the horizon may pass it: lists may leave it out, or
    /// somebody wanted to pack further before it was there.
    pub(crate) fn pinned(&self, version: Version) -> Option<u32> {
        let mut state = self.state();
        if version < state.packed || !self.lists_are_whole {
            return None;
        }
        state.names += 1;
        let number = state.names;
        state.pinned.insert(number, version);
        Some(number)
    }

    /// Somebody is about to let go of a pin.
    pub(crate) fn lets_go(&self, pin: Option<u32>) {
        pin.map(|number| self.state().pinned.remove(&number));
    }

    /// What is pinned, by number.
    pub(crate) fn pins(&self) -> BTreeMap<u32, Version> {
        self.state().pinned.clone()
    }

    /// The highest that the horizon may be.
    pub(crate) fn packed(&self) -> Version {
        self.state().packed
    }

    /// Whether a version may be packed away, as far as this can be told now.
    pub(crate) fn may_be_gone(&self, version: Version) -> bool {
        let state = self.state();
        version < state.packed
            && !state.tags.values().any(|tag| *tag == version)
            && !state.pinned.values().any(|pinned| *pinned <= version)
    }

    /// A name that no tag has had.
    pub(crate) fn name(&self) -> String {
        let mut state = self.state();
        state.names += 1;
        format!("{}", state.names)
    }

    pub(crate) fn tags<T>(&self, with: impl FnOnce(&mut BTreeMap<String, Version>) -> T) -> T {
        with(&mut self.state().tags)
    }

    pub(crate) fn cursors<T>(&self, with: impl FnOnce(&mut BTreeMap<String, Version>) -> T) -> T {
        with(&mut self.state().cursors)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

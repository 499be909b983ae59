//! Collecting old slots of the log, both ways: by tombstones, and by a published boundary with deletion.
//!
//! A deleted name can be created again. So either a slot is never deleted and a tombstone keeps it taken, or
//! the collector first publishes up to where it deletes, and whoever has created an entry or read some looks
//! at the boundary afterwards: what lies below says nothing.

mod process;

use std::collections::BTreeSet;
use std::fmt;

use stateright::{Model, Property};

use crate::check::{Mistaken, Protocol, Size};
use crate::log::{Entry, Id};
use process::{Doing, Process, Told};

/// Processes that write and read a log of which the beginning is collected.
#[derive(Debug, Clone)]
pub struct Collection {
    way: Way,
    /// How many transactions each process has.
    transactions: Vec<u8>,
    mistake: Option<CollectionMistake>,
}

/// How a slot is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Its entry is replaced by its id.
    Tombstones,
    /// It is deleted, after a boundary was published.
    Boundary,
}

/// What may be done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is told in the tables below")]
pub enum CollectionMistake {
    DeletesWithoutTombstone,
    CollectsBeyondTheCheckpoint,
    CheckpointForgetsIds,
    NoCheckOfTheBoundary,
    ChecksBeforeThePut,
    ReaderDoesNotCheck,
    BelowTheBoundaryIsFailed,
    DeletesBeforeItPublishes,
}

use CollectionMistake as Mistake;

const ONCE: &str = "a transaction is committed at most once";
const STAYS: &str = "what is acknowledged is in the log, for whoever opens it";
const FAILED: &str = "what is told as failed never comes to be";
const SAME: &str = "what a process or checkpoint knows of the log is what the log says";
const FRESH: &str = "who reads sees all that was acknowledged before";
const SOUND: &str = "nobody finds the log corrupt";

/// The `n`th transaction of a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Transaction {
    process: u8,
    n: u8,
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}'s transaction {}", self.process, self.n)
    }
}

/// What stands at a slot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Slot {
    Free,
    Entry(Entry<Transaction>),
    Tombstone(Id),
}

/// The log up to some slot, as a process or a checkpoint has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
struct Known {
    entries: Vec<(Id, Transaction)>,
    /// How many entries have lost their transactions' ids; none, but for a mistake.
    anonymous: u8,
}

impl Known {
    fn slots(&self) -> u8 {
        self.entries.len() as u8
    }

    fn head(&self) -> Id {
        self.entries.last().map_or(Id::GENESIS, |(id, _)| *id)
    }

    fn add(&mut self, entry: &Entry<Transaction>) {
        self.entries.push((entry.id, entry.body));
    }

    /// Whether the transaction is found by its id.
    fn finds(&self, transaction: Transaction) -> bool {
        let named = self.entries.iter().skip(usize::from(self.anonymous));
        named.into_iter().any(|(_, found)| *found == transaction)
    }

    fn begins(&self, longer: &Self) -> bool {
        longer.entries.starts_with(&self.entries)
    }
}

/// What processes and the collector do, and what befalls them.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A process sends its next transaction, or the same one for another slot.
    Send(u8),
    /// A request arrives. It may arrive again, also when its slot was deleted.
    Land(Entry<Transaction>),
    /// It is told that it has created its entry.
    HearCreated(u8),
    /// It waits no longer for an answer, or is told that its slot is taken.
    Lose(u8),
    /// It reads the slot that it has sent an entry for.
    Read(u8),
    /// It has found its own entry at its slot, and looks at the boundary.
    Confirm(u8),
    /// It looks for its transaction in what it knows, which goes beyond the slot of its entry.
    Settle(u8),
    /// It reads the slot after the last it knows and finds an entry.
    CatchUp(u8),
    /// It finds a tombstone there and goes on from a checkpoint.
    FindCollected(u8, usize),
    /// It looks at the boundary, and takes what it has read for the log.
    Trust(u8),
    /// It looks at the boundary, which is above what it knew, and goes on from a checkpoint.
    Distrust(u8, usize),
    /// It begins to read the state at the end of the log.
    Look(u8),
    /// It has found nothing at the next slot, looks at the boundary, and gives what it knows to its user.
    See(u8),
    /// It tells that nobody knows.
    GiveUp(u8),
    /// It forgets everything and begins anew.
    Crash(u8),
    /// It writes a checkpoint of all it knows.
    Checkpoint(u8),
    /// The collector publishes a boundary.
    Publish(u8),
    /// The collector sends for all slots up to this one to be collected.
    Collect(u8),
    /// One such request arrives. It may arrive again.
    Sweep(u8),
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    slots: Vec<Slot>,
    sent: BTreeSet<Entry<Transaction>>,
    checkpoints: BTreeSet<Known>,
    boundary: u8,
    /// Requests to collect slots up to this one are under way.
    collected: u8,
    processes: Vec<Process>,
    /// What was said of each transaction.
    told: Vec<Told>,
    /// Somebody was given less than had been acknowledged before.
    stale: bool,
    /// Somebody found an entry that does not follow the one before.
    corrupt: bool,
}

impl State {
    fn at(&self, slot: u8) -> &Slot {
        self.slots.get(usize::from(slot) - 1).unwrap_or(&Slot::Free)
    }

    fn set(&mut self, slot: u8, what: Slot) {
        let at = usize::from(slot) - 1;
        if self.slots.len() <= at {
            self.slots.resize(at + 1, Slot::Free);
        }
        self.slots[at] = what;
        while self.slots.last() == Some(&Slot::Free) {
            self.slots.pop();
        }
    }

    fn newest_checkpoint(&self) -> Known {
        self.checkpoints.iter().max_by_key(|known| known.slots()).cloned().unwrap_or_default()
    }

    /// What a process knows that opens the log now and is not disturbed.
    fn view(&self) -> Known {
        let mut known = self.newest_checkpoint();
        while let Slot::Entry(entry) = self.at(known.slots() + 1) {
            if entry.prev != known.head() {
                break;
            }
            known.add(entry);
        }
        known
    }
}

impl Collection {
    fn is(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    fn each(&self) -> impl Iterator<Item = Transaction> {
        let processes = (0..).zip(&self.transactions);
        processes.flat_map(|(process, &many)| (0..many).map(move |n| Transaction { process, n }))
    }

    fn index(&self, transaction: Transaction) -> usize {
        let before = &self.transactions[..usize::from(transaction.process)];
        usize::from(before.iter().sum::<u8>() + transaction.n)
    }

    fn told(&self, state: &State, what: Told, times: usize) -> bool {
        let view = state.view();
        let mut told = self.each().filter(|&each| state.told[self.index(each)] == what);
        told.all(|each| view.entries.iter().filter(|(_, found)| *found == each).count() == times)
    }

    /// How far the collector may go now: as far as a checkpoint goes.
    fn collectable(&self, state: &State) -> Vec<u8> {
        let beyond = u8::from(self.is(Mistake::CollectsBeyondTheCheckpoint));
        let ends = state.checkpoints.iter().map(|known| known.slots() + beyond);
        let ends: BTreeSet<u8> = ends
            .filter(|&end| {
                usize::from(end)
                    <= state.slots.len().max(usize::from(state.newest_checkpoint().slots()))
            })
            .collect();
        ends.into_iter().collect()
    }

    fn collector_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for end in self.collectable(state) {
            let free_to_delete =
                self.way == Way::Tombstones || self.is(Mistake::DeletesBeforeItPublishes);
            if end > state.collected && free_to_delete {
                actions.push(Action::Collect(end));
            }
            if end > state.boundary && self.way == Way::Boundary {
                actions.push(Action::Publish(end));
            }
        }
        let sweepable = (1..=state.collected).filter(|&slot| match state.at(slot) {
            Slot::Free => false,
            Slot::Entry(_) => true,
            Slot::Tombstone(_) => self.is(Mistake::DeletesWithoutTombstone),
        });
        actions.extend(sweepable.map(Action::Sweep));
    }

    fn sweep(&self, state: &mut State, slot: u8) {
        let keeps = self.way == Way::Tombstones && !self.is(Mistake::DeletesWithoutTombstone);
        let tombstone = match state.at(slot) {
            // The collector has read the entry, and puts its id there whatever is there by now.
            Slot::Entry(entry) if keeps => Slot::Tombstone(entry.id),
            Slot::Tombstone(id) if keeps => Slot::Tombstone(*id),
            _ => Slot::Free,
        };
        state.set(slot, tombstone);
    }
}

impl Model for Collection {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            slots: Vec::new(),
            sent: BTreeSet::new(),
            checkpoints: BTreeSet::new(),
            boundary: 0,
            collected: 0,
            processes: vec![Process::default(); self.transactions.len()],
            told: vec![Told::Nothing; self.each().count()],
            stale: false,
            corrupt: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let landing = state.sent.iter().filter(|entry| *state.at(entry.slot) == Slot::Free);
        actions.extend(landing.cloned().map(Action::Land));
        self.collector_actions(state, actions);
        for me in 0..state.processes.len() as u8 {
            self.process_actions(state, me, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Land(entry) => {
                for process in &mut state.processes {
                    if let Doing::Waiting { sent, created } = &mut process.doing {
                        *created |= *sent == entry;
                    }
                }
                if self.way == Way::Tombstones && !self.is(Mistake::DeletesWithoutTombstone) {
                    // The slot is taken for ever, so requests for it make no difference any more.
                    state.sent.retain(|other| other.slot != entry.slot);
                }
                state.set(entry.slot, Slot::Entry(entry));
            }
            Action::Publish(end) => {
                state.boundary = end;
                state.collected = state.collected.max(end);
            }
            Action::Collect(end) => state.collected = end,
            Action::Sweep(slot) => self.sweep(&mut state, slot),
            action => self.process_step(&mut state, &action)?,
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always(ONCE, |model, state| {
                let view = state.view();
                model.each().all(|each| {
                    view.entries.iter().filter(|(_, found)| *found == each).count() <= 1
                })
            }),
            Property::<Self>::always(STAYS, |model, state| model.told(state, Told::Committed, 1)),
            Property::<Self>::always(FAILED, |model, state| model.told(state, Told::Failed, 0)),
            Property::<Self>::always(SAME, |_, state| {
                let view = state.view();
                let processes = state.processes.iter().map(|process| &process.known);
                processes.chain(&state.checkpoints).all(|known| known.begins(&view))
            }),
            Property::<Self>::always(FRESH, |_, state| !state.stale),
            Property::<Self>::always(SOUND, |_, state| !state.corrupt),
            Property::<Self>::sometimes("all is committed, collected and known", |model, state| {
                let slots = model.each().count();
                let all = |known: &Known| usize::from(known.slots()) == slots;
                usize::from(state.collected) == slots
                    && state.processes.iter().all(|process| all(&process.known))
                    && state.told.iter().all(|told| *told == Told::Committed)
            }),
            Property::<Self>::sometimes(
                "what nobody knows came to be, and was collected",
                |model, state| {
                    let view = state.view();
                    let collected =
                        &view.entries[..usize::from(state.collected).min(view.entries.len())];
                    model.each().any(|each| {
                        state.told[model.index(each)] == Told::Unknown
                            && collected.iter().any(|(_, found)| *found == each)
                    })
                },
            ),
        ]
    }
}

impl Protocol for Collection {
    type Mistake = (Way, CollectionMistake);

    const NAME: &'static str = "collection";

    const MISTAKES: &'static [Mistaken<Self::Mistake>] = &[
        Mistaken {
            mistake: (Way::Tombstones, Mistake::DeletesWithoutTombstone),
            what: "a slot is deleted instead of replaced by a tombstone",
            breaks: FRESH,
        },
        Mistaken {
            mistake: (Way::Tombstones, Mistake::CollectsBeyondTheCheckpoint),
            what: "one slot more is collected than the checkpoint has",
            breaks: STAYS,
        },
        Mistaken {
            mistake: (Way::Tombstones, Mistake::CheckpointForgetsIds),
            what: "a checkpoint does not have the ids of transactions",
            breaks: ONCE,
        },
        Mistaken {
            mistake: (Way::Boundary, Mistake::NoCheckOfTheBoundary),
            what: "a created entry is acknowledged without looking at the boundary",
            breaks: STAYS,
        },
        Mistaken {
            mistake: (Way::Boundary, Mistake::ChecksBeforeThePut),
            what: "the boundary is looked at before the put, and not after it",
            breaks: STAYS,
        },
        Mistaken {
            mistake: (Way::Boundary, Mistake::ReaderDoesNotCheck),
            what: "what was read is taken for the log without looking at the boundary afterwards",
            breaks: SAME,
        },
        Mistaken {
            mistake: (Way::Boundary, Mistake::BelowTheBoundaryIsFailed),
            what: "\"created, but below the boundary\" is told as a failure",
            breaks: FAILED,
        },
        Mistaken {
            mistake: (Way::Boundary, Mistake::DeletesBeforeItPublishes),
            what: "slots are deleted before the boundary is published",
            breaks: FRESH,
        },
        Mistaken {
            mistake: (Way::Boundary, Mistake::CollectsBeyondTheCheckpoint),
            what: "the boundary is one slot beyond the checkpoint",
            breaks: STAYS,
        },
        Mistaken {
            mistake: (Way::Boundary, Mistake::CheckpointForgetsIds),
            what: "a checkpoint does not have the ids of transactions",
            breaks: ONCE,
        },
    ];

    fn right(size: Size) -> Vec<Self> {
        let of = |way, transactions: &[u8]| Self {
            way,
            transactions: transactions.to_vec(),
            mistake: None,
        };
        match size {
            Size::Quick => vec![of(Way::Tombstones, &[1, 1]), of(Way::Boundary, &[1, 1])],
            Size::Large => vec![
                of(Way::Tombstones, &[2, 1]),
                of(Way::Tombstones, &[1, 1, 1]),
                of(Way::Boundary, &[1, 1]),
            ],
        }
    }

    fn wrong((way, mistake): Self::Mistake) -> Self {
        Self { way, transactions: vec![1, 1], mistake: Some(mistake) }
    }

    fn describe(&self) -> String {
        let way = match self.way {
            Way::Tombstones => "tombstones",
            Way::Boundary => "a boundary",
        };
        let (processes, transactions) = (self.transactions.len(), self.each().count());
        format!("by {way}: {processes} processes, {transactions} transactions, a collector")
    }
}

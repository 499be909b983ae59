//! What a process does that writes and reads a log of which the beginning is collected.

use super::{Action, Collection, Known, Mistake, Slot, State, Transaction, Way};
use crate::log::Entry;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Process {
    /// What it takes for the log.
    pub(super) known: Known,
    /// What it has read besides, before it has looked at the boundary.
    pub(super) read: Vec<Entry<Transaction>>,
    /// How many transactions it has begun.
    pub(super) begun: u8,
    pub(super) doing: Doing,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) enum Doing {
    #[default]
    Nothing,
    Ready,
    Waiting {
        sent: Entry<Transaction>,
        created: bool,
    },
    Unsure(Entry<Transaction>),
    /// Its own entry stands at its slot, which may be below the boundary.
    Created(Entry<Transaction>),
    /// It reads, and must not see less than this many slots.
    Looking(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Told {
    Nothing,
    Committed,
    Failed,
    Unknown,
}

impl Collection {
    /// Whether what a process has read counts at once.
    fn trusts(&self) -> bool {
        self.way == Way::Tombstones || self.is(Mistake::ReaderDoesNotCheck)
    }

    pub(super) fn process_actions(&self, state: &State, me: u8, actions: &mut Vec<Action>) {
        let process = &state.processes[usize::from(me)];
        let known = process.known.slots();
        let checked = process.read.is_empty();
        match &process.doing {
            Doing::Nothing => {
                let more = process.begun < self.transactions[usize::from(me)];
                if checked && more && self.may_send(state, known) {
                    actions.push(Action::Send(me));
                }
                actions.push(Action::Look(me));
            }
            Doing::Ready if checked && self.may_send(state, known) => {
                actions.push(Action::Send(me));
            }
            Doing::Ready => {}
            Doing::Waiting { created, .. } => {
                actions.push(Action::Lose(me));
                if *created {
                    actions.push(Action::HearCreated(me));
                }
            }
            Doing::Unsure(sent) => {
                actions.extend([Action::Read(me), Action::GiveUp(me)]);
                if checked && known >= sent.slot {
                    actions.push(Action::Settle(me));
                }
            }
            Doing::Created(_) => actions.push(Action::Confirm(me)),
            Doing::Looking(_) => actions.push(Action::See(me)),
        }
        if *process != Process::default() {
            actions.push(Action::Crash(me));
        }
        self.reading_actions(state, me, actions);
        let may_write = known > state.newest_checkpoint().slots();
        if may_write && !state.checkpoints.contains(&process.known) {
            actions.push(Action::Checkpoint(me));
        }
    }

    fn reading_actions(&self, state: &State, me: u8, actions: &mut Vec<Action>) {
        let process = &state.processes[usize::from(me)];
        let known = process.known.slots();
        let newer = || {
            let checkpoints = state.checkpoints.iter().enumerate();
            checkpoints.filter(|(_, checkpoint)| checkpoint.slots() > known).map(|(at, _)| at)
        };
        match state.at(known + process.read.len() as u8 + 1) {
            Slot::Entry(_) => actions.push(Action::CatchUp(me)),
            Slot::Tombstone(_) => {
                actions.extend(newer().map(|at| Action::FindCollected(me, at)));
            }
            Slot::Free => {}
        }
        if self.trusts() {
            return;
        }
        if known < state.boundary {
            actions.extend(newer().map(|at| Action::Distrust(me, at)));
        } else if !process.read.is_empty() {
            actions.push(Action::Trust(me));
        }
    }

    /// A mistake is to look at the boundary before sending, and only then.
    fn may_send(&self, state: &State, known: u8) -> bool {
        !self.is(Mistake::ChecksBeforeThePut) || known >= state.boundary
    }

    fn current(state: &State, me: u8) -> Transaction {
        Transaction { process: me, n: state.processes[usize::from(me)].begun - 1 }
    }

    fn tell(&self, state: &mut State, me: u8, what: Told) {
        let at = self.index(Self::current(state, me));
        state.told[at] = what;
        state.processes[usize::from(me)].doing = Doing::Nothing;
    }

    fn acknowledge(&self, state: &mut State, me: u8, entry: &Entry<Transaction>) {
        let process = &mut state.processes[usize::from(me)];
        if process.known.slots() + 1 == entry.slot && process.known.head() == entry.prev {
            process.read.clear();
            process.known.add(entry);
        }
        self.tell(state, me, Told::Committed);
    }

    /// The writer's own entry stands at its slot.
    fn own(&self, state: &mut State, me: u8, entry: Entry<Transaction>) {
        let checks = self.way == Way::Boundary
            && !self.is(Mistake::NoCheckOfTheBoundary)
            && !self.is(Mistake::ChecksBeforeThePut);
        if checks {
            state.processes[usize::from(me)].doing = Doing::Created(entry);
        } else {
            self.acknowledge(state, me, &entry);
        }
    }

    /// As many slots as an acknowledged transaction was told to be in, at most.
    fn acknowledged_slots(&self, state: &State) -> u8 {
        let view = state.view();
        let is_told = |transaction| state.told[self.index(transaction)] == Told::Committed;
        let last = view.entries.iter().rposition(|(_, transaction)| is_told(*transaction));
        last.map_or(0, |last| last as u8 + 1)
    }

    pub(super) fn process_step(&self, state: &mut State, action: &Action) -> Option<()> {
        match *action {
            Action::Send(me) => self.send(state, me),
            Action::GiveUp(me) => self.tell(state, me, Told::Unknown),
            Action::Look(me) => {
                let floor = self.acknowledged_slots(state);
                state.processes[usize::from(me)].doing = Doing::Looking(floor);
            }
            Action::See(me) => self.see(state, me)?,
            Action::CatchUp(me) => self.catch_up(state, me)?,
            Action::Trust(me) => {
                let process = &mut state.processes[usize::from(me)];
                for entry in std::mem::take(&mut process.read) {
                    process.known.add(&entry);
                }
            }
            Action::FindCollected(me, at) | Action::Distrust(me, at) => {
                let checkpoint = state.checkpoints.iter().nth(at)?.clone();
                let process = &mut state.processes[usize::from(me)];
                process.read.clear();
                process.known = checkpoint;
            }
            Action::Checkpoint(me) => {
                let mut known = state.processes[usize::from(me)].known.clone();
                if self.is(Mistake::CheckpointForgetsIds) {
                    known.anonymous = known.slots();
                }
                state.checkpoints.insert(known);
            }
            Action::Crash(me) => {
                let process = &state.processes[usize::from(me)];
                let begun = process.begun;
                if !matches!(process.doing, Doing::Nothing | Doing::Looking(_)) {
                    self.tell(state, me, Told::Unknown);
                }
                state.processes[usize::from(me)] = Process { begun, ..Process::default() };
            }
            Action::HearCreated(me)
            | Action::Lose(me)
            | Action::Read(me)
            | Action::Confirm(me)
            | Action::Settle(me) => {
                let doing = state.processes[usize::from(me)].doing.clone();
                let (Doing::Waiting { sent, .. } | Doing::Unsure(sent) | Doing::Created(sent)) =
                    doing
                else {
                    return None;
                };
                self.resolve(state, me, action, sent);
            }
            _ => return None,
        }
        Some(())
    }

    fn send(&self, state: &mut State, me: u8) {
        let process = &mut state.processes[usize::from(me)];
        if process.doing == Doing::Nothing {
            process.begun += 1;
        }
        let known = &process.known;
        let transaction = Transaction { process: me, n: process.begun - 1 };
        let entry = Entry::new(known.slots() + 1, known.head(), transaction);
        process.doing = Doing::Waiting { sent: entry.clone(), created: false };
        let dead = self.way == Way::Tombstones && *state.at(entry.slot) != Slot::Free;
        if !dead {
            state.sent.insert(entry);
        }
    }

    fn resolve(&self, state: &mut State, me: u8, action: &Action, sent: Entry<Transaction>) {
        match action {
            Action::HearCreated(_) => self.own(state, me, sent),
            Action::Lose(_) => state.processes[usize::from(me)].doing = Doing::Unsure(sent),
            Action::Read(_) => match state.at(sent.slot) {
                Slot::Entry(found) if found.id == sent.id => self.own(state, me, sent),
                Slot::Tombstone(id) if *id == sent.id => self.acknowledge(state, me, &sent),
                Slot::Free => {
                    let doing = &mut state.processes[usize::from(me)].doing;
                    *doing = Doing::Waiting { sent, created: false };
                }
                // Another's: it is read on the way on.
                Slot::Entry(_) | Slot::Tombstone(_) => {}
            },
            Action::Confirm(_) if sent.slot > state.boundary => self.acknowledge(state, me, &sent),
            Action::Confirm(_) if self.is(Mistake::BelowTheBoundaryIsFailed) => {
                self.tell(state, me, Told::Failed);
            }
            Action::Confirm(_) => state.processes[usize::from(me)].doing = Doing::Unsure(sent),
            _ => {
                let own = Self::current(state, me);
                if state.processes[usize::from(me)].known.finds(own) {
                    self.tell(state, me, Told::Committed);
                } else {
                    state.processes[usize::from(me)].doing = Doing::Ready;
                }
            }
        }
    }

    fn catch_up(&self, state: &mut State, me: u8) -> Option<()> {
        let process = &state.processes[usize::from(me)];
        let known = process.known.slots();
        let Slot::Entry(found) = state.at(known + process.read.len() as u8 + 1) else {
            return None;
        };
        let head = process.read.last().map_or(process.known.head(), |entry| entry.id);
        if found.prev != head {
            if !self.trusts() && known < state.boundary {
                // Its look at the boundary says why.
                return None;
            }
            state.corrupt = true;
            return Some(());
        }
        let found = found.clone();
        let process = &mut state.processes[usize::from(me)];
        if self.trusts() {
            process.known.add(&found);
        } else {
            process.read.push(found);
        }
        Some(())
    }

    fn see(&self, state: &mut State, me: u8) -> Option<()> {
        let process = &state.processes[usize::from(me)];
        let Doing::Looking(floor) = process.doing else { return None };
        let end = process.known.slots() + process.read.len() as u8;
        let checked = self.trusts() || process.known.slots() >= state.boundary;
        if *state.at(end + 1) != Slot::Free || !checked {
            return None;
        }
        state.stale |= end < floor;
        let process = &mut state.processes[usize::from(me)];
        process.doing = Doing::Nothing;
        for entry in std::mem::take(&mut process.read) {
            process.known.add(&entry);
        }
        Some(())
    }
}

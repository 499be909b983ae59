//! The slot race: several writers, each with transactions to commit, and answers that get lost.
//!
//! A writer sends its entry for the slot after the last it knows. Told that it created it, it acknowledges;
//! told that the slot is taken, or told nothing, it reads the slot, and the id says whose it is. An empty slot
//! proves nothing, since the request may land later, so the same bytes are sent again.

use std::fmt;

use stateright::{Model, Property};

use crate::check::{Mistaken, Protocol, Size};
use crate::log::{Entry, Id, Log};

/// Writers that race for slots.
#[derive(Debug, Clone)]
pub struct SlotRace {
    writers: u8,
    /// For each writer.
    transactions: u8,
    mistake: Option<SlotRaceMistake>,
}

/// What a writer may do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is told in the table below")]
pub enum SlotRaceMistake {
    LostIsFailed,
    ConflictIsFailed,
    ConflictIsLost,
    EmptyIsFailed,
    GoesOnInDoubt,
    ForgetsItsId,
    TakesAnyForItsOwn,
    Overwrites,
    AcknowledgesBeforeItKnows,
}

use SlotRaceMistake as Mistake;

const ONCE: &str = "a transaction is committed at most once";
const STAYS: &str = "what is acknowledged is in the log";
const FAILED: &str = "what is told as failed never comes to be";
const CHAINED: &str = "there is no gap and every entry follows the one before";
const ORDER: &str = "what begins after an acknowledgement comes later in the log";
const SAME: &str = "what a writer has read of the log is what the log says";

/// The `n`th transaction of a writer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Transaction {
    writer: u8,
    n: u8,
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "writer {}'s transaction {}", self.writer, self.n)
    }
}

/// What a writer does, and what befalls it.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// It sends the next transaction, or the same one for another slot.
    Send(u8),
    /// A request arrives.
    Land(Entry<Transaction>),
    /// It is told that it has created its entry.
    HearCreated(u8),
    /// It is told that its slot is taken.
    HearExists(u8),
    /// It waits no longer for an answer.
    Lose(u8),
    /// It reads the slot that it has sent an entry for.
    Read(u8),
    /// It reads the slot after the last it knows, for whatever reason.
    CatchUp(u8),
    /// It looks for its transaction in what it knows, since the slot was read by another of its tasks.
    Settle(u8),
    /// It tells that another has changed what the transaction has read.
    Refuse(u8),
    /// It tells that nobody knows.
    GiveUp(u8),
    /// It forgets everything and begins anew.
    Crash(u8),
}

/// A writer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Writer {
    /// The last slot it knows, and its entry's id.
    head: (u8, Id),
    /// How many transactions it has begun.
    begun: u8,
    doing: Doing,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Doing {
    Nothing,
    /// It has a transaction that none of its entries can commit any more, and may send another.
    Ready,
    Waiting {
        sent: Entry<Transaction>,
        created: bool,
    },
    Unsure(Entry<Transaction>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Told {
    Nothing,
    Committed,
    Failed,
    Unknown,
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    log: Log<Transaction>,
    writers: Vec<Writer>,
    /// What was said of each transaction.
    told: Vec<Told>,
    /// The last slot that was acknowledged before each transaction began.
    floors: Vec<u8>,
}

impl SlotRace {
    fn index(&self, transaction: Transaction) -> usize {
        usize::from(transaction.writer * self.transactions + transaction.n)
    }

    fn each(&self) -> impl Iterator<Item = Transaction> {
        let transactions = self.transactions;
        (0..self.writers)
            .flat_map(move |writer| (0..transactions).map(move |n| Transaction { writer, n }))
    }

    fn current(writer: u8, state: &State) -> Transaction {
        Transaction { writer, n: state.writers[usize::from(writer)].begun - 1 }
    }

    fn tell(&self, state: &mut State, writer: u8, what: Told) {
        let at = self.index(Self::current(writer, state));
        state.told[at] = what;
        let this = &mut state.writers[usize::from(writer)];
        this.doing = Doing::Nothing;
        if this.begun == self.transactions {
            this.head = (0, Id::GENESIS);
        }
    }

    fn acknowledge(&self, state: &mut State, writer: u8, entry: &Entry<Transaction>) {
        let head = &mut state.writers[usize::from(writer)].head;
        if head.0 < entry.slot {
            *head = (entry.slot, entry.id);
        }
        self.tell(state, writer, Told::Committed);
    }

    fn send(&self, state: &mut State, writer: u8) {
        let at = usize::from(writer);
        if state.writers[at].doing == Doing::Nothing {
            let acknowledged =
                self.each().filter(|&each| state.told[self.index(each)] == Told::Committed);
            let slots = acknowledged.flat_map(|each| state.log.find(|&body| body == each));
            let floor = slots.max().unwrap_or(0);
            state.writers[at].begun += 1;
            let index = self.index(Self::current(writer, state));
            state.floors[index] = floor;
        }
        let (slot, prev) = state.writers[at].head;
        self.send_at(state, writer, slot + 1, prev);
    }

    fn send_at(&self, state: &mut State, writer: u8, slot: u8, prev: Id) {
        let entry = Entry::new(slot, prev, Self::current(writer, state));
        state.log.send(entry.clone());
        let doing = &mut state.writers[usize::from(writer)].doing;
        *doing = Doing::Waiting { sent: entry, created: false };
    }

    fn hear_exists(&self, state: &mut State, writer: u8, sent: Entry<Transaction>) {
        match self.mistake {
            Some(Mistake::ConflictIsFailed) => self.tell(state, writer, Told::Failed),
            Some(Mistake::ConflictIsLost) => {
                let found = state.log.at(sent.slot).map_or(sent.id, |found| found.id);
                let this = &mut state.writers[usize::from(writer)];
                this.head = (sent.slot, found);
                this.doing = Doing::Ready;
            }
            _ => state.writers[usize::from(writer)].doing = Doing::Unsure(sent),
        }
    }

    fn lose(&self, state: &mut State, writer: u8, sent: Entry<Transaction>) {
        match self.mistake {
            Some(Mistake::LostIsFailed) => self.tell(state, writer, Told::Failed),
            Some(Mistake::GoesOnInDoubt) => {
                self.send_at(state, writer, sent.slot + 1, sent.id);
            }
            _ => state.writers[usize::from(writer)].doing = Doing::Unsure(sent),
        }
    }

    fn read(&self, state: &mut State, writer: u8, sent: Entry<Transaction>) {
        let any = self.mistake == Some(Mistake::TakesAnyForItsOwn);
        match state.log.at(sent.slot).cloned() {
            Some(found) if found.id == sent.id || any => self.acknowledge(state, writer, &sent),
            Some(found) => {
                let this = &mut state.writers[usize::from(writer)];
                if this.head.0 < found.slot {
                    this.head = (found.slot, found.id);
                }
                this.doing = Doing::Ready;
            }
            None if self.mistake == Some(Mistake::EmptyIsFailed) => {
                self.tell(state, writer, Told::Failed);
            }
            None => {
                let doing = &mut state.writers[usize::from(writer)].doing;
                *doing = Doing::Waiting { sent, created: false };
            }
        }
    }

    fn settle(&self, state: &mut State, writer: u8, sent: &Entry<Transaction>) {
        let known = state.writers[usize::from(writer)].head.0;
        let own = Self::current(writer, state);
        let found = state.log.find(|&body| body == own).into_iter().any(|slot| slot <= known);
        if found && self.mistake != Some(Mistake::ForgetsItsId) {
            self.acknowledge(state, writer, sent);
        } else {
            state.writers[usize::from(writer)].doing = Doing::Ready;
        }
    }
}

impl Model for SlotRace {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let writer = Writer { head: (0, Id::GENESIS), begun: 0, doing: Doing::Nothing };
        let transactions = usize::from(self.writers * self.transactions);
        vec![State {
            log: Log::new(),
            writers: vec![writer; usize::from(self.writers)],
            told: vec![Told::Nothing; transactions],
            floors: vec![0; transactions],
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(state.log.sent.iter().cloned().map(Action::Land));
        for (at, writer) in state.writers.iter().enumerate() {
            let me = at as u8;
            match &writer.doing {
                Doing::Nothing if writer.begun < self.transactions => {
                    actions.push(Action::Send(me));
                }
                Doing::Nothing => {}
                Doing::Ready => actions.extend([Action::Send(me), Action::Refuse(me)]),
                Doing::Waiting { sent, created } => {
                    actions.push(Action::Lose(me));
                    if *created {
                        actions.push(Action::HearCreated(me));
                    }
                    // Also where it is the writer's own: sent twice, the second is told so.
                    if state.log.at(sent.slot).is_some() {
                        actions.push(Action::HearExists(me));
                    }
                }
                Doing::Unsure(sent) => {
                    actions.extend([Action::Read(me), Action::GiveUp(me)]);
                    if sent.slot <= writer.head.0 {
                        actions.push(Action::Settle(me));
                    }
                }
            }
            // What a writer knows that is done makes no difference any more.
            if writer.doing == Doing::Nothing && writer.begun == self.transactions {
                continue;
            }
            if state.log.at(writer.head.0 + 1).is_some() {
                actions.push(Action::CatchUp(me));
            }
            if writer.begun > 0 {
                actions.push(Action::Crash(me));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Send(me) => self.send(&mut state, me),
            Action::Land(entry) => {
                if self.mistake == Some(Mistake::Overwrites) {
                    state.log.place(&entry);
                    state.log.sent.remove(&entry);
                } else {
                    state.log.land(&entry);
                }
                for writer in &mut state.writers {
                    if let Doing::Waiting { sent, created } = &mut writer.doing {
                        *created |= *sent == entry;
                    }
                }
            }
            Action::Crash(me) => {
                if last.writers[usize::from(me)].doing != Doing::Nothing {
                    self.tell(&mut state, me, Told::Unknown);
                }
                state.writers[usize::from(me)].head = (0, Id::GENESIS);
            }
            Action::CatchUp(me) => {
                let head = &mut state.writers[usize::from(me)].head;
                let found = last.log.at(head.0 + 1)?;
                *head = (found.slot, found.id);
            }
            Action::Refuse(me) => self.tell(&mut state, me, Told::Failed),
            Action::GiveUp(me) => self.tell(&mut state, me, Told::Unknown),
            Action::HearCreated(me)
            | Action::HearExists(me)
            | Action::Lose(me)
            | Action::Read(me)
            | Action::Settle(me) => {
                let (Doing::Waiting { sent, .. } | Doing::Unsure(sent)) =
                    last.writers[usize::from(me)].doing.clone()
                else {
                    return None;
                };
                match action {
                    Action::HearCreated(_) => self.acknowledge(&mut state, me, &sent),
                    Action::HearExists(_) => self.hear_exists(&mut state, me, sent),
                    Action::Lose(_) => self.lose(&mut state, me, sent),
                    Action::Read(_) => self.read(&mut state, me, sent),
                    _ => self.settle(&mut state, me, &sent),
                }
            }
        }
        if self.mistake == Some(Mistake::AcknowledgesBeforeItKnows) {
            for me in 0..self.writers {
                if matches!(state.writers[usize::from(me)].doing, Doing::Waiting { .. }) {
                    let at = self.index(Self::current(me, &state));
                    state.told[at] = Told::Committed;
                }
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always(ONCE, |model, state| {
                model.each().all(|each| state.log.find(|&body| body == each).len() <= 1)
            }),
            Property::<Self>::always(STAYS, |model, state| {
                model.told(state, Told::Committed, |slots| !slots.is_empty())
            }),
            Property::<Self>::always(FAILED, |model, state| {
                model.told(state, Told::Failed, <[u8]>::is_empty)
            }),
            Property::<Self>::always(CHAINED, |_, state| state.log.is_chained()),
            Property::<Self>::always(ORDER, |model, state| {
                model.each().all(|each| {
                    let floor = state.floors[model.index(each)];
                    state.log.find(|&body| body == each).iter().all(|&slot| slot > floor)
                })
            }),
            Property::<Self>::always(SAME, |_, state| {
                state.writers.iter().all(|writer| match writer.head {
                    (0, _) => true,
                    (slot, id) => state.log.at(slot).is_some_and(|found| found.id == id),
                })
            }),
            Property::<Self>::sometimes("everything is committed", |model, state| {
                model.each().all(|each| state.told[model.index(each)] == Told::Committed)
            }),
            Property::<Self>::sometimes("what nobody knows came to be", |model, state| {
                model.each().any(|each| {
                    state.told[model.index(each)] == Told::Unknown
                        && !state.log.find(|&body| body == each).is_empty()
                })
            }),
            Property::<Self>::sometimes(
                "a transaction is refused, and another is committed",
                |_, state| {
                    state.told.contains(&Told::Failed) && state.told.contains(&Told::Committed)
                },
            ),
        ]
    }
}

impl SlotRace {
    fn told(&self, state: &State, what: Told, right: impl Fn(&[u8]) -> bool) -> bool {
        let mut told = self.each().filter(|&each| state.told[self.index(each)] == what);
        told.all(|each| right(&state.log.find(|&body| body == each)))
    }
}

impl Protocol for SlotRace {
    type Mistake = SlotRaceMistake;

    const NAME: &'static str = "slot race";

    const MISTAKES: &'static [Mistaken<SlotRaceMistake>] = &[
        Mistaken {
            mistake: Mistake::LostIsFailed,
            what: "a lost answer is told as a failure",
            breaks: FAILED,
        },
        Mistaken {
            mistake: Mistake::ConflictIsFailed,
            what: "\"the slot is taken\" is told as a failure, without looking whose it is",
            breaks: FAILED,
        },
        Mistaken {
            mistake: Mistake::ConflictIsLost,
            what: "\"the slot is taken\" sends the transaction for the next slot, without looking whose it is",
            breaks: FAILED,
        },
        Mistaken {
            mistake: Mistake::EmptyIsFailed,
            what: "a slot found empty after a lost answer is told as a failure",
            breaks: FAILED,
        },
        Mistaken {
            mistake: Mistake::GoesOnInDoubt,
            what: "a lost answer sends the transaction for the next slot",
            breaks: CHAINED,
        },
        Mistaken {
            mistake: Mistake::ForgetsItsId,
            what: "after another task has read the slot, the transaction is sent again or refused without \
                   looking for it",
            breaks: FAILED,
        },
        Mistaken {
            mistake: Mistake::TakesAnyForItsOwn,
            what: "whatever stands at the slot is taken for the writer's own",
            breaks: STAYS,
        },
        Mistaken {
            mistake: Mistake::Overwrites,
            what: "a slot is written whether it is free or not",
            breaks: STAYS,
        },
        Mistaken {
            mistake: Mistake::AcknowledgesBeforeItKnows,
            what: "a transaction is acknowledged when it is sent",
            breaks: STAYS,
        },
    ];

    fn right(size: Size) -> Vec<Self> {
        let sizes: &[(u8, u8)] = match size {
            Size::Quick => &[(2, 2)],
            Size::Large => &[(3, 1), (2, 3)],
        };
        let of = |&(writers, transactions)| Self { writers, transactions, mistake: None };
        sizes.iter().map(of).collect()
    }

    fn wrong(mistake: SlotRaceMistake) -> Self {
        Self { writers: 2, transactions: 2, mistake: Some(mistake) }
    }

    fn describe(&self) -> String {
        format!("{} writers with {} transactions each", self.writers, self.transactions)
    }
}

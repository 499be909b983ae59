//! Outcomes: what became of a transaction whose answer was lost is asked by another process, and told for good.
//!
//! Whoever asks commits a fence that takes the transaction's id, unless the id is in the log already. Everybody who
//! commits looks for its own id in all that comes before, so the first of the two shuts the other out.

use std::fmt;

use stateright::{Model, Property};

use crate::check::{Mistaken, Protocol, Size};
use crate::log::{Entry, Id, Log};

/// Writers, some of which try to commit one transaction twice, and those who ask what became of it.
#[derive(Debug, Clone)]
pub struct OutcomeFence {
    processes: Vec<(Role, u8)>,
    mistake: Option<OutcomeMistake>,
}

/// What a process may do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is told in the table below")]
pub enum OutcomeMistake {
    AskerOnlyReads,
    AskerDoesNotLookAgain,
    AskerTrustsWhatItSent,
    WriterDoesNotLookAgain,
    WriterPassesOverTheFence,
}

use OutcomeMistake as Mistake;

const ONCE: &str = "an id is in the log at most once";
const COMMITTED: &str = "what is told as committed is in the log";
const NOT_COMMITTED: &str = "what is told as not committed never comes to be";

/// What a process wants of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Commit,
    Ask,
}

/// Two that try to commit a transaction, and one who asks.
const SMALL: &[(Role, u8)] = &[(Role::Commit, 0), (Role::Commit, 0), (Role::Ask, 0)];

/// What an entry says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Body {
    /// The transaction with this id, sent by this process.
    Commit {
        /// Of the transaction.
        id: u8,
        /// Which process.
        by: u8,
    },
    /// This id is taken, and says nothing.
    Fence {
        /// Of the transaction.
        id: u8,
        /// Which process.
        by: u8,
    },
}

impl Body {
    fn id(self) -> u8 {
        match self {
            Self::Commit { id, .. } | Self::Fence { id, .. } => id,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit { id, by } => write!(f, "transaction {id} by process {by}"),
            Self::Fence { id, by } => write!(f, "fence of transaction {id} by process {by}"),
        }
    }
}

/// What a process does, and what befalls it.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// It looks for the id in what it knows, and sends its entry if it is not there.
    Send(u8),
    /// A request arrives, and is the first at its slot.
    Land(Entry<Body>),
    /// It finds out what stands at the slot that it has sent an entry for.
    Resolve(u8),
    /// It tells that nobody knows, and may go for the same slot again.
    GiveUp(u8),
    /// It reads the slot after the last it knows.
    CatchUp(u8),
    /// It reads the slot after the last it knows, and finds nothing.
    SeeTheEnd(u8),
    /// It forgets everything and begins anew.
    Crash(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Told {
    Nothing,
    Committed,
    NotCommitted,
    Unknown,
}

/// A process that commits or asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    head: (u8, Id),
    sent: Option<Entry<Body>>,
    told: Told,
    /// Whether it makes a mistake, and has lost a slot.
    lost: bool,
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    log: Log<Body>,
    processes: Vec<Process>,
}

impl OutcomeFence {
    /// What is known of the id by whoever knows the log up to this slot.
    fn known(state: &State, id: u8, head: u8) -> Told {
        let mut entries = state.log.slots.iter().take(usize::from(head)).flatten();
        match entries.find(|entry| entry.body.id() == id).map(|entry| entry.body) {
            None => Told::Nothing,
            Some(Body::Commit { .. }) => Told::Committed,
            Some(Body::Fence { .. }) => Told::NotCommitted,
        }
    }

    fn send(&self, state: &mut State, me: u8) {
        let at = usize::from(me);
        let (role, id) = self.processes[at];
        let (head, prev) = state.processes[at].head;
        let again = state.processes[at].lost;
        let known = match (Self::known(state, id, head), self.mistake) {
            (_, Some(Mistake::AskerDoesNotLookAgain)) if role == Role::Ask && again => {
                Told::Nothing
            }
            (_, Some(Mistake::WriterDoesNotLookAgain)) if role == Role::Commit && again => {
                Told::Nothing
            }
            (Told::NotCommitted, Some(Mistake::WriterPassesOverTheFence))
                if role == Role::Commit =>
            {
                Told::Nothing
            }
            (known, _) => known,
        };
        if known != Told::Nothing {
            state.processes[at].told = known;
            return;
        }
        let body = match role {
            Role::Commit => Body::Commit { id, by: me },
            Role::Ask => Body::Fence { id, by: me },
        };
        let entry = Entry::new(head + 1, prev, body);
        state.log.send(entry.clone());
        state.processes[at].sent = Some(entry);
        if self.mistake == Some(Mistake::AskerTrustsWhatItSent) && role == Role::Ask {
            state.processes[at].told = Told::NotCommitted;
        }
    }

    fn tells(state: &State, id: u8, processes: &[(Role, u8)], what: Told) -> bool {
        let mut each = processes.iter().zip(&state.processes);
        each.any(|((_, about), process)| *about == id && process.told == what)
    }

    fn ids(&self) -> impl Iterator<Item = u8> {
        0..=self.processes.iter().map(|(_, id)| *id).max().unwrap_or(0)
    }
}

fn commits(state: &State, id: u8) -> usize {
    state.log.find(|body| matches!(body, Body::Commit { id: found, .. } if *found == id)).len()
}

impl Model for OutcomeFence {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let process =
            Process { head: (0, Id::GENESIS), sent: None, told: Told::Nothing, lost: false };
        vec![State { log: Log::new(), processes: vec![process; self.processes.len()] }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(state.log.sent.iter().cloned().map(Action::Land));
        for (at, process) in state.processes.iter().enumerate() {
            let me = at as u8;
            let open = matches!(process.told, Told::Nothing | Told::Unknown);
            let end = state.log.at(process.head.0 + 1).is_none();
            match &process.sent {
                _ if !open => {}
                None => {
                    actions.push(Action::Send(me));
                    let asks = self.processes[at].0 == Role::Ask;
                    if asks && end && self.mistake == Some(Mistake::AskerOnlyReads) {
                        actions.push(Action::SeeTheEnd(me));
                    }
                }
                Some(sent) => {
                    if state.log.at(sent.slot).is_some() {
                        actions.push(Action::Resolve(me));
                    }
                    actions.push(Action::GiveUp(me));
                }
            }
            if open {
                actions.push(Action::Crash(me));
                if !end {
                    actions.push(Action::CatchUp(me));
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Send(me) => self.send(&mut state, me),
            Action::Land(entry) => state.log.land(&entry),
            Action::Resolve(me) => {
                let process = &mut state.processes[usize::from(me)];
                let sent = process.sent.take()?;
                let found = last.log.at(sent.slot)?;
                if process.head.0 < found.slot {
                    process.head = (found.slot, found.id);
                }
                if found.id == sent.id {
                    process.told = match sent.body {
                        Body::Commit { .. } => Told::Committed,
                        Body::Fence { .. } => Told::NotCommitted,
                    };
                } else {
                    process.lost = self.mistake.is_some();
                }
            }
            Action::GiveUp(me) => {
                let process = &mut state.processes[usize::from(me)];
                process.sent = None;
                process.told = Told::Unknown;
            }
            Action::CatchUp(me) => {
                let head = &mut state.processes[usize::from(me)].head;
                let found = last.log.at(head.0 + 1)?;
                *head = (found.slot, found.id);
            }
            Action::SeeTheEnd(me) => {
                let id = self.processes[usize::from(me)].1;
                let process = &mut state.processes[usize::from(me)];
                process.told = match Self::known(last, id, process.head.0) {
                    Told::Nothing => Told::NotCommitted,
                    known => known,
                };
            }
            Action::Crash(me) => {
                let process = &mut state.processes[usize::from(me)];
                process.head = (0, Id::GENESIS);
                process.sent = None;
                process.told = Told::Unknown;
                process.lost = false;
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always(ONCE, |model, state| {
                model.ids().all(|id| state.log.find(|body| body.id() == id).len() <= 1)
            }),
            Property::<Self>::always(COMMITTED, |model, state| {
                model.ids().all(|id| {
                    !Self::tells(state, id, &model.processes, Told::Committed)
                        || commits(state, id) == 1
                })
            }),
            Property::<Self>::always(NOT_COMMITTED, |model, state| {
                model.ids().all(|id| {
                    !Self::tells(state, id, &model.processes, Told::NotCommitted)
                        || commits(state, id) == 0
                })
            }),
            Property::<Self>::always("the log is chained", |_, state| state.log.is_chained()),
            Property::<Self>::sometimes("all are told that it is committed", |_, state| {
                state.processes.iter().all(|process| process.told == Told::Committed)
            }),
            Property::<Self>::sometimes("all are told that it is not", |_, state| {
                state.processes.iter().all(|process| process.told == Told::NotCommitted)
            }),
        ]
    }
}

impl Protocol for OutcomeFence {
    type Mistake = OutcomeMistake;

    const NAME: &'static str = "outcomes";

    const MISTAKES: &'static [Mistaken<OutcomeMistake>] = &[
        Mistaken {
            mistake: Mistake::AskerOnlyReads,
            what: "a transaction that is not in the log is told as not committed, without a fence",
            breaks: NOT_COMMITTED,
        },
        Mistaken {
            mistake: Mistake::AskerDoesNotLookAgain,
            what: "a fence that lost its slot is sent for the next without looking for the id again",
            breaks: ONCE,
        },
        Mistaken {
            mistake: Mistake::AskerTrustsWhatItSent,
            what: "a fence counts when it is sent",
            breaks: NOT_COMMITTED,
        },
        Mistaken {
            mistake: Mistake::WriterDoesNotLookAgain,
            what: "a transaction that lost its slot is sent for the next without looking for its id",
            breaks: ONCE,
        },
        Mistaken {
            mistake: Mistake::WriterPassesOverTheFence,
            what: "a writer looks for its transaction, and not for a fence",
            breaks: ONCE,
        },
    ];

    fn right(size: Size) -> Vec<Self> {
        let of = |processes: &[(Role, u8)]| Self { processes: processes.to_vec(), mistake: None };
        match size {
            Size::Quick => vec![of(SMALL)],
            Size::Large => vec![
                of(&[(Role::Commit, 0), (Role::Commit, 0), (Role::Ask, 0), (Role::Ask, 0)]),
                of(&[(Role::Commit, 0), (Role::Ask, 0), (Role::Commit, 1), (Role::Ask, 1)]),
            ],
        }
    }

    fn wrong(mistake: OutcomeMistake) -> Self {
        Self { processes: SMALL.to_vec(), mistake: Some(mistake) }
    }

    fn describe(&self) -> String {
        let of = |role| self.processes.iter().filter(|(found, _)| *found == role).count();
        let ids = self.ids().count();
        let (commit, ask) = (of(Role::Commit), of(Role::Ask));
        format!("{commit} processes that commit and {ask} that ask, {ids} transactions")
    }
}

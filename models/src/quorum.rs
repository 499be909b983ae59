//! The log on a quorum: voters with a chain each, writers that take over from each other, one that asks where the log ends, and
//! voters that are emptied.
//!
//! A chain is cells that are created if absent, each at the position after the last that its writer has read. A promise takes
//! a position, so the next put of who led before finds it taken.

mod process;
mod sizes;
mod voter;

use std::fmt;

use stateright::{Model, Property};

use crate::check::{Mistaken, Protocol, Size};
use process::{Phase, Process};
use voter::{Put, Upto, View, Voter};

/// Voters, writers, and what may befall them.
#[derive(Debug, Clone)]
pub struct Quorum {
    voters: usize,
    /// How many of them decide.
    quorum: usize,
    writers: usize,
    /// How often each takes over.
    turns: u8,
    slots: u8,
    /// Whether there is one who asks.
    asks: bool,
    /// Whether answers to puts are lost, or come late, while other things happen.
    loses: bool,
    harm: Option<Harm>,
    guard: Guard,
    mistake: Option<Mistake>,
}

/// What befalls one voter, at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// It loses everything, also its marker.
    Wiped,
    /// It comes back with what it had before, its marker too.
    RolledBack,
}

/// What keeps a voter that was emptied from counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    Never,
    /// Its marker is read with its chain, and not after puts.
    OnReads,
    /// Its marker is read after each read, and after promises, and not after puts of values.
    AfterPromises,
    /// Its marker is read after all that is learned of it.
    AfterAll,
    /// Nothing is created on it any more: it does not answer, or each put replaces a head, too, that must be what its
    /// writer has read.
    Head,
    /// Its marker was read not long before: what is true as long before and after it is emptied.
    Within,
}

/// What a process may do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is told in the table below")]
pub enum QuorumMistake {
    AsksNoPromises,
    PromisesElsewhere,
    IgnoresFencing,
    RecoversTheEarliest,
    RecoversNothing,
    DecidesByOne,
    CountsAllEpochs,
    ProposesTooEarly,
    SkipsWhatIsMissing,
    AskerAsksOne,
    AskerIgnoresDoubt,
    HelpsTheFenced,
    NeverLooksAtMarkers,
    LooksAtMarkersOnReads,
    LooksAtMarkersAfterPromises,
    TakesOverAtOnce,
    LeadsOnAfterALongTime,
    TrustsWhatCameBack,
}

use QuorumMistake as Mistake;

const AGREE: &str = "what two say is decided is the same as far as both know";
const HELD: &str = "what is said to be decided is with as many voters as decide";
const ORDER: &str = "neither epochs nor slots go back along a chain";
const WHOLE: &str = "who has a value has the right ones of all slots before";
const FRESH: &str = "who asks is told all that was decided before";

/// What a process does, and what befalls it.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// It begins to lead.
    TakeOver(u8),
    /// A put arrives at this voter, and is the first; its sender is told so.
    Land(u8, Put),
    /// The same, and the sender is not told.
    LandUnheard(u8, Put),
    /// A process reads what is new on the chain of a voter.
    Read(u8, u8),
    /// A process reads the marker of a voter.
    Mark(u8, u8),
    /// A process begins to ask for the end of the log.
    Ask(u8),
    /// A voter loses all cells but so many.
    Empty(u8, u8),
    /// Time passes, after a voter was emptied or a process has taken over.
    Wait,
}

/// Everything there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    voters: Vec<Voter>,
    processes: Vec<Process>,
    /// A voter was emptied not long ago.
    emptied_lately: bool,
    /// A process has taken over not long ago.
    led_lately: bool,
}

impl State {
    fn emptied(&self) -> usize {
        self.voters.iter().filter(|voter| voter.emptied).count()
    }

    fn decided(&self) -> impl Iterator<Item = Upto> {
        self.processes.iter().map(|process| process.decided)
    }
}

impl Quorum {
    /// Three voters and two writers, each of which takes over once.
    fn of(slots: u8) -> Self {
        Self {
            voters: 3,
            quorum: 2,
            writers: 2,
            turns: 1,
            slots,
            asks: false,
            loses: true,
            harm: None,
            guard: Guard::Never,
            mistake: None,
        }
    }

    fn by_kind(&self) -> bool {
        self.mistake == Some(Mistake::PromisesElsewhere)
    }

    /// Whether a voter may be emptied now.
    fn may_empty(&self, state: &State) -> bool {
        let under_way = || {
            let mut phases = state.processes.iter().map(|process| process.phase);
            state.led_lately || phases.any(|phase| matches!(phase, Phase::Promising(_)))
        };
        self.harm.is_some() && state.emptied() == 0 && !(self.assumes() && under_way())
    }

    /// Whether a process does nothing any more but to wait for what it has sent to land.
    fn is_done(&self, state: &State, me: usize) -> bool {
        let process = &state.processes[me];
        match process.phase {
            Phase::Idle => me < self.writers && process.turns == self.turns,
            Phase::Told(..) => true,
            Phase::Promising(_) | Phase::Leading(_) | Phase::Asking(_) => false,
        }
    }

    /// Whether nobody takes over for a while before and after a voter is emptied.
    fn assumes(&self) -> bool {
        self.guard == Guard::Within && self.mistake != Some(Mistake::TakesOverAtOnce)
    }

    fn read(&self, state: &mut State, at: usize, me: usize) -> bool {
        let voter = &mut state.voters[at];
        let gone = voter.emptied && self.harm == Some(Harm::Wiped);
        if gone && self.guard == Guard::Head {
            return false;
        }
        if gone && self.guard == Guard::OnReads {
            voter.views[me] = View::LOST;
            return true;
        }
        let first = !voter.views[me].looked;
        if voter.read(me, self.by_kind()) || first {
            let view = &mut voter.views[me];
            view.looked = true;
            view.proved &= !self.must_prove(None);
            return true;
        }
        false
    }
}

impl Model for Quorum {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let processes = self.writers + usize::from(self.asks);
        let process =
            Process { phase: Phase::Idle, turns: 0, proposal: None, decided: Upto::default() };
        vec![State {
            voters: vec![Voter::new(processes); self.voters],
            processes: vec![process; processes],
            emptied_lately: false,
            led_lately: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (me, process) in state.processes.iter().enumerate() {
            if me == self.writers {
                if process.phase == Phase::Idle {
                    actions.push(Action::Ask(me as u8));
                }
            } else if process.turns < self.turns && !(self.assumes() && state.emptied_lately) {
                actions.push(Action::TakeOver(me as u8));
            }
        }
        for (at, voter) in state.voters.iter().enumerate() {
            // Those alike go on alike.
            if at > 0 && state.voters[at - 1] == *voter {
                continue;
            }
            let shut = voter.emptied && self.guard == Guard::Head;
            for put in voter.sent.iter().filter(|put| !shut && voter.is_free(put, self.by_kind())) {
                let from = usize::from(put.from);
                let view = voter.views[from];
                let is_awaited =
                    view.next == put.position && !view.lost && !self.is_done(state, from);
                if is_awaited && !self.loses {
                    actions.push(Action::Land(at as u8, *put));
                } else {
                    // To be told would be as much as to read it at once.
                    actions.push(Action::LandUnheard(at as u8, *put));
                }
            }
            for (me, view) in voter.views.iter().enumerate() {
                if view.lost || self.is_done(state, me) {
                    continue;
                }
                if voter.has_more(me) || !view.looked || voter.emptied {
                    actions.push(Action::Read(at as u8, me as u8));
                }
                if !view.proved {
                    actions.push(Action::Mark(at as u8, me as u8));
                }
            }
            if self.may_empty(state) {
                let all = voter.chain.len() as u8;
                let left = if self.harm == Some(Harm::RolledBack) { 0..all.max(1) } else { 0..1 };
                actions.extend(left.map(|left| Action::Empty(at as u8, left)));
            }
        }
        if self.assumes() && (state.emptied_lately || state.led_lately) {
            actions.push(Action::Wait);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let mut learned = None;
        match action {
            Action::TakeOver(me) => {
                self.take_over(&mut state, usize::from(me));
                state.led_lately = self.assumes();
                learned = Some(usize::from(me));
            }
            Action::Land(at, put) | Action::LandUnheard(at, put) => {
                let (at, from) = (usize::from(at), usize::from(put.from));
                let voter = &mut state.voters[at];
                voter.land(&put, self.by_kind());
                if matches!(action, Action::Land(..)) {
                    voter.views[from].learn(put.cell, self.by_kind());
                    voter.views[from].proved &= !self.must_prove(Some(put.cell));
                    learned = Some(from);
                }
            }
            Action::Read(at, me) => {
                if self.read(&mut state, usize::from(at), usize::from(me)) {
                    learned = Some(usize::from(me));
                }
            }
            Action::Mark(at, me) => {
                let voter = &mut state.voters[usize::from(at)];
                let gone = voter.emptied && self.harm == Some(Harm::Wiped);
                let view = &mut voter.views[usize::from(me)];
                view.proved = true;
                if gone {
                    *view = View::LOST;
                }
                learned = Some(usize::from(me));
            }
            Action::Ask(me) => {
                let floor = last.decided().max_by_key(|decided| decided.slot())?;
                let me = usize::from(me);
                state.processes[me].phase = Phase::Asking(floor);
                for voter in &mut state.voters {
                    voter.views[me].looked = false;
                }
            }
            Action::Empty(at, left) => {
                let voter = &mut state.voters[usize::from(at)];
                voter.chain.truncate(usize::from(left));
                voter.emptied = true;
                state.emptied_lately = self.assumes();
                // What somebody waits for is sent again, and may be created now.
                for me in 0..state.processes.len() {
                    self.go_on(&mut state, me);
                }
            }
            Action::Wait => {
                // Whoever reads its marker from now on finds none.
                let emptied = state.voters.iter_mut().filter(|voter| voter.emptied);
                for view in emptied.flat_map(|voter| &mut voter.views) {
                    *view = View::LOST;
                }
                (state.emptied_lately, state.led_lately) = (false, false);
                if self.mistake != Some(Mistake::LeadsOnAfterALongTime) {
                    let promised = last.voters.iter().map(Voter::promised).max()?;
                    for process in &mut state.processes {
                        process.give_up_before(promised);
                    }
                }
            }
        }
        if let Some(me) = learned {
            self.go_on(&mut state, me);
            let leads = |state: &State| matches!(state.processes[me].phase, Phase::Leading(_));
            // Whoever has taken over now has done so lately.
            state.led_lately |= self.assumes() && leads(&state) && !leads(last);
            if self.is_done(&state, me) {
                state.voters.iter_mut().for_each(|voter| voter.views[me] = View::EMPTY);
            }
        }
        state.voters.iter_mut().for_each(|voter| voter.prune(self.by_kind()));
        // Voters that differ only by name are the same. So their numbers hold for one step.
        state.voters.sort_unstable();
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::<Self>::always(AGREE, |_, state| {
                let longest = state.decided().max_by_key(|decided| decided.slot());
                state.decided().all(|decided| longest.is_some_and(|it| decided.begins(it)))
            }),
            Property::<Self>::always(HELD, |model, state| {
                state.decided().all(|decided| {
                    let whole = state.voters.iter().filter(|voter| !voter.emptied);
                    let holders = whole.filter(|voter| decided.begins(voter.accepted()));
                    decided.slot() == 0 || holders.count() + state.emptied() >= model.quorum
                })
            }),
            Property::<Self>::always(ORDER, |_, state| {
                state.voters.iter().all(|voter| voter.emptied || voter.is_in_order())
            }),
            Property::<Self>::always(WHOLE, |_, state| {
                state.voters.iter().all(|voter| voter.emptied || voter.is_whole())
            }),
            Property::<Self>::sometimes("all that fits is decided", |model, state| {
                state.decided().any(|decided| decided.slot() == model.slots)
            }),
            Property::<Self>::sometimes("what one began another has decided", |_, state| {
                let mut processes = state.processes.iter().enumerate();
                processes.any(|(me, process)| {
                    let told = matches!(process.phase, Phase::Leading(_) | Phase::Told(..));
                    told && process.decided.last().is_some_and(|by| usize::from(by) != me)
                })
            }),
        ];
        if self.asks {
            properties.push(Property::<Self>::always(FRESH, |_, state| {
                state.processes.iter().all(|process| match process.phase {
                    Phase::Told(floor, told) => floor.begins(told),
                    _ => true,
                })
            }));
            properties.push(Property::<Self>::sometimes(
                "who asks is told something",
                |_, state| {
                    state.processes.iter().any(|process| match process.phase {
                        Phase::Told(_, told) => told.slot() > 0,
                        _ => false,
                    })
                },
            ));
        }
        properties
    }

    fn format_action(&self, action: &Action) -> String {
        match action {
            Action::Land(at, put) => format!("voter {at}: {put}, who is told"),
            Action::LandUnheard(at, put) => format!("voter {at}: {put}, who is not told"),
            Action::TakeOver(me) => format!("process {me} takes over"),
            Action::Read(at, me) => format!("voter {at} is read by process {me}"),
            Action::Mark(at, me) => format!("voter {at}: its marker is read by process {me}"),
            Action::Ask(me) => format!("process {me} asks for the end of the log"),
            Action::Empty(at, left) => format!("voter {at} loses all but {left} cells"),
            Action::Wait => "time passes".to_owned(),
        }
    }
}

impl fmt::Display for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} {:?} of process {}", self.position, self.cell, self.from)
    }
}

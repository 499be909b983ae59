//! One run of a scenario, and what is known of it afterwards.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use storage_core::Operation;

use crate::panics::caught;
use crate::steps::Steps;
use crate::story::words;
use crate::world::World;
use crate::{Choice, FaultCounts, Plan, Sim, Tape, TraceLine};

/// What one run did, and whether it went well.
#[derive(Debug)]
pub struct Run {
    /// What went wrong, if anything did.
    pub failure: Option<Failure>,
    /// Every decision.
    pub tape: Tape,
    /// How much of everything there was.
    pub tally: Tally,
    /// How many polls each node's tasks had while they could crash, by node: its crash points.
    pub polls: Vec<u64>,
    /// Every request that a fault could have befallen, with its number, in order.
    pub requests: Vec<(u64, Operation)>,
    /// The pieces of work that nodes have done, where they say so.
    pub pieces: BTreeSet<u32>,
    /// What happened, where that was asked for.
    pub trace: Vec<TraceLine>,
}

impl Run {
    /// The choices made: the tape to replay.
    #[must_use]
    pub fn choices(&self) -> &[Choice] {
        self.tape.choices()
    }
}

/// Why a run is no good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In what way.
    pub kind: FailureKind,
    /// What exactly.
    pub message: String,
}

/// In what way a run is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// The scenario says so, or its nodes came to no end.
    Wrong,
    /// Something panicked.
    Panicked,
    /// The same tape gave two different runs: something looks past [`Env`](storage_core::Env).
    NotDeterministic,
}

impl Failure {
    /// Whether this is likely the same mistake as another: the first line has the same words, whatever the numbers
    /// and the names made of them.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let first = |failure: &Self| words(failure.message.lines().next().unwrap_or_default());
        self.kind == other.kind && first(self) == first(other)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FailureKind::Wrong => f.write_str(&self.message),
            FailureKind::Panicked => write!(f, "panicked: {}", self.message),
            FailureKind::NotDeterministic => write!(f, "not deterministic: {}", self.message),
        }
    }
}

/// How much of everything there was, in one run or in many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs that were made.
    pub runs: u64,
    /// Requests that were sent.
    pub operations: u64,
    /// Polls and events.
    pub steps: u64,
    /// Faults that were injected.
    pub faults: FaultCounts,
    /// Nodes that crashed.
    pub crashes: u64,
    /// Nodes that stood still for some time.
    pub pauses: u64,
    /// Virtual time that passed.
    pub time: Duration,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.runs += other.runs;
        self.operations += other.operations;
        self.steps += other.steps;
        self.faults += other.faults;
        self.crashes += other.crashes;
        self.pauses += other.pauses;
        self.time += other.time;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, operations, steps, faults, crashes, pauses, time } = self;
        let (faults, hours) = (faults.total(), time.as_secs() / 3600);
        write!(
            f,
            "{runs} runs, {steps} steps, {operations} requests, {faults} faults, {crashes} crashes, \
             {pauses} pauses, {hours} virtual hours"
        )
    }
}

/// Runs a scenario once.
pub(crate) fn run_once(
    scenario: &(impl Fn(&mut Sim) -> Result<(), String> + ?Sized),
    plan: &Arc<Plan>,
    tape: Tape,
    traced: bool,
) -> Run {
    run_searched(scenario, plan, tape, traced, None).0
}

/// Runs a scenario once, for a search.
pub(crate) fn run_searched(
    scenario: &(impl Fn(&mut Sim) -> Result<(), String> + ?Sized),
    plan: &Arc<Plan>,
    tape: Tape,
    traced: bool,
    search: Option<Steps>,
) -> (Run, Option<Steps>) {
    let world = Arc::new(World::new(plan.clone(), tape, traced, search));
    let mut sim = Sim { world: world.clone() };
    let outcome = caught(|| scenario(&mut sim));
    drop(sim);
    let failure = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(message)) => Some(Failure { kind: FailureKind::Wrong, message }),
        Err(message) => Some(Failure { kind: FailureKind::Panicked, message }),
    };
    let mut state = world.state();
    let tally = Tally {
        runs: 1,
        operations: state.sent,
        steps: state.steps,
        time: Duration::from_micros(state.now),
        ..state.tally
    };
    let search = state.search.take().map(|mut steps| {
        steps.end_step();
        steps
    });
    let run = Run {
        failure,
        tape: std::mem::replace(&mut state.tape, Tape::replay(Vec::new())),
        tally,
        polls: state.nodes.iter().map(|node| node.exposed_polls).collect(),
        requests: std::mem::take(&mut state.exposed),
        pieces: std::mem::take(&mut state.pieces),
        trace: state.trace.take().unwrap_or_default(),
    };
    (run, search)
}

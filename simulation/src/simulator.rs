//! The drivers: many runs of one scenario, in search of one that goes wrong.

mod enumerate;
mod search;
mod shrink;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::run::run_once;
use crate::story::story;
use crate::{Failure, FailureKind, Plan, Replay, Run, Sim, Tally, Tape, TraceLine};

/// Of how many seeds of a soak one is run twice, to see whether it is the same.
const CHECKED_SHARE: u64 = 100;
/// How many runs are spent on making a failure simpler, unless told otherwise.
const SHRINK_RUNS_MAX: u64 = 4000;

/// Runs a scenario in many ways.
///
/// A scenario is a function of the world that makes places and nodes, lets them run, and says what is
/// wrong with what came of it. It is called once for each run, and must do the same in each but for what
/// the world decides: it uses no clock, no randomness and no thread of its own.
///
/// Each driver stops at the first run that goes wrong (see [`failures_max`](Self::failures_max)), makes it
/// simpler, and hands it over with the tape that replays it.
pub struct Simulator<S> {
    scenario: S,
    command: String,
    part: (u64, u64),
    failures_max: u64,
    shrink_runs_max: u64,
}

/// What came of a driver.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Report {
    /// How much of everything there was.
    pub tally: Tally,
    /// How many runs went wrong.
    pub failures: u64,
    /// How many of the runs a search broke off, as what was left of them was searched before.
    pub redundant: u64,
    /// Whether everything was tried that the driver set out to try.
    pub complete: bool,
    /// The first run that went wrong, made simpler.
    pub found: Option<Found>,
}

/// A run that goes wrong, and how to have it again.
#[derive(Debug, Clone)]
pub struct Found {
    /// What goes wrong.
    pub failure: Failure,
    /// How it was met first: the seed, the fault, the crash point.
    pub origin: String,
    /// How to run it again: see [`Simulator::command`].
    pub command: String,
    /// The plan of the run, with what it does not take left out.
    pub plan: Arc<Plan>,
    /// Its choices, made simpler: what [`Simulator::replay`] takes.
    pub tape: Vec<u32>,
    /// What happens in it.
    pub trace: Vec<TraceLine>,
}

impl<S: Fn(&mut Sim) -> Result<(), String>> Simulator<S> {
    /// Runs this scenario.
    pub fn new(scenario: S) -> Self {
        Self {
            scenario,
            command: String::new(),
            part: (0, 1),
            failures_max: 1,
            shrink_runs_max: SHRINK_RUNS_MAX,
        }
    }

    /// What somebody has to enter to see a run of this scenario again, before the text of the [`Replay`]: it is told
    /// with what is found.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.command = command.into();
        self
    }

    /// After how many runs that went wrong a driver stops; one unless told otherwise.
    #[must_use]
    pub fn failures_max(mut self, failures: u64) -> Self {
        self.failures_max = failures.max(1);
        self
    }

    /// Of the product of faults and crashes only every `of`-th, beginning with `part`, which is less than `of`: to try
    /// some of it, or to have several threads do all of it.
    ///
    /// # Panics
    ///
    /// If `part` is not less than `of`.
    #[must_use]
    pub fn part(mut self, part: u64, of: u64) -> Self {
        assert!(part < of, "there is no part {part} of {of}");
        self.part = (part, of);
        self
    }

    /// How many runs are spent on making the first failure simpler; 4,000 unless told otherwise.
    #[must_use]
    pub fn shrink_runs_max(mut self, runs: u64) -> Self {
        self.shrink_runs_max = runs;
        self
    }

    /// One run for each seed. One in a hundred is made twice, and must be the same.
    ///
    /// # Examples
    ///
    /// As for [the crate](crate).
    pub fn soak(&self, seeds: Range<u64>, plan: &Plan) -> Report {
        let plan = Arc::new(plan.clone());
        let mut report = Report { complete: true, ..Report::default() };
        for seed in seeds {
            let mut run = self.run_shared(&plan, Tape::random(seed));
            if seed % CHECKED_SHARE == 0 {
                let again = self.run_shared(&plan, Tape::random(seed));
                if (again.tape.hash(), &again.failure) != (run.tape.hash(), &run.failure) {
                    let message = "two runs of one seed differ".to_owned();
                    run.failure = Some(Failure { kind: FailureKind::NotDeterministic, message });
                }
            }
            if self.enough(&mut report, run, &plan, || format!("seed {seed}")) {
                break;
            }
        }
        report
    }

    /// One run, with decisions from this tape.
    #[must_use]
    pub fn run(&self, plan: &Plan, tape: Tape) -> Run {
        run_once(&self.scenario, &Arc::new(plan.clone()), tape, false)
    }

    /// The run of one tape, with a trace.
    #[must_use]
    pub fn replay(&self, plan: &Plan, tape: Vec<u32>) -> Run {
        run_once(&self.scenario, &Arc::new(plan.clone()), Tape::replay(tape), true)
    }

    fn run_shared(&self, plan: &Arc<Plan>, tape: Tape) -> Run {
        run_once(&self.scenario, plan, tape, false)
    }

    /// Takes a run into the report, and says whether the driver is to stop.
    fn enough(
        &self,
        report: &mut Report,
        run: Run,
        plan: &Arc<Plan>,
        origin: impl FnOnce() -> String,
    ) -> bool {
        report.tally += run.tally;
        let Some(failure) = run.failure else { return false };
        report.failures += 1;
        if report.found.is_none() {
            report.found = Some(self.found(failure, run.tape.values(), plan, origin()));
        }
        let stop = report.failures >= self.failures_max;
        report.complete &= !stop;
        stop
    }

    fn found(&self, failure: Failure, tape: Vec<u32>, plan: &Arc<Plan>, origin: String) -> Found {
        let (plan, tape) = self.shrink(plan, &failure, tape);
        let run = run_once(&self.scenario, &plan, Tape::replay(tape.clone()), true);
        // Made simpler it may say other numbers; if it says nothing, it cannot be had again.
        let failure = run.failure.unwrap_or(failure);
        let command = self.command.clone();
        Found { failure, origin, command, plan, tape, trace: run.trace }
    }
}

impl<S> fmt::Debug for Simulator<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("failures_max", &self.failures_max)
            .field("shrink_runs_max", &self.shrink_runs_max)
            .finish_non_exhaustive()
    }
}

impl Report {
    /// Panics with everything that is known of the run that went wrong, if one did.
    ///
    /// # Panics
    ///
    /// If a run went wrong, or none was made.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.tally.runs > 0, "no run was made");
        if let Some(found) = &self.found {
            panic!("{} of {} runs went wrong\n{found}", self.failures, self.tally.runs);
        }
    }
}

impl fmt::Display for Found {
    /// What goes wrong, what happens, and how to have it again. What happens is told in at most 60 lines; with `{:#}` in
    /// all there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.origin, self.failure)?;
        if f.alternate() {
            for line in &self.trace {
                writeln!(f, "{line}")?;
            }
        } else {
            for line in story(&self.trace) {
                writeln!(f, "{line}")?;
            }
        }
        let replay = Replay { plan: (*self.plan).clone(), tape: self.tape.clone() };
        match self.command.as_str() {
            "" => writeln!(f, "again: {replay}"),
            command => writeln!(f, "again: {command} '{replay}'"),
        }
    }
}

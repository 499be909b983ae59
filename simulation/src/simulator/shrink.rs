//! Making a failure simpler, while it stays: less work and less that goes wrong, then calmer choices.

use std::sync::Arc;

use super::Simulator;
use crate::{Crashes, Failure, Plan, Sim, Tape};

/// How many other tapes are tried with each simpler plan, as its run takes other turns.
const TAPES: u64 = 25;
/// Of the seeds of those.
const SEEDS_FROM: u64 = 1 << 40;
/// How many polls and events are spent on it. A livelock has as many in one run as others in thousands.
const STEPS_MAX: u64 = 40_000_000;
/// A livelock is one after so many already, most likely.
const LIVELOCK_STEPS: u64 = 50_000;

impl<S: Fn(&mut Sim) -> Result<(), String>> Simulator<S> {
    /// The simplest plan and tape that were found to fail alike.
    pub(super) fn shrink(
        &self,
        plan: &Arc<Plan>,
        failure: &Failure,
        tape: Vec<u32>,
    ) -> (Arc<Plan>, Vec<u32>) {
        let mut shrinker =
            Shrinker { simulator: self, plan: plan.clone(), failure, tape, runs: 0, steps: 0 };
        shrinker.simplify_plan();
        shrinker.simplify_tape();
        (shrinker.plan, shrinker.tape)
    }
}

struct Shrinker<'a, S> {
    simulator: &'a Simulator<S>,
    plan: Arc<Plan>,
    failure: &'a Failure,
    tape: Vec<u32>,
    runs: u64,
    steps: u64,
}

impl<S: Fn(&mut Sim) -> Result<(), String>> Shrinker<'_, S> {
    fn is_spent(&self) -> bool {
        self.runs >= self.simulator.shrink_runs_max || self.steps >= STEPS_MAX
    }

    /// Less work, fewer kinds of faults, no crashes: whatever of this still fails alike, with this tape or another.
    fn simplify_plan(&mut self) {
        // Half of the runs are for the tape.
        let runs_max = self.simulator.shrink_runs_max / 2;
        if self.plan.steps_max > LIVELOCK_STEPS && self.failure.message.starts_with("livelock") {
            self.try_plan(Plan { steps_max: LIVELOCK_STEPS, ..(*self.plan).clone() });
        }
        loop {
            let before = self.plan.clone();
            for plan in less_wrong(&self.plan) {
                if self.runs < runs_max && self.try_plan(plan) {
                    break;
                }
            }
            self.leave_out(runs_max);
            if Arc::ptr_eq(&before, &self.plan) || self.runs >= runs_max || self.is_spent() {
                return;
            }
        }
    }

    /// Leaves out pieces of work, many at once at first.
    fn leave_out(&mut self, runs_max: u64) {
        let mut size = self.pieces().len();
        while size > 0 {
            let mut from = 0;
            loop {
                let pieces = self.pieces();
                if from >= pieces.len() || self.runs >= runs_max || self.is_spent() {
                    break;
                }
                let mut plan = (*self.plan).clone();
                plan.left_out.extend(&pieces[from..pieces.len().min(from + size)]);
                if !self.try_plan(plan) {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    /// The pieces of work that are done in the present run.
    fn pieces(&mut self) -> Vec<u32> {
        let tape = Tape::replay(self.tape.clone());
        self.simulator.run_shared(&self.plan, tape).pieces.into_iter().collect()
    }

    /// Takes a simpler plan for the present one, if some run of it fails alike.
    fn try_plan(&mut self, plan: Plan) -> bool {
        let plan = Arc::new(plan);
        // What a search goes through has no other seeds.
        let tapes = if plan.order.is_any() { 0 } else { TAPES };
        let seeds = (SEEDS_FROM..SEEDS_FROM + tapes).map(Tape::random);
        for tape in std::iter::once(Tape::replay(self.tape.clone())).chain(seeds) {
            if self.is_spent() {
                return false;
            }
            if let Some(tape) = self.alike(&plan, tape) {
                (self.plan, self.tape) = (plan, tape);
                return true;
            }
        }
        false
    }

    /// The choices of a run, if it fails alike.
    fn alike(&mut self, plan: &Arc<Plan>, tape: Tape) -> Option<Vec<u32>> {
        let run = self.simulator.run_shared(plan, tape);
        self.runs += 1;
        self.steps += run.tally.steps;
        let alike = run.failure.is_some_and(|failure| failure.is_like(self.failure));
        alike.then(|| run.tape.values())
    }

    /// Deletes choices, makes them zero, makes them lower.
    fn simplify_tape(&mut self) {
        self.trim();
        loop {
            let before = self.tape.clone();
            self.delete_chunks();
            self.calm_chunks();
            self.lower_values();
            if self.tape == before || self.is_spent() {
                return;
            }
        }
    }

    /// Takes a simpler tape for the present one, if it fails alike.
    fn try_out(&mut self, tape: Vec<u32>) -> bool {
        if self.is_spent() || tape == self.tape {
            return false;
        }
        let alike = self.alike(&self.plan.clone(), Tape::replay(tape.clone())).is_some();
        if alike {
            self.tape = tape;
            self.trim();
        }
        alike
    }

    /// Zeros at the end say nothing.
    fn trim(&mut self) {
        let used = self.tape.iter().rposition(|&value| value != 0).map_or(0, |last| last + 1);
        self.tape.truncate(used);
    }

    fn delete_chunks(&mut self) {
        self.for_chunks(|tape, from, to| {
            tape.drain(from..to);
        });
    }

    fn calm_chunks(&mut self) {
        self.for_chunks(|tape, from, to| tape[from..to].fill(0));
    }

    /// Tries a change on every chunk of every size, the large ones and those at the end first.
    fn for_chunks(&mut self, change: impl Fn(&mut Vec<u32>, usize, usize)) {
        let mut size = self.tape.len().next_power_of_two();
        while size > 0 && !self.is_spent() {
            let mut to = self.tape.len();
            while to > 0 {
                let from = to.saturating_sub(size);
                let mut tape = self.tape.clone();
                change(&mut tape, from, to);
                self.try_out(tape);
                to = from.min(self.tape.len());
            }
            size /= 2;
        }
    }

    fn lower_values(&mut self) {
        let mut at = 0;
        while at < self.tape.len() && !self.is_spent() {
            let value = self.tape[at];
            let lower = [value / 16, value / 2, value.saturating_sub(1)];
            let lowered = lower.into_iter().any(|lower| {
                let mut tape = self.tape.clone();
                tape[at] = lower;
                self.try_out(tape)
            });
            if !lowered {
                at += 1;
            }
        }
    }
}

/// The plans in which one thing less can go wrong.
fn less_wrong(plan: &Plan) -> Vec<Plan> {
    let mut plans = Vec::new();
    if plan.pauses_per_node_max > 0 {
        plans.push(Plan { pauses_per_node_max: 0, ..plan.clone() });
    }
    if !plan.clock_skew_max.is_zero() {
        plans.push(Plan { clock_skew_max: std::time::Duration::ZERO, ..plan.clone() });
    }
    match &plan.crashes {
        Crashes::At(points) => {
            for at in 0..points.len() {
                let mut points = points.clone();
                points.remove(at);
                plans.push(Plan { crashes: Crashes::At(points), ..plan.clone() });
            }
        }
        Crashes::Lots { run_max, gap_polls_max } => {
            plans.push(Plan { crashes: Crashes::none(), ..plan.clone() });
            if *run_max > 1 {
                let crashes = Crashes::Lots { run_max: 1, gap_polls_max: *gap_polls_max };
                plans.push(Plan { crashes, ..plan.clone() });
            }
        }
    }
    let faults = plan.faults.fewer();
    plans.extend(faults.into_iter().map(|faults| Plan { faults, ..plan.clone() }));
    plans
}

//! Making a failure simpler: choices are deleted or made zero while it stays.

use std::sync::Arc;

use super::Simulator;
use crate::{Failure, Plan, Sim, Tape};

impl<S: Fn(&mut Sim) -> Result<(), String>> Simulator<S> {
    /// The simplest tape that was found to fail alike.
    pub(super) fn shrink(&self, plan: &Arc<Plan>, failure: &Failure, tape: Vec<u32>) -> Vec<u32> {
        let mut shrinker = Shrinker { simulator: self, plan, failure, tape, runs: 0 };
        shrinker.trim();
        loop {
            let before = shrinker.tape.clone();
            shrinker.delete_chunks();
            shrinker.calm_chunks();
            shrinker.lower_values();
            if shrinker.tape == before || shrinker.is_spent() {
                return shrinker.tape;
            }
        }
    }
}

struct Shrinker<'a, S> {
    simulator: &'a Simulator<S>,
    plan: &'a Arc<Plan>,
    failure: &'a Failure,
    tape: Vec<u32>,
    runs: u64,
}

impl<S: Fn(&mut Sim) -> Result<(), String>> Shrinker<'_, S> {
    fn is_spent(&self) -> bool {
        self.runs >= self.simulator.shrink_runs_max
    }

    /// Takes a simpler tape for the present one, if it fails alike.
    fn try_out(&mut self, tape: Vec<u32>) -> bool {
        if self.is_spent() || tape == self.tape {
            return false;
        }
        self.runs += 1;
        let run = self.simulator.run_shared(self.plan, Tape::replay(tape.clone()));
        let alike = run.failure.is_some_and(|failure| failure.is_like(self.failure));
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

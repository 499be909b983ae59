//! Searches: every run there is of a small scenario, or every one that differs from all others.

use std::sync::Arc;

use super::{Report, Simulator};
use crate::run::run_searched;
use crate::steps::{Asleep, Fork, Steps, Touched};
use crate::{Choice, Plan, Sim, Tape};

/// Choices among more than this many are left alone by a search.
const SEARCHED_ARITY_MAX: u32 = 8;

impl<S: Fn(&mut Sim) -> Result<(), String>> Simulator<S> {
    /// Every run there is, depth first, up to so many. Decisions among more than eight possibilities
    /// are always the calm one; [`Plan::search`] makes few of them.
    pub fn search(&self, plan: &Plan, runs_max: u64) -> Report {
        let plan = Arc::new(plan.clone());
        let mut report = Report::default();
        let mut next = Some(Vec::new());
        while let Some(values) = next {
            if report.tally.runs == runs_max {
                return report;
            }
            let run = self.run_shared(&plan, Tape::replay(values));
            next = run.tape.successor(SEARCHED_ARITY_MAX);
            let number = report.tally.runs + 1;
            if self.enough(&mut report, run, &plan, || format!("run {number} of a search")) {
                return report;
            }
        }
        report.complete = true;
        report
    }

    /// The same, but of the runs that differ only in the order of steps which touch nothing in common, one:
    /// depth first with sleep sets, up to so many. [`Report::complete`] says whether it came to the end of
    /// all there is, [`Report::redundant`] how many of its runs were broken off as no others.
    ///
    /// A step is one arrival, and all its node does until the next. What two steps may have in common is a
    /// node, an object (or a list of it), and an end with a beginning where nodes say so
    /// ([`Node::marks`](crate::Node::marks)). Nodes must share nothing else that any of them, or the judgement
    /// of the scenario, depends on: they may write to one ledger, if each entry says whose it is. Decisions
    /// that are not about order are left alone where there are more than eight possibilities.
    ///
    /// # Panics
    ///
    /// If the plan gives arrivals times, and not [any order](crate::Order::Any): then there is no order to search.
    pub fn search_distinct(&self, plan: &Plan, runs_max: u64) -> Report {
        assert!(plan.order.is_any(), "a search needs a plan in which arrivals come in any order");
        let plan = Arc::new(plan.clone());
        let mut report = Report::default();
        let mut path = Path::default();
        loop {
            if report.tally.runs == runs_max {
                return report;
            }
            let (given, waiting) = path.asleep();
            let search = Some(Steps::new(given, waiting));
            let tape = Tape::replay(path.values());
            let (mut run, steps) = run_searched(&self.scenario, &plan, tape, false, search);
            let steps = steps.expect("it was given what it is to find out");
            let number = report.tally.runs + 1;
            if steps.redundant {
                // It says that it was stopped, which is nothing that went wrong.
                run.failure = None;
                report.redundant += 1;
            }
            path.learn(run.tape.choices(), steps.forks);
            if self.enough(&mut report, run, &plan, || format!("run {number} of a search")) {
                return report;
            }
            if !path.advance() {
                report.complete = true;
                return report;
            }
        }
    }
}

/// The decisions of the present run, each with those that were tried in its place.
#[derive(Default)]
struct Path(Vec<Decision>);

enum Decision {
    /// Which step comes next.
    Order { fork: Fork, chosen: usize, tried: Vec<Asleep> },
    /// Anything else.
    Lot(Choice),
}

impl Path {
    fn values(&self) -> Vec<u32> {
        let values = self.0.iter().map(|decision| match decision {
            Decision::Order { chosen, .. } => *chosen as u32,
            Decision::Lot(choice) => choice.value,
        });
        values.collect()
    }

    /// How many forks are given, and what need not come after the last of them.
    fn asleep(&self) -> (usize, Vec<Asleep>) {
        let mut forks = self.0.iter().filter_map(|decision| match decision {
            Decision::Order { fork, tried, .. } => Some((fork, tried)),
            Decision::Lot(_) => None,
        });
        let given = forks.clone().count();
        let waiting = forks.next_back().map(|(fork, tried)| [&fork.asleep[..], tried].concat());
        (given, waiting.unwrap_or_default())
    }

    /// Takes in a run that began as this path does.
    fn learn(&mut self, choices: &[Choice], forks: Vec<Fork>) {
        let mut forks = forks.into_iter().peekable();
        for (at, choice) in choices.iter().enumerate() {
            let fork = forks.next_if(|fork| fork.choice == at);
            match (self.0.get_mut(at), fork) {
                (Some(Decision::Order { fork, .. }), Some(again)) => {
                    fork.touched.join(&again.touched);
                }
                (Some(_), _) => {}
                (None, Some(fork)) => {
                    let chosen = choice.value as usize;
                    self.0.push(Decision::Order { fork, chosen, tried: Vec::new() });
                }
                (None, None) => self.0.push(Decision::Lot(*choice)),
            }
        }
    }

    /// Goes over to the next path, if there is one.
    fn advance(&mut self) -> bool {
        while let Some(last) = self.0.last_mut() {
            if last.advance() {
                return true;
            }
            self.0.pop();
        }
        false
    }
}

impl Decision {
    fn advance(&mut self) -> bool {
        match self {
            Self::Lot(Choice { value, arity }) => {
                let more = *value + 1 < *arity && *arity <= SEARCHED_ARITY_MAX;
                *value += u32::from(more);
                more
            }
            Self::Order { fork, chosen, tried } => {
                let touched: Touched = std::mem::take(&mut fork.touched);
                tried.push(Asleep { event: fork.events[*chosen], touched });
                let known = |event: &u64| {
                    fork.asleep.iter().chain(&*tried).any(|asleep| asleep.event == *event)
                };
                let next = fork.events.iter().position(|event| !known(event));
                *chosen = next.unwrap_or(*chosen);
                next.is_some()
            }
        }
    }
}

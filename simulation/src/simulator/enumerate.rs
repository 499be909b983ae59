//! All single crashes and faults of one run, and all pairs of them.

use std::sync::Arc;

use super::{Report, Simulator};
use crate::{CrashPoint, Crashes, Fault, Faults, NodeId, Plan, Run, Sim, Tape};

impl<S: Fn(&mut Sim) -> Result<(), String>> Simulator<S> {
    /// The run of a seed, and then, for each poll of each of its nodes, the same run until the node
    /// crashes right there.
    pub fn crash_points(&self, seed: u64, plan: &Plan) -> Report {
        self.vary(seed, plan, |run| crash_points(run).map(|point| (None, Some(point))).collect())
    }

    /// For each crash point of the run of a seed, and each later poll of the node that crashed, the run
    /// with both crashes: what a node does to recover is interrupted as well. Up to `runs_max`.
    pub fn crash_pairs(&self, seed: u64, plan: &Plan, runs_max: u64) -> Report {
        let first = self.run(plan, Tape::random(seed));
        let mut report = Report { complete: true, ..Report::default() };
        for point in crash_points(&first) {
            let once = self.run_shared(&with(plan, None, &[point]), Tape::random(seed));
            let later = crash_points(&once)
                .filter(|second| second.node == point.node && second.poll > point.poll);
            for second in later {
                if report.tally.runs >= runs_max {
                    report.complete = false;
                    return report;
                }
                if self.vary_once(&mut report, seed, plan, None, &[point, second]) {
                    return report;
                }
            }
        }
        report
    }

    /// The run of a seed, and then, for each of its requests and each of these faults that can befall
    /// it, the same run until that happens.
    pub fn single_faults(&self, seed: u64, plan: &Plan, kinds: &[Fault]) -> Report {
        self.vary(seed, plan, |run| {
            single_faults(run, kinds).map(|fault| (Some(fault), None)).collect()
        })
    }

    /// The run of a seed with each pair of one of its requests' faults and one crash point, which is
    /// the product of the two numbers of runs: up to `runs_max`, or of all of them a [`part`](Self::part).
    pub fn faults_and_crashes(
        &self,
        seed: u64,
        plan: &Plan,
        kinds: &[Fault],
        runs_max: u64,
    ) -> Report {
        let first = self.run(plan, Tape::random(seed));
        let mut report = Report { complete: true, ..Report::default() };
        let (part, of) = self.part;
        let mut number = 0;
        for fault in single_faults(&first, kinds) {
            // A fault makes the run another one, which has crash points of its own.
            let faulted = with(plan, Some(fault), &[]);
            let run = self.run_shared(&faulted, Tape::random(seed));
            for point in crash_points(&run) {
                number += 1;
                if number % of != part {
                    continue;
                }
                if report.tally.runs >= runs_max {
                    report.complete = false;
                    return report;
                }
                if self.vary_once(&mut report, seed, plan, Some(fault), &[point]) {
                    return report;
                }
            }
        }
        report
    }

    fn vary(
        &self,
        seed: u64,
        plan: &Plan,
        variations: impl FnOnce(&Run) -> Vec<(Option<(u64, Fault)>, Option<CrashPoint>)>,
    ) -> Report {
        let mut report = Report { complete: true, ..Report::default() };
        let shared = Arc::new(plan.clone());
        let first = self.run_shared(&shared, Tape::random(seed));
        let variations = variations(&first);
        if self.enough(&mut report, first, &shared, || format!("seed {seed} as it is")) {
            return report;
        }
        for (fault, point) in variations {
            if self.vary_once(&mut report, seed, plan, fault, point.as_slice()) {
                break;
            }
        }
        report
    }

    fn vary_once(
        &self,
        report: &mut Report,
        seed: u64,
        plan: &Plan,
        fault: Option<(u64, Fault)>,
        points: &[CrashPoint],
    ) -> bool {
        let plan = with(plan, fault, points);
        let run = self.run_shared(&plan, Tape::random(seed));
        self.enough(report, run, &plan, || {
            let mut origin = format!("seed {seed}");
            if let Some((number, fault)) = fault {
                origin += &format!(" with request #{number}: {fault}");
            }
            for CrashPoint { node: NodeId(node), poll } in points {
                origin += &format!(" with node {node} crashing after its poll {poll}");
            }
            origin
        })
    }
}

fn crash_points(run: &Run) -> impl Iterator<Item = CrashPoint> {
    run.polls.iter().enumerate().flat_map(|(node, &polls)| {
        (1..=polls).map(move |poll| CrashPoint { node: NodeId(node as u32), poll })
    })
}

fn single_faults(run: &Run, kinds: &[Fault]) -> impl Iterator<Item = (u64, Fault)> {
    run.requests.iter().flat_map(move |&(number, operation)| {
        let fitting = kinds.iter().filter(move |fault| fault.can_befall(operation));
        fitting.map(move |&fault| (number, fault))
    })
}

/// The plan, with this fault or these crashes for those that it has.
fn with(plan: &Plan, fault: Option<(u64, Fault)>, points: &[CrashPoint]) -> Arc<Plan> {
    let mut plan = plan.clone();
    if let Some(fault) = fault {
        plan.faults = Faults::at([fault]);
    }
    if !points.is_empty() {
        plan.crashes = Crashes::At(points.to_vec());
    }
    Arc::new(plan)
}

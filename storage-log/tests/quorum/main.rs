//! The log on a quorum: what it costs, and what is left of it whatever befalls its voters.
//!
//! `SIMULATION_SEEDS` says how many seeds are run, `SIMULATION_SEED` which is the first.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

mod costs;
mod gate;
mod judge;
mod voters;
mod world;

use std::env;
use std::sync::Arc;
use std::time::Duration;

use simulation::{Fault, Faults, Plan, Sim, Simulator};
use storage_log::LogId;
use storage_log::planted::plant;
use storage_log::quorum::Proof;
use world::{Workload, world};

const LOG: LogId = LogId([7; 16]);

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Requests are lost, late, doubled and refused; nothing is said by listings, for none are asked for.
fn rough() -> Plan {
    let kinds = [
        Fault::Throttled,
        Fault::RequestLost,
        Fault::ReplyLost,
        Fault::RequestLate,
        Fault::RequestTwice,
    ];
    Plan {
        faults: Faults::swarm(&kinds),
        steps_max: 300_000,
        time_max: Duration::from_secs(90 * 86_400),
        ..Plan::rough()
    }
}

fn run(workload: Workload, plan: &Plan, seeds: u64) {
    let first = number("SIMULATION_SEED", 0);
    let seeds = number("SIMULATION_SEEDS", seeds);
    let totals = Arc::new(world::Totals::default());
    let told = totals.clone();
    let scenario = move |sim: &mut Sim| world(sim, &workload, &told);
    let report = Simulator::new(scenario)
        .shrink_runs_max(number("SIMULATION_SHRINK", 300))
        .soak(first..first + seeds, plan);
    println!("{totals}; {}", report.tally);
    if let Some(found) = report.found {
        panic!("{found}");
    }
    totals.check();
}

const BUSY: Workload = Workload {
    voters: 3,
    writers: 2,
    commits: 12,
    troubles: 2,
    wipes: true,
    spares: 0,
    pace: Duration::ZERO,
    proof: Proof::Always,
};

#[test]
fn nothing_is_lost_or_decided_twice_when_voters_fail_and_are_wiped_one_at_a_time() {
    run(BUSY, &rough(), 150);
}

#[test]
fn five_voters_and_three_writers_agree_too() {
    run(Workload { voters: 5, writers: 3, ..BUSY }, &rough(), 40);
}

#[test]
fn where_nobody_is_wiped_a_marker_that_was_read_a_while_ago_will_do() {
    let proof = Proof::Within(Duration::from_secs(10));
    run(Workload { wipes: false, proof, ..BUSY }, &rough(), 60);
}

#[test]
fn nothing_is_lost_while_voters_are_added_removed_and_replaced() {
    run(Workload { spares: 2, commits: 20, troubles: 6, ..BUSY }, &rough(), 100);
}

/// `SIMULATION_SEEDS=2000` are a million commits with ten thousand outages and wipes.
#[test]
#[ignore = "minutes: `SIMULATION_SEEDS=2000` is a million commits"]
fn a_long_run_loses_nothing() {
    let pace = Duration::from_millis(500);
    let workload = Workload { writers: 1, commits: 500, troubles: 9, pace, ..BUSY };
    run(workload, &rough(), 20);
}

/// Each is a rule of the protocol that is broken, and has to be noticed.
const PLANTED: [&str; 10] = [
    "quorum-asks-no-promises",
    "quorum-recovers-the-earliest",
    "quorum-ignores-fencing",
    "quorum-decides-by-one",
    "quorum-skips-what-is-missing",
    "quorum-reader-asks-one",
    "quorum-reader-ignores-doubt",
    "quorum-marker-never",
    "quorum-marker-read-on-reads-only",
    "quorum-change-brings-nothing",
];

#[test]
#[cfg_attr(not(debug_assertions), ignore = "mistakes are there only with debug assertions")]
fn every_planted_mistake_is_found() {
    let only = env::var("SIMULATION_PLANTED").unwrap_or_else(|_| "all".into());
    let mut missed = Vec::new();
    for name in PLANTED.into_iter().filter(|name| only == "all" || only == *name) {
        plant(name);
        let spares = if name.starts_with("quorum-change") { 2 } else { 0 };
        let workload = Workload { troubles: 4 + spares as u32, spares, ..BUSY };
        let totals = Arc::new(world::Totals::default());
        let scenario = move |sim: &mut Sim| world(sim, &workload, &totals);
        let seeds = number("SIMULATION_SEEDS", 1000);
        let shrunk = if only == "all" { 0 } else { 2000 };
        let report = Simulator::new(scenario).shrink_runs_max(shrunk).soak(0..seeds, &rough());
        plant("");
        match report.found {
            Some(found) if only == "all" => println!("{name}: {}, {}", found.origin, found.failure),
            Some(found) => println!("{name}: {found}"),
            None => missed.push(name),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

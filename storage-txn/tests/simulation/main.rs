//! Whole stores, several processes of each, over a simulated provider: every decision from one tape.
//!
//! `SIMULATION_SEEDS` says how many seeds are run, `SIMULATION_SEED` which is the first; `cargo xtask simulate`
//! sets both.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

mod clouds;
mod combiner;
mod duel;
mod files;
mod judge;
mod keeping;
mod large;
mod ledger;
mod looks;
mod moves;
mod notes;
mod oracles;
mod planted;
mod replay;
mod script;
mod shrunk;
mod site;
mod upkeep;
mod workload;

use std::env;
use std::sync::Arc;

use judge::judge;
use notes::Notes;
use simulation::{Crashes, Fault, Faults, Plan, Sim, Simulator};
use site::Site;
use storage_txn::Store;
use workload::{node, options};

/// Several processes on one store, until all is done; then everything is looked at.
fn processes(sim: &mut Sim, nodes: u32) -> Result<(), String> {
    scenario(sim, nodes, Notes::new(false))
}

/// The same where no list leaves out what is there: whoever collects sees all pins.
fn pinning_processes(sim: &mut Sim, nodes: u32) -> Result<(), String> {
    scenario(sim, nodes, Notes::new(true))
}

/// The same where processes hand their commits to each other.
fn combining_processes(sim: &mut Sim, nodes: u32) -> Result<(), String> {
    scenario(sim, nodes, Notes::of_combining())
}

/// Processes that are about large values only, and how long each is kept.
fn keeping_processes(sim: &mut Sim, nodes: u32) -> Result<(), String> {
    scenario(sim, nodes, Notes::of_values())
}

fn scenario(sim: &mut Sim, nodes: u32, notes: Notes) -> Result<(), String> {
    let place = Site::One(sim.place("bucket"));
    let at = place.clone();
    sim.ask("maker", move |node| async move {
        Store::init(at.place(&node), node.env(), options()).await.map(drop)
    })?
    .map_err(|error| format!("the store cannot be made: {error}"))?;
    let notes = Arc::new(notes);
    for at in 0..nodes {
        let (notes, place) = (notes.clone(), place.clone());
        sim.node(&format!("node{at}"), move |it| node(it, place.clone(), notes.clone()));
    }
    sim.run()?;
    sim.heal();
    sim.settle()?;
    sim.ask("judge", move |node| judge(node, place, notes))?
}

fn rough_with_whole_lists() -> Plan {
    let kinds: Vec<_> =
        Fault::HONEST.into_iter().filter(|fault| *fault != Fault::ListStale).collect();
    Plan { faults: Faults::swarm(&kinds), ..Plan::rough() }
}

fn seeds(otherwise: u64) -> std::ops::Range<u64> {
    let read = |name: &str, otherwise| {
        env::var(name).ok().map_or(otherwise, |value| value.parse().expect("a number of seeds"))
    };
    let first = read("SIMULATION_SEED", 0);
    first..first + read("SIMULATION_SEEDS", otherwise)
}

#[test]
fn three_processes_over_a_rough_provider_are_strictly_serializable() {
    let report = Simulator::new(|sim: &mut Sim| processes(sim, 3)).soak(seeds(200), &Plan::rough());
    println!("{:?}", report.tally);
    report.assert_clean();
}

#[test]
fn three_processes_over_a_calm_provider_are_strictly_serializable() {
    let simulator = Simulator::new(|sim: &mut Sim| pinning_processes(sim, 3));
    let report = simulator.soak(seeds(50), &Plan::calm());
    println!("{:?}", report.tally);
    report.assert_clean();
}

#[test]
fn processes_that_hand_over_their_commits_are_strictly_serializable() {
    let simulator = Simulator::new(|sim: &mut Sim| combining_processes(sim, 3))
        .command("cargo xtask simulate --scenario combining --replay");
    for plan in [Plan::calm(), Plan::rough()] {
        let report = simulator.soak(seeds(100), &plan);
        println!("{:?}", report.tally);
        report.assert_clean();
    }
}

#[test]
fn what_is_pinned_stays_wherever_lists_are_whole() {
    let simulator = Simulator::new(|sim: &mut Sim| pinning_processes(sim, 3));
    let report = simulator.soak(seeds(100), &rough_with_whole_lists());
    println!("{:?}", report.tally);
    report.assert_clean();
}

#[test]
fn a_large_value_is_kept_as_long_as_anything_needs_it() {
    let simulator = Simulator::new(|sim: &mut Sim| keeping_processes(sim, 2))
        .command("cargo xtask simulate --scenario keeping --replay");
    for plan in [Plan::calm(), rough_with_whole_lists()] {
        let report = simulator.soak(seeds(30), &plan);
        println!("{:?}", report.tally);
        report.assert_clean();
    }
}

#[test]
fn no_point_to_crash_at_breaks_anything() {
    let report = Simulator::new(|sim: &mut Sim| processes(sim, 2)).crash_points(1, &Plan::calm());
    report.assert_clean();
}

#[test]
fn no_single_fault_breaks_anything() {
    let simulator = Simulator::new(|sim: &mut Sim| processes(sim, 2));
    simulator.single_faults(2, &Plan::calm(), &Fault::HONEST).assert_clean();
}

#[test]
fn a_search_of_what_one_lost_answer_can_do_finds_nothing() {
    let plan = Plan {
        faults: Faults::any(&[Fault::ReplyLost, Fault::RequestLate], 1),
        crashes: Crashes::none(),
        ..Plan::search()
    };
    let report = Simulator::new(|sim: &mut Sim| processes(sim, 2)).search(&plan, 300);
    report.assert_clean();
}

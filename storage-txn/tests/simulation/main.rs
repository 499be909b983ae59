//! Whole stores, several processes of each, over a simulated provider: every decision from one tape.
//!
//! `SIMULATION_SEEDS` says how many seeds are run, `SIMULATION_SEED` which is the first; `cargo xtask simulate`
//! sets both.

#![allow(clippy::unwrap_used, reason = "a test may stop at what cannot be")]

mod duel;
mod ledger;
mod oracles;
mod planted;
mod replay;
mod script;
#[cfg(planted)]
mod shrunk;
mod workload;

use std::env;
use std::sync::Arc;

use conformance::serializability::Logged;
use simulation::{Crashes, Fault, Faults, Plan, Sim, Simulator};
use storage_txn::{Outcome, Store};
use workload::{Notes, collect_all, node, open, options, read_all};

/// Three processes on one store, until all is done; then everything is looked at.
fn processes(sim: &mut Sim, nodes: u32) -> Result<(), String> {
    let place = sim.place("bucket");
    sim.ask("maker", move |node| async move {
        Store::init(Arc::new(node.provider(place)), node.env(), options()).await.map(drop)
    })?
    .map_err(|error| format!("the store cannot be made: {error}"))?;
    let notes = Arc::new(Notes::default());
    for at in 0..nodes {
        let notes = notes.clone();
        sim.node(&format!("node{at}"), move |it| node(it, place, notes.clone()));
    }
    sim.run()?;
    sim.heal();
    sim.settle()?;
    let asked = notes.clone();
    let log = sim.ask("judge", move |node| async move {
        let store = open(&node, place).await;
        read_all(&store, &asked).await;
        collect_all(&store, &node, place).await?;
        let mut log = Vec::new();
        for (id, begun) in asked.ids() {
            match store.outcome(id).await {
                Ok(Outcome::Committed(version)) => {
                    log.push(Logged { version: version.0, transaction: begun.0 });
                }
                Ok(Outcome::NotCommitted) => {}
                Err(error) => return Err(format!("{id} has no outcome: {error}")),
            }
        }
        log.sort_by_key(|logged: &Logged| logged.version);
        Ok(log)
    })??;
    let history = notes.history().map_err(|malformed| malformed.to_string())?;
    oracles::judge(&history, &log)
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
    let report = Simulator::new(|sim: &mut Sim| processes(sim, 3)).soak(seeds(50), &Plan::calm());
    report.assert_clean();
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

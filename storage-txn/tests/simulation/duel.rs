//! Two writers who both want to change what the other reads, in every order there is, with two faults anywhere.

use std::sync::{Arc, Mutex};

use futures_channel::oneshot;
use simulation::{Fault, Faults, Node, Order, Place, Plan, Report, Sim, Simulator};
use storage_txn::{Options, Store};

use crate::ledger::{self, LISTS, Ledger};

/// What befalls a small commit between its sender and its provider. An outage is some of these in a row, and a list is
/// only behind when somebody lists what changed: nobody does here.
const FAULTS: [Fault; 5] = [
    Fault::Throttled,
    Fault::RequestLost,
    Fault::ReplyLost,
    Fault::RequestLate,
    Fault::RequestTwice,
];

fn options() -> Options {
    let mut options = Options::default();
    options.transact_attempts_max = 3;
    options
}

/// So many writers over an empty store, each with so many transactions. They have opened it before the search begins.
fn writers(sim: &mut Sim, count: u32, transactions: usize) -> Result<(), String> {
    let place = sim.place("bucket");
    ledger::make(sim, place, options())?;
    let ledger = Arc::new(Ledger::default());
    sim.prepare();
    let mut waiting = Vec::new();
    for at in 0..count {
        let (go, ready) = oneshot::channel::<()>();
        waiting.push(go);
        let (ledger, ready) = (ledger.clone(), Arc::new(Mutex::new(Some(ready))));
        sim.node(["ann", "bob", "cat"][at as usize], move |node| {
            let ready = ready.lock().unwrap().take().expect("no node starts twice");
            write(node, place, transactions, ledger.clone(), ready)
        });
    }
    sim.settle()?;
    sim.begin();
    for go in waiting {
        go.send(()).expect("every writer waits");
    }
    sim.run()?;
    ledger::judge(sim, place, options(), &ledger, |_, _| async { Ok(()) })
}

async fn write(
    node: Node,
    place: Place,
    transactions: usize,
    ledger: Arc<Ledger>,
    ready: oneshot::Receiver<()>,
) {
    let store: Store = ledger::open(&node, place, &options()).await;
    ready.await.expect("the scenario lets them go");
    for _ in 0..transactions {
        let process = ledger.process(&node);
        let begun = ledger.begin(&node, process);
        let (node, ledger) = (&node, &ledger);
        let result = store
            .transact(async |tx| {
                ledger.attempt(node, begun, &tx);
                ledger.read(node, &tx, begun, LISTS[0]).await?;
                ledger.append(node, &tx, begun, LISTS[0])
            })
            .await;
        ledger.committed(node, begun, &result);
    }
}

/// The simulator of two writers with so many transactions each.
pub(crate) fn simulator(transactions: usize) -> Simulator<impl Fn(&mut Sim) -> Result<(), String>> {
    Simulator::new(move |sim: &mut Sim| writers(sim, 2, transactions))
        .command("cargo xtask simulate --scenario duel --replay")
}

/// How much is searched.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// Of each writer.
    transactions: usize,
    /// Anywhere, at most.
    faults: u32,
    /// Whether answers arrive when they are made: fewer runs, in which nobody learns late what was before.
    answers_at_once: bool,
    /// Whether the tasks of a writer are polled in the order in which they were woken.
    tasks_in_turn: bool,
}

/// What tests search each time.
const SMALL: Size = Size { transactions: 1, faults: 1, answers_at_once: true, tasks_in_turn: true };

/// What `cargo xtask simulate --search` searches.
const LARGE: [Size; 3] = [
    Size { faults: 2, answers_at_once: false, ..SMALL },
    Size { answers_at_once: false, tasks_in_turn: false, ..SMALL },
    Size { transactions: 2, ..SMALL },
];

/// Every run of two writers that differs from all others in more than the order of what is independent.
fn search(size: Size, runs_max: u64) -> Report {
    let Size { transactions, faults, answers_at_once, tasks_in_turn } = size;
    let plan = Plan {
        faults: Faults::any(&FAULTS, faults),
        order: Order::Any { sleepers_first_max: 1, answers_at_once, tasks_in_turn },
        ..Plan::search()
    };
    let report = simulator(transactions).search_distinct(&plan, runs_max);
    let Report { tally, redundant, complete, .. } = &report;
    let end = if *complete { "to the end" } else { "not to the end" };
    println!("{size:?}: {} runs {end}, and {redundant} broken off", tally.runs - redundant);
    report
}

#[test]
fn two_writers_in_every_order_with_a_fault_are_searched_to_the_end() {
    let report = search(SMALL, u64::MAX);
    report.assert_clean();
    assert!(report.complete && report.tally.faults.total() > 100, "{}", report.tally);
}

/// `SIMULATION_SEARCH` is the most runs of each size: less than all of them is a failure.
#[test]
#[ignore = "minutes in a release build: cargo xtask simulate --search"]
fn two_writers_in_every_order_with_two_faults_are_searched_to_the_end() {
    let runs_max =
        std::env::var("SIMULATION_SEARCH").map_or(u64::MAX, |runs| runs.parse().unwrap());
    let complete = LARGE.map(|size| {
        let report = search(size, runs_max);
        report.assert_clean();
        report.complete
    });
    assert_eq!(complete, [true; LARGE.len()], "not all of {LARGE:?} came to their end");
}

/// Mistakes of the commit loop, each of which the search has to find with two faults at most. Others show only when a
/// commit gives up in doubt, which takes longer here than two faults last.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "mistakes are built in with debug assertions only")]
fn every_mistake_of_the_commit_loop_is_found_by_the_search() {
    const MISTAKES: [&str; 4] = [
        "log-overwrites",
        "log-empty-is-failed",
        "log-any-entry-is-ours",
        "commit-does-not-validate-again",
    ];
    let missed = MISTAKES.into_iter().filter(|mistake| {
        storage_log::planted::plant(mistake);
        let report = search(Size { faults: 2, ..SMALL }, u64::MAX);
        storage_log::planted::plant("");
        let found = report.found.as_ref();
        let told = found.map_or("NOT FOUND".to_owned(), |found| found.failure.to_string());
        println!("{mistake}: {}", told.lines().next().unwrap_or_default());
        found.is_none()
    });
    let missed: Vec<&str> = missed.collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

//! A script of two processes that meets everything a store does, and every crash of it with every fault.

use std::sync::Arc;
use std::time::Duration;

use conformance::serializability::Status;
use simulation::{Fault, Node, Place, Plan, Sim, Simulator};
use storage_txn::{CollectOptions, ErrorKind, Options, Result, Store};

use crate::judge::collect_all;
use crate::ledger::{self, LISTS, Ledger, REGISTERS};
use crate::site::Site;

/// What a process does, one after the other.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Reads a list that the other appends to at the same time, and appends to it.
    Append,
    /// Reads one register and puts the other.
    Put,
    /// Puts a value that is too large to be inline.
    Large,
    Delete,
    Look,
    /// Segments and a checkpoint.
    Flush,
    Compact,
    /// Deletes all that nothing needs any more, and takes whoever has not just stored something for dead.
    Collect,
}

/// Of each process.
const SCRIPT: [&[Step]; 2] = [
    &[Step::Append, Step::Large, Step::Flush, Step::Append, Step::Compact, Step::Look],
    &[Step::Append, Step::Put, Step::Large, Step::Delete, Step::Collect, Step::Append],
];

fn options() -> Options {
    let mut options = Options::default();
    options.commit_time_max = Duration::from_secs(20);
    options.transact_attempts_max = 6;
    options.inline_bytes_max = 8;
    options.chunk_bytes = 12;
    options.segment_bytes = 200;
    options
}

fn script(sim: &mut Sim) -> std::result::Result<(), String> {
    let place = sim.place("bucket");
    ledger::make(sim, place, options())?;
    let ledger = Arc::new(Ledger::default());
    for (name, steps) in ["ann", "bob"].into_iter().zip(SCRIPT) {
        let ledger = ledger.clone();
        sim.node(name, move |node| play(node, place, steps, ledger.clone()));
    }
    sim.run()?;
    let look = move |store: Store, node: Node| async move {
        collect_all(&store, &node, &Site::One(place)).await
    };
    ledger::judge(sim, place, options(), &ledger, look)
}

/// What a process does from its start to its end or crash.
async fn play(node: Node, place: Place, steps: &'static [Step], ledger: Arc<Ledger>) {
    let mut player = Player {
        store: ledger::open(&node, place, &options()).await,
        process: ledger.process(&node),
        node,
        ledger,
    };
    loop {
        let number = player.ledger.step(&player.node);
        let Some(step) = steps.get(number) else { return };
        if !player.node.does(player.node.id().0 * 100 + number as u32) {
            continue;
        }
        let result = match step {
            Step::Flush => player.store.flush().await,
            Step::Compact => player.store.compact().await,
            Step::Collect => player.collect().await,
            Step::Look => player.ledger.look(&player.node, &player.store, player.process).await,
            Step::Append | Step::Put | Step::Large | Step::Delete => player.transact(*step).await,
        };
        player.node.say(|| match &result {
            Ok(()) => format!("{step:?} is done"),
            Err(error) => format!("{step:?} is told: {error}"),
        });
        match result.map_err(|error| (error.kind(), error)) {
            Ok(())
            | Err((ErrorKind::Storage(_) | ErrorKind::Conflict | ErrorKind::CommitUnknown(_), _)) =>
                {}
            Err((ErrorKind::SessionReaped, _)) => {
                player.store = ledger::open(&player.node, place, &options()).await;
            }
            Err((kind, error)) => panic!("{step:?} does not lead to {kind:?}: {error}"),
        }
    }
}

struct Player {
    node: Node,
    store: Store,
    ledger: Arc<Ledger>,
    process: u32,
}

impl Player {
    async fn transact(&mut self, step: Step) -> Result<()> {
        let Self { node, store, ledger, process } = &*self;
        let begun = ledger.begin(node, *process);
        let result = store
            .transact(async |tx| {
                ledger.attempt(node, begun, &tx);
                match step {
                    Step::Append => {
                        ledger.read(node, &tx, begun, LISTS[0]).await?;
                        ledger.append(node, &tx, begun, LISTS[0])?;
                        ledger.append(node, &tx, begun, LISTS[1])
                    }
                    Step::Put => {
                        ledger.get(node, &tx, begun, REGISTERS[0]).await?;
                        ledger.put(node, &tx, begun, REGISTERS[1], false)
                    }
                    Step::Large => ledger.put(node, &tx, begun, REGISTERS[0], true),
                    _ => {
                        ledger.get(node, &tx, begun, REGISTERS[0]).await?;
                        ledger.delete(node, &tx, begun, REGISTERS[0])
                    }
                }
            })
            .await;
        if ledger.committed(node, begun, &result) == Status::Unknown {
            self.process = self.ledger.process(&self.node);
        }
        result.map(drop)
    }

    async fn collect(&self) -> Result<()> {
        let mut options = CollectOptions::default();
        (options.grace, options.session_grace) = (Duration::ZERO, Duration::ZERO);
        self.store.collect(&options).await.map(drop)
    }
}

/// The simulator of this script.
pub(crate) fn simulator() -> Simulator<impl Fn(&mut Sim) -> std::result::Result<(), String>> {
    Simulator::new(script).command("cargo xtask simulate --scenario script --replay")
}

#[test]
fn every_point_to_crash_at_and_every_single_fault_of_a_script_is_survived() {
    let crashes = simulator().crash_points(0, &Plan::calm());
    crashes.assert_clean();
    let faults = simulator().single_faults(0, &Plan::calm(), &Fault::HONEST);
    faults.assert_clean();
    println!("{} crash points, {} single faults", crashes.tally.crashes, faults.tally.runs - 1);
    assert!(crashes.complete && faults.complete);
    assert!(
        crashes.tally.crashes > 100 && faults.tally.runs > 200,
        "{}, {}",
        crashes.tally,
        faults.tally
    );
}

#[test]
fn some_crashes_with_single_faults_of_a_script_are_survived() {
    // A prime number, so that every fault and every moment has its turn.
    let some = simulator().part(0, 499);
    let report = some.faults_and_crashes(0, &Plan::calm(), &Fault::HONEST, u64::MAX);
    report.assert_clean();
    println!("{}", report.tally);
    assert!(report.complete && report.tally.crashes > 100, "{}", report.tally);
}

/// All of it, for each of the seeds: they differ in how long requests take, and so in who comes first.
#[test]
#[ignore = "minutes in a release build: cargo xtask simulate --enumerate"]
fn every_point_to_crash_at_with_every_single_fault_is_survived() {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    for seed in crate::seeds(1) {
        let crashes = simulator().crash_points(seed, &Plan::calm());
        crashes.assert_clean();
        let faults = simulator().single_faults(seed, &Plan::calm(), &Fault::HONEST);
        faults.assert_clean();
        let both = |part| {
            let simulator = simulator().part(part, threads);
            simulator.faults_and_crashes(seed, &Plan::calm(), &Fault::HONEST, u64::MAX)
        };
        let reports: Vec<_> = std::thread::scope(|scope| {
            let parts = (0..threads).map(|part| scope.spawn(move || both(part)));
            let parts: Vec<_> = parts.collect();
            parts.into_iter().map(|part| part.join().unwrap()).collect()
        });
        let mut tally = crashes.tally;
        tally += faults.tally;
        for report in reports {
            report.assert_clean();
            assert!(report.complete);
            tally += report.tally;
        }
        println!(
            "seed {seed}: {} crash points, {} single faults, with both {tally}",
            crashes.tally.crashes,
            faults.tally.runs - 1
        );
    }
}

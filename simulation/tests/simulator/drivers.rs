//! That every driver finds every planted mistake, and nothing in what is right.

use std::sync::atomic::{AtomicU32, Ordering};

use simulation::{
    Crashes, FailureKind, Fault, Faults, Found, Order, Plan, Replay, Report, Sim, Simulator,
};
use storage_core::StorageProvider;

use crate::journal::{Mistake, journal};

const MISTAKES: [Mistake; 3] =
    [Mistake::CheckThenAct, Mistake::RepeatsEffect, Mistake::LostReplyIsFailure];

/// What makes a difference to a put that is tried until it is answered.
const LOSSES: [Fault; 4] =
    [Fault::Throttled, Fault::RequestLost, Fault::ReplyLost, Fault::RequestLate];

fn small_search() -> Plan {
    Plan { faults: Faults::any(&LOSSES, 1), ..Plan::search() }
}

/// The first report with something found, of a driver that is asked with one seed after the other.
fn first_found(driver: impl Fn(u64) -> Report) -> Option<Found> {
    (0..50).find_map(|seed| driver(seed).found)
}

#[test]
fn random_seeds_find_each_mistake() {
    for mistake in MISTAKES {
        let simulator = Simulator::new(journal(mistake, 2, 3));
        let report = simulator.soak(0..2000, &Plan::rough());
        assert!(report.found.is_some(), "{mistake:?}");
    }
}

#[test]
fn single_faults_find_each_mistake() {
    for mistake in MISTAKES {
        let simulator = Simulator::new(journal(mistake, 2, 2));
        let found =
            first_found(|seed| simulator.single_faults(seed, &Plan::calm(), &Fault::HONEST));
        assert!(found.is_some(), "{mistake:?}");
    }
}

#[test]
fn a_search_finds_each_mistake() {
    for mistake in MISTAKES {
        let simulator = Simulator::new(journal(mistake, 2, 1));
        let found = simulator.search(&small_search(), 100_000).found;
        assert!(found.is_some(), "{mistake:?}");
    }
}

#[test]
fn random_seeds_find_nothing_in_what_is_right() {
    let report = Simulator::new(journal(Mistake::None, 3, 4)).soak(0..1000, &Plan::rough());
    report.assert_clean();
    let tally = report.tally;
    assert!(report.complete && tally.runs == 1000, "{tally}");
    assert!(tally.faults.total() > 500 && tally.crashes > 100 && tally.pauses > 30, "{tally}");
}

#[test]
fn single_faults_and_crash_points_find_nothing_in_what_is_right() {
    let simulator = Simulator::new(journal(Mistake::None, 2, 2));
    for seed in 0..5 {
        let crashes = simulator.crash_points(seed, &Plan::calm());
        crashes.assert_clean();
        assert!(crashes.complete && crashes.tally.crashes + 1 == crashes.tally.runs);
        let pairs = simulator.crash_pairs(seed, &Plan::calm(), 2000);
        pairs.assert_clean();
        assert!(pairs.complete && pairs.tally.crashes == pairs.tally.runs * 2, "{}", pairs.tally);
        let faults = simulator.single_faults(seed, &Plan::calm(), &Fault::HONEST);
        faults.assert_clean();
        assert!(faults.complete && faults.tally.runs > 20);
        let both = simulator.faults_and_crashes(seed, &Plan::calm(), &LOSSES, 1000);
        both.assert_clean();
        assert!(both.tally.crashes == both.tally.runs, "{}", both.tally);
    }
}

#[test]
fn a_search_of_what_is_right_comes_to_its_end_and_finds_nothing() {
    let report = Simulator::new(journal(Mistake::None, 2, 1)).search(&small_search(), 1_000_000);
    report.assert_clean();
    assert!(report.complete && report.tally.runs > 100, "{}", report.tally);
}

#[test]
fn answers_that_come_at_once_leave_fewer_runs_that_find_the_same() {
    let order = Order::Any { sleepers_first_max: 1, answers_at_once: true, tasks_in_turn: false };
    let plan = Plan { order, ..small_search() };
    for mistake in MISTAKES {
        let report = Simulator::new(journal(mistake, 2, 1)).search(&plan, 100_000);
        assert!(report.found.is_some(), "{mistake:?}");
    }
    let simulator = Simulator::new(journal(Mistake::None, 2, 1));
    let (fewer, all) =
        (simulator.search(&plan, 100_000), simulator.search(&small_search(), 100_000));
    fewer.assert_clean();
    assert!(fewer.complete && fewer.tally.runs * 4 < all.tally.runs, "{}", fewer.tally);
}

#[test]
fn points_where_nothing_can_go_wrong_are_not_enumerated() {
    let simulator = Simulator::new(|sim: &mut Sim| {
        journal(Mistake::None, 1, 1)(sim)?;
        let place = sim.place("another");
        let put = move |node: simulation::Node| async move {
            let key = storage_core::Key::new("a").unwrap();
            let when = storage_core::PutIf::Always;
            node.provider(place).put(&key, "b".into(), when).await.map(drop).unwrap();
        };
        sim.node("after", put);
        sim.ask("auditor", put)?;
        Ok(())
    });
    let report = simulator.crash_points(0, &Plan::calm());
    report.assert_clean();
    let crashes = report.tally;
    assert_eq!((crashes.crashes, crashes.runs), (2, 3), "one node has two polls before healing");
    let report = simulator.single_faults(0, &Plan::calm(), &LOSSES);
    report.assert_clean();
    let faults = report.tally;
    assert_eq!((faults.faults.total(), faults.runs), (4, 5), "one node has one put before healing");
}

#[test]
fn a_search_finds_what_one_crash_at_the_wrong_moment_does() {
    let plan = Plan { crashes: Crashes::Lots { run_max: 1, gap_polls_max: 5 }, ..Plan::search() };
    let report = Simulator::new(journal(Mistake::None, 2, 1)).search(&plan, 1_000_000);
    report.assert_clean();
    assert!(report.complete && report.tally.crashes > 100, "{}", report.tally);
}

#[test]
fn what_is_found_is_short_and_can_be_had_again() {
    for mistake in MISTAKES {
        let simulator = Simulator::new(journal(mistake, 2, 2));
        let found = simulator.soak(0..2000, &Plan::rough()).found.unwrap();
        assert!(found.tape.iter().filter(|&&value| value > 0).count() <= 6, "{mistake:?}: {found}");
        assert!(found.trace.len() <= 60, "{mistake:?}: {found}");
        let run = simulator.replay(&found.plan, found.tape.clone());
        assert_eq!((run.failure.as_ref(), &run.trace), (Some(&found.failure), &found.trace));
    }
}

#[test]
fn what_is_told_ends_with_what_has_it_again() {
    let simulator = Simulator::new(journal(Mistake::CheckThenAct, 2, 2)).command("run it:");
    let found = simulator.soak(0..2000, &Plan::rough()).found.unwrap();
    let told = found.to_string();
    assert!(told.lines().count() < 25 && !told.contains("left out"), "{told}");
    let text = told.lines().last().unwrap().strip_prefix("again: run it: '").unwrap();
    let replay: Replay = text.strip_suffix('\'').unwrap().parse().unwrap();
    let again = simulator.replay(&replay.plan, replay.tape);
    assert_eq!(again.failure, Some(found.failure.clone()));
    assert!(format!("{found:#}").lines().count() > told.lines().count(), "all lines are longer");
}

/// Three nodes with four pieces of work each; one piece of one of them is wrong, if a piece of another was done before.
#[test]
fn work_that_a_failure_does_not_take_is_left_out() {
    let scenario = |sim: &mut Sim| {
        let place = sim.place("bucket");
        let flag = storage_core::Key::new("flag").unwrap();
        for at in 0..3_u32 {
            let flag = flag.clone();
            sim.node(["ann", "bob", "cat"][at as usize], move |node| {
                let (provider, flag) = (node.provider(place), flag.clone());
                async move {
                    for piece in at * 4..at * 4 + 4 {
                        if !node.does(piece) {
                            continue;
                        }
                        if piece == 9 {
                            let found = provider.get(&flag, storage_core::Get::whole()).await;
                            assert!(found.is_err(), "piece nine finds what piece two has put");
                        } else if piece == 2 {
                            let put = storage_core::PutIf::Always;
                            provider.put(&flag, "b".into(), put).await.unwrap();
                        } else {
                            node.env()
                                .sleep(std::time::Duration::from_millis(node.choose(9).into()))
                                .await;
                        }
                    }
                }
            });
        }
        Ok(sim.run()?)
    };
    let found = Simulator::new(scenario).soak(0..100, &Plan::calm()).found.unwrap();
    assert_eq!(found.plan.left_out, [0, 1, 3, 4, 5, 6, 7, 8].into(), "{found}");
    assert_eq!(found.trace.iter().filter(|line| line.what.contains('#')).count(), 6, "{found:#}");
}

#[test]
fn a_seed_gives_the_same_run_every_time_and_another_seed_another() {
    let run = |seed| {
        let simulator = Simulator::new(journal(Mistake::None, 3, 4));
        let tape = simulation::Tape::random(seed);
        let run = simulator.run(&Plan::rough(), tape);
        (run.tape.hash(), run.tape.values(), run.tally)
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
        assert_ne!(run(seed).0, run(seed + 1).0, "seed {seed}");
    }
}

#[test]
fn a_scenario_that_looks_past_the_world_is_found_out() {
    let runs = AtomicU32::new(0);
    let scenario = |sim: &mut Sim| {
        let place = sim.place("bucket");
        let length = runs.fetch_add(1, Ordering::Relaxed) as usize;
        sim.node("ann", move |node| async move {
            let key = storage_core::Key::new("a").unwrap();
            let provider = node.provider(place);
            let body = vec![0; length].into();
            let put = storage_core::PutIf::Always;
            provider.put(&key, body, put).await.unwrap();
        });
        Ok(sim.run()?)
    };
    let found = Simulator::new(scenario).soak(0..1, &Plan::calm()).found.unwrap();
    assert_eq!(found.failure.kind, FailureKind::NotDeterministic);
}

#[test]
fn a_panic_is_a_failure_with_its_words() {
    let scenario = |sim: &mut Sim| {
        sim.node("ann", |_| async { panic!("it cannot be") });
        Ok(sim.run()?)
    };
    let found =
        Simulator::new(scenario).shrink_runs_max(0).soak(0..1, &Plan::calm()).found.unwrap();
    let said = found.failure.to_string();
    assert!(said.starts_with("panicked: it cannot be (") && said.contains("drivers.rs:"), "{said}");
}

#[test]
fn all_failures_are_counted_where_that_is_asked_for() {
    let simulator = Simulator::new(journal(Mistake::RepeatsEffect, 2, 3));
    let report = simulator.failures_max(u64::MAX).shrink_runs_max(0).soak(0..300, &Plan::rough());
    assert!(report.failures > 20 && report.tally.runs == 300, "{}", report.failures);
}

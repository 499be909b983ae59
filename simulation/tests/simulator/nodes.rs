//! Nodes: crashes, pauses, clocks, tasks, and what comes to no end.

use std::future::{pending, poll_fn};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use simulation::{CrashPoint, Crashes, FailureKind, Node, NodeId, Plan, Run, Sim, Simulator};
use storage_core::{Key, PutIf, StorageProvider};

const HOUR: Duration = Duration::from_secs(3600);

fn run(plan: &Plan, scenario: impl Fn(&mut Sim) -> Result<(), String>) -> Run {
    let run = Simulator::new(scenario).replay(plan, Vec::new());
    if let Some(failure) = &run.failure
        && failure.kind == FailureKind::Panicked
    {
        panic!("{failure}");
    }
    run
}

/// A run of the tape of zeros that must go well.
fn run_well(plan: &Plan, scenario: impl Fn(&mut Sim) -> Result<(), String>) -> Run {
    let run = run(plan, scenario);
    assert_eq!(run.failure, None);
    run
}

fn crash_at(poll: u64) -> Plan {
    let point = CrashPoint { node: NodeId(0), poll };
    Plan { crashes: Crashes::At(vec![point]), ..Plan::calm() }
}

#[test]
fn a_crash_does_not_call_back_a_request_that_is_under_way() {
    let run = run_well(&crash_at(1), |sim| {
        let place = sim.place("bucket");
        sim.node("ann", move |node| async move {
            if node.restarts() == 0 {
                let key = Key::new("a").unwrap();
                let _ = node.provider(place).put(&key, "b".into(), PutIf::Absent).await;
                panic!("it crashed while it waited");
            }
        });
        sim.run()?;
        assert_eq!(sim.contents(place).len(), 1);
        Ok(())
    });
    let at = |text: &str| run.trace.iter().position(|line| line.what.contains(text)).unwrap();
    let (crash, applied) = (at("crashes after poll 1"), at("version 1"));
    assert!(crash < applied && applied < at("starts for the 2. time"), "{:#?}", run.trace);
}

#[test]
fn dropping_a_call_does_not_call_back_its_request() {
    run_well(&Plan::calm(), |sim| {
        let place = sim.place("bucket");
        sim.node("ann", move |node| async move {
            let (provider, key) = (node.provider(place), Key::new("a").unwrap());
            let mut put = provider.put(&key, "b".into(), PutIf::Absent);
            poll_fn(|context| {
                assert!(put.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
        });
        sim.run()?;
        assert_eq!(sim.contents(place).len(), 0);
        sim.settle()?;
        assert_eq!(sim.contents(place).len(), 1);
        Ok(())
    });
}

#[test]
fn a_crash_ends_all_tasks_of_its_node_and_no_others() {
    let ended = Arc::new(Mutex::new(Vec::new()));
    // The fourth poll is the first after the sleeps of bob's; ann has three tasks that begin.
    run_well(&crash_at(3), |sim| {
        for name in ["ann", "bob"] {
            let ended = ended.clone();
            sim.node(name, move |node| {
                let ended = ended.clone();
                async move {
                    for task in ["first", "second"] {
                        let (env, ended) = (node.env(), ended.clone());
                        let life = format!("{name} {} {task}", node.restarts());
                        node.env().spawn(Box::pin(async move {
                            env.sleep(HOUR).await;
                            ended.lock().unwrap().push(life);
                        }));
                    }
                    node.env().sleep(HOUR * 2).await;
                }
            });
        }
        Ok(sim.run()?)
    });
    let mut ended = ended.lock().unwrap().clone();
    ended.sort();
    assert_eq!(ended, ["ann 1 first", "ann 1 second", "bob 0 first", "bob 0 second"]);
}

#[test]
fn a_node_that_waits_for_nothing_that_can_come_is_a_deadlock() {
    let run = run(&Plan::calm(), |sim| {
        sim.node("ann", |_| pending());
        sim.node("bob", |_| async {});
        Ok(sim.run()?)
    });
    let message = run.failure.unwrap().message;
    assert_eq!(message, "deadlock: nothing can happen any more: `ann` not at an end");
}

#[test]
fn a_node_that_never_comes_to_an_end_is_a_livelock() {
    async fn spins(_: Node) {
        poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        })
        .await;
    }
    async fn naps(node: Node) {
        loop {
            node.env().sleep(Duration::ZERO).await;
        }
    }
    async fn sleeps(node: Node) {
        loop {
            node.env().sleep(HOUR).await;
        }
    }
    let plan = Plan { steps_max: 5_000, ..Plan::calm() };
    let outcomes = [
        run(&plan, |sim| {
            sim.node("ann", spins);
            Ok(sim.run()?)
        }),
        run(&plan, |sim| {
            sim.node("ann", naps);
            Ok(sim.run()?)
        }),
        run(&plan, |sim| {
            sim.node("ann", sleeps);
            Ok(sim.run()?)
        }),
    ];
    let expected = ["5000 steps", "5000 steps", "2592000s of virtual time"];
    for (run, after) in outcomes.into_iter().zip(expected) {
        let message = run.failure.unwrap().message;
        assert_eq!(message, format!("livelock: no end after {after}: `ann` not at an end"));
    }
}

#[test]
fn a_pause_stops_every_task_of_a_node_and_the_clocks_go_on() {
    run_well(&Plan::calm(), |sim| {
        let slept = Arc::new(Mutex::new(Vec::new()));
        for name in ["ann", "bob"] {
            let slept = slept.clone();
            sim.node(name, move |node| {
                let slept = slept.clone();
                async move {
                    let before = node.env().monotonic();
                    node.env().sleep(Duration::from_secs(1)).await;
                    slept.lock().unwrap().push((name, node.env().monotonic() - before));
                }
            });
        }
        sim.run_for(Duration::from_millis(10))?;
        sim.pause(NodeId(0), HOUR);
        sim.run()?;
        let slept = slept.lock().unwrap().clone();
        let second = Duration::from_secs(1);
        assert_eq!(slept, [("bob", second), ("ann", HOUR + Duration::from_millis(10))]);
        Ok(())
    });
}

#[test]
fn clocks_of_nodes_differ_and_stay_within_what_the_plan_allows() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let scenario = |sim: &mut Sim| {
        for name in ["ann", "bob"] {
            let seen = seen.clone();
            sim.node(name, move |node| {
                let seen = seen.clone();
                async move {
                    let env = node.env();
                    seen.lock().unwrap().push((env.monotonic(), env.wall(), env.random()));
                }
            });
        }
        Ok(sim.run()?)
    };
    let plan = Plan { clock_skew_max: HOUR, ..Plan::calm() };
    Simulator::new(scenario).soak(1..100, &plan).assert_clean();
    let seen = seen.lock().unwrap();
    let right = Duration::from_secs(1_767_225_600);
    assert!(seen.iter().all(|(_, wall, _)| wall.abs_diff(right) <= HOUR));
    assert!(seen.iter().any(|(_, wall, _)| *wall + HOUR / 2 < right), "some are early");
    assert!(seen.iter().any(|(_, wall, _)| *wall > right + HOUR / 2), "some are late");
    for pair in seen.chunks(2) {
        assert!(pair[0].0.abs_diff(pair[1].0) > Duration::from_millis(1), "{pair:?}");
        assert_ne!(pair[0].2, pair[1].2);
    }
}

#[test]
fn what_is_asked_is_answered_while_the_others_go_on() {
    run_well(&Plan::rough(), |sim| {
        let place = sim.place("bucket");
        sim.node("ann", |node| async move { node.env().sleep(HOUR * 24).await });
        let version = sim.ask("auditor", move |node| async move {
            let key = Key::new("a").unwrap();
            node.provider(place).put(&key, "b".into(), PutIf::Absent).await.unwrap()
        })?;
        assert_eq!(version.as_str(), "1");
        assert!(sim.now() < HOUR);
        sim.run()?;
        assert!(sim.now() >= HOUR * 24);
        Ok(())
    });
}

#[test]
fn sleepers_wake_in_order_and_a_dropped_sleep_does_not_move_the_time() {
    run_well(&Plan::calm(), |sim| {
        sim.node("ann", |node| async move {
            let env = node.env();
            let mut long = env.sleep(HOUR);
            poll_fn(|context| {
                assert!(long.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
            drop(long);
            let before = env.monotonic();
            env.sleep(Duration::from_secs(2)).await;
            assert_eq!(env.monotonic() - before, Duration::from_secs(2));
        });
        sim.run()?;
        sim.settle()?;
        assert_eq!(sim.now(), Duration::from_secs(2));
        Ok(())
    });
}

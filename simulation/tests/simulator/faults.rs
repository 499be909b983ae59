//! Faults: what each does, to whom, and what is counted.

use std::time::Duration;

use simulation::{Fault, Faults, Place, Plan, Sim, Simulator};
use storage_core::{Effect, ErrorKind, Get, Key, List, Operation, Prefix, PutIf, StorageProvider};

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// Runs a scenario whose request `number` meets a fault, on the tape of zeros.
fn run(number: u64, fault: Fault, scenario: impl Fn(&mut Sim) -> Result<(), String>) {
    let plan = Plan { faults: Faults::at([(number, fault)]), ..Plan::calm() };
    let run = Simulator::new(scenario).replay(&plan, Vec::new());
    assert_eq!(run.failure, None, "{fault}");
    let counted: u64 = Operation::ALL.map(|kind| run.tally.faults.get(kind, fault)).iter().sum();
    assert_eq!((counted, run.tally.faults.total()), (1, 1), "{fault}");
}

/// What a put says that meets a fault, how long it takes, whether it is there by then, and how often it
/// was applied in the end.
fn check_put(
    fault: Fault,
    said: Result<(), (ErrorKind, Effect)>,
    waits: bool,
    there: bool,
    applied: usize,
) {
    run(0, fault, |sim| {
        let place = sim.place("bucket");
        // Not safe from faults, as `ask` would be.
        sim.node("ann", move |node| async move {
            let (env, provider) = (node.env(), node.provider(place));
            let before = env.monotonic();
            let answer = provider.put(&key("a"), "b".into(), PutIf::Always).await;
            let answer = answer.map(drop).map_err(|error| (error.kind(), error.effect()));
            assert_eq!(answer, said, "{fault}");
            let waited = env.monotonic() - before > Duration::from_secs(4);
            assert_eq!(waited, waits, "{fault}");
        });
        sim.run()?;
        assert_eq!(sim.contents(place).len(), usize::from(there), "{fault}");
        sim.settle()?;
        assert_eq!(sim.history(place).len(), applied, "{fault}");
        Ok(())
    });
}

#[test]
fn a_put_says_what_its_sender_can_know() {
    let unknown = Err((ErrorKind::Unavailable, Effect::Unknown));
    let throttled = Err((ErrorKind::Throttled, Effect::NotApplied));
    check_put(Fault::Throttled, throttled, false, false, 0);
    check_put(Fault::RequestLost, unknown, true, false, 0);
    check_put(Fault::ReplyLost, unknown, true, true, 1);
    check_put(Fault::RequestLate, unknown, true, false, 1);
    check_put(Fault::RequestTwice, Ok(()), false, true, 2);
    check_put(Fault::Outage, unknown, true, false, 0);
}

#[test]
fn a_read_that_fails_is_not_applied() {
    for fault in [Fault::Throttled, Fault::RequestLost, Fault::Outage] {
        run(0, fault, |sim| {
            let place = sim.place("bucket");
            sim.node("ann", move |node| async move {
                let error = node.provider(place).get(&key("a"), Get::whole()).await.unwrap_err();
                assert_eq!(error.effect(), Effect::NotApplied, "{fault}");
                assert!(error.kind().is_transient(), "{fault}");
                assert_eq!(error.key(), Some(&key("a")), "{fault}");
            });
            Ok(sim.run()?)
        });
    }
}

#[test]
fn an_outage_is_between_one_node_and_one_place_and_ends() {
    run(0, Fault::Outage, |sim| {
        let (near, far) = (sim.place("near"), sim.place("far"));
        let put = async |node: &simulation::Node, place: Place| {
            node.provider(place).put(&key("a"), "b".into(), PutIf::Always).await.is_ok()
        };
        sim.node("ann", move |node| async move {
            assert!(!put(&node, near).await, "the outage begins with this");
            assert!(!put(&node, near).await, "and goes on");
            assert!(put(&node, far).await, "elsewhere there is none");
            node.env().sleep(Duration::from_secs(10)).await;
            assert!(put(&node, near).await, "it is over");
        });
        sim.run_for(Duration::from_millis(100))?;
        sim.node("bob", move |node| async move {
            assert!(put(&node, near).await, "for others there is none");
        });
        Ok(sim.run()?)
    });
}

#[test]
fn a_stale_list_leaves_out_what_was_put_last() {
    run(2, Fault::ListStale, |sim| {
        let place = sim.place("bucket");
        sim.node("ann", move |node| async move {
            let provider = node.provider(place);
            for name in ["a/1", "a/2"] {
                provider.put(&key(name), "b".into(), PutIf::Absent).await.unwrap();
            }
            let prefix = Prefix::new("a/").unwrap();
            for expected in [&["a/1"][..], &["a/1", "a/2"]] {
                let page = provider.list(List::new(&prefix)).await.unwrap();
                let keys: Vec<&str> = page.objects.iter().map(|found| found.key.as_str()).collect();
                assert_eq!((keys.as_slice(), page.more), (expected, false));
            }
        });
        Ok(sim.run()?)
    });
}

#[test]
fn corruption_shows_other_bytes_than_were_put_last() {
    let expected: [(Fault, &[u8], &str); 3] = [
        (Fault::BitFlipped, b"oew", "2"),
        (Fault::Truncated, b"", "2"),
        (Fault::OldVersion, b"old", "1"),
    ];
    for (fault, body, version) in expected {
        run(2, fault, |sim| {
            let place = sim.place("bucket");
            sim.node("ann", move |node| async move {
                let provider = node.provider(place);
                for text in ["old", "new"] {
                    provider.put(&key("a"), text.into(), PutIf::Always).await.unwrap();
                }
                let object = provider.get(&key("a"), Get::whole()).await.unwrap();
                assert_eq!((&object.body[..], object.version.as_str()), (body, version), "{fault}");
                let object = provider.get(&key("a"), Get::whole()).await.unwrap();
                assert_eq!(object.body, "new", "{fault}: it was on the way");
            });
            Ok(sim.run()?)
        });
    }
}

#[test]
fn after_healing_nothing_goes_wrong() {
    let faults = Faults::none().rate(Fault::Throttled, Operation::Put, 10_000);
    let plan = Plan { faults, ..Plan::calm() };
    let scenario = |sim: &mut Sim| {
        let place = sim.place("bucket");
        for healed in [false, true] {
            if healed {
                sim.heal();
            }
            sim.node("ann", move |node| async move {
                let put = node.provider(place).put(&key("a"), "b".into(), PutIf::Always).await;
                assert_eq!(put.is_ok(), healed);
            });
            sim.run()?;
        }
        Ok(())
    };
    Simulator::new(scenario).soak(0..10, &plan).assert_clean();
}

#[test]
fn listings_are_paged_in_order_and_conditions_hold() {
    run(100, Fault::Throttled, |sim| {
        let place = sim.place("bucket");
        sim.node("ann", move |node| async move {
            let provider = node.provider(place);
            let mut version = None;
            for name in ["a/1", "a/2", "b", "a"] {
                version = provider.put(&key(name), "b".into(), PutIf::Absent).await.ok();
            }
            provider.delete(&key("b")).await.unwrap();
            let all = Prefix::all();
            let page = provider.list(List::new(&all).start_after(&key("a/1")).limit(1)).await;
            assert_eq!(page.unwrap().objects[0].key, key("a/2"));
            let page = provider.list(List::new(&all).limit(2)).await.unwrap();
            assert!(page.more && page.objects.len() == 2 && page.objects[0].key == key("a"));
            let slash = Prefix::new("a/").unwrap();
            let page = provider.list(List::new(&slash).limit(2)).await.unwrap();
            assert!(!page.more && page.objects.len() == 2);
            let when = PutIf::Matches(version.unwrap());
            provider.put(&key("a"), "c".into(), when.clone()).await.unwrap();
            let error = provider.put(&key("a"), "d".into(), when).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict);
            for _ in 0..200 {
                let _ = provider.get(&key("a"), Get::meta_only()).await;
            }
        });
        Ok(sim.run()?)
    });
}

//! Each fault by itself, and the same faults for the same seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backend_memory::MemoryProvider;
use futures_executor::block_on;
use storage_core::{
    Effect, Env, ErrorKind, Get, Key, List, ListConsistency, Listed, Operation, Page, Prefix,
    PutIf, StorageProvider,
};
use storage_wrappers::{
    Fault, FaultPlan, Faulty, Guarded, ManualEnv, Outage, TimeLimit, TimeLimits, Window,
};

use crate::script::{Ask, MILLI, SECOND, key, verdict};

fn faulty(plan: FaultPlan) -> (Faulty<MemoryProvider>, MemoryProvider, ManualEnv) {
    let (memory, env) = (MemoryProvider::new(), ManualEnv::new(plan.seed));
    let faulty = Faulty::new(memory.clone(), plan, Arc::new(env.clone())).unwrap();
    (faulty, memory, env)
}

fn is_there(memory: &MemoryProvider) -> bool {
    block_on(Ask::Get.of(memory)) == "ok"
}

#[test]
fn every_fault_does_what_it_says_and_is_logged() {
    let none = FaultPlan::none(3);
    let throttled = FaultPlan { throttled: 1.0, ..none.clone() };
    let unavailable = FaultPlan { unavailable: 1.0, ..none.clone() };
    let lost_before = FaultPlan { lost_before: 1.0, ..none.clone() };
    let lost_after = FaultPlan { lost_after: 1.0, ..none.clone() };
    let late = FaultPlan { late: 1.0, late_operations_max: 1, ..none.clone() };
    let cases: &[(&FaultPlan, &str, bool, &str, Option<Fault>)] = &[
        // plan, answer to a put, whether it is applied, answer to a read, fault of the put
        (&none, "ok", true, "ok", None),
        (&throttled, "throttled NotApplied", false, "throttled NotApplied", Some(Fault::Throttled)),
        (
            &unavailable,
            "unavailable NotApplied",
            false,
            "unavailable NotApplied",
            Some(Fault::Unavailable),
        ),
        (
            &lost_before,
            "unavailable Unknown",
            false,
            "unavailable NotApplied",
            Some(Fault::LostBefore),
        ),
        (
            &lost_after,
            "unavailable Unknown",
            true,
            "unavailable NotApplied",
            Some(Fault::LostAfter),
        ),
        (&late, "unavailable Unknown", false, "ok", Some(Fault::Late { operations: 1 })),
    ];
    for (plan, answer, applied, read, fault) in cases {
        let (faulty, memory, _) = faulty((*plan).clone());
        assert_eq!(block_on(Ask::PutAbsent.of(&faulty)), *answer, "{fault:?}");
        assert_eq!(is_there(&memory), *applied, "{fault:?}");
        assert_eq!(block_on(Ask::List.of(&faulty)), *read, "{fault:?}");
        let first = faulty.log().first().cloned();
        assert_eq!(first.as_ref().map(|injected| injected.fault), *fault);
        if let Some(first) = first {
            assert_eq!((first.number, first.operation), (0, Operation::Put));
            assert_eq!(first.key, Some(key("k")));
        }
        assert_eq!(faulty.operations(), 2);
    }
}

#[test]
fn errors_name_operation_and_key_and_how_long_to_wait() {
    let plan = FaultPlan { throttled: 1.0, retry_after: Some(7 * SECOND), ..FaultPlan::none(1) };
    let (faulty, ..) = faulty(plan);
    for ask in Ask::ALL {
        let error = block_on(ask.result(&faulty)).unwrap_err();
        assert_eq!(error.operation(), Some(ask.operation()));
        assert_eq!(error.key(), (ask != Ask::List).then_some(&key("k")));
        assert_eq!(error.retry_after(), Some(7 * SECOND));
    }
}

#[test]
fn a_late_mutation_lands_before_its_operation_and_is_decided_then() {
    let plan = FaultPlan { late: 1.0, late_operations_max: 5, ..FaultPlan::none(8) };
    let (faulty, memory, _) = faulty(plan);
    block_on(async {
        faulty.put(&key("k"), "late".into(), PutIf::Absent).await.unwrap_err();
        let Fault::Late { operations } = faulty.log()[0].fault else { panic!("not late") };
        assert!((1..=5).contains(&operations));
        for _ in 1..operations {
            assert_eq!(Ask::Get.of(&faulty).await, "not found NotApplied");
        }
        assert_eq!(faulty.pending(), 1);
        assert_eq!(Ask::Get.of(&faulty).await, "ok", "landed before this one");
        assert_eq!(faulty.pending(), 0);
        let landed = faulty.log()[1].clone();
        assert_eq!((landed.number, landed.fault), (operations, Fault::Landed));
        assert_eq!((landed.operation, landed.key), (Operation::Put, Some(key("k"))));

        // Somebody else creates the key first; the late put then loses.
        faulty.put(&key("taken"), "late".into(), PutIf::Absent).await.unwrap_err();
        memory.put(&key("taken"), "first".into(), PutIf::Absent).await.unwrap();
        faulty.delete(&key("k")).await.unwrap_err();
        faulty.settle().await;
        assert_eq!(faulty.pending(), 0);
        let body = memory.get(&key("taken"), Get::whole()).await.unwrap().body;
        assert_eq!(&body[..], b"first");
        assert_eq!(Ask::Get.of(&memory).await, "not found NotApplied");
    });
}

#[test]
fn late_mutations_land_in_the_order_of_their_operations() {
    for seed in 0..50 {
        let plan = FaultPlan { late: 1.0, late_operations_max: 30, ..FaultPlan::none(seed) };
        let (faulty, memory, _) = faulty(plan);
        for body in ["0", "1", "2"] {
            block_on(faulty.put(&key("k"), body.into(), PutIf::Always)).unwrap_err();
        }
        let sent = faulty.log().into_iter().filter_map(|injected| match injected.fault {
            Fault::Late { operations } => Some(injected.number + operations),
            _ => None,
        });
        // Of those that land at the same operation the one sent first goes first.
        let last = sent.enumerate().max_by_key(|(at, lands_at)| (*lands_at, *at)).unwrap().0;
        block_on(faulty.settle());
        let body = block_on(memory.get(&key("k"), Get::whole())).unwrap().body;
        assert_eq!(body, last.to_string(), "seed {seed}: {:#?}", faulty.log());
        let landed = faulty.log().into_iter().filter(|injected| injected.fault == Fault::Landed);
        let numbers: Vec<u64> = landed.map(|injected| injected.number).collect();
        assert!(numbers.len() == 3 && numbers.is_sorted(), "seed {seed}: {numbers:?}");
    }
}

#[test]
fn outages_have_a_beginning_and_an_end() {
    let env = ManualEnv::new(1);
    env.advance(1000 * SECOND);
    let plan = FaultPlan {
        outages: vec![
            Outage { window: Window::Operations(2..4), effect: Effect::NotApplied },
            Outage { window: Window::Time(10 * SECOND..20 * SECOND), effect: Effect::Unknown },
        ],
        ..FaultPlan::none(1)
    };
    let memory = MemoryProvider::new();
    let faulty = Faulty::new(memory.clone(), plan, Arc::new(env.clone())).unwrap();
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(block_on(Ask::Delete.of(&faulty)));
    }
    for seconds in [9, 1, 9, 1] {
        env.advance(seconds * SECOND);
        answers.push(block_on(Ask::PutAbsent.of(&faulty)));
        block_on(Ask::Delete.of(&memory));
    }
    let (refused, broken) = ("unavailable NotApplied", "unavailable Unknown");
    assert_eq!(answers, ["ok", "ok", refused, refused, "ok", "ok", broken, broken, "ok"]);
    assert_eq!(faulty.log().len(), 4);
}

#[test]
fn an_outage_applies_nothing() {
    for effect in [Effect::NotApplied, Effect::Unknown] {
        let window = Window::Operations(0..u64::MAX);
        let plan = FaultPlan { outages: vec![Outage { window, effect }], ..FaultPlan::none(1) };
        let (faulty, memory, _) = faulty(plan);
        for ask in Ask::ALL {
            let error = block_on(ask.result(&faulty)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            let of_reads = if ask.operation().is_mutation() { effect } else { Effect::NotApplied };
            assert_eq!(error.effect(), of_reads, "{ask:?}");
        }
        assert!(!is_there(&memory));
        assert_eq!(faulty.log().len(), Ask::ALL.len());
    }
}

#[test]
fn latency_is_drawn_from_its_range() {
    let plan = FaultPlan { latency: 10 * MILLI..20 * MILLI, ..FaultPlan::none(1) };
    let (faulty, _, env) = faulty(plan);
    for _ in 0..50 {
        block_on(Ask::Delete.of(&faulty));
    }
    let slept = env.slept();
    assert_eq!(slept.len(), 50);
    assert!(slept.iter().all(|time| (10 * MILLI..20 * MILLI).contains(time)), "{slept:?}");
    assert!(slept.iter().any(|time| *time != slept[0]));
}

#[test]
fn a_pause_comes_before_or_after_and_meets_the_time_limit_honestly() {
    let (mut before, mut after) = (0, 0);
    for seed in 0..40 {
        let plan = FaultPlan { paused: 1.0, pause: 600 * SECOND, ..FaultPlan::none(seed) };
        let (faulty, memory, env) = faulty(plan);
        let faulty = Arc::new(faulty);
        let limited =
            TimeLimit::new(faulty.clone(), TimeLimits::flat(30 * SECOND), Arc::new(env.clone()));
        assert_eq!(block_on(Ask::PutAbsent.of(&limited)), "unavailable Unknown", "seed {seed}");
        assert_eq!(env.monotonic(), 30 * SECOND);
        match faulty.log()[0].fault {
            Fault::PausedBefore => {
                before += 1;
                assert!(!is_there(&memory), "seed {seed}");
            }
            Fault::PausedAfter => {
                after += 1;
                assert!(is_there(&memory), "seed {seed}");
            }
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(before > 5 && after > 5, "{before} before, {after} after");
}

#[test]
fn truncated_bodies_are_shorter_and_found_out_by_the_guard() {
    let plan = FaultPlan { truncated: 1.0, ..FaultPlan::none(4) };
    let (faulty, memory, _) = faulty(plan);
    block_on(async {
        for length in [1usize, 2, 10, 1000] {
            let body = vec![7; length];
            memory.put(&key("k"), body.into(), PutIf::Always).await.unwrap();
            for request in [Get::whole(), Get::range(0..length as u64)] {
                let object = faulty.get(&key("k"), request).await.unwrap();
                assert!(object.body.len() < length && object.size == length as u64);
                let bytes_kept = object.body.len();
                assert_eq!(faulty.log().pop().unwrap().fault, Fault::Truncated { bytes_kept });
            }
        }
        let logged = faulty.log().len();
        memory.put(&key("empty"), "".into(), PutIf::Always).await.unwrap();
        faulty.get(&key("empty"), Get::whole()).await.unwrap();
        faulty.get(&key("k"), Get::meta_only()).await.unwrap();
        assert_eq!(faulty.log().len(), logged, "there was nothing to take away");
        let error = Guarded::new(faulty).get(&key("k"), Get::whole()).await.unwrap_err();
        assert_eq!(verdict(&error), "corrupt NotApplied");
    });
}

type State = BTreeMap<Key, u64>;

/// What a list of this state answers.
fn listed(state: &State, request: List<'_>) -> Vec<Listed> {
    let after = |key: &Key| request.start_after.is_none_or(|start_after| key > start_after);
    let matching = state.iter().filter(|(key, _)| key.starts_with(request.prefix) && after(key));
    matching.map(|(key, size)| Listed { key: key.clone(), size: *size }).collect()
}

#[test]
fn a_stale_list_shows_a_state_of_some_mutations_ago() {
    let behind_max = 6;
    let mut stale = 0;
    for seed in 0..60u64 {
        let plan = FaultPlan {
            stale_list: 0.8,
            stale_operations_max: behind_max,
            ..FaultPlan::none(seed)
        };
        let (faulty, ..) = faulty(plan);
        assert_eq!(faulty.info().capabilities.list, ListConsistency::Eventual);
        let guarded = Guarded::new(faulty);
        let dice = ManualEnv::new(seed);
        let mut states = vec![State::new()];
        for step in 0..60u64 {
            let name = key(&format!("{}", dice.random() % 8));
            let mut state = states.last().unwrap().clone();
            if dice.random().is_multiple_of(3) {
                block_on(guarded.delete(&name)).unwrap();
                state.remove(&name);
            } else {
                let body = vec![0; step as usize];
                block_on(guarded.put(&name, body.into(), PutIf::Always)).unwrap();
                state.insert(name, step);
            }
            states.push(state);

            let (all, some) = (Prefix::all(), Prefix::new("3").unwrap());
            let after = key("2");
            for request in [List::new(&all), List::new(&some), List::new(&all).start_after(&after)]
            {
                let page = block_on(guarded.list(request)).unwrap();
                assert!(!page.more);
                let recent = states.iter().rev().take(behind_max + 1);
                let mut known = recent.map(|state| listed(state, request));
                assert!(
                    known.any(|known| known == page.objects),
                    "seed {seed}, step {step}: {page:?} is none of the last {behind_max} states"
                );
                stale += u32::from(page.objects != listed(states.last().unwrap(), request));
            }
        }
    }
    assert!(stale > 1000, "only {stale} of the lists were stale");
}

#[test]
fn pages_of_a_stale_list_keep_the_contract() {
    for seed in 0..200u64 {
        let plan = FaultPlan { stale_list: 1.0, stale_operations_max: 12, ..FaultPlan::none(seed) };
        let (faulty, ..) = faulty(plan);
        let guarded = Guarded::new(faulty);
        let dice = ManualEnv::new(seed);
        // Long ago, so no stale list is without them.
        let mut settled = Vec::new();
        for at in 0..4 {
            let name = key(&format!("m{at}"));
            block_on(guarded.put(&name, "settled".into(), PutIf::Always)).unwrap();
            settled.push(name);
        }
        for _ in 0..12 {
            block_on(guarded.put(&key("zz"), "fill".into(), PutIf::Always)).unwrap();
        }
        settled.push(key("zz"));
        for _ in 0..12 {
            let name = key(&format!(
                "{}{}",
                ["a", "m", "y"][(dice.random() % 3) as usize],
                4 + dice.random() % 4
            ));
            if dice.random().is_multiple_of(3) {
                block_on(guarded.delete(&name)).unwrap();
            } else {
                block_on(guarded.put(&name, "recent".into(), PutIf::Always)).unwrap();
            }
        }
        for limit in [1, 2, 3, 100] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let request = List { prefix: &Prefix::all(), start_after: after.as_ref(), limit };
                let page: Page = block_on(guarded.list(request)).unwrap();
                found.extend(page.objects.into_iter().map(|listed| listed.key));
                if !page.more {
                    break;
                }
                after = found.last().cloned();
            }
            let kept: Vec<&Key> = found.iter().filter(|key| settled.contains(key)).collect();
            assert_eq!(kept, settled.iter().collect::<Vec<_>>(), "seed {seed}, limit {limit}");
        }
    }
}

/// Some calls; what they answered and what was injected, as text.
fn run(plan: FaultPlan) -> String {
    let (faulty, memory, env) = faulty(plan);
    let mut text = String::new();
    for step in 0..120usize {
        let answer = block_on(Ask::ALL[step * 7 % 6].of(&faulty));
        text += &format!("{step} {answer} {:?}\n", env.monotonic());
    }
    block_on(faulty.settle());
    text + &format!("{:#?}{memory:?}", faulty.log())
}

#[test]
fn the_same_seed_and_calls_meet_the_same_faults() {
    for seed in 0..20 {
        let plan = FaultPlan { stale_list: 0.3, truncated: 0.3, ..FaultPlan::rough(seed) };
        let first = run(plan.clone());
        assert_eq!(first, run(plan.clone()), "seed {seed}");
        assert_ne!(first, run(FaultPlan { seed: seed + 1, ..plan }), "seed {seed}");
    }
}

#[test]
fn without_faults_nothing_is_added_to_what_the_provider_does() {
    let (memory, env) = (MemoryProvider::new(), ManualEnv::new(1));
    let counted = Arc::new(storage_wrappers::Counted::new(memory.clone()));
    let faulty = Faulty::new(counted.clone(), FaultPlan::none(1), Arc::new(env.clone())).unwrap();
    assert_eq!(faulty.info(), memory.info());
    for ask in Ask::ALL {
        block_on(ask.of(&faulty));
    }
    assert_eq!(counted.counts().requests(), Ask::ALL.len() as u64);
    assert_eq!((env.slept(), faulty.log(), env.monotonic()), (vec![], vec![], Duration::ZERO));
}

#[test]
fn debug_shows_no_body_that_is_on_its_way() {
    let (faulty, ..) = faulty(FaultPlan { late: 1.0, ..FaultPlan::none(1) });
    block_on(faulty.put(&key("k"), "secretbody".into(), PutIf::Always)).unwrap_err();
    let text = format!("{faulty:?}");
    assert!(text.contains("10 bytes") && !text.contains("secretbody"), "{text}");
}

#[test]
fn a_plan_that_makes_no_sense_makes_no_provider() {
    let plan = FaultPlan { late: 2.0, ..FaultPlan::none(1) };
    let env = Arc::new(ManualEnv::new(1));
    let error = Faulty::new(MemoryProvider::new(), plan, env).unwrap_err();
    assert_eq!(error.to_string(), "misconfigured: late is 2, but a probability is between 0 and 1");
}

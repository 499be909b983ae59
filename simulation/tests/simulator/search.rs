//! That a search of distinct runs loses nothing: whatever can come of all runs comes of those it makes.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use simulation::{Fault, Faults, Mark, Node, Order, Place, Plan, Report, Sim, Simulator, Tape};
use storage_core::{Get, Key, List, Prefix, PutIf, StorageProvider};

use crate::journal::{Mistake, journal};

/// What a node may do with one of two objects.
#[derive(Debug, Clone, Copy)]
enum Step {
    PutAbsent(&'static str),
    Put(&'static str),
    Get(&'static str),
    Delete(&'static str),
    List,
    Sleep,
    /// Two requests at once.
    Both,
}

const STEPS: [Step; 10] = [
    Step::PutAbsent("a"),
    Step::PutAbsent("b"),
    Step::Put("a"),
    Step::Put("b"),
    Step::Get("a"),
    Step::Get("b"),
    Step::Delete("a"),
    Step::List,
    Step::Sleep,
    Step::Both,
];

/// What nodes saw, and what of it began after what had ended.
type Seen = Arc<Mutex<(Vec<String>, Vec<(usize, Mark)>)>>;

async fn take(node: &Node, place: Place, step: Step, value: &str) -> String {
    let key = |text: &str| Key::new(text).unwrap();
    let provider = node.provider(place);
    let put =
        async |at: &str, when| match provider.put(&key(at), value.to_owned().into(), when).await {
            Ok(_) => "put".to_owned(),
            Err(error) => format!("{:?} {:?}", error.kind(), error.effect()),
        };
    let get = async |at: &str| match provider.get(&key(at), Get::whole()).await {
        Ok(object) => format!("{:?}", object.body),
        Err(error) => format!("{:?} {:?}", error.kind(), error.effect()),
    };
    match step {
        Step::PutAbsent(at) => put(at, PutIf::Absent).await,
        Step::Put(at) => put(at, PutIf::Always).await,
        Step::Get(at) => get(at).await,
        Step::Delete(at) => format!("{:?}", provider.delete(&key(at)).await.is_ok()),
        Step::List => match provider.list(List::new(&Prefix::all())).await {
            Ok(page) => page.objects.iter().map(|each| each.key.to_string()).collect(),
            Err(error) => format!("{:?}", error.kind()),
        },
        Step::Sleep => {
            node.env().sleep(Duration::from_millis(10)).await;
            format!("{:?}", node.env().wall())
        }
        Step::Both => {
            let one = get("a");
            let another = put("b", PutIf::Always);
            let (one, another) = futures_util::join!(one, another);
            one + &another
        }
    }
}

/// All that can come of nodes that take these steps, and how it was found out.
fn outcomes(
    programs: &[Vec<Step>],
    search: impl Fn(&Simulator<&dyn Fn(&mut Sim) -> Result<(), String>>) -> Report,
) -> (BTreeSet<String>, Report) {
    let all = Mutex::new(BTreeSet::new());
    let scenario = |sim: &mut Sim| {
        let place = sim.place("bucket");
        let seen: Seen = Arc::new(Mutex::new((vec![String::new(); programs.len()], Vec::new())));
        for (at, program) in programs.iter().enumerate() {
            let (program, seen) = (program.clone(), seen.clone());
            sim.node(&format!("node{at}"), move |node| {
                let (program, seen) = (program.clone(), seen.clone());
                async move {
                    for (number, step) in program.into_iter().enumerate() {
                        node.marks(Mark::Begins);
                        seen.lock().unwrap().1.push((at, Mark::Begins));
                        let told = take(&node, place, step, &format!("{at}{number}")).await;
                        node.marks(Mark::Ends);
                        let mut seen = seen.lock().unwrap();
                        seen.1.push((at, Mark::Ends));
                        write!(seen.0[at], "{told};").unwrap();
                    }
                }
            });
        }
        sim.run()?;
        sim.settle()?;
        let seen = seen.lock().unwrap();
        let mut text = seen.0.join(" | ");
        // Of the order in time, what a judge may look at: for each beginning, how many of each node had ended.
        let mut ended = vec![0; programs.len()];
        let mut before = vec![Vec::new(); programs.len()];
        for (node, mark) in &seen.1 {
            match mark {
                Mark::Begins => before[*node].push(ended.clone()),
                Mark::Ends => ended[*node] += 1,
            }
        }
        let contents: Vec<_> = sim.contents(place);
        write!(text, " {before:?} {contents:?}").unwrap();
        all.lock().unwrap().insert(text);
        Ok(())
    };
    let scenario: &dyn Fn(&mut Sim) -> Result<(), String> = &scenario;
    let report = search(&Simulator::new(scenario));
    report.assert_clean();
    assert!(report.complete, "{}", report.tally);
    (all.into_inner().unwrap(), report)
}

/// Programs drawn from a seed: so many nodes with so many steps each.
fn programs(seed: u64, nodes: usize, steps: usize) -> Vec<Vec<Step>> {
    let mut tape = Tape::random(seed);
    // Two requests at once only where there are few others, or all runs are too many.
    let steps_known = if nodes * steps > 2 { STEPS.len() - 1 } else { STEPS.len() };
    let mut step = || STEPS[tape.choose(steps_known as u32) as usize];
    (0..nodes).map(|_| (0..steps).map(|_| step()).collect()).collect()
}

/// Runs of both searches.
fn check_same(programs: &[Vec<Step>], plan: &Plan) -> (u64, u64) {
    let (all, every) = outcomes(programs, |simulator| simulator.search(plan, 1_000_000));
    let (found, distinct) =
        outcomes(programs, |simulator| simulator.search_distinct(plan, 1_000_000));
    let lost: Vec<&String> = all.difference(&found).take(3).collect();
    let made_up: Vec<&String> = found.difference(&all).take(3).collect();
    assert!(
        lost.is_empty() && made_up.is_empty(),
        "{programs:?}: lost {lost:#?}, made up {made_up:#?}"
    );
    (every.tally.runs, distinct.tally.runs)
}

#[test]
fn distinct_runs_lead_wherever_all_runs_lead() {
    let faults = [Fault::ReplyLost, Fault::RequestLate, Fault::RequestTwice];
    let plans = [
        (2, 2, Plan::search()),
        (3, 1, Plan::search()),
        (2, 1, Plan { faults: Faults::any(&faults, 2), ..Plan::search() }),
        (2, 2, Plan { faults: Faults::any(&[Fault::RequestLate], 1), ..Plan::search() }),
        (
            2,
            1,
            Plan { faults: Faults::any(&[Fault::ListStale, Fault::Outage], 2), ..Plan::search() },
        ),
    ];
    let (mut every, mut distinct) = (0, 0);
    for (nodes, steps, plan) in plans {
        for seed in 0..30 {
            let (all, few) = check_same(&programs(seed, nodes, steps), &plan);
            every += all;
            distinct += few;
        }
    }
    println!("{every} runs and {distinct}");
    assert!(distinct * 3 < every, "{distinct} of {every} runs are too many");
}

#[test]
fn a_search_of_distinct_runs_finds_each_mistake() {
    let losses = [Fault::Throttled, Fault::RequestLost, Fault::ReplyLost, Fault::RequestLate];
    let plan = Plan { faults: Faults::any(&losses, 1), ..Plan::search() };
    for mistake in [Mistake::CheckThenAct, Mistake::RepeatsEffect, Mistake::LostReplyIsFailure] {
        let simulator = Simulator::new(journal(mistake, 2, 1));
        let found = simulator.search_distinct(&plan, 100_000).found;
        let found = found.unwrap_or_else(|| panic!("{mistake:?} is not found"));
        // What a search found is had again without one.
        let again = simulator.replay(&found.plan, found.tape.clone());
        assert_eq!(again.failure, Some(found.failure), "{mistake:?}");
    }
    let simulator = Simulator::new(journal(Mistake::None, 2, 1));
    let (all, distinct) =
        (simulator.search(&plan, 1_000_000), simulator.search_distinct(&plan, 1_000_000));
    distinct.assert_clean();
    assert!(distinct.complete && distinct.tally.runs * 3 < all.tally.runs, "{distinct:?}");
}

#[test]
#[should_panic(expected = "any order")]
fn a_search_where_arrivals_have_times_is_refused() {
    let plan = Plan { order: Order::Timed, ..Plan::search() };
    let _ = Simulator::new(|_: &mut Sim| Ok(())).search_distinct(&plan, 1);
}

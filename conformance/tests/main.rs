//! The suite's own test: wrong providers, each found out by the case that names its mistake.

#![allow(clippy::unwrap_used, reason = "the whole file is a test, where a poisoned lock fails it")]

mod liars;

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use backend_memory::{Config, MemoryProvider};
use conformance::{CaseReport, Level, Need, Outcome, Report, Settings, cases, child, harness};
use expect_test::expect_file;
use liars::{ALL, Row, World};
use libtest_mimic::{Arguments, Completion, Trial};
use storage_wrappers::{FaultPlan, Faulty, TokioEnv};
use tokio::runtime::Runtime;

/// Where this is set, by `cargo xtask test --quick`, one in so many liars is tried.
const QUICK_VARIABLE: &str = "CLOUDBANK_TEST_QUICK";
const QUICK_SLICE: usize = 5;

/// How long a case may take on a liar before it counts as hanging. None of them does: a case that ends
/// this way has not named a mistake.
const CASE_TIME_MAX: Duration = Duration::from_secs(60);
/// How often a liar is run before its case is said to miss it.
const RUNS_MAX: usize = 4;

fn main() -> ExitCode {
    // Cases start this very program once more, to have two processes or to kill one.
    if let Ok(target) = env::var(child::TARGET_VARIABLE) {
        let harness = Arc::new(liars::second_process(&target));
        let served = runtime().block_on(child::serve(harness));
        return if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let arguments = Arguments::from_args();
    let quick = env::var_os(QUICK_VARIABLE).is_some();
    let mut trials: Vec<_> = all_rows()
        .enumerate()
        .map(|(number, row)| match quick && number % QUICK_SLICE > 0 {
            true => left_out(row.name),
            false => test(row.name, move || check(row)),
        })
        .collect();
    trials.push(test("under_claims_are_reported_and_do_not_fail", under_claims));
    trials.push(test("a_service_that_is_busy_now_and_then_passes", busy_now_and_then));
    trials.push(test("every_liar_has_a_name_of_its_own", names_differ));
    trials.push(test("every_case_can_fail", every_case_can_fail));
    trials.push(test("the_table_of_liars_is_up_to_date", table));
    // Minutes, so only when asked for: prints which cases find out which liars.
    trials.push(test("a_whole_run_on_any_liar_fails", whole_runs).with_ignored_flag(true));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn test(name: &str, run: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}

fn left_out(name: &str) -> Trial {
    Trial::ignorable_test(name, || Ok(Completion::ignored_with("left out by --quick")))
}

fn all_rows() -> impl Iterator<Item = &'static Row> {
    ALL.iter().flat_map(|(_, rows)| rows.iter())
}

/// Runs all cases, or those whose ids contain `filter`.
fn run(world: World, lying: bool, filter: Option<&str>) -> Report {
    let settings = Settings {
        filter: filter.map(str::to_owned),
        case_time_max: CASE_TIME_MAX,
        ..Settings::default()
    };
    let runtime = runtime();
    let harness = Arc::new(world.harness(lying));
    let report = runtime.block_on(conformance::run(harness, &settings, &mut ()));
    runtime.shutdown_background();
    report
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime can be made")
}

/// Whether the case itself found something wrong, and not what happens around it.
fn names_a_mistake(report: &CaseReport) -> bool {
    let around = ["cleaning up: ", "expected an end within", "the suite itself is wrong"];
    report.outcome.is_failure() && !around.iter().any(|words| report.detail.contains(words))
}

/// Checks that the case of a liar finds it out, and passes an honest provider in the same place.
fn check(row: &Row) {
    let honest = run((row.world)(), false, Some(row.case));
    let control = honest.case(row.case).unwrap_or_else(|| panic!("no case is called {}", row.case));
    assert_eq!(control.outcome, Outcome::Pass, "{} on an honest one: {}", row.case, control.detail);
    // A case that draws what it does can miss a rare mistake once.
    let again = || run((row.world)(), true, Some(row.case));
    let finds = |report: &Report| report.case(row.case).is_some_and(names_a_mistake);
    let mut report = again();
    for _ in 1..RUNS_MAX {
        if finds(&report) {
            break;
        }
        report = again();
    }
    let case = report.case(row.case).expect("the case ran on the honest one");
    assert!(
        names_a_mistake(case) && report.failed(),
        "{} does not find out {}, which {}\nit says: {} {} (seed {})\n{}",
        row.case,
        row.name,
        row.mistake,
        case.outcome,
        case.detail,
        report.seed,
        matrix_row(row),
    );
}

/// Which of all the cases find a liar out, for the person who has to mend the one that does not.
fn matrix_row(row: &Row) -> String {
    let report = run((row.world)(), true, None);
    let found: Vec<_> =
        report.cases.iter().filter(|case| names_a_mistake(case)).map(|case| case.id).collect();
    format!("{} is found out by: {}", row.name, found.join(" "))
}

fn whole_runs() {
    for row in all_rows() {
        let line = matrix_row(row);
        eprintln!("{line}");
        assert!(
            line.contains(row.case),
            "a whole run misses what {} alone finds: {line}",
            row.case
        );
    }
}

/// What does more than it declares is as good as what it declares.
fn under_claims() {
    for (case, world) in liars::under_claims() {
        let report = run(world, true, Some(case));
        let outcome = report.case(case).map(|case| case.outcome);
        assert_eq!(outcome, Some(Outcome::UnderClaim), "{case}");
        assert!(!report.failed(), "{case}: {:?}", report.problems);
    }
}

/// An honest service may answer any request with `Throttled` or `Unavailable`, not applied.
fn busy_now_and_then() {
    let seed = Settings::default().seed;
    let shared =
        MemoryProvider::with_config(Config { object_bytes_max: 256 << 10, ..Config::default() });
    let env = Arc::new(TokioEnv::new());
    let open = move || {
        let plan = FaultPlan { throttled: 0.05, unavailable: 0.05, ..FaultPlan::none(seed) };
        let busy = Faulty::new(shared.clone(), plan, env.clone());
        async move { busy }
    };
    let settings = Settings { levels: vec![Level::Core, Level::Txn], seed, ..Settings::default() };
    let harness = Arc::new(harness(open));
    let report = runtime().block_on(conformance::run(harness, &settings, &mut ()));
    assert!(!report.failed(), "{}", report.table());
    let asked_again =
        report.cases.iter().filter(|case| case.detail.contains("busy, and asked again"));
    let (asked_again, passed) = (asked_again.count(), report.count(Outcome::Pass));
    assert!(asked_again * 2 > passed, "only {asked_again} of {passed} cases met a busy service");
}

fn names_differ() {
    let names: BTreeSet<_> = all_rows().map(|row| row.name).collect();
    assert_eq!(names.len(), all_rows().count());
    assert!(names.len() >= 45, "only {} liars are left", names.len());
}

/// A case that no liar fails could as well be empty. Those on the wire are tried on wrong servers.
fn every_case_can_fail() {
    let named: BTreeSet<_> = all_rows().map(|row| row.case).collect();
    let never: Vec<_> = cases()
        .iter()
        .filter(|case| !case.needs.contains(&Need::Wire) && !named.contains(case.id))
        .map(|case| case.id)
        .collect();
    assert!(never.is_empty(), "no liar is found out by: {}", never.join(" "));
}

/// The table beside the liars is this one. `UPDATE_EXPECT=1` writes it.
fn table() {
    let mut table = format!(
        "# The liars\n\n{} wrong providers, and the case that finds each of them out. Written by \
         `conformance/tests/main.rs`, which fails\nwhen one is not; why there are any is in \
         [0004](../../../docs/design/0004-testing-the-suite.md).\n",
        all_rows().count(),
    );
    for (subject, rows) in ALL {
        let head = "| liar | found out by | what it does, and where that was seen |\n|---|---|---|";
        writeln!(table, "\n## {subject}\n\n{head}").expect("a string takes text");
        for Row { name, case, mistake, .. } in *rows {
            writeln!(table, "| `{name}` | `{case}` | {mistake} |").expect("a string takes text");
        }
    }
    expect_file!["liars/README.md"].assert_eq(&table);
}

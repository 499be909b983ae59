//! What the file system backend promises when processes are killed, and when two share a folder.

// All of this is test, though its `main` is its own and clippy does not see it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod crash;
mod race;
#[path = "../main/support.rs"]
#[allow(dead_code, reason = "the other binary uses the rest")]
mod support;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};

fn main() -> ExitCode {
    if let Some(role) = support::role() {
        run(play(&role));
        return ExitCode::SUCCESS;
    }
    let trials = vec![
        trial("crash::killed_before_any_step_it_is_the_old_object_or_the_new_when_synced", || {
            run(crash::synced());
        }),
        trial(
            "crash::killed_before_any_step_it_is_the_old_object_or_the_new_when_not_synced",
            || run(crash::not_synced()),
        ),
        trial("race::of_64_writers_in_two_processes_one_creates_the_object", || {
            run(race::of_64_writers_one_creates());
        }),
        trial("race::a_counter_by_matches_in_two_processes_counts_every_success_once", || {
            run(race::a_counter_counts_every_success());
        }),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A test by its sentence. What panics, fails. Starting hundreds of processes takes its time.
fn trial(name: &str, test: fn()) -> Trial {
    let quick = std::env::var_os("CLOUDBANK_TEST_QUICK").is_some();
    Trial::ignorable_test(name, move || {
        if quick {
            return Ok(Completion::ignored_with("left out by --quick"));
        }
        test();
        Ok(Completion::Completed)
    })
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(test);
}

/// What this binary does as another process of one of its tests.
async fn play(role: &[String]) {
    let words: Vec<&str> = role.iter().map(String::as_str).collect();
    match words[..] {
        ["crash", path, operation, durability, step] => {
            crash::child_dies(path, operation, durability, step.parse().unwrap()).await;
        }
        ["race", path] => race::child_races(path).await,
        ["count", path] => race::child_counts(path).await,
        _ => panic!("no such role: {words:?}"),
    }
}

//! Every example is run, and says what it promises to say.

#![allow(clippy::unwrap_used, reason = "this is all test code")]

use std::process::Command;

/// Runs a program and looks for these lines in what it prints.
#[track_caller]
fn check(program: &str, arguments: &[&str], lines: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(program).args(arguments).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}{complaints}", output.status);
    for line in lines {
        assert!(said.lines().any(|said| said.contains(line)), "no line with {line:?} in:\n{said}");
    }
}

#[test]
fn pick_a_backend_uses_both_and_explains_the_mistake() {
    check(
        env!("CARGO_BIN_EXE_pick-a-backend"),
        &[],
        &["fast: memory", "kept: fs:", "did you mean `create`"],
    );
}

#[test]
fn lost_answer_leaves_no_outcome_unknown() {
    check(
        env!("CARGO_BIN_EXE_lost-answer"),
        &[],
        &["with create_exact: 100 slots won, 100 lost, none unknown"],
    );
}

#[test]
fn copy_between_providers_copies_what_is_missing() {
    check(
        env!("CARGO_BIN_EXE_copy-between-providers"),
        &[],
        &["the last 100", "then the 900", "and 0 when everything is there"],
    );
}

#[test]
fn bank_keeps_its_sum_although_a_teller_is_killed() {
    check(env!("CARGO_BIN_EXE_bank"), &[], &["transfers the accounts still hold 1000"]);
}

#[test]
fn unique_index_gives_each_address_to_one_user() {
    check(
        env!("CARGO_BIN_EXE_unique-index"),
        &[],
        &["5 signed up, 15 were refused", "each of the 5 addresses leads to its user"],
    );
}

#[test]
fn work_queue_does_each_job_once() {
    check(env!("CARGO_BIN_EXE_work-queue"), &[], &["four workers took 40 jobs, each of them once"]);
}

#[test]
fn time_travel_reads_the_past_and_brings_it_back() {
    check(
        env!("CARGO_BIN_EXE_time-travel"),
        &[],
        &[
            "on opening day: cake 4, soup 5",
            "version 3 by bob: soup 500",
            "after undoing bob's: cake 4, soup 5, tea 2",
            "on bob's day it was: cake 4, soup 500",
        ],
    );
}

#[test]
fn change_feed_misses_nothing_although_its_follower_is_killed() {
    check(
        env!("CARGO_BIN_EXE_change-feed"),
        &[],
        &["the follower was killed, and has each of 80 changes once"],
    );
}

#[test]
fn sqlite_backend_is_a_type_of_the_whole_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cloudbank.toml");
    let database = folder.path().join("objects.sqlite");
    let text = format!("[providers.mine]\ntype = \"sqlite\"\npath = {database:?}\n");
    std::fs::write(&config, text).unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "hello").unwrap();
    let run = |arguments: &[&str], lines: &[&str]| {
        let config = ["--config", config.to_str().unwrap(), "provider"];
        let all = [&config, arguments, &["--provider", "mine"]].concat();
        check(env!("CARGO_BIN_EXE_sqlite-backend"), &all, lines);
    };
    run(&["put", "a/b", file.to_str().unwrap()], &[]);
    run(&["get", "a/b", "-"], &["hello"]);
    run(&["ls"], &["a/b"]);
}

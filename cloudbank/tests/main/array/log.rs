//! What the status tells of the voters of the log.

use std::fs;

use expect_test::expect;
use serde_json::Value;

use super::{MIRROR, config, json};
use crate::support::Bench;

const STORE: &str =
    "[store]\nlog = [\"a\", \"b\", \"c\"]\nobjects = \"objects\"\nspares = [\"d\"]\n";

/// A store with its log on three voters, and one more that may vote one day.
fn quorum() -> Bench {
    let bench = Bench::with_config(&config(&["a", "b", "c", "d", "objects"], STORE));
    bench.ok("store init");
    bench
}

fn put(bench: &Bench) {
    let output = bench.feed("store put key -", b"the value");
    assert!(output.status.success(), "{}", bench.shown(&output));
}

/// Where there is a file, there can be no folder.
fn take_away(bench: &Bench, name: &str) {
    fs::rename(bench.path(name), bench.path(&format!("{name}.away"))).unwrap();
    bench.write(name, "");
}

fn bring_back(bench: &Bench, name: &str) {
    fs::remove_file(bench.path(name)).unwrap();
    fs::rename(bench.path(&format!("{name}.away")), bench.path(name)).unwrap();
}

/// What the status says of each voter: its name, how it is, and how far behind.
fn voters(status: &Value) -> Vec<(Option<&str>, &str, Option<u64>)> {
    let mut voters: Vec<_> = status["voters"]
        .as_array()
        .unwrap_or_else(|| panic!("{status}"))
        .iter()
        .map(|it| (it["name"].as_str(), it["state"].as_str().unwrap(), it["behind"].as_u64()))
        .collect();
    voters.sort_unstable();
    voters
}

#[test]
fn a_voter_that_was_away_is_down_then_behind_and_then_has_everything() {
    let bench = quorum();
    take_away(&bench, "c");
    // Without it the other two have to have whatever is committed.
    (0..3).for_each(|_| put(&bench));
    let (status, code) = json(&bench, "array status");
    assert_eq!((code, &status["whole"], &status["can_lose"]), (1, &false.into(), &0.into()));
    let up = |name| (Some(name), "up", Some(0));
    assert_eq!(voters(&status), [(None, "down", None), up("a"), up("b")], "{status}");
    assert_eq!(status["not_seen"], serde_json::json!(["c"]), "{status}");
    assert_eq!(status["spares"], serde_json::json!(["d"]), "{status}");
    let down = status["voters"].as_array().unwrap().iter().find(|it| it["name"].is_null());
    let why = down.unwrap()["error"].as_str().unwrap();
    assert!(why.starts_with("does not answer: "), "{why}");
    let text = bench.session("array status");
    assert!(text.contains("log: 2 of 3 voters decide; NO MORE VOTER MAY BE LOST\n"), "{text}");
    assert!(text.contains("next: bring back who is down"), "{text}");

    bring_back(&bench, "c");
    expect![[r#"
        $ array status
        log: 2 of 3 voters decide; 1 voter more may be lost
        voter  state   behind
        a      up           0
        b      up           0
        c      behind       3
        spares: d
        next: wait: who is behind gets what it lacks with the next commits
        [1]
    "#]]
    .assert_eq(&bench.session("array status"));
    let (status, code) = json(&bench, "array status");
    assert_eq!((code, &status["can_lose"]), (1, &1.into()), "{status}");

    // Without another it is needed, and gets what it lacks.
    take_away(&bench, "b");
    put(&bench);
    let (status, _) = json(&bench, "array status");
    assert_eq!(voters(&status), [(None, "down", None), up("a"), up("c")], "{status}");
}

#[test]
fn a_voter_that_was_wiped_is_told_until_another_votes_in_its_place() {
    let bench = quorum();
    put(&bench);
    fs::remove_dir_all(bench.path("b")).unwrap();
    // So that those who are left have everything.
    put(&bench);
    let (status, code) = json(&bench, "array status");
    assert_eq!((code, &status["can_lose"]), (1, &0.into()), "{status}");
    let up = |name| (Some(name), "up", Some(0));
    assert_eq!(voters(&status), [(None, "wiped", None), up("a"), up("c")], "{status}");
    assert_eq!(status["not_seen"], serde_json::json!(["b"]), "{status}");
    assert_eq!(status["next"], "cloudbank store mend", "{status}");

    let text = bench.session("array status");
    assert!(text.contains(": lost: its marker is gone"), "{text}");
    assert!(text.contains("\nnot seen among the voters: b\nspares: d\n"), "{text}");

    bench.ok("store mend");
    let (status, _) = json(&bench, "array status");
    let names: Vec<_> = voters(&status).into_iter().map(|(name, ..)| name.unwrap()).collect();
    assert_eq!((names, &status["can_lose"]), (vec!["a", "b", "c"], &1.into()), "{status}");
    assert_eq!(status["not_seen"], serde_json::json!([]), "{status}");
}

#[test]
fn a_log_of_which_too_little_answers_is_told_as_not_known() {
    let bench = quorum();
    take_away(&bench, "a");
    take_away(&bench, "b");
    let (status, code) = json(&bench, "array status");
    assert_eq!((code, &status["whole"]), (1, &false.into()), "{status}");
    assert!(status["error"].as_str().is_some_and(|error| !error.is_empty()), "{status}");
    assert_eq!(status["voters"], Value::Null, "{status}");
}

#[test]
fn the_log_is_told_beside_all_arrays_and_only_where_voters_are_named() {
    let store = STORE.replace("\"objects\"", "\"safe\"").replace("spares = [\"d\"]\n", "");
    let text = config(&["a", "b", "c"], &format!("{MIRROR}{store}"));
    let bench = Bench::with_config(&text);
    // Nothing is wrong with a store that nobody made yet.
    let said = bench.ok("array status");
    assert!(said.starts_with("safe: mirror of 3"), "{said}");
    assert!(said.ends_with("\n\nlog on a, b, c: no store was made yet\n"), "{said}");
    bench.ok("store init");
    let said = bench.session("array status");
    assert!(said.contains("\n\nlog: 2 of 3 voters decide; 1 voter more may be lost\n"), "{said}");
    let one = bench.ok("array status -p safe");
    assert!(!one.contains("log"), "{one}");
    // On one provider nobody votes.
    bench.write("cloudbank.toml", text.replace(&store, "[store]\nprovider = \"a\"\n"));
    let said = bench.ok("array status");
    assert!(said.starts_with("safe: mirror of 3") && !said.contains("log"), "{said}");
}

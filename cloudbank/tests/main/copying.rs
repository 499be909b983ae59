//! `provider cp`: between two providers, interrupted, and gone on with.

use std::time::{Duration, Instant};

use expect_test::expect;

use crate::support::{Bench, TWO_FOLDERS};

fn fill(bench: &Bench, provider: &str, objects: &[(&str, &str)]) {
    for (key, body) in objects {
        let output = bench.feed(&format!("provider put -p {provider} {key} -"), body.as_bytes());
        assert!(output.status.success(), "{}", bench.shown(&output));
    }
}

#[test]
fn one_object_goes_where_it_is_told() {
    let bench = Bench::with_config(TWO_FOLDERS);
    fill(&bench, "one", &[("a/b", "body")]);
    expect![[r#"
        $ provider cp one:a/b two:c
        1 object copied (4 B) in TIME
        $ provider cp one:a/b two:
        1 object copied (4 B) in TIME
        $ provider cp one:a/b two:d/
        1 object copied (4 B) in TIME
        $ provider cp one:a/b two:c
        0 objects copied (0 B), 1 there already in TIME
        $ provider cp one:missing two:c
        ! error: provider `one`: get "missing": not found: there is no object
        [3]
        $ provider cp one:a/b one:a/b
        ! error: source and destination are the same object
        [2]
        $ provider cp one:a/ two:
        ! error: `one:a/` is a prefix, not a key
        !   = add --recursive to copy everything under it
        [2]
        $ provider cp a/b two:
        ! error: `a/b` does not say which provider
        !   = expected NAME:KEY or NAME:PREFIX/, such as NAME:a/b
        [2]
        $ provider cp nine:a/b two:
        ! error: there is no provider `nine` in cloudbank.toml
        !   = expected one, scratch or two
        [2]
        $ provider cp --provider one a/b two:e --json
        {"bytes":4,"copied":1,"differ":0,"dry_run":false,"failed":0,"skipped":0}
        $ provider ls -p two --long
                    4  b
                    4  c
                    4  d/b
                    4  e
    "#]]
    .assert_eq(&bench.session(
        "provider cp one:a/b two:c
         provider cp one:a/b two:
         provider cp one:a/b two:d/
         provider cp one:a/b two:c
         provider cp one:missing two:c
         provider cp one:a/b one:a/b
         provider cp one:a/ two:
         provider cp a/b two:
         provider cp nine:a/b two:
         provider cp --provider one a/b two:e --json
         provider ls -p two --long",
    ));
}

#[test]
fn a_prefix_goes_over_and_again_only_what_is_missing() {
    let bench = Bench::with_config(TWO_FOLDERS);
    fill(&bench, "one", &[("a/1", "1"), ("a/2", "22"), ("a/b/3", "333"), ("z", "not this")]);
    expect![[r#"
        $ provider cp --recursive one:a/ two:x/ --dry-run
        copy     a/1 -> x/1  1 B
        copy     a/2 -> x/2  2 B
        copy     a/b/3 -> x/b/3  3 B
        nothing done; it would be: 3 objects copied (6 B)
        $ provider ls -p two
        $ provider cp --recursive one:a/ two:x/
        3 objects copied (6 B) in TIME
        $ provider rm -p two x/2
        removed 1 object
        $ provider cp --recursive one:a/ two:x/ --dry-run
        skip     a/1 -> x/1  1 B
        copy     a/2 -> x/2  2 B
        skip     a/b/3 -> x/b/3  3 B
        nothing done; it would be: 1 object copied (2 B), 2 there already
        $ provider cp --recursive one:a/ two:x/
        1 object copied (2 B), 2 there already in TIME
        $ provider cp --recursive one:a/ two:x/ --json
        {"bytes":0,"copied":0,"differ":0,"dry_run":false,"failed":0,"skipped":3}
        $ provider ls -p two --long
                    1  x/1
                    2  x/2
                    3  x/b/3
        $ provider cp --recursive one:a two:x/
        ! error: with --recursive both sides are prefixes
        !   = expected a / at the end: one:a/
        [2]
        $ provider cp --recursive one:a/ one:
        ! error: `one:a/` and `one:` overlap: what is copied would be copied again
        [2]
        $ provider cp --recursive one:nothing/ two:
        0 objects copied (0 B) in TIME
    "#]]
    .assert_eq(&bench.session(
        "provider cp --recursive one:a/ two:x/ --dry-run
         provider ls -p two
         provider cp --recursive one:a/ two:x/
         provider rm -p two x/2
         provider cp --recursive one:a/ two:x/ --dry-run
         provider cp --recursive one:a/ two:x/
         provider cp --recursive one:a/ two:x/ --json
         provider ls -p two --long
         provider cp --recursive one:a two:x/
         provider cp --recursive one:a/ one:
         provider cp --recursive one:nothing/ two:",
    ));
}

#[test]
fn what_differs_is_replaced_only_on_request() {
    let bench = Bench::with_config(TWO_FOLDERS);
    fill(&bench, "one", &[("size", "longer"), ("content", "aaa"), ("same", "x")]);
    fill(&bench, "two", &[("size", "short"), ("content", "bbb"), ("same", "x")]);
    expect![[r#"
        $ provider cp -r one: two:
        0 objects copied (0 B), 2 there already, 1 there but different in TIME
        ! error: `size` is there with 5 bytes, not 6, and was left as it is (--overwrite replaces it)
        [4]
        $ provider cp -r one: two: --verify --concurrency 1
        0 objects copied (0 B), 1 there already, 2 there but different in TIME
        ! error: `content` is there with other content, and was left as it is (--overwrite replaces it)
        ! error: `size` is there with 5 bytes, not 6, and was left as it is (--overwrite replaces it)
        [4]
        $ provider cp -r one: two: --overwrite
        1 object copied (6 B), 2 there already in TIME
        $ provider get -p two size
        longer
        $ provider get -p two content
        bbb
        $ provider cp -r one: two: --overwrite --verify
        1 object copied (3 B), 2 there already in TIME
        $ provider get -p two content
        aaa
        $ provider cp -r one: two: --verify
        0 objects copied (0 B), 3 there already in TIME
    "#]].assert_eq(&bench.session(
        "provider cp -r one: two:
         provider cp -r one: two: --verify --concurrency 1
         provider cp -r one: two: --overwrite
         provider get -p two size
         provider get -p two content
         provider cp -r one: two: --overwrite --verify
         provider get -p two content
         provider cp -r one: two: --verify",
    ));
}

#[test]
fn an_object_too_large_for_its_destination_fails_alone() {
    let bench = Bench::with_config(TWO_FOLDERS);
    fill(&bench, "one", &[("a", "1234"), ("b", "12345"), ("c", "1")]);
    expect![[r#"
        $ provider cp -r one: scratch:
        2 objects copied (5 B), 1 failed in TIME
        ! error: `b` is too large: 5B, but provider `scratch` takes objects of up to 4B
        [1]
    "#]]
    .assert_eq(&bench.session("provider cp -r one: scratch:"));
}

#[test]
fn a_copy_that_was_killed_is_gone_on_with() {
    let bench = Bench::with_config(TWO_FOLDERS);
    // Through the command, so that the objects are what it makes them.
    fill(&bench, "one", &[("seed", &"x".repeat(10_000))]);
    for round in 0..9 {
        // Doubling: 512 objects take some time to copy.
        bench.ok(&format!("provider cp -r one: two:r{round}/ --quiet"));
        bench.ok(&format!("provider cp -r two:r{round}/ one:r{round}/ --quiet"));
    }
    bench.ok("provider rm -p two --prefix r --yes");
    let all = bench.ok("provider ls -p one --long");
    assert!(all.lines().count() >= 512);

    let mut copy = bench
        .command(&["provider", "cp", "-r", "one:", "two:", "--concurrency", "1"])
        .spawn()
        .unwrap();
    let start = Instant::now();
    while bench.ok("provider ls -p two").is_empty() && copy.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(120), "nothing was ever copied");
    }
    copy.kill().unwrap();
    let killed = copy.wait_with_output().unwrap();
    let there = bench.ok("provider ls -p two").lines().count();

    let summary: serde_json::Value =
        serde_json::from_str(&bench.ok("provider cp -r one: two: --json")).unwrap();
    assert_eq!(bench.ok("provider ls -p two --long"), all);
    assert_eq!(summary["skipped"], there, "what was there was not copied again");
    if killed.status.success() {
        // It was faster than we were: nothing was left to do.
        assert_eq!(summary["copied"], 0);
    }
    let verified = bench.ok("provider cp -r one: two: --verify --json");
    let verified: serde_json::Value = serde_json::from_str(&verified).unwrap();
    assert_eq!((&verified["copied"], &verified["differ"]), (&0.into(), &0.into()));
}

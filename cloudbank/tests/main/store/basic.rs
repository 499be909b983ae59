//! Putting, reading, listing and removing.

use expect_test::expect;

use super::{STORE, json, store};
use crate::support::Bench;

#[test]
fn a_first_session_without_any_configuration_works() {
    let bench = Bench::empty().variable("CLOUDBANK_AUTHOR", "alice@home");
    expect![[r#"
        $ store get a
        ! error: store on `local`: there is no store on fs:$DIR/data; make one with init
        [2]
        $ store init
        made store VERSION on provider `local`
        $ store init
        ! error: store on `local`: there is a store on fs:$DIR/data already
        [4]
        $ store init --if-absent
        store VERSION is on provider `local` already
        $ store put notes/1 - -m greeting
        put notes/1: 5 B, version 1
        $ store get notes/1
        hello
        $ store ls --long
                   5         1  MOMENT  notes/1
        $ store log
        1  MOMENT  VERSION  alice@home
            greeting
            - notes/1
        $ store rm notes/1
        removed 1 key, version 2
        $ store get notes/1
        ! error: store on `local`: `notes/1` has no value at version 2
        [3]
        $ store cat notes/1 --at 1
        hello
        $ store info
        id          VERSION
        provider    local
        version     2, MOMENT
        segments    0, 0 B, 0 changes, up to version 0
        checkpoint  none
        log         slot 2, 2 entries to read when opened
        memory      199 B not in segments, 0 B of segments
    "#]]
    .assert_eq(&bench.session(
        "store get a
         store init
         store init
         store init --if-absent
         <hello
         store put notes/1 - -m greeting
         store get notes/1
         store ls --long
         store log
         store rm notes/1
         store get notes/1
         store cat notes/1 --at 1
         store info",
    ));
}

#[test]
fn everything_is_written_as_json_too() {
    let bench = store();
    expect![[r#"
        $ store put a - --json -m one
        {"key":"a","size":5,"time":"MOMENT","transaction_id":"VERSION","version":1}
        $ store get a --json
        {"key":"a","size":5,"value":"hello","version":1}
        $ store get a file --json
        {"file":"file","key":"a","size":5,"version":1}
        $ store ls --json --long
        {"key":"a","size":5,"time":"MOMENT","version":1}
        $ store history a --json
        {"author":"alice@home","change":"put","key":"a","message":"one","size":5,"time":"MOMENT","transaction_id":"VERSION","version":1}
        $ store log --json
        {"author":"alice@home","keys":["a"],"message":"one","time":"MOMENT","transaction_id":"VERSION","version":1}
        $ store tag first --json
        {"tag":"first","version":1}
        $ store tag --json
        {"tag":"first","version":1}
        $ store undo 1 --json
        {"keys":1,"time":"MOMENT","transaction_id":"VERSION","undone":1,"version":3}
        $ store rm a --json
        {"removed":0}
        $ store rm --prefix x --yes --json
        {"removed":0}
        $ store tag --delete first --json
        {"deleted":true,"tag":"first"}
        $ store get a --json
        ! {"code":3,"error":"not_found","message":"store on `one`: `a` has no value at version 4"}
        [3]
        $ store import . --dry-run --json --prefix i/
        {"action":"put","key":"i/cloudbank.toml","size":196}
        {"action":"put","key":"i/file","size":5}
        {"bytes":201,"dry_run":true,"failed":0,"left_out":1,"put":2,"skipped":0,"version":null}
        ! left out: ./one: it is the folder of a provider
        $ store export . --dry-run --json --at 1
        {"action":"write","key":"a","size":5}
        {"bytes":5,"differ":0,"dry_run":true,"failed":0,"skipped":0,"version":1,"written":1}
    "#]].assert_eq(&bench.session(
        "<hello
         store put a - --json -m one
         store get a --json
         store get a file --json
         store ls --json --long
         store history a --json
         store log --json
         store tag first --json
         store tag --json
         store undo 1 --json
         store rm a --json
         store rm --prefix x --yes --json
         store tag --delete first --json
         store get a --json
         store import . --dry-run --json --prefix i/
         store export . --dry-run --json --at 1",
    ));
}

#[test]
fn conditions_decide_and_have_their_exit_code() {
    let bench = store();
    expect![[r#"
        $ store put a - --if-absent
        put a: 1 B, version 1
        $ store put a - --if-absent
        ! error: store on `one`: key "a" is version 1, not missing
        [4]
        $ store put a - --if-version 7
        ! error: store on `one`: key "a" is version 1, not version 7
        [4]
        $ store put new - --if-version 1
        ! error: store on `one`: key "new" is missing, not version 1
        [4]
        $ store put a - --if-version 1
        put a: 1 B, version 2
        $ store rm a --if-version 1
        ! error: store on `one`: key "a" is version 2, not version 1
        [4]
        $ store rm a b --if-version 2
        ! error: --if-version is for one key, and there are 2
        [2]
        $ store rm a --if-version 2
        removed 1 key, version 3
        $ store rm a --if-version 2
        ! error: store on `one`: key "a" is missing, not version 2
        [4]
        $ store put a - --if-absent --if-version 1
        ! error: the argument '--if-absent' cannot be used with '--if-version <N>'
        ! 
        ! Usage: cloudbank store put --if-absent --author <WHO> <KEY> <FILE>
        ! 
        ! For more information, try '--help'.
        [2]
    "#]]
    .assert_eq(&bench.session(
        "<1
         store put a - --if-absent
         <2
         store put a - --if-absent
         store put a - --if-version 7
         store put new - --if-version 1
         <2
         store put a - --if-version 1
         store rm a --if-version 1
         store rm a b --if-version 2
         store rm a --if-version 2
         store rm a --if-version 2
         store put a - --if-absent --if-version 1",
    ));
}

#[test]
fn lists_have_an_order_limits_and_both_directions() {
    let bench = store();
    for key in ["b/2", "a", "b/1", "c", "b/3"] {
        bench.feed(&format!("store put {key} -"), key.as_bytes());
    }
    expect![[r#"
        $ store ls
        a
        b/1
        b/2
        b/3
        c
        $ store ls b/
        b/1
        b/2
        b/3
        $ store ls b/ --reverse --limit 2
        b/3
        b/2
        $ store ls b/ --start-after b/1
        b/2
        b/3
        $ store ls b/ --start-after b/3 --reverse
        b/2
        b/1
        $ store ls --at 2
        a
        b/2
        $ store ls nothing/
        $ store ls --limit 0
        ! error: invalid value '0' for '--limit <N>': 0 is not in 1..18446744073709551615
        ! 
        ! For more information, try '--help'.
        [2]
    "#]]
    .assert_eq(&bench.session(
        "store ls
         store ls b/
         store ls b/ --reverse --limit 2
         store ls b/ --start-after b/1
         store ls b/ --start-after b/3 --reverse
         store ls --at 2
         store ls nothing/
         store ls --limit 0",
    ));
}

#[test]
fn a_prefix_is_removed_only_when_somebody_said_yes() {
    let bench = store();
    for key in ["b/2", "a", "b/1"] {
        bench.feed(&format!("store put {key} -"), b"x");
    }
    expect![[r#"
        $ store rm --prefix b/
        ! error: this would remove 2 keys, under `b/`, from the store on `one`
        !   = add --yes: there is no terminal to ask on
        [2]
        $ store rm --prefix b/ --yes
        removed 2 keys, version 4
        $ store rm --prefix b/ --yes
        removed 0 keys
        $ store rm a a nothing
        removed 1 key, version 5
        $ store ls
        $ store log --limit 2
        5  MOMENT  VERSION  alice@home
            - a
        4  MOMENT  VERSION  alice@home
            - all keys from b/ to before b0
    "#]]
    .assert_eq(&bench.session(
        "store rm --prefix b/
         store rm --prefix b/ --yes
         store rm --prefix b/ --yes
         store rm a a nothing
         store ls
         store log --limit 2",
    ));
}

#[test]
fn a_value_is_any_bytes_and_goes_through_files_whole() {
    let bench = store();
    let bytes: Vec<u8> =
        (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    bench.write("in", &bytes);
    bench.ok("store put big in");
    bench.write("out", "something else");
    bench.ok("store get big out");
    assert_eq!(bench.read("out"), bytes);
    assert_eq!(bench.feed("store cat big big", b"").stdout, [&bytes[..], &bytes[..]].concat());
    let described = json(&bench, "store get big --json");
    assert_eq!(described["size"], 300_000);
    assert!(described["value_base64"].is_string(), "{described}");
}

#[test]
fn the_same_id_is_committed_once() {
    let bench = store();
    let line = "store put a - --id 000102030405060708090a0b0c0d0e0f --json";
    let first = bench.feed(line, b"1");
    bench.feed("store put a -", b"2");
    let again = bench.feed(line, b"1");
    assert_eq!(String::from_utf8(first.stdout), String::from_utf8(again.stdout));
    assert_eq!(bench.ok("store get a"), "2");
    expect![[r#"
        $ store outcome 000102030405060708090a0b0c0d0e0f
        transaction VERSION was committed, version 1
        $ store outcome 00000000000000000000000000000000
        transaction VERSION was not committed, and never will be
        [3]
        $ store outcome 00000000000000000000000000000000 --json
        {"committed":false,"transaction_id":"VERSION","version":null}
        [3]
        $ store put a - --id 00000000000000000000000000000000
        ! error: store on `one`: transaction VERSION was asked about and shut out before it was committed
        [4]
    "#]].assert_eq(&bench.session(
        "store outcome 000102030405060708090a0b0c0d0e0f
         store outcome 00000000000000000000000000000000
         store outcome 00000000000000000000000000000000 --json
         <3
         store put a - --id 00000000000000000000000000000000",
    ));
}

#[test]
fn a_store_can_be_on_another_provider_than_the_configured_one() {
    let bench = Bench::with_config(STORE);
    bench.ok("store init --provider two");
    assert!(bench.session("store info").contains("there is no store"));
    bench.feed("store put a - --provider two", b"x");
    assert_eq!(bench.ok("store get a -p two"), "x");
}

#[test]
fn a_bench_measures_and_takes_its_keys_away() {
    let bench = store();
    let lines = bench.ok("store bench --count 20 --concurrency 1,4 --json");
    let operations: Vec<_> = lines
        .lines()
        .map(|line| {
            let measured: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(measured["count"], 20);
            assert!(measured["per_second"].as_f64().unwrap() > 0.0);
            let commits = measured["operation"] == "commit" || measured["operation"] == "update";
            assert_eq!(commits, measured["puts"].as_u64().unwrap() > 0, "{measured}");
            format!("{} {}", measured["operation"].as_str().unwrap(), measured["concurrency"])
        })
        .collect();
    assert_eq!(
        operations,
        [
            "commit 1",
            "update 1",
            "read-known 1",
            "read-latest 1",
            "commit 4",
            "update 4",
            "read-known 4",
            "read-latest 4",
        ]
    );
    assert_eq!(bench.ok("store ls"), "");
    assert!(bench.ok("store bench --count 1 --concurrency 1").starts_with("operation"));
}

#[test]
fn a_log_that_grows_is_put_into_segments_by_whoever_commits() {
    let bench = store();
    let lines: String = (0..100)
        .map(|n| format!("{{\"op\":\"put\",\"key\":\"k{n}\",\"value\":\"v\"}}\n"))
        .collect();
    bench.write("lines", lines);
    for _ in 0..96 {
        bench.ok("store txn lines");
    }
    let info = json(&bench, "store info --json --count");
    assert!(info["segments"].as_u64().unwrap() > 0, "{info}");
    assert!(info["tail_entries"].as_u64().unwrap() < 64, "{info}");
    assert_eq!(info["keys"], 100);
}

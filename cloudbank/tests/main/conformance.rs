//! `conformance` and `provider bench` from the command line.

use expect_test::expect;
use serde_json::Value;

use crate::support::{Bench, TWO_FOLDERS};

#[test]
fn a_run_shows_a_table_and_writes_every_report() {
    let bench = Bench::with_config(TWO_FOLDERS);
    let line = "conformance -p one --level core,txn --filter put.absent \
                --report json=r.json,junit=r.xml,markdown=r.md --seed 7";
    let output = bench.feed(line, b"");
    let said = bench.shown(&output);
    assert!(output.status.success(), "{said}");
    let raced = said.lines().find(|line| line.starts_with("put.absent.race-processes"));
    assert!(raced.unwrap().contains(" pass "), "a second process raced: {said}");
    assert!(said.contains("; seed 7\n") && said.contains("next: cloudbank conformance"), "{said}");
    let report: Value = serde_json::from_slice(&bench.read("r.json")).unwrap();
    assert_eq!(report["seed"], 7);
    assert!(report["cases"].as_array().unwrap().iter().all(|case| case["outcome"] == "pass"));
    assert!(String::from_utf8(bench.read("r.xml")).unwrap().contains("<testcase"));
    assert_eq!(String::from_utf8(bench.read("r.md")).unwrap().lines().count(), 3);
    assert_eq!(bench.ok("provider ls -p one"), "", "nothing is left behind");
}

#[test]
fn races_go_on_for_as_many_rounds_as_are_asked_for() {
    let bench = Bench::with_config(TWO_FOLDERS);
    let requests = |rounds: u32| {
        let line = "conformance -p one --level txn --filter put.absent.race --json --quiet";
        let report = bench.ok(&format!("{line} --rounds {rounds}"));
        let report: Value = serde_json::from_str(&report).unwrap();
        report["cases"][0]["requests"].as_u64().unwrap()
    };
    let (once, three_times) = (requests(1), requests(3));
    assert!(three_times > 2 * once, "{once} requests, then {three_times}");
}

#[test]
fn what_it_suggests_is_about_the_same_configuration() {
    let bench = Bench::with_config(TWO_FOLDERS);
    std::fs::copy(bench.path("cloudbank.toml"), bench.path("an other.toml")).unwrap();
    let arguments = ["--config", "an other.toml", "conformance", "-p", "one", "--filter"];
    let run = |more: &[&str]| {
        let output = bench.command(&[&arguments, more].concat()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let said = run(&["range.middle"]);
    let next = "next: cloudbank conformance --config 'an other.toml' --provider one --level all\n";
    assert!(said.ends_with(next), "{said}");
    let said = run(&["range.middle", "--level", "all"]);
    assert!(said.contains("range.middle") && !said.contains("next:"), "{said}");
}

#[test]
fn the_whole_core_passes_on_our_own_backends() {
    let bench = Bench::with_config(&TWO_FOLDERS.replace("object_bytes_max = \"4B\"", ""));
    for provider in ["one", "scratch"] {
        let report: Value = serde_json::from_str(
            &bench.ok(&format!("conformance --provider {provider} --json --quiet")),
        )
        .unwrap();
        assert!(report["cases"].as_array().unwrap().len() > 40, "{report}");
    }
}

#[test]
fn what_cannot_run_says_what_would() {
    let bench = Bench::with_config(TWO_FOLDERS);
    expect![[r#"
        $ conformance -p one --level kore
        ! error: there is no level `kore`
        !   = expected core, txn, scale, chaos, durability, or all
        !   = did you mean `core`?
        [2]
        $ conformance -p one --filter put.absnt.race --level all
        ! error: no case of level all matches `put.absnt.race`
        !   = did you mean `put.absent.race`?
        !   = `cloudbank conformance --list --level all` names them all
        [2]
        $ conformance -p one --filter put.absent.race
        ! error: no case of level core matches `put.absent.race`
        !   = put.absent.race is of level txn
        [2]
        $ conformance -p one --report html=x
        ! error: `html=x` does not say which report goes where
        !   = expected json=FILE, junit=FILE or markdown=FILE
        [2]
        $ conformance -p one --report jsn=x
        ! error: `jsn=x` does not say which report goes where
        !   = expected json=FILE, junit=FILE or markdown=FILE
        !   = did you mean `json`?
        [2]
        $ conformance -p one --report json=no/such/folder/x
        ! error: write no/such/folder/x: No such file or directory (os error 2)
        [1]
        $ conformance
        ! error: which provider? cloudbank.toml has several
        !   = add --provider with one, scratch or two
        [2]
    "#]]
    .assert_eq(&bench.session(
        "conformance -p one --level kore
         conformance -p one --filter put.absnt.race --level all
         conformance -p one --filter put.absent.race
         conformance -p one --report html=x
         conformance -p one --report jsn=x
         conformance -p one --report json=no/such/folder/x
         conformance",
    ));
}

#[test]
fn cases_are_listed_with_what_they_require() {
    let bench = Bench::empty();
    let list = bench.ok("conformance --list --filter range.middle");
    assert!(list.starts_with("range.middle  core  "), "{list}");
    let all = bench.ok("conformance --list --level all --json");
    assert!(all.lines().count() > 60);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_cleans_up_and_says_so() {
    use std::io::{BufRead, BufReader, Read};
    let bench = Bench::with_config(TWO_FOLDERS);
    let mut child = bench
        .command(&["conformance", "-p", "one", "--level", "scale", "--filter", "list.order.10000"])
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    stderr.read_line(&mut first).unwrap();
    assert!(first.contains("1 case of level scale"), "{first}");
    while bench.ok("provider ls -p one --limit 1").is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it put anything");
    }
    // Twice, as when the whole process group is told as well.
    for signal in ["-INT", "-TERM"] {
        let told =
            std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(told.unwrap().success());
    }
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("interrupted"), "{rest}");
    assert_eq!(bench.ok("provider ls -p one"), "", "nothing is left behind");
}

#[test]
fn a_bench_measures_ours_and_raw_and_leaves_nothing() {
    let bench = Bench::with_config(TWO_FOLDERS);
    let lines = bench.ok("provider bench -p one --sizes 1KiB --concurrency 1,4 --count 20 --json");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2 * 5 * 2, "two levels of five operations, ours and raw");
    for line in &lines {
        assert!(line["requests"].as_u64().unwrap() > 0, "{line}");
        assert!(line["p50_micros"].as_u64() <= line["max_micros"].as_u64(), "{line}");
    }
    assert_eq!(bench.ok("provider ls -p one"), "");
    let left = std::fs::read_dir(bench.path("")).unwrap().count();
    assert_eq!(left, 2, "cloudbank.toml and the folder of the provider");
    let table = bench.ok("provider bench -p scratch --sizes 4B --concurrency 1 --count 3 --quiet");
    assert!(table.lines().count() == 6 && table.contains("put-absent"), "{table}");
    expect![[r#"
        $ provider bench -p scratch
        ! error: objects of 1KiB are too large: provider `scratch` takes up to 4B
        [2]
        $ provider bench -p one --sizes big
        ! error: `big` is not a size
        !   = expected sizes such as 1KiB,64KiB,1MiB
        [2]
    "#]]
    .assert_eq(&bench.session(
        "provider bench -p scratch
         provider bench -p one --sizes big",
    ));
}

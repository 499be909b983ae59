//! Finding out how an array is, and bringing it back to what it should be.

use std::fs;

use super::{ERASURE, MIRROR, check_all, config, files, fill, json, states};
use crate::support::Bench;

#[test]
fn a_wiped_member_shows_and_is_filled_again() {
    for array in [ERASURE, MIRROR] {
        let bench = Bench::with_config(&config(&["a", "b", "c"], array));
        let names = fill(&bench, "safe", 5);
        let (status, code) = json(&bench, "array status");
        let data = status["data"].as_u64().unwrap();
        assert_eq!((code, status["can_lose"].as_u64()), (0, Some(3 - data)), "{status}");
        assert_eq!(states(&status), [("a", "up"), ("b", "up"), ("c", "up")]);
        fs::remove_dir_all(bench.path("b")).unwrap();
        let (status, code) = json(&bench, "array status -p safe");
        assert_eq!(code, 1, "{status}");
        assert_eq!(states(&status), [("a", "up"), ("b", "behind"), ("c", "up")]);
        assert_eq!(status["short_by"], serde_json::json!([0, 5, 0, 0]));
        assert_eq!(status["members"][1]["missing"], 5);
        let said = bench.session("array status");
        assert!(said.contains("5 short by 1 piece"), "{said}");
        assert!(said.contains("next: cloudbank array repair -p safe"), "{said}");
        let (repaired, code) = json(&bench, "array repair");
        assert_eq!((code, &repaired["repaired"]), (0, &5.into()), "{repaired}");
        let (status, code) = json(&bench, "array status");
        assert_eq!((code, &status["whole"]), (0, &true.into()), "{status}");
        let said = bench.ok("array repair");
        assert_eq!(said, "whole: 5 keys, and nothing lacks\n");
        fs::remove_dir_all(bench.path("a")).unwrap();
        check_all(&bench, "safe", &names);
    }
}

#[test]
fn what_a_missing_member_is_owed_is_said_shown_and_brought() {
    let bench = Bench::with_config(&config(&["a", "b", "c"], ERASURE));
    fill(&bench, "safe", 1);
    fs::remove_dir_all(bench.path("c")).unwrap();
    // Where there is a file, there can be no folder.
    bench.write("c", "");
    bench.write("late", "x".repeat(9999));
    let output = bench.feed("provider put -p safe late late", b"");
    let said = bench.shown(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("could not be brought to `c` yet, which is on record"), "{said}");
    assert!(said.contains("cloudbank array repair --provider safe"), "{said}");
    let (status, code) = json(&bench, "array status");
    assert_eq!((code, &status["can_lose"]), (1, &0.into()), "{status}");
    assert_eq!(states(&status), [("a", "up"), ("b", "up"), ("c", "down")]);
    let (repaired, code) = json(&bench, "array repair");
    assert_eq!((code, &repaired["away"]), (1, &serde_json::json!(["c"])), "{repaired}");
    fs::remove_file(bench.path("c")).unwrap();
    let (status, code) = json(&bench, "array status --brief");
    assert_eq!(code, 1, "it is on record: {status}");
    assert_eq!(states(&status)[2], ("c", "behind"));
    assert!(status["members"][2]["behind_since"].is_string(), "{status}");
    let (repaired, code) = json(&bench, "array repair");
    assert_eq!((code, &repaired["repaired"]), (0, &2.into()), "{repaired}");
    let (status, code) = json(&bench, "array status");
    assert_eq!((code, &status["whole"]), (0, &true.into()), "{status}");
}

#[test]
fn damage_is_found_by_a_scrub_shown_and_repaired() {
    for array in [ERASURE, MIRROR] {
        let bench = Bench::with_config(&config(&["a", "b", "c"], array));
        let names = fill(&bench, "safe", 4);
        let said = bench.ok("array status");
        assert!(said.contains("never scrubbed"), "{said}");
        let largest = files(&bench.path("c"))
            .into_iter()
            .max_by_key(|path| fs::metadata(path).unwrap().len())
            .unwrap();
        let mut bytes = fs::read(&largest).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&largest, bytes).unwrap();
        let (_, code) = json(&bench, "array status");
        assert_eq!(code, 0, "lists do not show it");
        let (found, code) = json(&bench, "array scrub --check");
        assert_eq!((code, &found["damaged"], &found["repaired"]), (1, &1.into(), &0.into()));
        assert_eq!(found["members"]["c"]["damaged"], 1, "{found}");
        let (status, code) = json(&bench, "array status");
        assert_eq!((code, states(&status)[2]), (1, ("c", "damaged")), "{status}");
        let (found, code) = json(&bench, "array scrub");
        assert_eq!((code, &found["repaired"]), (0, &1.into()), "{found}");
        let (status, code) = json(&bench, "array status");
        assert_eq!((code, states(&status)[2]), (0, ("c", "up")), "{status}");
        assert_eq!(status["last_scrub"]["damaged"], 1);
        let (found, _) = json(&bench, "array scrub --depth heads --rate 10MiB --at-once 2");
        assert_eq!((&found["damaged"], &found["objects"]), (&0.into(), &4.into()), "{found}");
        let said = bench.session("array repair k/01 k/99");
        assert!(said.contains("k/01: nothing wrong\nk/99: nothing wrong\n"), "{said}");
        check_all(&bench, "safe", &names);
    }
}

#[test]
fn what_cannot_be_repaired_stops_nothing_and_is_named() {
    let bench = Bench::with_config(&config(&["a", "b", "c"], ERASURE));
    fill(&bench, "safe", 3);
    for member in ["a", "b"] {
        for file in files(&bench.path(member)) {
            let mut bytes = fs::read(&file).unwrap();
            if bytes.len() > 1000 && file.to_string_lossy().contains("01") {
                let last = bytes.len() - 9;
                bytes[last] ^= 1;
                fs::write(&file, bytes).unwrap();
            }
        }
    }
    let (found, code) = json(&bench, "array scrub");
    assert_eq!((code, &found["unreadable"]), (1, &serde_json::json!(["k/01"])), "{found}");
    assert_eq!(found["objects"], 3);
    let said = bench.session("array status");
    assert!(said.contains("CANNOT BE READ: k/01"), "{said}");
}

#[test]
fn costs_are_told_for_those_who_declare_prices() {
    let prices = "prices = { gb_month = 20, gb_read = 90.0, thousand_puts = 0.005 }\n";
    let text =
        config(&["a", "b"], "") + &config(&["c"], "").replace("\n\n", &format!("\n{prices}\n"));
    let bench = Bench::with_config(&(text + ERASURE));
    fill(&bench, "safe", 3);
    let (status, _) = json(&bench, "array status");
    let (bytes, member) = (status["members"][2]["bytes"].as_f64().unwrap(), &status["members"][2]);
    let month = member["cost_a_month"].as_f64().unwrap();
    assert!((month - bytes * 20.0 / 1e9).abs() < 1e-12, "{status}");
    assert!((member["cost_to_read"].as_f64().unwrap() - bytes * 90.0 / 1e9).abs() < 1e-12);
    assert!(status["members"][0]["cost_a_month"].is_null(), "{status}");
    let said = bench.ok("array status");
    assert!(said.contains("a month") && said.contains("all of it costs"), "{said}");
    bench.write(
        "cloudbank.toml",
        config(&["a"], "").replace("\n\n", "\nprices = { gb_moth = 1 }\n"),
    );
    let said = bench.session("config check");
    assert!(said.contains("did you mean `gb_month`?"), "{said}");
}

#[test]
fn what_is_asked_of_the_wrong_provider_is_refused() {
    let bench = Bench::with_config(&config(&["a", "b", "c", "d"], ERASURE));
    for (line, said, code) in [
        ("array status -p a", "`a` is of type `fs`, which is made of no other provider", "[2]"),
        ("array status -p safer", "did you mean `safe`?", "[2]"),
        ("array rebalance", "has no `shard`: there is nothing to rebalance", "[2]"),
        ("array rotate -p safe", "there is nothing to encrypt anew", "[2]"),
        ("array scrub --rate fast", "--rate `fast` is no size", "[2]"),
        ("array add d -p safe", "has as many members as pieces", "[2]"),
        ("array replace d a -p safe", "`d` is no member of `safe`", "[3]"),
        ("array replace a b -p safe", "`b` is a member of `safe` already", "[4]"),
        ("array repair -p safe K", "`K` is not a key", "[2]"),
    ] {
        let session = bench.session(line);
        assert!(session.contains(said), "{session}");
        assert!(session.trim_end().ends_with(code), "{session}");
    }
    let bench = Bench::with_config(&config(&["a"], ""));
    assert!(bench.session("array status").contains("has no `mirror` or `erasure` or `shard`"));
}

//! Members that come and go.

use std::fs;

use super::{ERASURE, MIRROR, SHARD, check_all, config, fill, json, states};
use crate::support::Bench;

#[test]
fn a_member_of_an_erasure_is_replaced_by_another_provider_and_filled() {
    let bench = Bench::with_config(&config(&["a", "b", "c", "x"], ERASURE));
    let names = fill(&bench, "safe", 4);
    let before = bench.read("cloudbank.toml");
    let said = bench.ok("array replace b x");
    assert!(said.contains("members = [\"a\", \"x\", \"c\"]"), "{said}");
    assert!(said.contains("places = [\"a\", \"b\", \"c\"]"), "{said}");
    assert_eq!(bench.read("cloudbank.toml"), before, "nothing was to be written");
    fs::remove_dir_all(bench.path("b")).unwrap();
    bench.ok("array replace b x --write");
    bench.ok("config check");
    let text = String::from_utf8(bench.read("cloudbank.toml")).unwrap();
    assert!(
        text.contains(
            "members = [\"a\", \"x\", \"c\"] # the three\nplaces = [\"a\", \"b\", \"c\"]\n"
        ),
        "{text}"
    );
    check_all(&bench, "safe", &names);
    bench.ok("array repair -p safe");
    let (status, code) = json(&bench, "array status");
    assert_eq!(code, 0, "{status}");
    assert_eq!(states(&status), [("a", "up"), ("b", "up"), ("c", "up")]);

    fs::remove_dir_all(bench.path("c")).unwrap();
    // Another one only once this one has everything.
    fs::remove_dir_all(bench.path("b")).ok();
    let said = bench.session("array replace a b");
    assert!(said.contains("`c` lacks 4 pieces") && said.contains("[4]"), "{said}");
    check_all(&bench, "safe", &names);
    bench.ok("array repair");
    bench.ok("array replace x b --write");
    let text = String::from_utf8(bench.read("cloudbank.toml")).unwrap();
    assert!(!text.contains("places"), "everybody has the old name again: {text}");
}

#[test]
fn a_mirror_grows_and_shrinks() {
    let bench = Bench::with_config(&config(&["a", "b", "c", "d"], MIRROR));
    let names = fill(&bench, "safe", 3);
    bench.ok("array add d -p safe --write");
    let (status, code) = json(&bench, "array status");
    assert_eq!((code, states(&status)[3]), (1, ("d", "behind")), "{status}");
    let said = bench.session("array remove a -p safe --write");
    assert!(said.contains("`d` lacks 3 pieces") && said.contains("[4]"), "{said}");
    check_all(&bench, "safe", &names);
    bench.ok("array repair -p safe");
    for member in ["a", "b", "c"] {
        bench.ok(&format!("array remove {member} -p safe --write"));
        fs::remove_dir_all(bench.path(member)).unwrap();
    }
    let text = String::from_utf8(bench.read("cloudbank.toml")).unwrap();
    assert!(text.contains("members = [\"d\"]"), "{text}");
    check_all(&bench, "safe", &names);
    let said = bench.session("array remove d -p safe");
    assert!(said.contains("`d` is the only member of `safe`"), "{said}");
}

#[test]
fn a_shard_grows_moves_when_told_to_and_loses_a_member() {
    let bench = Bench::with_config(&config(&["a", "b", "c"], SHARD));
    let names = fill(&bench, "room", 24);
    let used = |name: &str| {
        let (status, _) = json(&bench, "array status");
        let members = status["members"].as_array().unwrap().clone();
        let found = members.iter().find(|member| member["name"] == name).cloned();
        found.map_or(0, |member| member["objects"].as_u64().unwrap())
    };
    bench.ok("array add c --weight 2 --write");
    let text = String::from_utf8(bench.read("cloudbank.toml")).unwrap();
    for line in [
        "members = [\"a\", \"b\", \"c\"]",
        "weights = [1, 1, 2]",
        "previous = [\"a\", \"b\"]",
        "previous_weights = [1, 1]",
    ] {
        assert!(text.contains(line), "{text}");
    }
    check_all(&bench, "room", &names);
    assert_eq!(used("c"), 0, "something moved unasked");
    let said = bench.session("array remove a --write");
    assert!(said.contains("the last change of `room` is not done"), "{said}");
    let (plan, _) = json(&bench, "array rebalance --dry-run");
    assert_eq!(used("c"), 0);
    let (moved, code) = json(&bench, "array rebalance");
    assert_eq!((code, &moved["moved"]), (0, &plan["to_move"]));
    assert_eq!(used("c"), moved["moved"].as_u64().unwrap());
    assert!(used("c") > 4, "{moved}");
    bench.ok("array rebalance --write");
    let text = String::from_utf8(bench.read("cloudbank.toml")).unwrap();
    assert!(!text.contains("previous"), "{text}");
    check_all(&bench, "room", &names);
    bench.ok("array remove a --write");
    check_all(&bench, "room", &names);
    bench.ok("array rebalance --write");
    fs::remove_dir_all(bench.path("a")).unwrap();
    check_all(&bench, "room", &names);
}

#[test]
fn a_newcomer_must_be_there_empty_and_used_by_nobody() {
    let arrays = format!(
        "{MIRROR}[providers.room]\ntype = \"shard\"\nmembers = [\"d\"]\n[store]\nprovider = \"e\"\n"
    );
    let away = "[providers.f]\ntype = \"fs\"\npath = \"f\"\n";
    let bench = Bench::with_config(&(config(&["a", "b", "c", "d", "e", "g"], &arrays) + away));
    bench.write("file", "text");
    bench.ok("provider put -p g k file");
    for (member, said, code) in [
        ("d", "`d` is a member of `room` already", "[4]"),
        ("e", "`e` is where [store] keeps something", "[4]"),
        ("f", "`f`", "[2]"),
        ("g", "`g` is not empty: there is k", "[4]"),
        ("h", "there is no provider `h`", "[2]"),
        ("a", "`a` is a member of `safe` already", "[4]"),
    ] {
        let session = bench.session(&format!("array add {member} -p safe --write"));
        assert!(session.contains(said), "{session}");
        assert!(session.trim_end().ends_with(code), "{session}");
    }
    let text = String::from_utf8(bench.read("cloudbank.toml")).unwrap();
    assert!(text.contains("members = [\"a\", \"b\", \"c\"]"), "nothing may be changed: {text}");
}

#[test]
fn keys_are_changed_by_encrypting_anew() {
    let secret = "[providers.secret]\ntype = \"encrypt\"\ninner = \"a\"\nkey = \"file:key\"\n";
    let bench = Bench::with_config(&config(&["a"], secret));
    let (old, new) = ("5a".repeat(32), "6b".repeat(32));
    bench.write("key", format!("{old}\n"));
    let names = fill(&bench, "secret", 3);
    bench.write("key", format!("{new}\n{old}\n"));
    let (rotated, code) = json(&bench, "array rotate");
    assert_eq!((code, &rotated["rotated"]), (0, &3.into()), "{rotated}");
    let (rotated, _) = json(&bench, "array rotate -p secret");
    assert_eq!(rotated["rotated"], 0, "{rotated}");
    bench.write("key", format!("{new}\n"));
    check_all(&bench, "secret", &names);
}

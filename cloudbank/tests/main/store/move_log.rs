//! A store whose log is moved by command, under processes that commit.

use expect_test::expect;

use super::writers::under_writers;
use crate::support::Bench;

fn providers(store: &str) -> String {
    let mut text = String::new();
    for name in ["home", "a", "b", "c"] {
        text += &format!("[providers.{name}]\ntype = \"fs\"\npath = \"{name}\"\ncreate = true\n");
    }
    text + "[store]\n" + store
}

const SPARES: &str = "provider = \"home\"\nspares = [\"a\", \"b\", \"c\"]\n";

fn put(bench: &Bench, value: &str) {
    let output = bench.feed("store put key -", value.as_bytes());
    assert!(output.status.success(), "{}", bench.shown(&output));
}

#[test]
fn a_log_is_moved_to_voters_and_back_by_command_and_what_to_write_is_said() {
    let bench = Bench::with_config(&providers("provider = \"home\"\n"));
    bench.ok("store init");
    put(&bench, "one");
    let refused = bench.session(
        "store move-log a b c
        store move-log a
        store move-log a b
        store move-log nobody b c
        store move-log home",
    );
    expect![[r#"
        $ store move-log a b c
        ! error: `a`, `b`, `c`: not named in [store] as voters, so whoever uses the store now could not reach them
        !   = write in cloudbank.toml, [store], wherever the store is used: spares = ["a", "b", "c"]
        !   = restart what uses it, and run this again
        [2]
        $ store move-log a
        ! error: `a` does not keep the objects of the store, where the log can be alone
        !   = that is `home`; or name an odd number of voters, three at least
        [2]
        $ store move-log a b
        ! error: a log has one provider, or an odd number of voters, and not 2
        [2]
        $ store move-log nobody b c
        ! error: there is no provider `nobody` in cloudbank.toml
        !   = expected a, b, c or home
        [2]
        $ store move-log home
        the log is on `home` now, where the objects are, as before
    "#]]
    .assert_eq(&refused);
    bench.write("cloudbank.toml", providers(SPARES));
    let moved = bench.session(
        "store move-log a b c
        store move-log a b c
        store cat key
        store move-log home --json
        store move-log a b c --json",
    );
    expect![[r#"
        $ store move-log a b c
        the log is on a, b, c now; 2 of 3 decide, so 1 voter may be lost
        what the log has left is needed until everything that uses the store was restarted
        write in cloudbank.toml, [store], wherever the store is used:
          log = ["a", "b", "c"]
          objects = "home"
          (without provider)
          (without spares)
        $ store move-log a b c
        the log is on a, b, c now; 2 of 3 decide, so 1 voter may be lost, as before
        write in cloudbank.toml, [store], wherever the store is used:
          log = ["a", "b", "c"]
          objects = "home"
          (without provider)
          (without spares)
        $ store cat key
        one
        $ store move-log home --json
        {"file":"cloudbank.toml","log":["home"],"moved":true,"settings":{}}
        $ store move-log a b c --json
        {"file":"cloudbank.toml","log":["a","b","c"],"moved":true,"settings":{"log":"[\"a\", \"b\", \"c\"]","objects":"\"home\"","provider":null,"spares":null}}
    "#]]
    .assert_eq(&moved);
    bench.write("cloudbank.toml", providers("log = [\"a\", \"b\", \"c\"]\nobjects = \"home\"\n"));
    put(&bench, "two");
    let info = bench.ok("store info");
    // Two of them decide; the third may have been overtaken by the end of the command.
    assert!(info.matches("  current").count() >= 2, "{info}");
    assert!(["/a ", "/b ", "/c "].iter().all(|voter| info.contains(voter)), "{info}");
    // Anybody may be lost.
    std::fs::remove_dir_all(bench.path("b")).unwrap();
    assert_eq!(bench.ok("store cat key"), "two");
    let back = bench.session("store move-log home");
    expect![[r#"
        $ store move-log home
        the log is on `home` now, where the objects are
        what the log has left is needed until everything that uses the store was restarted
        write in cloudbank.toml, [store], wherever the store is used:
          provider = "home"
          (without log)
          (without objects)
    "#]]
    .assert_eq(&back);
    put(&bench, "three");
    // Who opens it now needs none of those that it has left.
    bench.write("cloudbank.toml", providers("provider = \"home\"\n"));
    for left in ["a", "c"] {
        std::fs::remove_dir_all(bench.path(left)).unwrap();
    }
    assert_eq!(bench.ok("store cat key"), "three");
    let verified = bench.ok("store verify");
    assert!(verified.contains("sound: version 3"), "{verified}");
}

#[test]
fn who_was_not_told_of_the_voters_is_refused_with_what_to_name() {
    let bench = Bench::with_config(&providers(SPARES));
    bench.ok("store init");
    put(&bench, "one");
    bench.ok("store move-log a b c");
    bench.write("cloudbank.toml", providers("provider = \"home\"\n"));
    let refused = bench.session("store cat key");
    expect![[r#"
        $ store cat key
        ! error: store on `home`: misconfigured: the log of the store on fs:$DIR/home is on a quorum of voters: name them, as voters or as spares
        [2]
    "#]]
    .assert_eq(&refused);
}

/// Processes that know who may vote commit all the while, and none of them is refused.
#[test]
fn a_log_is_moved_there_and_back_under_processes_that_commit() {
    let bench = Bench::with_config(&providers(SPARES));
    bench.ok("store init");
    let there = "store move-log a b c";
    let back = "store move-log home";
    under_writers(&bench, &[there, back, there, back], || ());
}

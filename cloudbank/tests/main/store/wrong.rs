//! Everything that can be wrong with a command on a store, and what is said about it.

use expect_test::{Expect, expect};

use super::{STORE, store};
use crate::support::Bench;

/// Runs a command line with a configuration and compares what is said.
fn check(config: &str, line: &str, expected: Expect) {
    expected.assert_eq(&Bench::with_config(config).session(line));
}

const PROVIDERS: &str = "\
[providers.a]
type = \"fs\"
path = \"a\"
create = true
[providers.b]
type = \"memory\"
";

#[test]
fn several_providers_and_no_store_ask_for_a_choice() {
    check(
        PROVIDERS,
        "store ls",
        expect![[r#"
        $ store ls
        ! error: which provider? cloudbank.toml has several
        !   = add --provider with a or b
        !   = or say in the configuration where the store is: [store] provider = "a"
        [2]
    "#]],
    );
}

#[test]
fn log_and_objects_may_be_on_two_providers() {
    let config = format!("{PROVIDERS}[store]\nlog = \"a\"\nobjects = \"b\"");
    check(
        &config,
        "store ls",
        expect![[r#"
        $ store ls
        ! error: store on `a+b`: there is no store on split(log fs:$DIR/a, objects memory); make one with init
        [2]
    "#]],
    );
    check(
        &config,
        "config check",
        expect![[r#"
        $ config check
        provider  type    state
        a         fs      well written
        b         memory  well written
        cloudbank.toml: no problem
    "#]],
    );
    check(
        &config,
        "provider ls -p a",
        expect![[r#"
        $ provider ls -p a
    "#]],
    );
}

#[test]
fn log_and_objects_on_the_same_provider_are_a_store() {
    let config = format!("{PROVIDERS}[store]\nlog = [\"a\"]\nobjects = \"a\"");
    check(
        &config,
        "store ls",
        expect![[r#"
            $ store ls
            ! error: store on `a`: there is no store on fs:$DIR/a; make one with init
            [2]
        "#]],
    );
}

#[test]
fn roles_that_contradict_or_are_alone_are_named() {
    let roles = |roles: &str| format!("{PROVIDERS}[store]\n{roles}");
    check(
        &roles("provider = \"a\"\nlog = \"a\""),
        "store ls",
        expect![[r#"
        $ store ls
        ! error: `log` contradicts `provider`, which is for both log and objects
        !  --> cloudbank.toml:9:7
        !   |
        ! 9 | log = "a"
        !   |       ^^^
        !   = remove one of the two
        [2]
    "#]],
    );
    check(
        &roles("log = \"a\""),
        "store ls",
        expect![[r#"
        $ store ls
        ! error: `log` needs `objects` beside it
        !  --> cloudbank.toml:8:7
        !   |
        ! 8 | log = "a"
        !   |       ^^^
        !   = add `objects`, or write `provider` for both
        [2]
    "#]],
    );
    check(
        &roles("objects = \"a\""),
        "store ls",
        expect![[r#"
        $ store ls
        ! error: `objects` needs `log` beside it
        !  --> cloudbank.toml:8:11
        !   |
        ! 8 | objects = "a"
        !   |           ^^^
        !   = add `log`, or write `provider` for both
        [2]
    "#]],
    );
    check(
        &roles("log = [\"a\", \"b\"]\nobjects = \"a\""),
        "store ls",
        expect![[r#"
        $ store ls
        ! error: a log has one provider, or an odd number of voters, and not 2
        !  --> cloudbank.toml:8:7
        !   |
        ! 8 | log = ["a", "b"]
        !   |       ^^^^^^^^^^
        !   = expected 3 names of providers, or 5, up to 15
        !   = more than half of the voters decide: with an even number no more may fail than with one less
        [2]
    "#]],
    );
    check(
        &roles("log = [\"a\", \"b\", \"a\"]\nobjects = \"a\""),
        "store ls",
        expect![[r#"
        $ store ls
        ! error: `log` names `a` twice
        !  --> cloudbank.toml:8:7
        !   |
        ! 8 | log = ["a", "b", "a"]
        !   |       ^^^^^^^^^^^^^^^
        !   = what one provider loses is lost once: let another vote
        [2]
    "#]],
    );
    check(
        &roles("log = \"a\"\nobjects = \"a\"\nspares = [\"b\"]"),
        "store ls",
        expect![[r#"
        $ store ls
        ! error: `spares` are for a store on one provider, or a log on several voters
        !   --> cloudbank.toml:10:10
        !    |
        ! 10 | spares = ["b"]
        !    |          ^^^^^
        !    = name the voters: log = ["a", "b", "c"], and objects beside it
        [2]
    "#]],
    );
    check(
        &roles("log = \"a\"\nobjects = [\"a\", \"b\"]"),
        "store ls",
        expect![[r#"
        $ store ls
        ! error: `objects` is a list
        !  --> cloudbank.toml:9:11
        !   |
        ! 9 | objects = ["a", "b"]
        !   |           ^^^^^^^^^^
        !   = expected the name of a provider in quotes
        [2]
    "#]],
    );
    check(
        &roles("provider = \"c\""),
        "store ls",
        expect![[r#"
        $ store ls
        ! error: `provider` names a provider there is not: `c`
        !  --> cloudbank.toml:8:12
        !   |
        ! 8 | provider = "c"
        !   |            ^^^
        !   = expected a or b
        !   = did you mean `a`?
        [2]
    "#]],
    );
}

#[test]
fn a_store_in_memory_says_that_it_is_gone() {
    check(
        PROVIDERS,
        "store init -p b",
        expect![[r#"
        $ store init -p b
        made store VERSION on provider `b`
        ! warning: provider `b` keeps its objects in memory, and this command ends now
    "#]],
    );
}

#[test]
fn where_there_is_no_store_it_is_said_how_to_make_one() {
    for line in ["store ls", "store ls --json", "store watch", "store bench", "store undo 1"] {
        let said = Bench::with_config(STORE).session(line);
        assert!(said.contains("there is no store on fs:$DIR/one"), "{said}");
        assert!(said.ends_with("[2]\n"), "{said}");
    }
    check(
        STORE,
        "store ls",
        expect![[r#"
            $ store ls
            ! error: store on `one`: there is no store on fs:$DIR/one; make one with init
            [2]
        "#]],
    );
}

#[test]
fn what_is_not_there_and_what_cannot_be_is_named() {
    let bench = store();
    expect![[r#"
        $ store put a missing
        ! error: read missing: No such file or directory (os error 2)
        [1]
        $ store put a .
        ! error: . is a folder: a value is made of a file
        !   = `cloudbank store import .` puts all its files
        [2]
        $ store get a
        ! error: store on `one`: `a` has no value at version 0
        [3]
        $ store get a no/such/folder
        ! error: there is no folder no/such
        !   = mkdir -p no/such
        [2]
        $ store cat a b
        ! error: store on `one`: `a` has no value at version 0
        [3]
        $ store import missing
        ! error: read missing: No such file or directory (os error 2)
        [1]
        $ store import cloudbank.toml
        ! error: cloudbank.toml is not a folder
        !   = `cloudbank store put KEY cloudbank.toml` puts a file
        [2]
        $ store export cloudbank.toml
        ! error: cloudbank.toml is not a folder
        [2]
        $ store outcome nonsense
        ! error: `nonsense` is not the id of a transaction
        !   = expected 32 hexadecimal digits
        [2]
        $ store bench --size huge
        ! error: `huge` is not a size
        !   = expected a size such as 100B or 64KiB
        [2]
        $ store bench --size 1GiB
        ! error: values of 1GiB are too large: they are made in memory, up to 32MiB
        [2]
        $ store get
        ! error: the following required arguments were not provided:
        !   <KEY>
        ! 
        ! Usage: cloudbank store get <KEY> [FILE]
        ! 
        ! For more information, try '--help'.
        [2]
    "#]]
    .assert_eq(&bench.session(
        "store put a missing
         store put a .
         store get a
         store get a no/such/folder
         store cat a b
         store import missing
         store import cloudbank.toml
         store export cloudbank.toml
         store outcome nonsense
         store bench --size huge
         store bench --size 1GiB
         store get",
    ));
}

#[test]
fn an_object_that_is_not_a_store_is_not_taken_for_one() {
    let bench = Bench::with_config(STORE);
    bench.feed("provider put -p one format -", b"something else");
    expect![[r#"
        $ store ls
        ! error: store on `one`: the object "format" is not that of a cloudbank store
        [1]
        $ store init
        ! error: store on `one`: there is a store on fs:$DIR/one already
        [4]
    "#]]
    .assert_eq(&bench.session("store ls\nstore init"));
    bench.feed(
        "provider put -p one format -",
        b"cloudbank store\nformat 9\nid 00000000000000000000000000000000\n",
    );
    expect![[r#"
        $ store ls
        ! error: store on `one`: the store is of format 9, and this program knows formats 1 to 4
        [1]
    "#]]
    .assert_eq(&bench.session("store ls"));
}

#[test]
fn every_command_teaches_with_examples() {
    let bench = Bench::empty();
    let help = bench.ok("store --help");
    let commands: Vec<_> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        let help = bench.ok(&format!("store {command} --help"));
        assert!(help.contains("Examples:\n  cloudbank store "), "{command}:\n{help}");
    }
}

/// One value that could not be told ended every listing, and an import over it.
#[test]
fn a_number_added_to_what_is_none_is_named_and_the_others_are_listed() {
    let bench = store();
    bench.session(
        r#"<1
          store put a -
          <text
          store put b -
          <3
          store put c -
          <{"op":"add","key":"b","number":1}
          store txn -"#,
    );
    expect![[r#"
        $ store ls
        a
        c
        ! error: store on `one`: key "b": a number was added to a value of 4 bytes, which is not one of 8
        [1]
        $ store ls --reverse --limit 2 --json
        {"key":"c","size":1,"version":3}
        ! {"code":1,"error":"failed","kind":"not_a_number","message":"store on `one`: key \"b\": a number was added to a value of 4 bytes, which is not one of 8","provider":"one"}
        [1]
        $ store export out
        2 files written (2 B), 1 failed, version 4, in TIME
        ! error: store on `one`: key "b": a number was added to a value of 4 bytes, which is not one of 8
        [1]
    "#]]
    .assert_eq(&bench.session(
        "store ls
         store ls --reverse --limit 2 --json
         store export out",
    ));
    let info: serde_json::Value =
        serde_json::from_str(&bench.ok("store info --count --json")).unwrap();
    assert_eq!(info["keys"], 3);
    bench.write("out/b", "new");
    expect![[r#"
        $ store import out --dry-run
        skip     a  1 B
        replace  b  3 B
        skip     c  1 B
        nothing done; it would be: 1 file put (3 B), 2 there already
        $ store import out
        1 file put (3 B), 2 there already, in TIME
        $ store ls
        a
        b
        c
    "#]]
    .assert_eq(&bench.session(
        "store import out --dry-run
         store import out
         store ls",
    ));
}

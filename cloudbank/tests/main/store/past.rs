//! History, time travel, undo, tags, watching.

use std::io::{BufRead, BufReader};

use expect_test::expect;

use super::{json, store};

/// A store with a short past.
fn past() -> crate::support::Bench {
    let bench = store();
    bench.session(
        "<one
         store put a - -m first
         <two
         store put a - -m second
         <three
         store put b - --author bob
         store rm a -m third
         <four
         store put c -",
    );
    bench
}

#[test]
fn a_history_shows_all_that_a_key_was() {
    let bench = past();
    expect![[r#"
        $ store history a
        version  time                         change  bytes  author      message
              4  MOMENT  delete      -  alice@home  third
              2  MOMENT  put         3  alice@home  second
              1  MOMENT  put         3  alice@home  first
        $ store history a --limit 1
        version  time                         change  bytes  author      message
              4  MOMENT  delete      -  alice@home  third
        $ store history a --at 2
        version  time                         change  bytes  author      message
              2  MOMENT  put         3  alice@home  second
              1  MOMENT  put         3  alice@home  first
        $ store history nothing
        ! error: store on `one`: `nothing` never had a value up to version 5
        [3]
        $ store log a
        4  MOMENT  VERSION  alice@home
            third
            - a
        2  MOMENT  VERSION  alice@home
            second
            - a
        1  MOMENT  VERSION  alice@home
            first
            - a
        $ store log --prefix b
        3  MOMENT  VERSION  bob
            - b
        $ store log --limit 2
        5  MOMENT  VERSION  alice@home
            - c
        4  MOMENT  VERSION  alice@home
            third
            - a
        $ store log --all --limit 1
        5  MOMENT  VERSION  alice@home
            - c
        $ store log --at 1 --json
        {"author":"alice@home","keys":["a"],"message":"first","time":"MOMENT","transaction_id":"VERSION","version":1}
    "#]].assert_eq(&bench.session(
        "store history a
         store history a --limit 1
         store history a --at 2
         store history nothing
         store log a
         store log --prefix b
         store log --limit 2
         store log --all --limit 1
         store log --at 1 --json",
    ));
}

#[test]
fn every_read_takes_a_version_a_time_or_a_tag() {
    let bench = past();
    let time =
        json(&bench, "store log a --at 2 --limit 1 --json")["time"].as_str().unwrap().to_owned();
    bench.ok("store tag second --at 2");
    for at in ["2", &time, "second", "tag:second"] {
        assert_eq!(bench.ok(&format!("store get a --at {at}")), "two", "{at}");
    }
    expect![[r#"
        $ store ls --at 3
        a
        b
        $ store ls --at latest
        b
        c
        $ store ls --at 0
        $ store ls --at 1970-01-02
        $ store get a --at 1
        one
        $ store get a --at 99
        ! error: store on `one`: the last version is 6, and not yet 99
        [3]
        $ store get a --at secund
        ! error: `secund` is no version, no time and no tag of this store
        !   = expected a version, a time such as 2026-11-22, 2026-11-22T10:00:00Z or '2 hours ago', or a tag
        !   = did you mean `second`?
        [3]
        $ store get a --at 2026-13-45
        ! error: `2026-13-45` is no version, no time and no tag of this store
        !   = expected a version, a time such as 2026-11-22, 2026-11-22T10:00:00Z or '2 hours ago', or a tag
        [3]
    "#]].assert_eq(&bench.session(
        "store ls --at 3
         store ls --at latest
         store ls --at 0
         store ls --at 1970-01-02
         store get a --at 1
         store get a --at 99
         store get a --at secund
         store get a --at 2026-13-45",
    ));
}

#[test]
fn an_undo_puts_back_and_names_what_is_in_its_way() {
    let bench = past();
    let id = json(&bench, "store log --at 3 --limit 1 --json")["transaction_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        bench.ok(&format!("store undo {id} -m away")),
        "undid version 3: 1 key put back, version 6\n"
    );
    expect![[r#"
        $ store undo 4
        undid version 4: 1 key put back, version 7
        $ store get a
        two
        $ store undo 1
        ! error: store on `one`: version 1 cannot be undone: changed since: "a"
        [4]
        $ store ls
        a
        c
        $ store undo 6
        undid version 6: 1 key put back, version 8
        $ store undo 99
        ! error: store on `one`: there is no transaction of version 99: they go from 1 to 8
        [3]
        $ store undo 0
        ! error: store on `one`: there is no transaction of version 0: they go from 1 to 8
        [3]
        $ store undo nonsense
        ! error: `nonsense` is not a transaction
        !   = expected a version or an id of 32 hexadecimal digits, as `cloudbank store log` shows them
        [2]
        $ store log --limit 3
        8  MOMENT  VERSION  alice@home
            undo version 6: away
            - b
        7  MOMENT  VERSION  alice@home
            undo version 4: third
            - a
        6  MOMENT  VERSION  alice@home
            away
            - b
    "#]].assert_eq(&bench.session(
        "store undo 4
         store get a
         store undo 1
         store ls
         store undo 6
         store undo 99
         store undo 0
         store undo nonsense
         store log --limit 3",
    ));
}

#[test]
fn tags_are_listed_kept_and_taken_away() {
    let bench = past();
    expect![[r#"
        $ store tag
        $ store tag now
        version 5 is now
        $ store tag then --at 1
        version 1 is then
        $ store tag then --at 1
        version 1 is then
        $ store tag then --at 2
        ! error: store on `one`: the tag "then" is that of version 1, not 2
        [4]
        $ store tag
        version  tag
              5  now
              1  then
        $ store tag --delete then
        took the tag then away
        $ store tag --delete then
        ! error: store on `one`: there is no tag `then`
        [3]
        $ store tag 17
        ! error: `17` is not a name for a tag: --at would take it for a version
        [2]
        $ store tag latest
        ! error: `latest` is not a name for a tag: --at would take it for a version
        [2]
        $ store tag --at 1
        ! error: --at says which version to name, and there is no name
        [2]
        $ store tag --delete
        ! error: the following required arguments were not provided:
        !   <NAME>
        ! 
        ! Usage: cloudbank store tag --delete <NAME>
        ! 
        ! For more information, try '--help'.
        [2]
    "#]]
    .assert_eq(&bench.session(
        "store tag
         store tag now
         store tag then --at 1
         store tag then --at 1
         store tag then --at 2
         store tag
         store tag --delete then
         store tag --delete then
         store tag 17
         store tag latest
         store tag --at 1
         store tag --delete",
    ));
}

#[test]
fn a_watch_passes_on_what_there_was_and_ends_where_it_was_told() {
    let bench = past();
    expect![[r#"
        $ store watch --from 1 --limit 3
        2  MOMENT  VERSION  alice@home
            second
            ~ a  3 B
        3  MOMENT  VERSION  bob
            + b  5 B
        4  MOMENT  VERSION  alice@home
            third
            - a
        $ store watch --from 0 --limit 1 b
        3  MOMENT  VERSION  bob
            + b  5 B
        $ store watch --from 3 --limit 1 --json
        {"author":"alice@home","changes":[{"before_size":3,"before_version":2,"key":"a","size":null}],"keys":["a"],"message":"third","time":"MOMENT","transaction_id":"VERSION","version":4}
        $ store watch --from never
        ! error: `never` is not a version
        !   = expected a number, as `cloudbank store log` shows it
        [2]
    "#]].assert_eq(&bench.session(
        "store watch --from 1 --limit 3
         store watch --from 0 --limit 1 b
         store watch --from 3 --limit 1 --json
         store watch --from never",
    ));
}

#[test]
fn a_watch_writes_each_commit_at_once_and_says_where_it_ended() {
    let bench = past();
    let mut watch = bench.command(&["store", "watch", "--from", "5", "--json"]).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    for value in ["x", "y"] {
        bench.feed("store put a -", value.as_bytes());
        let line: serde_json::Value =
            serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(line["changes"][0]["key"], "a");
    }
    let id = watch.id().to_string();
    std::process::Command::new("kill").args(["-INT", &id]).status().unwrap();
    let output = watch.wait_with_output().unwrap();
    expect![[r#"
        ! {"code":130,"error":"interrupted","message":"everything up to version 7 was seen\n  = --from 7 goes on there"}
        [130]
    "#]].assert_eq(&bench.shown(&output));
}

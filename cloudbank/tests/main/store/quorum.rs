//! A store with its log on three voters, each of which keeps a part of its objects too.

use expect_test::expect;

use super::writers::under_writers;
use crate::support::Bench;

const QUORUM: &str = r#"
[providers.a]
type = "fs"
path = "a"
create = true
[providers.b]
type = "fs"
path = "b"
create = true
[providers.c]
type = "fs"
path = "c"
create = true
[providers.safe]
type = "mirror"
members = ["a", "b", "c"]
[store]
log = ["a", "b", "c"]
objects = "safe"
"#;

/// How many of the voters are lost, as `store info` says. Of the others one may be behind: a command ends as soon as
/// more than half of them have what it commits.
fn lost(bench: &Bench) -> usize {
    let info = bench.ok("store info");
    let voters = info.lines().skip_while(|line| !line.starts_with("voters"));
    let voters: Vec<_> = voters.take_while(|line| !line.starts_with("memory")).collect();
    assert_eq!(voters.len(), 3, "{info}");
    voters.iter().filter(|line| line.contains("  lost: its marker is gone")).count()
}

fn put(bench: &Bench, value: &str) {
    let output = bench.feed("store put key -", value.as_bytes());
    assert!(output.status.success(), "{}", bench.shown(&output));
}

#[test]
fn it_is_made_used_and_verified_and_one_voter_may_be_lost() {
    let bench = Bench::with_config(QUORUM);
    let made = bench.ok("store init");
    assert!(made.contains("on provider `a+b+c+safe`"), "{made}");
    put(&bench, "the value");
    assert_eq!(bench.ok("store cat key"), "the value");
    assert_eq!(lost(&bench), 0);
    let verified = bench.ok("store verify");
    assert!(verified.contains("sound: version 1"), "{verified}");
    let shown = bench.ok("config show");
    let roles = "[store]\nlog = [\"a\", \"b\", \"c\"]\nobjects = \"safe\"\n";
    assert!(shown.contains(roles), "{shown}");
    // Nobody but `info` notices that one of them is gone for good.
    std::fs::remove_dir_all(bench.path("b")).unwrap();
    assert_eq!(bench.ok("store cat key"), "the value");
    put(&bench, "another");
    assert_eq!(bench.ok("store cat key"), "another");
    assert_eq!(lost(&bench), 1);
    assert_eq!(bench.ok("store mend"), "1 new voter in the place of lost ones\n");
    assert_eq!(lost(&bench), 0);
    assert_eq!(bench.ok("store mend"), "no voter is lost\n");
    // So that another can be.
    std::fs::remove_dir_all(bench.path("a")).unwrap();
    put(&bench, "a third");
    assert_eq!(bench.ok("store cat key"), "a third");
}

/// Three voters, two that may vote one day, one that nobody named, and the objects elsewhere.
fn with_spares() -> Bench {
    let mut text = String::new();
    for name in ["a", "b", "c", "d", "e", "f", "objects"] {
        text += &format!("[providers.{name}]\ntype = \"fs\"\npath = \"{name}\"\ncreate = true\n");
    }
    text +=
        "[store]\nlog = [\"a\", \"b\", \"c\"]\nobjects = \"objects\"\nspares = [\"d\", \"e\"]\n";
    Bench::with_config(&text)
}

#[test]
fn voters_come_and_go_by_command_and_what_to_write_is_said() {
    let bench = with_spares();
    bench.ok("store init");
    put(&bench, "the value");
    let session = bench.session(
        "array replace c d --log
        array replace c d --log
        array add e --log
        array remove b --log
        array remove e --log
        array add f --log
        array add nobody --log
        array remove f --log
        array add e --log --weight 2
        array replace a a --log
        array add e --log -p objects
        array replace a e --log --json",
    );
    expect![[r#"
        $ array replace c d --log
        `d` votes in the place of `c`
        voters: a, b, d; 2 of 3 decide, so 1 voter may be lost
        write in cloudbank.toml, [store], wherever the store is used:
          log = ["a", "b", "d"]
          spares = ["e"]
        $ array replace c d --log
        `d` votes in the place of `c`, as before
        voters: a, b, d; 2 of 3 decide, so 1 voter may be lost
        write in cloudbank.toml, [store], wherever the store is used:
          log = ["a", "b", "d"]
          spares = ["e"]
        $ array add e --log
        `e` votes now
        voters: a, b, d, e; 3 of 4 decide, so 1 voter may be lost
        next: add or remove another; an even number survives no more losses than one less
        $ array remove b --log
        `b` votes no more
        voters: a, d, e; 2 of 3 decide, so 1 voter may be lost
        write in cloudbank.toml, [store], wherever the store is used:
          log = ["a", "d", "e"]
          (without spares)
        $ array remove e --log
        ! error: store on `a+b+c+objects`: misconfigured: 3 voters survive the loss of one, and fewer of none; replace fs:$DIR/e, or add another voter first
        [2]
        $ array add f --log
        ! error: `f` is not named in [store], so whoever uses the store now could not reach it
        !   = write in cloudbank.toml, [store], wherever the store is used: spares = ["d", "e", "f"]
        !   = restart what uses it, and run this again
        [2]
        $ array add nobody --log
        ! error: there is no provider `nobody` in cloudbank.toml
        !   = expected a, b, c, d, e, f or objects
        [2]
        $ array remove f --log
        ! error: `f` is no voter of the log
        !   = [store] names a, b, c, d, e
        [3]
        $ array add e --log --weight 2
        ! error: a voter has no weight: each has one vote
        [2]
        $ array replace a a --log
        ! error: `a` cannot take its own place
        !   = one that was wiped votes again after: cloudbank store mend
        [2]
        $ array add e --log -p objects
        ! error: the argument '--log' cannot be used with '--provider <NAME>'
        ! 
        ! Usage: cloudbank array add --log <MEMBER>
        ! 
        ! For more information, try '--help'.
        [2]
        $ array replace a e --log --json
        ! {"code":2,"error":"usage","kind":"misconfigured","message":"store on `a+b+c+objects`: misconfigured: fs:$DIR/a and fs:$DIR/e are both voters; remove fs:$DIR/a, or name another to take its place","provider":"a+b+c+objects"}
        [2]
    "#]].assert_eq(&session);
    // Those who were let go may be deleted.
    for gone in ["a", "b", "c"] {
        std::fs::remove_dir_all(bench.path(gone)).unwrap();
    }
    let text = String::from_utf8(bench.read("cloudbank.toml")).unwrap();
    bench.write(
        "cloudbank.toml",
        text.replace("[\"a\", \"b\", \"c\"]", "[\"d\", \"e\", \"b\"]")
            .replace("spares = [\"d\", \"e\"]\n", ""),
    );
    assert_eq!(bench.ok("store cat key"), "the value");
}

/// Processes that know all who may vote commit all the while; none of them is refused, and nothing that they were told is
/// committed is lost with the three voters that there were.
#[test]
fn all_voters_are_replaced_under_processes_that_commit() {
    let bench = with_spares();
    bench.ok("store init");
    let changes = ["replace a d", "replace b e", "add a", "add b", "remove c", "remove a"];
    let commands = changes.map(|change| format!("array {change} --log"));
    under_writers(&bench, &commands.each_ref().map(String::as_str), || {
        for gone in ["a", "c"] {
            std::fs::remove_dir_all(bench.path(gone)).unwrap();
        }
    });
}

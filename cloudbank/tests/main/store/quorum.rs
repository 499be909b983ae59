//! A store with its log on three voters, each of which keeps a part of its objects too.

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

//! Looking after a store.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect;

use super::{json, store};
use crate::support::Bench;

/// The files of the objects whose keys begin with this, in the folder of provider `one`.
fn objects(bench: &Bench, prefix: &str) -> Vec<PathBuf> {
    fn all(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { all(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    all(&bench.path("one/objects").join(prefix), &mut found);
    found.sort();
    found
}

/// A store with a segment and a checkpoint.
fn flushed() -> Bench {
    let bench = store();
    fs::create_dir_all(bench.path("in")).unwrap();
    for name in ["a", "b", "c"] {
        bench.write(&format!("in/{name}"), name);
    }
    bench.ok("store import in");
    bench
}

#[test]
fn a_sound_store_is_said_to_be_sound() {
    let bench = flushed();
    assert!(
        bench
            .ok("store verify")
            .starts_with("sound: version 2, 2 entries of the log, 1 checkpoint, ")
    );
    assert_eq!(json(&bench, "store verify --json --at-once 1")["sound"], true);
}

/// Changes a byte in the middle of an object.
fn damage(object: &Path) {
    let mut bytes = fs::read(object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(object, bytes).unwrap();
}

#[test]
fn what_is_damaged_is_named_and_the_exit_code_says_so() {
    let check = |prefix: &str, severity: &str| {
        let bench = flushed();
        damage(&objects(&bench, prefix)[0]);
        let output = bench.feed("store verify --json", b"");
        let said = bench.shown(&output);
        assert!(said.ends_with("[1]\n"), "{said}");
        let finding: serde_json::Value =
            serde_json::from_str(said.lines().next().unwrap()).unwrap();
        assert_eq!(finding["severity"], severity, "{said}");
        let object = finding["object"].as_str().unwrap();
        assert!(object.starts_with(prefix), "{said}");
        let words = bench.session("store verify");
        assert!(words.contains("not sound: ") && words.contains(object), "{words}");
        bench
    };
    check("log", "weakened");
    let bench = check("checkpoint", "rebuildable");
    // There is the log in its place.
    assert_eq!(bench.ok("store ls"), "a\nb\nc\n");
}

#[test]
fn a_damaged_segment_is_named_and_never_read_as_data() {
    let bench = flushed();
    damage(&objects(&bench, "segment")[0]);
    let said = bench.session("store verify");
    assert!(said.contains("segment/") && said.contains("1 rebuildable"), "{said}");
    let said = bench.session("store ls");
    assert!(said.contains("checksum") && said.ends_with("[1]\n"), "{said}");
    assert!(said.contains("`cloudbank store rebuild` makes again"), "{said}");
    assert_eq!(json(&bench, "store rebuild --json")["segments_made"], 1);
    assert_eq!(bench.ok("store ls"), "a\nb\nc\n");
    assert_eq!(bench.ok("store get a --at 1"), "a");
    let report = bench.ok("store verify");
    assert!(report.contains("\nsound: ") || report.starts_with("sound: "), "{report}");
}

#[test]
fn what_is_no_store_cannot_be_verified() {
    let bench = Bench::with_config(super::STORE);
    expect![[r#"
        $ store verify
        ! error: store on `one`: there is no store on fs:$DIR/one
        [2]
    "#]]
    .assert_eq(&bench.session("store verify"));
}

#[test]
fn what_nothing_needs_is_collected_and_everything_can_still_be_read() {
    let bench = store();
    fs::create_dir_all(bench.path("in")).unwrap();
    for round in 1..=3 {
        bench.write("in/a", format!("round {round}"));
        bench.ok("store import in");
    }
    let size = || -> u64 {
        objects(&bench, "log").iter().map(|entry| entry.metadata().unwrap().len()).sum()
    };
    let before = size();
    expect![[r#"
        $ store collect
        there is nothing to delete
        $ store collect --grace 0s --dry-run
        nothing done; it would be: 3 log slots, 1 checkpoint, 276 B
        $ store collect --grace 0s --session-grace 0s --json
        {"bytes":550,"checkpoints":1,"dry_run":false,"entries":3,"pins":0,"segments":0,"sessions":3,"sessions_reaped":0,"values":0}
        $ store verify --quiet
        $ store get a --at 1
        round 1
        $ store history a
        version  time                         change  bytes  author      message
              5  MOMENT  put         7  alice@home  import in
              3  MOMENT  put         7  alice@home  import in
              1  MOMENT  put         7  alice@home  import in
        $ store collect --grace soon
        ! error: invalid value 'soon' for '--grace <TIME>': expected number at 0
        ! 
        ! For more information, try '--help'.
        [2]
        $ store collect --keep-checkpoints 1
        ! error: invalid value '1' for '--keep-checkpoints <N>': 1 is not in 2..=65535
        ! 
        ! For more information, try '--help'.
        [2]
    "#]].assert_eq(&bench.session(
        "store collect
         store collect --grace 0s --dry-run
         store collect --grace 0s --session-grace 0s --json
         store verify --quiet
         store get a --at 1
         store history a
         store collect --grace soon
         store collect --keep-checkpoints 1",
    ));
    let after = size();
    assert!(after < before, "{after} of {before}");
}

#[test]
fn history_is_packed_on_request_and_tags_are_kept() {
    let bench = store();
    fs::create_dir_all(bench.path("in")).unwrap();
    for round in 1..=3 {
        bench.write("in/a", format!("round {round}"));
        bench.ok("store import in");
    }
    bench.ok("store tag first --at 1");
    let compacted = json(&bench, "store compact --json");
    let (before, after) = (&compacted["segments_before"], &compacted["segments"]);
    assert!(after.as_u64() < before.as_u64(), "{compacted}");
    expect![[r#"
        $ store pack latest
        ! error: this would drop what was before version 8 from the store on `one`, for good
        !   = add --yes: there is no terminal to ask on
        [2]
        $ store pack nonsense --yes
        ! error: `nonsense` is no version, no time and no tag of this store
        !   = expected a version, a time such as 2026-11-22, 2026-11-22T10:00:00Z or '2 hours ago', or a tag
        [3]
        $ store get a --at 3
        round 2
        $ store pack 5 --yes
        every version from 5 on can be read, and those of tags
        $ store get a --at first
        round 1
        $ store get a --at 3
        ! error: store on `one`: version 3 is no longer kept: the horizon is version 5
        [3]
        $ store get a --at 5
        round 3
        $ store history a
        version  time                         change  bytes  author      message
              5  MOMENT  put         7  alice@home  import in
              1  MOMENT  put         7  alice@home  import in
        ! what was before version 5 was packed away
        $ store verify --quiet
        $ store collect --grace 0s --quiet
        $ store verify --quiet
        $ store get a --at first
        round 1
    "#]].assert_eq(&bench.session(
        "store pack latest
         store pack nonsense --yes
         store get a --at 3
         store pack 5 --yes
         store get a --at first
         store get a --at 3
         store get a --at 5
         store history a
         store verify --quiet
         store collect --grace 0s --quiet
         store verify --quiet
         store get a --at first",
    ));
    let said = bench.session("store history b");
    let expected = "`b` has had no value from version 5, before which history was packed away";
    assert!(said.contains(expected) && said.ends_with("[3]\n"), "{said}");
}

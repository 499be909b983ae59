//! `replica ...`: a store that is followed on another provider, and its copy in its place.

use crate::support::{Bench, TWO_FOLDERS};

fn bench() -> Bench {
    let bench = Bench::with_config(&format!("{TWO_FOLDERS}\n[store]\nprovider = \"one\"\n"));
    bench.ok("store init");
    put(&bench, "", "first", "1");
    bench
}

fn put(bench: &Bench, which: &str, key: &str, value: &str) {
    let output = bench.feed(&format!("store put {which} {key} -"), value.as_bytes());
    assert!(output.status.success(), "{}", bench.shown(&output));
}

/// What a command that fails says, and how it ends.
fn fails(bench: &Bench, command: &str) -> (Option<i32>, String) {
    let output = bench.feed(command, b"2");
    assert!(!output.status.success(), "{command}: {}", bench.shown(&output));
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn status(bench: &Bench) -> serde_json::Value {
    serde_json::from_str(&bench.ok("replica status --to two --json")).unwrap()
}

#[test]
fn a_copy_is_made_read_brought_up_to_date_and_promoted() {
    let bench = bench();
    let (code, said) = fails(&bench, "replica status --to two");
    assert!(
        code == Some(2) && said.contains("`cloudbank replica follow --to two` makes one"),
        "{said}"
    );
    let said = bench.ok("replica follow --to two --once");
    assert!(
        said.starts_with("version 1 of ") && said.contains(": 1 entry and 0 objects, 1"),
        "{said}"
    );
    assert_eq!(bench.ok("store cat first -p two"), "1");
    let (code, said) = fails(&bench, "store put -p two first -");
    assert!(code == Some(1) && said.contains("this is a replica"), "{said}");
    put(&bench, "", "second", "2");
    assert_eq!(status(&bench)["behind"], 1);
    assert!(bench.ok("replica status --to two").contains("following, 1 version behind"));
    bench.ok("replica follow --to two --once");
    assert_eq!(status(&bench)["behind"], 0);
    let again = bench.ok("replica follow --to two --once");
    assert!(again.ends_with(": nothing is new\n"), "{again}");
    put(&bench, "", "third", "3");
    let (code, said) = fails(&bench, "replica promote --to two");
    assert!(code == Some(2) && said.contains("= add --yes"), "{said}");
    let said = bench.ok("replica promote --to two --yes");
    assert!(said.contains("with everything up to version 4\n"), "{said}");
    assert!(said.contains("the store on `one` is sealed, and had nothing more"), "{said}");
    assert_eq!(bench.ok("store cat first second third -p two"), "123");
    put(&bench, "-p two", "fourth", "4");
    let (code, said) = fails(&bench, "store put fourth -");
    assert!(code == Some(1) && said.contains("the store is sealed: its replica on fs:"), "{said}");
    assert!(bench.ok("store verify -p two").starts_with("sound: "));
    assert_eq!(status(&bench)["stage"], "promoted");
    let (code, said) = fails(&bench, "replica follow --to two --once");
    assert!(code == Some(4) && said.contains("was promoted"), "{said}");
}

#[test]
fn a_copy_of_a_store_that_is_gone_is_promoted_by_force_and_what_it_lacks_is_counted_later() {
    let bench = bench();
    bench.ok("replica follow --to two --once");
    put(&bench, "", "late", "1");
    std::fs::rename(bench.path("one"), bench.path("away")).unwrap();
    let (code, said) = fails(&bench, "replica promote --to two --yes");
    assert!(code == Some(1) && said.contains("--force does without it"), "{said}");
    assert_eq!(status(&bench)["stage"], "following");
    let said = bench.ok("replica promote --to two --yes --force");
    assert!(
        said.contains("up to version 1\n") && said.contains("is not sealed: once it is back"),
        "{said}"
    );
    put(&bench, "-p two", "new", "1");
    assert_eq!(status(&bench)["stage"], "promoted_by_force");
    // It is back.
    std::fs::remove_dir_all(bench.path("one")).unwrap();
    std::fs::rename(bench.path("away"), bench.path("one")).unwrap();
    let said = bench.ok("replica promote --to two --yes");
    assert!(
        said.contains("sealed now; it had 1 transaction more, kept under replica/diverged/"),
        "{said}"
    );
    assert!(bench.ok("provider ls -p two replica/diverged/").contains("replica/diverged/log/"));
    assert!(fails(&bench, "store put other -").1.contains("the store is sealed"));
    assert!(bench.ok("store verify -p two").starts_with("sound: "));
}

#[test]
fn a_copy_goes_neither_where_the_store_is_nor_where_another_is() {
    let bench = bench();
    let (code, said) = fails(&bench, "replica follow --to one --once");
    assert!(code == Some(2) && said.contains("name another provider with --to"), "{said}");
    let (code, said) = fails(&bench, "replica follow --to nowhere --once");
    assert!(code == Some(2) && said.contains("nowhere"), "{said}");
    bench.ok("store init -p two");
    let (code, said) = fails(&bench, "replica follow --to two --once");
    assert!(code == Some(4) && said.contains("keeps another store"), "{said}");
    let (code, said) = fails(&bench, "replica follow --once");
    assert!(code == Some(2) && said.contains("--to"), "{said}");
}

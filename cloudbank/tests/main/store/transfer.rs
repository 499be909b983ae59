//! Folders into the store, and out of it.

use std::fs;

use expect_test::expect;

use super::{json, store};

#[test]
fn a_folder_comes_back_as_it_was_and_the_second_time_nothing_is_done() {
    let bench = store();
    fs::create_dir_all(bench.path("in/sub/deep")).unwrap();
    fs::create_dir_all(bench.path("in/empty")).unwrap();
    bench.write("in/a.txt", "a");
    bench.write("in/sub/b", "bb");
    bench.write("in/sub/deep/c", vec![7; 100_000]);
    bench.write("in/sub.x", "");
    #[cfg(unix)]
    std::os::unix::fs::symlink("a.txt", bench.path("in/link")).unwrap();
    expect![[r#"
        $ store import in --prefix p/ --dry-run
        put      p/a.txt  1 B
        put      p/sub.x  0 B
        put      p/sub/b  2 B
        put      p/sub/deep/c  97.7 KiB
        nothing done; it would be: 4 files put (97.7 KiB), 1 left out
        ! left out: in/link: it is a link
        $ store import in --prefix p/
        4 files put (97.7 KiB), 1 left out, in TIME
        ! left out: in/link: it is a link
        $ store ls --long
                   1         1  MOMENT  p/a.txt
                   0         1  MOMENT  p/sub.x
                   2         1  MOMENT  p/sub/b
              100000         1  MOMENT  p/sub/deep/c
        $ store import in --prefix p/
        0 files put (0 B), 4 there already, 1 left out, in TIME
        ! left out: in/link: it is a link
        $ store log
        1  MOMENT  VERSION  alice@home
            import in
            - p/a.txt
            - p/sub.x
            - p/sub/b
            - p/sub/deep/c
        $ store export out --prefix p/ --dry-run
        write    p/a.txt  1 B
        write    p/sub.x  0 B
        write    p/sub/b  2 B
        write    p/sub/deep/c  97.7 KiB
        nothing done; it would be: 4 files written (97.7 KiB), version 2
        $ store export out --prefix p/
        4 files written (97.7 KiB), version 2, in TIME
        $ store export out --prefix p/
        0 files written (0 B), 4 there already, version 2, in TIME
    "#]]
    .assert_eq(&bench.session(
        "store import in --prefix p/ --dry-run
         store import in --prefix p/
         store ls --long
         store import in --prefix p/
         store log
         store export out --prefix p/ --dry-run
         store export out --prefix p/
         store export out --prefix p/",
    ));
    for name in ["a.txt", "sub/b", "sub/deep/c", "sub.x"] {
        assert_eq!(bench.read(&format!("in/{name}")), bench.read(&format!("out/{name}")), "{name}");
    }
    assert!(!bench.path("out/link").exists());
    bench.write("in/a.txt", "changed");
    bench.write("out/sub/b", "mine");
    expect![[r#"
        $ store import in --prefix p/ --json --quiet
        {"bytes":7,"dry_run":false,"failed":0,"left_out":1,"put":1,"skipped":3,"version":3}
        $ store export out --prefix p/
        0 files written (0 B), 2 there already, 2 there but different, version 4, in TIME
        ! error: `p/a.txt`: there is a file with other bytes, and it was left as it is (--overwrite replaces it)
        ! error: `p/sub/b`: there is a file with other bytes, and it was left as it is (--overwrite replaces it)
        [4]
        $ store export out --prefix p/ --at 1 --overwrite
        1 file written (2 B), 3 there already, version 1, in TIME
        $ store cat p/a.txt
        changed
    "#]].assert_eq(&bench.session(
        "store import in --prefix p/ --json --quiet
         store export out --prefix p/
         store export out --prefix p/ --at 1 --overwrite
         store cat p/a.txt",
    ));
    assert_eq!(bench.read("out/a.txt"), b"a");
}

#[test]
fn an_import_goes_in_transactions_of_a_bounded_size() {
    let bench = store();
    fs::create_dir_all(bench.path("in")).unwrap();
    for number in 0..5 {
        bench.write(&format!("in/{number}"), vec![number; 3 << 20]);
    }
    assert_eq!(json(&bench, "store import in --json")["put"], 5);
    let log = bench.ok("store log --json");
    let keys: Vec<_> = log
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["keys"]
                .as_array()
                .unwrap()
                .len()
        })
        .collect();
    assert_eq!(keys, [1, 2, 2]);
    // It has left what it wrote in segments.
    assert!(json(&bench, "store info --json")["memory_bytes"].as_u64().unwrap() < 10_000);
}

#[test]
fn a_thousand_and_one_small_files_are_two_transactions() {
    let bench = store();
    fs::create_dir_all(bench.path("in")).unwrap();
    for number in 0..1001 {
        bench.write(&format!("in/{number:04}"), "x");
    }
    bench.ok("store import in");
    assert_eq!(bench.ok("store log --json").lines().count(), 2);
    assert_eq!(bench.ok("store ls").lines().count(), 1001);
}

#[test]
fn an_import_that_was_stopped_goes_on_where_it_was() {
    let bench = store();
    fs::create_dir_all(bench.path("in")).unwrap();
    bench.write("in/a", "a");
    bench.ok("store import in");
    bench.write("in/b", "b");
    assert_eq!(json(&bench, "store import in --json")["skipped"], 1);
    assert_eq!(bench.ok("store ls"), "a\nb\n");
    assert_eq!(bench.ok("store history a").lines().count(), 2);
}

#[test]
fn what_is_no_file_of_a_folder_is_named_and_the_rest_is_written() {
    let bench = store();
    for key in ["ok", "../up", "/abs", "a//b", r"nul\x00", "dir", "dir/file", "slash/", "."] {
        bench.feed(&format!("store put {key} -"), b"x");
    }
    expect![[r#"
        $ store export out
        2 files written (2 B), 7 failed, version 9, in TIME
        ! error: `.` cannot be a file: no file is called . or .., which would lead elsewhere
        ! error: `../up` cannot be a file: no file is called . or .., which would lead elsewhere
        ! error: `/abs` cannot be a file: the name of a file has no / at its ends and no two in a row
        ! error: `a//b` cannot be a file: the name of a file has no / at its ends and no two in a row
        ! error: `dir/file` cannot be a file: out/dir is a file, so nothing can be in it
        ! error: `nul\x00` cannot be a file: no file has a NUL byte in its name
        ! error: `slash/` cannot be a file: the name of a file has no / at its ends and no two in a row
        [1]
    "#]].assert_eq(&bench.session("store export out"));
    let mut names: Vec<_> = fs::read_dir(bench.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["dir", "ok"]);
    assert!(!bench.path("up").exists());
}

#[test]
fn what_cannot_be_a_key_is_named_and_the_rest_is_imported() {
    let bench = store();
    fs::create_dir_all(bench.path("in")).unwrap();
    bench.write("in/a", "a");
    bench.write("in/ab", "ab");
    let said = bench.session(&format!("store import in --prefix {}", "p".repeat(4095)));
    assert!(said.contains("has 4097 bytes: a key has up to 4096"), "{said}");
    assert!(said.contains("1 file put (1 B), 1 failed") && said.ends_with("[1]\n"), "{said}");
}

#[test]
fn the_folder_of_a_provider_is_left_out() {
    let bench = store();
    bench.write("a", "a");
    expect![[r#"
        $ store import .
        2 files put (197 B), 1 left out, in TIME
        ! left out: ./one: it is the folder of a provider
        $ store import one
        ! error: one is the folder of a provider: to import it into a store would copy how objects are kept, not what they are
        [2]
        $ store export one
        ! error: one is the folder of a provider: files of yours are not for it
        !   = name another folder
        [2]
        $ store ls
        a
        cloudbank.toml
    "#]].assert_eq(&bench.session(
        "store import .
         store import one
         store export one
         store ls",
    ));
}

#[test]
fn large_files_go_in_and_out_in_pieces() {
    let bench = store();
    let bytes: Vec<u8> =
        (0..9_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::create_dir_all(bench.path("in")).unwrap();
    bench.write("in/large", &bytes);
    bench.write("in/small", "small");
    expect![[r#"
        $ store import in
        2 files put (8.6 MiB), in TIME
        $ store import in
        0 files put (0 B), 2 there already, in TIME
        $ store ls --long
             9000000         1  MOMENT  large
                   5         2  MOMENT  small
        $ store put again in/large
        put again: 8.6 MiB, version 4
        $ store export out
        3 files written (17.2 MiB), version 4, in TIME
        $ store export out
        0 files written (0 B), 3 there already, version 4, in TIME
        $ store get large --json --at 99
        ! {"code":3,"error":"not_found","kind":"no_such_version","message":"store on `one`: the last version is 4, and not yet 99","provider":"one"}
        [3]
    "#]].assert_eq(&bench.session(
        "store import in
         store import in
         store ls --long
         store put again in/large
         store export out
         store export out
         store get large --json --at 99",
    ));
    for name in ["large", "again"] {
        assert!(bench.read(&format!("out/{name}")) == bytes, "{name}");
    }
    assert!(bench.feed("store cat large", b"").stdout == bytes);
    // One byte more in the middle, and one less in the end.
    let mut other = bytes.clone();
    other[4_000_000] ^= 1;
    bench.write("in/large", &other);
    assert_eq!(json(&bench, "store import in --json")["put"], 1);
    bench.write("in/large", &other[..other.len() - 1]);
    assert_eq!(json(&bench, "store import in --json")["put"], 1);
    assert!(bench.feed("store put piped -", &bytes).status.success());
    bench.ok("store get piped piped");
    assert!(bench.read("piped") == bytes);
    bench.write("txn", "{\"op\":\"put\",\"key\":\"t\",\"value_file\":\"in/large\"}");
    bench.ok("store txn txn");
    assert!(bench.feed("store cat t", b"").stdout == other[..other.len() - 1]);
    assert_eq!(json(&bench, "store verify --json")["sound"], true);
}

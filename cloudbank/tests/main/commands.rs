//! Every command as it is typed, and what comes of it.

use std::io::{BufRead, BufReader};

use expect_test::expect;

use crate::support::{Bench, TWO_FOLDERS};

#[test]
fn a_first_session_without_any_configuration_works() {
    let bench = Bench::empty();
    expect![[r#"
        $ provider ls
        $ provider put notes/1 -
        put notes/1: 5 B, version VERSION
        $ provider ls --long
                    5  notes/1
        $ provider stat notes/1
        key      notes/1
        size     5
        version  VERSION
        $ provider get notes/1
        hello
        $ provider rm notes/1
        removed 1 object
        $ provider stat notes/1
        ! error: provider `local`: get "notes/1": not found: there is no object
        [3]
    "#]]
    .assert_eq(&bench.session(
        "provider ls
         <hello
         provider put notes/1 -
         provider ls --long
         provider stat notes/1
         provider get notes/1
         provider rm notes/1
         provider stat notes/1",
    ));
}

#[test]
fn config_init_writes_what_works_and_never_overwrites() {
    let bench = Bench::empty();
    expect![[r#"
        $ config init
        wrote cloudbank.toml
        next: edit it, then `cloudbank config check --connect` says whether it works
        $ config init
        ! error: cloudbank.toml exists already, and is left as it is
        !   = choose another place with --config FILE
        [4]
        $ config check --connect
        provider  type  state
        local     fs    reached: fs:$DIR/data, objects of up to 1GiB
        cloudbank.toml: no problem
        $ config show
        # cloudbank.toml

        [providers.local]
        type = "fs"
        path = "$DIR/data"
        create = true
        durability = "power-loss"  # default
        object_bytes_max = "1GiB"  # default
        timeout = "1m"  # default
        retries_max = 5  # default
        concurrency_max = 64  # default
        # prices is not set
        $ config init --config a/b/other.toml --json
        {"file":"a/b/other.toml"}
    "#]]
    .assert_eq(&bench.session(
        "config init
         config init
         config check --connect
         config show
         config init --config a/b/other.toml --json",
    ));
}

#[test]
fn conditions_decide_and_have_their_exit_code() {
    let bench = Bench::with_config(TWO_FOLDERS);
    bench.write("f", "first");
    let said = bench.session(
        "provider put --provider one k f --if-absent
         provider put --provider one k f --if-absent
         provider put --provider one k f --if-match nonsense
         provider put --provider one new f --if-match nonsense
         provider get --provider one k --if-match nonsense
         provider put --provider one k f --if-absent --if-match x",
    );
    expect![[r#"
        $ provider put --provider one k f --if-absent
        put k: 5 B, version VERSION
        $ provider put --provider one k f --if-absent
        ! error: provider `one`: put "k": conflict: the object exists
        [4]
        $ provider put --provider one k f --if-match nonsense
        ! error: provider `one`: put "k": conflict: the version is VERSION, not nonsense
        [4]
        $ provider put --provider one new f --if-match nonsense
        ! error: provider `one`: put "new": conflict: there is no object
        [4]
        $ provider get --provider one k --if-match nonsense
        ! error: provider `one`: get "k": conflict: the version is VERSION, not nonsense
        [4]
        $ provider put --provider one k f --if-absent --if-match x
        ! error: the argument '--if-absent' cannot be used with '--if-match <VERSION>'
        ! 
        ! Usage: cloudbank provider put --provider <NAME> --if-absent <KEY> <FILE>
        ! 
        ! For more information, try '--help'.
        [2]
    "#]]
    .assert_eq(&said);
    let stat: serde_json::Value =
        serde_json::from_str(&bench.ok("provider stat -p one k --json")).unwrap();
    let version = stat["version"].as_str().unwrap();
    bench.ok(&format!("provider get -p one k g --if-match {version}"));
    assert_eq!(bench.read("g"), b"first");
    let unchanged = bench.session(&format!("provider get -p one k g2 --if-changed {version}"));
    assert!(unchanged.contains("not modified") && unchanged.ends_with("[4]\n"), "{unchanged}");
    assert!(!bench.path("g2").exists());
    bench.write("f", "second");
    bench.ok(&format!("provider put -p one k f --if-match {version}"));
    assert_eq!(bench.ok("provider get -p one k"), "second");
}

#[test]
fn ranges_are_those_of_http() {
    let bench = Bench::with_config(TWO_FOLDERS);
    bench.feed("provider put -p one k -", b"0123456789");
    expect![[r#"
        $ provider get -p one k --range 0-0
        0
        $ provider get -p one k --range 2-4
        234
        $ provider get -p one k --range 7-
        789
        $ provider get -p one k --range 7-99
        789
        $ provider get -p one k --range 10-
        ! error: provider `one`: get "k": invalid range: bytes 10.. of an object of 10 bytes
        [2]
        $ provider get -p one k --range 4-2
        ! error: `4-2` is not a range: it ends before it begins
        !   = expected A-B, both included and counted from 0, or A-
        [2]
        $ provider get -p one k --range all
        ! error: `all` is not a range: it has no `-`
        !   = expected A-B, both included and counted from 0, or A-
        [2]
    "#]]
    .assert_eq(&bench.session(
        "provider get -p one k --range 0-0
         provider get -p one k --range 2-4
         provider get -p one k --range 7-
         provider get -p one k --range 7-99
         provider get -p one k --range 10-
         provider get -p one k --range 4-2
         provider get -p one k --range all",
    ));
}

#[test]
fn lists_are_in_order_limited_and_resumable() {
    let bench = Bench::with_config(TWO_FOLDERS);
    for key in ["b", "a/2", "a", "a/1", "c"] {
        bench.feed(&format!("provider put -p one {key} - --quiet"), key.as_bytes());
    }
    expect![[r#"
        $ provider ls -p one
        a
        a/1
        a/2
        b
        c
        $ provider ls -p one a --long
                    1  a
                    3  a/1
                    3  a/2
        $ provider ls -p one --start-after a/1 --limit 2
        a/2
        b
        $ provider ls -p one a/ --json
        {"key":"a/1","size":3}
        {"key":"a/2","size":3}
        $ provider ls -p one A
        ! error: `A` is not a prefix: byte 0 is `A`, but a key has only 0-9 a-z _ = ~ and / between segments
        !   = `a` would be one
        [2]
        $ provider ls -p one --limit 0
        ! error: invalid value '0' for '--limit <N>': 0 is not in 1..18446744073709551615
        ! 
        ! For more information, try '--help'.
        [2]
    "#]].assert_eq(&bench.session(
        "provider ls -p one
         provider ls -p one a --long
         provider ls -p one --start-after a/1 --limit 2
         provider ls -p one a/ --json
         provider ls -p one A
         provider ls -p one --limit 0",
    ));
}

#[test]
fn bodies_come_back_byte_for_byte() {
    let bench = Bench::with_config(TWO_FOLDERS);
    let body: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    for body in [&body[..], b"", b"\r\n\0"] {
        bench.write("in", body);
        bench.ok("provider put -p one k in");
        bench.ok("provider get -p one k out");
        assert_eq!(bench.read("out"), body);
        assert_eq!(bench.feed("provider get -p one k -", b"").stdout, body);
    }
}

#[test]
fn objects_that_come_in_pieces_come_back_byte_for_byte() {
    let bench = Bench::with_config(TWO_FOLDERS);
    // More than is fetched in one piece, and no whole number of pieces; no two pieces are alike.
    let body: Vec<u8> = (0..5_000_003_u32).flat_map(u32::to_le_bytes).collect();
    bench.write("body", &body);
    bench.ok("provider put large body -p one");
    bench.ok("provider get large whole -p one");
    assert!(bench.read("whole") == body, "the whole object differs");
    bench.ok("provider get large tail -p one --range 1000001-");
    assert!(bench.read("tail") == body[1_000_001..], "the tail differs");
    let output = bench.feed("provider get large - -p one --range 3-19000000", b"").stdout;
    assert!(output == body[3..=19_000_000], "the middle differs");
}

#[test]
fn a_failed_get_leaves_the_file_as_it_was() {
    let bench = Bench::with_config(TWO_FOLDERS);
    bench.write("kept", "kept");
    std::fs::create_dir(bench.path("folder")).unwrap();
    expect![[r#"
        $ provider get -p one missing kept
        ! error: provider `one`: get "missing": not found: there is no object
        [3]
        $ provider get -p one missing folder
        ! error: folder is a folder: name the file to write
        [2]
        $ provider get -p one missing nowhere/f
        ! error: there is no folder nowhere
        !   = mkdir -p nowhere
        [2]
    "#]]
    .assert_eq(&bench.session(
        "provider get -p one missing kept
         provider get -p one missing folder
         provider get -p one missing nowhere/f",
    ));
    assert_eq!(bench.read("kept"), b"kept");
    let names = std::fs::read_dir(bench.path("")).unwrap().count();
    assert_eq!(names, 4, "cloudbank.toml, kept, folder and one, but no leftovers");
}

#[test]
fn a_body_that_is_too_large_is_refused_before_anything_is_stored() {
    let bench = Bench::with_config(TWO_FOLDERS);
    bench.write("big", "12345");
    // Larger than any memory: it is refused by its size, not after reading it.
    let huge = std::fs::File::create(bench.path("huge")).unwrap();
    huge.set_len(1 << 42).unwrap();
    expect![[r#"
        $ provider put -p scratch k big
        ! error: big is too large: 5B, but provider `scratch` takes objects of up to 4B
        [1]
        $ provider put -p scratch k -
        ! error: standard input is too large: more than 4B, but provider `scratch` takes objects of up to 4B
        [1]
        $ provider put -p scratch k -
        put k: 4 B, version 1
        ! warning: provider `scratch` keeps its objects in memory, and this command ends now
        $ provider put -p one k huge
        ! error: huge is too large: 4TiB, but provider `one` takes objects of up to 1GiB
        [1]
        $ provider put -p one k missing
        ! error: read missing: No such file or directory (os error 2)
        [1]
        $ provider put -p one k .
        ! error: . is a folder: an object is made of a file
        [2]
        $ provider ls -p one
    "#]].assert_eq(&bench.session(
        "provider put -p scratch k big
         <12345
         provider put -p scratch k -
         <1234
         provider put -p scratch k -
         provider put -p one k huge
         provider put -p one k missing
         provider put -p one k .
         provider ls -p one",
    ));
}

#[test]
fn names_that_are_no_keys_are_explained() {
    let bench = Bench::with_config(TWO_FOLDERS);
    expect![[r#"
        $ provider get -p one Notes/1.txt
        ! error: `Notes/1.txt` is not a key: byte 0 is `N`, but a key has only 0-9 a-z _ = ~ and / between segments
        !   = `notes/1_txt` would be one
        [2]
        $ provider get -p one a//b
        ! error: `a//b` is not a key: the segment at byte 2 is empty
        [2]
        $ provider rm -p one /a
        ! error: `/a` is not a key: the segment at byte 0 is empty
        !   = `a` would be one
        [2]
        $ provider ls -p one a//
        ! error: `a//` is not a prefix: the segment at byte 2 is empty
        !   = `a` would be one
        [2]
    "#]].assert_eq(&bench.session(
        "provider get -p one Notes/1.txt
         provider get -p one a//b
         provider rm -p one /a
         provider ls -p one a//",
    ));
}

#[test]
fn removing_is_by_name_or_by_prefix() {
    let bench = Bench::with_config(TWO_FOLDERS);
    for key in ["a/1", "a/2", "a/3", "b"] {
        bench.feed(&format!("provider put -p one {key} - --quiet"), b"x");
    }
    expect![[r#"
        $ provider rm -p one a/1 missing
        removed 2 objects
        $ provider rm -p one --prefix a/
        ! error: this would remove 2 objects, under `a/`, from provider `one`
        !   = add --yes: there is no terminal to ask on
        [2]
        $ provider rm -p one --prefix a/ --yes --json
        {"failed":0,"removed":2}
        $ provider rm -p one
        ! error: the following required arguments were not provided:
        !   <KEYS>...
        ! 
        ! Usage: cloudbank provider rm --provider <NAME> <KEYS>...
        ! 
        ! For more information, try '--help'.
        [2]
        $ provider rm -p one b --prefix a/
        ! error: the argument '[KEYS]...' cannot be used with '--prefix <PREFIX>'
        ! 
        ! Usage: cloudbank provider rm --provider <NAME> <KEYS>...
        ! 
        ! For more information, try '--help'.
        [2]
        $ provider ls -p one
        b
    "#]]
    .assert_eq(&bench.session(
        "provider rm -p one a/1 missing
         provider rm -p one --prefix a/
         provider rm -p one --prefix a/ --yes --json
         provider rm -p one
         provider rm -p one b --prefix a/
         provider ls -p one",
    ));
}

#[test]
fn places_are_made_and_removed() {
    let bench = Bench::with_config(
        "[providers.local]\ntype = \"fs\"\npath = \"place\"\n[providers.m]\ntype = \"memory\"\n",
    );
    expect![[r#"
        $ provider create -p local
        made the place of provider `local`
        $ provider create -p local
        ! error: provider `local`: conflict: the folder "$DIR/place" exists already
        [4]
        $ provider put -p local k - --quiet
        $ provider destroy -p local
        ! error: this would remove the place of provider `local`
        !   = add --yes: there is no terminal to ask on
        [2]
        $ provider destroy -p local --yes
        ! error: provider `local`: conflict: the folder "$DIR/place" holds objects, such as "k"
        [4]
        $ provider rm -p local k
        removed 1 object
        $ provider destroy -p local --yes
        removed the place of provider `local`
        $ provider ls -p local
        ! error: provider `local`, setting `path`: misconfigured: there is no folder "$DIR/place": create it first, or set `create = true` (setting `path`)
        !  --> cloudbank.toml:3:1
        !   |
        ! 3 | path = "place"
        !   | ^^^^
        [2]
        $ provider create -p m
        ! error: provider `m` of type `memory` has no place that could be made
        [2]
    "#]].assert_eq(&bench.session(
        "provider create -p local
         provider create -p local
         <x
         provider put -p local k - --quiet
         provider destroy -p local
         provider destroy -p local --yes
         provider rm -p local k
         provider destroy -p local --yes
         provider ls -p local
         provider create -p m",
    ));
}

#[test]
fn errors_come_as_data_when_asked_for() {
    let bench = Bench::with_config(TWO_FOLDERS);
    expect![[r#"
        $ provider stat -p one missing --json
        ! {"code":3,"error":"not_found","key":"missing","kind":"not_found","message":"provider `one`: get \"missing\": not found: there is no object","provider":"one"}
        [3]
        $ provider put -p one k missing --json
        ! {"code":1,"error":"failed","message":"read missing: No such file or directory (os error 2)"}
        [1]
        $ provider stat -p nine missing --json
        ! {"code":2,"error":"usage","message":"there is no provider `nine` in cloudbank.toml\n  = expected one, scratch or two"}
        [2]
    "#]].assert_eq(&bench.session(
        "provider stat -p one missing --json
         provider put -p one k missing --json
         provider stat -p nine missing --json",
    ));
}

#[test]
fn quiet_says_nothing_but_results_and_errors() {
    let bench = Bench::with_config(TWO_FOLDERS);
    expect![[r#"
        $ provider put -p one k - --quiet
        $ provider ls -p one --quiet
        k
        $ provider rm -p one k --quiet
        $ provider stat -p one k --quiet
        ! error: provider `one`: get "k": not found: there is no object
        [3]
        $ provider ls -p one --quiet -v
        ! error: the argument '--quiet' cannot be used with '--verbose...'
        ! 
        ! Usage: cloudbank provider ls --provider <NAME> --quiet [PREFIX]
        ! 
        ! For more information, try '--help'.
        [2]
    "#]]
    .assert_eq(&bench.session(
        "<x
         provider put -p one k - --quiet
         provider ls -p one --quiet
         provider rm -p one k --quiet
         provider stat -p one k --quiet
         provider ls -p one --quiet -v",
    ));
}

#[test]
fn a_reader_that_has_seen_enough_ends_output_quietly() {
    let bench = Bench::with_config(TWO_FOLDERS);
    // More than any pipe holds.
    bench.feed("provider put -p one k -", "line\n".repeat(1 << 20).as_bytes());
    let mut child = bench.command(&["provider", "get", "-p", "one", "k"]).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(first, "line\n");
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn usage_errors_have_their_exit_code_and_help_goes_to_standard_output() {
    let bench = Bench::empty();
    for (line, code, part) in [
        ("", 2, "Usage: cloudbank"),
        ("--help", 0, "Examples:"),
        ("--version", 0, "cloudbank 0"),
        ("provider lss", 2, "similar"),
        ("provider ls --jsn", 2, "--json"),
        ("provider", 2, "Usage: cloudbank provider"),
        ("completions tcsh", 2, "possible values"),
    ] {
        let output = bench.feed(line, b"");
        assert_eq!(output.status.code(), Some(code), "{line}");
        let text = if code == 0 { output.stdout } else { output.stderr };
        assert!(String::from_utf8(text).unwrap().contains(part), "{line}");
    }
}

#[test]
fn every_command_teaches_with_examples() {
    let bench = Bench::empty();
    for command in [
        "config init",
        "config check",
        "config show",
        "provider ls",
        "provider put",
        "provider get",
        "provider rm",
        "provider stat",
        "provider cp",
        "provider create",
        "provider destroy",
        "provider bench",
        "conformance",
        "completions",
        "serve",
        "s3",
        "s3 mb",
        "s3 rb",
        "s3 ls",
        "s3 cp",
        "s3 mv",
        "s3 sync",
        "s3 rm",
        "s3 stat",
        "s3 cat",
        "s3 presign",
        "s3 getacl",
        "s3 setacl",
    ] {
        let help = bench.ok(&format!("{command} --help"));
        assert!(help.contains("Examples:\n  cloudbank "), "{command}: {help}");
    }
}

#[test]
fn completions_are_written_for_every_shell() {
    let bench = Bench::empty();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = bench.ok(&format!("completions {shell}"));
        assert!(script.contains("if-absent"), "{shell}");
    }
}

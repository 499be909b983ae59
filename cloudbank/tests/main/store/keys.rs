//! Keys of any bytes, typed and shown.

use std::ffi::OsString;

use expect_test::expect;

use super::store;

#[test]
fn a_key_is_typed_as_it_is_listed() {
    let bench = store();
    let keys =
        [r"a\\b", r"line\nfeed", r"nul\x00", r"\xff\xfe", "gr\u{fc}n", r"blank\x20", "\"quoted\""];
    for key in keys {
        assert!(
            bench.feed(&format!("store put {key} -"), key.as_bytes()).status.success(),
            "{key}"
        );
    }
    let listed = bench.ok("store ls");
    assert_eq!(listed.lines().count(), keys.len());
    for key in listed.lines() {
        assert_eq!(bench.ok(&format!("store get {key}")), key);
    }
    expect![[r#"
        $ store ls --json
        {"key":"\"quoted\"","size":8,"version":7}
        {"key":"a\\b","size":4,"version":1}
        {"key":"blank ","size":9,"version":6}
        {"key":"grün","size":5,"version":5}
        {"key":"line\nfeed","size":10,"version":2}
        {"key":"nul\u0000","size":7,"version":3}
        {"key_base64":"//4=","size":8,"version":4}
    "#]]
    .assert_eq(&bench.session("store ls --json"));
}

#[test]
fn a_key_of_other_bytes_than_text_can_be_typed_as_they_are() {
    let bench = store();
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        let key = OsString::from_vec(b"raw-\xf0\x28".to_vec());
        let arguments = ["store", "put"].map(OsString::from).into_iter().chain([key, "-".into()]);
        let arguments: Vec<_> = arguments.collect();
        assert!(bench.command(&arguments).status().unwrap().success());
        assert_eq!(bench.ok("store ls"), "raw-\\xf0(\n");
    }
}

#[test]
fn the_empty_key_is_a_key() {
    let bench = store();
    let run = |arguments: &[&str]| bench.command(arguments).output().unwrap();
    assert!(run(&["store", "put", "", "-"]).status.success());
    assert_eq!(
        run(&["store", "ls", "--json"]).stdout,
        b"{\"key\":\"\",\"size\":0,\"version\":1}\n"
    );
    assert!(run(&["store", "get", ""]).status.success());
}

#[test]
fn what_is_not_a_key_is_refused_by_name() {
    let bench = store();
    expect![[r#"
        $ store get a\b
        ! error: `a\\b` is not a key: what follows its backslash at byte 2 means nothing
        !   = expected \\, \n, \r, \t or \xNN, with two hexadecimal digits
        [2]
        $ store ls \x4
        ! error: `\\x4` is not a key: what follows its backslash at byte 1 means nothing
        !   = expected \\, \n, \r, \t or \xNN, with two hexadecimal digits
        [2]
        $ store get a --at 1 b c
        ! error: unexpected argument 'c' found
        ! 
        ! Usage: cloudbank store get [OPTIONS] <KEY> [FILE]
        ! 
        ! For more information, try '--help'.
        [2]
    "#]]
    .assert_eq(&bench.session(
        r"store get a\b
          store ls \x4
          store get a --at 1 b c",
    ));
    let long = "k".repeat(4097);
    let said = bench.session(&format!("store get {long}"));
    assert!(
        said.contains("has 4097 bytes: a key has up to 4096") && said.ends_with("[2]\n"),
        "{said}"
    );
}

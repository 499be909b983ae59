//! Several operations in one transaction.

use expect_test::expect;

use super::{json, store};

#[test]
fn a_transaction_is_all_or_nothing() {
    let bench = store();
    bench.feed("store put a -", b"1");
    bench.write("file", "from a file");
    bench.write(
        "all",
        r#"{"op":"require","key":"a","version":1}
{"op":"require","key":"b","absent":true}
{"op":"require","key":"a","value":"1"}
{"op":"require","key":"a","present":true}

{"op":"put","key":"b","value":"2"}
{"op":"put","key_base64":"AP8=","value_base64":"/w=="}
{"op":"put","key":"f","value_file":"file"}
{"op":"append","key":"a","value":"+"}
{"op":"add","key":"n","number":5}
{"op":"get","key":"a"}
{"op":"get","key":"nothing"}
{"op":"delete","key":"f"}
"#,
    );
    expect![[r#"
        $ store txn all -m everything
        a = 1+
        nothing has no value
        12 operations done, version 2
        $ store ls
        \x00\xff
        a
        b
        n
        $ store get a
        1+
        $ store txn all
        ! error: store on `one`: all, line 3: key `a` has another value than required, and nothing was done
        [4]
        $ store ls
        \x00\xff
        a
        b
        n
        $ store log --limit 1
        2  MOMENT  VERSION  alice@home
            everything
            - \x00\xff
            - a
            - b
            - f
            - n
    "#]].assert_eq(&bench.session(
        "store txn all -m everything
         store ls
         store get a
         store txn all
         store ls
         store log --limit 1",
    ));
    let nothing = r#"{"op":"get","key":"b"}"#;
    let output = bench.feed("store txn - --json", nothing.as_bytes());
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["got"][0]["value"], "2", "{said}");
}

#[test]
fn a_requirement_that_does_not_hold_is_named() {
    let bench = store();
    bench.feed("store put a -", b"1");
    expect![[r#"
        $ store txn -
        ! error: store on `one`: key "a" is version 1, not version 3
        [4]
        $ store txn -
        ! error: store on `one`: key "a" is version 1, not missing
        [4]
        $ store txn -
        ! error: store on `one`: standard input, line 1: key `a` has another value than required, and nothing was done
        [4]
        $ store txn - --json
        ! {"code":4,"error":"conflict","message":"store on `one`: standard input, line 1: key `b` has no value, and one is required, and nothing was done"}
        [4]
        $ store txn -
        1 operation done, version 2
        $ store get a
        ! error: store on `one`: key "a": a number was added to a value of 1 bytes, which is not one of 8
        !   = `cloudbank store history a` shows what it was before
        [1]
        $ store history a
        version  time                         change        bytes  author      message
              2  MOMENT  not-a-number      -  alice@home
              1  MOMENT  put               1  alice@home
        $ store txn -
        ! error: store on `one`: key "a" is version 2, not version 1
        [4]
        $ store rm a
        removed 1 key, version 3
        $ store ls
    "#]].assert_eq(&bench.session(
        r#"<{"op":"require","key":"a","version":3}
          store txn -
          <{"op":"require","key":"a","absent":true}
          store txn -
          <{"op":"require","key":"a","value":"2"}
          store txn -
          <{"op":"require","key":"b","present":true}
          store txn - --json
          <{"op":"add","key":"a","number":1}
          store txn -
          store get a
          store history a
          <{"op":"require","key":"a","version":1}
          store txn -
          store rm a
          store ls"#,
    ));
}

#[test]
fn what_is_wrong_with_a_file_is_said_before_anything_is_done() {
    let bench = store();
    bench.write(
        "half",
        "{\"op\":\"put\",\"key\":\"a\",\"value\":\"1\"}\n{\"op\":\"put\",\"key\":\"b\"",
    );
    bench.write("typo", "{\"op\":\"put\",\"key\":\"a\",\"vaule\":\"1\"}");
    bench.write("gone", "{\"op\":\"put\",\"key\":\"a\",\"value_file\":\"missing\"}");
    bench.write("bytes", b"\xff");
    expect![[r#"
        $ store txn half
        ! error: half, line 2: this is not JSON, from column 21 on: EOF while parsing an object
        [2]
        $ store txn typo
        ! error: typo, line 1: "put" needs one of "value", "value_base64", "value_file"
        [2]
        $ store txn gone
        ! error: gone, line 1: read missing: No such file or directory (os error 2)
        [1]
        $ store txn bytes
        ! error: read bytes: invalid utf-8 sequence of 1 bytes from index 0
        [1]
        $ store txn missing
        ! error: read missing: No such file or directory (os error 2)
        [1]
        $ store txn .
        ! error: read .: Is a directory (os error 21)
        [1]
        $ store txn half --id nonsense
        ! error: `nonsense` is not the id of a transaction
        !   = expected 32 hexadecimal digits
        [2]
        $ store ls
    "#]]
    .assert_eq(&bench.session(
        "store txn half
         store txn typo
         store txn gone
         store txn bytes
         store txn missing
         store txn .
         store txn half --id nonsense
         store ls",
    ));
}

#[test]
fn ranges_go_with_one_line() {
    let bench = store();
    for key in ["a", "b/1", "b/2", "c", "d"] {
        bench.feed(&format!("store put {key} -"), b"x");
    }
    expect![[r#"
        $ store txn -
        1 operation done, version 6
        $ store ls
        a
        c
        d
        $ store txn -
        1 operation done, version 7
        $ store ls
        d
        $ store log --limit 2 --json
        {"author":"alice@home","keys":[],"message":"","ranges":[{"end":"d","start":"a"}],"time":"MOMENT","transaction_id":"VERSION","version":7}
        {"author":"alice@home","keys":[],"message":"","ranges":[{"end":"b0","start":"b/"}],"time":"MOMENT","transaction_id":"VERSION","version":6}
    "#]].assert_eq(&bench.session(
        r#"<{"op":"delete_prefix","prefix":"b/"}
          store txn -
          store ls
          <{"op":"delete_range","start":"a","end":"d"}
          store txn -
          store ls
          store log --limit 2 --json"#,
    ));
    assert_eq!(json(&bench, "store undo 7 --json")["keys"], 2);
}

//! Arrays, and the members they are made of.

use expect_test::expect;

use super::check;

/// Three providers for arrays to be made of.
const THREE: &str = "[providers]
a = { type = \"memory\" }
b = { type = \"memory\" }
c = { type = \"memory\" }
";

#[test]
fn members_that_are_not_there_or_named_twice_are_named() {
    let all = "[providers.safe]\ntype = \"mirror\"\nmembers = [\"a\", \"bb\", \"a\"]";
    check(
        &format!("{THREE}{all}"),
        expect![[r#"
        error: `members` names a provider there is not: `bb`
         --> cloudbank.toml:7:1
          |
        7 | members = ["a", "bb", "a"]
          | ^^^^^^^
          = did you mean `b`?

        error: `members` names `a` twice
         --> cloudbank.toml:7:1
          |
        7 | members = ["a", "bb", "a"]
          | ^^^^^^^
          = what one provider loses is lost once: name another"#]],
    );
}

#[test]
fn counts_of_pieces_that_cannot_be_are_named() {
    let all = "[providers.safe]\ntype = \"erasure\"\ndata = 2\nparity = 2\nmembers = [\"a\", \"b\", \"c\"]";
    check(
        &format!("{THREE}{all}"),
        expect![[r#"
        error: `members` has 3 names, but `data` = 2 and `parity` = 2 make 4 pieces
         --> cloudbank.toml:9:1
          |
        9 | members = ["a", "b", "c"]
          | ^^^^^^^
          = one member for each piece"#]],
    );
    let all = "[providers.safe]\ntype = \"erasure\"\ndata = 1\nparity = 2\nmembers = [\"a\", \"b\", \"c\"]\nquorum = 4";
    check(
        &format!("{THREE}{all}"),
        expect![[r#"
        error: `data` is out of range
         --> cloudbank.toml:7:8
          |
        7 | data = 1
          |        ^
          = expected a whole number from 2 to 254"#]],
    );
    let all = "[providers.room]\ntype = \"shard\"\nmembers = [\"a\", \"b\"]\nweights = [1]\nprevious = [\"a\"]\nprevious_weights = [0]";
    check(
        &format!("{THREE}{all}"),
        expect![[r#"
        error: `weights` has 1 numbers for 2 members
         --> cloudbank.toml:8:1
          |
        8 | weights = [1]
          | ^^^^^^^
          = one for each member

        error: `previous_weights` is a list
          --> cloudbank.toml:10:20
           |
        10 | previous_weights = [0]
           |                    ^^^
           = expected a list of whole numbers from 1 to 1000000"#]],
    );
    check(
        "[providers.safe]\ntype = \"mirror\"",
        expect![[r#"
        error: an array needs `members`
         --> cloudbank.toml:1:12
          |
        1 | [providers.safe]
          |            ^^^^
          = name other providers of this file: members = ["a", "b", "c"]"#]],
    );
}

#[test]
fn an_array_that_is_made_of_itself_is_refused() {
    let circle = "x = { type = \"mirror\", members = [\"a\", \"y\"] }
y = { type = \"shard\", members = [\"x\", \"b\"] }";
    check(
        &format!("{THREE}{circle}"),
        expect![[r#"
        error: `members`: there is something wrong with `y`
         --> cloudbank.toml:5:24
          |
        5 | x = { type = "mirror", members = ["a", "y"] }
          |                        ^^^^^^^

        error: `members`: `x` is made of `y`, which is made of `x`
         --> cloudbank.toml:6:23
          |
        6 | y = { type = "shard", members = ["x", "b"] }
          |                       ^^^^^^^"#]],
    );
    let alone = "x = { type = \"mirror\", members = [\"a\", \"x\"] }";
    check(
        &format!("{THREE}{alone}"),
        expect![[r#"
        error: `members`: `x` is made of `x`
         --> cloudbank.toml:5:24
          |
        5 | x = { type = "mirror", members = ["a", "x"] }
          |                        ^^^^^^^"#]],
    );
}

#[test]
fn a_provider_belongs_to_one_array() {
    let two = "x = { type = \"mirror\", members = [\"a\", \"b\"] }
y = { type = \"mirror\", members = [\"b\", \"c\"] }";
    check(
        &format!("{THREE}{two}"),
        expect![[r#"
        error: `members` names `b`, which is a member of `x`
         --> cloudbank.toml:6:24
          |
        6 | y = { type = "mirror", members = ["b", "c"] }
          |                        ^^^^^^^
          = a provider belongs to one array; give the other a folder or bucket of its own"#]],
    );
}

#[test]
fn an_array_is_wrong_where_a_member_is() {
    let nested = "x = { type = \"mirror\", members = [\"a\", \"d\"] }
d = { type = \"memory\", size = 1 }";
    check(
        &format!("{THREE}{nested}"),
        expect![[r#"
            error: `members`: there is something wrong with `d`
             --> cloudbank.toml:5:24
              |
            5 | x = { type = "mirror", members = ["a", "d"] }
              |                        ^^^^^^^

            error: a provider of type `memory` has no setting `size`
             --> cloudbank.toml:6:24
              |
            6 | d = ***
              |     ^^^
              = expected one of concurrency_max, object_bytes_max, prices, retries_max, timeout, type, versions"#]],
    );
}

#[test]
fn a_key_to_encrypt_with_is_checked_and_not_shown() {
    let secret = "x = { type = \"encrypt\", inner = \"a\", key = \"not so secret\" }";
    check(
        &format!("{THREE}{secret}"),
        expect![[r#"
        error: `key`: key 1 is not 64 hexadecimal digits (make one with: openssl rand -hex 32)
         --> cloudbank.toml:5:38
          |
        5 | x = ***
          |     ^^^"#]],
    );
}

#[test]
fn arrays_nest_in_any_way() {
    let nested = "d = { type = \"memory\" }
x = { type = \"shard\", members = [\"a\", \"b\"], weights = [1, 3], previous = [\"a\"] }
y = { type = \"mirror\", members = [\"x\", \"c\"], domains = [\"here\", \"there\"] }
z = { type = \"encrypt\", inner = \"y\", key = \"5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\" }
[store]
log = \"d\"
objects = \"z\"";
    check(&format!("{THREE}{nested}"), expect![[r#""#]]);
}

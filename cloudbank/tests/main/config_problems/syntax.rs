//! Text that is not TOML, and how problems are shown.

use expect_test::expect;

use super::check;

#[test]
fn text_without_its_closing_quote_is_shown() {
    check(
        "[providers.l]\ntype = \"fs\npath = \"a\"",
        expect![[r#"
            error: this is not TOML: text without its closing quote
             --> cloudbank.toml:2:11
              |
            2 | type = "fs
              |           ^
              = expected `"`"#]],
    );
}

#[test]
fn what_is_not_toml_at_all_is_shown() {
    check(
        "providers:\n  local: fs",
        expect![[r#"
        error: this is not TOML: invalid unquoted key
         --> cloudbank.toml:1:10
          |
        1 | providers:
          |          ^
          = expected letters, numbers, `-`, `_`

        error: this is not TOML: key with no value
         --> cloudbank.toml:1:11
          |
        1 | providers:
          |           ^
          = expected `=`

        error: this is not TOML: key with no value
         --> cloudbank.toml:2:10
          |
        2 |   local: fs
          |          ^
          = expected `=`

        3 problems in cloudbank.toml"#]],
    );
}

#[test]
fn a_value_without_quotes_is_shown() {
    check(
        "[providers.l]\ntype = fs",
        expect![[r#"
            error: this is not TOML: text without quotes
             --> cloudbank.toml:2:8
              |
            2 | type = fs
              |        ^^
              = expected text in quotes"#]],
    );
}

#[test]
fn several_problems_are_reported_together_in_the_order_of_the_file() {
    check(
        "[providers.b]\ntype = \"memry\"\n[providers.a]\ntype = \"memory\"\nversons = \"per-write\"\ntimeout = \"1 year\"",
        expect![[r#"
            error: there is no type `memry`
             --> cloudbank.toml:2:8
              |
            2 | type = "memry"
              |        ^^^^^^^
              = expected "azure", "encrypt", "erasure", "fs", "memory", "mirror", "s3" or "shard"
              = did you mean `memory`?

            error: a provider of type `memory` has no setting `versons`
             --> cloudbank.toml:5:1
              |
            5 | versons = "per-write"
              | ^^^^^^^
              = expected one of concurrency_max, object_bytes_max, prices, retries_max, timeout, type, versions
              = did you mean `versions`?

            error: `timeout` cannot be understood
             --> cloudbank.toml:6:11
              |
            6 | timeout = "1 year"
              |           ^^^^^^^^
              = expected a time such as "30s" (ms, s, m, h)"#]],
    );
}

#[test]
fn columns_count_characters_and_not_bytes() {
    check(
        "[providers.l]\n\"ä\" = 1\ntype = \"fs\"\npath = \"ü\" \"x\"",
        expect![[r#"
        error: this is not TOML: unexpected key or value
         --> cloudbank.toml:4:12
          |
        4 | path = "ü" "x"
          |            ^
          = expected newline, `#`"#]],
    );
}

//! A value of the wrong kind, out of its range, or of a variable that is not set.

use expect_test::expect;

use super::check;

#[test]
fn a_missing_setting_is_shown_as_it_would_be_written() {
    check(
        "[providers.local]\ntype = \"fs\"",
        expect![[r#"
        error: provider `local` of type `fs` needs `path`
         --> cloudbank.toml:1:12
          |
        1 | [providers.local]
          |            ^^^^^
          = expected path = "...""#]],
    );
}

#[test]
fn an_empty_text_is_no_value() {
    check(
        "[providers.local]\ntype = \"fs\"\npath = \"\"",
        expect![[r#"
        error: `path` is empty
         --> cloudbank.toml:3:8
          |
        3 | path = ""
          |        ^^
          = expected a text that is not empty"#]],
    );
}

#[test]
fn a_number_in_place_of_a_text_wants_quotes() {
    check(
        "[providers.local]\ntype = \"fs\"\npath = 7",
        expect![[r#"
            error: `path` is a whole number
             --> cloudbank.toml:3:8
              |
            3 | path = 7
              |        ^
              = expected text in quotes"#]],
    );
}

#[test]
fn a_text_in_place_of_a_switch_wants_none() {
    check(
        "[providers.local]\ntype = \"fs\"\npath = \"d\"\ncreate = \"true\"",
        expect![[r#"
        error: `create` is text
         --> cloudbank.toml:4:10
          |
        4 | create = "true"
          |          ^^^^^^
          = expected true or false
          = leave out the quotes"#]],
    );
}

#[test]
fn a_number_in_quotes_wants_none() {
    check(
        "[providers.m]\ntype = \"memory\"\nretries_max = \"5\"",
        expect![[r#"
        error: `retries_max` is text
         --> cloudbank.toml:3:15
          |
        3 | retries_max = "5"
          |               ^^^
          = expected a whole number from 0 to 100
          = leave out the quotes"#]],
    );
}

#[test]
fn a_number_out_of_range_is_told_the_range() {
    check(
        "[providers.m]\ntype = \"memory\"\nconcurrency_max = 0\nretries_max = -1",
        expect![[r#"
        error: `concurrency_max` is out of range
         --> cloudbank.toml:3:19
          |
        3 | concurrency_max = 0
          |                   ^
          = expected a whole number from 1 to 10000

        error: `retries_max` is out of range
         --> cloudbank.toml:4:15
          |
        4 | retries_max = -1
          |               ^^
          = expected a whole number from 0 to 100"#]],
    );
}

#[test]
fn a_size_in_unknown_units_is_told_those_there_are() {
    check(
        "[providers.m]\ntype = \"memory\"\nobject_bytes_max = \"64 megs\"",
        expect![[r#"
        error: `object_bytes_max` cannot be understood
         --> cloudbank.toml:3:20
          |
        3 | object_bytes_max = "64 megs"
          |                    ^^^^^^^^^
          = expected a size such as "64MiB" (B, KiB, MiB, GiB, TiB, kB, MB, GB, TB)"#]],
    );
}

#[test]
fn a_time_without_a_unit_wants_one() {
    check(
        "[providers.m]\ntype = \"memory\"\ntimeout = 30",
        expect![[r#"
        error: `timeout` cannot be understood
         --> cloudbank.toml:3:11
          |
        3 | timeout = 30
          |           ^^
          = expected a time such as "30s" (ms, s, m, h)
          = say in which unit, in quotes"#]],
    );
}

#[test]
fn a_word_that_is_none_of_the_choices_names_the_nearest() {
    check(
        "[providers.l]\ntype = \"fs\"\npath = \"d\"\ndurability = \"powerloss\"",
        expect![[r#"
        error: `durability` is none of the words it may be
         --> cloudbank.toml:4:14
          |
        4 | durability = "powerloss"
          |              ^^^^^^^^^^^
          = expected "power-loss" or "process-crash"
          = did you mean `power-loss`?"#]],
    );
}

#[test]
fn a_variable_that_is_not_set_is_named() {
    check(
        "[providers.l]\ntype = \"fs\"\npath = \"${NOT_SET}/data\"",
        expect![[r#"
        error: `path`: the environment variable NOT_SET is not set
         --> cloudbank.toml:3:8
          |
        3 | path = "${NOT_SET}/data"
          |        ^^^^^^^^^^^^^^^^^
          = set it: export NOT_SET=..."#]],
    );
}

#[test]
fn a_variable_that_is_empty_is_named() {
    check(
        "[providers.l]\ntype = \"fs\"\npath = \"${EMPTY}\"",
        expect![[r#"
        error: `path`: the environment variable EMPTY is empty
         --> cloudbank.toml:3:8
          |
        3 | path = "${EMPTY}"
          |        ^^^^^^^^^^
          = give it a value: export EMPTY=..."#]],
    );
}

#[test]
fn a_reference_that_is_malformed_is_told_how_to_write_one() {
    check(
        "[providers.l]\ntype = \"fs\"\npath = \"${NOT SET}\"\n[providers.m]\ntype = \"fs\"\npath = \"a${B\"",
        expect![[r#"
            error: `path`: `${NOT SET}` does not name a variable of the environment
             --> cloudbank.toml:3:8
              |
            3 | path = "${NOT SET}"
              |        ^^^^^^^^^^^^
              = names have letters, digits and _, and do not begin with a digit

            error: `path`: a `${` without its `}`
             --> cloudbank.toml:6:8
              |
            6 | path = "a${B"
              |        ^^^^^^
              = write ${NAME} for a variable of the environment, $${ for the characters themselves"#]],
    );
}

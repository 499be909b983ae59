//! Everything that can be wrong with a configuration, and what is said about it.

use std::ffi::OsString;
use std::path::Path;

use cloudbank::{Config, Registry, Source};
use expect_test::{Expect, expect};

use crate::support::Bench;

/// Environment of these tests.
fn variables(name: &str) -> Option<OsString> {
    match name {
        "EMPTY" => Some("".into()),
        "BUCKET" => Some("from-the-environment".into()),
        _ => None,
    }
}

/// Reads a configuration in a folder of its own and compares what is said about it.
fn check(text: &str, expected: Expect) {
    let source = Source::file(Path::new("cloudbank.toml"), text.trim_start().into());
    let said = match Config::read(&Registry::standard(), source, &variables) {
        Ok(config) => config.problems().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(said.lines().count() <= 24, "more than a screen:\n{said}");
    expected.assert_eq(&said);
}

#[test]
fn an_unknown_setting_names_the_nearest_one() {
    check(
        r#"
[providers.local]
type = "fs"
pth = "data"
path = "data"
"#,
        expect![[r#"
            error: a provider of type `fs` has no setting `pth`
             --> cloudbank.toml:3:1
              |
            3 | pth = "data"
              | ^^^
              = expected one of concurrency_max, create, durability, object_bytes_max, path, prices,
                retries_max, timeout, type
              = did you mean `path`?"#]],
    );
}

#[test]
fn an_unknown_setting_without_a_near_one_lists_them_all() {
    check(
        r#"
[providers.local]
type = "memory"
colour = "blue"
"#,
        expect![[r#"
            error: a provider of type `memory` has no setting `colour`
             --> cloudbank.toml:3:1
              |
            3 | colour = ***
              | ^^^^^^
              = expected one of concurrency_max, object_bytes_max, prices, retries_max, timeout, type, versions"#]],
    );
}

#[test]
fn an_unknown_type_names_the_nearest_one() {
    check(
        "[providers.local]\ntype = \"memry\"",
        expect![[r#"
            error: there is no type `memry`
             --> cloudbank.toml:2:8
              |
            2 | type = "memry"
              |        ^^^^^^^
              = expected "azure", "encrypt", "erasure", "fs", "memory", "mirror", "s3" or "shard"
              = did you mean `memory`?"#]],
    );
}

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

#[test]
fn a_provider_without_a_type_is_told_which_there_are() {
    check(
        "[providers.local]\npath = \"data\"",
        expect![[r#"
            error: provider `local` has no `type`
             --> cloudbank.toml:1:12
              |
            1 | [providers.local]
              |            ^^^^^
              = expected type = "azure", "encrypt", "erasure", "fs", "memory", "mirror", "s3" or "shard""#]],
    );
}

#[test]
fn a_type_that_is_no_text_is_told_so() {
    check(
        "[providers.local]\ntype = 3",
        expect![[r#"
            error: `type` is a whole number
             --> cloudbank.toml:2:8
              |
            2 | type = 3
              |        ^
              = expected "azure", "encrypt", "erasure", "fs", "memory", "mirror", "s3" or "shard""#]],
    );
}

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

#[test]
fn a_name_that_cannot_be_typed_in_a_command_is_refused() {
    check(
        "[providers.\"my bucket:\"]\ntype = \"memory\"",
        expect![[r#"
        error: `my bucket:` is not a name for a provider
         --> cloudbank.toml:1:12
          |
        1 | [providers."my bucket:"]
          |            ^^^^^^^^^^^^
          = expected letters, digits, `-` and `_`"#]],
    );
}

#[test]
fn a_provider_that_is_no_table_is_told_so() {
    check(
        "[providers]\nlocal = \"fs\"",
        expect![[r#"
        error: provider `local` is text
         --> cloudbank.toml:2:1
          |
        2 | local = ***
          | ^^^^^
          = expected a table: [providers.local]"#]],
    );
}

#[test]
fn an_unknown_table_at_the_top_names_the_nearest() {
    check(
        "[provider.local]\ntype = \"fs\"",
        expect![[r#"
        error: there is no `provider` at the top of a configuration
         --> cloudbank.toml:1:2
          |
        1 | [provider.local]
          |  ^^^^^^^^
          = expected one of the tables providers, store, server, s3, tahoe, combiner
          = did you mean `providers`?"#]],
    );
}

#[test]
fn a_top_setting_that_is_no_table_is_told_so() {
    check(
        "providers = \"fs\"",
        expect![[r#"
        error: `providers` is text
         --> cloudbank.toml:1:1
          |
        1 | providers = ***
          | ^^^^^^^^^
          = expected a table: [providers.NAME]"#]],
    );
}

#[test]
fn a_store_on_a_provider_there_is_not_names_the_nearest() {
    check(
        "[providers.local]\ntype = \"memory\"\n[store]\nlog = [\"local\", \"lokal\"]\nobjcts = \"local\"",
        expect![[r#"
            error: `log` names a provider there is not: `lokal`
             --> cloudbank.toml:4:17
              |
            4 | log = ["local", "lokal"]
              |                 ^^^^^^^
              = expected local
              = did you mean `local`?

            error: `store` has no setting `objcts`
             --> cloudbank.toml:5:1
              |
            5 | objcts = ***
              | ^^^^^^
              = expected one of provider, log, objects
              = did you mean `objects`?"#]],
    );
}

#[test]
fn plain_http_must_be_allowed() {
    check(
        "[providers.s]\ntype = \"s3\"\nbucket = \"my-bucket\"\nendpoint = \"http://127.0.0.1:9000\"",
        expect![[r#"
            error: `endpoint` begins with http://, which anyone on the way can read and change; set `allow_http = true` if that is meant
             --> cloudbank.toml:4:1
              |
            4 | endpoint = "http://127.0.0.1:9000"
              | ^^^^^^^^"#]],
    );
}

#[test]
fn half_a_credential_wants_the_other_half() {
    check(
        "[providers.s]\ntype = \"s3\"\nbucket = \"my-bucket\"\naccess_key_id = \"me\"\nconfig_file = \"x\"",
        expect![[r#"
            error: `access_key_id` needs `secret_access_key` beside it
             --> cloudbank.toml:4:1
              |
            4 | access_key_id = ***
              | ^^^^^^^^^^^^^
              = add `secret_access_key`, or remove `access_key_id`

            error: `config_file` needs `profile` beside it
             --> cloudbank.toml:5:1
              |
            5 | config_file = "x"
              | ^^^^^^^^^^^
              = add `profile`, or remove `config_file`"#]],
    );
}

#[test]
fn two_kinds_of_credentials_contradict_each_other() {
    check(
        "[providers.s]\ntype = \"s3\"\nbucket = \"my-bucket\"\nprofile = \"p\"\ncredentials = \"anonymous\"",
        expect![[r#"
            error: `credentials` contradicts `profile`
             --> cloudbank.toml:5:1
              |
            5 | credentials = ***
              | ^^^^^^^^^^^
              = remove one of the two"#]],
    );
}

#[test]
fn what_only_the_backend_knows_is_reported_at_its_setting() {
    check(
        "[providers.s]\ntype = \"s3\"\nbucket = \"my/bucket\"",
        expect![[r#"
        error: `bucket` has a slash; what comes after it is the setting `prefix`: "my/bucket"
         --> cloudbank.toml:3:1
          |
        3 | bucket = "my/bucket"
          | ^^^^^^"#]],
    );
    check(
        "[providers.s]\ntype = \"s3\"\nbucket = \"my-bucket\"\nprefix = \"Backup/\"",
        expect![[r#"
        error: `prefix` is no prefix of keys: byte 0 is `B`, but a key has only 0-9 a-z _ = ~ and / between segments
         --> cloudbank.toml:4:1
          |
        4 | prefix = "Backup/"
          | ^^^^^^
          = expected 0-9 a-z _ = ~ in segments joined by /, such as "backup/""#]],
    );
    check(
        "[providers.s]\ntype = \"s3\"\nbucket = \"my-bucket\"\nobject_bytes_max = \"6GiB\"",
        expect![[r#"
            error: `object_bytes_max` is 6442450944, but S3 takes at most 5368709120 bytes in one put
             --> cloudbank.toml:4:1
              |
            4 | object_bytes_max = "6GiB"
              | ^^^^^^^^^^^^^^^^"#]],
    );
}

#[test]
fn azure_wants_an_account_unless_it_is_the_emulator() {
    check("[providers.a]\ntype = \"azure\"\ncontainer = \"c-1\"\nemulator = true", expect![]);
    check(
        "[providers.a]\ntype = \"azure\"\ncontainer = \"c-1\"\naccount_key = \"no base64\"",
        expect![[r#"
            error: provider `a` of type `azure` needs `account`
             --> cloudbank.toml:1:12
              |
            1 | [providers.a]
              |            ^
              = expected account = "...""#]],
    );
    check(
        "[providers.a]\ntype = \"azure\"\ncontainer = \"c-1\"\naccount = \"me1\"\naccount_key = \"no.base64\"",
        expect![[r#"
            error: `account_key` is not base64; copy all of it
             --> cloudbank.toml:5:1
              |
            5 | account_key = ***
              | ^^^^^^^^^^^"#]],
    );
}

#[test]
fn common_misnomers_of_other_tools_find_their_setting() {
    check(
        "[providers.s]\ntype = \"s3\"\nbucket = \"my-bucket\"\nenpoint_url = \"https://x\"\naccess_key = \"me\"",
        expect![[r#"
            error: a provider of type `s3` has no setting `enpoint_url`
             --> cloudbank.toml:4:1
              |
            4 | enpoint_url = "https://x"
              | ^^^^^^^^^^^
              = expected one of access_key_id, allow_http, allow_invalid_certificates, bucket, ca_certificate,
                checksum, concurrency_max, conditional_put, config_file, connect_timeout, credentials,
                credentials_file, endpoint, idle_timeout, names, object_bytes_max, prefix, prices, probe,
                profile, region, request_timeout, retries_max, secret_access_key, session_token, sign_payload,
                timeout, type, virtual_hosted_style
              = did you mean `endpoint`?

            error: a provider of type `s3` has no setting `access_key`
             --> cloudbank.toml:5:1
              |
            5 | access_key = ***
              | ^^^^^^^^^^
              = expected one of access_key_id, allow_http, allow_invalid_certificates, bucket, ca_certificate,
                checksum, concurrency_max, conditional_put, config_file, connect_timeout, credentials,
                credentials_file, endpoint, idle_timeout, names, object_bytes_max, prefix, prices, probe,
                profile, region, request_timeout, retries_max, secret_access_key, session_token, sign_payload,
                timeout, type, virtual_hosted_style
              = did you mean `access_key_id`?"#]],
    );
}

#[test]
fn a_setting_that_is_set_twice_is_shown() {
    check(
        "[providers.l]\ntype = \"fs\"\npath = \"a\"\npath = \"b\"",
        expect![[r#"
        error: `path` is set twice
         --> cloudbank.toml:4:1
          |
        4 | path = "b"
          | ^^^^
          = remove one of the two"#]],
    );
}

#[test]
fn a_provider_that_is_defined_twice_is_shown() {
    check(
        "[providers.l]\ntype = \"memory\"\n[providers.l]\ntype = \"memory\"",
        expect![[r#"
        error: `l` is set twice
         --> cloudbank.toml:3:12
          |
        3 | [providers.l]
          |            ^
          = remove one of the two

        error: `type` is set twice
         --> cloudbank.toml:4:1
          |
        4 | type = "memory"
          | ^^^^
          = remove one of the two

        2 problems in cloudbank.toml"#]],
    );
}

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

#[test]
fn a_configuration_file_that_cannot_be_read_is_explained() {
    let bench = Bench::empty();
    bench.write("latin1.toml", b"# caf\xe9\n");
    let said = bench.session(
        "provider ls --config missing.toml
         provider ls --config .
         provider ls --config latin1.toml",
    );
    expect![[r#"
        $ provider ls --config missing.toml
        ! error: the configuration file missing.toml does not exist
        !   = named by --config
        !   = `cloudbank config init --config missing.toml` writes one to start from
        [2]
        $ provider ls --config .
        ! error: the configuration file . is a folder
        !   = named by --config
        !   = name the file: ./cloudbank.toml
        [2]
        $ provider ls --config latin1.toml
        ! error: the configuration file latin1.toml is not UTF-8 text
        !   = named by --config
        !   = save it as UTF-8
        [2]
    "#]]
    .assert_eq(&said);
}

#[test]
fn the_file_named_in_the_environment_must_be_there() {
    let bench = Bench::empty().variable("CLOUDBANK_CONFIG", "elsewhere.toml");
    expect![[r#"
        $ provider ls
        ! error: the configuration file elsewhere.toml does not exist
        !   = named by CLOUDBANK_CONFIG
        !   = `cloudbank config init --config elsewhere.toml` writes one to start from
        [2]
    "#]]
    .assert_eq(&bench.session("provider ls"));
}

#[test]
fn files_are_looked_for_in_the_order_documented() {
    let bench = Bench::empty().variable("XDG_CONFIG_HOME", "user");
    let show = |bench: &Bench| bench.ok("config show").lines().next().unwrap().to_owned();
    assert_eq!(show(&bench), "# the built-in configuration");
    std::fs::create_dir_all(bench.path("user/cloudbank")).unwrap();
    bench.write("user/cloudbank/cloudbank.toml", "");
    assert_eq!(show(&bench), "# user/cloudbank/cloudbank.toml");
    bench.write("cloudbank.toml", "");
    assert_eq!(show(&bench), "# cloudbank.toml");
    bench.write("named.toml", "");
    let bench = bench.variable("CLOUDBANK_CONFIG", "named.toml");
    assert_eq!(show(&bench), "# named.toml");
    bench.write("asked.toml", "");
    let asked = bench.ok("config show --config asked.toml");
    assert_eq!(asked, "# asked.toml\n");
}

#[test]
fn a_problem_in_one_provider_does_not_keep_the_others_from_use() {
    let bench = Bench::with_config(
        "[providers.good]\ntype = \"memory\"\n[providers.bad]\ntype = \"fs\"\npath = \"${NOT_SET_AT_ALL}\"\n",
    );
    expect![[r#"
        $ provider ls --provider good
        $ provider ls --provider bad
        ! error: `path`: the environment variable NOT_SET_AT_ALL is not set
        !  --> cloudbank.toml:5:8
        !   |
        ! 5 | path = "${NOT_SET_AT_ALL}"
        !   |        ^^^^^^^^^^^^^^^^^^^
        !   = set it: export NOT_SET_AT_ALL=...
        [2]
        $ provider ls --provider godo
        ! error: there is no provider `godo` in cloudbank.toml
        !   = expected bad or good
        !   = did you mean `good`?
        [2]
        $ provider ls
        ! error: which provider? cloudbank.toml has several
        !   = add --provider with bad or good
        [2]
    "#]]
    .assert_eq(&bench.session(
        "provider ls --provider good
         provider ls --provider bad
         provider ls --provider godo
         provider ls",
    ));
}

#[test]
fn a_folder_that_is_not_there_is_reported_with_provider_setting_and_line() {
    let bench = Bench::with_config("\n[providers.local]\ntype = \"fs\"\npath = \"gone\"\n");
    expect![[r#"
        $ provider ls
        ! error: provider `local`, setting `path`: misconfigured: there is no folder "$DIR/gone": create it first, or set `create = true` (setting `path`)
        !  --> cloudbank.toml:4:1
        !   |
        ! 4 | path = "gone"
        !   | ^^^^
        [2]
        $ config check --connect
        error: provider `local`, setting `path`: misconfigured: there is no folder "$DIR/gone": create it first, or set `create = true` (setting `path`)
         --> cloudbank.toml:4:1
          |
        4 | path = "gone"
          | ^^^^

        provider  type  state
        local     fs    cannot be used, see above
        cloudbank.toml: 1 provider cannot be used
        [2]
        $ config check --connect --json
        {"file":"cloudbank.toml","problems":[],"providers":[{"error":{"code":2,"error":"usage","key":null,"kind":"misconfigured","message":"provider `local`: misconfigured: there is no folder \"$DIR/gone\": create it first, or set `create = true` (setting `path`)","problems":[{"column":1,"expected":null,"file":"cloudbank.toml","help":null,"line":4,"message":"provider `local`, setting `path`: misconfigured: there is no folder \"$DIR/gone\": create it first, or set `create = true` (setting `path`)","severity":"error"}],"provider":"local"},"name":"local","opened":false,"type":"fs","valid":true}]}
        [2]
    "#]].assert_eq(
        &bench.session("provider ls\nconfig check --connect\nconfig check --connect --json"),
    );
}

#[test]
fn problems_come_as_data_when_asked_for() {
    let bench = Bench::with_config("[providers.local]\ntype = \"memory\"\nversons = 1\n");
    expect![[r#"
        $ config check --json
        {"file":"cloudbank.toml","problems":[{"column":1,"expected":"one of concurrency_max, object_bytes_max, prices, retries_max, timeout, type, versions","file":"cloudbank.toml","help":"did you mean `versions`?","line":3,"message":"a provider of type `memory` has no setting `versons`","severity":"error"}],"providers":[{"error":null,"name":"local","opened":null,"type":"memory","valid":false}]}
        [2]
        $ provider ls --json
        ! {"code":2,"error":"usage","message":"1 problem in the configuration","problems":[{"column":1,"expected":"one of concurrency_max, object_bytes_max, prices, retries_max, timeout, type, versions","file":"cloudbank.toml","help":"did you mean `versions`?","line":3,"message":"a provider of type `memory` has no setting `versons`","severity":"error"}]}
        [2]
    "#]].assert_eq(&bench.session("config check --json\nprovider ls --json"));
}

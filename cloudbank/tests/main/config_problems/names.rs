//! Settings, types, tables and providers that there are not, or twice.

use expect_test::expect;

use super::check;

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
              = expected one of provider, log, objects, spares
              = did you mean `objects`?"#]],
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

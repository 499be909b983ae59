//! What only a backend can say of its settings.

use expect_test::expect;

use super::check;

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

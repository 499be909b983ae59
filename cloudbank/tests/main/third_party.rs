//! A backend of somebody else's, registered in one line, gets the whole command line.

use std::ffi::OsString;
use std::path::Path;

use backend_memory::MemoryProvider;
use cloudbank::{Backend, Code, Config, Problem, Registry, Source};
use expect_test::{Expect, expect};
use storage_core::Secret;

use crate::support::Bench;

/// A type with one setting of every kind.
fn registry(provider: &MemoryProvider) -> Registry {
    let provider = provider.clone();
    Registry::standard().register("theirs", move |section| {
        let _table: String = section.text("table").required();
        let _password: Option<Secret> = section.secret("password").optional();
        let _pages: u64 = section.number("pages", 1, 8).or(4);
        let _cache: u64 = section.size("cache_bytes_max").or(1 << 20);
        let _mode: u8 = section.choice("mode", &[("fast", 0), ("safe", 1)]).or("safe", 1);
        let _hosts: Vec<String> = section.texts("hosts").or(Vec::new());
        let url = section.url("url").optional();
        if url.is_some_and(|url| url.starts_with("http:")) {
            let problem = Problem::error("`url` is not encrypted").expected("https://");
            section.problem("url", problem);
        }
        let provider = provider.clone();
        Backend::new(move || {
            let provider = provider.clone();
            async move { Ok(provider) }
        })
    })
}

fn run(registry: &Registry, arguments: &[&str]) -> Code {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let arguments = std::iter::once("theirs").chain(arguments.iter().copied()).map(OsString::from);
    runtime.block_on(cloudbank::run(registry.clone(), arguments))
}

#[test]
fn its_type_is_put_to_use_by_every_command() {
    let provider = MemoryProvider::new();
    let registry = registry(&provider);
    let bench = Bench::with_config("[providers.p]\ntype = \"theirs\"\ntable = \"t\"\n");
    bench.write("body", "body");
    let path = |name: &str| bench.path(name).display().to_string();
    let config = path("cloudbank.toml");
    let run =
        |arguments: &[&str]| run(&registry, &[arguments, &["-q", "--config", &config]].concat());
    assert_eq!(run(&["provider", "put", "a/1", &path("body")]), Code::Done);
    assert_eq!(run(&["provider", "put", "a/1", &path("body"), "--if-absent"]), Code::Conflict);
    assert_eq!(run(&["provider", "get", "a/1", &path("back")]), Code::Done);
    assert_eq!(bench.read("back"), b"body");
    assert_eq!(run(&["provider", "stat", "a/2"]), Code::NotFound);
    assert_eq!(run(&["provider", "cp", "p:a/1", "p:a/2"]), Code::Done);
    assert_eq!(run(&["provider", "stat", "a/2"]), Code::Done);
    assert_eq!(run(&["provider", "create"]), Code::Usage);
    assert_eq!(run(&["provider", "rm", "--prefix", "", "--yes"]), Code::Done);
    assert_eq!(run(&["config", "check", "--connect"]), Code::Done);
    assert_eq!(run(&["provider", "ls", "--config", "nowhere.toml"]), Code::Usage);
}

fn check(settings: &str, expected: Expect) {
    let text = format!("[providers.p]\ntype = \"theirs\"\n{settings}\n");
    let source = Source::file(Path::new("cloudbank.toml"), text);
    let config = Config::read(&registry(&MemoryProvider::new()), source, &|_| None).unwrap();
    expected.assert_eq(&config.problems().to_string());
}

#[test]
fn its_settings_are_checked_like_ours() {
    check(
        "table = \"t\"\npasword = \"x\"",
        expect![[r#"
            error: a provider of type `theirs` has no setting `pasword`
             --> cloudbank.toml:4:1
              |
            4 | pasword = ***
              | ^^^^^^^
              = expected one of cache_bytes_max, concurrency_max, hosts, mode, pages, password, prices,
                retries_max, table, timeout, type, url
              = did you mean `password`?"#]],
    );
    check(
        "pages = 9\nhosts = \"a\"\nmode = \"sfe\"",
        expect![[r#"
        error: provider `p` of type `theirs` needs `table`
         --> cloudbank.toml:1:12
          |
        1 | [providers.p]
          |            ^
          = expected table = "..."

        error: `pages` is out of range
         --> cloudbank.toml:3:9
          |
        3 | pages = 9
          |         ^
          = expected a whole number from 1 to 8

        error: `hosts` is text
         --> cloudbank.toml:4:9
          |
        4 | hosts = "a"
          |         ^^^
          = expected a list such as ["a", "b"]

        error: `mode` is none of the words it may be
         --> cloudbank.toml:5:8
          |
        5 | mode = "sfe"
          |        ^^^^^
          = expected "fast" or "safe"
          = did you mean `safe`?"#]],
    );
    check(
        "table = \"t\"\nurl = \"http://example.org\"",
        expect![[r#"
        error: `url` is not encrypted
         --> cloudbank.toml:4:1
          |
        4 | url = "http://example.org"
          | ^^^
          = expected https://"#]],
    );
    check(
        "table = \"t\"\nurl = \"example.org\"",
        expect![[r#"
        error: `url` does not begin with https:// or http://
         --> cloudbank.toml:4:7
          |
        4 | url = "example.org"
          |       ^^^^^^^^^^^^^
          = expected an address such as "https://s3.example.org""#]],
    );
    check(
        "table = \"t\"\nurl = \"https://me:secret@example.org\"",
        expect![[r#"
        error: `url` has a password in it, which has settings of its own
         --> cloudbank.toml:4:7
          |
        4 | url = ***
          |       ^^^
          = expected an address such as "https://s3.example.org""#]],
    );
    check(
        "table = \"t\"\nhosts = [\"a\", \"\", 3]",
        expect![[r#"
            error: `hosts` is empty
             --> cloudbank.toml:4:15
              |
            4 | hosts = ["a", "", 3]
              |               ^^
              = expected a text that is not empty

            error: `hosts` is a whole number
             --> cloudbank.toml:4:19
              |
            4 | hosts = ["a", "", 3]
              |                   ^
              = expected text in quotes"#]],
    );
    check(
        "table = \"t\"\npassword = \"file:/no/such/file\"",
        expect![[r#"
        error: `password`: the file /no/such/file does not exist
         --> cloudbank.toml:4:12
          |
        4 | password = "file:/no/such/file"
          |            ^^^^^^^^^^^^^^^^^^^^
          = put the secret there; a relative path starts at the folder of the configuration file"#]],
    );
}

#[cfg(unix)]
#[test]
fn secrets_in_files_are_read_and_their_permissions_minded() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::empty();
    let at = |name: &str, body: &str, mode: u32| {
        bench.write(name, body);
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(bench.path(name), permissions).unwrap();
    };
    at("private", "secret\n", 0o600);
    at("public", "secret\n", 0o644);
    at("empty", "\n", 0o600);
    bench.write("binary", b"\xff\xfe");
    let said = |file: &str| {
        let text = format!(
            "[providers.p]\ntype = \"theirs\"\ntable = \"t\"\npassword = \"file:{file}\"\n"
        );
        let source = Source::file(&bench.path("cloudbank.toml"), text);
        let config = Config::read(&registry(&MemoryProvider::new()), source, &|_| None).unwrap();
        let said = config.problems().to_string();
        said.replace(&bench.path("").display().to_string(), "$DIR/")
    };
    assert_eq!(said("private"), "");
    let all = ["public", "empty", "binary", "missing", "."].map(said).join("\n\n");
    expect![[r#"
        warning: `password`: anyone on this machine can read $DIR/public
         --> $DIR/cloudbank.toml:4:12
          |
        4 | password = "file:public"
          |            ^^^^^^^^^^^^^
          = chmod 600 $DIR/public

        error: `password`: the file $DIR/empty is empty
         --> $DIR/cloudbank.toml:4:12
          |
        4 | password = "file:empty"
          |            ^^^^^^^^^^^^
          = put the secret there

        error: `password`: the file $DIR/binary is not UTF-8 text
         --> $DIR/cloudbank.toml:4:12
          |
        4 | password = "file:binary"
          |            ^^^^^^^^^^^^^
          = put the secret there as text, alone

        error: `password`: the file $DIR/missing does not exist
         --> $DIR/cloudbank.toml:4:12
          |
        4 | password = "file:missing"
          |            ^^^^^^^^^^^^^^
          = put the secret there; a relative path starts at the folder of the configuration file

        error: `password`: $DIR/. is a folder
         --> $DIR/cloudbank.toml:4:12
          |
        4 | password = "file:."
          |            ^^^^^^^^
          = name the file in it that holds the secret"#]]
    .assert_eq(&all);
}
